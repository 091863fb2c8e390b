//! [`VideoSource`] and [`AudioSource`]: the packets a camera and a microphone would send, one call
//! per frame. They hold no clock: the caller says when a frame is due.

use rtc::rtp::{Header, Packet};

use super::stamp::{STAMP_BYTES, Stamp};
use super::vp8::{DESCRIPTOR_BYTES, KEYFRAME_HEADER_BYTES, write_packet};

/// Clock rate of video (RFC 7741 §4.1).
const VIDEO_CLOCK_HZ: u64 = 90_000;
/// Samples of 20 ms Opus (RFC 7587 §4.1).
const AUDIO_SAMPLES: u32 = 960;
/// A key frame is so many times the size of an interframe.
const KEYFRAME_FACTOR: usize = 5;
/// Smallest payload that holds a key frame's header and a stamp.
const PAYLOAD_BYTES_MIN: usize = DESCRIPTOR_BYTES + KEYFRAME_HEADER_BYTES + STAMP_BYTES;

/// How much video to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VideoPlan {
    /// Frames per second.
    pub fps: u32,
    /// Payload bytes of an interframe.
    pub frame_bytes: usize,
    /// Longest payload of a packet.
    pub packet_bytes_max: usize,
}

impl VideoPlan {
    /// A camera of `bitrate_bps` payload bits a second, keyframes not counted.
    #[must_use]
    pub fn camera(bitrate_bps: u64, fps: u32) -> Self {
        let frame_bytes =
            usize::try_from(bitrate_bps / 8 / u64::from(fps.max(1))).unwrap_or(usize::MAX);
        Self {
            fps: fps.max(1),
            frame_bytes: frame_bytes.max(PAYLOAD_BYTES_MIN),
            packet_bytes_max: 1100,
        }
    }

    /// One tiny packet per frame, for reaching high packet counts quickly.
    #[must_use]
    pub fn raw(packets_per_second: u32) -> Self {
        Self {
            fps: packets_per_second.max(1),
            frame_bytes: PAYLOAD_BYTES_MIN,
            packet_bytes_max: PAYLOAD_BYTES_MIN * KEYFRAME_FACTOR,
        }
    }
}

/// Makes VP8 frames.
#[derive(Debug)]
pub struct VideoSource {
    plan: VideoPlan,
    source: u32,
    header: Header,
    timestamp_start: u32,
    packets: u64,
    frames: u32,
}

impl VideoSource {
    /// A source whose packets carry this SSRC and payload type. `random` is where its sequence
    /// numbers, timestamps and picture ids start, and names it in stamps.
    #[must_use]
    pub fn new(plan: VideoPlan, ssrc: u32, payload_type: u8, random: u32) -> Self {
        let header = Header {
            version: 2,
            ssrc,
            payload_type,
            sequence_number: (random >> 8) as u16,
            ..Default::default()
        };
        Self {
            plan,
            source: random,
            header,
            timestamp_start: random.rotate_left(7),
            packets: 0,
            frames: 0,
        }
    }

    /// What this source makes.
    #[must_use]
    pub fn plan(&self) -> VideoPlan {
        self.plan
    }

    /// The source's name in stamps.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.source
    }

    /// The next frame, due at `due_us`.
    pub fn frame(&mut self, due_us: u64, keyframe: bool) -> Vec<Packet> {
        let bytes = self.plan.frame_bytes * if keyframe { KEYFRAME_FACTOR } else { 1 };
        let count = bytes.div_ceil(self.plan.packet_bytes_max);
        let share = bytes.div_ceil(count);
        let ticks = u64::from(self.frames) * VIDEO_CLOCK_HZ / u64::from(self.plan.fps);
        // Timestamps and picture ids wrap by nature; so do these casts.
        self.header.timestamp = self.timestamp_start.wrapping_add(ticks as u32);
        let picture_id = (self.source.wrapping_add(self.frames) & 0x7fff) as u16;
        let packets = (0..count)
            .map(|index| {
                let stamp = Stamp {
                    source: self.source,
                    sequence: self.packets,
                    due_us,
                    frame: self.frames,
                    index: index as u16,
                    count: count as u16,
                };
                let payload = write_packet(picture_id, keyframe, &stamp, share);
                let mut header = self.header.clone();
                header.marker = index + 1 == count;
                self.header.sequence_number = self.header.sequence_number.wrapping_add(1);
                self.packets += 1;
                Packet { header, payload: payload.into() }
            })
            .collect();
        self.frames = self.frames.wrapping_add(1);
        packets
    }
}

