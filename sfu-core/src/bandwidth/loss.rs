//! The rate that loss allows. Loss that stays the same whatever the rate is the path's nature and
//! is borne; loss that moves with the rate is a limit. Where the two cannot be told apart, the rate
//! is lowered a little for a moment to see (the idea of libwebrtc's second loss-based estimator,
//! with an experiment in place of a bias).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Shortest time and fewest packets of one observation.
const BIN_TIME: Duration = Duration::from_millis(250);
const BIN_PACKETS: u32 = 12;
/// An observation that takes longer than this counts with what it has.
const BIN_TIME_MAX: Duration = Duration::from_secs(2);
/// Observations that are remembered.
const BINS: usize = 20;
/// What an observation counts beside the next one.
const AGEING: f64 = 0.9;
/// Loss this much above what is known of the path is looked into …
const EXCESS_MIN: f64 = 0.03;
/// … if it is so many standard deviations too.
const EXCESS_DEVIATIONS: f64 = 2.0;
/// The rate of an experiment.
const TEST: f64 = 0.85;
/// Observations that an experiment takes.
const TEST_BINS: u32 = 3;
/// Rates this close together show nothing.
const SPREAD_MIN: f64 = 1.1;
/// How much more likely (as a logarithm) an explanation must be. Loss comes in bursts, which makes
/// the numbers sound surer than they are.
const EVIDENCE: f64 = 3.0;
/// A queue this long is reason enough for loss.
const QUEUE_FULL: Duration = Duration::from_millis(60);
/// What is kept of the capacity found.
const BACKOFF: f64 = 0.95;
/// Growth of the limit with each observation that shows no more loss than the path has.
const GROWTH: f64 = 1.02;
/// A limit this far above the rate in use is none.
const RELEASE: f64 = 1.2;
/// Most loss that is taken for a path's nature: beyond, nobody can watch anything anyway.
const INHERENT_MAX: f64 = 0.35;

/// What is thought of loss.
#[derive(Debug, Default)]
pub struct LossModel {
    bins: VecDeque<Bin>,
    filling: Option<Filling>,
    inherent: f64,
    state: State,
}

/// One observation.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Bin {
    bps: f64,
    packets: f64,
    lost: f64,
}

#[derive(Clone, Copy, Debug)]
struct Filling {
    first: Instant,
    last: Instant,
    bytes: u64,
    packets: u32,
    lost: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum State {
    #[default]
    Free,
    /// The rate is lowered to see whether loss follows.
    Test { bps: f64, bins_left: u32 },
    /// The path loses more beyond this.
    Limited { bps: f64, grows: bool },
}

/// What explains the observations.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Verdict {
    /// This share is lost whatever the rate.
    Random(f64),
    /// What is beyond this rate is lost.
    Limit(f64),
    Unclear,
}

/// What else is known when an observation is complete.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings {
    /// How long packets wait.
    pub queue: Duration,
    /// What arrives, bit/s.
    pub acked_bps: Option<u64>,
    /// The rate that delay allows, bit/s.
    pub delay_bps: u64,
}

impl LossModel {
    /// Takes a packet that has arrived or not.
    pub fn on_packet(&mut self, departure: Instant, bytes: usize, arrived: bool) {
        let filling = self.filling.get_or_insert(Filling {
            first: departure,
            last: departure,
            bytes: 0,
            packets: 0,
            lost: 0,
        });
        filling.last = filling.last.max(departure);
        filling.bytes += bytes as u64;
        filling.packets += 1;
        filling.lost += u32::from(!arrived);
    }

    /// A packet that had been taken for lost arrived after all; it is told again as arrived.
    pub fn take_back(&mut self, bytes: usize) {
        if let Some(filling) = &mut self.filling {
            filling.bytes = filling.bytes.saturating_sub(bytes as u64);
            filling.packets = filling.packets.saturating_sub(1);
            filling.lost = filling.lost.saturating_sub(1);
        } else if let Some(bin) = self.bins.back_mut() {
            bin.packets = (bin.packets - 1.0).max(0.0);
            bin.lost = (bin.lost - 1.0).max(0.0);
        }
    }

