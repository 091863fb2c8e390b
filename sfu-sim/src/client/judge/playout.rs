//! From packets in any order to pictures in order: which are complete, and which can be decoded.

mod pictures;

use std::collections::VecDeque;
use std::time::Duration;

use smallvec::SmallVec;

use super::claims::Claims;
use super::quality::{Quality, Violation};
use super::series::Shown;
use super::truth::Truth;
use crate::wire::Stamp;
use crate::wire::codec::Seen;

/// How long the first packets wait for one they may have overtaken.
const START_WAIT: Duration = Duration::from_millis(100);
/// How long what is missing before a whole keyframe is waited for.
const KEYFRAME_WAIT: Duration = Duration::from_millis(30);

pub(crate) use pictures::note_gap;

/// A packet as far as playing it is concerned.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) timestamp: u32,
    pub(crate) marker: bool,
    pub(crate) seen: Seen,
    pub(crate) stamp: Stamp,
    /// The dependency descriptor, if a frame begins here.
    pub(crate) descriptor: Option<SmallVec<[u8; 16]>>,
}

#[derive(Clone, Debug)]
enum Place {
    Awaited,
    Lost,
    /// It has come, and there is nothing in it.
    Empty,
    Here(Packet),
}

/// The pictures of one line.
#[derive(Debug, Default)]
pub(crate) struct Playout {
    /// Index of the packet that is next, and of the front of `buffer`.
    next: u64,
    buffer: VecDeque<Place>,
    began: Option<Duration>,
    /// Where a keyframe begins that is whole, though what is before it is not, and since when.
    ahead: Option<(u64, Duration)>,
    /// A packet was taken off the line.
    begun: bool,
    /// A picture has been shown.
    playing: bool,
    /// A picture could not be decoded; only a keyframe helps, or one that does without.
    broken: bool,
    /// Nothing was lost since the last picture.
    contiguous: bool,
    /// Packets of the present picture came empty: the forwarder has given it up.
    hollow: bool,
    unit: Option<Unit>,
    picture: Option<Picture>,
    truth: Truth,
    claims: Claims,
    last: Option<Played>,
    /// Timestamp of the packet just before; none after a gap.
    last_timestamp: Option<u32>,
    /// Pictures from one to the next of late: more than 1 if temporal layers are left out.
    step: u32,
    /// Pictures are to be counted from those sent after this on: a pause that is not the path's
    /// fault.
    interrupted: Option<Duration>,
    shown: Option<Duration>,
    quickest: Option<Duration>,
    showing: Option<Shown>,
    /// What was shown from when on.
    pub(crate) history: Vec<(Duration, Shown)>,
    /// When what is shown changed to another encoding or layer, and the time without a new picture
    /// there, by pictures from one to the next in what was shown before or is shown after, where
    /// temporal layers are left out.
    pub(crate) switch_gaps: Vec<(Duration, Duration)>,
    /// The last of them, and that step before; what comes after is still to be seen.
    switched: Option<(Duration, Duration, u32)>,
}

/// A layer frame of which packets are coming.
#[derive(Debug)]
struct Unit {
    first: Packet,
    packets: u16,
}

/// A picture of which layer frames are coming.
#[derive(Clone, Copy, Debug)]
struct Picture {
    /// Of its highest layer.
    stamp: Stamp,
    timestamp: u32,
    decodable: bool,
}

/// The last picture that came complete.
#[derive(Clone, Copy, Debug)]
struct Played {
    stamp: Stamp,
    timestamp: u32,
    at: Duration,
}

impl Playout {
    /// Whether a keyframe is needed to go on.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Whether nothing has been shown yet though packets have come.
    pub(crate) fn is_starving(&self, now: Duration) -> bool {
        !self.playing && self.began.is_some_and(|began| now - began > START_WAIT)
    }

    /// The source pauses or is another from now on: a gap in time or frame numbers is no loss.
    pub(crate) fn interrupt(&mut self, now: Duration) {
        self.interrupted = Some(now);
        self.shown = None;
        if let Some(was) = self.showing.take() {
            self.history.push((now, Shown { width: 0, ..was }));
        }
    }

    /// The picture that was last played.
    pub(crate) fn stamp(&self) -> Option<Stamp> {
        self.last.map(|last| last.stamp)
    }