/// Makes 20 ms Opus packets.
#[derive(Debug)]
pub struct AudioSource {
    source: u32,
    header: Header,
    packets: u64,
}

impl AudioSource {
    /// Packets a second.
    pub const PACKETS_PER_SECOND: u32 = 50;
    /// About 32 kbit/s.
    const PAYLOAD_BYTES: usize = 80;
    /// TOC: CELT, fullband, 20 ms, stereo, one frame (RFC 6716 §3.1).
    const TOC: u8 = 0xfc;

    /// As [`VideoSource::new`].
    #[must_use]
    pub fn new(ssrc: u32, payload_type: u8, random: u32) -> Self {
        let header = Header {
            version: 2,
            ssrc,
            payload_type,
            sequence_number: (random >> 8) as u16,
            timestamp: random.rotate_left(9),
            ..Default::default()
        };
        Self { source: random, header, packets: 0 }
    }

    /// The source's name in stamps.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.source
    }

    /// The next packet, due at `due_us`.
    pub fn packet(&mut self, due_us: u64) -> Packet {
        let stamp = Stamp {
            source: self.source,
            sequence: self.packets,
            due_us,
            frame: self.packets as u32,
            index: 0,
            count: 1,
        };
        let mut payload = vec![Self::TOC];
        stamp.write(&mut payload);
        payload.resize(Self::PAYLOAD_BYTES, 0xa5);
        let mut header = self.header.clone();
        // The first packet of a talkspurt is marked (RFC 3551 §4.1).
        header.marker = self.packets == 0;
        self.header.sequence_number = self.header.sequence_number.wrapping_add(1);
        self.header.timestamp = self.header.timestamp.wrapping_add(AUDIO_SAMPLES);
        self.packets += 1;
        Packet { header, payload: payload.into() }
    }

    /// The stamp of an Opus payload of ours.
    #[must_use]
    pub fn stamp(payload: &[u8]) -> Option<Stamp> {
        Stamp::read(payload.get(1..)?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Vp8View;
    use super::*;

    #[test]
    fn a_megabit_at_thirty_frames_is_a_megabit() {
        let mut source = VideoSource::new(VideoPlan::camera(1_000_000, 30), 1, 96, 5);
        let bytes: usize =
            (0..30).flat_map(|_| source.frame(0, false)).map(|packet| packet.payload.len()).sum();
        assert!((124_000..127_000).contains(&bytes), "{bytes}");
    }

    #[test]
    fn frames_are_whole_and_numbers_run_without_gaps() {
        let mut source = VideoSource::new(VideoPlan::camera(1_000_000, 30), 1, 96, 0xffff_ff05);
        let frames = [source.frame(1, true), source.frame(2, false)];
        assert_eq!(frames[0].len(), 19);
        assert_eq!(frames[1].len(), 4);
        let all: Vec<_> = frames.iter().flatten().collect();
        for (at, packet) in all.iter().enumerate() {
            let view = Vp8View::read(&packet.payload).unwrap();
            let stamp = Stamp::read(view.body).unwrap();
            assert_eq!(stamp.sequence, at as u64);
            assert_eq!(packet.header.sequence_number, 0xffffu16.wrapping_add(at as u16));
            assert_eq!(packet.header.marker, at == 18 || at == 22);
            assert_eq!(view.starts_frame, at == 0 || at == 19);
            assert_eq!(view.keyframe, at == 0);
            assert!(packet.payload.len() <= 1100);
        }
        assert_eq!(all[19].header.timestamp.wrapping_sub(all[0].header.timestamp), 3000);
    }

    #[test]
    fn raw_frames_are_single_packets_keyframes_too() {
        let mut source = VideoSource::new(VideoPlan::raw(20_000), 1, 96, 5);
        for keyframe in [true, false] {
            let frame = source.frame(0, keyframe);
            assert_eq!(frame.len(), 1);
            assert!(frame[0].header.marker);
        }
    }
}
