//! [`Camera`] and [`Microphone`]: tasks that send on a schedule. The schedule is open: a late packet
//! is sent late, none is left out, and its stamp tells when it was due.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rtc::rtp::extension::HeaderExtension;
use rtc::rtp::extension::audio_level_extension::AudioLevelExtension;
use rtc::rtp_transceiver::rtp_sender::RtpCodecKind;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use webrtc::media_stream::track_local::TrackLocal as _;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;

use super::peer::{LocalTrack, PT_OPUS, PT_VP8, Peer};
use super::tap::TapState;
use crate::media::{AudioSource, VideoPlan, VideoSource, wall_clock_us};

/// The timer's grain; faster schedules send several frames at a time.
const TICK: Duration = Duration::from_millis(1);
/// A voice of middling loudness, in -dBov (RFC 6464).
const AUDIO_LEVEL: u8 = 30;

/// Sends VP8 until dropped. A key frame comes first and after each request for one.
pub struct Camera {
    /// The m-line it sends on.
    pub track: LocalTrack,
    /// Its name in stamps.
    pub source: u32,
    sent: Arc<AtomicU64>,
    keyframes: Arc<AtomicU64>,
    source_made: Option<VideoSource>,
    task: Option<JoinHandle<()>>,
}

impl Camera {
    /// Adds an m-line for a camera; it sends nothing before [`Camera::start`].
    pub async fn new(peer: &Peer, plan: VideoPlan) -> anyhow::Result<Self> {
        let track = peer.send(RtpCodecKind::Video).await?;
        let source = VideoSource::new(plan, track.ssrc, PT_VP8, rand::random());
        Ok(Self {
            track,
            source: source.id(),
            sent: Arc::default(),
            keyframes: Arc::default(),
            source_made: Some(source),
            task: None,
        })
    }

    /// Starts sending; the peer must be connected. Does nothing the second time.
    pub fn start(&mut self, peer: &Peer) {
        if let Some(source) = self.source_made.take() {
            let out = Outlet { track: Arc::clone(&self.track.track), sent: Arc::clone(&self.sent) };
            let tap = Arc::clone(peer.tap());
            let keyframes = Arc::clone(&self.keyframes);
            self.task = Some(tokio::spawn(film(source, out, tap, keyframes)));
        }
    }

    /// Packets sent so far: the number of the next one.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Acquire)
    }

    /// Key frames sent so far.
    #[must_use]
    pub fn keyframes(&self) -> u64 {
        self.keyframes.load(Ordering::Acquire)
    }

    /// Stops sending for good.
    pub fn stop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Sends Opus until dropped.
pub struct Microphone {
    /// The m-line it sends on.
    pub track: LocalTrack,
    /// Its name in stamps.
    pub source: u32,
    sent: Arc<AtomicU64>,
    source_made: Option<AudioSource>,
    task: Option<JoinHandle<()>>,
}

impl Microphone {
    /// Adds an m-line for a microphone; it sends nothing before [`Microphone::start`].
    pub async fn new(peer: &Peer) -> anyhow::Result<Self> {
        let track = peer.send(RtpCodecKind::Audio).await?;
        let source = AudioSource::new(track.ssrc, PT_OPUS, rand::random());
        Ok(Self {
            track,
            source: source.id(),
            sent: Arc::default(),
            source_made: Some(source),
            task: None,
        })
    }

    /// Starts sending; the peer must be connected. Does nothing the second time.
    pub fn start(&mut self) {
        if let Some(source) = self.source_made.take() {
            let out = Outlet { track: Arc::clone(&self.track.track), sent: Arc::clone(&self.sent) };
            self.task = Some(tokio::spawn(speak(source, out)));
        }
    }

    /// Packets sent so far: the number of the next one.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Acquire)
    }

    /// Stops sending for good.
    pub fn stop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}

impl Drop for Microphone {
    fn drop(&mut self) {
        self.stop();
    }
}

struct Outlet {
    track: Arc<TrackLocalStaticRTP>,
    sent: Arc<AtomicU64>,
}

/// When things are due: `count` per second from a start.
struct Schedule {
    start: Instant,
    start_us: u64,
    per_second: u64,
}

impl Schedule {
    fn new(per_second: u32) -> Self {
        Self { start: Instant::now(), start_us: wall_clock_us(), per_second: u64::from(per_second) }
    }

    fn after_us(&self, n: u64) -> u64 {
        n * 1_000_000 / self.per_second
    }

    /// Waits until the `n`th is due and returns when that was, by the wall clock.
    async fn due(&self, n: u64) -> u64 {
        let after = Duration::from_micros(self.after_us(n));
        if self.start.elapsed() + TICK / 2 < after {
            tokio::time::sleep_until(self.start + after.max(TICK)).await;
        }
        self.start_us + self.after_us(n)
    }
}

async fn film(mut source: VideoSource, out: Outlet, tap: Arc<TapState>, keyframes: Arc<AtomicU64>) {
    let schedule = Schedule::new(source.plan().fps);
    let mut answered = None;
    for frame in 0.. {
        let due_us = schedule.due(frame).await;
        let requested = tap.counters.keyframe_requests.load(Ordering::Relaxed);
        let keyframe = answered != Some(requested);
        answered = Some(requested);
        keyframes.fetch_add(u64::from(keyframe), Ordering::AcqRel);
        for packet in source.frame(due_us, keyframe) {
            if out.track.write_rtp(packet).await.is_err() {
                return;
            }
            out.sent.fetch_add(1, Ordering::AcqRel);
        }
    }
}

async fn speak(mut source: AudioSource, out: Outlet) {
    let schedule = Schedule::new(AudioSource::PACKETS_PER_SECOND);
    let level =
        [HeaderExtension::AudioLevel(AudioLevelExtension { level: AUDIO_LEVEL, voice: true })];
    for n in 0.. {
        let packet = source.packet(schedule.due(n).await);
        if out.track.write_rtp_with_extensions(packet, &level).await.is_err() {
            return;
        }
        out.sent.fetch_add(1, Ordering::AcqRel);
    }
}
