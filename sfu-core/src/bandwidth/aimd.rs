//! The rate that delay allows: up in small steps while queues stay empty, down to what arrives once
//! they grow (draft-ietf-rmcat-gcc-02 §5.5), then back to just below what the path was seen to
//! carry as soon as the queue has drained.

use std::time::{Duration, Instant};

use super::ceiling::Ceiling;
use super::detector::Usage;
use super::rivals::{Rivals, Scene};

/// What is kept of the arriving rate when queues grow, at most …
const DECREASE_MAX: f64 = 0.88;
/// … and at least.
const DECREASE_MIN: f64 = 0.5;
/// A rate this many times what arrives was not in use: the queue at its fall is not of its making, and
/// is not paid for with more than the least decrease, unless it stays.
const OVERSHOOT_MAX: f64 = 2.0;
/// Nor is what arrives, if it is so much less, more than the little that is sent, while the queue is
/// no longer than this and so many times what delays differ by.
const LITTLE: f64 = 10.0;
const FEIGNED_MAX: Duration = Duration::from_millis(80);
const FEIGNED_JITTERS: u32 = 4;
/// A queue is to be drained within about this time, which is what sets the decrease in between.
const DRAIN_TIME: Duration = Duration::from_millis(800);
/// A queue this short is empty, or one of a packet, whose size makes that difference.
const DRAINED: Duration = Duration::from_millis(12);
const DRAINED_MAX: Duration = Duration::from_millis(60);
/// A queue that has hardly become shorter by now is not ours.
const DRAIN_TIME_MAX: Duration = Duration::from_millis(1500);
/// Behind a queue longer than this, and a packet, the rate does not grow; behind one longer by as
/// much again it falls, whatever the trend. A rate just above the path's fills a queue so slowly that a threshold
/// which adapts takes it for the path's nature.
const QUEUE_TOLERATED: Duration = Duration::from_millis(20);
/// A queue that did not drain when the rate fell is another flow's: it and a little more is not
/// counted from then on, less and less, by half in this time.
const FOREIGN_MARGIN: f64 = 1.25;
/// A shorter one may be jitter.
const FOREIGN_MIN: Duration = Duration::from_millis(80);
const FOREIGN_HALF_LIFE: Duration = Duration::from_secs(10);
/// It is ours if it has become shorter by this share of what the decrease makes one expect.
const OURS_MIN: f64 = 0.5;
/// A probe that shows less than a rate that was proven, by more than this, lowers it only …
const CORRECTED_MIN: f64 = 0.8;
/// … together with another one, of so long before at least and at most: what disturbs one must not
/// disturb both.
const DOUBT_MIN: Duration = Duration::from_secs(1);
const DOUBT_MAX: Duration = Duration::from_secs(15);
/// What is kept of the capacity once the queue has drained.
const RESUME: f64 = 0.95;
/// What arrives is less than what is sent by more than this: it is still too much.
const DELIVERED_MIN: f64 = 0.95;
/// Growth per second while the path's limit is far or unknown.
const GROWTH_PER_SECOND: f64 = 1.08;
/// What arrives without a queue is believed if it is more than this much of the rate.
const FOLLOW_MIN: f64 = 1.25;
/// … and the last decrease is so long ago that what arrives is not what was sent before it.
const FOLLOW_AFTER: Duration = Duration::from_secs(1);
/// Bits of a full packet: near the limit the rate grows by one packet per response time, …
const PACKET_BITS: f64 = 1200.0 * 8.0;
/// … but by no more than this share of itself each second, …
const STEP_SHARE_MAX: f64 = 0.05;
/// … and by half of that above the limit, where a queue may already be growing unseen, unless
/// another flow keeps one full, which will not wait.
const STEP_ABOVE: f64 = 0.5;
/// What a receiver and a sender take to react, beside the round trip.
const REACTION: Duration = Duration::from_millis(100);
/// No estimate grows beyond this much of what arrives, …
const AHEAD_MAX: f64 = 1.5;
/// … and this, so that silence can end.
const AHEAD_BPS: f64 = 10_000.0;
/// Shortest and longest time between two decreases.
const DECREASE_INTERVAL_MIN: Duration = Duration::from_millis(10);
const DECREASE_INTERVAL_MAX: Duration = Duration::from_millis(200);
/// Longest time that one step may account for.
const STEP_MAX: Duration = Duration::from_secs(1);
/// More random loss than this is not made up for.
const INHERENT_LOSS_MAX: f64 = 0.4;

