//! A TCP flow in segments: slow start, congestion avoidance (NewReno or CUBIC), fast retransmit
//! and recovery, retransmission timeout (RFC 5681, 6582, 6298, 9438). Long-lived, or files with
//! pauses in between.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use super::flow::{Body, Class, Flow, Outbox, Packet, Reading, Side};
use crate::random::{self, Pcg64Mcg, fraction};

/// A segment with its headers, at the IP level.
const SEGMENT_BYTES: u32 = 1500;
const ACK_BYTES: u32 = 40;
/// RFC 6928.
const INITIAL_WINDOW: f64 = 10.0;
/// What the receiver lets be under way: 512 kB, above any queue of the lab.
const WINDOW_MAX: f64 = 350.0;
const RTO_MIN: Duration = Duration::from_millis(200);
const RTO_MAX: Duration = Duration::from_secs(60);

/// How the window grows outside slow start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Growth {
    /// One segment per round trip; halved on loss.
    Reno,
    /// CUBIC; to 0.7 on loss.
    Cubic,
}

/// What a TCP flow transfers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Transfer {
    /// Without end.
    Endless,
    /// Without end until then, since the start of the run: what is under way then is the last.
    Until(Duration),
    /// Files of uniform size between these bytes, with exponential pauses of this mean
    /// (RFC 8867 §5.7).
    Files(u32, u32, Duration),
}

/// A TCP flow with both of its ends.
#[derive(Debug)]
pub struct TcpFlow {
    growth: Growth,
    transfer: Transfer,
    rng: Pcg64Mcg,
    window: f64,
    threshold: f64,
    /// Segments there are to send; the file's end.
    available: u64,
    /// When the next file begins.
    next_file: Option<Duration>,
    next: u64,
    acknowledged: u64,
    duplicates: u32,
    /// Until this is acknowledged, losses are of one and the same event.
    recovery: Option<u64>,
    cubic: Cubic,
    sent_at: VecDeque<(u64, Duration)>,
    rtt: Option<(Duration, Duration)>,
    rto: Duration,
    deadline: Option<Duration>,
    /// The receiver: the first not received, and what it has beyond.
    expected: u64,
    beyond: BTreeSet<u64>,
}

#[derive(Debug, Default)]
struct Cubic {
    before_loss: f64,
    since: Option<Duration>,
}

impl Cubic {
    /// RFC 9438 §4.1, segments and seconds.
    const C: f64 = 0.4;
    const BETA: f64 = 0.7;

    /// The window a round trip from now (RFC 9438 §4.2).
    fn wanted(&mut self, now: Duration, rtt: Duration, window: f64) -> f64 {
        let before = self.before_loss.max(window.min(self.before_loss.max(window)));
        let since = *self.since.get_or_insert(now);
        let k = (before * (1.0 - Self::BETA) / Self::C).cbrt();
        let t = (now - since + rtt).as_secs_f64();
        let cubic = Self::C * (t - k).powi(3) + before;
        // The Reno-friendly region (§4.3).
        let alpha = 3.0 * (1.0 - Self::BETA) / (1.0 + Self::BETA);
        let rounds = t / rtt.as_secs_f64().max(0.001);
        cubic.max(before * Self::BETA + alpha * rounds)
    }
}

impl TcpFlow {
    /// A flow that begins at `start`.
    #[must_use]
    pub fn new(growth: Growth, transfer: Transfer, start: Duration, seed: u64, lane: u64) -> Self {
        Self {
            growth,
            transfer,
            rng: random::generator(seed, lane),
            window: INITIAL_WINDOW,
            threshold: f64::INFINITY,
            available: 0,
            next_file: Some(start),
            next: 0,
            acknowledged: 0,
            duplicates: 0,
            recovery: None,
            cubic: Cubic::default(),
            sent_at: VecDeque::new(),
            rtt: None,
            rto: Duration::from_secs(1),
            deadline: None,
            expected: 0,
            beyond: BTreeSet::new(),
        }
    }

    /// The congestion window in segments.
    #[must_use]
    pub fn window(&self) -> f64 {
        self.window
    }

