//! [`Camera`]: VP8 frames of one or several encodings, as packets of a given size.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::port::{Numbers, Port};
use crate::account::Source;
use crate::clock::Clock;
use crate::sdp::{Encoding, RTX, VP8};
use crate::wire::header::{Template, extension};
use crate::wire::stamp::{STAMP_BYTES, Stamp};

const CLOCK_HZ: u64 = 90_000;
/// VP8 descriptor: X, I and a 15-bit picture id (RFC 7741 §4.2).
const DESCRIPTOR_BYTES: usize = 4;
/// Frame tag, start code and dimensions of a key frame (RFC 6386 §9.1).
const KEYFRAME_BYTES: usize = 10;
/// Smallest payload that holds all of that and a stamp.
const PAYLOAD_BYTES_MIN: usize = DESCRIPTOR_BYTES + KEYFRAME_BYTES + STAMP_BYTES;
/// Packets that can be sent again: 2 s at 250 a second.
const SENT_MAX: usize = 512;
/// Between keyframes that were asked for; libwebrtc has as much.
const KEYFRAME_INTERVAL_MIN: Duration = Duration::from_millis(300);

/// How much video to make.
#[derive(Clone, Debug, PartialEq)]
pub struct VideoPlan {
    /// Frames per second.
    pub fps: f64,
    /// The encodings, lowest first.
    pub layers: Vec<Layer>,
}

/// One encoding of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Packets of an interframe.
    pub packets: usize,
    /// Packets of a key frame.
    pub keyframe_packets: usize,
    /// Length of each packet as it leaves: header, payload and tag, in bytes.
    pub packet_bytes: usize,
    /// Picture size.
    pub width: u16,
    /// Picture size.
    pub height: u16,
}

impl Layer {
    /// As many equal packets, none longer than `packet_bytes`, as `bitrate_bps` is at `fps`.
    #[must_use]
    pub fn of_bitrate(
        bitrate_bps: f64,
        fps: f64,
        packet_bytes: usize,
        (width, height): (u16, u16),
    ) -> Self {
        let frame = (bitrate_bps / 8.0 / fps).max(1.0) as usize;
        let packets = frame.div_ceil(packet_bytes).max(1);
        let packet_bytes = frame.div_ceil(packets).max(PAYLOAD_BYTES_MIN + 48);
        Self { packets, keyframe_packets: packets * 5, packet_bytes, width, height }
    }

    /// So many packets of exactly `packet_bytes`.
    #[must_use]
    pub fn of_packets(packets: usize, packet_bytes: usize, (width, height): (u16, u16)) -> Self {
        Self { packets, keyframe_packets: packets * 5, packet_bytes, width, height }
    }

    /// Bits a second as they leave, key frames not counted.
    #[must_use]
    pub fn bitrate_bps(&self, fps: f64) -> f64 {
        (self.packets * self.packet_bytes * 8) as f64 * fps
    }
}

/// What is needed to make a packet again.
#[derive(Clone, Copy)]
struct Sent {
    numbers: Numbers,
    content: Content,
}

/// What the payload of a packet says.
#[derive(Clone, Copy)]
struct Content {
    stamp: Stamp,
    picture_id: u16,
    first: bool,
    keyframe: bool,
}

/// One encoding.
struct Track {
    layer: Layer,
    ssrc: u32,
    template: Template,
    rtx: Template,
    source: Arc<Source>,
    index: u64,
    rtx_index: u64,
    payload_bytes: usize,
    filler: Vec<u8>,
    active: bool,
    keyframe_wanted: bool,
    keyframe_at: Option<Instant>,
    sent: Vec<Option<Sent>>,
    octets: u64,
}

/// See the module.
pub struct Camera {
    interval: Duration,
    fps: f64,
    start: Instant,
    frames: u64,
    timestamp_start: u32,
    picture_start: u16,
    tracks: Vec<Track>,
    report_at: Instant,
}

impl Camera {
    /// A camera whose first frame is due at `start`. `encodings` are those of the offer, one for
    /// each layer of the plan; `sources` their names.
    #[must_use]
    pub fn new(
        plan: &VideoPlan,
        mid: &str,
        encodings: &[Encoding],
        sources: Vec<Arc<Source>>,
        tag_bytes: usize,
        start: Instant,
    ) -> Self {
        let parts = plan.layers.iter().zip(encodings).zip(sources);
        let tracks = parts.map(|((&layer, encoding), source)| {
            Track::new(layer, mid, encoding, source, tag_bytes)
        });
        Self {
            interval: Duration::from_secs_f64(1.0 / plan.fps),
            fps: plan.fps,
            start,
            frames: 0,
            timestamp_start: rand::random(),
            picture_start: rand::random(),
            tracks: tracks.collect(),
            report_at: start,
        }
    }

