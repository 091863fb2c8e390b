//! When to try for more, and how much more. A server that forwards layers sends in steps and is
//! nearly always application-limited, so that probes are its main way up.

use std::time::{Duration, Instant};

use arrayvec::ArrayVec;

use super::probe::Probed;
use super::send_side::{Probe, ProbeId};
use crate::decision::ProbeReason;

/// How long a probe lasts, and of how many packets it is at least.
const DURATION: Duration = Duration::from_millis(15);
const PACKETS_MIN: u8 = 5;
/// Where packets' delays differ, it lasts this many times as long as they do, for the ends not to
/// blur what is between them; at most so long.
const DURATION_JITTERS: u32 = 8;
const DURATION_MAX: Duration = Duration::from_millis(60);
/// From the end of one probe to the start of the next.
const SPACING: Duration = Duration::from_millis(5);
/// What the first two probes ask for, in starting rates, …
const START: [f64; 2] = [3.0, 6.0];
/// … and what follows a probe that got through.
const FURTHER: f64 = 2.0;
/// A probe that got this much of what it asked for got through.
const THROUGH: f64 = 0.7;
/// What new demand is probed for.
const DEMAND: [f64; 2] = [1.0, 2.0];
/// No probe asks for more than this much of the estimate, unless it is one of the first, …
const AHEAD_MAX: f64 = 2.0;
/// … nor for less than this, which is still no more than the few packets that make a probe: what has
/// fallen to nearly nothing would never find its way back in doublings.
const LEAST_BPS: f64 = 500_000.0;
/// … and while loss has just been overcome, than this.
const AHEAD_MAX_RECOVERING: f64 = 1.5;
/// Nor for more than this much of what is wanted.
const WANTED_MAX: f64 = 2.0;
/// Demand that has grown by this much is new.
const NEW_DEMAND: f64 = 1.1;
/// Time between probes for demand that is not met, growing with those that find nothing.
const UNMET_INTERVAL_MIN: Duration = Duration::from_millis(1500);
const UNMET_INTERVAL_MAX: Duration = Duration::from_secs(3);
/// … but no more than this while next to nothing is granted, as when the only video is paused:
/// everybody waits for it, and nothing flows that a probe could delay.
const MISSED_INTERVAL: Duration = Duration::from_millis(600);
const IDLE_SHARE: u64 = 8;
/// A probe that a busy receiver has disturbed is tried again after this, so often.
const RETRY_INTERVAL: Duration = Duration::from_millis(400);
const RETRIES_MAX: u8 = 3;
/// A probe that shows less than this of the estimate more has found nothing.
const FOUND: f64 = 1.1;
/// Time between probes while little is sent.
const IDLE_INTERVAL: Duration = Duration::from_secs(5);
/// A fall to this share of what was, within this time, asks whether it was for good, …
const DROP: f64 = 0.66;
const DROP_WINDOW: Duration = Duration::from_secs(5);
/// … by a probe for this much of the old rate, not more often than this.
const RECOVERY: f64 = 0.85;
const RECOVERY_INTERVAL: Duration = Duration::from_secs(5);
/// … and for no more than this much of the present one: on a path that really became slow, more
/// would freeze what still flows.
const RECOVERY_AHEAD: f64 = 3.0;
/// Unmet for so long with an estimate that stays within a band: nothing else will move it.
const STAGNANT: Duration = Duration::from_secs(15);
const STAGNANT_BAND: f64 = 0.05;
/// A probe that has not come back by now is not waited for.
const ANSWER_MAX: Duration = Duration::from_secs(1);

/// What the estimator thinks of probing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// Nothing speaks against it.
    Free,
    /// Loss has just been overcome: gently.
    Recovering,
    /// Queues grow or packets are lost: not now.
    Congested,
}

/// Decides on probes.
#[derive(Debug)]
pub struct Prober {
    start_bps: u64,
    max_bps: u64,
    estimate_bps: u64,
    wanted_bps: u64,
    allocated_bps: u64,
    mood: Mood,
    is_application_limited: bool,
    started: bool,
    planned: ArrayVec<(u64, ProbeReason), 2>,
    next_id: u32,
    issued: Option<Instant>,
    /// When the next may follow.
    free: Option<Instant>,
    /// The probes that are out: until when they are waited for.
    awaited: Option<Instant>,
    interval: Duration,
    /// Probes in a row that were disturbed and are to be tried again.
    retries: u8,
    /// The rate before it fell, and when.
    dropped: Option<(u64, Instant)>,
    recovered: Option<Instant>,
    /// The highest estimate of late, for seeing it fall.
    peak: Option<(u64, Instant)>,
    /// Since when the estimate is where it is.
    still: Option<(u64, Instant)>,
}

