//! One outgoing packet: header written, payload copied once from the shared history, sealed in
//! place.

use arrayvec::ArrayVec;
use slotmap::SlotMap;

use super::peer::{Outgoing, OutgoingKind};
use crate::bandwidth::send_side::OVERHEAD_BYTES;
use crate::deliver::slot::Slot;
use crate::forward::munge;
use crate::id::TrackId;
use crate::publish::history::{Stored, StoredExtensions};
use crate::publish::track::Track;
use crate::rtp::dependency_descriptor::Element;
use crate::rtp::extension::{Extension, ExtensionMap};
use crate::rtp::header::{OutgoingHeader, write_header};
use crate::rtp::red;
use crate::transport::Transport;

/// What a packet is reckoned to need on the wire beside its payload, before it is built: RTP
/// header, extensions, authentication tag, UDP and IP.
pub(super) const PACKET_OVERHEAD: usize = 12 + 16 + 16 + OVERHEAD_BYTES;

/// Padding of a packet that has nothing else: the most that its last byte can count
/// (RFC 3550 §5.1), in words.
const PADDING_BYTES: u8 = 252;

/// What building needs beside the packet.
pub(super) struct Builder<'a> {
    pub(super) transport: &'a mut Transport,
    pub(super) tracks: &'a SlotMap<TrackId, Track>,
    /// abs-send-time of the batch.
    pub(super) send_time: [u8; 3],
}

impl Builder<'_> {
    /// Appends one sealed packet to the arena and gives its header. `None`: its payload is gone,
    /// or it cannot be sealed; what was appended is for the caller to take back.
    pub(super) fn build(
        &mut self,
        arena: &mut Vec<u8>,
        outgoing: &Outgoing,
        slot: &mut Slot,
        transport_sequence: u16,
    ) -> Option<OutgoingHeader> {
        let edit = &outgoing.packet.edit;
        let source = match outgoing.kind {
            OutgoingKind::Media | OutgoingKind::Retransmission if !edit.empty => {
                Some(source(self.tracks, outgoing)?)
            }
            _ => None,
        };
        let (ssrc, index) = match outgoing.kind {
            OutgoingKind::Media => (slot.send.ssrc, outgoing.packet.index),
            OutgoingKind::Retransmission | OutgoingKind::Padding => {
                (slot.send.rtx_ssrc?, slot.next_rtx_index)
            }
        };
        let header = OutgoingHeader {
            padding: munge::padding(edit) || outgoing.kind == OutgoingKind::Padding,
            marker: source.is_some_and(|(stored, _)| munge::marker(edit, stored.marker)),
            payload_type: outgoing.payload_type,
            sequence: low_16(index),
            timestamp: outgoing.packet.timestamp,
            ssrc,
        };
        let carried = source.map(|(stored, _)| &stored.extensions);
        let mut descriptor = Element::new();
        let described = carried
            .and_then(|carried| carried.get(Extension::DependencyDescriptor))
            .is_some_and(|original| munge::descriptor(edit, original, &mut descriptor));
        let own = OwnExtensions {
            transport_sequence: &transport_sequence.to_be_bytes(),
            send_time: &self.send_time,
            descriptor: described.then_some(descriptor.as_slice()),
        };
        let extensions = extensions(&slot.extensions, carried, &own);
        let start = arena.len();
        let header_bytes = write_header(arena, &header, &extensions);
        if outgoing.kind == OutgoingKind::Retransmission {
            arena.extend_from_slice(&low_16(outgoing.packet.index).to_be_bytes());
        }
        match source {
            Some((_, payload)) => munge::write_payload(arena, payload, edit),
            None if munge::padding(edit) => munge::write_payload(arena, &[], edit),
            None => pad(arena),
        }
        self.transport.seal_rtp(arena, start, header_bytes, index).ok()?;
        if ssrc != slot.send.ssrc {
            slot.next_rtx_index += 1;
        }
        Some(header)
    }
}

/// The published packet behind an outgoing one.
fn source<'a>(
    tracks: &'a SlotMap<TrackId, Track>,
    outgoing: &Outgoing,
) -> Option<(&'a Stored, &'a [u8])> {
    let packet = &outgoing.packet;
    let encoding = tracks.get(packet.track)?.encodings.get(usize::from(packet.encoding))?;
    let (stored, payload) =
        encoding.history.get(packet.source_index).filter(|_| encoding.epoch == packet.epoch)?;
    Some((stored, if outgoing.unwrap_red { red::primary(payload)? } else { payload }))
}

fn pad(arena: &mut Vec<u8>) {
    arena.resize(arena.len() + usize::from(PADDING_BYTES) - 1, 0);
    arena.push(PADDING_BYTES);
}

#[allow(clippy::cast_possible_truncation, reason = "the low 16 bits of an SRTP index")]
fn low_16(index: u64) -> u16 {
    index as u16
}

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
    carried: Option<&'a StoredExtensions>,
    own: &OwnExtensions<'a>,
) -> ArrayVec<(u8, &'a [u8]), { Extension::ALL.len() }> {
    negotiated
        .iter()
        .filter_map(|(extension, id)| {
            let value: &[u8] = match extension {
                Extension::TransportCc => own.transport_sequence,
                Extension::AbsSendTime => own.send_time,
                Extension::DependencyDescriptor => own.descriptor?,
                // The m-line is known by its signalled SSRC; layers are not the receiver's.
                Extension::Mid | Extension::Rid | Extension::RepairedRid => return None,
                passed_on @ (Extension::AudioLevel
                | Extension::VideoOrientation
                | Extension::PlayoutDelay) => carried?.get(passed_on)?,
            };
            Some((id, value))
        })
        .collect()
}
