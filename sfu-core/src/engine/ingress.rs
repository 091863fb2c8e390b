//! From a datagram to the subscriptions that want it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use super::build::PACKET_OVERHEAD;
use super::fan_out::{Media, Routed, What};
use super::peer::Route;
use super::{Engine, Timer};
use crate::demux::{Kind, classify, is_stun_answer};
use crate::drops::DropReason;
use crate::event::{Event, FailReason, TransportState};
use crate::forward::layer::LayerId;
use crate::id::{Mid, PayloadType, PeerId, Rid, TrackId};
use crate::limits::SPEAKERS_INTERVAL;
use crate::negotiation::{Codec, MediaKind};
use crate::publish::history::{Stored, StoredExtensions};
use crate::publish::nack::NackVerdict;
use crate::rtp::audio_level::AudioLevel;
use crate::rtp::codec_view::PayloadInfo;
use crate::rtp::extension::Extension;
use crate::rtp::packet::RtpPacket;
use crate::transport::{Path, Received};

/// An RTP packet as its publisher first sent it, whether it came directly or repeated.
pub(super) struct Arrived<'a> {
    pub(super) payload_type: PayloadType,
    pub(super) sequence: u16,
    pub(super) timestamp: u32,
    pub(super) marker: bool,
    pub(super) payload: &'a [u8],
    pub(super) repeated: bool,
}

/// Packets before the first one of a keyframe that may belong to it: H.264 parameter sets come in
/// packets of their own, which may be the ones that are missing.
const PARAMETER_SETS_MAX: u64 = 8;

impl Engine {
    pub(super) fn ingest(
        &mut self,
        now: Instant,
        path: Path,
        data: &mut [u8],
    ) -> Result<(), DropReason> {
        let kind = classify(data)?;
        let peer = match kind {
            Kind::Stun => match self.challenged(data) {
                Some(peer) => peer,
                None => {
                    let peer = self.demux.peer_by_stun(data)?;
                    self.check_free(now, &path, peer)?;
                    peer
                }
            },
            Kind::Dtls => self.demux.peer_by_path(&path).ok_or(DropReason::DtlsUnvalidated)?,
            Kind::Rtp | Kind::Rtcp => match self.demux.peer_by_path(&path) {
                Some(peer) => peer,
                None => return self.recognize(now, path, kind, data),
            },
        };
        if kind != Kind::Rtp {
            self.route_batch();
        }
        self.guarded(peer, |engine| {
            let result = engine.receive(now, peer, path, kind, data);
            engine.pump_transport(now, peer);
            result
        })
    }

    /// Runs the processing of one peer's input. A panic in it is a bug, and ends that peer only.
    pub(super) fn guarded(
        &mut self,
        peer: PeerId,
        work: impl FnOnce(&mut Self) -> Result<(), DropReason>,
    ) -> Result<(), DropReason> {
        catch_unwind(AssertUnwindSafe(|| work(self))).unwrap_or_else(|_| {
            self.stats.panics += 1;
            let state = TransportState::Failed(FailReason::Internal);
            self.count_transport(peer, state);
            self.unlink(peer);
            self.tell(Event::Transport { peer, state });
            Ok(())
        })
    }

    fn receive(
        &mut self,
        now: Instant,
        id: PeerId,
        path: Path,
        kind: Kind,
        data: &mut [u8],
    ) -> Result<(), DropReason> {
        let Some(link) = self.peers.get_mut(id).and_then(|peer| peer.link.as_mut()) else {
            return Err(DropReason::StunUnknownUfrag);
        };
        if kind == Kind::Stun {
            let result = match is_stun_answer(data) {
                true => link.transport.handle_answer(now, path, data),
                false => link.transport.handle_stun(now, path, data),
            };
            let outcome = match result {
                Ok(outcome) => outcome,
                Err(reason) => {
                    // There may be an error answer to send.
                    self.mark_dirty(id);
                    return Err(reason);
                }
            };
            if outcome.validated {
                link.paths.push(path);
                self.demux.learn_path(path, id);
            }
            if let Some(forgotten) = outcome.forgotten {
                link.paths.retain(|&known| known != forgotten);
                self.demux.forget_path(&forgotten, id);
            }
            self.mark_dirty(id);
            self.touch(id);
            return Ok(());
        }
        let received = link.transport.handle_datagram(now, path, data);
        match received? {
            Received::Consumed => {
                self.mark_dirty(id);
                self.touch(id);
                Ok(())
            }
            Received::Rtp(packet) => self.receive_rtp(now, id, packet),
            Received::Rtcp(packet) => self.receive_rtcp(now, id, packet),
        }
    }

