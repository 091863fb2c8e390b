//! H.264 payloads in packetization mode 1 (RFC 6184): parameter sets as STAP-A, slices as single
//! NAL units or FU-A.

use super::bits::Writer;
use super::codec::{Claim, Seen, fill};
use super::{Rtp, Stamp};

/// What the packets of a frame say of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// nal_ref_idc is 0: nothing builds on it.
    pub discardable: bool,
    /// Width and height in pixels.
    pub size: (u16, u16),
}

const NAL_SLICE: u8 = 1;
const NAL_IDR: u8 = 5;
const NAL_SPS: u8 = 7;
const NAL_STAP_A: u8 = 24;
const NAL_FU_A: u8 = 28;
const PPS: [u8; 4] = [0x68, 0xce, 0x3c, 0x80];

/// Appends one packet's worth of a frame, `bytes` long with the stamp. The first part of a
/// keyframe holds the parameter sets and nothing else.
pub fn write(out: &mut Vec<u8>, marks: &Marks, stamp: &Stamp, bytes: usize) {
    let start = out.len();
    if stamp.keyframe && stamp.part == 0 {
        let sps = sequence_parameter_set(marks.size);
        out.push(0x60 | NAL_STAP_A);
        out.extend((sps.len() as u16).to_be_bytes());
        out.extend_from_slice(&sps);
        out.extend((PPS.len() as u16).to_be_bytes());
        out.extend_from_slice(&PPS);
        // The stamp travels in an SEI-sized third unit.
        let third = (out.len() + 2 - start + Stamp::BYTES + 1).max(bytes) - (out.len() + 2 - start);
        out.extend((third as u16).to_be_bytes());
        out.push(6);
        return fill(out, start, stamp, bytes);
    }
    let importance = if marks.discardable { 0 } else { 0x60 };
    let (first_slice, kind) = if stamp.keyframe { (1, NAL_IDR) } else { (0, NAL_SLICE) };
    let (first, last) = (stamp.part == first_slice, stamp.part + 1 == stamp.parts);
    if first && last {
        out.push(importance | kind);
    } else {
        out.extend([importance | NAL_FU_A, u8::from(first) << 7 | u8::from(last) << 6 | kind]);
    }
    // first_mb_in_slice is 0 as ue(v) in the first bit; slices do not begin elsewhere.
    out.push(0x88);
    fill(out, start, stamp, bytes);
}

/// Reads a payload written by [`write()`]. Where frames begin, the timestamp says.
#[must_use]
pub fn read(packet: &Rtp<'_>) -> Option<Seen> {
    let (&head, rest) = packet.payload.split_first()?;
    let keyframe = match head & 0x1f {
        NAL_STAP_A => rest.get(2)? & 0x1f == NAL_SPS,
        NAL_FU_A => rest.first()? & 0x9f == 0x80 | NAL_IDR,
        kind => kind == NAL_IDR || kind == NAL_SPS,
    };
    Some(Seen {
        start: false,
        end: packet.header.marker,
        keyframe,
        start_by_timestamp: true,
        claim: Claim::InOrder,
        ..Seen::default()
    })
}

/// A constrained baseline sequence parameter set (H.264 §7.3.2.1.1) for a size.
fn sequence_parameter_set((width, height): (u16, u16)) -> Vec<u8> {
    let mut bits = Writer::default();
    let (columns, rows) = (width.div_ceil(16), height.div_ceil(16));
    bits.exponential(0); // seq_parameter_set_id
    bits.exponential(0); // log2_max_frame_num_minus4
    bits.exponential(2); // pic_order_cnt_type
    bits.exponential(1); // max_num_ref_frames
    bits.bits(0, 1); // gaps_in_frame_num_value_allowed_flag
    bits.exponential(u32::from(columns) - 1);
    bits.exponential(u32::from(rows) - 1);
    bits.bits(0b11, 2); // frame_mbs_only_flag, direct_8x8_inference_flag
    let (right, bottom) = (columns * 16 - width, rows * 16 - height);
    bits.bits(u32::from(right + bottom > 0), 1);
    if right + bottom > 0 {
        // In units of two pixels (4:2:0).
        for crop in [0, right / 2, 0, bottom / 2] {
            bits.exponential(crop.into());
        }
    }
    bits.bits(0, 1); // vui_parameters_present_flag
    bits.bits(1, 1); // rbsp_stop_one_bit
    let mut out = vec![0x60 | NAL_SPS, 66, 0xc0, 31];
    for byte in bits.finish() {
        // Emulation prevention (H.264 §7.4.1).
        if byte <= 3 && out.ends_with(&[0, 0]) {
            out.push(3);
        }
        out.push(byte);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use sfu_core::negotiation::Codec;
    use sfu_core::rtp::codec_view::Reader;

    #[test]
    fn the_engine_sees_keyframes_where_they_are() {
        for (keyframe, part, expected) in
            [(true, 0, true), (true, 1, true), (true, 2, false), (false, 0, false)]
        {
            let stamp = Stamp { keyframe, part, parts: 4, ..Stamp::default() };
            let mut payload = Vec::new();
            write(&mut payload, &Marks { discardable: false, size: (1280, 720) }, &stamp, 200);
            assert_eq!(payload.len(), 200);
            let info = Reader::default().inspect(Codec::H264, &payload, None);
            assert_eq!(info.keyframe_start, expected, "{keyframe} {part}: {payload:02x?}");
            assert_eq!(Stamp::read(&payload), Some(stamp));
        }
    }

    #[test]
    fn a_parameter_set_is_as_the_standard_has_it() {
        // 640x480: 40 x 30 macroblocks, no cropping.
        let expected = [0x67, 0x42, 0xc0, 0x1f, 0xda, 0x02, 0x80, 0xf6, 0x40];
        assert_eq!(sequence_parameter_set((640, 480)), expected);
    }
}
