//! [`Header`]: the clear part of a received RTP packet, and [`Template`]: the header of the packets
//! of one sent stream.

/// Length of the fixed header (RFC 3550 §5.1).
pub const FIXED_BYTES: usize = 12;

/// What stands in clear before an encrypted payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Header with CSRCs and extensions, in bytes.
    pub bytes: usize,
    /// P: the last byte of the payload (encrypted) tells how much of it is padding.
    pub padded: bool,
    /// Payload type.
    pub payload_type: u8,
    /// Sequence number.
    pub sequence: u16,
    /// RTP timestamp.
    pub timestamp: u32,
    /// Source.
    pub ssrc: u32,
    /// Transport-wide sequence number, if the extension with the given id was there.
    pub transport_sequence: Option<u16>,
}

impl Header {
    /// Reads a packet's header; `None` if it does not hold together. `transport_id` is the id of
    /// the transport-wide sequence number extension, 0 for none.
    #[must_use]
    pub fn read(packet: &[u8], transport_id: u8) -> Option<Self> {
        let fixed = packet.first_chunk::<FIXED_BYTES>()?;
        if fixed[0] >> 6 != 2 {
            return None;
        }
        let mut bytes = FIXED_BYTES + 4 * usize::from(fixed[0] & 0x0f);
        let mut transport_sequence = None;
        if fixed[0] & 0x10 != 0 {
            let head = packet.get(bytes..bytes + 4)?;
            let words = usize::from(u16::from_be_bytes([head[2], head[3]]));
            let elements = packet.get(bytes + 4..bytes + 4 + 4 * words)?;
            transport_sequence = find_transport(head, elements, transport_id);
            bytes += 4 + 4 * words;
        }
        (bytes <= packet.len()).then_some(Self {
            bytes,
            padded: fixed[0] & 0x20 != 0,
            payload_type: fixed[1] & 0x7f,
            sequence: u16::from_be_bytes([fixed[2], fixed[3]]),
            timestamp: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
            ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
            transport_sequence,
        })
    }
}

/// Walks the elements of either form of RFC 8285; stops at the first that runs out.
fn find_transport(head: &[u8], mut elements: &[u8], wanted: u8) -> Option<u16> {
    if wanted == 0 {
        return None;
    }
    let one_byte = head[0] == 0xbe && head[1] == 0xde;
    if !one_byte && (head[0] != 0x10 || head[1] >> 4 != 0) {
        return None;
    }
    while let [first, rest @ ..] = elements {
        if *first == 0 {
            elements = rest;
            continue;
        }
        let (id, length, rest) = if one_byte {
            (first >> 4, usize::from(first & 0x0f) + 1, rest)
        } else {
            let (length, rest) = rest.split_first()?;
            (*first, usize::from(*length), rest)
        };
        let data = rest.get(..length)?;
        if id == wanted {
            return Some(u16::from_be_bytes(data.try_into().ok()?));
        }
        elements = &rest[length..];
    }
    None
}

/// Ids of the header extensions that are offered, the same in every offer.
pub mod extension {
    /// `urn:ietf:params:rtp-hdrext:sdes:mid`.
    pub const MID: u8 = 1;
    /// `urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id`.
    pub const RID: u8 = 2;
    /// `urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id`.
    pub const REPAIRED_RID: u8 = 3;
    /// Transport-wide sequence numbers.
    pub const TRANSPORT: u8 = 4;
    /// `urn:ietf:params:rtp-hdrext:ssrc-audio-level`.
    pub const AUDIO_LEVEL: u8 = 5;
}

/// The header of one sent stream: built once, patched for each packet.
#[derive(Clone, Debug)]
pub struct Template {
    bytes: Vec<u8>,
    transport_at: Option<usize>,
    level_at: Option<usize>,
}