    /// What is shown.
    pub(crate) fn showing(&self) -> Option<Shown> {
        self.showing
    }

    /// Takes a packet. Gives the gap that a picture ended which can now be shown, if one can.
    pub(crate) fn insert(
        &mut self,
        now: Duration,
        index: u64,
        packet: Packet,
        quality: &mut Quality,
    ) -> Option<Duration> {
        if self.began.is_none() {
            self.began = Some(now);
            self.next = index;
            self.step = 1;
            quality.undecodable_starts += u64::from(!packet.stamp.keyframe);
        }
        if index == self.next && self.begun && self.buffer.is_empty() {
            self.next += 1;
            return self.take(now, index, packet, quality);
        }
        if index < self.next && !self.begun {
            for _ in index..self.next {
                self.buffer.push_front(Place::Awaited);
            }
            self.next = index;
        }
        let keyframe = packet.stamp.keyframe;
        self.set(index, Place::Here(packet));
        if keyframe && let Some(begin) = self.whole_picture(index) {
            self.ahead.get_or_insert((begin, now));
        }
        self.skip_to_keyframe(now);
        self.advance(now, quality)
    }

    /// Where the picture that a packet belongs to begins, if all of it is there.
    fn whole_picture(&self, index: u64) -> Option<u64> {
        let at = usize::try_from(index.checked_sub(self.next)?).ok()?;
        let Some(Place::Here(packet)) = self.buffer.get(at) else { return None };
        let timestamp = packet.timestamp;
        let of_picture = |place: &&Place| match place {
            Place::Here(packet) => packet.timestamp == timestamp,
            Place::Empty => true,
            Place::Awaited | Place::Lost => false,
        };
        let first = |packet: &Packet| (packet.stamp.spatial, packet.stamp.part) == (0, 0);
        let begins = |place: &Place| matches!(place, Place::Here(packet) if first(packet));
        let ends = |place: &Place| matches!(place, Place::Here(packet) if packet.marker);
        let before = self.buffer.range(..=at).rev().take_while(of_picture);
        let (back, _) = before.enumerate().find(|(_, place)| begins(place))?;
        let mut behind = self.buffer.range(at..).take_while(of_picture);
        behind.any(ends).then_some(index - back as u64)
    }

    /// Receivers do not wait for what is missing before a whole keyframe, beyond what may have been
    /// overtaken.
    fn skip_to_keyframe(&mut self, now: Duration) {
        let Some((begin, since)) = self.ahead else { return };
        if begin <= self.next {
            self.ahead = None;
        } else if now - since >= KEYFRAME_WAIT {
            self.ahead = None;
            let skipped = usize::try_from(begin - self.next).expect("it is in the buffer");
            self.buffer.drain(..skipped);
            self.next = begin;
            self.gap();
        }
    }

    /// The number that is played next: nothing before it is of use any more.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// A packet has come that carries nothing.
    pub(crate) fn pass(
        &mut self,
        now: Duration,
        index: u64,
        quality: &mut Quality,
    ) -> Option<Duration> {
        self.set(index, Place::Empty);
        self.advance(now, quality)
    }

    /// A packet will never come.
    pub(crate) fn lose(
        &mut self,
        now: Duration,
        index: u64,
        quality: &mut Quality,
    ) -> Option<Duration> {
        self.set(index, Place::Lost);
        self.advance(now, quality)
    }

    fn set(&mut self, index: u64, place: Place) {
        let Some(at) = index.checked_sub(self.next) else { return };
        let at = usize::try_from(at).expect("indices are within 2^16 of each other");
        if self.buffer.len() <= at {
            self.buffer.resize(at + 1, Place::Awaited);
        }
        self.buffer[at] = place;
    }

    fn advance(&mut self, now: Duration, quality: &mut Quality) -> Option<Duration> {
        let mut shown = None;
        loop {
            match self.buffer.front() {
                None | Some(Place::Awaited) => return shown,
                Some(Place::Here(packet)) if !self.begun && !may_begin(packet) => {
                    if self.began.is_some_and(|began| now - began < START_WAIT) {
                        return shown;
                    }
                }
                Some(Place::Here(_) | Place::Lost | Place::Empty) => {}
            }
            let index = self.next;
            self.next += 1;
            self.begun = true;
            match self.buffer.pop_front() {
                Some(Place::Here(packet)) => {
                    shown = self.take(now, index, packet, quality).max(shown);
                }
                Some(Place::Empty) => {
                    self.hollow = true;
                    if self.unit.is_some() {
                        self.gap();
                    }
                }
                Some(Place::Lost | Place::Awaited) | None => self.gap(),
            }
        }
    }

