//! [`Outboxes`]: what waits to be fetched for other engines, one message for each.

use super::{Message, Note, RelayedPacket};
use crate::drops::DropReason;
use crate::limits::{
    RELAY_BYTES_MAX, RELAY_DATA_BYTES_MAX, RELAY_NOTES_MAX, RELAY_PACKETS_MAX, RELAY_SPARE_MAX,
};

/// The messages being put together.
#[derive(Debug, Default)]
pub(crate) struct Outboxes {
    /// By worker number, in its order.
    boxes: Vec<Outbox>,
    /// Empty messages with their buffers.
    spare: Vec<Message>,
}

#[derive(Debug)]
struct Outbox {
    worker: u8,
    message: Message,
    /// Payload bytes of data messages in it.
    data_bytes: usize,
    /// A note found no room: whoever waits for it must be told to wait no more.
    lost: bool,
}

impl Outboxes {
    /// Adds what must arrive. If there is no room for it, the link with that engine is over
    /// ([`Outboxes::poll_lost`]).
    pub(crate) fn note(&mut self, worker: u8, note: Note) {
        let outbox = self.of(worker);
        if let Note::Data { message, .. } = &note {
            outbox.data_bytes += message.payload.len();
        }
        if outbox.message.notes.len() >= RELAY_NOTES_MAX || outbox.data_bytes > RELAY_DATA_BYTES_MAX
        {
            outbox.lost = true;
            return;
        }
        outbox.message.notes.push(note);
    }

    /// Whether what may be lost should be: half of the room is taken.
    pub(crate) fn is_crowded(&self, worker: u8) -> bool {
        let outbox = self.boxes.iter().find(|outbox| outbox.worker == worker);
        outbox.is_some_and(|outbox| {
            outbox.message.notes.len() >= RELAY_NOTES_MAX / 2
                || outbox.data_bytes >= RELAY_DATA_BYTES_MAX / 2
        })
    }

    /// Adds a packet.
    ///
    /// # Errors
    /// [`DropReason::RelayFull`] if too much media waits.
    pub(crate) fn packet(
        &mut self,
        worker: u8,
        packet: &RelayedPacket<'_>,
    ) -> Result<(), DropReason> {
        let packets = &mut self.of(worker).message.packets;
        if packets.len() >= RELAY_PACKETS_MAX || packets.bytes() >= RELAY_BYTES_MAX {
            return Err(DropReason::RelayFull);
        }
        packets.push(packet);
        Ok(())
    }

    /// Takes the next message that can be brought, for the lowest worker number first.
    pub(crate) fn poll(&mut self, mut can_take: impl FnMut(u8) -> bool) -> Option<(u8, Message)> {
        let full = |outbox: &&mut Outbox| !outbox.message.is_empty() && can_take(outbox.worker);
        let outbox = self.boxes.iter_mut().find(full)?;
        outbox.data_bytes = 0;
        let empty = self.spare.pop().unwrap_or_default();
        Some((outbox.worker, std::mem::replace(&mut outbox.message, empty)))
    }

    /// Takes back the buffers of a message.
    pub(crate) fn recycle(&mut self, mut message: Message) {
        message.notes.clear();
        message.packets.clear();
        if self.spare.len() < RELAY_SPARE_MAX {
            self.spare.push(message);
        }
    }

    /// An engine for which a note was lost. All that waited for it is gone with it.
    pub(crate) fn poll_lost(&mut self) -> Option<u8> {
        let outbox = self.boxes.iter_mut().find(|outbox| outbox.lost)?;
        outbox.lost = false;
        outbox.data_bytes = 0;
        outbox.message = Message::default();
        Some(outbox.worker)
    }

    /// The box of an engine; there are at most 256.
    fn of(&mut self, worker: u8) -> &mut Outbox {
        let at = match self.boxes.binary_search_by_key(&worker, |outbox| outbox.worker) {
            Ok(at) => at,
            Err(at) => {
                let message = Message::default();
                self.boxes.insert(at, Outbox { worker, message, data_bytes: 0, lost: false });
                at
            }
        };
        &mut self.boxes[at]
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::command::{DataMessage, Reliability};
    use crate::id::{PayloadType, RoomId, TrackId};

    fn packet(payload: &[u8]) -> RelayedPacket<'_> {
        RelayedPacket {
            track: TrackId::default(),
            encoding: 0,
            epoch: 0,
            index: 1,
            timestamp: 2,
            marker: false,
            payload_type: PayloadType(96),
            audio_level: None,
            video_orientation: None,
            playout_delay: None,
            descriptor: &[],
            payload,
        }
    }