    fn begin_file(&mut self) {
        self.next_file = None;
        match self.transfer {
            Transfer::Endless | Transfer::Until(_) => self.available = u64::MAX,
            Transfer::Files(least, most, _) => {
                let bytes = f64::from(least) + fraction(&mut self.rng) * f64::from(most - least);
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small")]
                let segments = (bytes / f64::from(SEGMENT_BYTES - 40)).ceil() as u64;
                self.available = self.next + segments;
                // Each file is a connection of its own.
                self.window = INITIAL_WINDOW;
                self.threshold = f64::INFINITY;
            }
        }
    }

    fn end_file(&mut self, now: Duration) {
        let Transfer::Files(_, _, mean) = self.transfer else { return };
        if self.acknowledged < self.available || self.next_file.is_some() {
            return;
        }
        let pause = mean.mul_f64(-(1.0 - fraction(&mut self.rng)).ln());
        self.next_file = Some(now + pause);
        self.deadline = None;
    }

    fn transmit(&mut self, now: Duration, segment: u64, out: &mut Outbox) {
        let body = Body::Segment(segment);
        out.data.push(Packet { bytes: SEGMENT_BYTES, class: Class::Media, body });
        self.deadline.get_or_insert(now + self.rto);
    }

    #[allow(clippy::cast_precision_loss, reason = "a few hundred segments")]
    fn pump(&mut self, now: Duration, out: &mut Outbox) {
        if matches!(self.transfer, Transfer::Until(end) if now >= end) {
            self.available = self.available.min(self.next);
        }
        // During recovery each duplicate tells that one more has left (RFC 6582 §3.2).
        let inflated = if self.recovery.is_some() { f64::from(self.duplicates) } else { 0.0 };
        let window = (self.window + inflated).min(WINDOW_MAX);
        while self.next < self.available && ((self.next - self.acknowledged) as f64) + 1.0 <= window
        {
            self.sent_at.push_back((self.next, now));
            self.transmit(now, self.next, out);
            self.next += 1;
        }
    }

    fn measure(&mut self, now: Duration, acknowledged: u64) {
        let mut sample = None;
        while let Some(&(segment, at)) = self.sent_at.front()
            && segment < acknowledged
        {
            sample = Some(now - at);
            self.sent_at.pop_front();
        }
        // After a retransmission it is not known which one was acknowledged (RFC 6298 §3).
        let Some(sample) = sample.filter(|_| self.recovery.is_none()) else { return };
        let (smoothed, variation) = self.rtt.map_or((sample, sample / 2), |(rtt, variation)| {
            (rtt * 7 / 8 + sample / 8, variation * 3 / 4 + rtt.abs_diff(sample) / 4)
        });
        self.rtt = Some((smoothed, variation));
        self.rto = (smoothed + variation * 4).clamp(RTO_MIN, RTO_MAX);
    }

    fn grow(&mut self, now: Duration, acknowledged: u64) {
        #[allow(clippy::cast_precision_loss, reason = "a few hundred segments")]
        let count = acknowledged as f64;
        if self.window < self.threshold {
            self.window = (self.window + count).min(WINDOW_MAX);
            return;
        }
        let rtt = self.rtt.map_or(RTO_MIN, |(rtt, _)| rtt);
        let step = match self.growth {
            Growth::Reno => 1.0 / self.window,
            Growth::Cubic => {
                let wanted = self.cubic.wanted(now, rtt, self.window);
                ((wanted - self.window) / self.window).clamp(0.0, 0.5)
            }
        };
        self.window = (self.window + step * count).min(WINDOW_MAX);
    }

    fn reduce(&mut self) {
        let share = match self.growth {
            Growth::Reno => 0.5,
            Growth::Cubic => Cubic::BETA,
        };
        self.cubic = Cubic { before_loss: self.window, since: None };
        self.threshold = (self.window * share).max(2.0);
    }

