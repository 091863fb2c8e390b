//! What a client does: data, from which [`World::join`](crate::World::join) makes a client.

use std::time::Duration;

use sfu_core::command::{Source, SubscribePolicy};
use sfu_core::negotiation::Codec;

use crate::client::layers::Layering;
use crate::client::publisher::Shape;
use crate::link::{Conditions, LinkPlan};

/// What one client publishes, receives and lives behind.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What it subscribes to.
    pub subscribe: SubscribePolicy,
    /// The levels its microphone sends over time, in dBov: from each time since the start of the
    /// world on. Empty without a microphone.
    pub levels: Vec<(Duration, i8)>,
    /// Its camera.
    pub video: Option<VideoPlan>,
    /// How it comes by receiving m-lines.
    pub slots: Slots,
    /// Video codecs it offers for receiving.
    pub video_codecs: Vec<Codec>,
    /// What it tells the engine of what arrives.
    pub feedback: Feedback,
    /// From the client to the engine.
    pub up: LinkPlan,
    /// From the engine to the client.
    pub down: LinkPlan,
}

/// How a client comes by receiving m-lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slots {
    /// It offers this many from the start and never more.
    Fixed {
        /// Receiving audio m-lines.
        audio: usize,
        /// Receiving video m-lines.
        video: usize,
    },
    /// It adds what the engine says it needs.
    OnDemand,
}

/// What a client tells the engine of how packets arrive, for its estimate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feedback {
    /// Transport-wide feedback at this interval.
    TransportWide(Duration),
    /// Congestion control feedback of RFC 8888 at this interval.
    Rfc8888(Duration),
    /// Nothing but the receiver's own estimate (REMB), here a constant in bit/s, once a second.
    Remb(u64),
    /// Nothing, though transport-wide feedback was agreed on.
    Silent,
    /// Nothing, and nothing agreed on: what it subscribes to is sent unpaced.
    None,
}

impl Feedback {
    /// As browsers do on a busy link.
    pub const BROWSER: Self = Self::TransportWide(Duration::from_millis(50));
}

/// What a camera sends.
#[derive(Clone, Debug, PartialEq)]
pub struct VideoPlan {
    /// Where it comes from.
    pub source: Source,
    /// Its codec; every encoding has the same.
    pub codec: Codec,
    /// The layers of each encoding.
    pub layering: Layering,
    /// Width and height of the best encoding and layer; each one below has half of it.
    pub size: (u16, u16),
    /// Whether packets carry a dependency descriptor; those of AV1 always do.
    pub dependency_descriptor: bool,
    /// Frames per second.
    pub frames_per_second: u32,
    /// One without simulcast; else one for each RID or pair of SSRCs, the best one last.
    pub encodings: Vec<Encoding>,
    /// How much larger a keyframe is than another frame.
    pub keyframe_factor: u32,
    /// A padding-only packet after every so many frames, as a bandwidth probe sends.
    pub padding_every: Option<u32>,
    /// The first sequence number; random without.
    pub first_sequence: Option<u16>,
    /// Whether it stops what the engine says nobody wants.
    pub follows_demand: bool,
    /// Whether it stops its upper encodings or layers when feedback says its uplink is too thin.
    pub adapts: bool,
    /// What it sends over time, in per cent of the bitrates of its encodings: from each of these
    /// times since the start of the world on. All of it before the first.
    pub rates: Vec<(Duration, u64)>,
}

/// One encoding of a camera.
#[derive(Clone, Debug, PartialEq)]
pub struct Encoding {
    /// Its RID; without, the encoding is known by signalled SSRCs.
    pub rid: Option<&'static str>,
    /// Its bitrate, all layers together.
    pub bits_per_second: u64,
}

impl Default for VideoPlan {
    /// 1 Mbit/s of VP8 at 30 frames a second, keyframes nine times the size of other frames.
    fn default() -> Self {
        Self {
            source: Source::Camera,
            codec: Codec::Vp8,
            layering: Layering::default(),
            size: (1280, 720),
            dependency_descriptor: false,
            frames_per_second: 30,
            encodings: vec![Encoding { rid: None, bits_per_second: 1_000_000 }],
            keyframe_factor: 9,
            padding_every: None,
            first_sequence: None,
            follows_demand: true,
            adapts: false,
            rates: Vec::new(),
        }
    }
}

/// Share of an encoding's bits that each spatial layer has, in per cent.
const SPATIAL_SHARES: [&[u64]; 3] = [&[100], &[25, 75], &[10, 28, 62]];
/// Size of a picture by temporal layer, in per cent of the mean: as libwebrtc shares bits out.
const TEMPORAL_SIZES: [&[u64]; 3] = [&[100], &[120, 80], &[160, 80, 80]];

impl VideoPlan {
    /// Three encodings, the best one last.
    #[must_use]
    pub fn simulcast() -> Self {
        let encoding = |rid, bits_per_second| Encoding { rid: Some(rid), bits_per_second };
        let encodings =
            vec![encoding("q", 150_000), encoding("h", 500_000), encoding("f", 1_500_000)];
        Self { encodings, ..Self::default() }
    }

