//! The UDP sockets of a worker: an IPv4 one and, where the machine has IPv6, an IPv6 one on the
//! same port. Receives in batches (recvmmsg, GRO), sends runs in one call (UDP_SEGMENT).

use std::io::{self, ErrorKind, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token};
use quinn_udp::{BATCH_SIZE, RecvMeta, UdpSocketState};
use sfu_core::transport::Path;

/// The largest run the kernel hands over in one buffer.
const RECEIVE_BUFFER_BYTES: usize = 64 * 1024;
/// The largest run given to the kernel in one call: an IP packet's 65,535 bytes with its headers.
const SEGMENTED_BYTES_MAX: usize = 65_000;
/// How long runs are sent datagram by datagram after the kernel refused to segment one. quinn-udp
/// gives up for good at any EINVAL, and that has other causes as well: an address that has left
/// this machine, an interface with a small MTU.
const SEGMENTATION_REST: Duration = Duration::from_secs(10);
/// Longest wait for room in the kernel's send buffer, per batch; then datagrams are dropped.
const SEND_WAIT: Duration = Duration::from_millis(5);

/// What happened on the sockets of one worker.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SocketStats {
    /// Receive calls that failed, other than for want of data.
    pub(crate) receive_errors: u64,
    /// Datagrams not sent: the kernel's buffer stayed full.
    pub(crate) send_full: u64,
    /// Datagrams not sent for another reason.
    pub(crate) send_errors: u64,
    /// System calls that sent.
    pub(crate) send_calls: u64,
    /// Times the kernel refused segmentation and a run was sent datagram by datagram.
    pub(crate) segmentation_refused: u64,
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
                match socket.state.recv((&socket.io).into(), &mut slices, &mut self.meta) {
                    Ok(count) => count,
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
                let path = Path { remote: meta.addr, local: meta.dst_ip };
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

    /// Sends a run of datagrams, all `segment_bytes` long but the last.
    pub(super) fn send(&mut self, at: Instant, path: &Path, run: &[u8], segment_bytes: usize) {
        let is_ipv6 = path.remote.is_ipv6();
        let Some(socket) = self.sockets.iter_mut().find(|s| s.addr.is_ipv6() == is_ipv6) else {
            self.stats.send_errors += 1;
            return;
        };
        if segment_bytes == 0 || run.is_empty() {
            return;
        }
        socket.try_segmentation_again(at);
        let mut rest = run;
        while !rest.is_empty() {
            let segments = socket.segments_per_call(segment_bytes);
            let (now, later) = rest.split_at(rest.len().min(segments * segment_bytes));
            rest = later;
            let datagrams = now.len().div_ceil(segment_bytes) as u64;
            match socket.send(path, now, segment_bytes, &mut self.stats) {
                Ok(()) => {}
                Err(_) if datagrams > 1 && socket.state.max_gso_segments() <= 1 => {
                    // This very call made quinn-udp give up segmentation: nothing was sent.
                    self.stats.segmentation_refused += 1;
                    socket.segmentation_rests_until.get_or_insert(at + SEGMENTATION_REST);
                    for datagram in now.chunks(segment_bytes) {
                        if let Err(e) = socket.send(path, datagram, segment_bytes, &mut self.stats)
                        {
                            self.stats.count_unsent(&e, 1);
                        }
                    }
                }
                Err(e) => self.stats.count_unsent(&e, datagrams),
            }
        }
    }
}

