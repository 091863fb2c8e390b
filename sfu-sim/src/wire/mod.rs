//! Packets as clients write and read them: RTP headers (RFC 3550 §5.1) with header extensions
//! (RFC 8285), the codecs' payload descriptors, and a [`Stamp`] in each payload.

pub mod av1;
mod bits;
pub mod codec;
pub mod dependency;
pub mod h264;
mod stamp;
pub mod vp8;
pub mod vp9;

pub use stamp::{REFERENCES_MAX, Reference, Stamp};

/// What fills payloads between what is read of them.
pub const FILLER: u8 = 0xa5;

/// A datagram as a client gets it: whole, or only both ends of it.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// All of it, or its beginning.
    pub head: &'a [u8],
    /// Its end, if `head` is not all.
    pub tail: &'a [u8],
    /// Its length.
    pub bytes: usize,
}

impl<'a> Datagram<'a> {
    /// All of a datagram.
    #[must_use]
    pub fn whole(bytes: &'a [u8]) -> Self {
        Self { head: bytes, tail: &[], bytes: bytes.len() }
    }

    /// What holds its last bytes.
    #[must_use]
    pub fn last_part(&self) -> &'a [u8] {
        if self.tail.is_empty() { self.head } else { self.tail }
    }
}

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

/// Writes an RTP packet. `extensions` are (id, value) each: in the one-byte form of RFC 8285 §4.2
/// where all have ids from 1 to 14 and 1 to 16 bytes, else in the two-byte form of §4.3. `padding`
/// bytes follow the payload.
#[must_use]
pub fn rtp(header: &RtpHeader, extensions: &[(u8, &[u8])], payload: &[u8], padding: u8) -> Vec<u8> {
    let mut out = Vec::with_capacity(64 + payload.len() + usize::from(padding));
    begin_rtp(&mut out, header, extensions, padding > 0);
    out.extend_from_slice(payload);
    end_rtp(&mut out, padding);
    out
}

/// Appends header and extensions; the payload and then [`end_rtp`] follow.
pub fn begin_rtp(out: &mut Vec<u8>, header: &RtpHeader, extensions: &[(u8, &[u8])], padded: bool) {
    let flags = u8::from(padded) << 5 | u8::from(!extensions.is_empty()) << 4;
    let mut fixed = [0; 12];
    fixed[0] = 0x80 | flags;
    fixed[1] = u8::from(header.marker) << 7 | header.payload_type;
    fixed[2..4].copy_from_slice(&header.sequence.to_be_bytes());
    fixed[4..8].copy_from_slice(&header.timestamp.to_be_bytes());
    fixed[8..].copy_from_slice(&header.ssrc.to_be_bytes());
    out.extend_from_slice(&fixed);
    if extensions.is_empty() {
        return;
    }
    let start = out.len();
    let short = extensions
        .iter()
        .all(|(id, value)| (1..=14).contains(id) && (1..=16).contains(&value.len()));
    out.extend(if short { [0xbe, 0xde, 0, 0] } else { [0x10, 0, 0, 0] });
    for (id, value) in extensions {
        if short {
            out.push(id << 4 | (value.len() - 1) as u8);
        } else {
            let length = u8::try_from(value.len()).expect("values of up to 255 bytes");
            out.extend([*id, length]);
        }
        out.extend_from_slice(value);
    }
    let bytes = (out.len() - start).next_multiple_of(4);
    out.resize(start + bytes, 0);
    let words = u16::try_from(bytes / 4 - 1).expect("a few dozen");
    out[start + 2..start + 4].copy_from_slice(&words.to_be_bytes());
}

/// Appends the padding.
pub fn end_rtp(out: &mut Vec<u8>, padding: u8) {
    if padding > 0 {
        out.resize(out.len() + usize::from(padding) - 1, 0);
        out.push(padding);
    }
}

/// One packet's worth of a VP8 frame, as [`vp8::write`] makes it.
#[must_use]
pub fn vp8_payload(picture_id: u16, stamp: &Stamp, bytes: usize) -> Vec<u8> {
    let marks = vp8::Marks { picture_id: picture_id & 0x7fff, ..vp8::Marks::default() };
    let mut out = Vec::with_capacity(bytes);
    vp8::write(&mut out, &marks, stamp, bytes);
    out
}