    /// When the next frame is due.
    #[must_use]
    pub fn due(&self) -> Instant {
        self.start + self.interval.mul_f64(self.frames as f64)
    }

    /// Sends the frame that is due.
    pub fn send_frame(&mut self, clock: &Clock, port: &mut Port) {
        let due = self.due();
        let ticks = (self.frames as f64 * CLOCK_HZ as f64 / self.fps) as u64;
        // Timestamps and picture ids wrap by nature; so do these casts.
        let timestamp = self.timestamp_start.wrapping_add(ticks as u32);
        let picture_id = self.picture_start.wrapping_add(self.frames as u16) & 0x7fff;
        let due_ns = clock.wall_ns(due);
        for track in self.tracks.iter_mut().filter(|track| track.active) {
            track.send_frame(due, due_ns, timestamp, picture_id, port);
        }
        self.frames += 1;
        if self.report_at <= due {
            self.report_at += Duration::from_secs(1);
            for track in self.tracks.iter().filter(|track| track.active) {
                port.report(track.ssrc, due_ns, timestamp, track.source.sent(), track.octets);
            }
        }
    }

    /// The next frame of this encoding is to be a key frame.
    pub fn keyframe(&mut self, ssrc: u32) {
        // RTP sources are the offer's, so at most one is meant.
        if let Some(track) = self.tracks.iter_mut().find(|track| track.ssrc == ssrc) {
            track.keyframe_wanted = true;
        }
    }

    /// Sends packets again.
    pub fn retransmit(&mut self, ssrc: u32, sequences: &[u16], port: &mut Port) {
        if let Some(track) = self.tracks.iter_mut().find(|track| track.ssrc == ssrc) {
            for &sequence in sequences {
                track.retransmit(sequence, port);
            }
        }
    }

    /// Which encodings anybody wants; those that begin again do so with a key frame.
    pub fn demand(&mut self, wanted: &[bool]) {
        for (track, &wanted) in self.tracks.iter_mut().zip(wanted) {
            track.keyframe_wanted |= wanted && !track.active;
            track.active = wanted;
        }
    }
}

impl Track {
    fn new(
        layer: Layer,
        mid: &str,
        encoding: &Encoding,
        source: Arc<Source>,
        tag_bytes: usize,
    ) -> Self {
        let header = |payload_type, ssrc, rid_id| {
            let mut extensions: Vec<(u8, &[u8])> = vec![(extension::TRANSPORT, &[0, 0])];
            if let Some(rid) = encoding.rid {
                extensions.push((extension::MID, mid.as_bytes()));
                extensions.push((rid_id, rid.as_bytes()));
            }
            Template::new(payload_type, ssrc, &extensions)
        };
        let template = header(VP8, encoding.ssrc, extension::RID);
        let payload_bytes = layer.packet_bytes.saturating_sub(template.len() + tag_bytes);
        let payload_bytes = payload_bytes.max(PAYLOAD_BYTES_MIN);
        Self {
            layer,
            ssrc: encoding.ssrc,
            rtx: header(RTX, encoding.rtx_ssrc, extension::REPAIRED_RID),
            template,
            source,
            // RFC 3711 §3.3.1: below 2^15, so that a lost first packet costs no turn.
            index: u64::from(rand::random::<u16>() >> 1),
            rtx_index: u64::from(rand::random::<u16>() >> 1),
            payload_bytes,
            filler: vec![0xa5; payload_bytes],
            active: true,
            keyframe_wanted: true,
            keyframe_at: None,
            sent: vec![None; SENT_MAX],
            octets: 0,
        }
    }

