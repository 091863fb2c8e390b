//! Whether a queue is kept full by someone else, and what is sent beside them then.
//!
//! Who sends less behind a queue of his own making still gets what the path carries until it has
//! drained; who shares it with a flow that yields to loss only gets less in the same measure, and
//! the queue stays. Where that was so, delay says nothing of our rate any more, and yielding to it
//! means being starved: the rate then grows and yields as a TCP flow's would (RFC 5681 §3.1), until
//! the queue shows that nobody is there. The idea is Copa's competitive mode (NSDI 2018 §2.2); the
//! sign, that what arrives is elastic, is akin to that of Nimbus (SIGCOMM 2022 §3).
//!
//! It must not be found among flows of ours, who would keep each other at it. So it takes three
//! things: decreases that were followed ([`SIGNS`]), a queue that has been full of late, as only
//! those that yield to nothing but loss fill it, and a trial, in which ours would yield.

use std::time::{Duration, Instant};

/// A shorter queue may be anything.
const STANDING: Duration = Duration::from_millis(60);
/// A queue this short is none: nobody else keeps it.
const EMPTY: Duration = Duration::from_millis(30);
/// What a receiver and a sender take to react, beside the round trip.
const REACTION: Duration = Duration::from_millis(100);
/// What arrives has followed the rate if it fell by this share of what the rate fell by.
const FOLLOWED: f64 = 0.5;
/// So many times in a row what arrived has followed a decrease, while the queue stood for so long, …
const SIGNS: u32 = 2;
const STANDS_FOR: Duration = Duration::from_secs(2);
/// … or so many, and for any time, if there was someone not so long ago, …
const SIGNS_AGAIN: u32 = 1;
const AGAIN: Duration = Duration::from_secs(30);
/// … and packets were lost behind such a queue no longer ago than the longest sawtooth of a TCP flow
/// that matters (Reno on 2 Mbit/s behind 300 ms: 15 s; behind 1 s: 80 s): …
const FULL_WITHIN: Duration = Duration::from_secs(60);
/// … then the rate is held for so many round trips, and so long at least, …
const TRIAL_RTTS: u32 = 2;
const TRIAL_MIN: Duration = Duration::from_secs(1);
/// … in which those that yield to a queue, as other flows of ours do, would have made it shorter
/// than this share of what it was.
const STAYS: f64 = 0.95;
/// What is had again at first of the rate before all those decreases, and how long it stays there.
const RESUME: f64 = 0.6;
const SETTLES: Duration = Duration::from_secs(2);
/// What is kept of the rate when packets are lost (as CUBIC does, RFC 9438 §4.6).
const YIELD: f64 = 0.7;
/// Losses within so many round trips are of one and the same event.
const EVENT_RTTS: f64 = 1.5;
/// Longest time after it for the queue to show whose it is.
const WAIT_MAX: Duration = Duration::from_millis(1500);
/// A contest is over when there was no queue for so long, …
const EMPTY_FOR: Duration = Duration::from_millis(1500);
/// … or one that neither grew nor shrank by more than this for so long: it is the path itself.
const FLAT: Duration = Duration::from_millis(8);
const FLAT_JITTERS: u32 = 4;
const FLAT_FOR: Duration = Duration::from_secs(4);
/// Bits of a full packet: the rate grows by one per round trip.
const PACKET_BITS: f64 = 1200.0 * 8.0;
/// No round trip counts as shorter.
const RTT_MIN: Duration = Duration::from_millis(20);

/// What is seen of others in the queue.
#[derive(Debug, Default)]
pub struct Rivals {
    state: State,
    /// The present queue, if the rate was lowered for it.
    standing: Option<Standing>,
    /// A decrease whose answer is awaited.
    question: Option<Question>,
    /// Answers in a row that say that there is someone.
    signs: u32,
    /// When packets were last lost behind a queue.
    full: Option<Instant>,
    /// When the last contest ended.
    ended: Option<Instant>,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    #[default]
    Alone,
    Trial(Trial),
    Contest(Contest),
}

/// A queue for which the rate was lowered.
#[derive(Clone, Copy, Debug)]
struct Standing {
    since: Instant,
    /// The rate before the first decrease, bit/s.
    before: f64,
}

/// A decrease of which it is to be seen whether what arrives follows. Rates in bit/s.
#[derive(Clone, Copy, Debug)]
struct Question {
    since: Instant,
    arrived: f64,
    sent: f64,
}

/// Whether the queue stays while the rate does.
#[derive(Clone, Copy, Debug)]
struct Trial {
    until: Instant,
    queue: Duration,
}

/// The rate is not that of the delay.
#[derive(Clone, Copy, Debug)]
struct Contest {
    /// Since when there is hardly a queue.
    empty: Option<Instant>,
    /// Since when the queue has been between these.
    still: (Instant, Duration, Duration),
    /// When the rate was last lowered.
    yielded: Instant,
    /// Until when it does not grow, for the queue to show whose it is.
    waits: Instant,
}

/// What is known when feedback has come. Rates in bit/s.
#[derive(Clone, Copy, Debug)]
pub struct Scene {
    /// How long packets wait.
    pub queue: Duration,
    /// How much delays differ from one packet to the next.
    pub jitter: Duration,
    /// Round-trip time, the queue's included.
    pub rtt: Duration,
    /// What arrives.
    pub acked: Option<f64>,
    /// Whether a packet was reported lost.
    pub has_lost: bool,
    /// Whether what is sent is what the rate says, so that more may be tried.
    pub is_used: bool,
}

