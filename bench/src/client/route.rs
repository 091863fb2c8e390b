//! How a peer's datagrams reach the server without its knowing: as they are, by a NAT that may change
//! its mind ([`Route::rebind`]), or framed on a TCP connection ([`Route::tcp`], RFC 4571).

use std::future::Future as _;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use webrtc::runtime::{AsyncUdpSocket, RecvMeta, Runtime as _, TokioRuntime, Transmit};

/// Datagrams on their way to or from a connection.
const TUNNEL_DATAGRAMS: usize = 4096;

/// The route of one peer. Clones are the same route.
#[derive(Clone, Debug, Default)]
pub struct Route(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Where a TCP connection goes, and where the peer believes to send.
    tcp: Option<SocketAddr>,
    current: Option<Arc<dyn AsyncUdpSocket>>,
    /// Whose source address is written into what is sent.
    claimed: Option<Route>,
    receiving: Option<Waker>,
}

impl Route {
    /// A route by a TCP connection to `server`, and by nothing else.
    #[must_use]
    pub fn tcp(server: SocketAddr) -> Self {
        Self(Arc::new(Mutex::new(State { tcp: Some(server), ..State::default() })))
    }

    /// From now on the datagrams come from another port of `address`, and what is sent to the former
    /// one is lost: what a NAT does that has forgotten, or a phone that changes networks.
    pub fn rebind(&self, address: IpAddr) -> io::Result<SocketAddr> {
        let socket = UdpSocket::bind((address, 0))?;
        socket.set_nonblocking(true)?;
        let bound = socket.local_addr()?;
        let mut state = self.state();
        state.current = Some(TokioRuntime.wrap_udp_socket(socket)?);
        if let Some(waker) = state.receiving.take() {
            waker.wake();
        }
        Ok(bound)
    }

    /// From now on what is sent seems to come from where `other` is; what is received stays its own.
    pub fn claim(&self, other: &Self) {
        self.state().claimed = Some(other.clone());
    }

    /// What stands for the socket that the peer opened.
    pub(super) fn through(&self, own: Arc<dyn AsyncUdpSocket>) -> io::Result<Routed> {
        let local = own.local_addr()?;
        let mut state = self.state();
        state.current = Some(match state.tcp {
            Some(server) => Arc::new(Tunnel::open(server, local)),
            None => own,
        });
        Ok(Routed { route: self.clone(), local })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn current(&self) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        self.state().current.clone().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

/// A socket whose datagrams go by a [`Route`].
#[derive(Debug)]
pub(super) struct Routed {
    route: Route,
    local: SocketAddr,
}

impl AsyncUdpSocket for Routed {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }

    fn poll_send(&self, cx: &mut Context<'_>, transmit: &Transmit<'_>) -> Poll<io::Result<usize>> {
        let claimed = self.route.state().claimed.clone();
        claimed.as_ref().unwrap_or(&self.route).current()?.poll_send(cx, transmit)
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        self.route.state().receiving = Some(cx.waker().clone());
        self.route.current()?.poll_recv(cx, bufs, meta)
    }

    fn max_gso_segments(&self) -> usize {
        self.route.current().map_or(1, |socket| socket.max_gso_segments())
    }

    fn max_gro_segments(&self) -> usize {
        self.route.current().map_or(1, |socket| socket.max_gro_segments())
    }
}

/// A TCP connection that looks like a socket.
#[derive(Debug)]
struct Tunnel {
    local: SocketAddr,
    out: mpsc::Sender<Vec<u8>>,
    incoming: tokio::sync::Mutex<mpsc::Receiver<Vec<u8>>>,
    /// Where the peer sent to last: where answers seem to come from.
    server: Mutex<Option<SocketAddr>>,
}

impl Tunnel {
    fn open(server: SocketAddr, local: SocketAddr) -> Self {
        let (out, mut to_send) = mpsc::channel::<Vec<u8>>(TUNNEL_DATAGRAMS);
        let (received, incoming) = mpsc::channel(TUNNEL_DATAGRAMS);
        tokio::spawn(async move {
            let stream = TcpStream::connect(server).await?;
            stream.set_nodelay(true)?;
            let (mut reader, mut writer) = stream.into_split();
            tokio::spawn(async move {
                while let Some(datagram) = to_send.recv().await {
                    let length = u16::try_from(datagram.len()).unwrap_or_default();
                    let frame = [&length.to_be_bytes()[..], &datagram].concat();
                    if writer.write_all(&frame).await.is_err() {
                        return;
                    }
                }
            });
            loop {
                let length = reader.read_u16().await?;
                let mut datagram = vec![0; length.into()];
                reader.read_exact(&mut datagram).await?;
                if received.send(datagram).await.is_err() {
                    return io::Result::Ok(());
                }
            }
        });
        Self { local, out, incoming: tokio::sync::Mutex::new(incoming), server: Mutex::default() }
    }
}

impl AsyncUdpSocket for Tunnel {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }

    fn poll_send(&self, _: &mut Context<'_>, transmit: &Transmit<'_>) -> Poll<io::Result<usize>> {
        let server = Some(transmit.destination);
        *self.server.lock().unwrap_or_else(PoisonError::into_inner) = server;
        let bytes = transmit.contents.len();
        for datagram in transmit.contents.chunks(transmit.segment_size.unwrap_or(bytes).max(1)) {
            // A full pipe drops, as a network does.
            _ = self.out.try_send(datagram.to_vec());
        }
        Poll::Ready(Ok(bytes))
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let server = *self.server.lock().unwrap_or_else(PoisonError::into_inner);
        let Poll::Ready(mut incoming) = pin!(self.incoming.lock()).poll(cx) else {
            return Poll::Pending;
        };
        match incoming.poll_recv(cx) {
            Poll::Ready(Some(datagram)) => {
                let length = datagram.len().min(bufs[0].len());
                bufs[0][..length].copy_from_slice(&datagram[..length]);
                let addr = server.unwrap_or(self.local);
                let filled = &mut meta[0];
                (filled.addr, filled.len, filled.stride) = (addr, length, length.max(1));
                (filled.ecn, filled.dst_ip) = (None, None);
                Poll::Ready(Ok(1))
            }
            Poll::Ready(None) => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}
