//! One sender, one drop-tail link, one receiver; steps of a millisecond.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rand_core::Rng;
use rand_pcg::Pcg32;

use crate::bandwidth::send_side::OVERHEAD_BYTES;
use crate::bandwidth::{BandwidthConfig, Departure, Probe, ProbeId, SendSide, SentKind};
use crate::id::Ssrc;
use crate::publish::twcc::TwccRecorder;

pub(super) const MEDIA: Ssrc = Ssrc(0x1111);
const PADDING: Ssrc = Ssrc(0x2222);
const PAYLOAD: usize = 1172;
/// As much as RTP padding holds (RFC 3550 §5.1), and a header with extensions.
const PADDING_PAYLOAD: usize = 255 + 28;
pub(super) const STEP: Duration = Duration::from_millis(1);

/// What a run is about; the defaults are those of RFC 8867.
#[derive(Clone)]
pub(super) struct Setup {
    pub(super) seed: u64,
    /// Capacity in bit/s from a second on.
    pub(super) capacity: Vec<(f64, u64)>,
    pub(super) one_way: Duration,
    pub(super) queue: Duration,
    /// Share of packets lost at random before the queue.
    pub(super) loss: f64,
    /// Extra delay behind the queue, up to this, without reordering.
    pub(super) jitter: Duration,
    pub(super) feedback: Duration,
    pub(super) format: Format,
    /// Share of feedback lost, doubled, or overtaken by the next.
    pub(super) feedback_lost: f64,
    pub(super) feedback_doubled: f64,
    pub(super) feedback_swapped: f64,
    /// What the source would send, and what is wanted, from a second on.
    pub(super) demand: Vec<(f64, u64)>,
    /// In frames of a 30th of a second, rather than evenly.
    pub(super) frames: bool,
    pub(super) pacing: f64,
    /// Neither way anything gets through, from and to a second.
    pub(super) outage: Option<(f64, f64)>,
    /// Feedback only does not get through.
    pub(super) feedback_outage: Option<(f64, f64)>,
    /// The receiver's machine has no time now and then.
    pub(super) stalls: Option<Stalls>,
    pub(super) config: BandwidthConfig,
    /// Packets sent before the run, for other places of the numbers.
    pub(super) numbered: u16,
    pub(super) sequence: u16,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Format {
    Twcc,
    Ccfb,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            seed: 1,
            capacity: vec![(0.0, 1_000_000)],
            one_way: Duration::from_millis(50),
            queue: Duration::from_millis(300),
            loss: 0.0,
            jitter: Duration::ZERO,
            feedback: Duration::from_millis(50),
            format: Format::Twcc,
            feedback_lost: 0.0,
            feedback_doubled: 0.0,
            feedback_swapped: 0.0,
            demand: vec![(0.0, 50_000_000)],
            frames: false,
            pacing: 1.2,
            outage: None,
            feedback_outage: None,
            stalls: None,
            config: BandwidthConfig::default(),
            numbered: 0,
            sequence: 0,
        }
    }
}

/// How a receiver's machine stalls: for a random time within these, in ms, and again after another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stalls {
    pub(super) length: (u64, u64),
    pub(super) apart: (u64, u64),
    /// Packets read each ms after a stall, while there are any: at most so many.
    pub(super) reads: u64,
    /// Only reports wait, as when the socket has a process of its own.
    pub(super) only_reports: bool,
}

/// What a millisecond was like.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    pub(super) capacity: u64,
    pub(super) target: u64,
    /// Bytes on the wire.
    pub(super) sent: u64,
    pub(super) delivered: u64,
    pub(super) delivered_media: u64,
    pub(super) packets: u64,
    /// Dropped at the queue's end.
    pub(super) dropped: u64,
    pub(super) queue: Duration,
}

struct Flying {
    at: Instant,
    sequence: u16,
    ssrc: Ssrc,
    rtp_sequence: u16,
    bytes: usize,
    padding: bool,
}