    fn handle_ack(&mut self, now: Duration, ack: u64, out: &mut Outbox) {
        if ack > self.acknowledged {
            let fresh = ack - self.acknowledged;
            self.measure(now, ack);
            self.acknowledged = ack;
            // After a timeout, what had arrived before it is acknowledged in one go.
            self.next = self.next.max(ack);
            self.deadline = (ack < self.next).then_some(now + self.rto);
            match self.recovery {
                Some(end) if ack < end => {
                    // The next hole (RFC 6582 §3.2, partial acknowledgement).
                    let fresh = u32::try_from(fresh).unwrap_or(u32::MAX);
                    self.duplicates = self.duplicates.saturating_sub(fresh) + 1;
                    self.transmit(now, ack, out);
                }
                Some(_) => {
                    self.recovery = None;
                    self.duplicates = 0;
                    self.window = self.threshold;
                }
                None => {
                    self.duplicates = 0;
                    self.grow(now, fresh);
                }
            }
        } else if self.next > self.acknowledged {
            self.duplicates += 1;
            if self.duplicates == 3 && self.recovery.is_none() {
                self.reduce();
                self.window = self.threshold;
                self.recovery = Some(self.next);
                self.transmit(now, self.acknowledged, out);
            }
        }
        self.pump(now, out);
        self.end_file(now);
    }

    fn time_out(&mut self, now: Duration, out: &mut Outbox) {
        self.reduce();
        self.window = 1.0;
        self.recovery = None;
        self.duplicates = 0;
        self.sent_at.clear();
        // Everything under way counts as lost; what did arrive is acknowledged at once.
        self.next = self.acknowledged;
        self.rto = (self.rto * 2).min(RTO_MAX);
        self.deadline = None;
        self.pump(now, out);
    }

    fn handle_segment(&mut self, segment: u64, out: &mut Outbox) {
        if segment >= self.expected && self.beyond.insert(segment) {
            out.useful += SEGMENT_BYTES;
        }
        while self.beyond.remove(&self.expected) {
            self.expected += 1;
        }
        let body = Body::Ack(self.expected);
        out.back.push(Packet { bytes: ACK_BYTES, class: Class::Control, body });
    }
}

impl Flow for TcpFlow {
    fn poll_timeout(&self) -> Option<Duration> {
        [self.next_file, self.deadline].into_iter().flatten().min()
    }

    fn handle_timeout(&mut self, now: Duration, out: &mut Outbox) {
        if self.next_file.is_some_and(|at| at <= now) {
            self.begin_file();
        }
        if self.deadline.is_some_and(|at| at <= now) {
            self.time_out(now, out);
        }
        self.pump(now, out);
    }

    fn handle_packet(&mut self, now: Duration, at: Side, packet: Packet, out: &mut Outbox) {
        match (at, packet.body) {
            (Side::Receiver, Body::Segment(segment)) => self.handle_segment(segment, out),
            (Side::Sender, Body::Ack(ack)) => self.handle_ack(now, ack, out),
            _ => {}
        }
    }

