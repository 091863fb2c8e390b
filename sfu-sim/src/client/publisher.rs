//! What a client sends: a VP8 camera in one or more encodings, or an Opus microphone.

use std::collections::VecDeque;
use std::time::Duration;

use sfu_core::rtp::extension::Extension;

use super::numbering::Numbering;
use super::rtcp;
use crate::plan::VideoPlan;
use crate::random::{Pcg64Mcg, word};
use crate::wire::{self, RtpHeader, Stamp};

/// Payload bytes of one packet at most.
const PAYLOAD_BYTES_MAX: usize = 1100;
/// Packets kept to answer NACKs, per encoding.
const STORE_PACKETS: usize = 1024;
/// Between sender reports.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// Opus frames: 20 ms of 32 kbit/s.
const AUDIO_INTERVAL: Duration = Duration::from_millis(20);
const AUDIO_BYTES: usize = 80;
const AUDIO_TICKS: u32 = 960;
const VIDEO_CLOCK: u64 = 90_000;
/// Padding of a padding-only packet: the most that the format holds.
const PADDING: u8 = 255;

/// What packets of all a client's sources share: the transport.
pub(crate) struct Outlet<'a> {
    pub(crate) now: Duration,
    /// The client's wall clock at `now`, in NTP format.
    pub(crate) ntp: u64,
    pub(crate) numbering: &'a Numbering,
    /// Transport-wide sequence number of the next packet.
    pub(crate) transport_sequence: &'a mut u16,
    pub(crate) transmit: &'a mut VecDeque<Vec<u8>>,
}

impl Outlet<'_> {
    fn send(
        &mut self,
        header: &RtpHeader,
        extensions: &[(Extension, &[u8])],
        payload: &[u8],
        padding: u8,
    ) {
        let sequence = self.transport_sequence.to_be_bytes();
        *self.transport_sequence = self.transport_sequence.wrapping_add(1);
        let all: Vec<(u8, &[u8])> = std::iter::once((Extension::TransportCc, &sequence[..]))
            .chain(extensions.iter().copied())
            .map(|(extension, value)| (self.numbering.extension(extension), value))
            .collect();
        self.transmit.push_back(wire::rtp(header, &all, payload, padding));
    }
}

/// Numbers of one SSRC.
#[derive(Clone, Debug)]
struct Source {
    ssrc: u32,
    sequence: u16,
    timestamp_base: u32,
    packets: u32,
    octets: u32,
}

impl Source {
    fn new(rng: &mut Pcg64Mcg, first_sequence: Option<u16>) -> Self {
        let random = word(rng);
        Self {
            ssrc: word(rng).max(1),
            sequence: first_sequence.unwrap_or((random >> 16) as u16),
            timestamp_base: word(rng),
            packets: 0,
            octets: 0,
        }
    }

    fn header(&mut self, payload_type: u8, timestamp: u32, marker: bool) -> RtpHeader {
        let sequence = self.sequence;
        self.sequence = sequence.wrapping_add(1);
        RtpHeader { payload_type, marker, sequence, timestamp, ssrc: self.ssrc }
    }
}

/// What a publisher did and was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// Frames made; those of several encodings count once.
    pub frames: u32,
    /// Packets first sent.
    pub packets: u64,
    /// Keyframes made.
    pub keyframes: u64,
    /// Padding-only packets.
    pub paddings: u64,
    /// When each keyframe request arrived.
    pub keyframe_requests: Vec<Duration>,
    /// Packets asked for again.
    pub nacked: u64,
    /// Packets sent again.
    pub resent: u64,
}

/// A camera.
#[derive(Debug)]
pub struct VideoPublisher {
    mid: Box<str>,
    plan: VideoPlan,
    /// Unique in the world, for [`Stamp`].
    source: u32,
    encodings: Vec<EncodingState>,
    next_frame: Duration,
    next_report: Duration,
    /// False while the camera is covered: nothing is sent.
    active: bool,
    published: Published,
}

#[derive(Debug)]
struct EncodingState {
    media: Source,
    rtx: Source,
    picture_id: u16,
    keyframe_wanted: bool,
    active: bool,
    store: VecDeque<(RtpHeader, Vec<u8>)>,
}