pub(super) struct World {
    setup: Setup,
    pub(super) sender: SendSide,
    start: Instant,
    now: Instant,
    rng: Pcg32,
    // Source and pacer.
    backlog: f64,
    allowance: f64,
    frame_due: Duration,
    probe: Option<(Probe, Instant, u64, u32)>,
    sequence: [u16; 2],
    // Link.
    queue: VecDeque<Flying>,
    queue_bytes: usize,
    served: f64,
    wire: VecDeque<Flying>,
    // Receiver.
    recorder: TwccRecorder,
    arrivals: Vec<(Ssrc, u16, Instant)>,
    next_report: [u16; 2],
    feedback_due: Instant,
    /// From and to when it reads nothing, or sends nothing; and how much it reads in a ms after it.
    stalled: (Instant, Instant),
    reads: u64,
    dice: Pcg32,
    back: VecDeque<(Instant, Vec<u8>)>,
    pub(super) samples: Vec<Sample>,
    pub(super) probes: Vec<(f64, Probe)>,
    pub(super) probed: Vec<u64>,
}

fn at(schedule: &[(f64, u64)], seconds: f64) -> u64 {
    schedule.iter().rev().find(|(from, _)| seconds >= *from).map_or(0, |&(_, value)| value)
}

fn within(span: Option<(f64, f64)>, seconds: f64) -> bool {
    span.is_some_and(|(from, to)| (from..to).contains(&seconds))
}

impl World {
    pub(super) fn new(setup: Setup) -> Self {
        let start = super::origin();
        let mut sender = SendSide::new(start, setup.config);
        for n in 0..setup.numbered {
            sender.record(
                start,
                Departure {
                    ssrc: Ssrc(9),
                    sequence: n,
                    bytes: 0,
                    kind: SentKind::Padding,
                    probe: None,
                },
            );
        }
        let first = setup.sequence;
        Self {
            sender,
            start,
            now: start,
            rng: Pcg32::new(setup.seed, 7),
            backlog: 0.0,
            allowance: 0.0,
            frame_due: Duration::ZERO,
            probe: None,
            sequence: [first; 2],
            queue: VecDeque::new(),
            queue_bytes: 0,
            served: 0.0,
            wire: VecDeque::new(),
            recorder: TwccRecorder::default(),
            arrivals: Vec::new(),
            next_report: [first; 2],
            feedback_due: start + setup.feedback,
            stalled: (start, start),
            reads: u64::MAX,
            dice: Pcg32::new(setup.seed, 11),
            back: VecDeque::new(),
            samples: Vec::new(),
            probes: Vec::new(),
            probed: Vec::new(),
            setup,
        }
    }

    pub(super) fn run(setup: Setup, seconds: f64) -> Self {
        let mut world = Self::new(setup);
        world.go_on(seconds);
        world
    }

    pub(super) fn go_on(&mut self, seconds: f64) {
        for _ in 0..(seconds * 1000.0) as u64 {
            self.step();
        }
    }

    pub(super) fn seconds(&self) -> f64 {
        (self.now - self.start).as_secs_f64()
    }

    fn step(&mut self) {
        self.now += STEP;
        let seconds = self.seconds();
        self.samples.push(Sample {
            capacity: at(&self.setup.capacity, seconds),
            target: 0,
            sent: 0,
            delivered: 0,
            delivered_media: 0,
            packets: 0,
            dropped: 0,
            queue: Duration::ZERO,
        });
        self.hear();
        let wanted = at(&self.setup.demand, seconds);
        let target = self.sender.estimate().target_bps;
        self.sender.set_demand(self.now, wanted, wanted.min(target));
        if self.sender.poll_timeout().is_some_and(|due| due <= self.now) {
            self.sender.handle_timeout(self.now);
        }
        self.send(wanted);
        self.serve();
        self.arrive();
        let target = self.sender.estimate().target_bps;
        let capacity = at(&self.setup.capacity, seconds);
        let queue = self.queue_bytes as f64 * 8.0 / capacity as f64;
        let sample = self.samples.last_mut().unwrap();
        sample.target = target;
        sample.queue = Duration::from_secs_f64(queue);
        while let Some(bps) = self.sender.poll_probed() {
            self.probed.push(bps);
        }
    }

