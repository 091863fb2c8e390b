//! A receiver that had no time for a moment, or a link that delivers in batches, makes packets look
//! as if they had queued: a gap, then everything at once. A queue comes off its link at the link's
//! rate; what was merely read late comes much faster than it was sent, until the delay is what it
//! was. Such packets are taken to have arrived when they would have.
//!
//! The verdict needs the packets behind the gap, so those are held back until it is clear. (libwebrtc
//! merges bursts on arrival into one group of its trend for the same reason; a wait of hundreds of
//! milliseconds, reported in parts, needs more, and the acknowledged rate needs it too.)

use std::collections::VecDeque;
use std::time::Duration;

use super::groups::{Times, difference};
use crate::limits;

/// A packet that took so much longer than the one before comes behind a gap …
const GAP: Duration = Duration::from_millis(15);
/// … if that is also more than so many full packets' time on the link: a slow one looks like that.
const GAP_PACKETS: f64 = 1.5;
/// More than this is another clock.
const GAP_MAX: Duration = Duration::from_secs(3);
/// A delay that exceeds the one before the gap by no more is what it was.
const RETURNED: Duration = Duration::from_millis(8);
/// How long it is looked at how fast packets come, …
const LOOK: Duration = Duration::from_millis(25);
/// … which is faster than they were sent, by half at least, while those that wait are read.
const CATCHING_UP: f64 = 0.5;
/// If the next ones take longer still, by so much, nothing is caught up with.
const RISEN: Duration = Duration::from_millis(6);
/// What has waited behind a gap has mostly not waited behind a queue if the delay has fallen back by
/// this share of the gap when it falls no more.
const FALLEN_BACK: f64 = 0.5;

/// A packet that arrived, on its way to the estimator.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Arrival {
    /// When it left and when it arrived, or would have.
    pub times: Times,
    /// On the wire.
    pub bytes: usize,
    /// It left in a burst meant to fill the path.
    pub is_probe: bool,
    /// It was sent later than all before it.
    pub is_newest: bool,
    /// What was sent before it is not known to have arrived or not.
    pub is_behind_gap: bool,
}

/// Sees through stalls.
#[derive(Debug, Default)]
pub struct Stalls {
    /// The delay of the last packet that was let through as it came, in seconds of the difference
    /// of the clocks.
    last: Option<f64>,
    stall: Option<Stall>,
    /// What waits for a verdict, and behind it what waits to be taken.
    held: VecDeque<Arrival>,
    /// How many of those may be taken.
    free: usize,
}

/// A gap, and what came behind it.
#[derive(Clone, Copy, Debug)]
struct Stall {
    /// The delay before it, in seconds of the difference of the clocks.
    before: f64,
    /// How much longer the first packet behind it took, or behind a later one.
    gap: f64,
    /// Where the present look began.
    look: Times,
    latest: Times,
}

/// What is thought of a stall.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Verdict {
    Open,
    /// It was one. The delay is higher by this now than it was before, in seconds.
    Over(f64),
    /// It was a queue.
    Refuted,
}

impl Stalls {
    /// Takes a packet, in the order of departure. `link_bps`: what the path is thought to carry.
    pub fn push(&mut self, arrival: Arrival, link_bps: u64) {
        let times = arrival.times;
        self.held.push_back(arrival);
        let gap_min = gap_min(link_bps);
        let Some(stall) = &mut self.stall else {
            let delay = delay(times);
            let gap = self.last.map_or(0.0, |last| delay - last);
            if gap > gap_min && gap <= GAP_MAX.as_secs_f64() {
                let before = delay - gap;
                self.stall = Some(Stall { before, gap, look: times, latest: times });
            } else {
                (self.free, self.last) = (self.held.len(), Some(delay));
            }
            return;
        };
        match stall.judge(times, gap_min) {
            Verdict::Open if self.held.len() - self.free < limits::LATE_PACKETS_MAX => {}
            Verdict::Over(higher) => {
                let wait = stall.before + higher;
                for late in self.held.iter_mut().skip(self.free) {
                    late.times.arrival = late.times.arrival.min(at(late.times.departure, wait));
                }
                self.let_through();
            }
            Verdict::Open | Verdict::Refuted => self.let_through(),
        }
    }

    /// The next packet of which the times are clear.
    pub fn pop(&mut self) -> Option<Arrival> {
        self.free = self.free.checked_sub(1)?;
        self.held.pop_front()
    }

    /// Forgets everything, as on a new path.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    fn let_through(&mut self) {
        self.stall = None;
        self.free = self.held.len();
        self.last = self.held.back().map(|arrival| delay(arrival.times));
    }
}

impl Stall {
    fn judge(&mut self, times: Times, gap_min: f64) -> Verdict {
        let higher = delay(times) - self.before;
        if higher <= RETURNED.as_secs_f64() {
            return Verdict::Over(higher.max(0.0));
        }
        let again = delay(times) - delay(self.latest);
        if again > gap_min {
            // No time once more; unless nothing was caught up with in between.
            if self.look == self.latest || !self.is_catching_up(self.latest) {
                return Verdict::Refuted;
            }
            (self.gap, self.look, self.latest) = (higher.max(self.gap), times, times);
            return Verdict::Open;
        }
        self.latest = times;
        if higher > self.gap + RISEN.as_secs_f64() {
            return Verdict::Refuted;
        }
        if difference(times.arrival, self.look.arrival) < LOOK.as_secs_f64() {
            return Verdict::Open;
        }
        if self.is_catching_up(times) {
            self.look = times;
            Verdict::Open
        } else if higher <= (1.0 - FALLEN_BACK) * self.gap {
            Verdict::Over(higher)
        } else {
            Verdict::Refuted
        }
    }

    /// Whether packets came much faster since the look began than they were sent.
    fn is_catching_up(&self, times: Times) -> bool {
        let sent = difference(times.departure, self.look.departure);
        difference(times.arrival, self.look.arrival) < CATCHING_UP * sent
    }
}

/// By how much a packet's delay exceeds the one's before it that comes behind a gap, in seconds.
fn gap_min(link_bps: u64) -> f64 {
    const PACKET_BITS: f64 = 1200.0 * 8.0;
    GAP.as_secs_f64().max(GAP_PACKETS * PACKET_BITS / link_bps.max(1) as f64)
}

fn delay(times: Times) -> f64 {
    difference(times.arrival, times.departure)
}

/// The time on the receiver's clock at which something arrives that takes `delay` seconds.
fn at(departure: Duration, delay: f64) -> Duration {
    let by = Duration::from_secs_f64(delay.abs().min(1e12));
    if delay < 0.0 { departure.saturating_sub(by) } else { departure.saturating_add(by) }
}

#[cfg(test)]
mod tests;