impl VideoPublisher {
    pub(crate) fn new(
        mid: &str,
        plan: VideoPlan,
        source: u32,
        now: Duration,
        rng: &mut Pcg64Mcg,
    ) -> Self {
        let encodings = plan
            .encodings
            .iter()
            .map(|_| EncodingState {
                media: Source::new(rng, plan.first_sequence),
                rtx: Source::new(rng, None),
                picture_id: (word(rng) & 0x7fff) as u16,
                keyframe_wanted: true,
                active: true,
                store: VecDeque::new(),
            })
            .collect();
        // Cameras do not tick in step.
        let phase = Duration::from_micros(u64::from(word(rng)) % 33_000);
        Self {
            mid: mid.into(),
            encodings,
            plan,
            source,
            next_frame: now + phase,
            next_report: now + REPORT_INTERVAL,
            active: true,
            published: Published::default(),
        }
    }

    /// The m-line it sends on.
    #[must_use]
    pub fn mid(&self) -> &str {
        &self.mid
    }

    /// What it did.
    #[must_use]
    pub fn published(&self) -> &Published {
        &self.published
    }

    /// The SSRC of an encoding.
    #[must_use]
    pub fn ssrc(&self, encoding: usize) -> u32 {
        self.encodings[encoding].media.ssrc
    }

    /// Its number in stamps.
    #[must_use]
    pub fn source(&self) -> u32 {
        self.source
    }

    /// Stops or resumes everything.
    pub fn set_active(&mut self, active: bool) {
        self.active = active;
    }

    /// Stops or resumes one encoding, as a browser does when its uplink is too thin. It begins
    /// again with a keyframe.
    pub fn set_encoding_active(&mut self, encoding: usize, active: bool) {
        let encoding = &mut self.encodings[encoding];
        encoding.active = active;
        encoding.keyframe_wanted |= active;
    }

    /// Jumps ahead in the sequence numbers, as an encoder that starts anew would. A keyframe
    /// follows only when asked for.
    pub fn jump(&mut self, packets: u16) {
        for encoding in &mut self.encodings {
            encoding.media.sequence = encoding.media.sequence.wrapping_add(packets);
        }
    }

    /// SSRCs to signal: (media, retransmissions), one pair without simulcast, none with.
    pub(crate) fn signalled(&self) -> Option<(u32, u32)> {
        match &self.plan.encodings[..] {
            [only] if only.rid.is_none() => {
                let state = &self.encodings[0];
                Some((state.media.ssrc, state.rtx.ssrc))
            }
            _ => None,
        }
    }

