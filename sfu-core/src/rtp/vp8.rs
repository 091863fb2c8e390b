//! VP8 payload descriptor (RFC 7741 §4.2).

use crate::rtp::codec_view::{Detail, PayloadInfo};

/// The payload descriptor of one VP8 packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Descriptor {
    /// Length of the descriptor, in bytes.
    pub bytes: usize,
    /// S: a partition begins with this packet.
    pub partition_start: bool,
    /// PID: the partition.
    pub partition: u8,
    /// PictureID, 7 or 15 bits, and whether it is the long one.
    pub picture_id: Option<(u16, bool)>,
    /// TL0PICIDX: counts frames of the lowest temporal layer.
    pub tl0_picture_index: Option<u8>,
    /// TID: the temporal layer, and Y: whether it may be switched up to here.
    pub temporal: Option<(u8, bool)>,
    /// KEYIDX: the temporal key frame index.
    pub key_index: Option<u8>,
    /// Learned from earlier pictures: the temporal layers that the pictures before this one are
    /// of, the last one first.
    pub before: [Option<u8>; PATTERN - 1],
}

/// Patterns of temporal layers repeat after 1, 2, 4 or 8 pictures.
pub const PATTERN: usize = 8;

/// The pattern of a stream's temporal layers, as far as it is known.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pattern {
    /// The layer of each picture, by its distance from the last keyframe: encoders begin their
    /// pattern anew there.
    layers: [Option<u8>; PATTERN],
    /// Picture id of that keyframe, as far as it counts here.
    keyframe: u8,
    /// A picture was not as expected: the start of a keyframe has not come yet, or the pattern is
    /// another one. Nothing is known until the next keyframe.
    doubtful: bool,
    /// Keyframes in a row after which there was doubt.
    doubts: u8,
}

/// So many, and the pattern is learned anew.
const DOUBTS_MAX: u8 = 2;

impl Pattern {
    /// Notes a picture's layer, and gives those of the ones before it.
    fn note(&mut self, picture_id: u16, layer: u8, key: bool) -> [Option<u8>; PATTERN - 1] {
        let place = |back: usize, since: u8| -> usize {
            usize::from((picture_id as u8).wrapping_sub(since).wrapping_sub(back as u8)) % PATTERN
        };
        let known = if self.doubtful { [None; PATTERN] } else { self.layers };
        let before = std::array::from_fn(|back| known[place(back + 1, self.keyframe)]);
        if key {
            self.doubts = if self.doubtful { self.doubts + 1 } else { 0 };
            if self.doubts >= DOUBTS_MAX {
                *self = Self::default();
            }
            self.doubtful = false;
            self.keyframe = picture_id as u8;
        }
        let at = &mut self.layers[place(0, self.keyframe)];
        self.doubtful |= at.is_some_and(|known| known != layer);
        if !self.doubtful {
            *at = Some(layer);
        }
        before
    }
}

impl Descriptor {
    /// Reads a payload's descriptor; `None` if it is cut short.
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let mut bytes = payload.iter().copied();
        let mut next = || bytes.next();
        let head = next()?;
        let mut descriptor =
            Self { partition_start: head & 0x10 != 0, partition: head & 0x07, ..Self::default() };
        if head & 0x80 != 0 {
            let present = next()?;
            if present & 0x80 != 0 {
                let high = next()?;
                descriptor.picture_id = Some(if high & 0x80 == 0 {
                    (u16::from(high), false)
                } else {
                    (u16::from_be_bytes([high & 0x7f, next()?]), true)
                });
            }
            if present & 0x40 != 0 {
                descriptor.tl0_picture_index = Some(next()?);
            }
            // T and K share one byte, there if either is set.
            if present & 0x30 != 0 {
                let layer = next()?;
                if present & 0x20 != 0 {
                    descriptor.temporal = Some((layer >> 6, layer & 0x20 != 0));
                }
                if present & 0x10 != 0 {
                    descriptor.key_index = Some(layer & 0x1f);
                }
            }
        }
        descriptor.bytes = payload.len() - bytes.len();
        Some(descriptor)
    }
}

/// What a VP8 payload says: a frame starts with partition 0, whose first byte has the inverse
/// keyframe flag P (RFC 7741 §4.3).
pub(super) fn inspect(payload: &[u8], pattern: &mut Pattern) -> Option<PayloadInfo> {
    let mut descriptor = Descriptor::parse(payload)?;
    let frame = payload.get(descriptor.bytes..)?;
    let frame_start = descriptor.partition_start && descriptor.partition == 0 && !frame.is_empty();
    let keyframe_start = frame_start && frame[0] & 0x01 == 0;
    if let (Some((id, _)), Some((layer, _))) = (descriptor.picture_id, descriptor.temporal) {
        descriptor.before = pattern.note(id, layer, keyframe_start);
    }
    Some(PayloadInfo {
        keyframe_start,
        frame_start,
        temporal: descriptor.temporal.map(|(layer, _)| layer),
        switch_up: descriptor.temporal.is_some_and(|(_, sync)| sync),
        size: if keyframe_start { size(frame) } else { None },
        detail: Detail::Vp8(descriptor),
        ..PayloadInfo::default()
    })
}

