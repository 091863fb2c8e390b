//! The rate that loss allows. Loss that stays the same whatever the rate is the path's nature and
//! is borne; loss that moves with the rate is a limit. Where the two cannot be told apart, the rate
//! is lowered a little for a moment to see (the idea of libwebrtc's second loss-based estimator,
//! with an experiment in place of a bias).

use std::collections::VecDeque;
use std::time::Duration;

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
const EXCESS_DEVIATIONS: f64 = 2.5;
/// The rate of an experiment.
const TEST: f64 = 0.85;
/// Observations that an experiment takes, and those before it that it is compared with: older ones
/// may be of a time when the path was another.
const TEST_BINS: u32 = 3;
const BINS_BEFORE_TEST: usize = 2;
/// Observations over which what arrives is averaged: about a second.
const BINS_DELIVERED: usize = 4;
/// Rates this close together show nothing.
const SPREAD_MIN: f64 = 1.1;
/// How much more likely (as a logarithm) a limit must be than mere chance.
const EVIDENCE: f64 = 1.5;
/// Limits that are tried: each this much of the one before, from the highest rate down to 8 % of it.
const LIMITS: i32 = 24;
const LIMIT_STEP: f64 = 0.9;
/// A queue this long is reason enough for loss.
const QUEUE_FULL: Duration = Duration::from_millis(60);
/// What is kept of the capacity found.
const BACKOFF: f64 = 0.95;
/// Growth of the limit with each observation that shows no more loss than the path has.
const GROWTH: f64 = 1.02;
/// A limit this far above the rate in use is none.
const RELEASE: f64 = 1.2;
/// Weight of an observation in the loss that is told.
const SMOOTHING: f64 = 0.125;
/// Weight of an observation that shows less loss than is known of the path.
const UNLEARN: f64 = 0.1;
/// Most loss that is taken for a path's nature: beyond, nobody can watch anything anyway.
const INHERENT_MAX: f64 = 0.35;

/// What is thought of loss.
#[derive(Debug, Default)]
pub struct LossModel {
    bins: VecDeque<Bin>,
    filling: Option<Filling>,
    inherent: f64,
    /// Share lost of late, whatever the reason.
    smoothed: Option<f64>,
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
    /// When its packets left.
    first: Duration,
    last: Duration,
    /// Without the first packet, which took no time of it.
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
    /// What is beyond a rate is lost, and this share of the rest.
    Limit {
        bps: f64,
        share: f64,
    },
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
    /// Whether the application sends much less than it might.
    pub is_application_limited: bool,
}

impl LossModel {
    /// Takes a packet that has arrived or not; when it left, on any clock.
    pub fn on_packet(&mut self, departure: Duration, bytes: usize, arrived: bool) {
        match &mut self.filling {
            Some(filling) => {
                filling.last = filling.last.max(departure);
                filling.bytes += bytes as u64;
                filling.packets += 1;
                filling.lost += u32::from(!arrived);
            }
            None => {
                let lost = u32::from(!arrived);
                let (first, last) = (departure, departure);
                self.filling = Some(Filling { first, last, bytes: 0, packets: 1, lost });
            }
        }
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
        let share = bin.lost / bin.packets.max(1.0);
        let before = self.smoothed.unwrap_or(share);
        self.smoothed = Some(before + SMOOTHING * (share - before));
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
        self.smoothed.unwrap_or(0.0)
    }

    /// A probe has got through at this rate.
    pub fn on_probe(&mut self, bps: u64) {
        if let State::Limited { bps: limit, grows } = &mut self.state
            && bps as f64 > *limit
        {
            (*limit, *grows) = (bps as f64, true);
        }
    }

