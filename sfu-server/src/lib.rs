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
pub mod limits;
mod media;
mod metrics;
mod session;
pub mod shutdown;
mod tcp;

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use actix_web::dev::ServerHandle;
use anyhow::Context as _;

use crate::api::Context;
use crate::auth::{KeyRing, Keys};
use crate::config::{Live, Reloaded, Settings};
use crate::media::Media;
use crate::session::Sessions;

/// A server that accepts clients.
pub struct RunningServer {
    /// Where HTTP and WebSocket listen.
    pub http_addr: SocketAddr,
    /// Where media is received, IPv4 first.
    pub udp_addrs: Vec<SocketAddr>,
    settings: Live,
    keys: KeyRing,
    http: ServerHandle,
    sessions: Arc<Sessions>,
    media_threads: Vec<JoinHandle<()>>,
}

/// Starts a server. Must be called inside a tokio runtime; tasks of the session layer run there.
pub async fn run(settings: Settings) -> anyhow::Result<RunningServer> {
    let media = &settings.media;
    let media = Media::start(media.udp_port, &media.advertise, media.worker_count())?;
    let http_addr = settings.http.addr;
    let settings = Live::new(settings);
    let runtime = tokio::runtime::Handle::current();
    let sessions = Sessions::new(settings.clone(), media.handle.clone(), runtime.clone());
    sessions.follow(media.outputs);

    let keys = KeyRing::new(Keys::new(&settings.now().auth)?);
    let context = Arc::new(Context::new(settings.clone(), keys.clone(), Arc::clone(&sessions)));
    let served = api::serve(http_addr, context);
    let (server, http_addrs) = served.with_context(|| format!("cannot listen on {http_addr}"))?;
    let http = server.handle();
    runtime.spawn(async move {
        if let Err(e) = server.await {
            tracing::error!("the HTTP server ended: {e}");
        }
    });
    Ok(RunningServer {
        http_addr: http_addrs.first().copied().unwrap_or(http_addr),
        udp_addrs: media.addrs,
        settings,
        keys,
        http,
        sessions,
        media_threads: media.threads,
    })
}

impl RunningServer {
    /// Puts new settings in force, as far as that can be done while the server runs.
    pub fn reload(&self, settings: &Settings) -> Reloaded {
        let reloaded = self.settings.replace(settings);
        match Keys::new(&self.settings.now().auth) {
            Ok(keys) => self.keys.replace(keys),
            Err(error) => tracing::error!("the keys stay as they were: {error}"),
        }
        reloaded
    }

    /// The keys in force.
    pub fn keys(&self) -> &KeyRing {
        &self.keys
    }

    /// Refuses joins from now on, without ending anything: the first half of a stop.
    pub fn refuse_joins(&self) {
        self.sessions.refuse_joins();
    }

    /// Stops: new joins are refused, clients are told, rooms are closed, and everything ends
    /// within a few seconds.
    pub async fn stop(self) {
        self.sessions.drain(limits::SHUTDOWN_MAX / 2).await;
        self.http.stop(true).await;
        self.sessions.media().stop();
        let threads = self.media_threads;
        let joined = tokio::task::spawn_blocking(move || {
            for thread in threads {
                if thread.join().is_err() {
                    tracing::error!("a media worker panicked");
                }
            }
        });
        if tokio::time::timeout(limits::SHUTDOWN_MAX / 2, joined).await.is_err() {
            tracing::error!("a media worker does not stop");
        }
    }
}