/// An RTP packet as a client reads it.
#[derive(Clone, Copy, Debug)]
pub struct Rtp<'a> {
    /// Its header.
    pub header: RtpHeader,
    two_byte: bool,
    elements: &'a [u8],
    /// The payload's beginning, without padding; all of it unless `rest` says more.
    pub payload: &'a [u8],
    /// The end of a payload that is not whole.
    rest: &'a [u8],
    /// Length of the payload without padding.
    pub payload_bytes: usize,
    /// Length of the padding.
    pub padding_bytes: usize,
}

impl<'a> Rtp<'a> {
    /// Reads a packet; `None` if it is none.
    #[must_use]
    pub fn read(datagram: Datagram<'a>) -> Option<Self> {
        let head = datagram.head;
        let fixed = head.first_chunk::<12>()?;
        if fixed[0] >> 6 != 2 {
            return None;
        }
        let mut at = 12 + 4 * usize::from(fixed[0] & 0x0f);
        let (mut two_byte, mut elements) = (false, &head[..0]);
        if fixed[0] & 0x10 != 0 {
            let block = head.get(at..)?.first_chunk::<4>()?;
            let bytes = 4 * usize::from(u16::from_be_bytes([block[2], block[3]]));
            two_byte = block[0] == 0x10;
            elements = head.get(at + 4..at + 4 + bytes)?;
            at += 4 + bytes;
        }
        let body = head.get(at..)?;
        let padding_bytes = match fixed[0] & 0x20 != 0 {
            true => usize::from(*datagram.last_part().last()?),
            false => 0,
        };
        let payload_bytes = (datagram.bytes - at).checked_sub(padding_bytes)?;
        Some(Self {
            header: RtpHeader {
                payload_type: fixed[1] & 0x7f,
                marker: fixed[1] & 0x80 != 0,
                sequence: u16::from_be_bytes([fixed[2], fixed[3]]),
                timestamp: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
                ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
            },
            two_byte,
            elements,
            payload: &body[..payload_bytes.min(body.len())],
            rest: datagram.tail,
            payload_bytes,
            padding_bytes,
        })
    }

    /// The value of a header extension.
    #[must_use]
    pub fn extension(&self, id: u8) -> Option<&'a [u8]> {
        let mut rest = self.elements;
        while let [head, after @ ..] = rest {
            let (other, length, after) = match (*head, self.two_byte, after) {
                (0, _, after) => {
                    rest = after;
                    continue;
                }
                (head, false, after) => (head >> 4, usize::from(head & 0x0f) + 1, after),
                (head, true, [length, after @ ..]) => (head, usize::from(*length), after),
                (_, true, []) => return None,
            };
            if other == id {
                return after.get(..length);
            }
            rest = after.get(length..)?;
        }
        None
    }

    /// The payload without its first `bytes` bytes.
    #[must_use]
    pub fn skip(self, bytes: usize) -> Option<Self> {
        let payload = self.payload.get(bytes..)?;
        Some(Self { payload, payload_bytes: self.payload_bytes - bytes, ..self })
    }

    /// What the payload says of itself at its end.
    #[must_use]
    pub fn stamp(&self) -> Option<Stamp> {
        Stamp::read(if self.rest.is_empty() { self.payload } else { self.rest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sfu_core::rtp::packet::RtpPacket;

    #[test]
    fn engine_and_clients_read_what_clients_write() {
        let header =
            RtpHeader { payload_type: 96, marker: true, sequence: 7, timestamp: 8, ssrc: 9 };
        let long = [3; 40];
        for values in [[&b"m0"[..], &[1, 2]], [b"m0", &long]] {
            let extensions = [(1, values[0]), (5, values[1])];
            let bytes = rtp(&header, &extensions, b"payload", 3);
            let packet = RtpPacket::parse(&bytes).expect("well-formed");
            assert_eq!(packet.payload(), b"payload");
            assert_eq!(packet.extension(1), Some(values[0]));
            assert_eq!(packet.extension(5), Some(values[1]));
            assert_eq!((packet.sequence(), packet.timestamp(), packet.marker()), (7, 8, true));
            let read = Rtp::read(Datagram::whole(&bytes)).expect("well-formed");
            assert_eq!(
                (read.header, read.payload, read.padding_bytes),
                (header, &b"payload"[..], 3)
            );
            assert_eq!((read.extension(1), read.extension(5)), (Some(values[0]), Some(values[1])));
            assert_eq!(read.extension(2), None);
        }
    }
}