impl Prober {
    /// Nothing is tried before there is something to send.
    #[must_use]
    pub fn new(start_bps: u64, max_bps: u64) -> Self {
        Self {
            start_bps,
            max_bps,
            estimate_bps: start_bps,
            wanted_bps: 0,
            allocated_bps: start_bps,
            mood: Mood::Free,
            is_application_limited: false,
            started: false,
            planned: ArrayVec::new(),
            next_id: 0,
            issued: None,
            free: None,
            awaited: None,
            interval: UNMET_INTERVAL_MIN,
            retries: 0,
            dropped: None,
            recovered: None,
            peak: None,
            still: None,
        }
    }

    /// There is something to send.
    pub fn start(&mut self) {
        if self.started {
            return;
        }
        self.started = true;
        for scale in START {
            self.plan(self.start_bps as f64 * scale, f64::INFINITY, ProbeReason::Start);
        }
    }

    /// What is granted, bit/s.
    pub fn set_allocated(&mut self, bps: u64) {
        self.allocated_bps = bps;
    }

    /// What is wanted, bit/s; more than before is tried for at once.
    pub fn set_wanted(&mut self, bps: u64) {
        let is_new = bps as f64 > NEW_DEMAND * self.wanted_bps as f64;
        self.wanted_bps = bps;
        if is_new && self.started && self.is_unmet() && self.mood != Mood::Congested {
            self.planned.clear();
            self.interval = UNMET_INTERVAL_MIN;
            for scale in DEMAND {
                self.plan(bps as f64 * scale, AHEAD_MAX, ProbeReason::Demand);
            }
        }
    }

    /// Packets take another path: is it as good?
    pub fn on_route_change(&mut self, old_bps: u64, new_bps: u64) {
        self.planned.clear();
        (self.awaited, self.dropped, self.peak, self.still) = (None, None, None, None);
        (self.mood, self.estimate_bps) = (Mood::Free, new_bps);
        if self.started {
            self.plan(old_bps as f64, f64::INFINITY, ProbeReason::Route);
            self.plan(old_bps as f64 * FURTHER, f64::INFINITY, ProbeReason::Route);
        }
    }

    /// What is thought of the path now.
    pub fn on_estimate(&mut self, now: Instant, bps: u64, mood: Mood, application_limited: bool) {
        (self.estimate_bps, self.mood) = (bps, mood);
        self.is_application_limited = application_limited;
        if mood == Mood::Congested {
            self.planned.clear();
        }
        match self.peak {
            Some((peak, at)) if peak > bps && now.saturating_duration_since(at) < DROP_WINDOW => {
                if bps as f64 <= DROP * peak as f64 {
                    self.dropped = Some((peak, now));
                    self.peak = Some((bps, now));
                }
            }
            _ => self.peak = Some((bps, now)),
        }
        let is_still =
            |still: u64| (bps as f64 - still as f64).abs() <= STAGNANT_BAND * still as f64;
        if !self.still.is_some_and(|(still, _)| is_still(still)) {
            self.still = Some((bps, now));
        }
    }

    /// A probe has come back, and the estimate with it.
    pub fn on_probed(&mut self, probed: &Probed) {
        self.awaited = None;
        if probed.was_disturbed && self.retries < RETRIES_MAX {
            self.retries += 1;
            return;
        }
        self.retries = 0;
        let asked = probed.probe.bitrate_bps as f64;
        let shown = probed.bitrate_bps.unwrap_or(0) as f64;
        if shown < FOUND * self.estimate_bps as f64
            && !matches!(probed.probe.why, ProbeReason::Start)
        {
            self.interval = (self.interval * 3 / 2).min(UNMET_INTERVAL_MAX);
            return;
        }
        self.interval = UNMET_INTERVAL_MIN;
        let is_wanted = self.wanted_bps == 0 || self.is_unmet();
        if shown >= THROUGH * asked && is_wanted && self.planned.is_empty() {
            self.plan(shown * FURTHER, f64::INFINITY, probed.probe.why);
        }
    }