    fn send_frame(
        &mut self,
        due: Instant,
        due_ns: u64,
        timestamp: u32,
        picture_id: u16,
        port: &mut Port,
    ) {
        let rested = self.keyframe_at.is_none_or(|at| due - at >= KEYFRAME_INTERVAL_MIN);
        let keyframe = self.keyframe_wanted && rested;
        if keyframe {
            self.keyframe_wanted = false;
            self.keyframe_at = Some(due);
        }
        let packets = if keyframe { self.layer.keyframe_packets } else { self.layer.packets };
        for packet in 0..packets {
            let marker = packet + 1 == packets;
            let numbers = Numbers { index: self.index, timestamp, marker };
            let stamp = Stamp { source: self.source.id, sequence: self.source.next(), due_ns };
            let content = Content { stamp, picture_id, first: packet == 0, keyframe };
            port.send(&self.template, numbers, |out| self.write(out, content));
            self.sent[self.index as usize % SENT_MAX] = Some(Sent { numbers, content });
            self.index += 1;
            self.octets += self.payload_bytes as u64;
        }
    }

    /// Writes a payload: descriptor, frame header if it is the frame's first, filler, stamp.
    fn write(&self, out: &mut Vec<u8>, content: Content) {
        let start = out.len();
        out.extend_from_slice(&self.filler);
        let payload = &mut out[start..];
        let [high, low] = (content.picture_id | 0x8000).to_be_bytes();
        let head = if content.first { 0x90 } else { 0x80 };
        payload[..DESCRIPTOR_BYTES].copy_from_slice(&[head, 0x80, high, low]);
        if content.first {
            let header = &mut payload[DESCRIPTOR_BYTES..DESCRIPTOR_BYTES + KEYFRAME_BYTES];
            // Bit 0 clear: key frame. Bit 4: shown.
            header[0] = if content.keyframe { 0x10 } else { 0x11 };
            if content.keyframe {
                header[1..6].copy_from_slice(&[0, 0, 0x9d, 0x01, 0x2a]);
                header[6..8].copy_from_slice(&self.layer.width.to_le_bytes());
                header[8..].copy_from_slice(&self.layer.height.to_le_bytes());
            }
        }
        content.stamp.write(payload);
    }

    /// RFC 4588 §4: the original number in front of the original payload, on a stream of its own.
    fn retransmit(&mut self, sequence: u16, port: &mut Port) {
        let distance = (self.index as u16).wrapping_sub(sequence);
        let Some(index) = self.index.checked_sub(u64::from(distance)) else { return };
        let sent = self.sent[index as usize % SENT_MAX];
        let Some(sent) = sent.filter(|sent| sent.numbers.index == index) else { return };
        let numbers = Numbers { index: self.rtx_index, ..sent.numbers };
        self.rtx_index += 1;
        port.send(&self.rtx, numbers, |out| {
            out.extend_from_slice(&sequence.to_be_bytes());
            self.write(out, sent.content);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::Sources;
    use sfu_core::rtp::vp8::Descriptor;

    fn track() -> Track {
        let layer =
            Layer { packets: 3, keyframe_packets: 7, packet_bytes: 1200, width: 1280, height: 720 };
        let encoding = Encoding { ssrc: 5, rtx_ssrc: 6, rid: None };
        Track::new(layer, "0", &encoding, Sources::default().add(), 16)
    }

    #[test]
    fn payloads_are_vp8_with_a_stamp_at_the_end() {
        let track = track();
        for (first, keyframe) in [(true, true), (true, false), (false, true)] {
            let stamp = Stamp { source: 1, sequence: 2, due_ns: 3 };
            let mut out = Vec::new();
            track.write(&mut out, Content { stamp, picture_id: 0x1234, first, keyframe });
            assert_eq!(out.len() + track.template.len() + 16, 1200);
            assert_eq!(Stamp::read(&out), Some(stamp));
            let descriptor = Descriptor::parse(&out).unwrap();
            assert_eq!(descriptor.partition_start, first);
            assert_eq!(descriptor.picture_id, Some((0x1234, true)));
            if first {
                assert_eq!(out[4] & 1 == 0, keyframe, "the key frame bit");
            }
        }
    }

    #[test]
    fn a_bitrate_becomes_equal_packets() {
        let layer = Layer::of_bitrate(1_000_000.0, 30.0, 1200, (1280, 720));
        assert_eq!(layer.packets, 4);
        assert!(layer.packet_bytes <= 1200);
        assert!((layer.bitrate_bps(30.0) - 1e6).abs() < 1e4);
        let tiny = Layer::of_bitrate(1000.0, 30.0, 1200, (1, 1));
        assert!(tiny.packets == 1 && tiny.packet_bytes > PAYLOAD_BYTES_MIN);
    }
}