    pub(super) fn receive_rtp(
        &mut self,
        now: Instant,
        id: PeerId,
        data: &[u8],
    ) -> Result<(), DropReason> {
        let packet = RtpPacket::parse(data)?;
        let publish = &mut self.peers[id].publish;
        if let Some(&[high, low]) = extension(&packet, publish, Extension::TransportCc) {
            publish.twcc.on_packet(now, u16::from_be_bytes([high, low]));
        }
        let route = match publish.route(packet.ssrc()) {
            Some(route) => route,
            None => self.resolve(now, id, &packet)?,
        };
        self.touch(id);
        let Some(arrived) = self.unwrap_rtx(route, &packet)? else { return Ok(()) };
        self.accept(now, id, route, &packet, &arrived)
    }

    /// Finds the m-line and encoding of an SSRC that was not signalled (RFC 8843 §9.2, RFC 8853
    /// §5.3), and remembers it.
    fn resolve(
        &mut self,
        now: Instant,
        id: PeerId,
        packet: &RtpPacket<'_>,
    ) -> Result<Route, DropReason> {
        self.route_batch();
        let publish = &self.peers[id].publish;
        let text =
            |which| extension(packet, publish, which).and_then(|b| std::str::from_utf8(b).ok());
        let mid = text(Extension::Mid).map(Mid::from);
        let repaired = text(Extension::RepairedRid).map(Rid::from);
        let rid = text(Extension::Rid).map(Rid::from).or_else(|| repaired.clone());
        let carries = |track: &TrackId| {
            let track = &self.tracks[*track];
            let pt = packet.payload_type();
            track.codec(pt).is_some() || track.codec_of_rtx(pt).is_some()
        };
        let mut candidates = publish.tracks().filter(|&track| match (&mid, &rid) {
            (Some(mid), _) => self.tracks[track].mid == *mid,
            (None, Some(rid)) => {
                self.tracks[track].encodings.iter().any(|l| l.rid.as_ref() == Some(rid))
            }
            (None, None) => carries(&track),
        });
        let track_id = candidates.next().ok_or(DropReason::SsrcUnknown)?;
        if candidates.next().is_some() {
            return Err(DropReason::SsrcUnknown);
        }
        drop(candidates);
        if !carries(&track_id) {
            return Err(DropReason::PayloadTypeUnknown);
        }
        let track = &mut self.tracks[track_id];
        let rtx = repaired.is_some() || track.codec_of_rtx(packet.payload_type()).is_some();
        let at = match &rid {
            Some(rid) => {
                track.encodings.iter().position(|encoding| encoding.rid.as_ref() == Some(rid))
            }
            None => (track.encodings.len() == 1).then_some(0),
        };
        let at = at.ok_or(DropReason::RidUnknown)?;
        let encoding = &mut track.encodings[at];
        let is_named = mid.is_some() || rid.is_some();
        let may_rebind = is_named && encoding.may_rebind(now);
        let bound = if rtx { &mut encoding.rtx_ssrc } else { &mut encoding.ssrc };
        let before = bound.filter(|&ssrc| ssrc != packet.ssrc());
        if before.is_some() && !may_rebind {
            // Without a name it may be the rest of a track that has ended: with its payload type
            // alone it must not take the place of another one.
            return Err(if is_named { DropReason::RidUnknown } else { DropReason::SsrcUnknown });
        }
        *bound = Some(packet.ssrc());
        if !rtx {
            encoding.is_guessed = !is_named;
        }
        if before.is_some() && !rtx {
            encoding.is_replaceable = false;
            encoding.restart(&mut self.pages);
        }
        if let Some(before) = before {
            self.peers[id].publish.unbind_ssrc(before);
        }
        let route = Route {
            track: track_id,
            encoding: u8::try_from(at).expect("a track has at most ENCODINGS_MAX of them"),
            rtx,
        };
        if !self.peers[id].publish.bind(packet.ssrc(), route) {
            return Err(DropReason::SsrcCap);
        }
        Ok(route)
    }

