//! Packets as clients write them: RTP headers (RFC 3550 §5.1) with one-byte extensions (RFC 8285
//! §4.2), VP8 descriptors (RFC 7741 §4.2), and a stamp in each payload by which a receiver knows
//! what it holds, whatever the headers claim.

use std::time::Duration;

/// The fields of an RTP header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RtpHeader {
    /// Payload type, 0..=127.
    pub payload_type: u8,
    /// Marker bit.
    pub marker: bool,
    /// Sequence number.
    pub sequence: u16,
    /// Timestamp in units of the codec's clock.
    pub timestamp: u32,
    /// Source.
    pub ssrc: u32,
}

/// Writes an RTP packet. `extensions` are (id 1..=14, 1 to 16 bytes) each; `padding` bytes follow
/// the payload.
#[must_use]
pub fn rtp(header: &RtpHeader, extensions: &[(u8, &[u8])], payload: &[u8], padding: u8) -> Vec<u8> {
    let mut out = Vec::with_capacity(64 + payload.len() + usize::from(padding));
    let flags = u8::from(padding > 0) << 5 | u8::from(!extensions.is_empty()) << 4;
    out.push(0x80 | flags);
    out.push(u8::from(header.marker) << 7 | header.payload_type);
    out.extend(header.sequence.to_be_bytes());
    out.extend(header.timestamp.to_be_bytes());
    out.extend(header.ssrc.to_be_bytes());
    if !extensions.is_empty() {
        let start = out.len();
        out.extend([0xbe, 0xde, 0, 0]);
        for (id, value) in extensions {
            let length = u8::try_from(value.len() - 1).expect("at most 16 bytes");
            assert!((1..=14).contains(id) && length < 16, "fits the one-byte form");
            out.push(id << 4 | length);
            out.extend_from_slice(value);
        }
        let bytes = (out.len() - start).next_multiple_of(4);
        out.resize(start + bytes, 0);
        let words = u16::try_from(bytes / 4 - 1).expect("a few dozen");
        out[start + 2..start + 4].copy_from_slice(&words.to_be_bytes());
    }
    out.extend_from_slice(payload);
    if padding > 0 {
        out.resize(out.len() + usize::from(padding) - 1, 0);
        out.push(padding);
    }
    out
}

/// What a payload says of itself, in its last [`Stamp::BYTES`] bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// Who made it: unique to a source for the life of the world.
    pub source: u32,
    /// Which simulcast encoding.
    pub encoding: u8,
    /// Number of the frame; encodings of one source share it.
    pub frame: u32,
    /// Which packet of the frame.
    pub part: u16,
    /// Packets of the frame.
    pub parts: u16,
    /// Whether the frame is a keyframe: known from every part, not only from the first.
    pub keyframe: bool,
    /// When it was first sent, since the start of the world.
    pub sent: Duration,
}

impl Stamp {
    /// Length in bytes.
    pub const BYTES: usize = 21;

    /// Appends it.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.source.to_be_bytes());
        out.push(u8::from(self.keyframe) << 7 | self.encoding);
        out.extend(self.frame.to_be_bytes());
        out.extend(self.part.to_be_bytes());
        out.extend(self.parts.to_be_bytes());
        let nanos = u64::try_from(self.sent.as_nanos()).expect("worlds do not last 500 years");
        out.extend(nanos.to_be_bytes());
    }

    /// Reads it off the end of a payload.
    #[must_use]
    pub fn read(payload: &[u8]) -> Option<Self> {
        let bytes = payload.last_chunk::<{ Self::BYTES }>()?;
        let word = |at: usize| u32::from_be_bytes([0, 1, 2, 3].map(|i| bytes[at + i]));
        let half = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        Some(Self {
            source: word(0),
            encoding: bytes[4] & 0x7f,
            keyframe: bytes[4] & 0x80 != 0,
            frame: word(5),
            part: half(9),
            parts: half(11),
            sent: Duration::from_nanos(u64::from(word(13)) << 32 | u64::from(word(17))),
        })
    }
}

/// Writes one packet's worth of a VP8 frame: descriptor with a 15-bit picture id, the frame header
/// in the first part, filling up to `bytes`, the stamp.
#[must_use]
pub fn vp8_payload(picture_id: u16, stamp: &Stamp, bytes: usize) -> Vec<u8> {
    let (start, keyframe) = (stamp.part == 0, stamp.keyframe);
    let [high, low] = (picture_id | 0x8000).to_be_bytes();
    let mut out = Vec::with_capacity(bytes);
    out.extend([0x80 | u8::from(start) << 4, 0x80, high, low]);
    if start {
        // RFC 6386 §9.1: P is the inverse of "key frame"; show_frame is set.
        out.extend([0x10 | u8::from(!keyframe), 0, 0]);
        if keyframe {
            out.extend([0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01]);
        }
    }
    let body = bytes.saturating_sub(Stamp::BYTES).max(out.len());
    out.resize(body, 0xa5);
    stamp.write(&mut out);
    out
}

/// What a receiver needs of a VP8 payload: whether a frame starts with it, and a keyframe.
#[must_use]
pub fn vp8_start(payload: &[u8]) -> Option<(bool, bool)> {
    let &[head, present, _, _, ..] = payload else { return None };
    if head & 0x80 == 0 || present != 0x80 {
        return None; // not as `vp8_payload` writes it
    }
    let start = head & 0x17 == 0x10;
    Some((start, start && payload.get(4).is_some_and(|tag| tag & 1 == 0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sfu_core::rtp::packet::RtpPacket;

    #[test]
    fn the_engine_reads_what_clients_write() {
        let header =
            RtpHeader { payload_type: 96, marker: true, sequence: 7, timestamp: 8, ssrc: 9 };
        let bytes = rtp(&header, &[(1, b"m0"), (5, &[1, 2])], b"payload", 3);
        let packet = RtpPacket::parse(&bytes).expect("well-formed");
        assert_eq!(packet.payload(), b"payload");
        assert_eq!(packet.extension(1), Some(&b"m0"[..]));
        assert_eq!(packet.extension(5), Some(&[1, 2][..]));
        assert_eq!((packet.sequence(), packet.timestamp(), packet.marker()), (7, 8, true));
    }

    #[test]
    fn stamps_and_frame_starts_survive() {
        let stamp = Stamp {
            source: 1,
            encoding: 2,
            frame: 3,
            part: 0,
            parts: 5,
            keyframe: true,
            sent: Duration::from_nanos(6_000_000_007),
        };
        for keyframe in [true, false] {
            let stamp = Stamp { keyframe, ..stamp };
            let payload = vp8_payload(0x1234, &stamp, 100);
            assert_eq!(payload.len(), 100);
            assert_eq!(vp8_start(&payload), Some((true, keyframe)));
            assert_eq!(Stamp::read(&payload), Some(stamp));
        }
        let later = vp8_payload(0x1234, &Stamp { part: 1, ..stamp }, 100);
        assert_eq!(vp8_start(&later), Some((false, false)));
    }
}
