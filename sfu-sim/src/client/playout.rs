//! From packets in any order to frames in order: which are complete, which can be decoded, and
//! how smoothly they follow each other.

use std::collections::VecDeque;
use std::time::Duration;

use super::quality::{Quality, Violation};
use crate::wire::Stamp;

/// What arrives later than this after the quickest frame misses its time.
const JITTER_BUFFER: Duration = Duration::from_millis(200);
/// How long the first packets wait for one they may have overtaken.
const START_WAIT: Duration = Duration::from_millis(100);
/// How far the timestamp may be off the time that passed: the path's jitter, not a jump.
const TIMESTAMP_TOLERANCE: Duration = Duration::from_millis(300);
const VIDEO_TICKS_PER_MS: i64 = 90;

/// A packet as far as playing it is concerned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packet {
    pub(crate) timestamp: u32,
    pub(crate) marker: bool,
    /// A frame begins with it.
    pub(crate) start: bool,
    pub(crate) stamp: Stamp,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    Awaited,
    Lost,
    Here(Packet),
}

/// The frames of one line.
#[derive(Debug, Default)]
pub(crate) struct Playout {
    /// Index of the front of `buffer`.
    next: u64,
    buffer: VecDeque<Place>,
    began: Option<Duration>,
    /// A complete frame has come.
    playing: bool,
    /// Something is lost; only a keyframe helps.
    broken: bool,
    /// Nothing was lost since the last frame.
    contiguous: bool,
    last: Option<Played>,
    /// Frames are to be counted from those sent after this on: a pause that is not the path's
    /// fault.
    interrupted: Option<Duration>,
    shown: Option<Duration>,
    quickest: Option<Duration>,
}