    /// Restores the original of a retransmission (RFC 4588 §4). `None` for padding.
    fn unwrap_rtx<'a>(
        &self,
        route: Route,
        packet: &RtpPacket<'a>,
    ) -> Result<Option<Arrived<'a>>, DropReason> {
        let mut arrived = Arrived {
            payload_type: packet.payload_type(),
            sequence: packet.sequence(),
            timestamp: packet.timestamp(),
            marker: packet.marker(),
            payload: packet.payload(),
            repeated: false,
        };
        if !route.rtx {
            return Ok(Some(arrived));
        }
        if arrived.payload.is_empty() {
            return Ok(None);
        }
        let codec = self.tracks[route.track].codec_of_rtx(arrived.payload_type);
        let (Some(codec), Some((original, payload))) =
            (codec, arrived.payload.split_first_chunk::<2>())
        else {
            return Err(DropReason::RtxMalformed);
        };
        arrived.payload_type = codec.payload_type;
        arrived.sequence = u16::from_be_bytes(*original);
        arrived.payload = payload;
        arrived.repeated = true;
        // An empty original is padding that was repeated (probes): nothing to forward.
        Ok((!payload.is_empty()).then_some(arrived))
    }

    /// Takes a packet of an encoding into its history and hands it to the subscriptions.
    fn accept(
        &mut self,
        now: Instant,
        id: PeerId,
        route: Route,
        packet: &RtpPacket<'_>,
        arrived: &Arrived<'_>,
    ) -> Result<(), DropReason> {
        let track = &mut self.tracks[route.track];
        let codec = track.codec(arrived.payload_type).ok_or(DropReason::PayloadTypeUnknown)?;
        let (codec, clock_rate) = (codec.codec, codec.clock_rate);
        let (kind, muted, participant) = (track.kind, track.muted, track.participant);
        let encoding = &mut track.encodings[usize::from(route.encoding)];
        let mut index = encoding.sequence.unwrap(arrived.sequence);
        let verdict = encoding.nack.on_packet(now, index);
        if verdict == NackVerdict::Restart {
            self.route_batch();
        }
        let encoding = &mut self.tracks[route.track].encodings[usize::from(route.encoding)];
        match verdict {
            NackVerdict::InOrder | NackVerdict::Recovered => {}
            NackVerdict::Duplicate => return Err(DropReason::Duplicate),
            NackVerdict::Restart if arrived.repeated => return Err(DropReason::TooOld),
            NackVerdict::Restart => {
                encoding.restart(&mut self.pages);
                index = encoding.sequence.unwrap(arrived.sequence);
                encoding.nack.on_packet(now, index);
                if kind == MediaKind::Video {
                    encoding.keyframes.request_for_engine(now);
                }
            }
        }
        if !arrived.repeated {
            encoding.statistics.on_packet(now, index, arrived.timestamp, clock_rate);
        }
        if arrived.payload.is_empty() {
            self.route(Routed { route, index, what: What::Padding });
            self.relay_padding(route, index, arrived);
            return Ok(());
        }
        self.stats.rtp_in += 1;
        self.stats.rtp_bytes_in += arrived.payload.len() as u64;
        self.peers[id].stats.rtp_in += 1;
        let publish = &self.peers[id].publish;
        let extensions = StoredExtensions::collect(|which| extension(packet, publish, which));
        if kind == MediaKind::Audio
            && !muted
            && let Some(level) =
                extension(packet, publish, Extension::AudioLevel).and_then(AudioLevel::parse)
            && self.rooms[self.tracks[route.track].room]
                .speakers
                .note(participant, level.level_dbov)
        {
            let room = self.tracks[route.track].room;
            self.timers.set(Timer::Room(room), Some(now + SPEAKERS_INTERVAL));
        }
        if muted {
            return Err(DropReason::Muted);
        }
        self.keep(now, route, (codec, clock_rate), index, arrived, extensions)?;
        self.relay_packet(route, index);
        Ok(())
    }

    /// Keeps a packet of a track, wherever it came from, and offers it to the subscriptions;
    /// with the codec and clock rate of its payload type.
    pub(super) fn keep(
        &mut self,
        now: Instant,
        route: Route,
        (codec, clock_rate): (Codec, u32),
        index: u64,
        arrived: &Arrived<'_>,
        extensions: StoredExtensions,
    ) -> Result<(), DropReason> {
        let encoding = &mut self.tracks[route.track].encodings[usize::from(route.encoding)];
        let descriptor = extensions.get(Extension::DependencyDescriptor);
        let info = encoding.reader.inspect(codec, arrived.payload, descriptor);
        if !arrived.repeated {
            encoding.clock.on_packet(now, arrived.timestamp, clock_rate);
        }
        // First: who is granted the encoding by this packet has what a keyframe request asks for.
        self.measure(now, route, arrived.payload.len(), &info);
        let encoding = &mut self.tracks[route.track].encodings[usize::from(route.encoding)];
        if info.keyframe_start {
            encoding.keyframes.on_keyframe();
            encoding.nack.forget_before(index.saturating_sub(PARAMETER_SETS_MAX));
        }
        let stored = Stored {
            timestamp: arrived.timestamp,
            marker: arrived.marker,
            payload_type: arrived.payload_type,
            arrival: now,
            extensions,
        };
        let late = encoding.history.newest().is_some_and(|newest| index < newest);
        encoding.history.insert(&mut self.pages, index, stored, arrived.payload)?;
        let epoch = encoding.epoch;
        let what = What::Media(Media {
            arrived: now,
            epoch,
            late,
            timestamp: arrived.timestamp,
            payload_type: arrived.payload_type,
            payload_bytes: arrived.payload.len(),
            info,
        });
        self.route(Routed { route, index, what });
        Ok(())
    }

    /// Notes what a packet costs, and of which layer it is. An encoding that begins, or begins
    /// again, changes what there is to choose from: at once, so that its first keyframe is not lost
    /// on those who wait for it.
    fn measure(&mut self, now: Instant, route: Route, payload_bytes: usize, info: &PayloadInfo) {
        let track = &mut self.tracks[route.track];
        let layer = LayerId {
            encoding: route.encoding,
            spatial: info.spatial.unwrap_or(0),
            temporal: info.temporal.unwrap_or(0),
        };
        let known = track.meter.arrives(now, route.encoding);
        let bytes = payload_bytes + PACKET_OVERHEAD;
        // In VP9 a picture begins with its lowest layer; the frames of the others are told by their
        // ends.
        let frame = info.frame_start || layer.spatial > 0 && info.frame_end;
        track.meter.note(now, layer, bytes, frame);
        if let Some((width, height)) = info.size {
            let top = info.layers.as_ref().map_or(0, |layers| layers.spatial.saturating_sub(1));
            track.meter.set_size(route.encoding, top, width, height);
        }
        let sizes = info.layers.iter().flat_map(|layers| &layers.sizes);
        for (spatial, &(width, height)) in (0u8..).zip(sizes) {
            track.meter.set_size(route.encoding, spatial, width, height);
        }
        if !known && track.kind == MediaKind::Video {
            self.route_batch();
            self.allocate_for_track(now, route.track);
        }
    }
}

/// The value of a header extension, by the ids the publisher negotiated.
fn extension<'a>(
    packet: &RtpPacket<'a>,
    publish: &super::peer::PublishState,
    which: Extension,
) -> Option<&'a [u8]> {
    packet.extension(publish.extensions.id(which)?)
}
