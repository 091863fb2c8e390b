//! [`Drain`]: the thread that receives for all clients of a target. It counts; of every subscriber
//! it decrypts one packet in 256, and reports on all of them from their clear headers.

use std::net::UdpSocket;
use std::os::fd::AsRawFd as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Result;
use hdrhistogram::Histogram;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use sfu_core::rtp::packet::RtpPacket;
use srtp::context::Context;

use crate::lean::{Client, Feedback, STAMP_AT, Stream};
use crate::sys::{Datagrams, ReceiveBatch, thread_cpu};

/// Longest wait for datagrams: how exactly reports and checks are on time.
const TICK: Duration = Duration::from_millis(5);
/// Interval of the checks that renew consent (RFC 7675 §5.1).
const CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// One packet in so many is decrypted.
const SAMPLE: u64 = 256;
/// Runs received at a time.
const RUNS: usize = 32;
/// Longer delays count as this: ten seconds.
const DELAY_NS_MAX: u64 = 10_000_000_000;

/// One client: its socket, and for a server what makes it one.
pub(super) struct Member {
    pub(super) socket: UdpSocket,
    pub(super) client: Option<Client>,
    pub(super) feedback: Option<Feedback>,
    /// When what it receives was sent, if it receives anything that counts.
    pub(super) subscribes: Option<Arc<Stamps>>,
}

/// When each frame was sent, by its number; the last 65,536 of them.
pub(super) struct Stamps(Vec<AtomicU64>);

impl Default for Stamps {
    fn default() -> Self {
        Self((0..=u16::MAX).map(|_| AtomicU64::new(0)).collect())
    }
}

impl Stamps {
    pub(super) fn set(&self, frame: u32, ns: u64) {
        self.0[frame as usize % self.0.len()].store(ns, Ordering::Relaxed);
    }

    fn get(&self, frame: u32) -> u64 {
        self.0[frame as usize % self.0.len()].load(Ordering::Relaxed)
    }
}

/// What the thread tells.
#[derive(Default)]
pub(super) struct Counters {
    /// Media packets that reached subscribers.
    pub(super) delivered: AtomicU64,
    /// Packets decrypted and found to be what was sent.
    pub(super) samples: AtomicU64,
    /// Packets that could not be decrypted, or were something else.
    pub(super) bad_samples: AtomicU64,
    /// CPU time of the thread.
    pub(super) cpu_ns: AtomicU64,
    /// Whether delays are noted.
    pub(super) timing: AtomicBool,
    stop: AtomicBool,
}

/// The thread. Dropping it ends it.
pub(super) struct Drain {
    pub(super) counters: Arc<Counters>,
    delays: Arc<Mutex<Histogram<u64>>>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Drain {
    pub(super) fn start(members: Vec<Member>, stream: Stream, core: Option<usize>) -> Result<Self> {
        let counters = Arc::new(Counters::default());
        let delays = Arc::new(Mutex::new(Histogram::new_with_bounds(1, DELAY_NS_MAX, 3)?));
        let poll = Poll::new()?;
        let now = Instant::now();
        let mut receivers = Vec::new();
        for (at, member) in members.into_iter().enumerate() {
            member.socket.set_nonblocking(true)?;
            let fd = member.socket.as_raw_fd();
            poll.registry().register(&mut SourceFd(&fd), Token(at), Interest::READABLE)?;
            let opener = member.client.as_ref().map(Client::opening_context).transpose()?;
            // Checks are spread over their interval.
            let share = u32::try_from(at % 100).expect("at most 99");
            let check_at = now + CHECK_INTERVAL * share / 100;
            let Member { socket, client, feedback, subscribes } = member;
            let (offset, seen) = (None, 0);
            let state = State { client, feedback, subscribes, opener, offset, seen, check_at };
            receivers.push(Receiver { socket, state });
        }
        let work = Work {
            stream,
            counters: Arc::clone(&counters),
            delays: Arc::clone(&delays),
            timing: false,
        };
        let run = move || {
            if let Some(core) = core {
                crate::sys::pin_to(core)?;
            }
            work.run(poll, receivers)
        };
        let thread = std::thread::Builder::new().name("drain".to_owned()).spawn(run)?;
        Ok(Self { counters, delays, thread: Some(thread) })
    }

    /// The delays noted since the last call, in nanoseconds.
    pub(super) fn take_delays(&self) -> Histogram<u64> {
        let mut delays = self.delays.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = delays.clone();
        delays.reset();
        taken
    }

    /// An error if the thread has ended: then nothing is counted any more.
    pub(super) fn check(&mut self) -> Result<()> {
        if self.thread.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return Ok(());
        }
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result.and_then(|()| anyhow::bail!("the receivers ended")),
            _ => anyhow::bail!("the receivers panicked"),
        }
    }
}

impl Drop for Drain {
    fn drop(&mut self) {
        self.counters.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take()
            && let Ok(Err(error)) = thread.join()
        {
            eprintln!("bench: the receivers ended: {error:#}");
        }
    }
}

