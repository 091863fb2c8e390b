//! Takes connections and finds out what they are, by their first bytes: a check in a frame is ICE and
//! goes to the worker whose ufrag it names; anything else, TLS or HTTP, goes on to the HTTP port
//! if that was asked for, or ends.
//!
//! Nobody has shown who they are here, so everything is bounded: connections in all and of one
//! address, the time and the bytes until the first frame is whole.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use crossbeam_channel::Sender;
use parking_lot::Mutex;
use sfu_core::demux::worker_of_check;
use sfu_core::limits::DATAGRAM_BYTES_MAX;
use socket2::SockRef;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};

use super::{Forward, Newcomer, Open, TcpStats, path_of};
use crate::limits;

/// Unsent bytes that the kernel holds of one connection: what waits longer is to wait where it can
/// still be dropped.
const UNSENT_BYTES_MAX: u32 = 32 * 1024;
/// Pause after the kernel could not give a connection: out of descriptors, most of the time.
const PAUSE_AFTER_ERROR: std::time::Duration = std::time::Duration::from_millis(100);

/// Where a worker takes its connections.
#[derive(Clone)]
pub(in super::super) struct Door {
    pub(in super::super) newcomers: Sender<Newcomer>,
    pub(in super::super) waker: Arc<mio::Waker>,
}

struct Acceptor {
    doors: Vec<Door>,
    /// Where what is not ICE goes.
    forward: Arc<Forward>,
    stats: Arc<TcpStats>,
    /// Connections whose first frame is awaited, by address.
    waiting: Mutex<HashMap<IpAddr, usize>>,
}

/// What a connection's first bytes say.
enum First {
    /// A check for this worker, in what was read.
    Check(u8),
    /// Another protocol.
    Other,
}

/// Accepts for ever. Must be called inside a tokio runtime.
pub(in super::super) fn accept(
    listeners: Vec<std::net::TcpListener>,
    doors: Vec<Door>,
    forward: Arc<Forward>,
    stats: Arc<TcpStats>,
) -> io::Result<()> {
    let acceptor = Arc::new(Acceptor { doors, forward, stats, waiting: Mutex::default() });
    for listener in listeners {
        let listener = TcpListener::from_std(listener)?;
        let acceptor = Arc::clone(&acceptor);
        tokio::spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((stream, from)) => acceptor.admit(stream, from.ip().to_canonical()),
                    Err(e) => {
                        tracing::debug!("cannot accept a TCP connection: {e}");
                        tokio::time::sleep(PAUSE_AFTER_ERROR).await;
                    }
                }
            }
        });
    }
    Ok(())
}

impl Acceptor {
    fn admit(self: &Arc<Self>, stream: TcpStream, from: IpAddr) {
        TcpStats::count(&self.stats.accepted);
        let Some(place) = self.place(from) else {
            TcpStats::count(&self.stats.refused);
            return;
        };
        let open = Open::new(&self.stats);
        let acceptor = Arc::clone(self);
        tokio::spawn(async move {
            if let Err(e) = acceptor.serve(stream, open, place).await {
                tracing::debug!("a TCP connection ended early: {e}");
            }
        });
    }

    /// A place among those whose first frame is awaited.
    fn place(self: &Arc<Self>, from: IpAddr) -> Option<Place> {
        if self.stats.open.load(Ordering::Relaxed) >= limits::TCP_CONNECTIONS_MAX {
            return None;
        }
        let mut waiting = self.waiting.lock();
        let all: usize = waiting.values().sum();
        let of_it = waiting.get(&from).copied().unwrap_or_default();
        let is_free = all < limits::TCP_WAITING_MAX && of_it < limits::TCP_WAITING_PER_ADDRESS_MAX;
        is_free.then(|| {
            waiting.insert(from, of_it + 1);
            Place { acceptor: Arc::clone(self), from }
        })
    }

    async fn serve(&self, mut stream: TcpStream, open: Open, place: Place) -> io::Result<()> {
        let accepted = Instant::now();
        let mut read = Vec::new();
        let first = first(&mut stream, &mut read);
        let first = tokio::time::timeout(limits::TCP_CHECK_DEADLINE, first).await;
        drop(place);
        match first {
            Ok(Ok(First::Check(worker))) => self.hand_over(stream, read, worker, accepted, open),
            Ok(Ok(First::Other)) => match self.forward.http() {
                Some(http) => {
                    TcpStats::count(&self.stats.forwarded);
                    self.forward.pass(stream, &read, http).await
                }
                None => {
                    TcpStats::count(&self.stats.strangers);
                    Ok(())
                }
            },
            // Silence for too long, or the end before there was a frame.
            Ok(Err(_)) | Err(_) => {
                TcpStats::count(&self.stats.strangers);
                Ok(())
            }
        }
    }

    fn hand_over(
        &self,
        stream: TcpStream,
        read: Vec<u8>,
        worker: u8,
        accepted: Instant,
        open: Open,
    ) -> io::Result<()> {
        let Some(door) = self.doors.get(usize::from(worker)) else {
            TcpStats::count(&self.stats.strangers);
            return Ok(());
        };
        let stream = stream.into_std()?;
        let socket = SockRef::from(&stream);
        socket.set_tcp_nodelay(true)?;
        #[cfg(any(target_os = "linux", target_os = "android"))]
        socket.set_tcp_notsent_lowat(UNSENT_BYTES_MAX)?;
        #[cfg(any(target_os = "linux", target_os = "android"))]
        socket.set_tcp_user_timeout(Some(limits::UNACKNOWLEDGED_MAX))?;
        let path = path_of(&stream)?;
        let newcomer = Newcomer { stream, path, read, accepted, open };
        if door.newcomers.try_send(newcomer).is_err() {
            TcpStats::count(&self.stats.refused);
        }
        door.waker.wake()
    }
}

/// Reads until it is clear what speaks. `read` holds everything that came.
async fn first(stream: &mut TcpStream, read: &mut Vec<u8>) -> io::Result<First> {
    loop {
        if let [high, low, rest @ ..] = &read[..] {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            // TLS begins with 0x1603 and HTTP with letters: no datagram is that long.
            if length > DATAGRAM_BYTES_MAX {
                return Ok(First::Other);
            }
            if let Some(frame) = rest.get(..length) {
                return worker_of_check(frame)
                    .map(First::Check)
                    .ok_or_else(|| io::ErrorKind::InvalidData.into());
            }
        }
        let mut bytes = [0; DATAGRAM_BYTES_MAX + 2];
        let count = stream.read(&mut bytes).await?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        read.extend_from_slice(&bytes[..count]);
    }
}

/// One of the connections whose first frame is awaited.
struct Place {
    acceptor: Arc<Acceptor>,
    from: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut waiting = self.acceptor.waiting.lock();
        if let Some(count) = waiting.get_mut(&self.from) {
            *count -= 1;
            if *count == 0 {
                waiting.remove(&self.from);
            }
        }
    }
}
