//! What keeps a grant from flapping: a step down is taken at once, a step up must have fitted for a
//! while. Whoever went up and had to come down soon after waits longer the next time.

use std::time::Duration;

use super::Entry;

/// How long a step up must have fitted with its margin at every run, …
const HOLD: Duration = Duration::from_secs(2);
/// … and how long coming back from a pause must: a pause is worse than a blur.
const RESUME_HOLD: Duration = Duration::from_millis(750);
/// A step up that is taken back within this time was a mistake; after as much time it is forgiven.
const REGRET: Duration = Duration::from_secs(30);
/// Each mistake doubles the hold, this many times: 2 s to 16 s, …
const CAUTION_MAX: u8 = 3;
/// … and that of who comes back from a pause, 0.75 s to 24 s: who comes and goes disturbs more than
/// who stays away.
const RESUME_CAUTION_MAX: u8 = 5;
/// How long an excess is borne that may pass.
const PATIENCE: Duration = Duration::from_secs(1);

/// What a run remembers of one demand for the next. Times are ages of the engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    pub(crate) state: State,
    /// The subscriber has just asked for something else.
    pub(crate) hurry: bool,
    /// Since when more than the grant would have fitted.
    pub(crate) fits_since: Option<Duration>,
    /// Since when what is granted has been too much, and was borne.
    pub(crate) tight_since: Option<Duration>,
    /// The last step up.
    pub(crate) raised_at: Option<Duration>,
    /// The last mistake, or the last time that one was forgiven.
    pub(crate) erred_at: Option<Duration>,
    /// Mistakes that are not forgiven yet.
    pub(crate) caution: u8,
}

/// What all demands of a run have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mood {
    pub(super) now: Duration,
    /// The greatest caution of any: if one went up too early, the estimate is not steady, for all.
    pub(super) caution: u8,
    /// A probe has shown that all that fits passes.
    pub(super) probed: bool,
    /// The subscriber has asked for something else: who goes down does so for that.
    pub(super) asked: bool,
}

impl Mood {
    pub(super) fn new<'a>(now: Duration, all: impl Iterator<Item = &'a Memory> + Clone) -> Self {
        let caution = all.clone().map(|memory| memory.caution).max().unwrap_or(0);
        let asked = all.clone().any(|memory| memory.hurry);
        Self { now, caution: caution.min(CAUTION_MAX), probed: false, asked }
    }

    /// How long what `memory` is about must have fitted. A pause is the business of who is paused,
    /// whatever mistakes others have made.
    fn hold(&self, memory: &Memory) -> Duration {
        match memory.state {
            State::Paused => RESUME_HOLD * (1 << memory.caution.min(RESUME_CAUTION_MAX)),
            State::New | State::Served => HOLD * (1 << self.caution),
        }
    }
}

/// Where a demand stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum State {
    /// New, or back from being off, hidden or silent: it starts without waiting.
    #[default]
    New,
    /// It has a grant.
    Served,
    /// It has none for want of bandwidth.
    Paused,
}

impl Memory {
    /// To be called when the subscriber has changed its preference: what fits, with the margin, is
    /// granted in the next run without waiting.
    pub fn hurry(&mut self) {
        self.hurry = true;
    }

    pub(super) fn paused(&self) -> bool {
        self.state == State::Paused
    }

    /// Whether an excess may be borne at `now`.
    pub(super) fn patient(&self, now: Duration) -> bool {
        self.tight_since.is_none_or(|since| now.saturating_sub(since) < PATIENCE)
    }

    /// Whether it may have what fits, rather than stay as it is.
    pub(super) fn settled(&self, mood: &Mood) -> bool {
        let held =
            self.fits_since.is_some_and(|since| mood.now.saturating_sub(since) >= mood.hold(self));
        self.state == State::New || self.hurry || mood.probed || held
    }

    /// What to remember after a run. `tight`: all together have too much.
    pub(super) fn after(mut self, mood: &Mood, entry: &Entry, tight: bool) -> Self {
        if entry.ladder.len() == 0 {
            return Self::default();
        }
        let now = mood.now;
        self.hurry = false;
        if self.erred_at.is_some_and(|at| now.saturating_sub(at) >= REGRET) {
            self.caution = self.caution.saturating_sub(1);
            self.erred_at = (self.caution > 0).then_some(now);
        }
        if entry.level > entry.present {
            self.raised_at = Some(now);
            self.fits_since = None;
        } else if entry.level < entry.present {
            let soon = self.raised_at.is_some_and(|at| now.saturating_sub(at) < REGRET);
            if soon && !mood.asked {
                self.caution = match entry.level {
                    0 => (self.caution.max(mood.caution) + 1).min(RESUME_CAUTION_MAX),
                    _ => (mood.caution + 1).min(CAUTION_MAX).max(self.caution),
                };
                self.erred_at = Some(now);
            }
            self.raised_at = None;
            self.fits_since = None;
        }
        self.state = if entry.level == 0 { State::Paused } else { State::Served };
        self.fits_since = (entry.target > entry.level).then(|| self.fits_since.unwrap_or(now));
        self.tight_since = tight.then(|| self.tight_since.unwrap_or(now));
        self
    }

    /// When a run is due although nothing has changed.
    pub(super) fn due(&self, mood: &Mood) -> Option<Duration> {
        let fits = self.fits_since.map(|since| since + mood.hold(self));
        let tight = self.tight_since.map(|since| since + PATIENCE);
        match (fits, tight) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
        .map(|due| due.max(mood.now))
    }
}
