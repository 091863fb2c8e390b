//! What was published lately: one history per encoding, shared by every subscriber. Payloads are
//! stored once, in one ring of bytes; what was overwritten is not found any more.

use std::time::Instant;

use smallvec::SmallVec;

use crate::drops::DropReason;
use crate::id::PayloadType;
use crate::limits;
use crate::negotiation::MediaKind;

/// What is kept of a packet beside its payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The publisher's RTP timestamp, in units of the codec's clock.
    pub timestamp: u32,
    /// The marker bit.
    pub marker: bool,
    /// The publisher's payload type.
    pub payload_type: PayloadType,
    /// When it arrived.
    pub arrival: Instant,
    /// The header extensions that are passed on.
    pub extensions: StoredExtensions,
}

/// The header extensions of a packet that are passed on to subscribers, as they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredExtensions {
    /// Client-to-mixer audio level (RFC 6464 §3).
    pub audio_level: Option<u8>,
    /// Coordination of video orientation (3GPP TS 26.114 §7.4.5).
    pub video_orientation: Option<u8>,
    /// Playout delay limits: two times 12 bits in units of 10 ms.
    pub playout_delay: Option<[u8; 3]>,
    /// AV1 RTP dependency descriptor; empty if there was none. At most 255 bytes, as RFC 8285
    /// allows no more; only those of keyframes outgrow the space within.
    pub dependency_descriptor: SmallVec<[u8; 16]>,
}

/// The packets of one published encoding, by extended sequence number.
///
/// Memory is fixed from the start; the pages of the byte ring come as they are written.
#[derive(Debug)]
pub struct History {
    /// A power of two; the packet `index` can only be in the slot `index` modulo that.
    slots: Box<[Option<Slot>]>,
    bytes: Box<[u8]>,
    /// How many bytes were ever written or skipped; the next payload goes there, modulo the ring.
    written: u64,
    newest: Option<u64>,
}

/// One packet.
#[derive(Debug)]
struct Slot {
    index: u64,
    /// Where its payload begins, in terms of [`History::written`].
    start: u64,
    length: usize,
    packet: Stored,
}

const _: () = {
    assert!(limits::HISTORY_VIDEO_PACKETS.is_power_of_two());
    assert!(limits::HISTORY_AUDIO_PACKETS.is_power_of_two());
    assert!(limits::HISTORY_AUDIO_BYTES > limits::DATAGRAM_BYTES_MAX);
    assert!(limits::HISTORY_VIDEO_BYTES > limits::DATAGRAM_BYTES_MAX);
};

impl History {
    /// An empty history for an encoding of this kind.
    #[must_use]
    pub fn new(kind: MediaKind) -> Self {
        match kind {
            MediaKind::Audio => {
                Self::with_capacity(limits::HISTORY_AUDIO_PACKETS, limits::HISTORY_AUDIO_BYTES)
            }
            MediaKind::Video => {
                Self::with_capacity(limits::HISTORY_VIDEO_PACKETS, limits::HISTORY_VIDEO_BYTES)
            }
        }
    }

    fn with_capacity(packets: usize, bytes: usize) -> Self {
        Self {
            slots: std::iter::repeat_with(|| None).take(packets).collect(),
            bytes: vec![0; bytes].into_boxed_slice(),
            written: 0,
            newest: None,
        }
    }

    /// Keeps a packet. Packets may come in any order.
    ///
    /// # Errors
    /// [`DropReason::Oversize`] for a payload that fits no datagram, [`DropReason::TooOld`] for one
    /// that is as many packets behind the newest as are kept, [`DropReason::Duplicate`] for one
    /// that is or was here.
    pub fn insert(&mut self, index: u64, packet: Stored, payload: &[u8]) -> Result<(), DropReason> {
        if payload.len() > limits::DATAGRAM_BYTES_MAX {
            return Err(DropReason::Oversize);
        }
        let behind = self.newest.map_or(0, |newest| newest.saturating_sub(index));
        if behind >= self.slots.len() as u64 {
            return Err(DropReason::TooOld);
        }
        if self.slot(index).is_some() {
            return Err(DropReason::Duplicate);
        }
        let start = self.append(payload);
        self.newest = self.newest.max(Some(index));
        let place = self.place(index);
        self.slots[place] = Some(Slot { index, start, length: payload.len(), packet });
        Ok(())
    }

    /// The packet with this index and its payload, if both are still here.
    #[must_use]
    pub fn get(&self, index: u64) -> Option<(&Stored, &[u8])> {
        let slot = self.slot(index)?;
        // Intact as long as the writer has not come round to where it begins.
        if self.written - slot.start > self.ring_bytes() {
            return None;
        }
        let at = (slot.start % self.ring_bytes()) as usize;
        Some((&slot.packet, &self.bytes[at..at + slot.length]))
    }

    /// Whether [`History::get`] would find the packet.
    #[must_use]
    pub fn contains(&self, index: u64) -> bool {
        self.get(index).is_some()
    }

    /// The highest index kept so far.
    #[must_use]
    pub fn newest(&self) -> Option<u64> {
        self.newest
    }

    /// Forgets everything, keeping the memory: the source has begun again.
    pub fn clear(&mut self) {
        self.slots.fill_with(|| None);
        self.newest = None;
    }

    /// Copies a payload into the ring, in one piece, and gives where it begins.
    fn append(&mut self, payload: &[u8]) -> u64 {
        let to_end = self.ring_bytes() - self.written % self.ring_bytes();
        if (payload.len() as u64) > to_end {
            self.written += to_end;
        }
        let start = self.written;
        let at = (start % self.ring_bytes()) as usize;
        self.bytes[at..at + payload.len()].copy_from_slice(payload);
        self.written += payload.len() as u64;
        start
    }

    fn slot(&self, index: u64) -> Option<&Slot> {
        self.slots[self.place(index)].as_ref().filter(|slot| slot.index == index)
    }

    fn place(&self, index: u64) -> usize {
        (index & (self.slots.len() as u64 - 1)) as usize
    }

    fn ring_bytes(&self) -> u64 {
        self.bytes.len() as u64
    }
}

#[cfg(test)]
mod tests;
