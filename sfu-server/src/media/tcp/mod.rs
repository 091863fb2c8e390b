//! ICE over TCP (RFC 6544), for networks that let no UDP through: datagrams with their length before
//! them (RFC 4571), on connections that clients open to one port.
//!
//! The [`acceptor`] takes connections and waits for the first frame, which must be a connectivity
//! check: its ufrag says whose worker the connection is, and that one has it from then on
//! ([`Streams`]). For the engine a connection is one more path.

mod acceptor;
mod forward;
mod frames;
mod queue;
mod streams;

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use sfu_core::transport::{Path, Protocol};
use socket2::{Domain, Socket, Type};

pub(super) use acceptor::{Door, accept};
pub(crate) use forward::Forward;
pub(super) use streams::Streams;

/// Connections that the kernel accepts ahead of this process.
const BACKLOG: i32 = 256;

/// A connection whose first frame was a check, on its way to the worker that the check names.
pub(super) struct Newcomer {
    stream: TcpStream,
    path: Path,
    /// What has been read of it: the first frame, and what came with it.
    read: Vec<u8>,
    accepted: Instant,
    open: Open,
}

/// What happened on the TCP port, for metrics. Shared by the acceptor and all workers.
#[derive(Debug, Default)]
pub(crate) struct TcpStats {
    /// Connections at present.
    pub(crate) open: AtomicUsize,
    /// Connections that were accepted.
    pub(crate) accepted: AtomicU64,
    /// Connections refused because there were too many, of all or of one address.
    pub(crate) refused: AtomicU64,
    /// Connections that did not begin with a check, or none that was valid in time.
    pub(crate) strangers: AtomicU64,
    /// Connections passed on to HTTP.
    pub(crate) forwarded: AtomicU64,
    /// Connections ended for a frame that was too long.
    pub(crate) oversize: AtomicU64,
    /// Datagrams that waited too long, or found too many waiting, and were not sent.
    pub(crate) dropped: AtomicU64,
}

impl TcpStats {
    fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// Counts a connection for as long as it is held.
struct Open(Arc<TcpStats>);

impl Open {
    fn new(stats: &Arc<TcpStats>) -> Self {
        stats.open.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(stats))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The path that a connection is.
fn path_of(stream: &TcpStream) -> io::Result<Path> {
    let remote = stream.peer_addr()?;
    Ok(Path { remote, local: Some(stream.local_addr()?.ip()), protocol: Protocol::Tcp })
}

/// Listens at `port` of all addresses, IPv4 first; 0 takes a free one.
pub(super) fn listen(port: u16) -> io::Result<Vec<TcpListener>> {
    let v4 = listen_at((Ipv4Addr::UNSPECIFIED, port).into())?;
    let port = v4.local_addr()?.port();
    match listen_at((Ipv6Addr::UNSPECIFIED, port).into()) {
        Ok(v6) => Ok(vec![v4, v6]),
        Err(e) => {
            tracing::info!("ICE over TCP is IPv4 only: {e}");
            Ok(vec![v4])
        }
    }
}

fn listen_at(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None)?;
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // A server that is started anew need not wait for the connections of the former one.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
