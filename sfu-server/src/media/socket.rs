//! The UDP sockets of a worker: an IPv4 one and, where the machine has IPv6, an IPv6 one on the
//! same port. Receives in batches (recvmmsg, GRO); how it sends is in [`send`].

mod send;
#[cfg(target_os = "linux")]
mod sendmmsg;

use std::io::{self, ErrorKind, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Instant;

use mio::unix::SourceFd;
use mio::{Interest, Poll, Registry, Token};
use quinn_udp::{BATCH_SIZE, RecvMeta, UdpSocketState};
use sfu_core::transport::Path;

/// The largest run the kernel hands over in one buffer.
const RECEIVE_BUFFER_BYTES: usize = 64 * 1024;
/// What happened on the sockets of one worker.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SocketStats {
    /// Receive calls that failed, other than for want of data.
    pub(crate) receive_errors: u64,
    /// Datagrams not sent: the kernel's buffer stayed full.
    pub(crate) send_full: u64,
    /// Datagrams not sent for another reason.
    pub(crate) send_errors: u64,
    /// System calls that received.
    pub(crate) receive_calls: u64,
    /// System calls that sent.
    pub(crate) send_calls: u64,
    /// What they were given: datagrams and runs.
    pub(crate) messages_sent: u64,
    /// Datagrams that left in runs of two or more.
    pub(crate) sent_in_runs: u64,
    /// Datagrams that left as a message of their own.
    pub(crate) sent_singly: u64,
    /// Times the kernel refused segmentation and a run was sent datagram by datagram.
    pub(crate) segmentation_refused: u64,
}

impl SocketStats {
    /// Datagrams that the kernel took.
    pub(super) const fn datagrams_sent(&self) -> u64 {
        self.sent_in_runs + self.sent_singly
    }
}

/// All sockets of a worker.
pub(super) struct Sockets {
    sockets: Vec<Bound>,
    buffers: Vec<Box<[u8]>>,
    meta: [RecvMeta; BATCH_SIZE],
    pub(super) stats: SocketStats,
}

/// One socket.
struct Bound {
    io: UdpSocket,
    state: UdpSocketState,
    addr: SocketAddr,
    /// Readiness is edge-triggered: set by an event, cleared when a read would block.
    readable: bool,
    /// Waits for room in the send buffer only.
    writable: Poll,
    /// Whether the kernel segments at all.
    segments: bool,
    /// Whether it takes many messages in one call.
    sends_many: bool,
    /// When segmentation is tried again, once the kernel has refused it.
    segmentation_rests_until: Option<Instant>,
}

impl Sockets {
    /// Takes the sockets that [`super::port::open`] bound for one worker.
    pub(super) fn new(sockets: Vec<UdpSocket>) -> io::Result<Self> {
        Ok(Self {
            sockets: sockets.into_iter().map(Bound::new).collect::<io::Result<_>>()?,
            buffers: vec![vec![0; RECEIVE_BUFFER_BYTES].into_boxed_slice(); BATCH_SIZE],
            meta: [RecvMeta::default(); BATCH_SIZE],
            stats: SocketStats::default(),
        })
    }

    /// The sockets' addresses, IPv4 first.
    pub(super) fn addrs(&self) -> Vec<SocketAddr> {
        self.sockets.iter().map(|socket| socket.addr).collect()
    }

    /// Registers the sockets; each one's token is its index.
    pub(super) fn register(&self, registry: &Registry) -> io::Result<()> {
        for (index, socket) in self.sockets.iter().enumerate() {
            let fd = socket.io.as_raw_fd();
            registry.register(&mut SourceFd(&fd), Token(index), Interest::READABLE)?;
        }
        Ok(())
    }

    /// Notes a readiness event.
    pub(super) fn set_readable(&mut self, token: Token) {
        if let Some(socket) = self.sockets.get_mut(token.0) {
            socket.readable = true;
        }
    }

    /// Whether a read may find something.
    pub(super) fn any_readable(&self) -> bool {
        self.sockets.iter().any(|socket| socket.readable)
    }

    /// Reads one batch from each readable socket and gives every datagram to `each`.
    pub(super) fn receive(&mut self, mut each: impl FnMut(Path, &mut [u8])) {
        for socket in self.sockets.iter_mut().filter(|socket| socket.readable) {
            let count = {
                let mut slices: [IoSliceMut<'_>; BATCH_SIZE] =
                    std::array::from_fn(|_| IoSliceMut::new(&mut []));
                for (slice, buffer) in slices.iter_mut().zip(&mut self.buffers) {
                    *slice = IoSliceMut::new(buffer);
                }
                self.stats.receive_calls += 1;
                match socket.state.recv((&socket.io).into(), &mut slices, &mut self.meta) {
                    Ok(count) => {
                        // Fewer than would fit: the queue was empty, and what has come since makes
                        // an event of its own. So no call only learns that there is nothing.
                        socket.readable = count == BATCH_SIZE;
                        count
                    }
                    Err(e) if e.kind() == ErrorKind::WouldBlock => {
                        socket.readable = false;
                        continue;
                    }
                    // Left readable: the error is consumed, data may follow.
                    Err(_) => {
                        self.stats.receive_errors += 1;
                        continue;
                    }
                }
            };
            for (meta, buffer) in self.meta.iter().zip(&mut self.buffers).take(count) {
                let path = Path::udp(meta.addr, meta.dst_ip);
                // A datagram without content has stride 0 and is no WebRTC traffic. One from port
                // 0 cannot be answered: the kernel refuses to send there with EINVAL.
                if meta.stride == 0 || meta.addr.port() == 0 {
                    continue;
                }
                for datagram in buffer[..meta.len].chunks_mut(meta.stride) {
                    each(path, datagram);
                }
            }
        }
    }
}

impl Bound {
    fn new(io: UdpSocket) -> io::Result<Self> {
        let state = UdpSocketState::new((&io).into())?;
        let addr = io.local_addr()?;
        let writable = Poll::new()?;
        let fd = io.as_raw_fd();
        writable.registry().register(&mut SourceFd(&fd), Token(0), Interest::WRITABLE)?;
        Ok(Self {
            segments: state.max_gso_segments() > 1,
            sends_many: cfg!(target_os = "linux"),
            io,
            state,
            addr,
            readable: true,
            writable,
            segmentation_rests_until: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, Ipv4Addr};
    use std::time::Duration;

    use mio::Events;

    fn loopback_pair() -> (Sockets, UdpSocket, Path) {
        let sockets = Sockets::new(super::super::port::open(0, 1).unwrap().remove(0)).unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let local = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let path = Path::udp(client.local_addr().unwrap(), local);
        (sockets, client, path)
    }

    fn wait_readable(sockets: &mut Sockets) {
        let mut poll = Poll::new().unwrap();
        sockets.register(poll.registry()).unwrap();
        let mut events = Events::with_capacity(4);
        poll.poll(&mut events, Some(Duration::from_secs(5))).unwrap();
        for event in &events {
            sockets.set_readable(event.token());
        }
    }

    #[test]
    fn a_datagram_is_received_with_the_address_it_was_sent_to() {
        let (mut sockets, client, path) = loopback_pair();
        client.send_to(b"hello", ("127.0.0.1", sockets.addrs()[0].port())).unwrap();
        wait_readable(&mut sockets);
        let mut got = Vec::new();
        sockets.receive(|path, data| got.push((path, data.to_vec())));
        assert_eq!(got, [(path, b"hello".to_vec())]);
        sockets.receive(|_, _| panic!("nothing is left"));
        assert!(!sockets.any_readable());
    }
}
