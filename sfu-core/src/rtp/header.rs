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

/// Up to the SSRC.
const FIXED_BYTES: usize = 12;
/// What stands before the elements: the form, and how many words they take.
const EXTENSION_BYTES: usize = 4;

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
    let (mut count, mut data_bytes, mut one_byte) = (0, 0, true);
    for (id, length, _) in elements() {
        count += 1;
        data_bytes += usize::from(length);
        one_byte &= id <= 14 && (1..=16).contains(&length);
    }
    let has_extension = count > 0;
    let (profile, head_bytes): (u16, usize) = if one_byte { (0xbede, 1) } else { (0x1000, 2) };
    let words = (count * head_bytes + data_bytes).div_ceil(4);
    let words = u16::try_from(words).expect("255 ids of 257 bytes each are under 65,535 words");

    let mut fixed = [0; FIXED_BYTES + EXTENSION_BYTES];
    fixed[0] = 0x80 | u8::from(header.padding) << 5 | u8::from(has_extension) << 4;
    fixed[1] = u8::from(header.marker) << 7 | header.payload_type.0 & 0x7f;
    fixed[2..4].copy_from_slice(&header.sequence.to_be_bytes());
    fixed[4..8].copy_from_slice(&header.timestamp.to_be_bytes());
    fixed[8..12].copy_from_slice(&header.ssrc.0.to_be_bytes());
    fixed[12..14].copy_from_slice(&profile.to_be_bytes());
    fixed[14..16].copy_from_slice(&words.to_be_bytes());
    if !has_extension {
        arena.extend_from_slice(&fixed[..FIXED_BYTES]);
        return FIXED_BYTES;
    }
    arena.extend_from_slice(&fixed);
    for (id, length, data) in elements() {
        if one_byte {
            arena.push(id << 4 | (length - 1));
        } else {
            arena.extend_from_slice(&[id, length]);
        }
        arena.extend_from_slice(data);
    }
    let header_bytes = fixed.len() + 4 * usize::from(words);
    arena.resize(start + header_bytes, 0);
    header_bytes
}
