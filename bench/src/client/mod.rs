//! Participants: [`Peer`] is one peer connection of the `webrtc` crate with its account of packets;
//! [`HttpSession`] takes it through WHIP or WHEP, [`Participant`] through the WebSocket protocol,
//! and [`Camera`] and [`Microphone`] feed it.

mod http;
mod net;
mod participant;
mod peer;
mod route;
mod sdp;
mod sender;
mod signal;
mod tap;

pub use http::{HttpSession, ServerUrl};
pub use net::SocketCounters;
pub use participant::{Assignment, DataFrame, Join, Participant};
pub use peer::{LocalTrack, Peer, PeerOptions};
pub use route::Route;
pub use rtc::rtp_transceiver::rtp_sender::RtpCodecKind;
pub use sdp::{Sdp, SdpSection};
pub use sender::{Camera, Microphone};
pub use signal::{SignalClosed, Signalling};
pub use tap::{TapCounters, TapState};

use std::time::Duration;

use anyhow::{Context as _, bail};

/// How long a step that depends on the other side may take before it is a failure.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `condition` gives something, asking again every few milliseconds; an error that
/// names `what` after [`PATIENCE`].
pub async fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> anyhow::Result<T> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition() {
            return Ok(value);
        }
        if tokio::time::Instant::now() >= deadline {
            bail!("not within {PATIENCE:?}: {what}");
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Bounds a future by [`PATIENCE`].
pub(crate) async fn within<T, E>(
    what: &'static str,
    future: impl Future<Output = Result<T, E>>,
) -> anyhow::Result<T>
where
    Result<T, E>: anyhow::Context<T, E>,
{
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(result) => result.context(what),
        Err(_) => bail!("not within {PATIENCE:?}: {what}"),
    }
}
