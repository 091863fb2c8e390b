//! The TCP connections of one worker: read when there is something, written until they take no more,
//! and ended when the engine knows nothing of them.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use sfu_core::Transmit;
use sfu_core::transport::Path;

use super::frames::Frames;
use super::queue::Queue;
use super::{Newcomer, Open, TcpStats};
use crate::limits;

/// The token of the first connection; others follow. UDP sockets count from 0.
const TOKENS: usize = 1 << 16;
/// Reads per turn of the loop, so that one full pipe does not hold up the rest.
const READS_PER_TURN: usize = 16;
/// How often connections are looked over.
const SWEEP: Duration = Duration::from_secs(1);

/// See the module.
pub(in super::super) struct Streams {
    newcomers: Receiver<Newcomer>,
    connections: BTreeMap<usize, Connection>,
    token_by_path: HashMap<Path, usize>,
    /// Connections that a read may find something in, in turn.
    readable: VecDeque<usize>,
    /// Connections written to in this batch.
    touched: Vec<usize>,
    next_token: usize,
    sweep_at: Option<Instant>,
    stats: Arc<TcpStats>,
}

struct Connection {
    stream: TcpStream,
    path: Path,
    frames: Frames,
    queue: Queue,
    /// Since when the engine knows nothing of this path.
    unknown_since: Option<Instant>,
    is_readable: bool,
    /// Whether the kernel took no more at the last write.
    is_full: bool,
    _open: Open,
}

impl Streams {
    pub(in super::super) fn new(newcomers: Receiver<Newcomer>, stats: Arc<TcpStats>) -> Self {
        Self {
            newcomers,
            connections: BTreeMap::new(),
            token_by_path: HashMap::new(),
            readable: VecDeque::new(),
            touched: Vec::new(),
            next_token: TOKENS,
            sweep_at: None,
            stats,
        }
    }

    /// Takes the connections that the acceptor has for this worker.
    pub(in super::super) fn welcome(&mut self, registry: &Registry) {
        while let Ok(newcomer) = self.newcomers.try_recv() {
            if let Err(e) = self.add(registry, newcomer) {
                tracing::debug!("a TCP connection cannot be used: {e}");
            }
        }
    }

    fn add(&mut self, registry: &Registry, newcomer: Newcomer) -> io::Result<()> {
        let Newcomer { stream, path, read, accepted, open } = newcomer;
        let mut stream = TcpStream::from_std(stream);
        let token = self.next_token;
        self.next_token += 1;
        registry.register(&mut stream, Token(token), Interest::READABLE | Interest::WRITABLE)?;
        let connection = Connection {
            stream,
            path,
            frames: Frames::new(read),
            queue: Queue::default(),
            unknown_since: Some(accepted),
            is_readable: true,
            is_full: false,
            _open: open,
        };
        self.connections.insert(token, connection);
        self.token_by_path.insert(path, token);
        self.readable.push_back(token);
        Ok(())
    }

    /// Notes a readiness event; what waits for room is written at once.
    pub(in super::super) fn ready(&mut self, now: Instant, event: &mio::event::Event) {
        let Some(connection) = self.connections.get_mut(&event.token().0) else { return };
        if event.is_readable() && !connection.is_readable {
            connection.is_readable = true;
            self.readable.push_back(event.token().0);
        }
        if event.is_writable() && connection.is_full {
            connection.is_full = false;
            self.flush(now, event.token().0);
        }
    }

    /// Whether a read may find something.
    pub(in super::super) fn any_readable(&self) -> bool {
        !self.readable.is_empty() || !self.newcomers.is_empty()
    }

    /// Reads from those connections that have something, and gives every datagram to `each`.
    pub(in super::super) fn receive(&mut self, mut each: impl FnMut(Path, &mut [u8])) {
        for _ in 0..READS_PER_TURN.min(self.readable.len()) {
            let Some(token) = self.readable.pop_front() else { return };
            let Some(connection) = self.connections.get_mut(&token) else { continue };
            let Connection { stream, path, frames, .. } = connection;
            let mut goes_on = true;
            // What came with the first frame is there without a read.
            for must_read in [false, true] {
                if must_read {
                    match frames.read(stream) {
                        Ok(0) => goes_on = false,
                        Ok(_) => {}
                        Err(e) if e.kind() == ErrorKind::WouldBlock => {
                            connection.is_readable = false;
                            break;
                        }
                        Err(_) => goes_on = false,
                    }
                }
                loop {
                    match frames.next() {
                        Ok(Some(datagram)) => each(*path, datagram),
                        Ok(None) => break,
                        Err(_) => {
                            TcpStats::count(&self.stats.oversize);
                            goes_on = false;
                            break;
                        }
                    }
                }
            }
            if !goes_on {
                self.remove(token);
            } else if connection.is_readable {
                self.readable.push_back(token);
            }
        }
    }

    /// Sends those entries of a batch that go by a connection; see [`Transmit`].
    pub(in super::super) fn send<'a>(
        &mut self,
        now: Instant,
        batch: impl Iterator<Item = (&'a Transmit, &'a [u8])>,
    ) {
        let mut dropped = 0;
        for (transmit, run) in batch {
            // A connection that was closed in the meantime: the client opens another.
            let Some(&token) = self.token_by_path.get(&transmit.path) else {
                dropped += 1;
                continue;
            };
            let Some(connection) = self.connections.get_mut(&token) else { continue };
            for datagram in run.chunks(transmit.segment_bytes.max(1)) {
                dropped += connection.queue.push(now, datagram);
            }
            if self.touched.last() != Some(&token) {
                self.touched.push(token);
            }
        }
        self.stats.dropped.fetch_add(dropped, Ordering::Relaxed);
        let mut touched = std::mem::take(&mut self.touched);
        for token in touched.drain(..) {
            self.flush(now, token);
        }
        self.touched = touched;
    }

    fn flush(&mut self, now: Instant, token: usize) {
        let Some(connection) = self.connections.get_mut(&token) else { return };
        if connection.is_full {
            return;
        }
        match connection.queue.write(now, &mut connection.stream) {
            Ok(dropped) => {
                connection.is_full = !connection.queue.is_empty();
                self.stats.dropped.fetch_add(dropped, Ordering::Relaxed);
            }
            Err(_) => self.remove(token),
        }
    }

    /// Ends connections that the engine has known nothing of for as long as the first valid check
    /// may take: strangers, and what peers have left behind.
    pub(in super::super) fn sweep(&mut self, now: Instant, mut knows: impl FnMut(&Path) -> bool) {
        if self.connections.is_empty() || self.sweep_at.is_some_and(|at| now < at) {
            return;
        }
        self.sweep_at = Some(now + SWEEP);
        let mut over = Vec::new();
        for (token, connection) in &mut self.connections {
            if knows(&connection.path) {
                connection.unknown_since = None;
            } else if now.saturating_duration_since(*connection.unknown_since.get_or_insert(now))
                >= limits::TCP_CHECK_DEADLINE
            {
                over.push(*token);
            }
        }
        for token in over {
            TcpStats::count(&self.stats.strangers);
            self.remove(token);
        }
    }

    /// Closes a connection; dropping it takes it out of the poll.
    fn remove(&mut self, token: usize) {
        let Some(connection) = self.connections.remove(&token) else { return };
        if self.token_by_path.get(&connection.path) == Some(&token) {
            self.token_by_path.remove(&connection.path);
        }
    }
}