/// The last frame that came complete.
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
    }

    /// The encoding that was last played.
    pub(crate) fn stamp(&self) -> Option<Stamp> {
        self.last.map(|last| last.stamp)
    }

    pub(crate) fn insert(
        &mut self,
        now: Duration,
        index: u64,
        packet: Packet,
        quality: &mut Quality,
    ) {
        if self.began.is_none() {
            self.began = Some(now);
            self.next = index;
            quality.undecodable_starts += u64::from(!packet.stamp.keyframe);
        }
        if index < self.next && !self.playing {
            for _ in index..self.next {
                self.buffer.push_front(Place::Awaited);
            }
            self.next = index;
        }
        self.set(index, Place::Here(packet));
        self.advance(now, quality);
    }

    /// A packet will never come.
    pub(crate) fn lose(&mut self, now: Duration, index: u64, quality: &mut Quality) {
        self.set(index, Place::Lost);
        self.advance(now, quality);
    }

    fn set(&mut self, index: u64, place: Place) {
        let Some(at) = index.checked_sub(self.next) else { return };
        let at = usize::try_from(at).expect("indices are within 2^16 of each other");
        if self.buffer.len() <= at {
            self.buffer.resize(at + 1, Place::Awaited);
        }
        self.buffer[at] = place;
    }

    fn advance(&mut self, now: Duration, quality: &mut Quality) {
        while let Some(&front) = self.buffer.front() {
            match front {
                Place::Awaited => return,
                Place::Lost => self.skip(1),
                Place::Here(packet) if !packet.start => {
                    if !self.playing && self.began.is_some_and(|began| now - began < START_WAIT) {
                        return;
                    }
                    if self.playing && self.contiguous {
                        quality.violation(Violation::FrameStart { index: self.next });
                    }
                    self.skip(1);
                }
                Place::Here(first) => match self.frame_length(&first) {
                    Length::Unknown => return,
                    Length::Broken(packets) => self.skip(packets),
                    Length::Misshaped(packets) => {
                        quality.violation(Violation::FrameEnd { index: self.next });
                        self.skip(packets);
                    }
                    Length::Complete(packets) => {
                        self.judge(now, &first, packets, quality);
                        self.buffer.drain(..packets);
                        self.next += packets as u64;
                    }
                },
            }
        }
    }

    fn skip(&mut self, packets: usize) {
        self.buffer.drain(..packets);
        self.next += packets as u64;
        self.contiguous = false;
        self.broken = true;
    }

    /// How many packets belong to the frame that begins at the front.
    fn frame_length(&self, first: &Packet) -> Length {
        for (at, place) in self.buffer.iter().enumerate() {
            match place {
                Place::Awaited => return Length::Unknown,
                Place::Lost => return Length::Broken(at + 1),
                Place::Here(packet) => {
                    let other = packet.timestamp != first.timestamp || (at > 0 && packet.start);
                    if other {
                        return Length::Misshaped(at);
                    }
                    if packet.marker {
                        return Length::Complete(at + 1);
                    }
                }
            }
        }
        Length::Unknown
    }

    fn judge(&mut self, now: Duration, first: &Packet, packets: usize, quality: &mut Quality) {
        let stamp = first.stamp;
        if packets != usize::from(stamp.parts) {
            quality.violation(Violation::FrameEnd { index: self.next });
        }
        quality.frames += 1;
        quality.keyframes += u64::from(stamp.keyframe);
        if let Some(last) = self.last {
            self.compare(now, last, first, quality);
        }
        // What was under way when the pause began does not end it.
        let resumed = self.interrupted.is_none_or(|since| stamp.sent >= since);
        self.broken &= !stamp.keyframe;
        if self.broken || (!self.playing && !stamp.keyframe) {
            self.broken = true;
            quality.frames_undecodable += 1;
        } else {
            let before = self.shown.take();
            if let Some(shown) = before {
                note_gap(now - shown, quality);
            }
            self.shown = resumed.then_some(now);
            self.playing = true;
        }
        self.time(now - stamp.sent, quality);
        self.last = Some(Played { stamp, timestamp: first.timestamp, at: now });
        self.contiguous = true;
        if resumed {
            self.interrupted = None;
        }
    }

    fn compare(&self, now: Duration, last: Played, first: &Packet, quality: &mut Quality) {
        let index = self.next;
        let stamp = first.stamp;
        let ticks = first.timestamp.wrapping_sub(last.timestamp).cast_signed();
        let (same_source, same_encoding) =
            (stamp.source == last.stamp.source, stamp.encoding == last.stamp.encoding);
        if ticks <= 0 {
            quality.violation(Violation::TimestampBack { index, ticks });
        }
        let elapsed =
            if same_source { stamp.sent.saturating_sub(last.stamp.sent) } else { now - last.at };
        let elapsed_ms = i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX);
        let off = (i64::from(ticks) / VIDEO_TICKS_PER_MS - elapsed_ms).unsigned_abs();
        if ticks > 0 && u128::from(off) > TIMESTAMP_TOLERANCE.as_millis() {
            quality.violation(Violation::TimestampJump { index, ticks });
        }
        if !(same_source && same_encoding) && self.contiguous && !stamp.keyframe {
            quality.violation(Violation::Switch { index });
        }
        // A change of encoding may show one frame twice.
        let again = !same_encoding && stamp.frame == last.stamp.frame;
        if same_source && !again && self.interrupted.is_none() {
            match stamp.frame.checked_sub(last.stamp.frame + 1) {
                Some(missed) => quality.frames_missed += u64::from(missed),
                None => quality.violation(Violation::FrameOrder { index }),
            }
        }
    }

    fn time(&mut self, delay: Duration, quality: &mut Quality) {
        let quickest = self.quickest.map_or(delay, |quickest| quickest.min(delay));
        self.quickest = Some(quickest);
        quality.frames_late += u64::from(delay > quickest + JITTER_BUFFER);
        quality.longest_delay = quality.longest_delay.max(delay);
    }

    /// The gap that is open at `now`, if frames were shown at all.
    pub(crate) fn open_gap(&self, now: Duration) -> Option<Duration> {
        self.shown.map(|shown| now - shown)
    }
}

/// Counts a time without a frame to show.
pub(crate) fn note_gap(gap: Duration, quality: &mut Quality) {
    quality.freezes_200 += u64::from(gap > Duration::from_millis(200));
    quality.freezes_500 += u64::from(gap > Duration::from_millis(500));
    quality.longest_gap = quality.longest_gap.max(gap);
}

/// What is known of the frame at the front.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    Unknown,
    Complete(usize),
    /// Its first so many packets are of no use.
    Broken(usize),
    /// Another frame begins before it has ended.
    Misshaped(usize),
}