/// What the rate is decided from.
#[derive(Clone, Copy, Debug)]
pub struct Signals {
    /// What the delay says.
    pub usage: Usage,
    /// How long packets wait.
    pub queue: Duration,
    /// How long the last packet waited.
    pub last_queue: Duration,
    /// How much delays differ from one packet to the next.
    pub jitter: Duration,
    /// Round-trip time.
    pub rtt: Duration,
    /// What arrives of late, bit/s.
    pub acked_bps: Option<u64>,
    /// What arrives, over a longer time.
    pub acked_smooth_bps: Option<u64>,
    /// Share of packets that the path loses whatever the rate, 0 to 1.
    pub inherent_loss: f64,
    /// Whether a packet was reported lost.
    pub has_lost: bool,
    /// Whether the application sends much less than it might.
    pub is_application_limited: bool,
}

/// Additive increase, multiplicative decrease.
#[derive(Debug)]
pub struct Aimd {
    bps: f64,
    min_bps: f64,
    max_bps: f64,
    ceiling: Ceiling,
    state: State,
    rivals: Rivals,
    /// Another flow's queue, in seconds.
    foreign_queue: f64,
    updated: Option<Instant>,
    decreased: Option<Instant>,
    /// Whether the rate is what arrived, or was shown to.
    is_proven: bool,
    /// Since when a probe has shown less than the rate, and none that it passes.
    doubt: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Increase,
    /// A queue is being drained.
    Drain(Drain),
}

/// A decrease, and what is to come of it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Drain {
    since: Instant,
    /// What the path was seen to carry, bit/s.
    carried: f64,
    /// Our queue then, in seconds.
    queue: f64,
    /// Whether the rate was adjusted to what the queue had become when the decrease was felt.
    is_adjusted: bool,
    /// Whether it was already waited for longer than it should take.
    is_extended: bool,
}

impl Aimd {
    /// Starts at `start_bps`, and stays within the bounds.
    #[must_use]
    pub fn new(start_bps: u64, min_bps: u64, max_bps: u64) -> Self {
        Self {
            bps: start_bps as f64,
            min_bps: min_bps as f64,
            max_bps: max_bps as f64,
            ceiling: Ceiling::default(),
            state: State::Increase,
            rivals: Rivals::default(),
            foreign_queue: 0.0,
            updated: None,
            decreased: None,
            is_proven: false,
            doubt: None,
        }
    }

    /// The rate, bit/s.
    #[must_use]
    pub fn bps(&self) -> u64 {
        self.bps as u64
    }

    /// How long a queue is another flow's, or no queue at all: it did not drain when it should have.
    #[must_use]
    pub fn foreign_queue(&self) -> Duration {
        Duration::try_from_secs_f64(self.foreign_queue).unwrap_or(Duration::ZERO)
    }

    /// What the path carried when it was last full, bit/s.
    #[must_use]
    pub fn ceiling_bps(&self) -> Option<u64> {
        self.ceiling.bps()
    }

    /// Whether the rate is that of a contest with flows that keep the queue full.
    #[must_use]
    pub fn is_contested(&self) -> bool {
        self.rivals.is_contested()
    }

