//! What a payload says of the frame it belongs to, whatever the codec.

use arrayvec::ArrayVec;

use crate::negotiation::Codec;
use crate::rtp::{av1, dependency_descriptor, h264, vp8, vp9};

/// What a payload says. Nothing beyond the payload descriptor and the first bytes of the frame is
/// read; what cannot be known is false or `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PayloadInfo {
    /// A decoder can start with this packet: in H.264 with the parameter sets, where they come in
    /// band. Always false for audio, where any packet will do.
    pub keyframe_start: bool,
    /// A picture begins with this packet: with AV1 a frame, one of several spatial layers. In
    /// H.264 (without a dependency descriptor) possibly true for several packets of one frame.
    pub frame_start: bool,
    /// The frame of a spatial layer ends with this packet, where the payload says so (VP9, AV1).
    pub frame_end: bool,
    /// The temporal layer, where the payload names it.
    pub temporal: Option<u8>,
    /// The spatial layer, where the payload names it.
    pub spatial: Option<u8>,
    /// Receivers of lower temporal layers may take up this one here.
    pub switch_up: bool,
    /// Width and height in pixels, where a keyframe says them: the largest layer's.
    pub size: Option<(u16, u16)>,
    /// The layers of the stream, where a keyframe says them.
    pub layers: Option<Layers>,
    /// What only one codec has.
    pub detail: Detail,
    /// The dependency descriptor that came along, if it could be read.
    pub dependency: Option<dependency_descriptor::Descriptor>,
}

/// The layers of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layers {
    /// How many spatial layers, 1 to 8.
    pub spatial: u8,
    /// How many temporal layers; 0 if that is not said.
    pub temporal: u8,
    /// Width and height of each spatial layer in pixels; empty if not said.
    pub sizes: ArrayVec<(u16, u16), 8>,
}

/// What only one codec says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Detail {
    /// Nothing.
    #[default]
    None,
    /// Audio: any packet will do to begin with.
    Audio,
    /// VP8's payload descriptor.
    Vp8(vp8::Descriptor),
    /// VP9's payload descriptor.
    Vp9(vp9::Descriptor),
}

/// Reads the payloads of one encoding, with what is remembered of earlier ones. To be made anew
/// when the source begins again.
#[derive(Clone, Debug, Default)]
pub struct Reader {
    dependencies: dependency_descriptor::Reader,
    parameter_sets: h264::ParameterSets,
    pattern: vp8::Pattern,
    layering: vp9::Layering,
}

impl Reader {
    /// Reads a payload without its padding, and its dependency descriptor if there was one.
    /// Truncated or nonsensical input says nothing; it is the decoder's to refuse.
    #[must_use]
    pub fn inspect(
        &mut self,
        codec: Codec,
        payload: &[u8],
        dependency_descriptor: Option<&[u8]>,
    ) -> PayloadInfo {
        let said = match codec {
            Codec::Opus | Codec::Red => {
                let frame_start = !payload.is_empty();
                let detail = Detail::Audio;
                return PayloadInfo { frame_start, detail, ..PayloadInfo::default() };
            }
            Codec::Vp8 => vp8::inspect(payload, &mut self.pattern),
            Codec::Vp9 => vp9::inspect(payload, &mut self.layering),
            Codec::H264 => h264::inspect(payload, &mut self.parameter_sets),
            Codec::Av1 => av1::inspect(payload),
        };
        let Some(mut info) = said else { return PayloadInfo::default() };
        let dependency = dependency_descriptor.and_then(|data| self.dependencies.read(data));
        if let Some(dependency) = dependency {
            match codec {
                Codec::Av1 => av1::merge(&mut info, &dependency),
                Codec::H264 => h264::merge(&mut info, &dependency),
                // Their payload descriptors say it all, and are what receivers go by.
                Codec::Vp8 | Codec::Vp9 | Codec::Opus | Codec::Red => {}
            }
            info.dependency = Some(dependency);
        }
        info
    }
}

impl Layers {
    /// The layers of a template dependency structure.
    pub(super) fn of(structure: &dependency_descriptor::Structure) -> Self {
        let count = |layer: fn(&(u8, u8)) -> u8| structure.targets.iter().map(layer).max();
        Self {
            spatial: count(|target| target.0).unwrap_or(0) + 1,
            temporal: count(|target| target.1).unwrap_or(0) + 1,
            sizes: structure.sizes.clone(),
        }
    }

    /// The size of the largest layer.
    pub(super) fn largest(&self) -> Option<(u16, u16)> {
        self.sizes.iter().copied().max_by_key(|&(width, height)| (height, width))
    }
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
            let mut info = Reader::default().inspect(codec, &[], Some(&[0xff; 8]));
            info.detail = Detail::None;
            assert_eq!(info, PayloadInfo::default(), "{codec:?}");
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
            let info = Reader::default().inspect(codec, payload, None);
            assert!(info.keyframe_start && info.frame_start, "{codec:?}");
        }
        assert!(!Reader::default().inspect(Codec::Opus, &[0xfc], None).keyframe_start);
    }

    proptest! {
        #[test]
        fn any_payloads_at_any_length_are_survived(
            packets in vec((vec(any::<u8>(), 0..64), proptest::option::of(vec(any::<u8>(), 0..40))), 1..8),
        ) {
            for codec in CODECS {
                let mut reader = Reader::default();
                for (payload, descriptor) in &packets {
                    for bytes in 0..=payload.len() {
                        let info = reader.inspect(codec, &payload[..bytes], descriptor.as_deref());
                        prop_assert!(info.temporal.is_none_or(|layer| layer < 8));
                        prop_assert!(info.spatial.is_none_or(|layer| layer < 8));
                    }
                }
            }
        }
    }
}
