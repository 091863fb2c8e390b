//! The WHIP (RFC 9725) and WHEP front that all Rust comparators share, so that one load generator
//! drives them all: an offer by POST to `/whip/<room>` or `/whep/<room>`, the answer with 201, the
//! end by DELETE.
//!
//! Two more doors are for the one who measures: `GET /readyz`, and `GET /pid` for the process that
//! carries the media.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{delete, get, post};
use clap::Args;

/// Where to listen; the same flags as the `sfu` program's, so that one driver starts either.
#[derive(Clone, Debug, Args)]
pub struct Listen {
    /// Address of the HTTP front.
    #[arg(long, default_value = "127.0.0.1:7890")]
    pub http_addr: SocketAddr,
    /// The UDP port for all media.
    #[arg(long, default_value_t = 7891)]
    pub udp_port: u16,
    /// The address that media are bound to and that candidates name.
    #[arg(long, default_value = "127.0.0.1")]
    pub advertise: IpAddr,
}

impl Listen {
    /// The media address.
    #[must_use]
    pub fn media(&self) -> SocketAddr {
        SocketAddr::new(self.advertise, self.udp_port)
    }
}

/// What a client came for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// By WHIP.
    Publish,
    /// By WHEP.
    Watch,
}

/// A client's offer.
#[derive(Clone, Debug)]
pub struct Offer {
    /// What for.
    pub role: Role,
    /// The room it named.
    pub room: String,
    /// The session description.
    pub sdp: String,
}

/// A session that was accepted.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// Names it for [`Sfu::leave`].
    pub id: u64,
    /// The session description.
    pub answer: String,
}

/// What stands behind the door.
#[async_trait::async_trait]
pub trait Sfu: Send + Sync + 'static {
    /// Answers an offer.
    async fn join(&self, offer: Offer) -> anyhow::Result<Accepted>;
    /// Ends a session; one that is not there has ended.
    async fn leave(&self, id: u64) -> anyhow::Result<()>;
    /// The process whose CPU time is the SFU's.
    fn media_pid(&self) -> u32 {
        std::process::id()
    }
}

/// Serves until `until` is done.
pub async fn serve(
    address: SocketAddr,
    sfu: Arc<dyn Sfu>,
    until: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::bind(address)
        .await
        .with_context(|| format!("listening on {address}"))?;
    let router = Router::new()
        .route("/readyz", get(|| async { "ready" }))
        .route("/pid", get(pid))
        .route("/whip/{room}", post(publish))
        .route("/whep/{room}", post(watch))
        .route("/session/{id}", delete(leave))
        .with_state(sfu);
    axum::serve(listener, router).with_graceful_shutdown(until).await?;
    Ok(())
}

/// Done at SIGTERM or SIGINT.
pub async fn asked_to_end() {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).expect("SIGTERM can be waited for");
    let mut interrupt = signal(SignalKind::interrupt()).expect("SIGINT can be waited for");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

async fn pid(State(sfu): State<Arc<dyn Sfu>>) -> String {
    sfu.media_pid().to_string()
}

async fn publish(
    State(sfu): State<Arc<dyn Sfu>>,
    Path(room): Path<String>,
    sdp: String,
) -> Response {
    join(&*sfu, Offer { role: Role::Publish, room, sdp }).await
}

async fn watch(State(sfu): State<Arc<dyn Sfu>>, Path(room): Path<String>, sdp: String) -> Response {
    join(&*sfu, Offer { role: Role::Watch, room, sdp }).await
}

async fn join(sfu: &dyn Sfu, offer: Offer) -> Response {
    match sfu.join(offer).await {
        Ok(Accepted { id, answer }) => {
            let location = format!("/session/{id}");
            let headers = [
                (header::CONTENT_TYPE, "application/sdp".to_owned()),
                (header::LOCATION, location),
            ];
            (StatusCode::CREATED, headers, answer).into_response()
        }
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error:#}")).into_response(),
    }
}

async fn leave(State(sfu): State<Arc<dyn Sfu>>, Path(id): Path<u64>) -> Response {
    match sfu.leave(id).await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(error) => (StatusCode::BAD_GATEWAY, format!("{error:#}")).into_response(),
    }
}
