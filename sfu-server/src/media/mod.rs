//! The media side: one plain thread per worker, each with its own engine and sockets. The only
//! files that read a clock or touch a UDP socket. Nothing here knows of HTTP; the control plane
//! reaches a worker through [`MediaHandle`] and hears from it through [`Output`]s.

mod candidates;
mod handle;
mod socket;
mod worker;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::Context as _;
use sfu_core::EngineConfig;
use sfu_core::transport::{Certificate, Security};
use tokio::sync::mpsc;

use crate::limits;

pub(crate) use handle::{MediaError, MediaHandle, Output, WorkerId, WorkerSnapshot};

/// The running workers.
pub(crate) struct Media {
    pub(crate) handle: MediaHandle,
    /// What each worker tells, in order of their numbers.
    pub(crate) outputs: Vec<mpsc::Receiver<Output>>,
    /// The sockets' addresses, IPv4 first.
    pub(crate) addrs: Vec<SocketAddr>,
    threads: Vec<JoinHandle<()>>,
}

impl Media {
    /// Binds the port and starts the worker threads.
    pub(crate) fn start(udp_port: u16, advertise: &[IpAddr]) -> anyhow::Result<Self> {
        let sockets = socket::Sockets::bind(udp_port).context("cannot open the UDP port")?;
        let addrs = sockets.addrs();
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

        let (output_tx, output_rx) = mpsc::channel(limits::OUTPUTS_MAX);
        let (handle, thread) =
            worker::spawn(config, sockets, output_tx).context("cannot start a media worker")?;
        Ok(Self {
            handle: MediaHandle::new(vec![handle]),
            outputs: vec![output_rx],
            addrs,
            threads: vec![thread],
        })
    }

    /// The worker threads, for a caller that can wait for their end after
    /// [`MediaHandle::stop`].
    pub(crate) fn take_threads(&mut self) -> Vec<JoinHandle<()>> {
        std::mem::take(&mut self.threads)
    }
}
