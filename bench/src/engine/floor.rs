//! The floor: copy a payload, write a header, seal in place with AES-128-GCM, for one key per
//! destination. What no engine can do without.

use anyhow::{Context as _, Result};
use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use sfu_core::id::{PayloadType, Ssrc};
use sfu_core::rtp::header::{OutgoingHeader, write_header};

use super::PAYLOAD_BYTES;

/// Where datagrams are built; as large as the engine's, so that the caches see the same.
const ARENA_BYTES: usize = 1024 * 1024;

pub(super) struct Floor {
    keys: Vec<LessSafeKey>,
    payload: Vec<u8>,
    arena: Vec<u8>,
    sequence: u16,
}

impl Floor {
    pub(super) fn new(destinations: usize) -> Result<Self> {
        let keys = (0..destinations)
            .map(|n| {
                let mut bytes = [0; 16];
                bytes[..8].copy_from_slice(&(n as u64).to_be_bytes());
                Ok(LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &bytes)?))
            })
            .collect::<Result<_, aws_lc_rs::error::Unspecified>>()
            .context("AES-128-GCM takes 16 bytes")?;
        Ok(Self {
            keys,
            payload: vec![7; PAYLOAD_BYTES],
            arena: Vec::with_capacity(ARENA_BYTES + 2 * PAYLOAD_BYTES),
            sequence: 0,
        })
    }

    pub(super) fn forward(&mut self, packets: usize) -> Result<()> {
        for _ in 0..packets {
            self.sequence = self.sequence.wrapping_add(1);
            for key in &self.keys {
                if self.arena.len() > ARENA_BYTES {
                    self.arena.clear();
                }
                let start = self.arena.len();
                let header = OutgoingHeader {
                    padding: false,
                    marker: false,
                    payload_type: PayloadType(96),
                    sequence: self.sequence,
                    timestamp: 0,
                    ssrc: Ssrc(1),
                };
                let transport_sequence = self.sequence.to_be_bytes();
                let header_bytes =
                    write_header(&mut self.arena, &header, &[(3, &transport_sequence)]);
                self.arena.extend_from_slice(&self.payload);
                let mut nonce = [0; 12];
                nonce[10..].copy_from_slice(&self.sequence.to_be_bytes());
                let (head, body) = self.arena[start..].split_at_mut(header_bytes);
                let tag = key
                    .seal_in_place_separate_tag(
                        Nonce::assume_unique_for_key(nonce),
                        Aad::from(&*head),
                        body,
                    )
                    .context("sealing cannot fail at this size")?;
                self.arena.extend_from_slice(tag.as_ref());
            }
        }
        Ok(())
    }
}
