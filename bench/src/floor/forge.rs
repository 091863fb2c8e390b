//! F0, the work per copy: payload copied once, header written, sealed in place.

use anyhow::{Context as _, Result};
use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use sfu_core::id::{PayloadType, Ssrc};
use sfu_core::rtp::header::{OutgoingHeader, write_header};

/// Where datagrams are built in [`Forge::turn_over`]; as large as what of the engine's arena is
/// filled, so that the caches see the same.
const ARENA_BYTES: usize = 64 * 1024;
/// The id under which the transport-wide number travels, as in the clients' offers.
const TRANSPORT_CC: u8 = 3;

/// Builds copies.
pub(crate) struct Forge {
    keys: Vec<LessSafeKey>,
    pub(crate) arena: Vec<u8>,
}

/// What one copy is made of.
#[derive(Clone, Copy)]
pub(crate) struct Original<'a> {
    pub(crate) marker: bool,
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    pub(crate) payload: &'a [u8],
}

impl Forge {
    pub(crate) fn new(destinations: usize) -> Result<Self> {
        let mut forge = Self { keys: Vec::new(), arena: Vec::with_capacity(2 * ARENA_BYTES) };
        for _ in 0..destinations {
            forge.add_destination()?;
        }
        Ok(forge)
    }

    pub(crate) fn add_destination(&mut self) -> Result<()> {
        let mut key = [0; 16];
        key[..8].copy_from_slice(&(self.keys.len() as u64).to_be_bytes());
        let key = UnboundKey::new(&AES_128_GCM, &key).ok().context("AES-128 takes 16 bytes")?;
        self.keys.push(LessSafeKey::new(key));
        Ok(())
    }

    /// Appends a copy for a destination to the arena; returns its length.
    pub(crate) fn build(&mut self, destination: usize, original: Original<'_>) -> Result<usize> {
        let start = self.arena.len();
        let header = OutgoingHeader {
            padding: false,
            marker: original.marker,
            payload_type: PayloadType(96),
            sequence: original.sequence,
            timestamp: original.timestamp,
            ssrc: Ssrc(1),
        };
        let number = original.sequence.to_be_bytes();
        let header_bytes = write_header(&mut self.arena, &header, &[(TRANSPORT_CC, &number)]);
        self.arena.extend_from_slice(original.payload);
        let mut nonce = [0; 12];
        nonce[10..].copy_from_slice(&number);
        let (head, body) = self.arena[start..].split_at_mut(header_bytes);
        let tag = self.keys[destination]
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(&*head),
                body,
            )
            .ok()
            .context("sealing cannot fail at this size")?;
        self.arena.extend_from_slice(tag.as_ref());
        Ok(self.arena.len() - start)
    }

    /// F0 itself: a copy of each of `packets` for every destination, thrown away when the arena is
    /// full. Destinations turn for each packet, or for each batch: `batch` packets to one, then the
    /// same to the next.
    pub(crate) fn turn_over(&mut self, packets: usize, batch: usize, payload: &[u8]) -> Result<()> {
        let packets: Vec<u32> = (0..u32::try_from(packets)?).collect();
        for batch in packets.chunks(batch.max(1)) {
            for destination in 0..self.keys.len() {
                for &number in batch {
                    if self.arena.len() > ARENA_BYTES {
                        self.arena.clear();
                    }
                    #[allow(clippy::cast_possible_truncation, reason = "sequence numbers wrap")]
                    let sequence = number as u16;
                    let original = Original { marker: false, sequence, timestamp: 0, payload };
                    self.build(destination, original)?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use sfu_core::rtp::packet::RtpPacket;

    use super::*;

    #[test]
    fn copies_open_with_their_destinations_key_only() {
        let mut forge = Forge::new(2).unwrap();
        let original = Original { marker: true, sequence: 7, timestamp: 9, payload: b"payload" };
        let length = forge.build(1, original).unwrap();
        assert_eq!(length, forge.arena.len());
        let packet = RtpPacket::parse(&forge.arena).unwrap();
        assert_eq!((packet.sequence(), packet.timestamp(), packet.marker()), (7, 9, true));
        assert_eq!(packet.extension(TRANSPORT_CC), Some([0, 7].as_slice()));
        let (head, body) = forge.arena.split_at(packet.header_bytes());
        let open = |destination: usize| {
            let nonce = Nonce::assume_unique_for_key([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]);
            let mut body = body.to_vec();
            let plain = forge.keys[destination].open_in_place(nonce, Aad::from(head), &mut body);
            plain.ok().map(|plain| plain.to_vec())
        };
        assert_eq!(open(1).as_deref(), Some(b"payload".as_slice()));
        assert_eq!(open(0), None);
    }
}
