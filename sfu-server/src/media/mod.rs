//! The media side: one plain thread per worker, each with its own engine and sockets. The only
//! files that read a clock or touch a UDP socket. Nothing here knows of HTTP; the control plane
//! reaches a worker through [`MediaHandle`] and hears from it through [`Output`]s.

mod candidates;
mod crossing;
mod handle;
mod handshakes;
mod load;
mod port;
mod socket;
mod strays;
mod worker;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::Context as _;
use sfu_core::EngineConfig;
use sfu_core::transport::{Certificate, Security};
use tokio::sync::mpsc;

use crate::limits;

pub use port::KERNEL_BUFFER_BYTES;

pub(crate) use handle::{MediaError, MediaHandle, Output, WorkerId, WorkerSnapshot};

/// The running workers.
pub(crate) struct Media {
    pub(crate) handle: MediaHandle,
    /// What the workers tell. One queue for all, so that what one worker told before another heard
    /// of it by the relay comes before what that one tells of it.
    pub(crate) outputs: mpsc::Receiver<(WorkerId, Output)>,
    /// The sockets' addresses, IPv4 first.
    pub(crate) addrs: Vec<SocketAddr>,
    /// They end after [`MediaHandle::stop`].
    pub(crate) threads: Vec<JoinHandle<()>>,
}

impl Media {
    /// Binds the port and starts as many worker threads.
    pub(crate) fn start(udp_port: u16, advertise: &[IpAddr], workers: u8) -> anyhow::Result<Self> {
        let ports = port::open(udp_port, workers.into()).context("cannot open the UDP port")?;
        let sockets = ports.into_iter().map(socket::Sockets::new);
        let sockets: Vec<_> = sockets.collect::<Result<_, _>>().context("cannot use UDP")?;
        let addrs = sockets[0].addrs();
        let port = addrs[0].port();
        let has_ipv6 = addrs.iter().any(SocketAddr::is_ipv6);
        let candidates = candidates::candidates(advertise, port, has_ipv6)
            .context("cannot list this machine's addresses")?;
        let certificate = Certificate::generate().context("cannot make a DTLS certificate")?;
        let config = EngineConfig {
            certificate: Arc::new(certificate),
            candidates,
            worker: 0,
            ntp_at_start: 0,
            security: Security::Full,
        };

        let (output_tx, outputs) = mpsc::channel(limits::OUTPUTS_MAX);
        let started = worker::start(&config, sockets, &output_tx);
        let (handles, threads) =
            started.context("cannot start the media workers")?.into_iter().unzip();
        Ok(Self { handle: MediaHandle::new(handles), outputs, addrs, threads })
    }
}
