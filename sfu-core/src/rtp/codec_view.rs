//! What a payload says of the frame it belongs to, whatever the codec.

use crate::negotiation::Codec;
use crate::rtp::{av1, h264, vp8, vp9};

/// What a payload says. Nothing beyond the payload descriptor and the first bytes of the frame is
/// read; what cannot be known is false or `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PayloadInfo {
    /// A decoder can start with this packet. In H.264 true for each of the parameter sets and the
    /// first slice of a keyframe. Always false for audio, where any packet will do.
    pub keyframe_start: bool,
    /// A frame begins with this packet. In H.264 (without a dependency descriptor) possibly true
    /// for several packets of one frame.
    pub frame_start: bool,
    /// The temporal layer, where the payload names it.
    pub temporal: Option<u8>,
    /// The spatial layer, where the payload names it.
    pub spatial: Option<u8>,
}

/// Reads a payload without its padding, and its dependency descriptor if there was one. Truncated
/// or nonsensical input says nothing; it is the decoder's to refuse.
#[must_use]
pub fn inspect(codec: Codec, payload: &[u8], dependency_descriptor: Option<&[u8]>) -> PayloadInfo {
    let said = match codec {
        Codec::Opus | Codec::Red => {
            Some(PayloadInfo { frame_start: !payload.is_empty(), ..PayloadInfo::default() })
        }
        Codec::Vp8 => vp8::inspect(payload),
        Codec::Vp9 => vp9::inspect(payload),
        Codec::H264 => h264::inspect(payload, dependency_descriptor),
        Codec::Av1 => av1::inspect(payload, dependency_descriptor),
    };
    said.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const CODECS: [Codec; 6] =
        [Codec::Opus, Codec::Red, Codec::Vp8, Codec::Vp9, Codec::H264, Codec::Av1];

    #[test]
    fn an_empty_payload_says_nothing() {
        for codec in CODECS {
            assert_eq!(inspect(codec, &[], Some(&[0xff; 8])), PayloadInfo::default(), "{codec:?}");
        }
    }

    #[test]
    fn each_codec_knows_its_own_keyframe() {
        let keyframes: [(Codec, &[u8]); 4] = [
            (Codec::Vp8, &[0x10, 0x00]),
            (Codec::Vp9, &[0x08, 0x00]),
            (Codec::H264, &[0x67, 0x42]),
            (Codec::Av1, &[0x18, 0x0a]),
        ];
        for (codec, payload) in keyframes {
            let info = inspect(codec, payload, None);
            assert!(info.keyframe_start && info.frame_start, "{codec:?}");
        }
        assert!(!inspect(Codec::Opus, &[0xfc], None).keyframe_start);
    }

    proptest! {
        #[test]
        fn any_payload_at_any_length_is_survived(
            payload in vec(any::<u8>(), 0..64),
            descriptor in proptest::option::of(vec(any::<u8>(), 0..12)),
        ) {
            for codec in CODECS {
                for bytes in 0..=payload.len() {
                    let info = inspect(codec, &payload[..bytes], descriptor.as_deref());
                    prop_assert!(info.frame_start || !info.keyframe_start || descriptor.is_some());
                    prop_assert!(info.temporal.is_none_or(|layer| layer < 8));
                    prop_assert!(info.spatial.is_none_or(|layer| layer < 8));
                }
            }
        }
    }
}
