//! [`Plan`]: who joins and what each sends and receives; flags and preset put together.

use std::time::Duration;

use anyhow::ensure;
use serde::Serialize;

use super::LoadArgs;
use crate::publish::{AudioPlan, Layer, VideoPlan};
use crate::sdp::{Encoding, Line};
use crate::signal::Layout;

/// How clients join.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Serialize)]
pub enum Via {
    /// WHIP for publishers, WHEP for subscribers.
    Whip,
    /// The WebSocket protocol `sfu.v1`.
    Ws,
}

/// Names of simulcast encodings, lowest first.
const RIDS: [&str; 3] = ["q", "h", "f"];
/// Share of the highest encoding's rate that each has, and their sizes.
const RATES: [f64; 3] = [0.1, 0.33, 1.0];
const SIZES: [(u16, u16); 3] = [(320, 180), (640, 360), (1280, 720)];

/// Audio packets of 136 bytes: what is measured as "audio" in all benchmarks here.
const AUDIO_PACKET_BYTES: u32 = 136;
const PACKET_BYTES: u32 = 1200;
const FPS: f64 = 30.0;

/// See the module.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs, reason = "fields repeat the flags")]
pub struct Plan {
    pub via: Via,
    pub rooms: u32,
    pub video_publishers: u32,
    pub audio_publishers: u32,
    pub subscribers: u32,
    pub meeting: bool,
    pub layout: Option<Layout>,
    pub simulate_speakers: bool,
    pub simulcast: bool,
    pub fps: f64,
    /// Of one camera, all encodings together, key frames not counted.
    pub camera_bps: f64,
    /// Packets a second of one camera.
    pub camera_pps: f64,
    pub audio_packet_bytes: u32,
    pub join_rate: f64,
    pub storm: u32,
    pub duration_s: f64,
    #[serde(skip)]
    pub duration: Duration,
    #[serde(skip)]
    pub video: VideoPlan,
}

impl Plan {
    /// Puts flags and preset together.
    pub fn of(args: &LoadArgs) -> anyhow::Result<Self> {
        let preset = args.preset.defaults();
        let audio = if args.no_audio { Some(0) } else { args.audio_publishers };
        let duration = args.duration.unwrap_or(preset.duration);
        let simulcast = args.simulcast.unwrap_or(preset.simulcast);
        let fps = args.fps.unwrap_or(FPS);
        let video = camera(args, simulcast, fps, args.bitrate.unwrap_or(preset.bitrate));
        let camera_pps = video.layers.iter().map(|layer| layer.packets as f64 * fps).sum();
        let plan = Self {
            via: args.via.unwrap_or(preset.via),
            rooms: args.rooms.unwrap_or(1),
            video_publishers: args.video_publishers.unwrap_or(preset.video_publishers),
            audio_publishers: audio.unwrap_or(preset.audio_publishers),
            subscribers: args.subscribers.unwrap_or(preset.subscribers),
            meeting: args.meeting.unwrap_or(preset.meeting),
            layout: args.layout,
            simulate_speakers: args.simulate_speakers,
            simulcast,
            fps,
            camera_bps: video.layers.iter().map(|layer| layer.bitrate_bps(fps)).sum(),
            camera_pps,
            audio_packet_bytes: args.audio_packet_size.unwrap_or(AUDIO_PACKET_BYTES),
            join_rate: args.join_rate.unwrap_or(preset.join_rate),
            storm: args.storm.unwrap_or(preset.storm),
            duration_s: duration.as_secs_f64(),
            duration,
            video,
        };
        plan.check()?;
        Ok(plan)
    }

    fn check(&self) -> anyhow::Result<()> {
        ensure!(self.publishers() > 0, "nobody publishes");
        ensure!(!self.duration.is_zero(), "--duration must not be 0");
        ensure!(
            self.via == Via::Ws || !self.meeting,
            "publishers can watch each other only with --via ws"
        );
        ensure!(
            self.via == Via::Ws || self.layout.is_none(),
            "--layout needs --via ws: WHEP shows one publisher"
        );
        Ok(())
    }

    /// The load in a line.
    #[must_use]
    pub fn title(&self) -> String {
        let mut title = format!("{} publishers", self.publishers());
        if self.meeting {
            title += " that watch each other";
        }
        if self.subscribers + self.storm > 0 {
            title += &format!(", {} subscribers", self.subscribers);
        }
        if self.storm > 0 {
            title += &format!(" and {} within a second", self.storm);
        }
        if self.rooms > 1 {
            title += &format!(", in each of {} rooms", self.rooms);
        }
        if self.video_publishers > 0 {
            let layers = if self.simulcast { " in three encodings" } else { "" };
            let (mbps, pps) = (self.camera_bps / 1e6, self.camera_pps);
            title += &format!("; video {mbps:.2} Mbit/s, {pps:.0} packets/s{layers}");
        }
        if self.audio_publishers > 0 {
            title += &format!("; audio of {} bytes", self.audio_packet_bytes);
        }
        title + &format!("; {:.0} s", self.duration_s)
    }

    /// Publishers of a room: those with both, then the rest.
    #[must_use]
    pub fn publishers(&self) -> u32 {
        self.video_publishers.max(self.audio_publishers)
    }

    /// What a publisher of a room sends, by its number.
    #[must_use]
    pub fn sends(&self, publisher: u32) -> (bool, bool) {
        (publisher < self.audio_publishers, publisher < self.video_publishers)
    }

    /// Whether every packet of a source should get to every subscription of it: what is not a
    /// matter of choice can be held against the server.
    #[must_use]
    pub fn sends_everything(&self) -> bool {
        !self.simulcast && self.layout.is_none()
    }

