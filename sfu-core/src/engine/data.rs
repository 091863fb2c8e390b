//! Data messages within a room. docs/protocol.md describes the envelope.

use std::time::Instant;

use bytes::{Bytes, BytesMut};

use super::Engine;
use crate::command::{DataMessage, Reliability};
use crate::drops::DropReason;
use crate::event::Event;
use crate::id::{ParticipantId, PeerId, RoomId};
use crate::limits::{DATA_ADDRESSEES_MAX, DATA_MESSAGE_BYTES_MAX};

/// The payload is UTF-8 text.
const FLAG_TEXT: u8 = 1;

impl Engine {
    /// A message from a peer's data channel.
    pub(super) fn receive_data(
        &mut self,
        now: Instant,
        id: PeerId,
        reliability: Reliability,
        text: bool,
        payload: Bytes,
    ) {
        let Some(peer) = self.peers.get(id) else { return };
        if !peer.permissions.data {
            return self.count(DropReason::DataNotPermitted);
        }
        let (room, from) = (peer.room, Some(peer.participant));
        let message = if text {
            // A plain string is text for everyone.
            Some(DataMessage { from, to: Vec::new(), reliability, text, payload })
        } else {
            parse_envelope(&payload).map(|(text, to, payload)| DataMessage {
                from,
                to,
                reliability,
                text,
                payload,
            })
        };
        match message {
            Some(message) => self.send_data(now, room, &message),
            None => self.count(DropReason::DataMalformed),
        }
    }

    /// Hands a message to its addressees, here and in other engines.
    pub(super) fn send_data(&mut self, now: Instant, room: RoomId, message: &DataMessage) {
        if message.payload.len() > DATA_MESSAGE_BYTES_MAX {
            return self.count(DropReason::DataOversize);
        }
        self.relay_data(room, message);
        self.deliver_data(now, room, message);
    }

    /// Hands a message to its addressees here: by data channel where there is one, else as an event.
    pub(super) fn deliver_data(&mut self, now: Instant, room: RoomId, message: &DataMessage) {
        let Some(room) = self.rooms.get(room) else { return };
        let addressed = |p: ParticipantId| message.to.is_empty() || message.to.contains(&p);
        let receivers: Vec<PeerId> = room
            .peers
            .iter()
            .filter(|&&(participant, _)| {
                Some(participant) != message.from && addressed(participant)
            })
            .map(|&(_, peer)| peer)
            .collect();
        let envelope = envelope(message);
        for peer in receivers {
            self.send_data_to(now, peer, message, &envelope);
        }
    }

    fn send_data_to(&mut self, now: Instant, id: PeerId, message: &DataMessage, envelope: &[u8]) {
        let reliability = message.reliability;
        let link = self.peers.get_mut(id).and_then(|peer| peer.link.as_mut());
        let link = link.filter(|link| link.transport.has_data_channel(reliability));
        let Some(link) = link else {
            return self.tell(Event::Data {
                peer: id,
                from: message.from,
                reliability,
                text: message.text,
                payload: message.payload.clone(),
            });
        };
        if let Err(reason) = link.transport.send_data(now, reliability, false, envelope) {
            self.count(reason);
        }
        self.mark_dirty(id);
        self.touch(id);
    }
}

/// Server to client: flags, sender, payload.
fn envelope(message: &DataMessage) -> BytesMut {
    let mut out = BytesMut::with_capacity(9 + message.payload.len());
    out.extend([if message.text { FLAG_TEXT } else { 0 }]);
    out.extend(message.from.map_or(0, |from| from.0).to_be_bytes());
    out.extend(&message.payload);
    out
}

/// Client to server: flags, count, addressees, payload.
fn parse_envelope(message: &Bytes) -> Option<(bool, Vec<ParticipantId>, Bytes)> {
    let &[flags, count] = message.first_chunk::<2>()?;
    let count = usize::from(count);
    let end = 2 + count * 8;
    if count > DATA_ADDRESSEES_MAX || message.len() < end {
        return None;
    }
    let to = message[2..end]
        .chunks_exact(8)
        .map(|id| ParticipantId(u64::from_be_bytes(id.try_into().expect("chunks of 8"))))
        .collect();
    let (text, payload) = (flags & FLAG_TEXT != 0, message.slice(end..));
    (!text || std::str::from_utf8(&payload).is_ok()).then_some((text, to, payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn envelopes_name_their_addressees() {
        let mut message = vec![FLAG_TEXT, 2];
        message.extend(1u64.to_be_bytes());
        message.extend(2u64.to_be_bytes());
        message.extend(b"hi");
        let parsed = parse_envelope(&Bytes::from(message)).unwrap();
        assert_eq!(parsed, (true, vec![ParticipantId(1), ParticipantId(2)], Bytes::from("hi")));
    }

    #[test]
    fn short_and_lying_envelopes_are_refused() {
        for bad in [&[][..], &[0], &[0, 1, 0, 0], &[0, 255], &[FLAG_TEXT, 0, 0xff]] {
            assert_eq!(parse_envelope(&Bytes::copy_from_slice(bad)), None, "{bad:?}");
        }
    }
}
