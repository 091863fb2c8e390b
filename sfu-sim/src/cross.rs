//! Traffic beside the calls through a shared bottleneck: a constant flow, or one that behaves as TCP
//! does: it fills the queue until something is lost, and then halves its window.

use std::time::Duration;

use crate::bottleneck::Bottleneck;

/// Bytes of one segment without IP headers.
const SEGMENT: usize = 1472;
/// Silence after which a flow that lost all it sent begins anew.
const TIMEOUT: Duration = Duration::from_secs(1);
/// Segments that a flow begins with (RFC 6928).
const WINDOW_INITIAL: f64 = 10.0;

/// What flows beside a call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cross {
    /// So many bit/s in datagrams of full size.
    Constant(u64),
    /// A bulk transfer with slow start and additive increase, multiplicative decrease (RFC 5681),
    /// and this round-trip time without queues.
    Tcp(Duration),
}

/// What happens to a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The next datagram of a constant flow is due, or a flow begins or begins anew.
    Send,
    /// A segment was acknowledged.
    Acknowledged,
    /// A segment was found missing.
    Lost,
}

/// A flow at work.
#[derive(Clone, Debug)]
pub(crate) struct Flow {
    kind: Cross,
    until: Duration,
    window: f64,
    threshold: f64,
    in_flight: u32,
    /// Losses before this belong to the one that was answered already.
    recovered: Duration,
    /// Bytes that came through.
    pub(crate) delivered: u64,
}

impl Flow {
    pub(crate) fn new(kind: Cross, until: Duration) -> Self {
        Self {
            kind,
            until,
            window: WINDOW_INITIAL,
            threshold: f64::INFINITY,
            in_flight: 0,
            recovered: Duration::ZERO,
            delivered: 0,
        }
    }

    /// Does what a step makes it do, and gives each next step with its time to `later`.
    pub(crate) fn step(
        &mut self,
        now: Duration,
        step: Step,
        bottleneck: &mut Bottleneck,
        mut later: impl FnMut(Duration, Step),
    ) {
        match self.kind {
            Cross::Constant(rate) => {
                if now < self.until {
                    let sent = bottleneck.pass(now, SEGMENT).is_some();
                    self.delivered += if sent { SEGMENT as u64 } else { 0 };
                    let nanos = SEGMENT as u64 * 8 * 1_000_000_000 / rate.max(1);
                    later(now + Duration::from_nanos(nanos), Step::Send);
                }
            }
            Cross::Tcp(rtt) => {
                self.react(now, rtt, step);
                while now < self.until && f64::from(self.in_flight) < self.window {
                    self.in_flight += 1;
                    match bottleneck.pass(now, SEGMENT) {
                        Some(leaves) => later(leaves + rtt, Step::Acknowledged),
                        None => later(now + bottleneck.wait(now) + rtt, Step::Lost),
                    }
                }
            }
        }
    }

    fn react(&mut self, now: Duration, rtt: Duration, step: Step) {
        match step {
            Step::Send => {}
            Step::Acknowledged => {
                self.in_flight -= 1;
                self.delivered += SEGMENT as u64;
                let slow_start = self.window < self.threshold;
                self.window += if slow_start { 1.0 } else { 1.0 / self.window };
            }
            Step::Lost => {
                self.in_flight -= 1;
                if now >= self.recovered {
                    self.threshold = (self.window / 2.0).max(2.0);
                    self.window = self.threshold;
                    self.recovered = now + rtt.max(TIMEOUT / 10);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Reverse;
    use std::collections::BinaryHeap;

    use super::*;
    use crate::link::Rate;

    #[test]
    fn tcp_fills_a_bottleneck_and_leaves_room_for_a_constant_flow() {
        let second = Duration::from_secs(1);
        let mut bottleneck = Bottleneck::new(vec![(Duration::ZERO, Some(Rate::kbit(4000, 100)))]);
        let kinds = [Cross::Tcp(second / 20), Cross::Constant(1_000_000)];
        let mut flows = kinds.map(|kind| Flow::new(kind, second * 30));
        let mut steps = BinaryHeap::new();
        let mut made = 0;
        for flow in 0..2 {
            steps.push((Reverse((Duration::ZERO, flow)), flow, Step::Send as u8));
        }
        while let Some((Reverse((now, _)), flow, step)) = steps.pop() {
            let step = [Step::Send, Step::Acknowledged, Step::Lost][usize::from(step)];
            flows[flow].step(now, step, &mut bottleneck, |at, step| {
                made += 1;
                steps.push((Reverse((at, made)), flow, step as u8));
            });
        }
        let mbit = flows.map(|flow| flow.delivered as f64 * 8.0 / 30e6);
        assert!((2.3..=3.2).contains(&mbit[0]), "{mbit:?}");
        assert!((0.85..=1.0).contains(&mbit[1]), "{mbit:?}");
    }
}
