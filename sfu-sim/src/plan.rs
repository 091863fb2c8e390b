//! What a client does: data, from which [`World::join`](crate::World::join) makes a client.

use std::time::Duration;

use sfu_core::command::SubscribePolicy;
use sfu_core::negotiation::Codec;

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
    /// Video codecs it offers, for sending and receiving. What it sends is always VP8.
    pub video_codecs: Vec<Codec>,
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

/// What a camera sends.
#[derive(Clone, Debug, PartialEq)]
pub struct VideoPlan {
    /// Frames per second.
    pub frames_per_second: u32,
    /// One without simulcast; else one for each RID.
    pub encodings: Vec<Encoding>,
    /// How much larger a keyframe is than another frame.
    pub keyframe_factor: u32,
    /// A padding-only packet after every so many frames, as a bandwidth probe sends.
    pub padding_every: Option<u32>,
    /// The first sequence number; random without.
    pub first_sequence: Option<u16>,
}

/// One encoding of a camera.
#[derive(Clone, Debug, PartialEq)]
pub struct Encoding {
    /// Its RID; without, the encoding is known by signalled SSRCs.
    pub rid: Option<&'static str>,
    /// Its bitrate.
    pub bits_per_second: u64,
}

impl Default for VideoPlan {
    /// 1 Mbit/s at 30 frames a second, keyframes nine times the size of other frames.
    fn default() -> Self {
        Self {
            frames_per_second: 30,
            encodings: vec![Encoding { rid: None, bits_per_second: 1_000_000 }],
            keyframe_factor: 9,
            padding_every: None,
            first_sequence: None,
        }
    }
}

impl VideoPlan {
    /// Three encodings, the best one last.
    #[must_use]
    pub fn simulcast() -> Self {
        let encoding = |rid, bits_per_second| Encoding { rid: Some(rid), bits_per_second };
        let encodings =
            vec![encoding("q", 150_000), encoding("h", 500_000), encoding("f", 1_500_000)];
        Self { encodings, ..Self::default() }
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
            video_codecs: vec![Codec::Vp8, Codec::H264],
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
