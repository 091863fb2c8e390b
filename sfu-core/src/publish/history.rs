//! What was published lately: one history per encoding, shared by every subscriber. Payloads are
//! stored once, in pages of the engine's pool; what was in a page that was given away is not found
//! any more.

use std::collections::VecDeque;
use std::time::Instant;

use smallvec::SmallVec;

use crate::drops::DropReason;
use crate::id::PayloadType;
use crate::limits;
use crate::negotiation::MediaKind;
use crate::publish::pages::{PagePool, Pages, Place};

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
/// Empty it costs nothing; it grows with what is kept. Not to be dropped before
/// [`History::clear`], which hands its pages back.
#[derive(Debug)]
pub struct History {
    /// Packet by packet from `first` on; `None` has not come. First and last are always there.
    line: VecDeque<Option<Slot>>,
    first: u64,
    /// What is below was forgotten and is not taken again.
    floor: u64,
    packets_max: usize,
    payloads: Pages,
}

/// One packet.
#[derive(Debug)]
struct Slot {
    place: Place,
    packet: Stored,
}

const _: () = {
    // A cache line; all that is kept of a packet beside its payload.
    assert!(size_of::<Option<Slot>>() <= 64);
};

impl History {
    /// An empty history for an encoding of this kind.
    #[must_use]
    pub fn new(kind: MediaKind) -> Self {
        match kind {
            MediaKind::Audio => {
                Self::bounded(limits::HISTORY_AUDIO_PACKETS, limits::HISTORY_AUDIO_PAGES)
            }
            MediaKind::Video => {
                Self::bounded(limits::HISTORY_VIDEO_PACKETS, limits::HISTORY_VIDEO_PAGES)
            }
        }
    }

    fn bounded(packets_max: usize, pages_max: usize) -> Self {
        let payloads = Pages::new(pages_max);
        Self { line: VecDeque::new(), first: 0, floor: 0, packets_max, payloads }
    }

    /// Keeps a packet. Packets may come in any order.
    ///
    /// # Errors
    /// [`DropReason::Oversize`] for a payload that fits no datagram, [`DropReason::TooOld`] for one
    /// that is behind all that is kept, [`DropReason::Duplicate`] for one that is or was here,
    /// [`DropReason::HistoryFull`] if there is no page for it.
    pub fn insert(
        &mut self,
        pool: &mut PagePool,
        index: u64,
        packet: Stored,
        payload: &[u8],
    ) -> Result<(), DropReason> {
        if payload.len() > limits::DATAGRAM_BYTES_MAX {
            return Err(DropReason::Oversize);
        }
        let behind = self.newest().map_or(0, |newest| newest.saturating_sub(index));
        if index < self.floor || behind >= self.packets_max as u64 {
            return Err(DropReason::TooOld);
        }
        if self.slot(index).is_some() {
            return Err(DropReason::Duplicate);
        }
        let place = self.payloads.append(pool, packet.arrival, payload)?;
        *self.extend_to(index) = Some(Slot { place, packet });
        self.forget();
        Ok(())
    }

    /// The packet with this index and its payload, if both are still here.
    #[must_use]
    pub fn get(&self, index: u64) -> Option<(&Stored, &[u8])> {
        let slot = self.slot(index)?;
        Some((&slot.packet, self.payloads.get(slot.place)?))
    }

    /// Whether [`History::get`] would find the packet.
    #[must_use]
    pub fn contains(&self, index: u64) -> bool {
        self.get(index).is_some()
    }

    /// The highest index kept so far.
    #[must_use]
    pub fn newest(&self) -> Option<u64> {
        (!self.line.is_empty()).then(|| self.first + self.line.len() as u64 - 1)
    }

    /// Hands back the pages of what is too old to be asked for; done now and then, for sources that
    /// pause.
    pub fn expire(&mut self, pool: &mut PagePool, now: Instant) {
        self.payloads.expire(pool, now);
        self.forget();
    }

    /// Forgets everything: the source has begun again, or ended.
    pub fn clear(&mut self, pool: &mut PagePool) {
        self.payloads.clear(pool);
        self.line.clear();
        self.floor = 0;
    }

    /// Makes the line reach from what it has to `index`, which is at most `packets_max` behind.
    fn extend_to(&mut self, index: u64) -> &mut Option<Slot> {
        if self.newest().is_none_or(|newest| index >= newest + self.packets_max as u64) {
            self.line.clear();
            self.first = index;
        }
        while index < self.first {
            self.line.push_front(None);
            self.first -= 1;
        }
        let at = self.at(index).expect("index is not before the first, and memory is finite");
        if at >= self.line.len() {
            self.line.resize_with(at + 1, || None);
        }
        &mut self.line[at]
    }

    /// Cuts off what there are too many of, and what has no payload any more.
    fn forget(&mut self) {
        while let Some(oldest) = self.line.front() {
            let kept = oldest.as_ref().is_some_and(|slot| self.payloads.get(slot.place).is_some());
            if kept && self.line.len() <= self.packets_max {
                return;
            }
            self.first += 1;
            if let Some(Some(_)) = self.line.pop_front() {
                self.floor = self.first;
            }
        }
    }

    fn slot(&self, index: u64) -> Option<&Slot> {
        self.line.get(self.at(index)?)?.as_ref()
    }

    /// Where on the line a packet is or would be.
    fn at(&self, index: u64) -> Option<usize> {
        usize::try_from(index.checked_sub(self.first)?).ok()
    }
}

#[cfg(test)]
mod tests;