    fn send(&mut self, wanted: u64) {
        let target = self.sender.estimate().target_bps as f64;
        let source = target.min(wanted as f64);
        if !self.setup.frames {
            self.backlog += source / 8000.0;
        } else if self.now - self.start >= self.frame_due {
            self.frame_due += Duration::from_micros(33_333);
            self.backlog += source / 8.0 / 30.0;
        }
        self.backlog = self.backlog.min(target / 8.0);
        if self.probe.is_none()
            && let Some(probe) = self.sender.poll_probe(self.now)
        {
            self.probes.push((self.seconds(), probe));
            self.probe = Some((probe, self.now, 0, 0));
        }
        let size = (PAYLOAD + OVERHEAD_BYTES) as f64;
        if let Some((probe, since, mut bytes, mut packets)) = self.probe {
            let elapsed = (self.now - since).as_secs_f64();
            let rate = probe.bitrate_bps as f64 / 8.0;
            while rate * elapsed >= bytes as f64 {
                let padding = self.backlog < size;
                if !padding {
                    self.backlog -= size;
                }
                bytes += self.transmit(padding, Some(probe.id)) as u64;
                packets += 1;
                let asked = rate * probe.duration.as_secs_f64();
                if bytes as f64 >= asked && packets >= u32::from(probe.packets_min) {
                    self.probe = None;
                    self.allowance = 0.0;
                    return;
                }
            }
            self.probe = Some((probe, since, bytes, packets));
            return;
        }
        self.allowance = (self.allowance + self.setup.pacing * target / 8000.0).min(2.0 * size);
        while self.backlog >= size && self.allowance >= size {
            self.backlog -= size;
            self.allowance -= size;
            self.transmit(false, None);
        }
    }

    fn transmit(&mut self, padding: bool, probe: Option<ProbeId>) -> usize {
        let payload = if padding { PADDING_PAYLOAD } else { PAYLOAD };
        let ssrc = if padding { PADDING } else { MEDIA };
        let rtp_sequence = self.sequence[usize::from(padding)];
        self.sequence[usize::from(padding)] = rtp_sequence.wrapping_add(1);
        let sequence = self.sender.next_sequence();
        let kind = if padding { SentKind::Padding } else { SentKind::Video };
        let departure = Departure { ssrc, sequence: rtp_sequence, bytes: payload, kind, probe };
        self.sender.record(self.now, departure);
        let bytes = payload + OVERHEAD_BYTES;
        let sample = self.samples.last_mut().unwrap();
        sample.sent += bytes as u64;
        sample.packets += 1;
        let limit = sample.capacity as f64 / 8.0 * self.setup.queue.as_secs_f64();
        let seconds = (self.now - self.start).as_secs_f64();
        if self.rng.next_u32() as f64 / 4_294_967_296.0 < self.setup.loss
            || within(self.setup.outage, seconds)
        {
            return bytes;
        }
        if (self.queue_bytes + bytes) as f64 > limit {
            sample.dropped += 1;
            return bytes;
        }
        self.queue_bytes += bytes;
        self.queue.push_back(Flying { at: self.now, sequence, ssrc, rtp_sequence, bytes, padding });
        bytes
    }

    fn serve(&mut self) {
        let capacity = self.samples.last().unwrap().capacity;
        self.served += capacity as f64 / 8000.0;
        while let Some(first) = self.queue.front()
            && first.bytes as f64 <= self.served
        {
            let mut packet = self.queue.pop_front().unwrap();
            // Within the step, as exactly as the receiver's clock is.
            self.served -= packet.bytes as f64;
            self.queue_bytes -= packet.bytes;
            let early = Duration::from_secs_f64(self.served * 8.0 / capacity as f64).min(STEP);
            let jitter = self.setup.jitter.mul_f64(self.rng.next_u32() as f64 / 4_294_967_296.0);
            packet.at = self.now + self.setup.one_way + jitter - early;
            if let Some(before) = self.wire.back() {
                packet.at = packet.at.max(before.at);
            }
            self.wire.push_back(packet);
        }
        if self.queue.is_empty() {
            self.served = 0.0;
        }
    }