/// The size in the header of a keyframe (RFC 6386 §9.1): 14 bits each, and 2 bits of scaling that
/// concern only the display.
fn size(frame: &[u8]) -> Option<(u16, u16)> {
    let &[_, _, _, 0x9d, 0x01, 0x2a, w0, w1, h0, h1, ..] = frame else { return None };
    let pixels = |low, high| u16::from_le_bytes([low, high]) & 0x3fff;
    Some((pixels(w0, w1), pixels(h0, h1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keyframes_start_with_partition_zero_and_a_clear_p_bit() {
        let table: [(&[u8], bool, bool, Option<u8>); 9] = [
            (&[0x10, 0x00], true, true, None),
            (&[0x10, 0x01], false, true, None),
            (&[0x00, 0x00], false, false, None),
            (&[0x11, 0x00], false, false, None),
            (&[0x90, 0x80, 0x05, 0x10], true, true, None),
            (&[0x90, 0xe0, 0x92, 0x34, 0x07, 0x60, 0x10], true, true, Some(1)),
            (&[0x90, 0x20, 0x80, 0x11], false, true, Some(2)),
            (&[0x90, 0x10, 0x9f, 0x10], true, true, None),
            (&[0x10], false, false, None),
        ];
        for (payload, keyframe_start, frame_start, temporal) in table {
            let info = inspect(payload, &mut Pattern::default()).unwrap();
            let got = (info.keyframe_start, info.frame_start, info.temporal);
            assert_eq!(got, (keyframe_start, frame_start, temporal), "{payload:02x?}");
            assert_eq!((info.spatial, info.size), (None, None));
        }
    }

    #[test]
    fn keyframes_say_their_size() {
        // 1280x720, with scaling bits that do not count.
        let payload = [0x10, 0x50, 1, 2, 0x9d, 0x01, 0x2a, 0x00, 0x45, 0xd0, 0x82, 0xff];
        assert_eq!(inspect(&payload, &mut Pattern::default()).unwrap().size, Some((1280, 720)));
        for cut in 0..11 {
            assert_eq!(
                inspect(&payload[..cut], &mut Pattern::default()).and_then(|info| info.size),
                None,
                "{cut}"
            );
        }
    }

    #[test]
    fn the_pattern_of_temporal_layers_is_learned_from_keyframe_to_keyframe() {
        let mut pattern = Pattern::default();
        let layers = [0, 2, 1, 2, 0, 2, 1, 2];
        for (id, layer) in (126..).zip(layers) {
            pattern.note(id % 128, layer, id == 126);
        }
        let some = |layers: [u8; 7]| layers.map(Some);
        assert_eq!(pattern.note(6, 0, false), some([2, 1, 2, 0, 2, 1, 2]));
        assert_eq!(pattern.note(9, 2, false), some([1, 2, 0, 2, 1, 2, 0]), "two are missing");
        assert_eq!(pattern.note(40, 0, true)[0], Some(2), "still counted from the last keyframe");
        assert_eq!(pattern.note(42, 1, false), some([2, 0, 2, 1, 2, 0, 2]));
        assert_eq!(pattern.note(43, 1, false)[0], Some(1), "not as expected, so that");
        assert_eq!(pattern.note(44, 0, false), [None; 7], "nothing is known");
        pattern.note(50, 0, true);
        assert_eq!(pattern.note(52, 1, false), some([2, 0, 2, 1, 2, 0, 2]), "until a keyframe");
        pattern.note(53, 1, false);
        pattern.note(60, 0, true);
        assert_eq!(pattern.note(61, 1, false)[..2], [Some(0), None], "after two it is given up");
    }

    #[test]
    fn the_descriptor_is_read_in_full() {
        let payload = [0xb3, 0xf0, 0xff, 0xfe, 0x2a, 0xe5, 0x00];
        let want = Descriptor {
            bytes: 6,
            partition_start: true,
            partition: 3,
            picture_id: Some((0x7ffe, true)),
            tl0_picture_index: Some(0x2a),
            temporal: Some((3, true)),
            key_index: Some(5),
            ..Descriptor::default()
        };
        assert_eq!(Descriptor::parse(&payload), Some(want));
        for cut in 0..6 {
            assert_eq!(Descriptor::parse(&payload[..cut]), None, "{cut}");
        }
    }
}