    fn reading(&self) -> Reading {
        Reading::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::bottleneck::BottleneckPlan;
    use crate::lab::course::{Course, Fate};
    use crate::lab::metric::jain;
    use crate::lab::run::{Placed, run};

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Flows of these kinds on 4 Mbit/s with 100 ms of queue and a round trip of 40 ms.
    fn course(growths: &[Growth], transfer: Transfer, seconds: u64) -> Course {
        let forward = BottleneckPlan {
            queue: Duration::from_millis(100),
            ..BottleneckPlan::new(vec![(s(0), 4_000_000)])
        };
        let flows = growths.iter().zip(0u32..).map(|(growth, index)| {
            let start = Duration::from_millis(700) * index;
            let flow = TcpFlow::new(*growth, transfer, start, 1, u64::from(index));
            let one_way = Duration::from_millis(20);
            Placed { flow: Box::new(flow), one_way, reversed: false }
        });
        run(flows.collect(), &forward, &BottleneckPlan::new(Vec::new()), s(seconds), 1)
    }

    #[test]
    fn one_flow_fills_the_pipe() {
        for growth in [Growth::Reno, Growth::Cubic] {
            let course = course(&[growth], Transfer::Endless, 60);
            let goodput = course.flows[0].goodput_bps(&(s(5)..s(60)));
            assert!((3.8e6..4.01e6).contains(&goodput), "{growth:?}: {goodput}");
            let dropped = course.flows[0].sent.iter().filter(|sent| sent.fate == Fate::Dropped);
            assert!(dropped.count() > 5, "{growth:?} goes on until the queue is full");
        }
    }

    #[test]
    fn two_flows_share_it() {
        for growth in [Growth::Reno, Growth::Cubic] {
            let course = course(&[growth; 2], Transfer::Endless, 180);
            let rates: Vec<_> =
                course.flows.iter().map(|flow| flow.goodput_bps(&(s(30)..s(180)))).collect();
            assert!(jain(&rates) > 0.9, "{growth:?}: {rates:?}");
            assert!(rates.iter().sum::<f64>() > 3.7e6, "{growth:?}: {rates:?}");
        }
    }

    /// The acknowledgement that the receiver gives for these segments, in order.
    fn acknowledge(flow: &mut TcpFlow, now: Duration, ack: u64) -> Vec<u64> {
        let packet = Packet { bytes: ACK_BYTES, class: Class::Control, body: Body::Ack(ack) };
        let mut out = Outbox::default();
        flow.handle_packet(now, Side::Sender, packet, &mut out);
        let segments = out.data.into_iter().map(|packet| match packet.body {
            Body::Segment(segment) => segment,
            other => panic!("{other:?}"),
        });
        segments.collect()
    }

    #[test]
    fn three_duplicates_halve_the_window_and_repeat_the_segment_once() {
        let mut flow = TcpFlow::new(Growth::Reno, Transfer::Endless, s(0), 1, 1);
        let mut out = Outbox::default();
        flow.handle_timeout(s(0), &mut out);
        assert_eq!(out.data.len(), 10, "the initial window");
        let now = Duration::from_millis(40);
        assert_eq!(acknowledge(&mut flow, now, 10).len(), 20, "slow start doubles it");
        assert_eq!(acknowledge(&mut flow, now, 10), [0; 0]);
        assert_eq!(acknowledge(&mut flow, now, 10), [0; 0]);
        assert_eq!(acknowledge(&mut flow, now, 10), [10], "fast retransmit");
        assert!((flow.window() - 10.0).abs() < 1e-9, "{}", flow.window());
        assert_eq!(acknowledge(&mut flow, now, 10), [0; 0], "one loss, one reduction");
        assert_eq!(acknowledge(&mut flow, now, 15), [15], "the next hole");
        acknowledge(&mut flow, now, 30);
        assert!((flow.window() - 10.0).abs() < 1e-9, "{}", flow.window());
        assert_eq!(flow.next, 40, "ten are under way again");
    }

    #[test]
    fn silence_ends_in_a_timeout_with_a_window_of_one() {
        let mut flow = TcpFlow::new(Growth::Reno, Transfer::Endless, s(0), 1, 1);
        flow.handle_timeout(s(0), &mut Outbox::default());
        assert_eq!(flow.poll_timeout(), Some(s(1)));
        let mut out = Outbox::default();
        flow.handle_timeout(s(1), &mut out);
        assert_eq!(out.data.len(), 1);
        assert_eq!(flow.poll_timeout(), Some(s(3)), "the next one waits twice as long");
    }

    #[test]
    fn files_have_pauses_between_them() {
        let transfer = Transfer::Files(100_000, 200_000, s(2));
        let course = course(&[Growth::Reno], transfer, 120);
        let seconds = (0..120).map(|i| course.flows[0].bytes_useful(&(s(i)..s(i + 1))));
        let silent = seconds.filter(|bytes| *bytes == 0).count();
        assert!((30..110).contains(&silent), "{silent} silent seconds");
        let bytes = course.flows[0].bytes_useful(&(s(0)..s(120)));
        assert!((2_000_000..12_000_000).contains(&bytes), "{bytes}");
    }
}
