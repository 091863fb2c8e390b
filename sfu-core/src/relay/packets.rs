//! A batch of packets that crosses between engines: one buffer for all bytes, one record a packet.

use crate::id::{PayloadType, TrackId};
use crate::publish::history::StoredExtensions;

/// Packets on their way to another engine.
#[derive(Debug, Default)]
pub struct Packets {
    records: Vec<Record>,
    /// Of each packet its dependency descriptor, then its payload.
    bytes: Vec<u8>,
}

/// What is kept of a packet beside its bytes.
#[derive(Clone, Copy, Debug)]
struct Record {
    index: u64,
    track: TrackId,
    epoch: u32,
    timestamp: u32,
    payload_bytes: u16,
    encoding: u8,
    payload_type: PayloadType,
    marker: bool,
    audio_level: Option<u8>,
    video_orientation: Option<u8>,
    playout_delay: Option<[u8; 3]>,
    descriptor_bytes: u8,
}

const _: () = {
    // Less than a cache line beside a payload of twenty.
    assert!(size_of::<Record>() <= 48);
};

/// A packet that crosses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelayedPacket<'a> {
    /// The mirror it is for.
    pub track: TrackId,
    /// Which encoding of it.
    pub encoding: u8,
    /// Counts the encoding's restarts at its origin.
    pub epoch: u32,
    /// Extended sequence number.
    pub index: u64,
    /// RTP timestamp.
    pub timestamp: u32,
    /// The marker bit.
    pub marker: bool,
    /// The publisher's payload type.
    pub payload_type: PayloadType,
    /// As in [`StoredExtensions`].
    pub audio_level: Option<u8>,
    /// As in [`StoredExtensions`].
    pub video_orientation: Option<u8>,
    /// As in [`StoredExtensions`].
    pub playout_delay: Option<[u8; 3]>,
    /// The dependency descriptor, of at most 255 bytes (RFC 8285); empty without one.
    pub descriptor: &'a [u8],
    /// Empty for padding, of which only the number matters.
    pub payload: &'a [u8],
}

impl RelayedPacket<'_> {
    /// The header extensions that are passed on.
    #[must_use]
    pub fn extensions(&self) -> StoredExtensions {
        StoredExtensions {
            audio_level: self.audio_level,
            video_orientation: self.video_orientation,
            playout_delay: self.playout_delay,
            dependency_descriptor: self.descriptor.into(),
        }
    }
}

impl Packets {
    /// Adds a packet. One that no datagram could hold is left out.
    pub fn push(&mut self, packet: &RelayedPacket<'_>) {
        let (Ok(descriptor_bytes), Ok(payload_bytes)) =
            (u8::try_from(packet.descriptor.len()), u16::try_from(packet.payload.len()))
        else {
            return;
        };
        self.bytes.extend_from_slice(packet.descriptor);
        self.bytes.extend_from_slice(packet.payload);
        self.records.push(Record {
            index: packet.index,
            track: packet.track,
            epoch: packet.epoch,
            timestamp: packet.timestamp,
            payload_bytes,
            encoding: packet.encoding,
            payload_type: packet.payload_type,
            marker: packet.marker,
            audio_level: packet.audio_level,
            video_orientation: packet.video_orientation,
            playout_delay: packet.playout_delay,
            descriptor_bytes,
        });
    }

    /// Every packet, in order.
    pub fn iter(&self) -> impl Iterator<Item = RelayedPacket<'_>> {
        let mut rest = &self.bytes[..];
        self.records.iter().map_while(move |record| {
            let (descriptor, after) = rest.split_at_checked(record.descriptor_bytes.into())?;
            let (payload, after) = after.split_at_checked(record.payload_bytes.into())?;
            rest = after;
            Some(RelayedPacket {
                track: record.track,
                encoding: record.encoding,
                epoch: record.epoch,
                index: record.index,
                timestamp: record.timestamp,
                marker: record.marker,
                payload_type: record.payload_type,
                audio_level: record.audio_level,
                video_orientation: record.video_orientation,
                playout_delay: record.playout_delay,
                descriptor,
                payload,
            })
        })
    }

    /// How many packets.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Bytes of payloads and descriptors.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes there is room for without another allocation.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Forgets the packets and keeps the buffers.
    pub fn clear(&mut self) {
        self.records.clear();
        self.bytes.clear();
    }
}

#[cfg(test)]
mod tests {
    use slotmap::SlotMap;

    use super::*;

    #[test]
    fn packets_come_out_as_they_went_in() {
        let track = SlotMap::<TrackId, ()>::with_key().insert(());
        let packet = |index, descriptor, payload| RelayedPacket {
            track,
            encoding: 2,
            epoch: 7,
            index,
            timestamp: 90_000,
            marker: index % 2 == 0,
            payload_type: PayloadType(96),
            audio_level: Some(30),
            video_orientation: None,
            playout_delay: Some([1, 2, 3]),
            descriptor,
            payload,
        };
        let sent = [
            packet(1u64 << 40, &[1u8, 2, 3][..], &[9u8; 1200][..]),
            packet(2, &[], &[]),
            packet(3, &[5; 255], &[1]),
        ];
        let mut packets = Packets::default();
        sent.iter().for_each(|packet| packets.push(packet));
        assert_eq!((packets.len(), packets.bytes()), (3, 3 + 1200 + 255 + 1));
        assert!(packets.iter().eq(sent));
        packets.clear();
        assert!(packets.is_empty() && packets.iter().next().is_none());
    }
}