struct Receiver {
    socket: UdpSocket,
    state: State,
}

struct State {
    client: Option<Client>,
    feedback: Option<Feedback>,
    subscribes: Option<Arc<Stamps>>,
    opener: Option<Context>,
    /// The subscriber's timestamps less the publisher's.
    offset: Option<u32>,
    seen: u64,
    check_at: Instant,
}

struct Work {
    stream: Stream,
    counters: Arc<Counters>,
    delays: Arc<Mutex<Histogram<u64>>>,
    timing: bool,
}

impl Work {
    fn run(mut self, mut poll: Poll, mut receivers: Vec<Receiver>) -> Result<()> {
        let mut events = Events::with_capacity(1024);
        let mut batch = ReceiveBatch::new(RUNS);
        let mut swept = Instant::now();
        while !self.counters.stop.load(Ordering::Relaxed) {
            match poll.poll(&mut events, Some(TICK)) {
                Err(e) if e.kind() != std::io::ErrorKind::Interrupted => return Err(e.into()),
                _ => {}
            }
            self.timing = self.counters.timing.load(Ordering::Relaxed);
            let now = Instant::now();
            for event in &events {
                self.receive(now, &mut receivers[event.token().0], &mut batch)?;
            }
            if now >= swept + TICK {
                swept = now;
                for receiver in &mut receivers {
                    receiver.report(now)?;
                }
                let cpu = u64::try_from(thread_cpu().as_nanos())?;
                self.counters.cpu_ns.store(cpu, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    /// Empties one socket.
    fn receive(
        &mut self,
        now: Instant,
        receiver: &mut Receiver,
        batch: &mut ReceiveBatch,
    ) -> Result<()> {
        // The lock is never waited for: its other user takes it between rounds.
        let delays = Arc::clone(&self.delays);
        let mut delays = delays.lock().unwrap_or_else(PoisonError::into_inner);
        let Receiver { socket, state } = receiver;
        loop {
            let runs = batch.receive(socket, |run| self.take(now, state, &run, &mut delays))?;
            if batch.was_last(runs) {
                return Ok(());
            }
        }
    }

    fn take(
        &self,
        now: Instant,
        receiver: &mut State,
        run: &Datagrams<'_>,
        delays: &mut Histogram<u64>,
    ) {
        let Some(stamps) = receiver.subscribes.clone() else { return };
        let mut delivered = 0;
        for datagram in run.iter() {
            // RTP by its first byte (RFC 7983 §7), and not RTCP by its second (RFC 5761 §4).
            if !matches!(datagram, [128..192, second, ..] if !(192..224).contains(second)) {
                continue;
            }
            let Ok(packet) = RtpPacket::parse(datagram) else { continue };
            if let Some(feedback) = &mut receiver.feedback
                && !feedback.on_packet(now, &packet)
            {
                continue;
            }
            delivered += 1;
            receiver.seen += 1;
            if receiver.seen % SAMPLE == 1 {
                self.sample(receiver, datagram, &packet);
            }
            if self.timing && run.stamp_ns != 0 {
                let offset = receiver.offset.unwrap_or(0);
                let step = self.stream.timestamp_step;
                let frame = packet.timestamp().wrapping_sub(offset) / step;
                delays.saturating_record(run.stamp_ns.saturating_sub(stamps.get(frame)));
            }
        }
        self.counters.delivered.fetch_add(delivered, Ordering::Relaxed);
    }

    /// Decrypts a packet: its payload says which frame it is of, and its timestamp must agree.
    fn sample(&self, receiver: &mut State, datagram: &[u8], packet: &RtpPacket<'_>) {
        let Some(opener) = &mut receiver.opener else { return };
        let frame = opener.decrypt_rtp(datagram).ok().and_then(|plain| {
            let stamp = plain.get(packet.header_bytes() + STAMP_AT..)?.first_chunk()?;
            Some(u32::from_be_bytes(*stamp))
        });
        let offset = frame.map(|frame| {
            packet.timestamp().wrapping_sub(frame.wrapping_mul(self.stream.timestamp_step))
        });
        let good = offset.is_some() && receiver.offset.is_none_or(|known| Some(known) == offset);
        receiver.offset = receiver.offset.or(offset);
        let counter = if good { &self.counters.samples } else { &self.counters.bad_samples };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl Receiver {
    /// Sends what is due.
    fn report(&mut self, now: Instant) -> Result<()> {
        let Self { socket, state } = self;
        // A full buffer loses a report, as a network would.
        if let Some(feedback) = &mut state.feedback
            && feedback.is_due(now)
        {
            feedback.poll(now, |report| drop(socket.send(&report)))?;
        }
        if let Some(client) = &state.client
            && now >= state.check_at
        {
            state.check_at = now + CHECK_INTERVAL;
            drop(socket.send(&client.check()?));
        }
        Ok(())
    }
}
