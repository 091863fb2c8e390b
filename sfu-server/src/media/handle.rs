//! How the control plane reaches the media workers: commands go in through a bounded queue,
//! replies and events come back through another, in the order in which the engine made them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sfu_core::command::{Command, CommandError, Reply};
use sfu_core::event::Event;
use sfu_core::id::{ParticipantId, PeerId, RoomId};
use sfu_core::stats::EngineStats;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::crossing::CrossingStats;
use super::impair::{Impairment, Wish};
use super::latency::Latency;
use super::socket::SocketStats;
use super::tcp::TcpStats;
use crate::limits;

/// A worker's number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) struct WorkerId(pub(crate) u8);

/// Reaches every worker. Cheap to clone.
#[derive(Clone)]
pub(crate) struct MediaHandle {
    workers: Arc<[WorkerHandle]>,
    tcp: Arc<TcpStats>,
}

/// Why a command was not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MediaError {
    /// The engine refused it.
    #[error(transparent)]
    Refused(#[from] CommandError),
    /// The worker's queue stayed full.
    #[error("the media worker is overloaded")]
    Overloaded,
    /// Carrying it out panicked. The worker goes on.
    #[error("internal error")]
    Panicked,
    /// The worker has ended.
    #[error("the media worker has stopped")]
    Stopped,
}

/// What a worker tells the session layer. The order counts: a new peer, then what happened to
/// it, then the reply to the command that caused it.
#[derive(Debug)]
pub(crate) enum Output {
    /// [`Command::AddPeer`] was carried out. Comes before any event of the peer.
    PeerAdded { participant: ParticipantId, room: RoomId, peer: PeerId },
    /// The engine's own.
    Event(Event),
    /// The reply to a command; whoever handles outputs passes it on to `to`.
    Reply { to: oneshot::Sender<Result<Reply, MediaError>>, result: Result<Reply, MediaError> },
}

/// A command on its way, with the place in the queue it takes.
pub(super) struct Envelope {
    pub(super) command: Command,
    pub(super) reply_to: oneshot::Sender<Result<Reply, MediaError>>,
    _place: OwnedSemaphorePermit,
}

/// One worker as seen from outside.
pub(super) struct WorkerHandle {
    queue: crossbeam_channel::Sender<Envelope>,
    impairments: crossbeam_channel::Sender<Wish>,
    /// As many permits as the queue has places, so that waiting for one is asynchronous.
    places: Arc<Semaphore>,
    waker: Arc<mio::Waker>,
    shared: Arc<Shared>,
}

/// What a worker leaves for others to read.
pub(super) struct Shared {
    started: Instant,
    /// Milliseconds from `started` to the last turn of the loop.
    ticked_ms: AtomicU64,
    pub(super) stop: AtomicBool,
    pub(super) snapshot: Mutex<WorkerSnapshot>,
}

/// Counters and sizes of one worker, at most half a second old.
#[derive(Clone, Debug, Default)]
pub(crate) struct WorkerSnapshot {
    pub(crate) engine: EngineStats,
    pub(crate) socket: SocketStats,
    /// Panics caught around calls of the engine.
    pub(crate) panics: u64,
    /// Events dropped because the session layer was slow: lossy data and speakers only.
    pub(crate) events_dropped: u64,
    /// Commands carried out.
    pub(crate) commands: u64,
    /// Outputs that wait for the session layer.
    pub(crate) outputs_waiting: u64,
    /// System calls that waited for something to do.
    pub(crate) waits: u64,
    /// Nanoseconds spent outside waiting, since the start.
    pub(crate) busy_ns: u64,
    /// How long what was sent had been here.
    pub(crate) latency: Latency,
    /// The share of the last second spent outside waiting: 0 to 1.
    pub(crate) load: f32,
    /// Paths that are known to be other workers'.
    pub(crate) others_paths: u64,
    /// Handshake datagrams dropped because too many waited.
    pub(crate) handshakes_dropped: u64,
    /// What crossed to and from other workers.
    pub(crate) crossing: CrossingStats,
}

impl MediaHandle {
    pub(super) fn new(workers: Vec<WorkerHandle>, tcp: Arc<TcpStats>) -> Self {
        Self { workers: workers.into(), tcp }
    }

    /// What happened on the TCP port.
    pub(crate) fn tcp(&self) -> &TcpStats {
        &self.tcp
    }

