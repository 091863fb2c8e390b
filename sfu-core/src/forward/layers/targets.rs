//! Layers by decode targets (RTP Payload Format For AV1, appendix A.4): whatever the codec and its
//! structure, the dependency descriptor says which frames a target needs and where one may switch.

use std::sync::Arc;

use super::{Choice, Packet, Want};
use crate::rtp::dependency_descriptor::{Frame, Indication, Structure};

/// What is remembered of a stream with a dependency descriptor.
#[derive(Clone, Debug)]
pub(super) struct Targets {
    structure: Arc<Structure>,
    /// The targets of which the subscriber has all that their next frames need.
    joined: u32,
    /// Those that the publisher sends.
    active: u32,
    sent: Window,
}

impl Targets {
    /// Begins with a keyframe, where every target can be joined.
    pub(super) fn begin(frame: &Frame, want: Want) -> (Self, u8) {
        let structure = Arc::clone(&frame.structure);
        let target = structure.target_for(want.0, want.1, or_all(frame.active, &structure));
        let joined = structure.all();
        let targets = Self { structure, joined, active: frame.active, sent: Window::default() };
        (targets, target.unwrap_or(0))
    }

    pub(super) fn choice(&self, target: u8) -> Choice {
        let (spatial, temporal) =
            self.structure.targets.get(usize::from(target)).copied().unwrap_or((0, 0));
        Choice { spatial, temporal, alone: false, target }
    }

    pub(super) fn choose(&mut self, packet: Packet<'_>, now: Choice, want: Want) -> Choice {
        let Some((number, frame)) = frame(packet) else { return now };
        if packet.info.keyframe_start && has_structure(packet) {
            let (targets, target) = Self::begin(frame, want);
            *self = targets;
            return self.choice(target);
        }
        self.active = frame.active;
        self.note_gap(number, now);
        let here = self.switched_by(number, frame);
        let among = (self.joined | here) & or_all(self.active, &self.structure);
        match self.structure.target_for(want.0, want.1, among) {
            Some(target) => self.choice(target),
            None => now,
        }
    }

    pub(super) fn wants(&mut self, packet: Packet<'_>, choice: Choice) -> bool {
        let Some((number, frame)) = frame(packet) else { return true };
        if let Some(sent) = self.sent.get(number) {
            return sent;
        }
        // The structure must arrive, even with a frame that the target does without.
        let wanted = frame.indications.is_present(choice.target) || has_structure(packet);
        if self.sent.is_new(number) {
            self.note_gap(number, choice);
            let here = if wanted { self.switched_by(number, frame) } else { 0 };
            for target in 0..self.structure.decode_targets {
                let needed = matches!(
                    frame.indications.of(target),
                    Indication::Switch | Indication::Required
                );
                if needed && !wanted {
                    self.joined &= !(1 << target);
                }
            }
            self.joined |= here;
        }
        self.sent.set(number, wanted);
        wanted
    }

    /// The targets that this frame opens, if it is forwarded: all it depends on was.
    fn switched_by(&self, number: u16, frame: &Frame) -> u32 {
        let sent = |back: u16| self.sent.get(number.wrapping_sub(back)) == Some(true);
        if !frame.references.iter().all(|&back| sent(back)) {
            return 0;
        }
        (0..self.structure.decode_targets)
            .filter(|&target| frame.indications.of(target) == Indication::Switch)
            .fold(0, |mask, target| mask | 1 << target)
    }

    /// Frames are missing. They may still come, and go on if they are part of what is forwarded;
    /// of targets beyond that, something may be lacking from now on.
    fn note_gap(&mut self, number: u16, now: Choice) {
        if self.sent.leaves_gap(number) {
            self.keep_only(now);
        }
    }

    /// Of targets beyond this one, something may be lacking from now on.
    pub(super) fn keep_only(&mut self, now: Choice) {
        self.joined &= self.structure.included.get(usize::from(now.target)).copied().unwrap_or(0);
    }

    pub(super) fn needs_keyframe(&self, now: Choice, want: Want) -> bool {
        let active = or_all(self.active, &self.structure);
        let goal = self.structure.target_for(want.0, want.1, active);
        goal.is_some_and(|goal| {
            self.joined >> goal & 1 == 0 && self.choice(goal).spatial != now.spatial
        })
    }
}

/// A publisher that says it sends nothing at all is taken to send everything.
fn or_all(active: u32, structure: &Structure) -> u32 {
    let active = active & structure.all();
    if active == 0 { structure.all() } else { active }
}

fn frame<'a>(packet: Packet<'a>) -> Option<(u16, &'a Frame)> {
    let dependency = packet.info.dependency.as_ref()?;
    Some((dependency.frame_number, dependency.frame.as_ref()?))
}

fn has_structure(packet: Packet<'_>) -> bool {
    packet.info.dependency.as_ref().is_some_and(|dependency| dependency.has_structure)
}

/// Which of the last frames were forwarded.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    newest: Option<u16>,
    /// Bit n is for the frame `newest - n`.
    known: u128,
    sent: u128,
}

impl Window {
    fn is_new(&self, number: u16) -> bool {
        self.newest.is_none_or(|newest| number.wrapping_sub(newest).cast_signed() > 0)
    }

    fn leaves_gap(&self, number: u16) -> bool {
        self.is_new(number) && self.newest.is_some_and(|newest| number != newest.wrapping_add(1))
    }

    fn bit(&self, number: u16) -> Option<u32> {
        let back = self.newest?.wrapping_sub(number);
        (back < 128).then_some(u32::from(back))
    }

    fn get(&self, number: u16) -> Option<bool> {
        let bit = self.bit(number)?;
        (self.known >> bit & 1 == 1).then_some(self.sent >> bit & 1 == 1)
    }

    fn set(&mut self, number: u16, sent: bool) {
        if self.is_new(number) {
            let by = self.newest.map_or(0, |newest| u32::from(number.wrapping_sub(newest)));
            self.known = self.known.checked_shl(by).unwrap_or(0);
            self.sent = self.sent.checked_shl(by).unwrap_or(0);
            self.newest = Some(number);
        }
        let Some(bit) = self.bit(number) else { return };
        self.known |= 1 << bit;
        self.sent |= u128::from(sent) << bit;
    }
}
