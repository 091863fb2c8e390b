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
