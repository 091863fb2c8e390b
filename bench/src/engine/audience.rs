//! A call in which the subscribers answer: they report every packet (transport-wide feedback) and
//! the pacer's timers run, as in a call over a network, so that the engine works as it does there.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use bytes::BytesMut;
use sfu_core::Engine;
use sfu_core::transport::Path;
use srtp::context::Context;

use super::BATCH;
use super::call::{Call, SSRC, vp8};

/// Between two frames: 30 a second.
const FRAME: Duration = Duration::from_millis(33);
/// Frames between two reports of a subscriber: 99 ms, as browsers do on a quiet path.
const FRAMES_PER_REPORT: u32 = 3;
/// Frames between two sender reports.
const FRAMES_PER_SECOND: u32 = 30;
/// Frames between two checks that renew consent (RFC 7675).
const FRAMES_PER_CHECK: u32 = 120;
/// The ports of the clients count up from here.
const PORT: u16 = 10_000;

/// Called right before and after the engine works, and not while the clients do.
#[derive(Clone, Copy)]
pub struct Watch {
    /// The engine begins.
    pub enter: fn(),
    /// The engine has finished.
    pub leave: fn(),
}

/// One publisher, and subscribers that report what they get.
pub struct Audience {
    call: Call,
    watch: Watch,
    listeners: Vec<Listener>,
    start: Instant,
    frames: u32,
    received: u64,
    runs: u64,
}

/// What a subscriber knows.
struct Listener {
    sealer: Context,
    path: Path,
    /// Transport-wide numbers since its last report, in the order in which they came, and when.
    arrived: Vec<(u16, Instant)>,
    reports: u8,
}

impl Audience {
    /// A call in progress.
    pub fn new(subscribers: usize, watch: Watch) -> Result<Self> {
        let call = Call::new(subscribers)?;
        let start = call.now;
        let listener = |client: &super::call::Client| {
            let (sealer, path) = (client.sealing_context()?, client.path);
            Ok(Listener { sealer, path, arrived: Vec::new(), reports: 0 })
        };
        let listeners = call.clients[1..].iter().map(listener).collect::<Result<_>>()?;
        Ok(Self { call, watch, listeners, start, frames: 0, received: 0, runs: 0 })
    }

