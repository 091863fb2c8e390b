//! [`Preset`]: loads that have a name.

use std::time::Duration;

use super::plan::Via;

/// A load with a name. Each flag overrides a part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
pub enum Preset {
    /// One publisher of 1 Mbit/s and Opus, 50 subscribers, by WHIP and WHEP.
    FanOut,
    /// Nine participants see and hear each other, with simulcast.
    Meeting,
    /// Ten speakers, 100 listeners, 136-byte packets.
    Audio,
    /// 50 subscribers, and 200 more within one second.
    Storm,
}

/// What a preset says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Defaults {
    pub(super) via: Via,
    pub(super) video_publishers: u32,
    pub(super) audio_publishers: u32,
    pub(super) subscribers: u32,
    pub(super) meeting: bool,
    pub(super) simulcast: bool,
    pub(super) bitrate: f64,
    pub(super) join_rate: f64,
    pub(super) storm: u32,
    pub(super) duration: Duration,
}

impl Preset {
    pub(super) fn defaults(self) -> Defaults {
        let fan_out = Defaults {
            via: Via::Whip,
            video_publishers: 1,
            audio_publishers: 1,
            subscribers: 50,
            meeting: false,
            simulcast: false,
            bitrate: 1e6,
            join_rate: 20.0,
            storm: 0,
            duration: Duration::from_secs(60),
        };
        match self {
            Self::FanOut => fan_out,
            Self::Meeting => Defaults {
                via: Via::Ws,
                video_publishers: 9,
                audio_publishers: 9,
                subscribers: 0,
                meeting: true,
                simulcast: true,
                bitrate: 1.5e6,
                join_rate: 10.0,
                ..fan_out
            },
            Self::Audio => Defaults {
                via: Via::Ws,
                video_publishers: 0,
                audio_publishers: 10,
                subscribers: 100,
                ..fan_out
            },
            Self::Storm => Defaults { storm: 200, duration: Duration::from_secs(20), ..fan_out },
        }
    }
}
