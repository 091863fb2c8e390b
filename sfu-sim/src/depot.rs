//! [`Depot`]: datagrams under way, in slots that are used again and again.
//!
//! What lies between the head and the stamp of a media packet is filler that no client reads, so
//! of the packets that go to clients unencrypted only the two ends are kept. Links, reports and
//! the engine count their real length.

use crate::wire::{Datagram, Stamp};

/// Longest datagram there is room for.
const LARGE: usize = 2048;
/// What is kept of the beginning of a long media packet: header, extensions, payload descriptor.
const HEAD: usize = 128;
const SMALL: usize = HEAD + Stamp::BYTES;
/// Bytes of payload that a client reads at most: descriptor and the first bytes of a frame.
const PAYLOAD_HEAD: usize = 40;

/// A datagram under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parcel {
    slot: u32,
    bytes: u16,
    cut: bool,
}

/// Slots of one size.
#[derive(Debug)]
struct Slots<const SIZE: usize> {
    memory: Vec<[u8; SIZE]>,
    free: Vec<u32>,
}

impl<const SIZE: usize> Slots<SIZE> {
    const fn new() -> Self {
        Self { memory: Vec::new(), free: Vec::new() }
    }

    /// The slot that was given back last: it is still in the cache.
    fn take(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            self.memory.push([0; SIZE]);
            u32::try_from(self.memory.len() - 1).expect("far fewer datagrams are under way")
        })
    }
}

/// All datagrams under way.
#[derive(Debug)]
pub(crate) struct Depot {
    small: Slots<SMALL>,
    large: Slots<LARGE>,
}

impl Default for Depot {
    fn default() -> Self {
        Self { small: Slots::new(), large: Slots::new() }
    }
}

impl Depot {
    /// Keeps all of a datagram.
    pub(crate) fn keep(&mut self, datagram: &[u8]) -> Parcel {
        assert!(datagram.len() <= LARGE, "no datagram is that long: {}", datagram.len());
        let slot = self.large.take();
        self.large.memory[slot as usize][..datagram.len()].copy_from_slice(datagram);
        Parcel { slot, bytes: datagram.len() as u16, cut: false }
    }

    /// Keeps both ends of a long media packet, and all of anything else.
    pub(crate) fn keep_ends(&mut self, datagram: &[u8]) -> Parcel {
        let bytes = datagram.len();
        let (Some(head), Some(tail)) =
            (datagram.first_chunk::<HEAD>(), datagram.last_chunk::<{ Stamp::BYTES }>())
        else {
            return self.keep(datagram);
        };
        if !(SMALL..=LARGE).contains(&bytes) || !may_be_cut(head) {
            return self.keep(datagram);
        }
        let slot = self.small.take();
        let memory = &mut self.small.memory[slot as usize];
        memory[..HEAD].copy_from_slice(head);
        memory[HEAD..].copy_from_slice(tail);
        Parcel { slot, bytes: bytes as u16, cut: true }
    }

    /// A datagram as far as it was kept.
    pub(crate) fn look(&self, parcel: Parcel) -> Datagram<'_> {
        if parcel.cut {
            let (head, tail) = self.small.memory[parcel.slot as usize].split_at(HEAD);
            Datagram { head, tail, bytes: parcel.bytes.into() }
        } else {
            let slot = &self.large.memory[parcel.slot as usize];
            Datagram::whole(&slot[..parcel.bytes.into()])
        }
    }

    /// A datagram that was kept whole, to be worked on in place.
    pub(crate) fn open(&mut self, parcel: Parcel) -> &mut [u8] {
        debug_assert!(!parcel.cut, "kept whole");
        &mut self.large.memory[parcel.slot as usize][..parcel.bytes.into()]
    }

    /// Gives the room back.
    pub(crate) fn release(&mut self, parcel: Parcel) {
        let free = if parcel.cut { &mut self.small.free } else { &mut self.large.free };
        free.push(parcel.slot);
    }
}

/// Whether it is RTP without padding whose header leaves room for the payload's head.
fn may_be_cut(head: &[u8; HEAD]) -> bool {
    let rtp = head[0] & 0xe0 == 0x80 && !(192..=223).contains(&head[1]);
    let header = if head[0] & 0x10 == 0 {
        12
    } else {
        16 + 4 * usize::from(u16::from_be_bytes([head[14], head[15]]))
    };
    rtp && head[0] & 0x0f == 0 && header + PAYLOAD_HEAD <= HEAD
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_media_packets_keep_their_ends_and_all_else_keeps_everything() {
        let mut depot = Depot::default();
        let mut media: Vec<u8> = (0..1200).map(|i| i as u8).collect();
        media[..2].copy_from_slice(&[0x80, 96]);
        let mut padded = media.clone();
        padded[0] = 0xa0;
        let mut report = media.clone();
        report[1] = 200;
        let parcels = [&media, &padded, &report].map(|datagram| depot.keep_ends(datagram));
        let seen = parcels.map(|parcel| depot.look(parcel));
        assert_eq!(seen.map(|datagram| datagram.bytes), [1200; 3]);
        assert_eq!(seen[0].head, &media[..HEAD]);
        assert_eq!(seen[0].tail, &media[1200 - Stamp::BYTES..]);
        assert_eq!((seen[1].head, seen[2].head), (&padded[..], &report[..]));
        parcels.into_iter().for_each(|parcel| depot.release(parcel));
        assert_eq!(depot.keep_ends(&media), parcels[0], "the slot is used again");
    }
}