impl Rivals {
    /// Whether the rate is that of a contest.
    #[must_use]
    pub fn is_contested(&self) -> bool {
        matches!(self.state, State::Contest(_))
    }

    /// Whether it is looked for that, or found: probes would show nothing.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        !matches!(self.state, State::Alone)
    }

    /// Nothing of this path is known.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// The rate is lowered for a queue, while this arrives. Rates in bit/s.
    pub fn on_decrease(&mut self, now: Instant, from: f64, to: f64, arrived: f64) {
        self.standing.get_or_insert(Standing { since: now, before: from });
        if self.question.is_none() && to < arrived {
            self.question = Some(Question { since: now, arrived, sent: to });
        }
    }

    /// The queue was ours.
    pub fn refute(&mut self) {
        (self.state, self.standing, self.question, self.signs) = (State::Alone, None, None, 0);
    }

    /// The rate after so many seconds, bit/s, if it is not the delay that sets it.
    pub fn update(&mut self, now: Instant, seconds: f64, bps: f64, scene: &Scene) -> Option<f64> {
        if scene.has_lost && scene.queue >= STANDING {
            self.full = Some(now);
        }
        match &mut self.state {
            State::Alone => {
                if scene.queue <= EMPTY {
                    self.refute();
                }
                self.hear_answer(now, scene);
                if !self.is_suspected(now, scene) {
                    return None;
                }
                self.signs = 0;
                let until = now + (TRIAL_RTTS * scene.rtt).max(TRIAL_MIN);
                self.state = State::Trial(Trial { until, queue: scene.queue });
                Some(bps)
            }
            State::Trial(trial) if scene.queue < STANDING.max(trial.queue.mul_f64(STAYS)) => {
                self.state = State::Alone;
                None
            }
            State::Trial(trial) if now < trial.until => Some(bps),
            State::Trial(_) => {
                self.state = State::Contest(Contest::new(now, scene));
                Some(self.standing.map_or(bps, |standing| bps.max(RESUME * standing.before)))
            }
            State::Contest(contest) => {
                if contest.is_over(now, scene) {
                    self.refute();
                    self.ended = Some(now);
                    return None;
                }
                Some(contest.rate(now, seconds, bps, scene))
            }
        }
    }

    /// A response time after a decrease, what arrives has followed it or not.
    fn hear_answer(&mut self, now: Instant, scene: &Scene) {
        let (Some(Question { since, arrived, sent }), Some(acked)) = (self.question, scene.acked)
        else {
            return;
        };
        if now.saturating_duration_since(since) <= scene.rtt + REACTION {
            return;
        }
        self.question = None;
        let has_followed = acked < arrived - FOLLOWED * (arrived - sent);
        self.signs = if has_followed && scene.queue >= STANDING { self.signs + 1 } else { 0 };
    }

    /// Whether it is worth a trial.
    fn is_suspected(&self, now: Instant, scene: &Scene) -> bool {
        let within = |at: Option<Instant>, time| {
            at.is_some_and(|at| now.saturating_duration_since(at) < time)
        };
        let (signs, age) = match within(self.ended, AGAIN) {
            true => (SIGNS_AGAIN, Duration::ZERO),
            false => (SIGNS, STANDS_FOR),
        };
        let stands = |it: Standing| now.saturating_duration_since(it.since) >= age;
        self.signs >= signs
            && self.standing.is_some_and(stands)
            && within(self.full, FULL_WITHIN)
            && scene.queue >= STANDING
    }
}

impl Contest {
    fn new(now: Instant, scene: &Scene) -> Self {
        let still = (now, scene.queue, scene.queue);
        Self { empty: None, still, yielded: now, waits: now + SETTLES }
    }

    fn rate(&mut self, now: Instant, seconds: f64, bps: f64, scene: &Scene) -> f64 {
        let event = scene.rtt.mul_f64(EVENT_RTTS);
        if scene.has_lost && now.saturating_duration_since(self.yielded) > event {
            self.yielded = now;
            // All of the queue would be gone by then if nobody else filled it.
            self.waits = now + scene.queue.mul_f64(1.0 / (1.0 - YIELD)).min(WAIT_MAX);
            return YIELD * bps;
        }
        // If it is gone, it is for others to fill it: two of ours would do so for each other.
        if now < self.waits || self.empty.is_some() || !scene.is_used {
            return bps;
        }
        let rtt = scene.rtt.max(RTT_MIN).as_secs_f64();
        bps + seconds * PACKET_BITS / (rtt * rtt)
    }

    fn is_over(&mut self, now: Instant, scene: &Scene) -> bool {
        let (_, least, most) = self.still;
        let (least, most) = (least.min(scene.queue), most.max(scene.queue));
        if most - least > FLAT + FLAT_JITTERS * scene.jitter {
            self.still = (now, scene.queue, scene.queue);
        } else {
            (self.still.1, self.still.2) = (least, most);
        }
        self.empty = if scene.queue > EMPTY { None } else { self.empty.or(Some(now)) };
        self.empty.is_some_and(|at| now.saturating_duration_since(at) > EMPTY_FOR)
            || now.saturating_duration_since(self.still.0) > FLAT_FOR
    }
}

#[cfg(test)]
mod tests;