    /// Looks at what came together, once it is enough.
    pub fn update(&mut self, around: &Surroundings) {
        let Some(bin) = self.filling.and_then(|filling| filling.complete()) else { return };
        self.filling = None;
        if self.bins.len() == BINS {
            self.bins.pop_front();
        }
        self.bins.push_back(bin);
        self.judge(around);
    }

    /// What the rate must not exceed, bit/s, if there is such a limit.
    #[must_use]
    pub fn limit_bps(&self) -> Option<u64> {
        match self.state {
            State::Free => None,
            State::Test { bps, .. } | State::Limited { bps, .. } => Some(bps as u64),
        }
    }

    /// Whether loss holds the rate down now, rather than letting it go up again.
    #[must_use]
    pub fn is_decreasing(&self) -> bool {
        matches!(self.state, State::Test { .. } | State::Limited { grows: false, .. })
    }

    /// Share of packets that the path loses whatever the rate, 0 to 1.
    #[must_use]
    pub fn inherent(&self) -> f64 {
        self.inherent
    }

    /// Share of packets lost of late, 0 to 1.
    #[must_use]
    pub fn recent(&self) -> f64 {
        let (packets, lost) = self.last(4);
        if packets > 0.0 { lost / packets } else { 0.0 }
    }

    /// A probe has got through at this rate.
    pub fn on_probe(&mut self, bps: u64) {
        if let State::Limited { bps: limit, .. } = &mut self.state {
            *limit = limit.max(bps as f64);
        }
    }

    /// What was seen so far says nothing of what comes: other traffic, or another path.
    pub fn forget_observations(&mut self) {
        self.bins.clear();
        self.filling = None;
        if matches!(self.state, State::Test { .. }) {
            self.state = State::Free;
        }
    }

    fn judge(&mut self, around: &Surroundings) {
        let excess = self.has_excess();
        if let State::Test { bps, bins_left } = self.state {
            if bins_left > 1 {
                self.state = State::Test { bps, bins_left: bins_left - 1 };
                return;
            }
            let verdict = self.explain();
            self.conclude(verdict, true, around);
        } else if excess && around.queue >= QUEUE_FULL {
            // Packets drop off the end of a full queue, which a trend does not see.
            let carried = around.acked_bps.unwrap_or(around.delay_bps) as f64;
            self.limit(carried * BACKOFF);
        } else if excess {
            let verdict = self.explain();
            self.conclude(verdict, false, around);
        } else {
            self.settle(around);
        }
    }

    fn conclude(&mut self, verdict: Verdict, was_tested: bool, around: &Surroundings) {
        let (packets, lost) = self.last(BINS);
        match verdict {
            Verdict::Limit(bps) => self.limit(bps * BACKOFF),
            Verdict::Random(share) => self.bear(share),
            Verdict::Unclear if was_tested => self.bear(lost / packets.max(1.0)),
            Verdict::Unclear => {
                let used = self.bins.back().map_or(around.delay_bps as f64, |bin| bin.bps);
                let bps = TEST * used.min(around.delay_bps as f64);
                self.state = State::Test { bps, bins_left: TEST_BINS };
            }
        }
    }

    fn limit(&mut self, bps: f64) {
        let bps = match self.state {
            State::Limited { bps: before, .. } => bps.min(before),
            State::Free | State::Test { .. } => bps,
        };
        self.state = State::Limited { bps, grows: false };
    }

    fn bear(&mut self, share: f64) {
        self.inherent = share.clamp(0.0, INHERENT_MAX);
        self.state = State::Free;
    }