    pub(crate) fn rids(&self) -> impl Iterator<Item = &'static str> {
        self.plan.encodings.iter().filter_map(|encoding| encoding.rid)
    }

    pub(crate) fn wake(&self) -> Duration {
        self.next_frame.min(self.next_report)
    }

    pub(crate) fn poll(&mut self, outlet: &mut Outlet<'_>) {
        let interval = Duration::from_secs(1) / self.plan.frames_per_second;
        if self.next_frame <= outlet.now {
            // What could not be sent in its time, before there was a connection, is not made up.
            let missed = outlet.now - self.next_frame > interval;
            self.next_frame = interval + if missed { outlet.now } else { self.next_frame };
            if self.active {
                self.send_frame(outlet);
            }
        }
        if self.next_report <= outlet.now {
            self.next_report = outlet.now + REPORT_INTERVAL;
            self.send_reports(outlet);
        }
    }

    fn send_frame(&mut self, outlet: &mut Outlet<'_>) {
        let frame = self.published.frames;
        self.published.frames += 1;
        for at in 0..self.encodings.len() {
            if self.encodings[at].active {
                self.send_encoded(outlet, at, frame);
            }
        }
        let padding = self.plan.padding_every.is_some_and(|every| frame % every == every - 1);
        if padding {
            self.send_padding(outlet);
        }
    }

    fn send_encoded(&mut self, outlet: &mut Outlet<'_>, at: usize, frame: u32) {
        let encoding = &mut self.encodings[at];
        let keyframe = std::mem::take(&mut encoding.keyframe_wanted);
        let bytes = frame_bytes(&self.plan, at, frame, keyframe);
        let parts = bytes.div_ceil(PAYLOAD_BYTES_MAX);
        self.published.keyframes += u64::from(keyframe);
        self.published.packets += parts as u64;
        let timestamp = encoding.media.timestamp_base.wrapping_add(video_ticks(outlet.now));
        let encoding = &mut self.encodings[at];
        for part in 0..parts {
            let stamp = Stamp {
                source: self.source,
                encoding: u8::try_from(at).expect("a few encodings"),
                frame,
                part: u16::try_from(part).expect("frames of a few dozen packets"),
                parts: u16::try_from(parts).expect("frames of a few dozen packets"),
                keyframe,
                sent: outlet.now,
            };
            let share = bytes / parts + usize::from(part < bytes % parts);
            let payload = wire::vp8_payload(encoding.picture_id, &stamp, share);
            let marker = part == parts - 1;
            let header = encoding.media.header(outlet.numbering.vp8.0, timestamp, marker);
            encoding.media.packets = encoding.media.packets.wrapping_add(1);
            encoding.media.octets = encoding.media.octets.wrapping_add(payload.len() as u32);
            let names = names(&self.mid, self.plan.encodings[at].rid, Extension::Rid);
            outlet.send(&header, &names, &payload, 0);
            encoding.store.push_back((header, payload));
            if encoding.store.len() > STORE_PACKETS {
                encoding.store.pop_front();
            }
        }
        encoding.picture_id = (encoding.picture_id + 1) & 0x7fff;
    }

    /// A probe: it has a sequence number and nothing else to say.
    fn send_padding(&mut self, outlet: &mut Outlet<'_>) {
        for (at, encoding) in self.encodings.iter_mut().enumerate().filter(|(_, e)| e.active) {
            let timestamp = encoding.media.timestamp_base.wrapping_add(video_ticks(outlet.now));
            let header = encoding.media.header(outlet.numbering.vp8.0, timestamp, false);
            let names = names(&self.mid, self.plan.encodings[at].rid, Extension::Rid);
            outlet.send(&header, &names, &[], PADDING);
            self.published.paddings += 1;
        }
    }

    fn send_reports(&mut self, outlet: &mut Outlet<'_>) {
        for encoding in self.encodings.iter().filter(|e| e.media.packets > 0) {
            let media = &encoding.media;
            let rtp_time = media.timestamp_base.wrapping_add(video_ticks(outlet.now));
            let (packets, octets) = (media.packets, media.octets);
            let report = rtcp::sender_report(media.ssrc, outlet.ntp, rtp_time, packets, octets);
            outlet.transmit.push_back(report);
        }
    }

    /// Answers a NACK with RTX (RFC 4588 §4), if it is about one of the encodings.
    pub(crate) fn on_nack(&mut self, outlet: &mut Outlet<'_>, ssrc: u32, sequences: &[u16]) {
        let found = self.encodings.iter_mut().enumerate().find(|(_, e)| e.media.ssrc == ssrc);
        let Some((at, encoding)) = found else { return };
        for sequence in sequences {
            self.published.nacked += 1;
            let stored = encoding.store.iter().rev().find(|(h, _)| h.sequence == *sequence);
            let Some((original, payload)) = stored else { continue };
            let mut repeated = original.sequence.to_be_bytes().to_vec();
            repeated.extend_from_slice(payload);
            let (timestamp, marker) = (original.timestamp, original.marker);
            let header = encoding.rtx.header(outlet.numbering.vp8.1, timestamp, marker);
            let rid = self.plan.encodings[at].rid;
            let names = names(&self.mid, rid, Extension::RepairedRid);
            outlet.send(&header, &names, &repeated, 0);
            self.published.resent += 1;
        }
    }

    /// Notes a keyframe request, if it is for one of the encodings.
    pub(crate) fn on_keyframe_request(&mut self, now: Duration, ssrc: u32) {
        if let Some(encoding) = self.encodings.iter_mut().find(|e| e.media.ssrc == ssrc) {
            encoding.keyframe_wanted = true;
            self.published.keyframe_requests.push(now);
        }
    }
}

/// The extensions that name an unsignalled source; none for a signalled one.
fn names<'a>(mid: &'a str, rid: Option<&'a str>, as_what: Extension) -> Vec<(Extension, &'a [u8])> {
    let Some(rid) = rid else { return Vec::new() };
    vec![(Extension::Mid, mid.as_bytes()), (as_what, rid.as_bytes())]
}