    /// Whether a queue is being drained.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.state != State::Increase || self.rivals.is_busy()
    }

    /// Takes what a batch of feedback says.
    pub fn update(&mut self, now: Instant, signals: &Signals) {
        let elapsed = self.updated.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        self.updated = Some(now);
        let seconds = elapsed.min(STEP_MAX).as_secs_f64();
        self.foreign_queue *= 0.5f64.powf(seconds / FOREIGN_HALF_LIFE.as_secs_f64());
        if let Some(bps) = self.contend(now, seconds, signals) {
            (self.state, self.decreased) = (State::Increase, Some(now));
            return self.set(bps);
        }
        let beyond = self.own_queue(signals) - self.tolerated_queue();
        match (signals.usage, self.state) {
            // A trend without a queue is noise.
            (Usage::Overuse, State::Increase) if signals.last_queue < DRAINED => {}
            (Usage::Overuse, _) => self.decrease(now, signals),
            (_, State::Increase)
                if beyond > QUEUE_TOLERATED.as_secs_f64() && !signals.is_application_limited =>
            {
                self.decrease(now, signals);
            }
            (_, State::Drain(drain)) => self.drain(now, drain, signals),
            (Usage::Normal, State::Increase) if beyond <= 0.0 => {
                self.increase(now, seconds, signals)
            }
            (Usage::Normal | Usage::Underuse, State::Increase) => {}
        }
    }

    /// A probe has got through at this rate; `is_saturated` if it met the limit. It raises the rate;
    /// it lowers one that nothing speaks for, and one that another probe has put in doubt before.
    pub fn on_probe(&mut self, now: Instant, bps: u64, is_saturated: bool) {
        let shown = bps as f64;
        if self.rivals.is_busy() {
            return;
        }
        if !is_saturated || shown >= self.bps {
            self.doubt = None;
        } else if self.ceiling.bps().is_none() && !self.is_believed(now, shown) {
            return;
        }
        let knew_nothing = self.ceiling.bps().is_none();
        if is_saturated {
            self.ceiling.on_probe(bps);
        } else if self.ceiling.is_below(bps) {
            self.ceiling.forget();
        }
        if is_saturated && knew_nothing && shown < self.bps {
            self.set(shown);
        }
        if shown > self.bps {
            self.state = State::Increase;
            self.is_proven = true;
            self.set(shown);
        }
    }

    /// Whether a probe that shows less than the rate is enough to lower it. A single one may have
    /// met with a receiver that was busy.
    fn is_believed(&mut self, now: Instant, shown: f64) -> bool {
        if !self.is_proven || shown >= CORRECTED_MIN * self.bps {
            // What was started with was too much, or what was shown a little.
            return true;
        }
        let since = self.doubt.map(|at| now.saturating_duration_since(at));
        if since.is_none_or(|since| since > DOUBT_MAX) {
            self.doubt = Some(now);
        }
        since.is_some_and(|since| (DOUBT_MIN..=DOUBT_MAX).contains(&since))
    }

    /// Nothing is heard any more.
    pub fn on_outage(&mut self) {
        self.set(self.bps / 2.0);
    }

    /// Starts again from a rate that is thought to be safe, knowing nothing of the path.
    pub fn restart(&mut self, bps: u64) {
        self.foreign_queue = 0.0;
        self.rivals.forget();
        (self.is_proven, self.doubt) = (false, None);
        self.ceiling.forget();
        self.state = State::Increase;
        self.set(bps as f64);
    }

    fn decrease(&mut self, now: Instant, signals: &Signals) {
        let carried = self.carried(signals);
        if !self.may_decrease(now, signals.rtt, carried) {
            return;
        }
        // What arrives is far from what was allowed: the queue is not one that we have heaped up.
        let is_ours = self.bps <= OVERSHOOT_MAX * carried;
        let factor = if is_ours { self.decrease_factor(signals) } else { DECREASE_MAX };
        let is_short = signals.queue < FEIGNED_MAX + FEIGNED_JITTERS * signals.jitter;
        let is_little = signals.is_application_limited && LITTLE * carried <= self.bps;
        let kept = if is_little && is_short { self.bps * DECREASE_MAX } else { carried * factor };
        if let Some(acked) = signals.acked_bps.filter(|_| !signals.is_application_limited) {
            self.ceiling.on_overuse(acked);
        }
        let queue = self.own_queue(signals);
        self.state = State::Drain(Drain {
            since: now,
            carried,
            queue,
            is_adjusted: false,
            is_extended: false,
        });
        self.decreased = Some(now);
        self.rivals.on_decrease(now, self.bps, kept, carried);
        self.set(kept.min(self.bps));
    }

    fn may_decrease(&self, now: Instant, rtt: Duration, carried: f64) -> bool {
        let interval = rtt.clamp(DECREASE_INTERVAL_MIN, DECREASE_INTERVAL_MAX);
        self.decreased.is_none_or(|at| {
            now.saturating_duration_since(at) >= interval || carried < DECREASE_MIN * self.bps
        })
    }

    fn drain(&mut self, now: Instant, drain: Drain, signals: &Signals) {
        let waited = now.saturating_duration_since(drain.since);
        let drained = DRAINED.max(self.packet_time().min(DRAINED_MAX)).as_secs_f64();
        let queue = self.own_queue(signals);
        let is_answered = waited > signals.rtt + REACTION;
        let is_long = queue > 2.0 * drained && !signals.is_application_limited;
        if queue <= drained {
            self.state = State::Increase;
            self.set(self.bps.max(drain.carried * RESUME));
        } else if is_answered
            && is_long
            && signals.acked_bps.is_some_and(|acked| (acked as f64) < DELIVERED_MIN * self.bps)
        {
            // The queue is full: it grows no more, and still too much is sent.
            self.decrease(now, signals);
        } else if is_answered && is_long && !drain.is_adjusted {
            // It has grown until the first decrease was felt. Once, for what another flow keeps
            // full would make this go on and on.
            let carried = self.carried(signals).min(drain.carried);
            self.state = State::Drain(Drain { since: now, queue, is_adjusted: true, ..drain });
            self.set((carried * self.decrease_factor(signals)).min(self.bps));
        } else if waited > DRAIN_TIME_MAX {
            self.give_up(now, drain, queue, signals);
        }
    }

    /// The queue should have drained by now.
    fn give_up(&mut self, now: Instant, drain: Drain, queue: f64, signals: &Signals) {
        let seconds = now.saturating_duration_since(drain.since).as_secs_f64();
        let expected = (1.0 - self.bps / drain.carried.max(1.0)) * seconds;
        if drain.queue - queue >= OURS_MIN * expected && !drain.is_extended {
            // It is ours, and was longer than thought.
            self.rivals.refute();
            self.state = State::Drain(Drain { since: now, queue, is_extended: true, ..drain });
            return;
        }
        self.state = State::Increase;
        if signals.queue >= FOREIGN_MIN {
            self.foreign_queue = FOREIGN_MARGIN * signals.queue.as_secs_f64();
        }
    }

    /// The rate beside someone who keeps the queue full.
    fn contend(&mut self, now: Instant, seconds: f64, signals: &Signals) -> Option<f64> {
        let most = AHEAD_MAX * signals.acked_smooth_bps.unwrap_or(0) as f64 + AHEAD_BPS;
        let scene = Scene {
            queue: signals.queue,
            jitter: signals.jitter,
            rtt: signals.rtt,
            acked: signals.acked_bps.map(|bps| bps as f64),
            has_lost: signals.has_lost,
            is_used: !signals.is_application_limited && self.bps < most,
        };
        self.rivals.update(now, seconds, self.bps, &scene)
    }

    /// What is kept of the arriving rate, for the queue to drain in time.
    fn decrease_factor(&self, signals: &Signals) -> f64 {
        let excess = self.own_queue(signals) / DRAIN_TIME.as_secs_f64();
        (1.0 - excess).clamp(DECREASE_MIN, DECREASE_MAX)
    }

    /// How long packets wait behind our own, in seconds.
    fn own_queue(&self, signals: &Signals) -> f64 {
        (signals.queue.as_secs_f64() - self.foreign_queue).max(0.0)
    }

    /// How long a queue may be without being taken for a sign, in seconds.
    fn tolerated_queue(&self) -> f64 {
        let packet = self.packet_time().min(DRAINED_MAX);
        (QUEUE_TOLERATED + packet).as_secs_f64()
    }

    /// How long a full packet is on the path's slowest link.
    fn packet_time(&self) -> Duration {
        Duration::from_secs_f64(PACKET_BITS / self.bps.max(1.0))
    }

    fn increase(&mut self, now: Instant, seconds: f64, signals: &Signals) {
        if signals.is_application_limited {
            return;
        }
        let Some(acked) = signals.acked_smooth_bps else { return };
        // Until a queue was first met, what arrives is no more than the path carries, whatever was
        // thought of it: at the start more may be sent than the estimate.
        if self.decreased.is_none() && acked as f64 > self.bps {
            self.is_proven = true;
            self.set(acked as f64);
        }
        // Later the same goes for what is clearly more than paced sending makes of the rate: a layer
        // has grown, and passes.
        let least = signals.acked_bps.map_or(0, |now| now.min(acked)) as f64;
        let is_settled = self.decreased.is_none_or(|at| now.duration_since(at) > FOLLOW_AFTER);
        if is_settled && least > FOLLOW_MIN * self.bps {
            self.is_proven = true;
            self.set(least);
        }
        if self.ceiling.is_below(acked) {
            self.ceiling.forget();
        }
        let grown = if self.ceiling.is_near(self.bps()) {
            self.bps + seconds * self.step_per_second(signals.rtt)
        } else {
            self.bps * GROWTH_PER_SECOND.powf(seconds)
        };
        let most = AHEAD_MAX * acked as f64 + AHEAD_BPS;
        self.set(grown.min(most).max(self.bps));
    }

    /// About one packet per response time, in bit/s each second.
    fn step_per_second(&self, rtt: Duration) -> f64 {
        let step = PACKET_BITS / (rtt + REACTION).as_secs_f64();
        let step = step.min(STEP_SHARE_MAX * self.bps);
        let is_above = self.ceiling.bps().is_some_and(|ceiling| self.bps() > ceiling);
        if is_above && self.foreign_queue < QUEUE_TOLERATED.as_secs_f64() {
            STEP_ABOVE * step
        } else {
            step
        }
    }

    /// What the path is seen to carry: what arrives, and what would have arrived but for random
    /// loss.
    fn carried(&self, signals: &Signals) -> f64 {
        let Some(acked) = signals.acked_bps else { return self.bps };
        acked as f64 / (1.0 - signals.inherent_loss.clamp(0.0, INHERENT_LOSS_MAX))
    }

    fn set(&mut self, bps: f64) {
        if bps.is_finite() {
            self.bps = bps.clamp(self.min_bps, self.max_bps);
        }
    }
}

#[cfg(test)]
mod tests;
