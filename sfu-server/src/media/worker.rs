//! The media thread: one engine, its sockets and its clock. Each turn of the loop takes
//! commands, then datagrams, then what is due, sends what the engine made of it, gives handshakes
//! their share of time, and tells the session layer.
//!
//! **Panics.** Every call of the engine is guarded: a panic is counted and logged, the command or
//! datagram at hand is lost, and the loop goes on. The engine itself ends the peer whose input it
//! was processing where it can.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam_channel::Receiver;
use mio::{Events, Poll, Token, Waker};
use sfu_core::command::{Command, Reliability, Reply};
use sfu_core::demux::{Kind, PathChange, classify};
use sfu_core::event::Event;
use sfu_core::relay::Message;
use sfu_core::transport::{Path, Protocol};
use sfu_core::{Egress, Engine, EngineConfig};
use tokio::sync::mpsc::{self, error::TrySendError};

use super::crossing::{self, Crossing};
use super::handle::{Envelope, MediaError, Output, Shared, WorkerHandle, WorkerId, WorkerSnapshot};
use super::handshakes::{self, Handshakes};
use super::impair::{self, Impairments};
use super::load::LoadMeter;
use super::socket::Sockets;
use super::strays::{Router, Sorting};
use super::tcp::{Door, Streams, TcpStats};
use crate::limits;

/// Commands per turn, so that a flood of them does not hold up media.
const COMMANDS_PER_TURN: usize = 64;
/// Receive batches per turn, so that a flood of datagrams does not hold up timers.
const BATCHES_PER_TURN: usize = 8;
/// Batches of strays per turn, for the same reason.
const STRAY_BATCHES_PER_TURN: usize = 32;
/// Messages of the relay per turn, for the same reason.
const RELAY_MESSAGES_PER_TURN: usize = 64;
/// The content type of DTLS records that carry data (RFC 6347 §4.1).
const DTLS_DATA: u8 = 23;
/// Full egress batches per turn; 64 KiB each at least.
const DRAINS_PER_TURN: usize = 512;
/// Events taken from the engine per turn.
const EVENTS_PER_TURN: usize = 4096;
/// Longest wait: how often the worker shows that it is alive.
const TICK: Duration = Duration::from_millis(250);
/// Longest wait while outputs wait for the session layer.
const OUTPUT_RETRY: Duration = Duration::from_millis(5);
/// How long the engine's timers rest after one panicked, so that it cannot spin.
const REST_AFTER_PANIC: Duration = Duration::from_millis(50);
/// Interval of snapshots for metrics.
const SNAPSHOT_INTERVAL: Duration = Duration::from_millis(200);
/// Outputs held for a slow session layer before commands and events are left where they are.
const HELD_MAX: usize = 256;
/// Seconds from the NTP epoch (1900) to the Unix epoch (RFC 5905 §6).
const NTP_TO_UNIX_SECONDS: u64 = 2_208_988_800;
/// The token of the waker; sockets count from 0.
const WAKER: Token = Token(usize::MAX - 1);