    /// Plans what became due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.awaited.is_some_and(|until| until <= now) {
            self.awaited = None;
        }
        if !self.started || self.mood == Mood::Congested || !self.planned.is_empty() {
            return;
        }
        if self.awaited.is_some() {
            return;
        }
        self.try_recovery(now);
        let Some((why, due)) = self.next_try() else { return };
        if self.planned.is_empty() && due.is_none_or(|due| due <= now) {
            let ahead = if self.mood == Mood::Free { AHEAD_MAX } else { AHEAD_MAX_RECOVERING };
            let stagnant = self.still.is_some_and(|(_, since)| now >= since + STAGNANT);
            let why =
                if stagnant && why == ProbeReason::Demand { ProbeReason::Stagnation } else { why };
            self.plan(self.wanted_bps as f64 * WANTED_MAX, ahead, why);
        }
    }

    /// The next probe, if it is its time.
    pub fn poll(&mut self, now: Instant, jitter: Duration) -> Option<Probe> {
        if self.planned.is_empty() || self.free.is_some_and(|at| now < at) {
            return None;
        }
        let (bitrate_bps, why) = self.planned.remove(0);
        let id = ProbeId(self.next_id);
        self.next_id = self.next_id.wrapping_add(1);
        self.issued = Some(now);
        self.awaited = Some(now + ANSWER_MAX);
        let duration = (DURATION_JITTERS * jitter).clamp(DURATION, DURATION_MAX);
        self.free = Some(now + duration + SPACING);
        Some(Probe { id, bitrate_bps, duration, packets_min: PACKETS_MIN, why })
    }

    /// When [`Self::handle_timeout`] and [`Self::poll`] have something to do.
    #[must_use]
    pub fn next_timeout(&self, now: Instant) -> Option<Instant> {
        if !self.started || self.mood == Mood::Congested {
            return None;
        }
        if !self.planned.is_empty() {
            return Some(self.free.unwrap_or(now));
        }
        if self.awaited.is_some() {
            return self.awaited;
        }
        let (_, due) = self.next_try()?;
        Some(due.unwrap_or(now))
    }

    /// What would be tried next without anything new, and from when on.
    fn next_try(&self) -> Option<(ProbeReason, Option<Instant>)> {
        if self.is_unmet() {
            let interval = match self.retries {
                0 if self.is_idle() => self.interval.min(MISSED_INTERVAL),
                0 => self.interval,
                _ => RETRY_INTERVAL,
            };
            Some((ProbeReason::Demand, self.issued.map(|at| at + interval)))
        } else if self.is_application_limited
            && (self.estimate_bps as f64) < self.wanted_bps as f64 * WANTED_MAX
            && self.estimate_bps < self.max_bps
        {
            Some((ProbeReason::Idle, self.issued.map(|at| at + IDLE_INTERVAL)))
        } else {
            None
        }
    }

    fn try_recovery(&mut self, now: Instant) {
        let Some((before, at)) = self.dropped else { return };
        if now.saturating_duration_since(at) > DROP_WINDOW {
            self.dropped = None;
        } else if self.recovered.is_none_or(|last| now >= last + RECOVERY_INTERVAL) {
            self.dropped = None;
            self.recovered = Some(now);
            self.plan(before as f64 * RECOVERY, RECOVERY_AHEAD, ProbeReason::Recovery);
        }
    }

    /// Whether only a small part of the estimate is granted.
    fn is_idle(&self) -> bool {
        self.allocated_bps.saturating_mul(IDLE_SHARE) < self.estimate_bps
    }

    fn is_unmet(&self) -> bool {
        self.wanted_bps > self.estimate_bps && self.estimate_bps < self.max_bps
    }

    /// Plans a probe within all bounds, unless it would show nothing new.
    fn plan(&mut self, bps: f64, ahead: f64, why: ProbeReason) {
        let estimate = self.estimate_bps as f64;
        let wanted = match self.wanted_bps {
            0 => f64::INFINITY,
            bps => bps as f64 * WANTED_MAX,
        };
        let ahead = (estimate * ahead).max(LEAST_BPS);
        let bps = bps.max(LEAST_BPS).min(ahead).min(wanted).min(self.max_bps as f64) as u64;
        let is_new = self.planned.last().is_none_or(|&(planned, _)| bps > planned);
        if bps as f64 > estimate && is_new && !self.planned.is_full() {
            self.planned.push((bps, why));
        }
    }
}

#[cfg(test)]
mod tests;