    /// One encoding with layers: 1.5 Mbit/s.
    #[must_use]
    pub fn layered(codec: Codec, layering: Layering) -> Self {
        let encodings = vec![Encoding { rid: None, bits_per_second: 1_500_000 }];
        Self { codec, layering, encodings, ..Self::default() }
    }

    /// The same in another codec.
    #[must_use]
    pub fn with_codec(self, codec: Codec) -> Self {
        Self { codec, ..self }
    }

    /// The same with other layers in each encoding.
    #[must_use]
    pub fn with_layering(self, layering: Layering) -> Self {
        Self { layering, ..self }
    }

    pub(crate) fn describes_dependencies(&self) -> bool {
        self.dependency_descriptor || self.codec == Codec::Av1
    }

    /// What it sends at `now`, in per cent of the bitrates of its encodings.
    fn percent(&self, now: Duration) -> u64 {
        let past = self.rates.iter().rev().find(|(from, _)| *from <= now);
        past.map_or(100, |&(_, percent)| percent)
    }

    /// Time from picture to picture.
    pub(crate) fn frame_interval(&self) -> Duration {
        Duration::from_secs(1) / self.frames_per_second
    }

    /// Payload bytes of a layer frame, around the mean that the bitrate gives.
    pub(crate) fn frame_bytes(
        &self,
        now: Duration,
        encoding: usize,
        shape: &Shape,
        picture: u32,
    ) -> usize {
        let rate = self.encodings[encoding].bits_per_second * self.percent(now) / 100;
        let mean = rate / 8 / u64::from(self.frames_per_second);
        let Layering { spatial, temporal, .. } = self.layering;
        let share = SPATIAL_SHARES[usize::from(spatial) - 1][usize::from(shape.spatial)];
        let size = TEMPORAL_SIZES[usize::from(temporal) - 1][usize::from(shape.temporal)];
        // A fixed unrest of ±12 %: frames of one size would hide mistakes in packet counts.
        let unrest = u64::from(picture.wrapping_mul(2_654_435_761) >> 24);
        let bytes = mean * (1024 - 128 + unrest) / 1024 * share / 100;
        let bytes = if shape.keyframe {
            bytes * u64::from(self.keyframe_factor)
        } else {
            bytes * size / 100
        };
        usize::try_from(bytes).expect("frames fit memory").max(80)
    }
}

impl Plan {
    /// Sends a camera and a microphone, and receives everything.
    #[must_use]
    pub fn publisher() -> Self {
        Self {
            levels: vec![(Duration::ZERO, -60)],
            video: Some(VideoPlan::default()),
            ..Self::viewer()
        }
    }

    /// Sends a camera only, and receives nothing.
    #[must_use]
    pub fn camera() -> Self {
        Self {
            video: Some(VideoPlan::default()),
            subscribe: SubscribePolicy::Manual,
            ..Self::viewer()
        }
    }

    /// Sends nothing and receives everything.
    #[must_use]
    pub fn viewer() -> Self {
        Self {
            subscribe: SubscribePolicy::All,
            levels: Vec::new(),
            video: None,
            slots: Slots::OnDemand,
            video_codecs: vec![Codec::Vp8, Codec::H264, Codec::Vp9, Codec::Av1],
            feedback: Feedback::BROWSER,
            up: LinkPlan::default(),
            down: LinkPlan::default(),
        }
    }

    /// The same with another camera.
    #[must_use]
    pub fn with_video(self, video: VideoPlan) -> Self {
        Self { video: Some(video), ..self }
    }

    /// The same with another microphone.
    #[must_use]
    pub fn with_levels(self, levels: &[(Duration, i8)]) -> Self {
        Self { levels: levels.to_vec(), ..self }
    }

    /// The same with a fixed number of receiving m-lines.
    #[must_use]
    pub fn with_slots(self, audio: usize, video: usize) -> Self {
        Self { slots: Slots::Fixed { audio, video }, ..self }
    }

    /// The same subscribing to something else.
    #[must_use]
    pub fn subscribing(self, subscribe: SubscribePolicy) -> Self {
        Self { subscribe, ..self }
    }

    /// The same telling the engine how packets arrive.
    #[must_use]
    pub fn with_feedback(self, feedback: Feedback) -> Self {
        Self { feedback, ..self }
    }

    /// The same behind another uplink.
    #[must_use]
    pub fn with_up(self, up: impl Into<LinkPlan>) -> Self {
        Self { up: up.into(), ..self }
    }

    /// The same behind another downlink.
    #[must_use]
    pub fn with_down(self, down: impl Into<LinkPlan>) -> Self {
        Self { down: down.into(), ..self }
    }

    /// The same with this delay each way.
    #[must_use]
    pub fn at_distance(self, delay: Duration) -> Self {
        self.with_up(Conditions::clean(delay)).with_down(Conditions::clean(delay))
    }
}
