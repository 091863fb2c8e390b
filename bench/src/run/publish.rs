//! `bench publish`: one WHIP publisher, for a browser or another program to watch.

use std::time::Duration;

use anyhow::ensure;
use clap::Args;
use serde::Serialize;

use super::{Report, bitrate, duration};
use crate::client::{HttpSession, ServerUrl};
use crate::media::VideoPlan;

/// What to publish.
#[derive(Clone, Debug, Args)]
pub struct PublishArgs {
    /// The server's base URL.
    #[arg(long, default_value = "http://127.0.0.1:7880")]
    pub url: String,
    /// The room.
    #[arg(long, default_value = "bench")]
    pub room: String,
    /// Video payload rate, such as 1mbps.
    #[arg(long, value_parser = bitrate, default_value = "1mbps")]
    pub bitrate: u64,
    /// Frames per second.
    #[arg(long, default_value_t = 30)]
    pub fps: u32,
    /// Instead of a camera: so many tiny one-packet frames a second, to reach a high count soon.
    #[arg(long, value_name = "N", conflicts_with_all = ["bitrate", "fps"])]
    pub packets_per_second: Option<u32>,
    /// No sound.
    #[arg(long)]
    pub no_audio: bool,
    /// For how long, such as 60s.
    #[arg(long, value_parser = duration, default_value = "60s")]
    pub duration: Duration,
    /// End as soon as so many video packets were sent.
    #[arg(long, value_name = "N")]
    pub packets: Option<u64>,
}

/// What was published.
#[derive(Debug, Serialize)]
pub struct Published {
    /// Video packets sent.
    pub video_packets: u64,
    /// Key frames among them.
    pub keyframes: u64,
    /// Audio packets sent.
    pub audio_packets: u64,
    /// Keyframe requests received.
    pub keyframe_requests: u64,
    /// Packets the server asked for again.
    pub nacked: u64,
}

/// Publishes until the time or the count is reached.
pub async fn run(args: &PublishArgs) -> anyhow::Result<Published> {
    ensure!(args.fps > 0, "--fps must not be 0");
    let plan = match args.packets_per_second {
        Some(rate) => VideoPlan::raw(rate),
        None => VideoPlan::camera(args.bitrate, args.fps),
    };
    let server = ServerUrl::new(&args.url)?;
    let session = HttpSession::publish(&server, &args.room, Some(plan), !args.no_audio).await?;
    eprintln!("publishing to {} as {}", args.room, session.location);
    let end = tokio::time::Instant::now() + args.duration;
    let sent = || session.camera.as_ref().map_or(0, |camera| camera.sent());
    while tokio::time::Instant::now() < end && args.packets.is_none_or(|packets| sent() < packets) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let counters = &session.peer.tap().counters;
    let published = Published {
        video_packets: sent(),
        keyframes: session.camera.as_ref().map_or(0, |camera| camera.keyframes()),
        audio_packets: session.microphone.as_ref().map_or(0, |microphone| microphone.sent()),
        keyframe_requests: counters.keyframe_requests.load(std::sync::atomic::Ordering::Relaxed),
        nacked: counters.nacked_by_remote.load(std::sync::atomic::Ordering::Relaxed),
    };
    session.close().await?;
    Ok(published)
}

impl Report for Published {
    fn markdown(&self) -> String {
        format!(
            "published {} video packets ({} key frames, {} requests), {} audio packets; {} asked for again",
            self.video_packets,
            self.keyframes,
            self.keyframe_requests,
            self.audio_packets,
            self.nacked,
        )
    }

    fn failures(&self) -> Vec<String> {
        Vec::new()
    }
}