    /// The engine, to look at.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.call.engine
    }

    /// RTP packets that subscribers have received.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Messages that brought them, with one or more packets each.
    #[must_use]
    pub fn runs(&self) -> u64 {
        self.runs
    }

    /// One frame, and all that happens until the next.
    pub fn frame(&mut self) -> Result<()> {
        self.frames += 1;
        let end = self.call.now + FRAME;
        self.publish()?;
        self.run_until(end)?;
        if self.frames.is_multiple_of(FRAMES_PER_REPORT) {
            self.report()?;
        }
        if self.frames.is_multiple_of(FRAMES_PER_SECOND) {
            self.report_publisher()?;
        }
        if self.frames.is_multiple_of(FRAMES_PER_CHECK) {
            for at in 0..self.call.clients.len() {
                let mut check = self.call.clients[at].check()?;
                let (now, path) = (self.call.now, self.call.clients[at].path);
                self.call.engine.handle_datagram(now, path, &mut check);
            }
            self.drain();
        }
        Ok(())
    }

    fn publish(&mut self) -> Result<()> {
        let mut sealed: Vec<BytesMut> = Vec::with_capacity(BATCH);
        for _ in 0..BATCH {
            let packet = vp8(self.call.sequence);
            self.call.sequence += 1;
            sealed.push(self.call.publisher.encrypt_rtp(&packet)?);
        }
        let (now, path) = (self.call.now, self.call.clients[0].path);
        (self.watch.enter)();
        for packet in &mut sealed {
            self.call.engine.handle_datagram(now, path, packet);
        }
        (self.watch.leave)();
        self.drain();
        Ok(())
    }

    /// Serves the engine's timers up to `end`.
    fn run_until(&mut self, end: Instant) -> Result<()> {
        let mut turns = 0;
        while let Some(due) = self.call.engine.poll_timeout().filter(|&due| due <= end) {
            self.call.now = self.call.now.max(due);
            (self.watch.enter)();
            self.call.engine.handle_timeout(self.call.now);
            (self.watch.leave)();
            self.drain();
            turns += 1;
            ensure!(turns < 100_000, "the engine's timers do not come to rest");
        }
        self.call.now = end;
        Ok(())
    }

    /// Takes what the engine has to send, and what it has to tell.
    fn drain(&mut self) {
        loop {
            (self.watch.enter)();
            let done = self.call.engine.drain(self.call.now, &mut self.call.egress);
            (self.watch.leave)();
            for (transmit, run) in self.call.egress.iter() {
                let at = usize::from(transmit.path.remote.port() - PORT);
                let Some(listener) = at.checked_sub(1).and_then(|at| self.listeners.get_mut(at))
                else {
                    continue;
                };
                self.runs += u64::from(transport_number(run).is_some());
                for datagram in run.chunks(transmit.segment_bytes) {
                    if let Some(number) = transport_number(datagram) {
                        listener.arrived.push((number, self.call.now));
                        self.received += 1;
                    }
                }
            }
            self.call.egress.clear();
            if done {
                break;
            }
        }
        (self.watch.enter)();
        while self.call.engine.poll_event().is_some() {}
        (self.watch.leave)();
    }

    /// The publisher says which time its timestamps stand for (RFC 3550 §6.4.1).
    fn report_publisher(&mut self) -> Result<()> {
        let since = self.call.now - self.start;
        let mut report = vec![0x80, 200, 0, 6];
        report.extend(SSRC.to_be_bytes());
        report.extend(u32::try_from(since.as_secs())?.to_be_bytes());
        report.extend([0; 4]);
        report.extend((self.frames * 3000).to_be_bytes());
        report.extend([0; 8]);
        let mut sealed = self.call.publisher.encrypt_rtcp(&report)?;
        let path = self.call.clients[0].path;
        (self.watch.enter)();
        self.call.engine.handle_datagram(self.call.now, path, &mut sealed);
        (self.watch.leave)();
        self.drain();
        Ok(())
    }

    /// Every subscriber says what it has received.
    fn report(&mut self) -> Result<()> {
        let mut sealed = Vec::with_capacity(self.listeners.len());
        for listener in &mut self.listeners {
            if !listener.arrived.is_empty() {
                let report = transport_feedback(&listener.arrived, self.start, listener.reports);
                listener.reports = listener.reports.wrapping_add(1);
                listener.arrived.clear();
                sealed.push((listener.path, listener.sealer.encrypt_rtcp(&report)?));
            }
        }
        (self.watch.enter)();
        for (path, report) in &mut sealed {
            self.call.engine.handle_datagram(self.call.now, *path, report);
        }
        (self.watch.leave)();
        self.drain();
        Ok(())
    }
}

/// The transport-wide number of an RTP packet, which is its only header extension.
fn transport_number(datagram: &[u8]) -> Option<u16> {
    let is_rtp = datagram.len() > 20 && datagram[0] == 0x90 && datagram[1] & 0x7f >= 96;
    (is_rtp && datagram[16] == 0x31).then(|| u16::from_be_bytes([datagram[17], datagram[18]]))
}

/// Feedback by draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1 on packets whose numbers
/// follow each other.
fn transport_feedback(arrived: &[(u16, Instant)], start: Instant, count: u8) -> Vec<u8> {
    /// Ticks of 250 µs in a unit of the reference time.
    const TICKS_PER_UNIT: u32 = 256;
    let ticks = |at: Instant| ((at - start).as_micros() / 250) as u32;
    let (Some(&(first, since)), length) = (arrived.first(), arrived.len() as u16) else {
        return Vec::new();
    };
    let mut report = vec![0x8f, 205, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2];
    report.extend(first.to_be_bytes());
    report.extend(length.to_be_bytes());
    let reference = ticks(since) / TICKS_PER_UNIT;
    report.extend(&reference.to_be_bytes()[1..]);
    report.push(count);
    // One chunk: a run of packets that came with a small delta.
    report.extend((0x2000 | length & 0x1fff).to_be_bytes());
    let mut before = reference * TICKS_PER_UNIT;
    for &(_, at) in arrived {
        let delta = ticks(at) - before;
        report.push(u8::try_from(delta).expect("frames are less than 64 ms apart"));
        before += delta;
    }
    report.resize(report.len().next_multiple_of(4), 0);
    let words = (report.len() / 4 - 1) as u16;
    report[2..4].copy_from_slice(&words.to_be_bytes());
    report
}
