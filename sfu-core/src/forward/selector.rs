//! Which layer of a track a subscription forwards: changed only where the codec allows it, so that
//! all that is forwarded can be decoded.

use std::time::Instant;

use arrayvec::ArrayVec;

use super::align::SILENT_AFTER;
use super::layer::{LayerId, Part};
use super::layers::{Choice, Layers, Packet, Want};
use super::munge::Edit;
use super::numbers::Numbers;
use crate::rtp::codec_view::{Detail, PayloadInfo};

/// A packet to be decided on.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// When it arrived.
    pub now: Instant,
    /// The encoding it is of.
    pub encoding: u8,
    /// The encoding's epoch: packets of different epochs belong to different sequences.
    pub epoch: u32,
    /// Extended sequence number.
    pub index: u64,
    /// A packet of the encoding with a higher number came before it.
    pub late: bool,
    /// RTP timestamp.
    pub timestamp: u32,
    /// What its payload says.
    pub info: &'a PayloadInfo,
}

/// What to do with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Forward it; the line goes on.
    Forward(Edit),
    /// Forward it as the first packet of a new source.
    Switch(Edit),
    /// It is of a layer that is not forwarded: its number is taken out of the line.
    Skip,
    /// As `Skip`, but it comes late, and its number was left open for it: send an empty packet
    /// ([`Edit::fill`]) in its place, or receivers ask for it again and again.
    Fill,
    /// Another encoding is being forwarded, or the keyframe has not come yet.
    Drop,
}

/// What a packet that was forwarded is still worth, should it be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worth {
    /// What is forwarded builds on it, or may.
    Needed,
    /// It is of a spatial layer that was left since. If it was sent, its picture is not complete
    /// without it, and receivers decode a picture with all its layers or not at all; if not, the
    /// picture can do without.
    Left,
    /// Nothing builds on it: it is of a layer that is not forwarded any more, and a keyframe came
    /// behind it.
    Spent,
}

/// The state of one subscription's selection.
#[derive(Clone, Debug, Default)]
pub struct Selector {
    target: Option<LayerId>,
    following: Option<Following>,
    /// Encoding and epoch of what was followed before.
    left: Option<(u8, u32)>,
    numbers: Numbers,
}

/// The encoding that is being forwarded.
#[derive(Clone, Debug)]
struct Following {
    encoding: u8,
    epoch: u32,
    /// Index of its first packet.
    first: u64,
    /// Index where its last keyframe began.
    keyframe: u64,
    /// Its highest index so far, and when that came.
    highest: u64,
    heard: Instant,
    /// Timestamp of the newest picture.
    picture: u32,
    /// The layers wanted of it.
    want: Want,
    layers: Layers,
    /// What is forwarded from which index on, for packets that come late; never empty.
    choices: ArrayVec<(u64, Choice), CHOICES_MAX>,
}

/// Changes remembered for late packets.
const CHOICES_MAX: usize = 16;

impl Selector {
    /// Sets the layer wanted, `None` for a pause. The present one goes on until the new one can be
    /// switched to; a pause begins with the next picture.
    pub fn aim(&mut self, target: Option<LayerId>) {
        self.target = target;
        if let (Some(target), Some(following)) = (target, &mut self.following)
            && target.encoding == following.encoding
        {
            following.want = (target.spatial, target.temporal);
        }
    }

    /// The layer wanted.
    #[must_use]
    pub fn target(&self) -> Option<LayerId> {
        self.target
    }

    /// The layer being forwarded, if any, as far as there are such layers.
    #[must_use]
    pub fn current(&self) -> Option<LayerId> {
        let following = self.following.as_ref()?;
        Some(following.layers.current(following.encoding, following.choice()))
    }

    /// Encoding and epoch of what was forwarded before the last switch or restart: the clock that
    /// the line's timestamps were of.
    #[must_use]
    pub fn left(&self) -> Option<(u8, u32)> {
        self.left
    }

    /// Whether a packet is of the encoding that is being forwarded.
    #[must_use]
    pub fn follows(&self, encoding: u8, epoch: u32) -> bool {
        self.following.as_ref().is_some_and(|f| f.encoding == encoding && f.epoch == epoch)
    }

    /// What a packet that was forwarded earlier is worth now.
    #[must_use]
    pub fn worth(&self, encoding: u8, epoch: u32, index: u64, part: Part) -> Worth {
        // Before a pause all was shown.
        let Some(following) = &self.following else { return Worth::Needed };
        if !self.follows(encoding, epoch) {
            return Worth::Spent;
        }
        let choice = following.choice();
        match part {
            part if part.spatial() > choice.spatial && index >= following.keyframe => Worth::Left,
            part if part.spatial() > choice.spatial => Worth::Spent,
            _ => Worth::Needed,
        }
    }

    /// Packets of layers above those that are forwarded now were not sent after all.
    pub fn take_back(&mut self) {
        if let Some(following) = &mut self.following {
            let now = following.choice();
            following.layers.take_back(now);
        }
    }

    /// Forgets what is being forwarded: what comes next starts anew.
    pub fn restart(&mut self) {
        if let Some(following) = self.following.take() {
            self.left = Some((following.encoding, following.epoch));
        }
    }