    /// No more is lost than is known of the path.
    fn settle(&mut self, around: &Surroundings) {
        let (packets, lost) = self.last(BINS);
        if packets > 0.0 {
            self.inherent = self.inherent.min(0.9 * self.inherent + 0.1 * lost / packets);
        }
        if let State::Limited { bps, .. } = self.state {
            let bps = bps * GROWTH;
            self.state = if bps > RELEASE * around.delay_bps as f64 {
                State::Free
            } else {
                State::Limited { bps, grows: true }
            };
        }
    }

    /// Whether more is lost of late than is known of the path, and than chance would have it.
    fn has_excess(&self) -> bool {
        let (packets, lost) = self.last(2);
        if packets < f64::from(BIN_PACKETS) {
            return false;
        }
        let known = self.inherent.max(0.01);
        let deviation = (known * (1.0 - known) / packets).sqrt();
        lost / packets - self.inherent > EXCESS_MIN.max(EXCESS_DEVIATIONS * deviation)
    }

    /// Packets and lost ones of the last so many observations.
    fn last(&self, bins: usize) -> (f64, f64) {
        let sum = |(packets, lost), bin: &Bin| (packets + bin.packets, lost + bin.lost);
        self.bins.iter().rev().take(bins).fold((0.0, 0.0), sum)
    }

    /// Compares the best limit with the best random loss.
    fn explain(&self) -> Verdict {
        let rates = || self.bins.iter().map(|bin| bin.bps);
        let (highest, lowest) = (rates().fold(0.0, f64::max), rates().fold(f64::MAX, f64::min));
        let (random, share) = self.best_share(f64::INFINITY);
        let limits = (0..24).map(|n| highest * (0.99 - 0.03 * f64::from(n)));
        let (mut best, mut best_limit) = (f64::NEG_INFINITY, highest);
        for limit in limits.filter(|limit| *limit > 0.0) {
            let (likelihood, _) = self.best_share(limit);
            if likelihood > best {
                (best, best_limit) = (likelihood, limit);
            }
        }
        if highest < SPREAD_MIN * lowest {
            return Verdict::Unclear;
        }
        if best > random + EVIDENCE {
            Verdict::Limit(best_limit)
        } else if random > best - EVIDENCE / 2.0 && highest >= lowest / TEST {
            Verdict::Random(share)
        } else {
            Verdict::Unclear
        }
    }

    /// The random loss that goes best with a limit, and how likely the observations are with both.
    fn best_share(&self, limit: f64) -> (f64, f64) {
        let (packets, lost) = self.last(BINS);
        let all = lost / packets.max(1.0);
        let shares = [0.0, 0.25, 0.5, 0.75, 0.9, 1.0, 1.1].map(|part| part * all);
        let likelihoods = shares.map(|share| (self.likelihood(limit, share), share));
        likelihoods
            .into_iter()
            .fold((f64::NEG_INFINITY, 0.0), |best, it| if it.0 > best.0 { it } else { best })
    }

    fn likelihood(&self, limit: f64, share: f64) -> f64 {
        let mut weight = 1.0;
        let mut sum = 0.0;
        for bin in self.bins.iter().rev() {
            let beyond = (1.0 - limit / bin.bps.max(1.0)).max(0.0);
            let loss = (share + (1.0 - share) * beyond).clamp(0.001, 0.999);
            sum += weight * (bin.lost * loss.ln() + (bin.packets - bin.lost) * (1.0 - loss).ln());
            weight *= AGEING;
        }
        sum
    }
}

impl Filling {
    fn complete(&self) -> Option<Bin> {
        let time = self.last.saturating_duration_since(self.first);
        let is_enough = time >= BIN_TIME && self.packets >= BIN_PACKETS || time >= BIN_TIME_MAX;
        is_enough.then(|| Bin {
            bps: self.bytes as f64 * 8.0 / time.as_secs_f64(),
            packets: f64::from(self.packets),
            lost: f64::from(self.lost),
        })
    }
}

#[cfg(test)]
mod tests;
