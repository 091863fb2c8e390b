//! The media side: one plain thread per worker, each with its own engine and sockets. The only
//! files that read a clock or touch a UDP socket. Nothing here knows of HTTP; the control plane
//! reaches a worker through [`MediaHandle`] and hears from it through [`Output`]s.

mod candidates;
mod crossing;
mod handle;
mod handshakes;
mod impair;
mod latency;
mod load;
mod port;
mod socket;
mod strays;
mod tcp;
mod worker;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::Context as _;
use sfu_core::EngineConfig;
use sfu_core::transport::{Certificate, Security};
use tokio::sync::mpsc;

use crate::config::MediaSettings;
use crate::limits;

pub use port::KERNEL_BUFFER_BYTES;
pub(crate) use tcp::{Forward, TcpStats};

pub(crate) use impair::{Impairment, Leg};

pub(crate) use latency::Latency;

pub(crate) use handle::{MediaError, MediaHandle, Output, WorkerId, WorkerSnapshot};

/// The running workers.
pub(crate) struct Media {
    pub(crate) handle: MediaHandle,
    /// What the workers tell. One queue for all, so that what one worker told before another heard
    /// of it by the relay comes before what that one tells of it.
    pub(crate) outputs: mpsc::Receiver<(WorkerId, Output)>,
    /// The sockets' addresses, IPv4 first.
    pub(crate) addrs: Vec<SocketAddr>,
    /// Where TCP is accepted, IPv4 first; empty if nowhere.
    pub(crate) tcp_addrs: Vec<SocketAddr>,
    /// They end after [`MediaHandle::stop`].
    pub(crate) threads: Vec<JoinHandle<()>>,
}

impl Media {
    /// Binds the ports and starts the worker threads. Connections that are not ICE go by
    /// `forward`.
    pub(crate) fn start(settings: &MediaSettings, forward: Arc<Forward>) -> anyhow::Result<Self> {
        let workers = settings.worker_count();
        let ports = port::open(settings.udp_port, workers.into())
            .with_context(|| format!("cannot open UDP port {}", settings.udp_port))?;
        let sockets = ports.into_iter().map(socket::Sockets::new);
        let sockets: Vec<_> = sockets.collect::<Result<_, _>>().context("cannot use UDP")?;
        let addrs = sockets[0].addrs();
        let udp = addrs[0].port();
        let listeners = if settings.tcp { listen(settings, udp)? } else { Vec::new() };
        let tcp_addrs: Vec<SocketAddr> =
            listeners.iter().map(TcpListener::local_addr).collect::<Result<_, _>>()?;
        let ports = candidates::Ports {
            udp,
            tcp: tcp_addrs.first().map(SocketAddr::port),
            has_ipv6: addrs.iter().any(SocketAddr::is_ipv6),
        };
        let candidates = candidates::candidates(&settings.advertise, ports)?;
        let certificate = Certificate::generate().context("cannot make a DTLS certificate")?;
        let config = EngineConfig {
            certificate: Arc::new(certificate),
            candidates,
            worker: 0,
            ntp_at_start: 0,
            security: Security::Full,
        };

        let (output_tx, outputs) = mpsc::channel(limits::OUTPUTS_MAX);
        let tcp_stats = Arc::new(TcpStats::default());
        let started = worker::start(&config, sockets, &output_tx, &tcp_stats);
        let started = started.context("cannot start the media workers")?;
        let (mut handles, mut doors, mut threads) = (Vec::new(), Vec::new(), Vec::new());
        for (handle, door, thread) in started {
            handles.push(handle);
            doors.push(door);
            threads.push(thread);
        }
        tcp::accept(listeners, doors, forward, Arc::clone(&tcp_stats))
            .context("cannot accept TCP connections")?;
        Ok(Self {
            handle: MediaHandle::new(handles, tcp_stats),
            outputs,
            addrs,
            tcp_addrs,
            threads,
        })
    }
}

/// Listens at the TCP port, which has the UDP port's number unless another was asked for.
fn listen(settings: &MediaSettings, udp: u16) -> anyhow::Result<Vec<TcpListener>> {
    let wanted = settings.tcp_port.unwrap_or(udp);
    let listeners = match tcp::listen(wanted) {
        // The kernel chose the UDP port, and somebody else has the TCP port of that number.
        Err(_) if settings.udp_port == 0 && settings.tcp_port.is_none() => tcp::listen(0),
        listeners => listeners,
    };
    listeners.with_context(|| format!("cannot listen at TCP port {wanted} (media.tcp_port)"))
}
