//! What a receiver found out about what it received.

use std::time::Duration;

/// Violations kept; more only count.
const VIOLATIONS_MAX: usize = 32;

/// The judgement on one receiving m-line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quality {
    /// Media packets, each counted once, whichever way it came.
    pub packets: u64,
    /// Of these, those that came as retransmissions.
    pub repaired: u64,
    /// Packets that were there already.
    pub duplicates: u64,
    /// Retransmissions of packets that were there already.
    pub needless_repairs: u64,
    /// Requests for packets, repetitions included.
    pub nacked: u64,
    /// Packets that never came.
    pub lost: u64,
    /// Frames of which every packet came.
    pub frames: u64,
    /// Frames between these, by the publisher's count, of which not every packet came.
    pub frames_missed: u64,
    /// Complete frames that cannot be decoded, for what they build on did not come.
    pub frames_undecodable: u64,
    /// Complete frames that came too late for a jitter buffer of 200 ms.
    pub frames_late: u64,
    /// Keyframes among the complete frames.
    pub keyframes: u64,
    /// Gaps of more than 200 ms between frames that could be shown.
    pub freezes_200: u64,
    /// Of these, gaps of more than 500 ms.
    pub freezes_500: u64,
    /// The longest time between two frames that could be shown.
    pub longest_gap: Duration,
    /// Changes of encoding or layer within a source.
    pub switches: u64,
    /// Keyframes asked for.
    pub plis: u64,
    /// Times the first packet of the line did not belong to a keyframe.
    pub undecodable_starts: u64,
    /// Longest time from sending to completion of a frame.
    pub longest_delay: Duration,
    /// Things that no loss excuses.
    pub violations: Vec<Violation>,
}

/// Something that no receiver should ever see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "fields are named by what they hold")]
pub enum Violation {
    /// The line began beyond rollover 0's first half: late receivers could not decrypt it.
    HighStart { sequence: u16 },
    /// A payload type that was not agreed for the m-line.
    PayloadType(u8),
    /// A packet without content.
    Empty { index: u64 },
    /// A payload that no publisher made.
    Content { index: u64 },
    /// Two different packets under one number.
    Conflict { index: u64 },
    /// The packet after a complete frame does not begin one.
    FrameStart { index: u64 },
    /// A frame that ends too early or too late.
    FrameEnd { index: u64 },
    /// A frame from before the last one.
    FrameOrder { index: u64 },
    /// A picture that cannot be decoded though nothing is missing.
    Switch { index: u64 },
    /// A frame that, by its own account, builds on other frames than it really does: a receiver
    /// would give the decoder what it cannot decode.
    Misclaimed { index: u64 },
    /// A payload or dependency descriptor that makes no sense in its place.
    Descriptor { index: u64 },
    /// Media of another participant than the m-line was said to carry.
    Foreign { source: u32 },
    /// A timestamp that does not advance.
    TimestampBack { index: u64, ticks: i32 },
    /// A timestamp that advances by more than time did.
    TimestampJump { index: u64, ticks: i32 },
    /// Media on an SSRC that belongs to no m-line.
    UnknownSsrc(u32),
}

impl Quality {
    pub(crate) fn violation(&mut self, violation: Violation) {
        if self.violations.len() < VIOLATIONS_MAX {
            self.violations.push(violation);
        }
    }

    /// Share of frames that came complete, 0.0 to 1.0; 0.0 if none came.
    #[must_use]
    pub fn completeness(&self) -> f64 {
        #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
        let share = self.frames as f64 / (self.frames + self.frames_missed).max(1) as f64;
        share
    }

    /// Adds another m-line's judgement.
    pub fn add(&mut self, other: &Self) {
        self.packets += other.packets;
        self.repaired += other.repaired;
        self.duplicates += other.duplicates;
        self.needless_repairs += other.needless_repairs;
        self.nacked += other.nacked;
        self.lost += other.lost;
        self.frames += other.frames;
        self.frames_missed += other.frames_missed;
        self.frames_undecodable += other.frames_undecodable;
        self.frames_late += other.frames_late;
        self.keyframes += other.keyframes;
        self.freezes_200 += other.freezes_200;
        self.freezes_500 += other.freezes_500;
        self.longest_gap = self.longest_gap.max(other.longest_gap);
        self.switches += other.switches;
        self.plis += other.plis;
        self.undecodable_starts += other.undecodable_starts;
        self.longest_delay = self.longest_delay.max(other.longest_delay);
        for &violation in &other.violations {
            self.violation(violation);
        }
    }
}