    /// The encoding whose keyframe is needed to get where this wants to be, if any.
    #[must_use]
    pub fn waits_for_keyframe(&self) -> Option<u8> {
        let target = self.target?;
        let there = self.following.as_ref().is_some_and(|following| {
            following.encoding == target.encoding
                && !following.layers.needs_keyframe(following.choice(), following.want)
        });
        (!there).then_some(target.encoding)
    }

    /// Decides on a packet.
    pub fn decide(&mut self, packet: &Candidate<'_>) -> Verdict {
        if self.follows(packet.encoding, packet.epoch) {
            return self.go_on(packet);
        }
        if self.following.as_ref().is_some_and(|f| f.encoding == packet.encoding) {
            // It has begun again.
            self.restart();
        }
        if self.may_begin(packet) { self.switch(packet) } else { Verdict::Drop }
    }

    /// Whether to leave what is being forwarded for this packet's encoding.
    fn may_begin(&self, packet: &Candidate<'_>) -> bool {
        let Some(target) = self.target else { return false };
        let start = packet.info.keyframe_start || packet.info.detail == Detail::Audio;
        // Behind a late one there are packets that have been let go.
        if !start || packet.late {
            return false;
        }
        let silent = |following: &Following| {
            packet.now.saturating_duration_since(following.heard) >= SILENT_AFTER
        };
        packet.encoding == target.encoding || self.following.as_ref().is_none_or(silent)
    }

    fn switch(&mut self, candidate: &Candidate<'_>) -> Verdict {
        self.restart();
        let target = self.target.unwrap_or_default();
        let want = (target.spatial, target.temporal);
        let packet = Packet { index: candidate.index, in_order: true, info: candidate.info };
        let (layers, choice) = Layers::begin(packet, want);
        let mut following = Following {
            encoding: candidate.encoding,
            epoch: candidate.epoch,
            first: candidate.index,
            keyframe: candidate.index,
            highest: candidate.index,
            heard: candidate.now,
            picture: candidate.timestamp,
            want,
            layers,
            choices: ArrayVec::from_iter([(candidate.index, choice)]),
        };
        self.numbers.begin(candidate.info);
        following.layers.close_gaps(packet, choice, &mut self.numbers);
        following.layers.wants(packet, choice);
        let edit = edit(&mut following.layers, &mut self.numbers, packet, choice);
        self.following = Some(following);
        Verdict::Switch(edit.unwrap_or_default())
    }

    /// Decides on a packet of the encoding that is being forwarded.
    fn go_on(&mut self, candidate: &Candidate<'_>) -> Verdict {
        let paused = self.target.is_none();
        let Some(following) = &mut self.following else { return Verdict::Drop };
        let in_order = candidate.index > following.highest;
        let packet = Packet { index: candidate.index, in_order, info: candidate.info };
        if in_order {
            // Where something is missing before a higher layer, the picture has begun already.
            let first = candidate.info.spatial.is_none_or(|spatial| spatial == 0)
                || candidate.index == following.highest + 1;
            let new_picture = candidate.timestamp != following.picture && first;
            if new_picture && candidate.info.frame_start {
                if paused {
                    self.restart();
                    return Verdict::Drop;
                }
                following.begin_picture(packet, &mut self.numbers);
            }
            following.picture = candidate.timestamp;
            following.highest = candidate.index;
            following.heard = candidate.now;
        }
        let Some(choice) = following.choice_at(candidate.index) else { return Verdict::Drop };
        let left_out = if in_order { Verdict::Skip } else { Verdict::Fill };
        if !following.layers.wants(packet, choice) {
            if following.layers.closes_ranks() {
                self.numbers.skip_picture(candidate.info);
            }
            return left_out;
        }
        match edit(&mut following.layers, &mut self.numbers, packet, choice) {
            Some(edit) => Verdict::Forward(edit),
            None => {
                following.layers.lost(candidate.info);
                left_out
            }
        }
    }
}

impl Following {
    /// What is forwarded of it now.
    fn choice(&self) -> Choice {
        self.choices.last().map(|&(_, choice)| choice).unwrap_or_default()
    }

    /// What is forwarded of it around an index; `None` if that is no longer, or was not yet, known.
    fn choice_at(&self, index: u64) -> Option<Choice> {
        if index < self.first {
            return None;
        }
        self.choices.iter().rfind(|&&(from, _)| from <= index).map(|&(_, choice)| choice)
    }

    /// The first packet of a picture has come, in order: layers may change here.
    fn begin_picture(&mut self, packet: Packet<'_>, numbers: &mut Numbers) {
        if packet.info.keyframe_start {
            self.keyframe = packet.index;
            numbers.keyframe(packet.info);
        }
        let now = self.choice();
        self.layers.close_gaps(packet, now, numbers);
        let choice = self.layers.choose(packet, now, self.want);
        if choice != now {
            if self.choices.is_full() {
                self.choices.remove(0);
            }
            self.choices.push((packet.index, choice));
        }
    }
}

/// The edit of a packet that is forwarded; `None` if its picture's number was given away.
fn edit(
    layers: &mut Layers,
    numbers: &mut Numbers,
    packet: Packet<'_>,
    choice: Choice,
) -> Option<Edit> {
    let mut edit = numbers.edit(packet.info)?;
    edit.end_of_picture = layers.ends_picture(packet.info, choice);
    edit.mask = layers.mask(packet, choice);
    Some(edit)
}

#[cfg(test)]
mod tests;
