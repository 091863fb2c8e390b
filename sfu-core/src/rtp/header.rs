//! Writes the header of an outgoing RTP packet (RFC 3550 §5.1, RFC 8285).

use crate::id::{PayloadType, Ssrc};

/// The fixed part of an outgoing header. No CSRCs: a forwarded packet has one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutgoingHeader {
    /// Whether padding follows the payload (RFC 3550 §5.1); its last byte counts it.
    pub padding: bool,
    /// The marker bit.
    pub marker: bool,
    /// The subscriber's payload type.
    pub payload_type: PayloadType,
    /// The sequence number.
    pub sequence: u16,
    /// The timestamp, in units of the codec's clock.
    pub timestamp: u32,
    /// The source.
    pub ssrc: Ssrc,
}

/// Appends a header to `arena` and gives its length in bytes.
///
/// Header extension elements are written in the order given, in the one-byte form if they all fit
/// it (ids 1–14, 1–16 bytes), else in the two-byte form; with none there is no extension at all.
/// The result is a multiple of four bytes. An element that neither form can carry (id 0, more
/// than 255 bytes) is left out: what comes from a parsed packet always fits.
pub fn write_header(
    arena: &mut Vec<u8>,
    header: &OutgoingHeader,
    extensions: &[(u8, &[u8])],
) -> usize {
    let start = arena.len();
    let elements = || {
        extensions.iter().filter_map(|&(id, data)| {
            let length = u8::try_from(data.len()).ok()?;
            (id != 0).then_some((id, length, data))
        })
    };
    let has_extension = elements().next().is_some();

    arena.push(0x80 | u8::from(header.padding) << 5 | u8::from(has_extension) << 4);
    arena.push(u8::from(header.marker) << 7 | header.payload_type.0 & 0x7f);
    arena.extend_from_slice(&header.sequence.to_be_bytes());
    arena.extend_from_slice(&header.timestamp.to_be_bytes());
    arena.extend_from_slice(&header.ssrc.0.to_be_bytes());
    if !has_extension {
        return arena.len() - start;
    }

    let one_byte = elements().all(|(id, length, _)| id <= 14 && (1..=16).contains(&length));
    let profile: u16 = if one_byte { 0xbede } else { 0x1000 };
    arena.extend_from_slice(&profile.to_be_bytes());
    let length_at = arena.len();
    arena.extend_from_slice(&[0, 0]);
    let elements_at = arena.len();
    for (id, length, data) in elements() {
        if one_byte {
            arena.push(id << 4 | (length - 1));
        } else {
            arena.extend_from_slice(&[id, length]);
        }
        arena.extend_from_slice(data);
    }
    let words = (arena.len() - elements_at).div_ceil(4);
    arena.resize(elements_at + 4 * words, 0);
    let words = u16::try_from(words).expect("255 ids of 257 bytes each are under 65,535 words");
    arena[length_at..elements_at].copy_from_slice(&words.to_be_bytes());
    arena.len() - start
}
