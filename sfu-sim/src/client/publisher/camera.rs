//! A camera, or a shared screen.

use std::collections::VecDeque;
use std::time::Duration;

use smallvec::SmallVec;

use sfu_core::command::Source as Origin;
use sfu_core::negotiation::Codec;
use sfu_core::rtp::extension::Extension;

use super::encoder::{Encoder, LayerFrame};
use super::{Outlet, REPORT_INTERVAL, Source};
use crate::client::rtcp;
use crate::plan::VideoPlan;
use crate::random::{Pcg64Mcg, word};
use crate::wire::{RtpHeader, Stamp};

/// Payload bytes of one packet at most.
const PAYLOAD_BYTES_MAX: usize = 1100;
/// Payload bytes of H.264 parameter sets.
const PARAMETER_SETS_BYTES: usize = 64;
/// Packets kept to answer NACKs, per encoding.
const STORE_PACKETS: usize = 1024;
/// A camera that minds its uplink spends one byte on retransmissions for so many of media, and so
/// many at a time.
const RESEND_SHARE: usize = 4;
const RESEND_BYTES_MAX: usize = 16_000;
const VIDEO_CLOCK: u64 = 90_000;
/// Padding of a padding-only packet: the most that the format holds.
const PADDING: u8 = 255;

/// What a publisher did and was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// Pictures made; those of several encodings count once.
    pub frames: u32,
    /// Packets first sent.
    pub packets: u64,
    /// Keyframes made.
    pub keyframes: u64,
    /// Padding-only packets.
    pub paddings: u64,
    /// When each keyframe request arrived.
    pub keyframe_requests: Vec<Duration>,
    /// Shortest time between two of them for one encoding.
    pub keyframe_request_spacing: Option<Duration>,
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
    /// Encodings, or spatial layers of a single one, that the uplink has no room for, from the top.
    withheld: u8,
    /// Bytes that retransmissions may take now: without a bound they would be what fills a thin
    /// uplink.
    resend_budget: usize,
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
    encoder: Encoder,
    keyframe_wanted: bool,
    /// When a keyframe was last asked for.
    requested: Option<Duration>,
    /// By the test's wish.
    active: bool,
    /// By the engine's.
    demanded: bool,
    /// It sent the last picture.
    sending: bool,
    store: VecDeque<Kept>,
    stored_packets: usize,
}

/// A layer frame as it was sent; its packets can be made again.
#[derive(Debug)]
struct Kept {
    frame: LayerFrame,
    stamp: Stamp,
    bytes: usize,
    timestamp: u32,
    first_sequence: u16,
    /// The last packet of it is the last of the picture.
    last: bool,
}

impl Kept {
    fn part(&self, sequence: u16) -> Option<u16> {
        let part = sequence.wrapping_sub(self.first_sequence);
        (part < self.stamp.parts).then_some(part)
    }

    /// Payload bytes of a part.
    fn share(&self, part: u16) -> usize {
        let sets = self.parameter_sets();
        if sets == 1 && part == 0 {
            return PARAMETER_SETS_BYTES;
        }
        let (part, parts) = (usize::from(part - sets), usize::from(self.stamp.parts - sets));
        self.bytes / parts + usize::from(part < self.bytes % parts)
    }

    /// Packets of parameter sets before the slices.
    fn parameter_sets(&self) -> u16 {
        let h264 = matches!(self.frame.marks, crate::wire::codec::Marks::H264(_));
        u16::from(h264 && self.frame.keyframe)
    }

    fn write(&self, out: &mut Vec<u8>, part: u16) {
        let stamp = Stamp { part, ..self.stamp };
        self.frame.marks.write(out, &stamp, self.share(part));
    }

    fn marker(&self, part: u16) -> bool {
        self.last && part + 1 == self.stamp.parts
    }

    /// The dependency descriptor of a part.
    fn descriptor(&self, part: u16) -> Option<SmallVec<[u8; 16]>> {
        let (first, others) = self.frame.descriptor.as_ref()?;
        let mut bytes = if part == 0 { first.clone() } else { SmallVec::from_slice(others) };
        let last = part + 1 == self.stamp.parts;
        bytes[0] |= u8::from(part == 0) << 7 | u8::from(last) << 6;
        Some(bytes)
    }
}