    /// How many workers there are.
    pub(crate) fn workers(&self) -> usize {
        self.workers.len()
    }

    /// Each worker's load over the last second: 0 to 1.
    pub(crate) fn loads(&self) -> Vec<f32> {
        self.workers.iter().map(|worker| worker.shared.snapshot.lock().load).collect()
    }

    /// Carries out `command`. Refused as overload if the worker's queue stays full.
    pub(crate) async fn call(
        &self,
        worker: WorkerId,
        command: Command,
    ) -> Result<Reply, MediaError> {
        let places = Arc::clone(&self.workers[usize::from(worker.0)].places);
        let place = tokio::time::timeout(limits::COMMAND_WAIT, places.acquire_owned())
            .await
            .map_err(|_| MediaError::Overloaded)?
            .map_err(|_| MediaError::Stopped)?;
        self.send(worker, command, place).await
    }

    /// Carries out a command that takes something away, however long the queue is: such a
    /// command must not be lost.
    pub(crate) async fn call_patiently(
        &self,
        worker: WorkerId,
        command: Command,
    ) -> Result<Reply, MediaError> {
        let places = Arc::clone(&self.workers[usize::from(worker.0)].places);
        let place = places.acquire_owned().await.map_err(|_| MediaError::Stopped)?;
        self.send(worker, command, place).await
    }

    async fn send(
        &self,
        worker: WorkerId,
        command: Command,
        place: OwnedSemaphorePermit,
    ) -> Result<Reply, MediaError> {
        let worker = &self.workers[usize::from(worker.0)];
        let (reply_to, reply) = oneshot::channel();
        let envelope = Envelope { command, reply_to, _place: place };
        // Cannot be full: a place in it is held. Fails once the worker is gone.
        worker.queue.try_send(envelope).map_err(|_| MediaError::Stopped)?;
        worker.wake();
        reply.await.unwrap_or(Err(MediaError::Stopped))
    }

    /// From now on the network of `peer` is this bad; see [`super::impair`].
    pub(crate) fn impair(
        &self,
        worker: WorkerId,
        peer: PeerId,
        wish: Impairment,
    ) -> Result<(), MediaError> {
        let worker = &self.workers[usize::from(worker.0)];
        worker.impairments.try_send((peer, wish)).map_err(|_| MediaError::Overloaded)?;
        worker.wake();
        Ok(())
    }

    /// Each worker's counters.
    pub(crate) fn snapshots(&self) -> Vec<WorkerSnapshot> {
        self.workers.iter().map(|worker| worker.shared.snapshot.lock().clone()).collect()
    }

    /// Commands waiting, per worker.
    pub(crate) fn commands_waiting(&self) -> Vec<usize> {
        self.workers.iter().map(|worker| worker.queue.len()).collect()
    }

    /// Whether every worker has taken a turn within `age`.
    pub(crate) fn is_alive(&self, age: Duration) -> bool {
        self.workers.iter().all(|worker| worker.shared.since_tick() <= age)
    }

    /// Asks every worker to finish its commands, send what is ready, and end.
    pub(crate) fn stop(&self) {
        for worker in self.workers.iter() {
            worker.shared.stop.store(true, Ordering::Release);
            worker.wake();
        }
    }
}

impl WorkerHandle {
    pub(super) fn new(
        queue: crossbeam_channel::Sender<Envelope>,
        impairments: crossbeam_channel::Sender<Wish>,
        waker: Arc<mio::Waker>,
        shared: Arc<Shared>,
    ) -> Self {
        let places = Arc::new(Semaphore::new(limits::COMMANDS_MAX));
        Self { queue, impairments, places, waker, shared }
    }

    fn wake(&self) {
        // The worker looks at its queue twice a second anyway.
        if let Err(e) = self.waker.wake() {
            tracing::warn!("cannot wake a media worker: {e}");
        }
    }
}

impl Shared {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            started: now,
            ticked_ms: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            snapshot: Mutex::default(),
        }
    }

    /// Notes that the loop turned at `now`.
    pub(super) fn tick(&self, now: Instant) {
        self.ticked_ms.store(self.millis(now), Ordering::Relaxed);
    }

    fn since_tick(&self) -> Duration {
        let ticked = self.ticked_ms.load(Ordering::Relaxed);
        Duration::from_millis(self.millis(Instant::now()).saturating_sub(ticked))
    }

    fn millis(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.started).as_millis()).unwrap_or(u64::MAX)
    }
}
