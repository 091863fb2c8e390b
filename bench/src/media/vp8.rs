//! VP8 as RTP payload: the descriptor of RFC 7741 §4.2 and the frame tag of RFC 6386 §9.1, written
//! for synthetic frames and read back for accounting.

use super::stamp::Stamp;

/// Descriptor written: X, I and a 15-bit picture id.
pub(crate) const DESCRIPTOR_BYTES: usize = 4;
/// Frame tag, start code and dimensions of a key frame (RFC 6386 §9.1).
pub(crate) const KEYFRAME_HEADER_BYTES: usize = 10;
/// Frame tag of an interframe.
const INTERFRAME_HEADER_BYTES: usize = 3;

const WIDTH: u16 = 1280;
const HEIGHT: u16 = 720;

/// Writes the payload of one packet: descriptor, frame header if it is the frame's first, stamp,
/// filler up to `bytes`.
pub(crate) fn write_packet(
    picture_id: u16,
    keyframe: bool,
    stamp: &Stamp,
    bytes: usize,
) -> Vec<u8> {
    let first = stamp.index == 0;
    let mut out = Vec::with_capacity(bytes);
    let [high, low] = (picture_id | 0x8000).to_be_bytes();
    out.extend_from_slice(&[if first { 0x90 } else { 0x80 }, 0x80, high, low]);
    if first {
        // Bit 0 clear: key frame. Bit 4: shown. The first partition's size is of no use here.
        out.extend_from_slice(&[if keyframe { 0x10 } else { 0x11 }, 0, 0]);
        if keyframe {
            out.extend_from_slice(&[0x9d, 0x01, 0x2a]);
            out.extend_from_slice(&WIDTH.to_le_bytes());
            out.extend_from_slice(&HEIGHT.to_le_bytes());
        }
    }
    stamp.write(&mut out);
    out.resize(bytes.max(out.len()), 0xa5);
    out
}

/// What a VP8 payload says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vp8View<'a> {
    /// The packet begins a frame (S = 1 and partition 0).
    pub starts_frame: bool,
    /// The frame is a key frame; only known of its first packet.
    pub keyframe: bool,
    /// 7 or 15 bits, if present.
    pub picture_id: Option<u16>,
    /// Behind the descriptor and, in a frame's first packet, behind the frame header.
    pub body: &'a [u8],
}

impl<'a> Vp8View<'a> {
    /// Reads a payload; `None` if it is cut short.
    #[must_use]
    pub fn read(payload: &'a [u8]) -> Option<Self> {
        let first = *payload.first()?;
        let mut at = 1;
        let mut picture_id = None;
        if first & 0x80 != 0 {
            let present = *payload.get(1)?;
            at = 2;
            if present & 0x80 != 0 {
                let high = *payload.get(at)?;
                if high & 0x80 == 0 {
                    picture_id = Some(u16::from(high));
                    at += 1;
                } else {
                    picture_id = Some(u16::from_be_bytes([high & 0x7f, *payload.get(at + 1)?]));
                    at += 2;
                }
            }
            at += usize::from(present & 0x40 != 0) + usize::from(present & 0x30 != 0);
        }
        let starts_frame = first & 0x1f == 0x10;
        let mut keyframe = false;
        if starts_frame {
            keyframe = payload.get(at)? & 1 == 0;
            if keyframe && payload.get(at + 3..at + 6)? != [0x9d, 0x01, 0x2a] {
                return None;
            }
            at += if keyframe { KEYFRAME_HEADER_BYTES } else { INTERFRAME_HEADER_BYTES };
        }
        Some(Self { starts_frame, keyframe, picture_id, body: payload.get(at..)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(index: u16) -> Stamp {
        Stamp { source: 1, sequence: 2, due_us: 3, frame: 4, index, count: 2 }
    }

    #[test]
    fn what_is_written_is_read_back() {
        for (keyframe, index) in [(true, 0), (false, 0), (true, 1), (false, 1)] {
            let payload = write_packet(0x7abc, keyframe, &stamp(index), 300);
            assert_eq!(payload.len(), 300);
            let view = Vp8View::read(&payload).unwrap();
            assert_eq!(view.starts_frame, index == 0);
            assert_eq!(view.keyframe, keyframe && index == 0);
            assert_eq!(view.picture_id, Some(0x7abc));
            assert_eq!(Stamp::read(view.body), Some(stamp(index)));
        }
    }

    #[test]
    fn another_stacks_parser_agrees() {
        use rtc::rtp::packetizer::Depacketizer as _;
        let payload = write_packet(0x1234, true, &stamp(0), 100);
        let mut packet = rtc::rtp::codec::vp8::Vp8Packet::default();
        packet.depacketize(&payload.into()).unwrap();
        assert_eq!((packet.s, packet.pid, packet.picture_id), (1, 0, 0x1234));
    }

    #[test]
    fn short_and_foreign_descriptors() {
        assert_eq!(Vp8View::read(&[]), None);
        assert_eq!(Vp8View::read(&[0x90, 0x80]), None);
        // X, L, T and K present beside a 7-bit picture id, as libvpx writes with temporal layers.
        let view = Vp8View::read(&[0x90, 0xf0, 0x05, 0x01, 0x20, 0x11, 0, 0, 0xee]).unwrap();
        assert_eq!((view.picture_id, view.keyframe, view.body), (Some(5), false, &[0xee][..]));
    }
}