impl VideoPublisher {
    pub(crate) fn new(
        mid: &str,
        plan: VideoPlan,
        source: u32,
        now: Duration,
        rng: &mut Pcg64Mcg,
    ) -> Self {
        let count = plan.encodings.len();
        let encodings = (0..count)
            .map(|at| {
                let (media, rtx) = (Source::new(rng, plan.first_sequence), Source::new(rng, None));
                let down = count - 1 - at;
                let size = (plan.size.0 >> down, plan.size.1 >> down);
                let descriptor = plan.describes_dependencies();
                let random = word(rng);
                let encoder = Encoder::new(plan.codec, plan.layering, size, descriptor, random);
                EncodingState {
                    media,
                    rtx,
                    encoder,
                    keyframe_wanted: true,
                    requested: None,
                    active: true,
                    demanded: true,
                    sending: false,
                    store: VecDeque::new(),
                    stored_packets: 0,
                }
            })
            .collect();
        // Cameras do not tick in step.
        let phase = Duration::from_micros(u64::from(word(rng)) % 33_000);
        Self {
            mid: mid.into(),
            encodings,
            plan,
            source,
            withheld: 0,
            resend_budget: RESEND_BYTES_MAX,
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

    /// Which encodings sent the last picture.
    pub fn sending(&self) -> impl Iterator<Item = bool> {
        self.encodings.iter().map(|encoding| encoding.sending)
    }

    /// Spatial layers that an encoding sends.
    #[must_use]
    pub fn spatial_layers(&self, encoding: usize) -> u8 {
        self.encodings[encoding].encoder.spatial()
    }

    pub(crate) fn codec(&self) -> Codec {
        self.plan.codec
    }

    pub(crate) fn origin(&self) -> Origin {
        self.plan.source
    }

    pub(crate) fn describes_dependencies(&self) -> bool {
        self.plan.describes_dependencies()
    }

    /// Stops or resumes everything.
    pub fn set_active(&mut self, active: bool) {
        self.active = active;
    }

    /// Stops or resumes one encoding, as a browser does when its uplink is too thin. It begins
    /// again with a keyframe.
    pub fn set_encoding_active(&mut self, encoding: usize, active: bool) {
        self.encodings[encoding].active = active;
    }

    /// Takes the engine's word for what anybody wants.
    pub(crate) fn demand(&mut self, wanted: &[bool], max_spatial: u8) {
        if !self.plan.follows_demand {
            return;
        }
        for (encoding, &wanted) in self.encodings.iter_mut().zip(wanted) {
            encoding.demanded = wanted;
        }
        let withheld = if self.encodings.len() == 1 { self.withheld } else { 0 };
        let top = self.plan.layering.spatial.saturating_sub(withheld).max(1);
        self.set_spatial((max_spatial + 1).min(top));
    }

    /// Stops (or resumes) the topmost of what it sends, for the uplink's sake.
    pub(crate) fn withhold(&mut self, more: bool) {
        let layers = if self.encodings.len() == 1 {
            self.plan.layering.spatial
        } else {
            self.encodings.len() as u8
        };
        self.withheld = if more {
            (self.withheld + 1).min(layers - 1)
        } else {
            self.withheld.saturating_sub(1)
        };
        if self.encodings.len() == 1 {
            self.set_spatial(self.plan.layering.spatial - self.withheld);
        }
    }

    /// With SVC: sends so many spatial layers from now on.
    fn set_spatial(&mut self, spatial: u8) {
        for encoding in self.encodings.iter_mut().filter(|e| e.encoder.spatial() != spatial) {
            encoding.encoder.set_spatial(spatial);
            encoding.keyframe_wanted = true;
        }
    }

    /// Jumps ahead in the sequence numbers, as an encoder that starts anew would. A keyframe
    /// follows only when asked for.
    pub fn jump(&mut self, packets: u16) {
        for encoding in &mut self.encodings {
            encoding.media.sequence = encoding.media.sequence.wrapping_add(packets);
        }
    }

    /// SSRCs to signal, (media, retransmissions) of each encoding; none with RIDs.
    pub(crate) fn signalled(&self) -> Vec<(u32, u32)> {
        let unnamed = self.encodings.iter().zip(&self.plan.encodings);
        let unnamed = unnamed.filter(|(_, plan)| plan.rid.is_none());
        unnamed.map(|(state, _)| (state.media.ssrc, state.rtx.ssrc)).collect()
    }

    pub(crate) fn rids(&self) -> impl Iterator<Item = &'static str> {
        self.plan.encodings.iter().filter_map(|encoding| encoding.rid)
    }

    pub(crate) fn wake(&self) -> Duration {
        self.next_frame.min(self.next_report)
    }

    pub(crate) fn poll(&mut self, outlet: &mut Outlet<'_>) {
        if self.next_frame <= outlet.now {
            let interval = self.plan.frame_interval();
            // What could not be sent in its time, before there was a connection, is not made up.
            let missed = outlet.now - self.next_frame > interval;
            self.next_frame = interval + if missed { outlet.now } else { self.next_frame };
            if self.active {
                self.send_picture(outlet);
            }
        }
        if self.next_report <= outlet.now {
            self.next_report = outlet.now + REPORT_INTERVAL;
            self.send_reports(outlet);
        }
    }

    fn send_picture(&mut self, outlet: &mut Outlet<'_>) {
        let picture = self.published.frames;
        self.published.frames += 1;
        let count = self.encodings.len();
        for at in 0..count {
            let withheld = count > 1 && at + usize::from(self.withheld) >= count;
            let encoding = &mut self.encodings[at];
            let sends = encoding.active && encoding.demanded && !withheld;
            encoding.keyframe_wanted |= sends && !encoding.sending;
            encoding.sending = sends;
            if sends {
                self.send_encoded(outlet, at, picture);
            }
        }
        let padding = self.plan.padding_every.is_some_and(|every| picture % every == every - 1);
        if padding {
            self.send_padding(outlet);
        }
    }

    fn send_encoded(&mut self, outlet: &mut Outlet<'_>, at: usize, picture: u32) {
        let encoding = &mut self.encodings[at];
        let keyframe = std::mem::take(&mut encoding.keyframe_wanted);
        self.published.keyframes += u64::from(keyframe);
        let timestamp = encoding.media.timestamp_base.wrapping_add(video_ticks(outlet.now));
        let frames = encoding.encoder.encode(keyframe);
        let count = frames.len();
        for (layer, frame) in frames.into_iter().enumerate() {
            let bytes = self.plan.frame_bytes(outlet.now, at, &frame_shape(&frame), picture);
            let sets = u16::from(keyframe && self.plan.codec == Codec::H264);
            let parts = u16::try_from(bytes.div_ceil(PAYLOAD_BYTES_MAX))
                .expect("frames of a few dozen packets");
            let stamp = Stamp {
                source: self.source,
                encoding: u8::try_from(at).expect("a few encodings"),
                spatial: frame.spatial,
                temporal: frame.temporal,
                frame: picture,
                part: 0,
                parts: parts + sets,
                keyframe,
                sent: outlet.now,
                references: frame.references,
                width: frame.size.0,
            };
            let first_sequence = self.encodings[at].media.sequence;
            let last = layer + 1 == count;
            let kept = Kept { frame, stamp, bytes, timestamp, first_sequence, last };
            self.send_frame(outlet, at, &kept);
            self.encodings[at].keep(kept);
        }
    }

    fn send_frame(&mut self, outlet: &mut Outlet<'_>, at: usize, kept: &Kept) {
        let payload_type = outlet.numbering.of(self.plan.codec).0;
        let media = &mut self.encodings[at].media;
        self.published.packets += u64::from(kept.stamp.parts);
        let earned = kept.bytes / RESEND_SHARE;
        self.resend_budget = (self.resend_budget + earned).min(RESEND_BYTES_MAX);
        for part in 0..kept.stamp.parts {
            let header = media.header(payload_type, kept.timestamp, kept.marker(part));
            media.count(kept.share(part));
            let descriptor = kept.descriptor(part);
            let mut extensions = names(&self.mid, self.plan.encodings[at].rid, Extension::Rid);
            extensions.extend(descriptor.as_deref().map(|d| (Extension::DependencyDescriptor, d)));
            outlet.send(&header, &extensions, |out| kept.write(out, part), 0);
        }
    }

    /// A probe: it has a sequence number and nothing else to say.
    fn send_padding(&mut self, outlet: &mut Outlet<'_>) {
        let payload_type = outlet.numbering.of(self.plan.codec).0;
        for (at, encoding) in self.encodings.iter_mut().enumerate().filter(|(_, e)| e.sending) {
            let timestamp = encoding.media.timestamp_base.wrapping_add(video_ticks(outlet.now));
            let header = encoding.media.header(payload_type, timestamp, false);
            let names = names(&self.mid, self.plan.encodings[at].rid, Extension::Rid);
            outlet.send(&header, &names, |_| {}, PADDING);
            self.published.paddings += 1;
        }
    }

    fn send_reports(&mut self, outlet: &mut Outlet<'_>) {
        for encoding in self.encodings.iter().filter(|e| e.media.packets > 0) {
            let media = &encoding.media;
            let rtp_time = media.timestamp_base.wrapping_add(video_ticks(outlet.now));
            let (packets, octets) = (media.packets, media.octets);
            let report = rtcp::sender_report(media.ssrc, outlet.ntp, rtp_time, packets, octets);
            outlet.transmit.push(&report);
        }
    }

    /// Answers a NACK with RTX (RFC 4588 §4), if it is about one of the encodings.
    pub(crate) fn on_nack(&mut self, outlet: &mut Outlet<'_>, ssrc: u32, sequences: &[u16]) {
        let payload_type = outlet.numbering.of(self.plan.codec).1;
        let found = self.encodings.iter_mut().enumerate().find(|(_, e)| e.media.ssrc == ssrc);
        let Some((at, encoding)) = found else { return };
        for &sequence in sequences {
            self.published.nacked += 1;
            let kept = encoding.store.iter().rev();
            let mut kept = kept.filter_map(|kept| Some((kept, kept.part(sequence)?)));
            let Some((kept, part)) = kept.next() else { continue };
            if self.plan.adapts {
                let Some(left) = self.resend_budget.checked_sub(kept.share(part)) else { continue };
                self.resend_budget = left;
            }
            let header = RtpHeader {
                marker: kept.marker(part),
                ..encoding.rtx.header(payload_type, kept.timestamp, false)
            };
            let descriptor = kept.descriptor(part);
            let mut extensions =
                names(&self.mid, self.plan.encodings[at].rid, Extension::RepairedRid);
            extensions.extend(descriptor.as_deref().map(|d| (Extension::DependencyDescriptor, d)));
            let write = |out: &mut Vec<u8>| {
                out.extend(sequence.to_be_bytes());
                kept.write(out, part);
            };
            outlet.send(&header, &extensions, write, 0);
            self.published.resent += 1;
        }
    }

    /// Notes a keyframe request, if it is for one of the encodings.
    pub(crate) fn on_keyframe_request(&mut self, now: Duration, ssrc: u32) {
        if let Some(encoding) = self.encodings.iter_mut().find(|e| e.media.ssrc == ssrc) {
            encoding.keyframe_wanted = true;
            self.published.keyframe_requests.push(now);
            if let Some(before) = encoding.requested.replace(now) {
                let spacing = &mut self.published.keyframe_request_spacing;
                *spacing = Some(spacing.map_or(now - before, |least| least.min(now - before)));
            }
        }
    }
}

impl EncodingState {
    fn keep(&mut self, kept: Kept) {
        self.stored_packets += usize::from(kept.stamp.parts);
        self.store.push_back(kept);
        while self.stored_packets > STORE_PACKETS
            && let Some(oldest) = self.store.pop_front()
        {
            self.stored_packets -= usize::from(oldest.stamp.parts);
        }
    }
}

/// What the size of a layer frame depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) spatial: u8,
    pub(crate) temporal: u8,
    pub(crate) keyframe: bool,
}

fn frame_shape(frame: &LayerFrame) -> Shape {
    Shape { spatial: frame.spatial, temporal: frame.temporal, keyframe: frame.keyframe }
}

type Named<'a> = SmallVec<[(Extension, &'a [u8]); 3]>;

/// The extensions that name an unsignalled source; none for a signalled one.
fn names<'a>(mid: &'a str, rid: Option<&'a str>, as_what: Extension) -> Named<'a> {
    rid.map_or_else(Named::new, |rid| {
        [(Extension::Mid, mid.as_bytes()), (as_what, rid.as_bytes())].into_iter().collect()
    })
}

fn video_ticks(now: Duration) -> u32 {
    #[allow(clippy::cast_possible_truncation, reason = "RTP time is modulo 2^32")]
    let ticks = (now.as_micros() as u64 * VIDEO_CLOCK / 1_000_000) as u32;
    ticks
}