/// Starts a worker with each of `sockets`, each on its own thread.
pub(super) fn start(
    config: &EngineConfig,
    sockets: Vec<Sockets>,
    outputs: &mpsc::Sender<(WorkerId, Output)>,
    tcp_stats: &Arc<TcpStats>,
) -> io::Result<Vec<(WorkerHandle, Door, JoinHandle<()>)>> {
    let polls: Vec<Poll> = sockets.iter().map(|_| Poll::new()).collect::<io::Result<_>>()?;
    let waker = |poll: &Poll| Waker::new(poll.registry(), WAKER).map(Arc::new);
    let wakers: Vec<_> = polls.iter().map(waker).collect::<io::Result<_>>()?;
    let workers = u8::try_from(polls.len()).expect("at most WORKERS_MAX are started");
    let crossings = crossing::connect(&wakers);
    // One moment for all: engines of one room compare their times.
    let now = Instant::now();
    let ntp_at_start = ntp_now();
    let parts = (0_u8..).zip(sockets).zip(polls.into_iter().zip(wakers).zip(crossings));
    let start = |((number, sockets), ((poll, waker), crossing)): (_, ((Poll, _), Crossing))| {
        let sockets: Sockets = sockets;
        sockets.register(poll.registry())?;
        let (queue, commands) = crossbeam_channel::bounded(limits::COMMANDS_MAX);
        let (impairments, wishes) = crossbeam_channel::bounded(limits::IMPAIRMENTS_WAITING_MAX);
        let (newcomers, streams) = crossbeam_channel::bounded(limits::TCP_NEWCOMERS_MAX);
        let door = Door { newcomers, waker: Arc::clone(&waker) };
        let shared = Arc::new(Shared::new(now));
        let config = EngineConfig { worker: number, ntp_at_start, ..config.clone() };
        let mut engine = Engine::new(config, rand::random(), now);
        if workers > 1 {
            engine.watch_paths();
        }
        let mut worker = Worker {
            id: WorkerId(number),
            engine,
            sockets,
            streams: Streams::new(streams, Arc::clone(tcp_stats)),
            poll,
            commands,
            router: Router::new(number, workers),
            sorting: Sorting::new(workers),
            crossing,
            handshakes: Handshakes::default(),
            wishes,
            impairments: None,
            relay_held: None,
            outputs: outputs.clone(),
            held: VecDeque::new(),
            shared: Arc::clone(&shared),
            egress: Egress::default(),
            counters: WorkerSnapshot::default(),
            load: LoadMeter::default(),
            rest_until: None,
            snapshot_at: now,
        };
        let thread = std::thread::Builder::new().name(format!("sfu-media-{number}"));
        let thread = thread.spawn(move || worker.run())?;
        Ok((WorkerHandle::new(queue, impairments, waker, shared), door, thread))
    };
    parts.map(start).collect()
}

struct Worker {
    id: WorkerId,
    engine: Engine,
    sockets: Sockets,
    streams: Streams,
    poll: Poll,
    commands: Receiver<Envelope>,
    router: Router,
    /// Strays of the batch at hand.
    sorting: Sorting,
    crossing: Crossing,
    handshakes: Handshakes,
    /// What makes networks of peers bad, and those that are.
    wishes: Receiver<impair::Wish>,
    impairments: Option<Box<Impairments>>,
    /// A message of the relay that found no room.
    relay_held: Option<(u8, Message)>,
    outputs: mpsc::Sender<(WorkerId, Output)>,
    /// Outputs the session layer had no room for, oldest first. Nothing that must not be lost is
    /// dropped here; instead no further command is taken, and the engine keeps its events, while
    /// this is long.
    held: VecDeque<Output>,
    shared: Arc<Shared>,
    egress: Egress,
    counters: WorkerSnapshot,
    load: LoadMeter,
    /// Set after a panic in the engine's timers.
    rest_until: Option<Instant>,
    snapshot_at: Instant,
}

impl Worker {
    fn run(&mut self) {
        let mut events = Events::with_capacity(16);
        loop {
            let now = Instant::now();
            self.shared.tick(now);
            let stopping = self.shared.stop.load(Ordering::Acquire);
            let had_commands = self.take_commands(now);
            impair::take_wishes(now, &self.wishes, &mut self.impairments);
            self.receive(now);
            self.receive_streams(now);
            self.take_strays(now);
            self.take_held_up(now);
            self.take_relay(now);
            self.run_timers(now);
            self.tell_paths(now);
            let sent = self.sockets.stats.datagrams_sent();
            self.send();
            let sent = self.sockets.stats.datagrams_sent() - sent;
            if sent > 0 {
                self.counters.latency.observe(now.elapsed(), sent);
            }
            // Behind media, which is worth less late than a handshake is.
            if self.serve_handshakes() {
                self.tell_paths(Instant::now());
                self.send();
            }
            self.take_events();
            self.flush_outputs();
            self.publish_snapshot(now, had_commands);
            if stopping && self.commands.is_empty() {
                return;
            }
            self.counters.busy_ns += nanos(now.elapsed());
            self.wait(&mut events);
        }
    }

    /// Carries out waiting commands. Each one's events go out before its reply, so that whoever
    /// waits for the reply finds them already applied.
    fn take_commands(&mut self, now: Instant) -> bool {
        let mut taken = false;
        for _ in 0..COMMANDS_PER_TURN {
            if self.held.len() >= HELD_MAX {
                break;
            }
            let Ok(Envelope { command, reply_to, .. }) = self.commands.try_recv() else { break };
            taken = true;
            self.counters.commands += 1;
            let added = match &command {
                Command::AddPeer { room, participant, .. } => Some((*room, *participant)),
                _ => None,
            };
            let engine = &mut self.engine;
            let result = match guarded(|| engine.handle_command(now, command)) {
                Some(result) => result.map_err(MediaError::Refused),
                None => {
                    self.counters.panics += 1;
                    Err(MediaError::Panicked)
                }
            };
            if let (Some((room, participant)), Ok(Reply::Peer(peer))) = (added, &result) {
                self.held.push_back(Output::PeerAdded { participant, room, peer: *peer });
            }
            self.take_events();
            self.held.push_back(Output::Reply { to: reply_to, result });
        }
        taken
    }

