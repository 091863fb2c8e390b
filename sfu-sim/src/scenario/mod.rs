//! Whole calls as data: who comes when, behind which links, and what must be true in the end.

mod catalogue;
mod run;

use std::time::Duration;

pub use catalogue::catalogue;
pub use run::{Outcome, Row, run, table};

use crate::plan::Plan;

/// A call.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What it shows.
    pub about: &'static str,
    /// How long it lasts.
    pub lasts: Duration,
    /// Who takes part.
    pub parties: Vec<Party>,
    /// What must be true in the end.
    pub checks: Vec<Check>,
}

/// Participants who do the same.
#[derive(Clone, Debug)]
pub struct Party {
    /// What checks call them.
    pub name: &'static str,
    /// How many they are.
    pub count: usize,
    /// When they come.
    pub comes: Duration,
    /// When they leave, if before the end.
    pub leaves: Option<Duration>,
    /// What each of them does.
    pub plan: Plan,
}

impl Party {
    /// Participants who are there from beginning to end.
    #[must_use]
    pub fn new(name: &'static str, count: usize, plan: Plan) -> Self {
        Self { name, count, comes: Duration::ZERO, leaves: None, plan }
    }
}

/// What must be true of each participant of a party (its `who`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Check {
    /// The party.
    pub who: &'static str,
    /// What is measured.
    pub measure: Measure,
    /// What it is held against.
    pub bound: Bound,
}

/// A figure of one participant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Complete video frames, in per cent of those sent meanwhile.
    FramesComplete,
    /// Video frames later than a jitter buffer of 200 ms allows, in per cent.
    FramesLate,
    /// Audio packets that arrived, in per cent.
    AudioArrived,
    /// Longest time without a new video frame, in ms.
    LongestFreeze,
    /// Freezes of video of more than 500 ms.
    Freezes500,
    /// Video packets that never came.
    Lost,
    /// Things that no loss excuses.
    Violations,
    /// Complete video frames, over the time the participant was there, by second.
    FramesPerSecond,
    /// Keyframe requests that the participant's camera received, by second.
    KeyframeRequestsPerSecond,
    /// Packets asked for that came in time by themselves, in per cent of all packets.
    NeedlessRepairs,
}

/// What a figure is held against.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// It must not be less.
    AtLeast(f64),
    /// It must not be more.
    AtMost(f64),
}

impl Bound {
    /// Whether a figure keeps it.
    #[must_use]
    pub fn holds(self, figure: f64) -> bool {
        match self {
            Self::AtLeast(bound) => figure >= bound,
            Self::AtMost(bound) => figure <= bound,
        }
    }
}

/// A bound from below.
#[must_use]
pub const fn at_least(who: &'static str, measure: Measure, bound: f64) -> Check {
    Check { who, measure, bound: Bound::AtLeast(bound) }
}

/// A bound from above.
#[must_use]
pub const fn at_most(who: &'static str, measure: Measure, bound: f64) -> Check {
    Check { who, measure, bound: Bound::AtMost(bound) }
}
