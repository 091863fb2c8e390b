//! The SFU as a server: `media/` runs the engine on its own threads, `session/` keeps rooms and
//! participants, `api/` is the doors. `main.rs` only reads the configuration and waits for
//! signals; tests call [`run`] in their own process.
// Forbidden but for one system call: see `media/socket/sendmmsg.rs`.
#![deny(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test"))]

mod api;
mod assets;
pub mod auth;
pub mod config;
mod ice_servers;
pub mod limits;
mod media;
mod memory;
mod metrics;
mod session;
pub mod shutdown;
mod tcp;
mod tls;
mod webhooks;

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use anyhow::Context as _;

use crate::api::Context;
use crate::auth::{KeyRing, Keys};
use crate::config::{Live, Reloaded, Settings};
use crate::ice_servers::IceServers;
use crate::media::{Forward, Media};
use crate::session::Sessions;
use crate::tls::{Renewal, Tls};
use crate::webhooks::Webhooks;

pub use crate::media::KERNEL_BUFFER_BYTES;
pub use crate::tls::certificate_end;

/// A server that accepts clients.
pub struct RunningServer {
    /// Where HTTP and WebSocket listen.
    pub http_addr: SocketAddr,
    /// Where `/metrics` listens, if not there.
    pub metrics_addr: Option<SocketAddr>,
    /// Where media is received, IPv4 first.
    pub udp_addrs: Vec<SocketAddr>,
    /// Where media is accepted by TCP, IPv4 first; empty if nowhere.
    pub tcp_addrs: Vec<SocketAddr>,
    /// Whether that is with TLS.
    pub is_https: bool,
    settings: Live,
    renewal: Renewal,
    keys: KeyRing,
    webhooks: Webhooks,
    http: Vec<ServerHandle>,
    sessions: Arc<Sessions>,
    media_threads: Vec<JoinHandle<()>>,
}

/// Starts a server. Must be called inside a tokio runtime; tasks of the session layer run there.
pub async fn run(settings: Settings) -> anyhow::Result<RunningServer> {
    memory::small_pages();
    let tls = Tls::new(&settings.tls)?;
    let forward = Arc::new(Forward::default());
    let media = Media::start(&settings.media, Arc::clone(&forward))?;
    let is_one_port = settings.media.tcp_http;
    let http_addr = settings.http.addr;
    let ice_servers = IceServers::new(&settings.ice)?;
    let settings = Live::new(settings);
    let runtime = tokio::runtime::Handle::current();
    let sessions =
        Sessions::new(settings.clone(), media.handle.clone(), ice_servers, runtime.clone());
    let webhooks = Webhooks::start(&settings.now().webhooks, runtime.clone());
    sessions.tell_webhooks(webhooks.clone());
    sessions.follow(media.outputs);
    sessions.watch_load();

    let keys = KeyRing::new(Keys::new(&settings.now().auth)?);
    let context =
        Context::new(settings.clone(), keys.clone(), Arc::clone(&sessions), Arc::clone(&forward));
    let context = Arc::new(context);
    let metrics_addr = settings.now().telemetry.metrics_addr;
    let metrics = metrics_addr.map(|addr| {
        let served = api::serve_metrics(addr, Arc::clone(&context));
        served.with_context(|| format!("cannot listen on {addr} for metrics"))
    });
    let (metrics, metrics_addr) = metrics.transpose()?.unzip();
    let renewal = tls.as_ref().map(Tls::renewal).unwrap_or_default();
    let is_https = tls.is_some();
    let served = api::serve(http_addr, tls, context);
    let (server, http_addrs) = served.with_context(|| format!("cannot listen on {http_addr}"))?;
    if let Some(&addr) = http_addrs.first().filter(|_| is_one_port) {
        forward.to(addr);
    }
    let servers: Vec<_> = std::iter::once(server).chain(metrics).collect();
    let http = servers.iter().map(actix_web::dev::Server::handle).collect();
    for server in servers {
        runtime.spawn(async move {
            if let Err(e) = server.await {
                tracing::error!("the HTTP server ended: {e}");
            }
        });
    }
    Ok(RunningServer {
        http_addr: http_addrs.first().copied().unwrap_or(http_addr),
        metrics_addr,
        udp_addrs: media.addrs,
        tcp_addrs: media.tcp_addrs,
        is_https,
        settings,
        renewal,
        keys,
        webhooks,
        http,
        sessions,
        media_threads: media.threads,
    })
}

impl RunningServer {
    /// Puts new settings in force, as far as that can be done while the server runs, all or none.
    pub fn reload(&self, settings: &Settings) -> anyhow::Result<Reloaded> {
        let keys = Keys::new(&settings.auth)?;
        if self.renewal.reload(&settings.tls)? {
            tracing::info!("the certificate was renewed");
        }
        self.keys.replace(keys);
        self.webhooks.configure(&settings.webhooks);
        Ok(self.settings.replace(settings))
    }

    /// The keys in force.
    pub fn keys(&self) -> &KeyRing {
        &self.keys
    }

    /// Refuses joins from now on, for good, without ending anything: the first half of a stop.
    pub fn refuse_joins(&self) {
        self.sessions.refuse_joins();
    }

    /// How long participants may stay once the server is to end.
    pub fn drain_timeout(&self) -> Duration {
        self.settings.now().drain.timeout()
    }

    /// Refuses joins, tells everybody, and waits until all have left or `patience` is over.
    pub async fn drain(&self, patience: Duration) {
        self.sessions.begin_drain();
        self.sessions.refuse_joins();
        let empty = async {
            while !self.sessions.is_empty() {
                tokio::time::sleep(limits::DRAIN_LOOK).await;
            }
        };
        if tokio::time::timeout(patience, empty).await.is_err() {
            tracing::info!("not everybody left in time");
        }
    }

    /// Whether the process makes progress, as `/livez` says.
    pub fn is_alive(&self) -> bool {
        self.sessions.media().is_alive(limits::TICK_AGE_MAX)
    }

    /// Stops: new joins are refused, clients are told, rooms are closed, and everything ends
    /// within a few seconds.
    pub async fn stop(self) {
        self.sessions.drain(limits::SHUTDOWN_MAX / 2).await;
        for http in &self.http {
            http.stop(true).await;
        }
        self.sessions.media().stop();
        let threads = self.media_threads;
        let joined = tokio::task::spawn_blocking(move || {
            for thread in threads {
                if thread.join().is_err() {
                    tracing::error!("a media worker panicked");
                }
            }
        });
        let joined = tokio::time::timeout(limits::SHUTDOWN_MAX / 2, joined);
        let (joined, ()) = tokio::join!(joined, self.webhooks.finish(limits::SHUTDOWN_MAX / 2));
        if joined.is_err() {
            tracing::error!("a media worker does not stop");
        }
    }
}
