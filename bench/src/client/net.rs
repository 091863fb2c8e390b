//! [`BenchRuntime`]: tokio for the `webrtc` crate, with larger socket buffers and an eye on the
//! datagrams, so that what SRTP refuses is not mistaken for what the network lost.

use std::future::Future;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use webrtc::runtime::{
    AsyncInterval, AsyncTcpListener, AsyncTcpStream, AsyncUdpSocket, JoinHandle, RecvMeta, Runtime,
    TokioRuntime, Transmit,
};

use super::route::{Route, Routed};

/// Asked of the kernel for each socket; it gives at most `net.core.rmem_max`.
const SOCKET_BUFFER_BYTES: usize = 2 * 1024 * 1024;

/// What came to one peer's sockets.
#[derive(Debug, Default)]
pub struct SocketCounters {
    /// All datagrams.
    pub datagrams: AtomicU64,
    /// Datagrams that are SRTP or SRTCP by their first byte (RFC 7983).
    pub srtp: AtomicU64,
}

/// One peer's runtime.
#[derive(Debug, Default)]
pub(crate) struct BenchRuntime {
    pub(crate) counters: Arc<SocketCounters>,
    /// By which way its datagrams go.
    pub(crate) route: Route,
}

impl Runtime for BenchRuntime {
    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) -> Box<dyn JoinHandle> {
        TokioRuntime.spawn(future)
    }

    fn wrap_udp_socket(&self, socket: std::net::UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        let reference = socket2::SockRef::from(&socket);
        reference.set_recv_buffer_size(SOCKET_BUFFER_BYTES)?;
        reference.set_send_buffer_size(SOCKET_BUFFER_BYTES)?;
        let inner = Arc::new(self.route.through(TokioRuntime.wrap_udp_socket(socket)?)?);
        Ok(Arc::new(CountingSocket { inner, counters: Arc::clone(&self.counters) }))
    }

    fn wrap_tcp_listener(
        &self,
        listener: std::net::TcpListener,
    ) -> io::Result<Arc<dyn AsyncTcpListener>> {
        TokioRuntime.wrap_tcp_listener(listener)
    }

    fn connect_tcp<'a>(
        &'a self,
        remote_addr: SocketAddr,
    ) -> Pin<Box<dyn Future<Output = io::Result<Arc<dyn AsyncTcpStream>>> + Send + 'a>> {
        TokioRuntime.connect_tcp(remote_addr)
    }

    fn resolve_host<'a>(
        &'a self,
        host: &'a str,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>> {
        TokioRuntime.resolve_host(host)
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + 'static>> {
        TokioRuntime.sleep(duration)
    }

    fn interval(&self, period: Duration) -> Box<dyn AsyncInterval> {
        TokioRuntime.interval(period)
    }

    fn block_on(&self, future: Pin<Box<dyn Future<Output = ()> + '_>>) {
        TokioRuntime.block_on(future);
    }
}

#[derive(Debug)]
struct CountingSocket {
    inner: Arc<Routed>,
    counters: Arc<SocketCounters>,
}

impl AsyncUdpSocket for CountingSocket {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn poll_send(&self, cx: &mut Context<'_>, transmit: &Transmit<'_>) -> Poll<io::Result<usize>> {
        self.inner.poll_send(cx, transmit)
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let polled = self.inner.poll_recv(cx, bufs, meta);
        if let Poll::Ready(Ok(messages)) = &polled {
            for (buffer, meta) in bufs.iter().zip(meta.iter()).take(*messages) {
                for datagram in buffer[..meta.len].chunks(meta.stride.max(1)) {
                    self.counters.datagrams.fetch_add(1, Ordering::Relaxed);
                    if matches!(datagram.first(), Some(128..=191)) {
                        self.counters.srtp.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        }
        polled
    }

    fn max_gso_segments(&self) -> usize {
        self.inner.max_gso_segments()
    }

    fn max_gro_segments(&self) -> usize {
        self.inner.max_gro_segments()
    }
}
