//! What the codecs' payloads have in common: written from [`Marks`], read as [`Seen`].

use sfu_core::negotiation::Codec;

use super::{FILLER, REFERENCES_MAX, Rtp, Stamp, av1, h264, vp8, vp9};

/// What the packets of a layer frame say of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "named by codec")]
pub enum Marks {
    Vp8(vp8::Marks),
    Vp9(vp9::Marks),
    H264(h264::Marks),
    Av1(av1::Marks),
}

impl Marks {
    /// Appends one packet's worth of the frame: `bytes` long with the stamp, or as long as it must
    /// be.
    pub fn write(&self, out: &mut Vec<u8>, stamp: &Stamp, bytes: usize) {
        match self {
            Self::Vp8(marks) => vp8::write(out, marks, stamp, bytes),
            Self::Vp9(marks) => vp9::write(out, marks, stamp, bytes),
            Self::H264(marks) => h264::write(out, marks, stamp, bytes),
            Self::Av1(marks) => av1::write(out, marks, stamp, bytes),
        }
    }
}

/// Appends filler and the stamp, so that what began at `start` is `bytes` long.
pub(super) fn fill(out: &mut Vec<u8>, start: usize, stamp: &Stamp, bytes: usize) {
    let body = (start + bytes.saturating_sub(Stamp::BYTES)).max(out.len());
    out.resize(body, FILLER);
    stamp.write(out);
}

/// What a receiver learns from one packet's payload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// A layer frame begins with it.
    pub start: bool,
    /// The format does not say where frames begin; the timestamp does.
    pub start_by_timestamp: bool,
    /// A layer frame ends with it.
    pub end: bool,
    /// Decoding can start with it.
    pub keyframe: bool,
    /// What the frame builds on, by its own account.
    pub claim: Claim,
    /// VP9's scalability structure.
    pub structure: Option<Box<vp9::Structure>>,
}

/// What a frame builds on, by its payload descriptor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the formats' names")]
pub enum Claim {
    /// The frame before it, whichever that is.
    #[default]
    InOrder,
    Vp8 {
        picture_id: u16,
        /// TL0PICIDX, TID, Y.
        temporal: Option<(u8, u8, bool)>,
    },
    Vp9 {
        picture_id: u16,
        layer: vp9::Layer,
        flexible: bool,
        inter: bool,
        tl0: u8,
        back: [u8; REFERENCES_MAX],
    },
}

/// Reads a payload; `None` if it makes no sense.
#[must_use]
pub fn read(codec: Codec, packet: &Rtp<'_>) -> Option<Seen> {
    match codec {
        Codec::Vp8 => vp8::read(packet),
        Codec::Vp9 => vp9::read(packet),
        Codec::H264 => h264::read(packet),
        Codec::Av1 => av1::read(packet),
        Codec::Opus | Codec::Red => None,
    }
}
