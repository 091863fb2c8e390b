//! From what peers are owed to datagrams: headers written, payloads copied once from the shared
//! history, sealed in place.

use std::time::Instant;

use arrayvec::ArrayVec;
use slotmap::SlotMap;

use super::peer::{Outgoing, Peer};
use super::{Egress, Engine};
use crate::forward::munge;
use crate::id::{PeerId, TrackId};
use crate::limits::DATAGRAM_BYTES_MAX;
use crate::publish::history::StoredExtensions;
use crate::publish::track::Track;
use crate::rtp::dependency_descriptor::Element;
use crate::rtp::extension::{Extension, ExtensionMap};
use crate::rtp::header::{OutgoingHeader, write_header};
use crate::rtp::red;
use crate::transport::{Path, Transport};

/// Room kept for a peer's feedback: the bound of its queue, and trailers.
const RTCP_BYTES: usize = 20 * 1024;
const RTCP_DATAGRAMS: usize = 20;

impl Engine {
    /// Fills `egress` from the peers that owe. False: it was full before all was written.
    pub(super) fn deliver(&mut self, now: Instant, egress: &mut Egress) -> bool {
        let before = (egress.arena.len(), egress.datagrams);
        let done = self.deliver_farewells(egress) && self.deliver_dirty(now, egress);
        self.stats.bytes_out += (egress.arena.len() - before.0) as u64;
        self.stats.datagrams_out += egress.datagrams - before.1;
        done
    }

    fn deliver_farewells(&mut self, egress: &mut Egress) -> bool {
        while egress.has_room(DATAGRAM_BYTES_MAX, 1) {
            let Some((path, datagram)) = self.farewells.pop_front() else { return true };
            egress.push(path, &datagram);
        }
        false
    }

    fn deliver_dirty(&mut self, now: Instant, egress: &mut Egress) -> bool {
        while let Some(&id) = self.dirty.front() {
            let mut done = true;
            if self.peers.contains_key(id) {
                let _ = self.guarded(id, |engine| {
                    done = engine.deliver_to(now, id, egress);
                    Ok(())
                });
            }
            if !done {
                return false;
            }
            self.dirty.pop_front();
            if let Some(peer) = self.peers.get_mut(id) {
                peer.dirty = false;
            }
        }
        true
    }

    fn deliver_to(&mut self, now: Instant, id: PeerId, egress: &mut Egress) -> bool {
        let send_time = abs_send_time(self.ntp(now));
        let Self { peers, tracks, .. } = self;
        let peer = &mut peers[id];
        let Some(link) = &mut peer.link else {
            peer.receive.queue.clear();
            return true;
        };
        let transport = &mut link.transport;
        while egress.has_room(DATAGRAM_BYTES_MAX, 1) {
            let Some((path, datagram)) = transport.poll_transmit() else { break };
            egress.push(path, &datagram);
        }
        if !egress.has_room(RTCP_BYTES, RTCP_DATAGRAMS) {
            return false;
        }
        let Some(path) = transport.path().filter(|_| transport.is_connected()) else {
            peer.receive.queue.clear();
            peer.rtcp.clear();
            return true;
        };
        for compound in peer.rtcp.compounds() {
            let start = egress.arena.len();
            egress.arena.extend_from_slice(compound);
            match transport.seal_rtcp(&mut egress.arena, start) {
                Ok(()) => egress.commit(path, start),
                Err(_) => egress.arena.truncate(start),
            }
        }
        peer.rtcp.clear();
        deliver_media(send_time, peer, path, tracks, egress)
    }
}

/// Builds the queued packets. False: `egress` was full before the last.
fn deliver_media(
    send_time: [u8; 3],
    peer: &mut Peer,
    path: Path,
    tracks: &SlotMap<TrackId, Track>,
    egress: &mut Egress,
) -> bool {
    let Some(link) = &mut peer.link else { return true };
    let receive = &mut peer.receive;
    let mut built = 0;
    for outgoing in &receive.queue {
        if !egress.has_room(DATAGRAM_BYTES_MAX * 2, 1) {
            break;
        }
        built += 1;
        let slot = &receive.slots[usize::from(outgoing.slot)];
        let sequence = receive.next_transport_sequence;
        let start = egress.arena.len();
        let target = Target {
            ssrc: match outgoing.rtx_index {
                Some(_) => slot.send.rtx_ssrc,
                None => Some(slot.send.ssrc),
            },
            extensions: &slot.extensions,
            transport_sequence: sequence,
            send_time,
        };
        if write_packet(egress, &mut link.transport, tracks, outgoing, &target).is_some() {
            receive.next_transport_sequence = sequence.wrapping_add(1);
            egress.commit(path, start);
        } else {
            egress.arena.truncate(start);
        }
    }
    receive.queue.drain(..built);
    receive.queue.is_empty()
}

