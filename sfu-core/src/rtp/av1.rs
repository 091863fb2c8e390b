//! AV1 payloads (RTP Payload Format For AV1, v1.0), as far as keyframes go.

use crate::rtp::codec_view::{Layers, PayloadInfo};
use crate::rtp::dependency_descriptor::{Descriptor, Indication};

/// What an AV1 payload says by its aggregation header (§4.4).
pub(super) fn inspect(payload: &[u8]) -> Option<PayloadInfo> {
    let (&aggregation, elements) = payload.split_first()?;
    let continues = aggregation & 0x80 != 0;
    let new_sequence = aggregation & 0x08 != 0 && !continues;
    let frame_start = new_sequence || !continues && begins_frame(aggregation, elements);
    Some(PayloadInfo { keyframe_start: new_sequence, frame_start, ..PayloadInfo::default() })
}

/// A dependency descriptor knows better.
pub(super) fn merge(info: &mut PayloadInfo, descriptor: &Descriptor) {
    info.frame_start = descriptor.start_of_frame;
    info.frame_end = descriptor.end_of_frame;
    info.keyframe_start =
        descriptor.start_of_frame && (descriptor.has_structure || info.keyframe_start);
    merge_layers(info, descriptor);
}

/// What a dependency descriptor says of layers.
pub(super) fn merge_layers(info: &mut PayloadInfo, descriptor: &Descriptor) {
    let Some(frame) = &descriptor.frame else { return };
    info.spatial = Some(frame.spatial);
    info.temporal = Some(frame.temporal);
    info.switch_up = (0..frame.structure.decode_targets)
        .filter(|&target| frame.structure.targets[usize::from(target)].1 >= frame.temporal)
        .any(|target| frame.indications.of(target) == Indication::Switch);
    if descriptor.has_structure {
        let layers = Layers::of(&frame.structure);
        info.size = layers.largest();
        info.layers = Some(layers);
    }
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
    use crate::rtp::codec_view::Reader;

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
            ("start with structure", &[0x10, 0x30], Some(&STRUCTURE), true, true),
            ("start without", &[0x10, 0x30], Some(&[0xc0, 0, 1]), false, true),
            ("a broken structure", &[0x10, 0x30], Some(&[0xc0, 0, 1, 0x80]), false, true),
            ("a short descriptor is none", &[0x10, 0x30], Some(&[0x40, 0]), false, true),
        ];
        for (name, payload, descriptor, keyframe_start, frame_start) in table {
            let info =
                Reader::default().inspect(crate::negotiation::Codec::Av1, payload, descriptor);
            assert_eq!(
                (info.keyframe_start, info.frame_start),
                (keyframe_start, frame_start),
                "{name}"
            );
        }
        assert_eq!(inspect(&[]), None);
    }

    /// A start of frame with a structure of one template for one decode target, without chains.
    const STRUCTURE: [u8; 7] = [0xc0, 0, 1, 0b1000_0000, 0b0000_0000, 0b1110_0000, 0];
}
