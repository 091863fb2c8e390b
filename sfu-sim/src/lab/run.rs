//! Runs flows over their bottlenecks on virtual time.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::time::Duration;

use super::bottleneck::{Bottleneck, BottleneckPlan, Passage};
use super::course::{Course, Fate, FlowCourse, READING_INTERVAL, Sent};
use super::flow::{Flow, Outbox, Packet, Side};

const LANE_FORWARD: u64 = 1;
const LANE_BACKWARD: u64 = 2;
/// Calls within one instant that can only be a loop.
const CALLS_MAX: u32 = 100_000;

/// A flow and its place on the path.
pub struct Placed {
    /// The flow.
    pub flow: Box<dyn Flow>,
    /// Propagation in each direction.
    pub one_way: Duration,
    /// Its data goes the way of the others' feedback.
    pub reversed: bool,
}

struct Arrival {
    at: Duration,
    order: u64,
    flow: usize,
    side: Side,
    packet: Packet,
}

impl PartialEq for Arrival {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Arrival {}
impl PartialOrd for Arrival {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Arrival {
    /// The earliest is the greatest, for the heap.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

struct Lab {
    flows: Vec<Placed>,
    forward: Bottleneck,
    backward: Bottleneck,
    under_way: BinaryHeap<Arrival>,
    order: u64,
    course: Course,
}

/// Runs `flows` for `lasts`.
#[must_use]
pub fn run(
    flows: Vec<Placed>,
    forward: &BottleneckPlan,
    backward: &BottleneckPlan,
    lasts: Duration,
    seed: u64,
) -> Course {
    let courses = flows
        .iter()
        .map(|placed| FlowCourse {
            one_way: placed.one_way,
            reversed: placed.reversed,
            ..FlowCourse::default()
        })
        .collect();
    let mut lab = Lab {
        flows,
        forward: Bottleneck::new(forward.clone(), seed, LANE_FORWARD),
        backward: Bottleneck::new(backward.clone(), seed, LANE_BACKWARD),
        under_way: BinaryHeap::new(),
        order: 0,
        course: Course { flows: courses, lasts, ..Course::default() },
    };
    lab.run(lasts);
    lab.course.hash = lab.course.trace.hash();
    lab.course
}

impl Lab {
    fn run(&mut self, lasts: Duration) {
        let mut out = Outbox::default();
        let mut next_reading = Duration::ZERO;
        let mut now = Duration::ZERO;
        let mut calls = 0;
        loop {
            let before = now;
            let timers = self.flows.iter().enumerate().filter_map(|(index, placed)| {
                placed.flow.poll_timeout().map(|at| (at.max(now), index))
            });
            let timer = timers.min();
            let arrival = self.under_way.peek().map(|arrival| arrival.at);
            let next = [timer.map(|(at, _)| at), arrival, Some(next_reading)];
            now = next.into_iter().flatten().min().unwrap_or(lasts);
            if now >= lasts {
                return;
            }
            calls = if now == before { calls + 1 } else { 0 };
            assert!(calls < CALLS_MAX, "a flow wants to be called at {now:?} again and again");
            if now == next_reading {
                next_reading += READING_INTERVAL;
                self.read(now);
            } else if arrival == Some(now) {
                let Some(arrival) = self.under_way.pop() else { return };
                let flow = arrival.flow;
                let placed = &mut self.flows[flow];
                placed.flow.handle_packet(now, arrival.side, arrival.packet, &mut out);
                self.carry(now, flow, &mut out);
            } else if let Some((_, flow)) = timer {
                self.flows[flow].flow.handle_timeout(now, &mut out);
                self.carry(now, flow, &mut out);
            }
        }
    }

    fn read(&mut self, now: Duration) {
        self.course.waits.push(self.forward.wait(now));
        for (placed, course) in self.flows.iter().zip(&mut self.course.flows) {
            let reading = placed.flow.reading();
            self.course.trace.pair(reading.target_bps, 1);
            course.readings.push(reading);
        }
    }

    /// Takes what a flow has put out.
    fn carry(&mut self, now: Duration, flow: usize, out: &mut Outbox) {
        let course = &mut self.course.flows[flow];
        if out.useful > 0 {
            course.useful.push((now, std::mem::take(&mut out.useful)));
        }
        course.probes.extend(out.probes.drain(..).map(|rate| (now, rate)));
        course.captured.append(&mut out.captured);
        course.shown.extend(out.frames.drain(..).map(|shown| (now, shown)));
        let reversed = self.flows[flow].reversed;
        for packet in out.data.drain(..) {
            self.send(now, flow, Side::Receiver, reversed, packet);
        }
        for packet in out.back.drain(..) {
            self.send(now, flow, Side::Sender, !reversed, packet);
        }
    }

    fn send(&mut self, now: Duration, flow: usize, side: Side, backward: bool, packet: Packet) {
        let bottleneck = if backward { &mut self.backward } else { &mut self.forward };
        let passage = bottleneck.send(now, packet.bytes);
        if side == Side::Receiver {
            let fate = match passage {
                Passage::Through { waited, .. } => Fate::Through(waited),
                Passage::Lost { .. } => Fate::Lost,
                Passage::Dropped => Fate::Dropped,
            };
            let sent = Sent { at: now, bytes: packet.bytes, class: packet.class, fate };
            self.course.flows[flow].sent.push(sent);
        }
        let Passage::Through { at, .. } = passage else { return };
        let at = at + self.flows[flow].one_way;
        let nanos = u64::try_from(at.as_nanos()).unwrap_or(0);
        self.course.trace.pair(nanos, u64::from(packet.bytes));
        self.order += 1;
        self.under_way.push(Arrival { at, order: self.order, flow, side, packet });
    }
}