    /// What was being put together stays incomplete. Receivers decode a picture when all its layers
    /// are there, or none of them: those that were complete are as good as lost.
    fn gap(&mut self) {
        self.contiguous = false;
        self.unit = None;
        if let Some(picture) = self.picture.take() {
            self.withdraw(&picture);
        }
        self.last_timestamp = None;
        self.claims.gap();
    }

    /// No layer of a picture gets to the decoder.
    fn withdraw(&mut self, picture: &Picture) {
        self.truth.withdraw(picture.stamp.frame);
        self.claims.withdraw();
    }

    /// Takes the next packet of the line.
    fn take(
        &mut self,
        now: Duration,
        index: u64,
        packet: Packet,
        quality: &mut Quality,
    ) -> Option<Duration> {
        let timestamp = packet.timestamp;
        // After a gap a new timestamp proves nothing: the frame's beginning may be what is missing.
        let starts = packet.seen.start
            || packet.seen.start_by_timestamp
                && self.last_timestamp.map_or(packet.seen.keyframe, |last| last != timestamp);
        self.last_timestamp = Some(timestamp);
        let (end, marker) = (packet.seen.end, packet.marker);
        if starts {
            let unmarked = self.picture.is_some_and(|picture| picture.timestamp != timestamp);
            if self.unit.is_some() || unmarked {
                // A source that ended may have ended in the middle of a frame.
                let source = packet.stamp.source;
                let goes_on = self.unit.as_ref().is_some_and(|u| u.first.stamp.source == source)
                    || self.picture.is_some_and(|picture| picture.stamp.source == source);
                if goes_on && !self.hollow {
                    quality.violation(Violation::FrameEnd { index });
                }
                self.gap();
            }
            self.unit = Some(Unit { first: packet, packets: 1 });
        } else if let Some(unit) = &mut self.unit {
            let first = &unit.first.stamp;
            let same = |of: &Stamp| (of.source, of.encoding, of.frame, of.spatial);
            if timestamp != unit.first.timestamp || same(first) != same(&packet.stamp) {
                quality.violation(Violation::FrameEnd { index });
                self.gap();
                return None;
            }
            unit.packets += 1;
        } else {
            // Its beginning is lost. Unless nothing is.
            if self.playing && self.contiguous && !self.hollow {
                quality.violation(Violation::FrameStart { index });
            }
            self.gap();
            self.last_timestamp = Some(timestamp);
            return None;
        }
        if end && let Some(unit) = self.unit.take() {
            self.decode(index, &unit, quality);
        }
        if marker && let Some(picture) = self.picture.take() {
            return self.judge(now, index, picture, quality);
        }
        None
    }

    /// Decodes a complete layer frame, if that is possible.
    fn decode(&mut self, index: u64, unit: &Unit, quality: &mut Quality) {
        let stamp = unit.first.stamp;
        if unit.packets != stamp.parts || stamp.part != 0 {
            quality.violation(Violation::FrameEnd { index });
        }
        let truly = self.truth.decode(&stamp);
        let claimed = self.claims.decode(&unit.first.seen, unit.first.descriptor.as_deref());
        let claimed = claimed.unwrap_or_else(|_| {
            quality.violation(Violation::Descriptor { index });
            false
        });
        // A receiver would hand the decoder what it cannot decode.
        if claimed && !truly && self.playing {
            quality.violation(Violation::Misclaimed { index });
        }
        let decodable = claimed && truly;
        let before = self.picture.is_none_or(|picture| picture.decodable);
        let timestamp = unit.first.timestamp;
        self.picture = Some(Picture { stamp, timestamp, decodable: before && decodable });
    }
}

/// Whether a frame may begin with the first packet there is.
fn may_begin(packet: &Packet) -> bool {
    packet.seen.start || (packet.seen.start_by_timestamp && packet.seen.keyframe)
}