    /// Reads what the kernel has, keeps what is for this worker, and passes on the rest.
    fn receive(&mut self, now: Instant) {
        let Self { engine, sockets, router, sorting, crossing, handshakes, counters, .. } = self;
        let impairments = &mut self.impairments;
        let own = self.id.0;
        for _ in 0..BATCHES_PER_TURN {
            if !sockets.any_readable() {
                return;
            }
            sockets.receive(|path, datagram| {
                // What others told before this datagram was read is taken note of before it is
                // looked at; see `strays`.
                take_news(now, engine, router, crossing);
                match router.owner(&path, datagram) {
                    Some(owner) => {
                        if let Some(full) = sorting.add(owner, path, datagram) {
                            crossing.send_strays(owner, full);
                        }
                    }
                    None => {
                        if !is_held_up(now, engine, impairments, path, datagram) {
                            take_datagram(now, engine, handshakes, counters, path, datagram);
                        }
                        // A peer of another worker may have a new address.
                        let others = if engine.take_unclaimed() { router.workers() } else { 0 };
                        for other in (0..others).filter(|&other| other != own) {
                            if let Some(full) = sorting.add(other, path, datagram) {
                                crossing.send_strays(other, full);
                            }
                        }
                    }
                }
            });
            for (owner, batch) in sorting.waiting() {
                crossing.send_strays(owner, batch);
            }
        }
    }

    /// Reads TCP connections, all of which are this worker's own, and ends those of nobody.
    fn receive_streams(&mut self, now: Instant) {
        let Self { engine, streams, poll, handshakes, counters, impairments, .. } = self;
        streams.welcome(poll.registry());
        streams.receive(|path, datagram| {
            if !is_held_up(now, engine, impairments, path, datagram) {
                take_datagram(now, engine, handshakes, counters, path, datagram);
            }
        });
        streams.sweep(now, |path| engine.knows_path(path));
    }

    /// Takes what other workers read for this one.
    fn take_strays(&mut self, now: Instant) {
        for _ in 0..STRAY_BATCHES_PER_TURN {
            let Self { engine, crossing, handshakes, counters, impairments, .. } = self;
            let Some((from, mut batch)) = crossing.next_strays() else { return };
            engine.reads_for_others(true);
            batch.drain(|path, datagram| {
                if !is_held_up(now, engine, impairments, path, datagram) {
                    take_datagram(now, engine, handshakes, counters, path, datagram);
                }
            });
            engine.reads_for_others(false);
            // All others have it, too.
            engine.take_unclaimed();
            crossing.give_back(from, batch);
        }
    }

    /// Takes what impaired peers sent and is due by now.
    fn take_held_up(&mut self, now: Instant) {
        let Self { engine, handshakes, counters, impairments, .. } = self;
        let Some(impairments) = impairments else { return };
        while let Some((path, mut datagram)) = impairments.next_received(now) {
            take_datagram(now, engine, handshakes, counters, path, &mut datagram);
        }
    }

    /// Takes what other workers have for rooms that are here as well.
    fn take_relay(&mut self, now: Instant) {
        let Self { engine, crossing, counters, .. } = self;
        for _ in 0..RELAY_MESSAGES_PER_TURN {
            let Some((from, mut message)) = crossing.next_relay() else { break };
            counters.panics += engine_panics(|| engine.handle_relay(now, from, &mut message));
            crossing.give_back_message(from, message);
        }
        while let Some(message) = crossing.next_empty_message() {
            engine.recycle(message);
        }
    }