    /// Whether the receiver's machine has no time.
    fn is_stalled(&mut self) -> bool {
        let Some(stalls) = self.setup.stalls else { return false };
        if self.now >= self.stalled.1 {
            let dice = &mut self.dice;
            let mut from = |(least, most): (u64, u64)| {
                Duration::from_millis(least + u64::from(dice.next_u32()) % (most - least + 1))
            };
            let begin = self.now + from(stalls.apart);
            self.stalled = (begin, begin + from(stalls.length));
            self.reads = 1 + u64::from(dice.next_u32()) % stalls.reads;
        }
        self.now >= self.stalled.0
    }

    fn arrive(&mut self) {
        let is_stalled = self.is_stalled();
        let only_reports = self.setup.stalls.is_some_and(|stalls| stalls.only_reports);
        if is_stalled && !only_reports {
            return;
        }
        let mut reads = if self.setup.stalls.is_some() { self.reads } else { u64::MAX };
        while reads > 0 && self.wire.front().is_some_and(|packet| packet.at <= self.now) {
            let mut packet = self.wire.pop_front().unwrap();
            reads -= 1;
            if self.setup.stalls.is_some() {
                packet.at = self.now;
            }
            let sample = self.samples.last_mut().unwrap();
            sample.delivered += packet.bytes as u64;
            if !packet.padding {
                sample.delivered_media += packet.bytes as u64;
            }
            self.recorder.on_packet(packet.at, packet.sequence);
            self.arrivals.push((packet.ssrc, packet.rtp_sequence, packet.at));
        }
        if self.now < self.feedback_due || is_stalled {
            return;
        }
        self.feedback_due = self.now + self.setup.feedback;
        let blocks = self.report();
        for block in blocks {
            self.send_back(block);
        }
    }

    fn send_back(&mut self, block: Vec<u8>) {
        let mut chance = || self.rng.next_u32() as f64 / 4_294_967_296.0;
        let (lost, doubled, swapped) = (chance(), chance(), chance());
        let seconds = (self.now - self.start).as_secs_f64();
        if lost < self.setup.feedback_lost
            || within(self.setup.outage, seconds)
            || within(self.setup.feedback_outage, seconds)
        {
            return;
        }
        let due = self.now + self.setup.one_way;
        if doubled < self.setup.feedback_doubled {
            self.back.push_back((due, block.clone()));
        }
        self.back.push_back((due, block));
        let last = self.back.len() - 1;
        if last > 0 && swapped < self.setup.feedback_swapped {
            self.back.swap(last, last - 1);
        }
    }

    fn report(&mut self) -> Vec<Vec<u8>> {
        match self.setup.format {
            Format::Twcc => {
                let mut blocks = Vec::new();
                loop {
                    let mut block = Vec::new();
                    if !self.recorder.build(self.now, Ssrc(3), MEDIA, &mut block) {
                        return blocks;
                    }
                    blocks.push(block);
                }
            }
            Format::Ccfb if self.arrivals.is_empty() => Vec::new(),
            Format::Ccfb => {
                let mut body = 3u32.to_be_bytes().to_vec();
                for (n, ssrc) in [MEDIA, PADDING].into_iter().enumerate() {
                    let of_source: Vec<_> =
                        self.arrivals.iter().filter(|(of, ..)| *of == ssrc).collect();
                    let Some(&&(_, highest, _)) = of_source.last() else { continue };
                    let begin = self.next_report[n];
                    let count = highest.wrapping_sub(begin).wrapping_add(1);
                    self.next_report[n] = highest.wrapping_add(1);
                    body.extend(ssrc.0.to_be_bytes());
                    body.extend(begin.to_be_bytes());
                    body.extend(count.to_be_bytes());
                    for sequence in (0..count).map(|n| begin.wrapping_add(n)) {
                        let arrived = of_source.iter().find(|(_, of, _)| *of == sequence);
                        let word = arrived.map_or(0u16, |&&(_, _, at)| {
                            0x8000 | ((self.now - at).as_secs_f64() * 1024.0) as u16
                        });
                        body.extend(word.to_be_bytes());
                    }
                    if count % 2 == 1 {
                        body.extend([0, 0]);
                    }
                }
                self.arrivals.clear();
                let timestamp = (self.seconds() * 65536.0) as u64 + 0xfff0_0000;
                body.extend((timestamp as u32).to_be_bytes());
                let mut block = vec![0x8b, 205];
                block.extend(((body.len() / 4) as u16).to_be_bytes());
                block.extend(body);
                vec![block]
            }
        }
    }