    /// How a room is called.
    #[must_use]
    pub fn room(&self, prefix: &str, room: u32) -> String {
        if self.rooms == 1 { prefix.to_owned() } else { format!("{prefix}-{room}") }
    }

    /// What a microphone sends, by its publisher's number.
    #[must_use]
    pub fn audio(&self, publisher: u32) -> AudioPlan {
        let round = (u64::from(publisher), u64::from(self.audio_publishers));
        AudioPlan {
            packet_bytes: self.audio_packet_bytes as usize,
            turn: self.simulate_speakers.then_some(round),
        }
    }

    /// The m-lines of a publisher.
    #[must_use]
    pub fn publisher_lines(&self, publisher: u32) -> Vec<Line> {
        let (audio, video) = self.sends(publisher);
        let mut lines = Vec::new();
        if audio {
            lines.push(Line::SendAudio { ssrc: rand::random() });
        }
        if video {
            let encoding = |rid| Encoding { ssrc: rand::random(), rtx_ssrc: rand::random(), rid };
            let encodings = if self.simulcast {
                RIDS.map(|rid| encoding(Some(rid))).to_vec()
            } else {
                vec![encoding(None)]
            };
            lines.push(Line::SendVideo { encodings });
        }
        if self.meeting {
            lines.extend(self.watching(u32::from(audio), u32::from(video)));
        }
        lines
    }

    /// The m-lines of who only watches.
    #[must_use]
    pub fn subscriber_lines(&self) -> Vec<Line> {
        match self.via {
            // One publisher: the room's, or the one whose path is taken.
            Via::Whip => {
                let mut lines = Vec::new();
                lines.extend((self.audio_publishers > 0).then_some(Line::ReceiveAudio));
                lines.extend((self.video_publishers > 0).then_some(Line::ReceiveVideo));
                lines
            }
            Via::Ws => self.watching(0, 0),
        }
    }

    /// Places for all tracks but one's own, as many as the layout shows.
    fn watching(&self, own_audio: u32, own_video: u32) -> Vec<Line> {
        let tiles = self.layout.map_or(usize::MAX, Layout::tiles);
        let audio = (self.audio_publishers - own_audio) as usize;
        let video = ((self.video_publishers - own_video) as usize).min(tiles);
        let mut lines = vec![Line::ReceiveAudio; audio];
        lines.resize(audio + video, Line::ReceiveVideo);
        lines
    }
}

fn camera(args: &LoadArgs, simulcast: bool, fps: f64, bitrate: f64) -> VideoPlan {
    let packet_bytes = args.packet_size.unwrap_or(PACKET_BYTES) as usize;
    let layer = |rate: f64, size| {
        let mut layer = match args.burst {
            None => Layer::of_bitrate(bitrate * rate, fps, packet_bytes, size),
            Some(burst) => {
                let packets = (f64::from(burst) * rate).ceil() as usize;
                Layer::of_packets(packets, packet_bytes, size)
            }
        };
        if let Some(burst) = args.keyframe_burst {
            layer.keyframe_packets = burst as usize;
        }
        layer
    };
    let layers = if simulcast {
        RATES.into_iter().zip(SIZES).map(|(rate, size)| layer(rate, size)).collect()
    } else {
        vec![layer(1.0, SIZES[2])]
    };
    VideoPlan { fps, layers }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::args::tests::parse;

    fn plan(words: &str) -> anyhow::Result<Plan> {
        Plan::of(&parse(words).unwrap())
    }

    #[test]
    fn presets_give_what_flags_leave_out() {
        let fan_out = plan("").unwrap();
        assert_eq!((fan_out.publishers(), fan_out.subscribers), (1, 50));
        assert_eq!(fan_out.publisher_lines(0).len(), 2);
        assert_eq!(fan_out.subscriber_lines(), [Line::ReceiveAudio, Line::ReceiveVideo]);
        assert!((fan_out.camera_bps - 1e6).abs() < 2e4, "{}", fan_out.camera_bps);

        let meeting = plan("--preset meeting --video-publishers 4 --audio-publishers 4").unwrap();
        assert_eq!(meeting.publisher_lines(3).len(), 2 + 3 + 3);
        let Line::SendVideo { encodings } = &meeting.publisher_lines(0)[1] else { panic!() };
        assert_eq!(encodings.iter().filter_map(|e| e.rid).collect::<Vec<_>>(), RIDS);
        assert!(meeting.video.layers[0].packets < meeting.video.layers[2].packets);

        let audio = plan("--preset audio --simulate-speakers").unwrap();
        assert_eq!(audio.subscriber_lines(), vec![Line::ReceiveAudio; 10]);
        assert_eq!(audio.audio(3), AudioPlan { packet_bytes: 136, turn: Some((3, 10)) });
        assert_eq!(plan("--preset storm").unwrap().storm, 200);
    }

    #[test]
    fn a_layout_bounds_what_is_watched() {
        let lines = plan("--preset meeting --video-publishers 40 --layout 4x4").unwrap();
        let video = lines.subscriber_lines().iter().filter(|l| **l == Line::ReceiveVideo).count();
        assert_eq!(video, 16);
    }

    #[test]
    fn bursts_are_of_whole_packets() {
        let plan = plan("--burst 8 --keyframe-burst 40 --packet-size 1100 --fps 25").unwrap();
        let layer = plan.video.layers[0];
        assert_eq!((layer.packets, layer.keyframe_packets, layer.packet_bytes), (8, 40, 1100));
        assert!((plan.camera_pps - 200.0).abs() < 1e-9);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for words in
            ["--video-publishers 0 --no-audio", "--meeting", "--layout 3x3", "--duration 0"]
        {
            assert!(plan(words).is_err(), "{words}");
        }
    }
}