/// What a packet becomes for one subscriber, beside its place on the line.
struct Target<'a> {
    ssrc: Option<crate::id::Ssrc>,
    extensions: &'a ExtensionMap,
    transport_sequence: u16,
    /// abs-send-time of the batch.
    send_time: [u8; 3],
}

/// Appends one sealed packet to the arena. `None`: its payload is gone, or it cannot be sealed.
fn write_packet(
    egress: &mut Egress,
    transport: &mut Transport,
    tracks: &SlotMap<TrackId, Track>,
    outgoing: &Outgoing,
    target: &Target<'_>,
) -> Option<()> {
    let packet = &outgoing.packet;
    let encoding = tracks.get(packet.track)?.encodings.get(usize::from(packet.encoding))?;
    let (stored, payload) =
        encoding.history.get(packet.source_index).filter(|_| encoding.epoch == packet.epoch)?;
    let payload = if outgoing.unwrap_red { red::primary(payload)? } else { payload };
    let index = outgoing.rtx_index.unwrap_or(packet.index);
    let header = OutgoingHeader {
        marker: munge::marker(&packet.edit, stored.marker),
        payload_type: outgoing.payload_type,
        #[allow(clippy::cast_possible_truncation, reason = "the low 16 bits of an SRTP index")]
        sequence: index as u16,
        timestamp: packet.timestamp,
        ssrc: target.ssrc?,
    };
    let transport_sequence = target.transport_sequence.to_be_bytes();
    let mut descriptor = Element::new();
    let original = stored.extensions.get(Extension::DependencyDescriptor);
    let described =
        original.is_some_and(|data| munge::descriptor(&packet.edit, data, &mut descriptor));
    let own = OwnExtensions {
        transport_sequence: &transport_sequence,
        send_time: &target.send_time,
        descriptor: described.then_some(descriptor.as_slice()),
    };
    let extensions = extensions(target.extensions, &stored.extensions, &own);
    let arena = &mut egress.arena;
    let start = arena.len();
    let header_bytes = write_header(arena, &header, &extensions);
    if outgoing.rtx_index.is_some() {
        #[allow(clippy::cast_possible_truncation, reason = "the low 16 bits of an SRTP index")]
        let original = packet.index as u16;
        arena.extend_from_slice(&original.to_be_bytes());
    }
    munge::write_payload(arena, payload, &packet.edit);
    if munge::padding(&packet.edit) {
        arena[start] |= PADDING_BIT;
    }
    transport.seal_rtp(arena, start, header_bytes, index).ok()
}

/// NTP time as 6.18 fixed-point seconds modulo 64 (abs-send-time).
fn abs_send_time(ntp: u64) -> [u8; 3] {
    let [.., a, b, c] = ((ntp >> 14) & 0xff_ffff).to_be_bytes();
    [a, b, c]
}

/// P of the first byte of a header (RFC 3550 §5.1).
const PADDING_BIT: u8 = 0x20;

/// The header extensions that are not as the publisher wrote them.
struct OwnExtensions<'a> {
    transport_sequence: &'a [u8; 2],
    send_time: &'a [u8; 3],
    descriptor: Option<&'a [u8]>,
}

/// The header extensions of one outgoing packet, always in the same order, so that packets of
/// equal payload have equal size.
fn extensions<'a>(
    negotiated: &ExtensionMap,
    stored: &'a StoredExtensions,
    own: &OwnExtensions<'a>,
) -> ArrayVec<(u8, &'a [u8]), { Extension::ALL.len() }> {
    negotiated
        .iter()
        .filter_map(|(extension, id)| {
            let value: &[u8] = match extension {
                Extension::TransportCc => own.transport_sequence,
                Extension::AbsSendTime => own.send_time,
                // The m-line is known by its signalled SSRC; encodings are not the receiver's.
                Extension::Mid | Extension::Rid | Extension::RepairedRid => return None,
                Extension::DependencyDescriptor => own.descriptor?,
                carried @ (Extension::AudioLevel
                | Extension::VideoOrientation
                | Extension::PlayoutDelay) => stored.get(carried)?,
            };
            Some((id, value))
        })
        .collect()
}