impl SocketStats {
    fn count_unsent(&mut self, error: &io::Error, datagrams: u64) {
        if error.kind() == ErrorKind::WouldBlock {
            self.send_full += datagrams;
        } else {
            self.send_errors += datagrams;
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
        Ok(Self { io, state, addr, readable: true, writable, segmentation_rests_until: None })
    }

    fn try_segmentation_again(&mut self, now: Instant) {
        if self.segmentation_rests_until.is_none_or(|until| now < until) {
            return;
        }
        self.segmentation_rests_until = None;
        // Only a new state forgets the refusal.
        match UdpSocketState::new((&self.io).into()) {
            Ok(state) => self.state = state,
            Err(e) => tracing::warn!("runs go on being sent datagram by datagram: {e}"),
        }
    }

    /// How many datagrams of this size one call may take.
    fn segments_per_call(&self, segment_bytes: usize) -> usize {
        self.state.max_gso_segments().min(SEGMENTED_BYTES_MAX / segment_bytes).max(1)
    }

    /// One system call, and another after a wait if the kernel's buffer is full.
    fn send(
        &mut self,
        path: &Path,
        contents: &[u8],
        segment_bytes: usize,
        stats: &mut SocketStats,
    ) -> io::Result<()> {
        let transmit = quinn_udp::Transmit {
            destination: path.remote,
            ecn: None,
            contents,
            segment_size: Some(segment_bytes),
            src_ip: path.local,
        };
        stats.send_calls += 1;
        match self.state.try_send((&self.io).into(), &transmit) {
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                self.writable.poll(&mut Events::with_capacity(1), Some(SEND_WAIT))?;
                stats.send_calls += 1;
                self.state.try_send((&self.io).into(), &transmit)
            }
            result => result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, Ipv4Addr};

    fn loopback_pair() -> (Sockets, UdpSocket, Path) {
        let sockets = Sockets::new(super::super::port::open(0, 1).unwrap().remove(0)).unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let local = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let path = Path { remote: client.local_addr().unwrap(), local };
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
    fn a_run_arrives_as_single_datagrams_the_last_one_shorter() {
        let (mut sockets, client, path) = loopback_pair();
        let run: Vec<u8> = (0..250_u8).collect();
        sockets.send(Instant::now(), &path, &run, 100);
        let mut buffer = [0; 2048];
        let mut lengths = Vec::new();
        for _ in 0..3 {
            let (length, from) = client.recv_from(&mut buffer).unwrap();
            assert_eq!(from, SocketAddr::from((Ipv4Addr::LOCALHOST, sockets.addrs()[0].port())));
            lengths.push(length);
        }
        assert_eq!(lengths, [100, 100, 50]);
    }

    #[test]
    fn a_run_longer_than_one_call_takes_is_split() {
        let (mut sockets, client, path) = loopback_pair();
        let run = vec![7; 100 * 1200];
        sockets.send(Instant::now(), &path, &run, 1200);
        let mut buffer = [0; 2048];
        for _ in 0..100 {
            assert_eq!(client.recv(&mut buffer).unwrap(), 1200);
        }
        assert_eq!(sockets.stats.send_errors + sockets.stats.send_full, 0);
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

    #[test]
    fn what_cannot_be_sent_is_counted() {
        let (mut sockets, _client, path) = loopback_pair();
        let nowhere = Path { remote: path.remote, local: Some("192.0.2.1".parse().unwrap()) };
        sockets.send(Instant::now(), &nowhere, b"x", 1);
        assert_eq!(sockets.stats.send_errors, 1);
    }

    /// The kernel refuses port 0 just as it refuses to segment: with EINVAL.
    #[test]
    fn after_a_refusal_runs_go_out_singly_and_later_in_one_call_again() {
        let (mut sockets, client, path) = loopback_pair();
        let nowhere = Path { remote: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), ..path };
        let start = Instant::now();
        let run = [7; 300];
        sockets.send(start, &nowhere, &run, 100);
        assert_eq!((sockets.stats.segmentation_refused, sockets.stats.send_errors), (1, 3));

        let mut calls_for_a_run = |at| {
            let before = sockets.stats.send_calls;
            sockets.send(at, &path, &run, 100);
            let mut buffer = [0; 2048];
            for _ in 0..3 {
                assert_eq!(client.recv(&mut buffer).unwrap(), 100);
            }
            sockets.stats.send_calls - before
        };
        assert_eq!(calls_for_a_run(start), 3);
        assert_eq!(calls_for_a_run(start + SEGMENTATION_REST), 1);
    }
}
