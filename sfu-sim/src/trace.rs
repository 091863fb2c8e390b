//! The course of a world as one number: equal courses have equal hashes, on every machine.

use crate::wire::Datagram;

/// A running hash: each pair of words is mixed in by one 128-bit multiplication.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trace(u64);

const SEED: u64 = 0xcbf2_9ce4_8422_2325;
const ODD: u64 = 0x9e37_79b9_7f4a_7c15;

impl Default for Trace {
    fn default() -> Self {
        Self(SEED)
    }
}

impl Trace {
    pub(crate) fn pair(&mut self, a: u64, b: u64) {
        let product = u128::from(self.0 ^ a) * u128::from(b ^ ODD);
        // The shift keeps what a multiplication by zero would lose.
        self.0 = (product as u64) ^ ((product >> 64) as u64) ^ self.0.rotate_left(23);
    }

    /// The length, the first 48 bytes and the last 16: headers, descriptors, stamps.
    pub(crate) fn datagram(&mut self, datagram: Datagram<'_>) {
        self.pair(datagram.bytes as u64, 1);
        let Some(head) = datagram.head.first_chunk::<48>() else {
            return self.bytes(datagram.head);
        };
        for pair in head.as_chunks::<16>().0 {
            self.sixteen(pair);
        }
        if let Some(last) = datagram.last_part().last_chunk::<16>() {
            self.sixteen(last);
        }
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.pair(bytes.len() as u64, 2);
        for chunk in bytes.chunks(16) {
            let mut pair = [0; 16];
            pair[..chunk.len()].copy_from_slice(chunk);
            self.sixteen(&pair);
        }
    }

    fn sixteen(&mut self, bytes: &[u8; 16]) {
        let both = u128::from_le_bytes(*bytes);
        self.pair(both as u64, (both >> 64) as u64);
    }

    pub(crate) fn hash(self) -> u64 {
        self.0
    }
}
