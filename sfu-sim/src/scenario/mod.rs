//! Whole calls as data: who comes when, behind which links, what they do meanwhile, and what must be
//! true in the end.

mod catalogue;
mod conference;
mod measure;
mod run;
mod series;
mod table;

use std::time::Duration;

use sfu_core::preference::Preference;
use sfu_core::transport::Security;

pub use catalogue::catalogue;
pub use measure::Measure;
pub use run::{Outcome, Row, run, run_all};
pub use series::{Sample, csv};
pub use table::table;

use crate::cross::Cross;
use crate::link::Rate;
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
    /// What they do beside sending and receiving.
    pub deeds: Vec<Deed>,
    /// Bottlenecks that links share, and what flows through them beside the call.
    pub shared: Vec<Shared>,
    /// What must be true in the end.
    pub checks: Vec<Check>,
    /// Whether the engine cannot pass it yet: it is run and shown, and fails nobody.
    pub pending: bool,
}

impl Scenario {
    /// A call of which nothing is asked yet.
    #[must_use]
    pub fn new(name: &'static str, about: &'static str, lasts: Duration) -> Self {
        Self {
            name,
            about,
            lasts,
            parties: Vec::new(),
            deeds: Vec::new(),
            shared: Vec::new(),
            checks: Vec::new(),
            pending: false,
        }
    }
}

/// A bottleneck that links share ([`LinkPlan::through`](crate::LinkPlan::through)).
#[derive(Clone, Debug, Default)]
pub struct Shared {
    /// Its rate from each of these times on, of which the first is zero.
    pub rates: Vec<(Duration, Rate)>,
    /// What flows beside the call, from when until when.
    pub cross: Vec<(Cross, Duration, Duration)>,
}

/// Participants who do the same.
#[derive(Clone, Debug)]
pub struct Party {
    /// What checks call them.
    pub name: &'static str,
    /// How many they are.
    pub count: usize,
    /// When the first of them comes.
    pub comes: Duration,
    /// How long after each other they come.
    pub apart: Duration,
    /// When they leave, if before the end.
    pub leaves: Option<Duration>,
    /// What each of them does.
    pub plan: Plan,
}

impl Party {
    /// Participants who are there from beginning to end.
    #[must_use]
    pub fn new(name: &'static str, count: usize, plan: Plan) -> Self {
        let (comes, apart) = (Duration::ZERO, Duration::ZERO);
        Self { name, count, comes, apart, leaves: None, plan }
    }

    /// The same coming later, one after the other.
    #[must_use]
    pub fn coming(self, comes: Duration, apart: Duration) -> Self {
        Self { comes, apart, ..self }
    }
}

/// Something the members of a party do.
#[derive(Clone, Debug)]
pub struct Deed {
    /// The party.
    pub who: &'static str,
    /// When first.
    pub from: Duration,
    /// How often again after that, at this distance.
    pub again: Option<(u32, Duration)>,
    /// What.
    pub what: What,
}

/// See [`Deed`].
#[derive(Clone, Debug)]
pub enum What {
    /// Wants this of every video of another party.
    Prefer(&'static str, Preference),
    /// Wants a quality drawn at random of every video of another party: off, low, medium or high.
    Shuffle(&'static str),
    /// Asks for keyframes of everything.
    Keyframes,
    /// Asks for the last so many packets of every video again, needed or not.
    Nacks(u16),
    /// Sends feedback that makes no sense, of all kinds.
    Nonsense,
}

/// What must be true of the participants of a party (its `who`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Check {
    /// The party.
    pub who: &'static str,
    /// What is measured.
    pub measure: Measure,
    /// Whose figure counts.
    pub of: Of,
    /// What it is held against.
    pub bound: Bound,
}

/// Whose figure of a party counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// The worst one's.
    Worst,
    /// That of the one who has so many per cent of the party on the better side.
    Percentile(u8),
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

    /// Puts the best figures first.
    pub(crate) fn sort(self, figures: &mut [f64]) {
        figures.sort_by(|a, b| match self {
            Self::AtLeast(_) => b.total_cmp(a),
            Self::AtMost(_) => a.total_cmp(b),
        });
    }
}

/// A bound from below, for everybody of a party.
#[must_use]
pub const fn at_least(who: &'static str, measure: Measure, bound: f64) -> Check {
    Check { who, measure, of: Of::Worst, bound: Bound::AtLeast(bound) }
}

/// A bound from above, for everybody of a party.
#[must_use]
pub const fn at_most(who: &'static str, measure: Measure, bound: f64) -> Check {
    Check { who, measure, of: Of::Worst, bound: Bound::AtMost(bound) }
}

/// A bound from above for so many per cent of a party.
#[must_use]
pub const fn percentile(per_cent: u8, who: &'static str, measure: Measure, bound: f64) -> Check {
    Check { who, measure, of: Of::Percentile(per_cent), bound: Bound::AtMost(bound) }
}

/// How a run is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Manner {
    /// The seed.
    pub seed: u64,
    /// Whether media is really encrypted.
    pub security: Security,
    /// Whether what happens is sampled over time.
    pub sampled: bool,
}

impl Manner {
    /// As fast as can be.
    #[must_use]
    pub fn plain(seed: u64) -> Self {
        Self { seed, security: Security::Plain, sampled: false }
    }
}