    /// Brings other workers what the engine has for them. What finds no room stays, and grows.
    fn send_relay(&mut self) {
        if let Some((to, message)) = self.relay_held.take()
            && let Err(message) = self.crossing.send_relay(to, message)
        {
            self.relay_held = Some((to, message));
            return;
        }
        loop {
            let Self { engine, crossing, .. } = self;
            let polled = guarded(|| engine.poll_relay_if(|to| crossing.takes_relay(to)));
            self.counters.panics += u64::from(polled.is_none());
            let Some((to, message)) = polled.flatten() else { return };
            if !message.notes.is_empty() {
                // What another worker tells of a track is to come after what this one does.
                self.take_events();
                self.flush_outputs();
            }
            if let Err(message) = self.crossing.send_relay(to, message) {
                self.relay_held = Some((to, message));
                return;
            }
        }
    }

    /// Gives the engine what handshakes are waiting, as long as a turn has time for them. True if
    /// there were any.
    fn serve_handshakes(&mut self) -> bool {
        let Self { engine, handshakes, counters, .. } = self;
        if handshakes.is_empty() {
            return false;
        }
        let now = Instant::now();
        while let Some((path, mut datagram)) = handshakes.pop() {
            counters.panics += engine_panics(|| engine.handle_datagram(now, path, &mut datagram));
            if now.elapsed() >= handshakes::TIME_PER_TURN {
                break;
            }
        }
        true
    }

    /// Tells the other workers whose paths are whose, before anything is answered.
    fn tell_paths(&mut self, now: Instant) {
        // In every turn, and before what the own engine has learnt since.
        let Self { engine, router, crossing, .. } = self;
        take_news(now, engine, router, crossing);
        while let Some(change) = self.engine.poll_path() {
            // A connection is read by its owner only.
            if change.path().protocol == Protocol::Udp {
                self.router.own(change);
                self.crossing.tell(change);
            }
        }
    }

    fn run_timers(&mut self, now: Instant) {
        if self.deadline().is_none_or(|deadline| deadline > now) {
            return;
        }
        let engine = &mut self.engine;
        self.rest_until = None;
        if guarded(|| engine.handle_timeout(now)).is_none() {
            self.counters.panics += 1;
            self.rest_until = Some(now + REST_AFTER_PANIC);
        }
    }

    /// When the engine's timers are to run next.
    fn deadline(&self) -> Option<Instant> {
        let due = self.engine.poll_timeout()?;
        Some(self.rest_until.map_or(due, |rest| due.max(rest)))
    }

    /// Sends what the engine has, batch by batch. Each batch has a time of its own: a frame for
    /// many takes milliseconds to send, which would pass for delay on the paths of the last ones.
    fn send(&mut self) {
        for _ in 0..DRAINS_PER_TURN {
            let now = Instant::now();
            let Self { engine, egress, .. } = self;
            let drained = guarded(|| engine.drain(now, egress));
            // Other workers can begin while this one sends.
            self.send_relay();
            let Self { engine, sockets, streams, egress, counters, impairments, .. } = self;
            let by = |protocol| egress.iter().filter(move |(t, _)| t.path.protocol == protocol);
            match impairments {
                Some(impairments) => impairments.send(now, engine, egress, sockets, streams),
                None => {
                    sockets.send(now, by(Protocol::Udp));
                    streams.send(now, by(Protocol::Tcp));
                }
            }
            egress.clear();
            match drained {
                Some(true) => return,
                Some(false) => {}
                None => {
                    counters.panics += 1;
                    return;
                }
            }
        }
    }

    /// Takes events from the engine. While the session layer is slow, those that may be lost are
    /// dropped and the others stay behind, in the engine's own bounded queue.
    fn take_events(&mut self) {
        for _ in 0..EVENTS_PER_TURN {
            if self.held.len() >= HELD_MAX {
                self.flush_outputs();
                if self.held.len() >= HELD_MAX {
                    return;
                }
            }
            let engine = &mut self.engine;
            let Some(event) = guarded(|| engine.poll_event()) else {
                self.counters.panics += 1;
                return;
            };
            let Some(event) = event else { return };
            if is_lossy(&event) && self.held.len() >= HELD_MAX / 2 {
                self.counters.events_dropped += 1;
            } else {
                self.held.push_back(Output::Event(event));
            }
        }
    }

    fn flush_outputs(&mut self) {
        while let Some(output) = self.held.pop_front() {
            match self.outputs.try_send((self.id, output)) {
                Ok(()) => {}
                Err(TrySendError::Full((_, output))) => {
                    self.held.push_front(output);
                    return;
                }
                // The session layer is gone: the process ends.
                Err(TrySendError::Closed(_)) => self.held.clear(),
            }
        }
    }

