//! H.264 payloads (RFC 6184 §5), as far as keyframes go.

use crate::rtp::codec_view::PayloadInfo;
use crate::rtp::dependency_descriptor::FrameMarks;

/// NAL unit types (RFC 6184 §5.2, table 1; H.264 table 7-1).
mod nal_type {
    pub(super) const SLICE: u8 = 1;
    pub(super) const PARTITION_A: u8 = 2;
    pub(super) const IDR: u8 = 5;
    pub(super) const SEI: u8 = 6;
    pub(super) const SPS: u8 = 7;
    pub(super) const PPS: u8 = 8;
    pub(super) const DELIMITER: u8 = 9;
    pub(super) const STAP_A: u8 = 24;
    pub(super) const FU_A: u8 = 28;
}

/// What an H.264 payload says: of a single NAL unit, of each in a STAP-A, or of the one that an
/// FU-A begins. Other aggregation and fragmentation units belong to the interleaved mode, which
/// is not negotiated.
pub(super) fn inspect(payload: &[u8], descriptor: Option<&[u8]>) -> Option<PayloadInfo> {
    let (&head, rest) = payload.split_first()?;
    let mut info = match head & 0x1f {
        nal_type::STAP_A => aggregate(rest),
        nal_type::FU_A => {
            let (&fragment, slice) = rest.split_first()?;
            let starts = fragment & 0x80 != 0;
            if starts { unit(fragment & 0x1f, slice) } else { PayloadInfo::default() }
        }
        kind => unit(kind, rest),
    };
    if let Some(marks) = descriptor.and_then(FrameMarks::parse) {
        info.frame_start = marks.start_of_frame;
    }
    Some(info)
}

/// The NAL units of a STAP-A, each behind its length (RFC 6184 §5.7.1). Ends at a length that does
/// not fit.
fn aggregate(mut rest: &[u8]) -> PayloadInfo {
    let mut info = PayloadInfo::default();
    while let [l0, l1, units @ ..] = rest {
        let bytes = usize::from(u16::from_be_bytes([*l0, *l1]));
        let Some((nal, after)) = units.split_at_checked(bytes) else { break };
        if let Some((&head, body)) = nal.split_first() {
            let said = unit(head & 0x1f, body);
            info.keyframe_start |= said.keyframe_start;
            info.frame_start |= said.frame_start;
        }
        rest = after;
    }
    info
}

/// What one NAL unit says, given what follows its header.
fn unit(kind: u8, body: &[u8]) -> PayloadInfo {
    // A slice header begins with first_mb_in_slice as ue(v): a leading 1 bit means 0.
    let first_slice = body.first().is_some_and(|byte| byte & 0x80 != 0);
    let frame_start = match kind {
        nal_type::SLICE | nal_type::PARTITION_A | nal_type::IDR => first_slice,
        nal_type::SEI | nal_type::SPS | nal_type::PPS | nal_type::DELIMITER => true,
        _ => false,
    };
    let keyframe_start = match kind {
        nal_type::IDR => first_slice,
        // Parameter sets travel ahead of the IDR slice they are for, often in a packet of their
        // own; whoever starts at the slice would miss them.
        nal_type::SPS => true,
        _ => false,
    };
    PayloadInfo { keyframe_start, frame_start, temporal: None, spatial: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keyframes_start_with_an_sps_or_the_first_idr_slice() {
        let table: [(&str, &[u8], bool, bool); 14] = [
            ("first IDR slice", &[0x65, 0x88, 0x80], true, true),
            ("second IDR slice", &[0x65, 0x08, 0x80], false, false),
            ("first slice", &[0x41, 0x9a], false, true),
            ("second slice", &[0x41, 0x1a], false, false),
            ("SPS", &[0x67, 0x42], true, true),
            ("PPS", &[0x68, 0xce], false, true),
            ("SEI", &[0x06, 0x05], false, true),
            ("STAP-A of SPS and PPS", &[0x78, 0, 2, 0x67, 0x42, 0, 2, 0x68, 0xce], true, true),
            ("STAP-A of PPS and IDR", &[0x78, 0, 2, 0x68, 0xce, 0, 2, 0x65, 0x88], true, true),
            ("STAP-A of slices", &[0x78, 0, 2, 0x41, 0x9a, 0, 2, 0x41, 0x1a], false, true),
            ("STAP-A with a wrong length", &[0x78, 0, 3, 0x67, 0x42], false, false),
            ("FU-A start of IDR", &[0x7c, 0x85, 0x88], true, true),
            ("FU-A middle of IDR", &[0x7c, 0x05, 0x88], false, false),
            ("FU-A start of slice", &[0x7c, 0x81, 0x9a], false, true),
        ];
        for (name, payload, keyframe_start, frame_start) in table {
            let want = PayloadInfo { keyframe_start, frame_start, temporal: None, spatial: None };
            assert_eq!(inspect(payload, None), Some(want), "{name}");
        }
        assert_eq!(inspect(&[], None), None);
        assert_eq!(inspect(&[0x7c], None), None);
    }

    #[test]
    fn a_dependency_descriptor_knows_better_where_frames_start() {
        let pps = [0x68, 0xce];
        assert!(!inspect(&pps, Some(&[0x40, 0, 1])).unwrap().frame_start);
        assert!(inspect(&pps, Some(&[0x80, 0, 1])).unwrap().frame_start);
        assert!(inspect(&pps, Some(&[0x40])).unwrap().frame_start);
    }
}