    fn hear(&mut self) {
        while self.back.front().is_some_and(|(due, _)| *due <= self.now) {
            let (_, block) = self.back.pop_front().unwrap();
            match self.setup.format {
                Format::Twcc => self.sender.on_twcc(self.now, &block).unwrap(),
                Format::Ccfb => self.sender.on_ccfb(self.now, &block).unwrap(),
            }
        }
    }

    fn span(&self, from: f64, to: f64) -> &[Sample] {
        let last = self.samples.len();
        &self.samples[((from * 1000.0) as usize).min(last)..((to * 1000.0) as usize).min(last)]
    }

    /// Media delivered, as a share of the capacity.
    pub(super) fn goodput(&self, from: f64, to: f64) -> f64 {
        let span = self.span(from, to);
        let capacity: f64 = span.iter().map(|sample| sample.capacity as f64 / 8000.0).sum();
        span.iter().map(|sample| sample.delivered_media as f64).sum::<f64>() / capacity
    }

    /// Share of packets dropped at the queue's end.
    pub(super) fn dropped(&self, from: f64, to: f64) -> f64 {
        let span = self.span(from, to);
        let sent = span.iter().map(|sample| sample.packets).sum::<u64>().max(1);
        span.iter().map(|sample| sample.dropped).sum::<u64>() as f64 / sent as f64
    }

    pub(super) fn queue_p95_ms(&self, from: f64, to: f64) -> u64 {
        let mut queue: Vec<_> = self.span(from, to).iter().map(|sample| sample.queue).collect();
        queue.sort();
        queue[queue.len() * 95 / 100].as_millis() as u64
    }

    /// Seconds from `from` until 100 ms of media come at a rate of `bps`.
    pub(super) fn reaches(&self, from: f64, bps: u64) -> f64 {
        let span = self.span(from, f64::MAX);
        let rate = |window: &[Sample]| {
            window.iter().map(|sample| sample.delivered_media).sum::<u64>() * 8 * 1000
                / window.len() as u64
        };
        span.windows(200)
            .position(|window| rate(window) >= bps)
            .map_or(f64::INFINITY, |n| (n + 200) as f64 / 1000.0)
    }

    pub(super) fn target_max(&self, from: f64, to: f64) -> u64 {
        self.span(from, to).iter().map(|sample| sample.target).max().unwrap()
    }

    pub(super) fn target_mean(&self, from: f64, to: f64) -> f64 {
        let span = self.span(from, to);
        span.iter().map(|sample| sample.target as f64).sum::<f64>() / span.len() as f64
    }

    /// The least estimate, and when.
    pub(super) fn target_min(&self, from: f64, to: f64) -> (f64, u64) {
        let least = self.span(from, to).iter().enumerate().min_by_key(|(_, sample)| sample.target);
        least.map(|(n, sample)| (from + n as f64 / 1000.0, sample.target)).unwrap()
    }

    /// Seconds from `from` until the first moment at which something holds.
    pub(super) fn first(&self, from: f64, holds: impl Fn(&Sample) -> bool) -> f64 {
        let found = self.span(from, f64::MAX).iter().position(holds);
        found.map_or(f64::INFINITY, |n| n as f64 / 1000.0)
    }

    /// For a look at a run: rates in kbit/s every so many ms.
    pub(super) fn trace(&self, from: f64, to: f64, every: usize) -> String {
        let mut text = String::new();
        for (n, window) in self.span(from, to).chunks(every).enumerate() {
            let last = window.last().unwrap();
            let kbps =
                |f: fn(&Sample) -> u64| window.iter().map(f).sum::<u64>() * 8 / window.len() as u64;
            text += &format!(
                "{:7.2} cap {:5} target {:5} sent {:5} got {:5} queue {:4} dropped {}\n",
                from + (n * every) as f64 / 1000.0,
                last.capacity / 1000,
                last.target / 1000,
                kbps(|s| s.sent),
                kbps(|s| s.delivered_media),
                last.queue.as_millis(),
                window.iter().map(|s| s.dropped).sum::<u64>(),
            );
        }
        text
    }
}