    fn publish_snapshot(&mut self, now: Instant, at_once: bool) {
        if !at_once && now < self.snapshot_at {
            return;
        }
        self.snapshot_at = now + SNAPSHOT_INTERVAL;
        if self.impairments.as_mut().is_some_and(|bad| bad.sweep(&self.engine)) {
            self.impairments = None;
        }
        self.counters.engine = self.engine.stats();
        self.counters.socket = self.sockets.stats;
        self.counters.outputs_waiting = self.held.len() as u64;
        self.counters.load = self.load.sample(now, self.counters.busy_ns);
        self.counters.others_paths = self.router.len() as u64;
        self.counters.crossing = self.crossing.stats;
        self.shared.snapshot.lock().clone_from(&self.counters);
    }

    fn wait(&mut self, events: &mut Events) {
        let now = Instant::now();
        let more_commands = !self.commands.is_empty() && self.held.len() < HELD_MAX;
        let mut wait = TICK;
        let may_sleep = self.crossing.may_sleep() && self.handshakes.is_empty();
        let any_readable = self.sockets.any_readable() || self.streams.any_readable();
        if more_commands || any_readable || !may_sleep {
            wait = Duration::ZERO;
        } else if !self.held.is_empty() {
            wait = OUTPUT_RETRY;
        }
        if let Some(deadline) = self.deadline() {
            wait = wait.min(deadline.saturating_duration_since(now));
        }
        if let Some(impairments) = &self.impairments {
            wait = impairments.shorten(now, wait);
        }
        self.counters.waits += 1;
        if let Err(e) = self.poll.poll(events, Some(wait))
            && e.kind() != io::ErrorKind::Interrupted
        {
            tracing::error!("waiting for media failed: {e}");
        }
        self.crossing.woke();
        let now = Instant::now();
        for event in events.iter() {
            self.sockets.set_readable(event.token());
            self.streams.ready(now, event);
        }
    }
}

/// What may be lost on the way to a slow session layer.
fn is_lossy(event: &Event) -> bool {
    matches!(event, Event::Speakers { .. } | Event::Data { reliability: Reliability::Lossy, .. })
}

/// Takes note of whose paths are whose. A peer of ours that is heard on a path keeps it, whoever wrote
/// that address into a check of another worker's.
fn take_news(now: Instant, engine: &Engine, router: &mut Router, crossing: &mut Crossing) {
    while let Some((worker, change)) = crossing.next_news() {
        match change {
            PathChange::Learned(path) if engine.holds_path(now, &path) => {
                crossing.tell(PathChange::Kept(path));
            }
            _ => router.told(worker, change),
        }
    }
}

/// Whether a datagram comes over a network that is bad on request, and waits there or is lost.
fn is_held_up(
    now: Instant,
    engine: &Engine,
    impairments: &mut Option<Box<Impairments>>,
    path: Path,
    datagram: &[u8],
) -> bool {
    let Some(impairments) = impairments else { return false };
    impairments.take_received(now, engine, path, datagram)
}

/// Gives a datagram to the engine, DTLS of its peers when its turn comes.
fn take_datagram(
    now: Instant,
    engine: &mut Engine,
    handshakes: &mut Handshakes,
    counters: &mut WorkerSnapshot,
    path: Path,
    datagram: &mut [u8],
) {
    // What comes by data channels costs little, but must not overtake the handshake's end.
    let is_dtls = classify(datagram) == Ok(Kind::Dtls);
    let waits = is_dtls && (datagram.first() != Some(&DTLS_DATA) || !handshakes.is_empty());
    if !waits || !engine.knows_path(&path) {
        counters.panics += engine_panics(|| engine.handle_datagram(now, path, datagram));
    } else if !handshakes.push(path, datagram) {
        counters.handshakes_dropped += 1;
    }
}

/// Calls the engine; 1 if it panicked.
fn engine_panics(call: impl FnOnce()) -> u64 {
    u64::from(guarded(call).is_none())
}

/// Calls the engine; `None` if it panicked.
fn guarded<T>(call: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(call)).ok()
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The wall clock in NTP format: seconds since 1900 in the upper half, fractions in the lower.
fn ntp_now() -> u64 {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let fraction = (u64::from(unix.subsec_nanos()) << 32) / 1_000_000_000;
    unix.as_secs().wrapping_add(NTP_TO_UNIX_SECONDS) << 32 | fraction
}