    /// What loss allows is decided elsewhere.
    pub fn release(&mut self) {
        self.state = State::Free;
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
        match self.state {
            State::Test { bps, bins_left } if bins_left > 1 => {
                self.state = State::Test { bps, bins_left: bins_left - 1 };
            }
            State::Test { .. } => match self.explain() {
                Verdict::Limit { bps, share } => self.stay_below(bps, share),
                Verdict::Random(share) => self.bear(share),
                Verdict::Unclear => self.bear(self.share_of(BINS)),
            },
            _ if excess && around.queue >= QUEUE_FULL => {
                // Packets drop off the end of a full queue, which a trend does not see.
                let carried = around.acked_bps.unwrap_or(around.delay_bps) as f64;
                self.limit(carried * BACKOFF);
            }
            State::Limited { .. } if excess => match self.explain() {
                Verdict::Random(share) => {
                    // The limit may be gone, and is lifted step by step.
                    self.inherent = share.min(INHERENT_MAX);
                    self.settle(around);
                }
                Verdict::Limit { bps, share } => self.stay_below(bps, share),
                Verdict::Unclear => self.stay_below(self.used(around) * TEST, self.inherent),
            },
            // Sending still less would show nothing, and cost much.
            State::Free if excess && around.is_application_limited => {
                self.bear(self.share_of(BINS_BEFORE_TEST));
            }
            State::Free if excess => self.begin_test(around),
            State::Free | State::Limited { .. } => self.settle(around),
        }
    }

    fn begin_test(&mut self, around: &Surroundings) {
        self.bins.drain(..self.bins.len().saturating_sub(BINS_BEFORE_TEST));
        self.state = State::Test { bps: self.used(around) * TEST, bins_left: TEST_BINS };
    }

    /// The rate in use.
    fn used(&self, around: &Surroundings) -> f64 {
        let delay_bps = around.delay_bps as f64;
        self.bins.back().map_or(delay_bps, |bin| bin.bps.min(delay_bps))
    }

    fn stay_below(&mut self, bps: f64, share: f64) {
        self.inherent = self.inherent.min(share);
        // What arrives is carried, whatever the reason for the rest.
        self.limit(bps.max(self.delivered()) * BACKOFF);
    }

    /// What has arrived over the last observations, bit/s.
    fn delivered(&self) -> f64 {
        let last = self.bins.iter().rev().take(BINS_DELIVERED);
        let count = last.len().max(1) as f64;
        last.map(|bin| bin.bps * (1.0 - bin.lost / bin.packets.max(1.0))).sum::<f64>() / count
    }

    fn limit(&mut self, bps: f64) {
        let bps = match self.state {
            State::Limited { bps: before, .. } => bps.min(before),
            State::Free | State::Test { .. } => bps,
        };
        self.state = State::Limited { bps, grows: false };
    }

    fn bear(&mut self, share: f64) {
        if share > INHERENT_MAX {
            let sent = self.bins.back().map_or(0.0, |bin| bin.bps);
            return self.limit(sent * (1.0 - share));
        }
        self.inherent = share.max(0.0);
        self.state = State::Free;
    }

    /// No more is lost than is known of the path.
    fn settle(&mut self, around: &Surroundings) {
        let present = self.share_of(BINS);
        self.inherent = self.inherent.min(UNLEARN.mul_add(present - self.inherent, self.inherent));
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

    /// Share of packets lost in the last so many observations.
    fn share_of(&self, bins: usize) -> f64 {
        let (packets, lost) = self.last(bins);
        lost / packets.max(1.0)
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
        if highest < SPREAD_MIN * lowest {
            return Verdict::Unclear;
        }
        let (random, share) = self.best_share(f64::INFINITY);
        let coarse = (0..LIMITS).map(|n| highest * LIMIT_STEP.powi(n));
        let (_, about) = self.best_limit(coarse);
        let fine = (-4..=4).map(|n| about * LIMIT_STEP.powf(f64::from(n) / 4.0));
        let (limited, bps) = self.best_limit(fine);
        if limited > random + EVIDENCE {
            Verdict::Limit { bps, share: self.best_share(bps).1 }
        } else {
            Verdict::Random(share)
        }
    }

    /// The likeliest of some limits, and how likely the observations are with it.
    fn best_limit(&self, limits: impl Iterator<Item = f64>) -> (f64, f64) {
        let likelihoods = limits.map(|limit| (self.best_share(limit).0, limit));
        likelihoods.fold((f64::NEG_INFINITY, 0.0), |best, it| if it.0 > best.0 { it } else { best })
    }

    /// The random loss that goes best with a limit, and how likely the observations are with both.
    fn best_share(&self, limit: f64) -> (f64, f64) {
        let all = self.share_of(BINS);
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
        let time = self.last.saturating_sub(self.first);
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