    fn goodbye() -> Note {
        Note::Goodbye { room: RoomId::default() }
    }

    #[test]
    fn one_message_holds_all_there_is_for_an_engine() {
        let mut outboxes = Outboxes::default();
        outboxes.packet(3, &packet(&[1])).unwrap();
        outboxes.note(3, goodbye());
        outboxes.note(1, goodbye());
        outboxes.packet(3, &packet(&[2])).unwrap();
        assert!(outboxes.poll(|worker| worker == 2).is_none());
        let (worker, first) = outboxes.poll(|_| true).unwrap();
        assert_eq!((worker, first.notes.len(), first.packets.len()), (1, 1, 0));
        let (worker, second) = outboxes.poll(|_| true).unwrap();
        assert_eq!((worker, second.notes.len(), second.packets.len()), (3, 1, 2));
        assert!(outboxes.poll(|_| true).is_none());
        assert!(outboxes.poll(|_| true).is_none());
    }

    #[test]
    fn buffers_that_come_back_are_used_again() {
        let mut outboxes = Outboxes::default();
        outboxes.packet(3, &packet(&[1; 1000])).unwrap();
        let (_, message) = outboxes.poll(|_| true).unwrap();
        outboxes.recycle(message);
        assert_eq!(outboxes.spare.len(), 1);
        outboxes.packet(3, &packet(&[2])).unwrap();
        outboxes.poll(|_| true).unwrap();
        assert_eq!(outboxes.spare.len(), 0, "it is the one being filled now");
        assert!(outboxes.boxes[0].message.packets.capacity() >= 1000);
        for _ in 0..2 * RELAY_SPARE_MAX {
            outboxes.recycle(Message::default());
        }
        assert_eq!(outboxes.spare.len(), RELAY_SPARE_MAX);
    }

    #[test]
    fn media_that_nobody_fetches_is_dropped_and_notes_are_not() {
        let mut outboxes = Outboxes::default();
        let payload = [0; 1200];
        let fill = |outboxes: &mut Outboxes, worker, payload: &[u8]| {
            (0..).take_while(|_| outboxes.packet(worker, &packet(payload)).is_ok()).count()
        };
        assert_eq!(fill(&mut outboxes, 1, &[0]), RELAY_PACKETS_MAX);
        outboxes.poll(|_| true).unwrap();
        let taken = fill(&mut outboxes, 0, &payload);
        assert_eq!(taken, RELAY_BYTES_MAX.div_ceil(1200));
        outboxes.note(0, goodbye());
        assert_eq!(outboxes.poll_lost(), None);
        let (_, message) = outboxes.poll(|_| true).unwrap();
        assert_eq!((message.notes.len(), message.packets.len()), (1, taken));
        outboxes.packet(0, &packet(&payload)).unwrap();
    }

    #[test]
    fn too_many_notes_end_the_link_instead_of_growing_for_ever() {
        let mut outboxes = Outboxes::default();
        for _ in 0..RELAY_NOTES_MAX {
            outboxes.note(9, goodbye());
        }
        assert_eq!(outboxes.poll_lost(), None);
        outboxes.note(9, goodbye());
        assert_eq!(outboxes.poll_lost(), Some(9));
        assert!(outboxes.poll_lost().is_none() && outboxes.poll(|_| true).is_none());

        let large = Bytes::from(vec![0; 64 * 1024]);
        let data = DataMessage {
            from: None,
            to: vec![],
            reliability: Reliability::Reliable,
            text: false,
            payload: large,
        };
        let note = || Note::Data { room: RoomId::default(), message: data.clone() };
        let sent = (0..).take_while(|_| {
            outboxes.note(9, note());
            outboxes.poll_lost().is_none()
        });
        assert_eq!(sent.count(), RELAY_DATA_BYTES_MAX / (64 * 1024));
    }
}