impl Template {
    /// A header with these extension elements (id and value). Those of [`extension::TRANSPORT`]
    /// and [`extension::AUDIO_LEVEL`] can be patched later.
    #[must_use]
    pub fn new(payload_type: u8, ssrc: u32, extensions: &[(u8, &[u8])]) -> Self {
        let mut bytes = vec![0x80, payload_type, 0, 0, 0, 0, 0, 0];
        bytes.extend_from_slice(&ssrc.to_be_bytes());
        let (mut transport_at, mut level_at) = (None, None);
        if !extensions.is_empty() {
            bytes[0] |= 0x10;
            bytes.extend_from_slice(&[0xbe, 0xde, 0, 0]);
            for (id, value) in extensions {
                bytes.push(id << 4 | (value.len() as u8 - 1));
                match *id {
                    extension::TRANSPORT => transport_at = Some(bytes.len()),
                    extension::AUDIO_LEVEL => level_at = Some(bytes.len()),
                    _ => {}
                }
                bytes.extend_from_slice(value);
            }
            let padded = (bytes.len() - FIXED_BYTES).next_multiple_of(4) + FIXED_BYTES;
            bytes.resize(padded, 0);
            let words = ((padded - FIXED_BYTES) / 4 - 1) as u16;
            bytes[FIXED_BYTES + 2..FIXED_BYTES + 4].copy_from_slice(&words.to_be_bytes());
        }
        Self { bytes, transport_at, level_at }
    }

    /// Length of the header, in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Never: there is always a fixed header.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The audio level (RFC 6464): voice activity and level in -dBov.
    pub fn set_level(&mut self, voice: bool, level: u8) {
        if let Some(at) = self.level_at {
            self.bytes[at] = u8::from(voice) << 7 | (level & 0x7f);
        }
    }

    /// Appends the header of one packet to `out`.
    pub fn write(
        &self,
        out: &mut Vec<u8>,
        sequence: u16,
        timestamp: u32,
        marker: bool,
        transport: u16,
    ) {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        out[start + 1] |= u8::from(marker) << 7;
        out[start + 2..start + 4].copy_from_slice(&sequence.to_be_bytes());
        out[start + 4..start + 8].copy_from_slice(&timestamp.to_be_bytes());
        if let Some(at) = self.transport_at {
            out[start + at..start + at + 2].copy_from_slice(&transport.to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_header_is_read_back_by_us_and_by_the_engine() {
        let mut template = Template::new(
            96,
            0x0102_0304,
            &[(extension::MID, b"ab"), (extension::TRANSPORT, &[0, 0]), (5, &[0])],
        );
        template.set_level(true, 30);
        let mut packet = Vec::new();
        template.write(&mut packet, 7, 9, true, 0xbeef);
        packet.extend_from_slice(b"payload");
        let header = Header::read(&packet, extension::TRANSPORT).unwrap();
        assert_eq!((header.sequence, header.timestamp, header.ssrc), (7, 9, 0x0102_0304));
        assert_eq!((header.payload_type, header.padded), (96, false));
        assert_eq!(header.transport_sequence, Some(0xbeef));
        assert_eq!(&packet[header.bytes..], b"payload");
        let view = sfu_core::rtp::packet::RtpPacket::parse(&packet).unwrap();
        assert!(view.marker());
        assert_eq!(view.extension(extension::MID), Some(&b"ab"[..]));
        assert_eq!(view.extension(5), Some(&[0x80 | 30][..]));
        assert_eq!(view.payload(), b"payload");
        assert_eq!(Header::read(&packet, 0).unwrap().transport_sequence, None);
    }

    #[test]
    fn what_runs_past_the_end_is_no_header() {
        let mut packet = Vec::new();
        Template::new(96, 1, &[(extension::TRANSPORT, &[0, 0])]).write(&mut packet, 1, 1, false, 1);
        for length in 0..packet.len() {
            assert_eq!(Header::read(&packet[..length], 4), None, "{length}");
        }
        // An element that runs past the block is not followed.
        packet[16] = 0x7f;
        assert_eq!(Header::read(&packet, 4).unwrap().transport_sequence, None);
        packet[0] = 0x40;
        assert_eq!(Header::read(&packet, 4), None);
    }
}
