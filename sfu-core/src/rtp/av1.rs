//! AV1 payloads (RTP Payload Format For AV1, v1.0), as far as keyframes go.

use crate::rtp::codec_view::PayloadInfo;
use crate::rtp::dependency_descriptor::FrameMarks;

/// What an AV1 payload says: by its aggregation header (§4.4), and by the
/// dependency descriptor if it has one.
pub(super) fn inspect(payload: &[u8], descriptor: Option<&[u8]>) -> Option<PayloadInfo> {
    let (&aggregation, elements) = payload.split_first()?;
    let continues = aggregation & 0x80 != 0;
    let new_sequence = aggregation & 0x08 != 0 && !continues;
    let marks = descriptor.and_then(FrameMarks::parse);
    let (frame_start, keyframe_start) = match marks {
        Some(marks) => {
            (marks.start_of_frame, marks.start_of_frame && (marks.has_structure || new_sequence))
        }
        None => {
            let starts = new_sequence || !continues && begins_frame(aggregation, elements);
            (starts, new_sequence)
        }
    };
    Some(PayloadInfo { keyframe_start, frame_start, temporal: None, spatial: None })
}

/// Whether the first OBU element is of a type that comes before the tile groups of a frame.
fn begins_frame(aggregation: u8, elements: &[u8]) -> bool {
    let only_one = aggregation >> 4 & 0x03 == 1;
    // All elements but the last of a known count are led by their length in LEB128.
    let continued = elements.iter().take(8).take_while(|&byte| byte & 0x80 != 0).count();
    let length_bytes = if only_one { 0 } else { continued + 1 };
    let Some(&obu_header) = elements.get(length_bytes) else { return false };
    // AV1 specification §6.2.2: sequence header, temporal delimiter, frame header, metadata, frame.
    matches!(obu_header >> 3 & 0x0f, 1 | 2 | 3 | 5 | 6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keyframes_start_where_a_sequence_does() {
        type Case = (&'static str, &'static [u8], Option<&'static [u8]>, bool, bool);
        let table: [Case; 11] = [
            ("N", &[0x18, 0x0a], None, true, true),
            ("N on a continuation is nonsense", &[0x98, 0x0a], None, false, false),
            ("a frame alone", &[0x10, 0x30], None, false, true),
            ("a tile group alone", &[0x10, 0x20], None, false, false),
            ("a frame behind its length", &[0x00, 0x81, 0x01, 0x30], None, false, true),
            ("a continuation", &[0x90, 0x30], None, false, false),
            ("nothing behind the length", &[0x00, 0x80], None, false, false),
            ("start with structure", &[0x10, 0x30], Some(&[0xc0, 0, 1, 0x80]), true, true),
            ("start without", &[0x10, 0x30], Some(&[0xc0, 0, 1, 0x40]), false, true),
            ("structure without start", &[0x10, 0x30], Some(&[0x40, 0, 1, 0x80]), false, false),
            ("a short descriptor is none", &[0x10, 0x30], Some(&[0x40, 0]), false, true),
        ];
        for (name, payload, descriptor, keyframe_start, frame_start) in table {
            let want = PayloadInfo { keyframe_start, frame_start, temporal: None, spatial: None };
            assert_eq!(inspect(payload, descriptor), Some(want), "{name}");
        }
        assert_eq!(inspect(&[], None), None);
    }
}