/// Size of a frame, around the mean that the bitrate gives.
fn frame_bytes(plan: &VideoPlan, at: usize, frame: u32, keyframe: bool) -> usize {
    let mean = plan.encodings[at].bits_per_second / 8 / u64::from(plan.frames_per_second);
    // A fixed unrest of ±12 %: frames of one size would hide mistakes in packet counts.
    let unrest = u64::from(frame.wrapping_mul(2_654_435_761) >> 24);
    let bytes = mean * (1024 - 128 + unrest) / 1024;
    let factor = if keyframe { u64::from(plan.keyframe_factor) } else { 1 };
    usize::try_from(bytes * factor).expect("frames fit memory").max(60)
}

fn video_ticks(now: Duration) -> u32 {
    #[allow(clippy::cast_possible_truncation, reason = "RTP time is modulo 2^32")]
    let ticks = (now.as_micros() as u64 * VIDEO_CLOCK / 1_000_000) as u32;
    ticks
}

/// A microphone.
#[derive(Debug)]
pub struct AudioPublisher {
    media: Source,
    source: u32,
    levels: Vec<(Duration, i8)>,
    next_packet: Duration,
    next_report: Duration,
    active: bool,
    frame: u32,
}

impl AudioPublisher {
    pub(crate) fn new(
        levels: Vec<(Duration, i8)>,
        source: u32,
        now: Duration,
        rng: &mut Pcg64Mcg,
    ) -> Self {
        let phase = Duration::from_micros(u64::from(word(rng)) % 20_000);
        Self {
            media: Source::new(rng, None),
            source,
            levels,
            next_packet: now + phase,
            next_report: now + REPORT_INTERVAL,
            active: true,
            frame: 0,
        }
    }

    /// Stops or resumes it.
    pub fn set_active(&mut self, active: bool) {
        self.active = active;
    }

    /// Packets sent.
    #[must_use]
    pub fn packets(&self) -> u32 {
        self.frame
    }

    pub(crate) fn ssrc(&self) -> u32 {
        self.media.ssrc
    }

    pub(crate) fn wake(&self) -> Duration {
        self.next_packet.min(self.next_report)
    }

    pub(crate) fn poll(&mut self, outlet: &mut Outlet<'_>) {
        if self.next_packet <= outlet.now {
            let missed = outlet.now - self.next_packet > AUDIO_INTERVAL;
            self.next_packet = AUDIO_INTERVAL + if missed { outlet.now } else { self.next_packet };
            if self.active {
                self.send(outlet);
            }
        }
        if self.next_report <= outlet.now {
            self.next_report = outlet.now + REPORT_INTERVAL;
            let (media, rtp_time) = (&self.media, self.timestamp(outlet.now));
            let (packets, octets) = (media.packets, media.octets);
            let report = rtcp::sender_report(media.ssrc, outlet.ntp, rtp_time, packets, octets);
            outlet.transmit.push_back(report);
        }
    }

    fn send(&mut self, outlet: &mut Outlet<'_>) {
        let stamp = Stamp {
            source: self.source,
            frame: self.frame,
            parts: 1,
            sent: outlet.now,
            ..Stamp::default()
        };
        self.frame += 1;
        let mut payload = vec![0x78; AUDIO_BYTES - Stamp::BYTES];
        stamp.write(&mut payload);
        let timestamp = self.timestamp(outlet.now);
        let header = self.media.header(outlet.numbering.opus, timestamp, false);
        self.media.packets = self.media.packets.wrapping_add(1);
        self.media.octets = self.media.octets.wrapping_add(payload.len() as u32);
        let level = self.levels.iter().rev().find(|(from, _)| *from <= outlet.now);
        let level = level.map_or(-127, |&(_, level)| level);
        // RFC 6464 §3: the level without its sign; bit 7 says "voice".
        let byte = [u8::from(level > -50) << 7 | level.unsigned_abs()];
        outlet.send(&header, &[(Extension::AudioLevel, &byte)], &payload, 0);
    }

    fn timestamp(&self, now: Duration) -> u32 {
        #[allow(clippy::cast_possible_truncation, reason = "RTP time is modulo 2^32")]
        let packets = (now.as_micros() / AUDIO_INTERVAL.as_micros()) as u32;
        self.media.timestamp_base.wrapping_add(packets.wrapping_mul(AUDIO_TICKS))
    }
}
