//! AV1 payloads (RTP Payload Format For AV1, §4): an aggregation header, a sequence header before
//! a keyframe, one frame OBU cut over the packets.

use super::codec::{Claim, Seen, fill};
use super::{Rtp, Stamp};

/// What the packets of a layer frame say of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// Temporal and spatial layer, if the OBU headers name them.
    pub layer: Option<(u8, u8)>,
}

const OBU_SEQUENCE_HEADER: u8 = 1;
const OBU_FRAME: u8 = 6;
/// Profile 0, level 4.0; nobody here reads further.
const SEQUENCE: [u8; 10] = [0x00, 0x00, 0x00, 0x42, 0xa7, 0xbf, 0xe6, 0x2e, 0xdf, 0xc8];

/// Appends one packet's worth of a layer frame, `bytes` long with the stamp.
pub fn write(out: &mut Vec<u8>, marks: &Marks, stamp: &Stamp, bytes: usize) {
    let start = out.len();
    let (first, last) = (stamp.part == 0, stamp.part + 1 == stamp.parts);
    let begins = first && stamp.keyframe && stamp.spatial == 0;
    let elements = if begins { 2 } else { 1 };
    out.push(u8::from(!first) << 7 | u8::from(!last) << 6 | elements << 4 | u8::from(begins) << 3);
    if begins {
        out.push(1 + SEQUENCE.len() as u8);
        out.push(OBU_SEQUENCE_HEADER << 3);
        out.extend(SEQUENCE);
    }
    if first {
        match marks.layer {
            None => out.push(OBU_FRAME << 3),
            Some((temporal, spatial)) => {
                out.extend([OBU_FRAME << 3 | 0x04, temporal << 5 | spatial << 3]);
            }
        }
    }
    fill(out, start, stamp, bytes);
}

/// Reads a payload written by [`write()`]. Layers and frames' ends are the dependency descriptor's to
/// say.
#[must_use]
pub fn read(packet: &Rtp<'_>) -> Option<Seen> {
    let head = *packet.payload.first()?;
    let start = head & 0x80 == 0;
    Some(Seen {
        start,
        end: packet.header.marker,
        keyframe: start && head & 0x08 != 0,
        claim: Claim::InOrder,
        ..Seen::default()
    })
}
