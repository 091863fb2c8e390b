//! Which numbers a client gives to codecs and header extensions. Clients differ, so that nothing
//! can go unrewritten unnoticed.

use sfu_core::negotiation::{Codec, MediaKind};
use sfu_core::rtp::extension::Extension;

/// A client's payload types and extension ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbering {
    pub(crate) opus: u8,
    /// Media and retransmissions.
    pub(crate) vp8: (u8, u8),
    pub(crate) h264: (u8, u8),
    pub(crate) vp9: (u8, u8),
    pub(crate) av1: (u8, u8),
    /// Added to the id of every extension.
    shift: u8,
}

impl Numbering {
    /// One of a few numberings.
    #[must_use]
    pub fn variant(which: usize) -> Self {
        let [opus, vp8, h264, vp9, av1, shift] = match which % 3 {
            0 => [111, 96, 102, 98, 45, 0],
            1 => [109, 120, 126, 122, 99, 3],
            _ => [96, 108, 98, 100, 112, 5],
        };
        let pair = |media| (media, media + 1);
        Self { opus, vp8: pair(vp8), h264: pair(h264), vp9: pair(vp9), av1: pair(av1), shift }
    }

    /// The payload type of Opus or VP8.
    #[must_use]
    pub fn payload_type(&self, kind: MediaKind) -> u8 {
        match kind {
            MediaKind::Audio => self.opus,
            MediaKind::Video => self.vp8.0,
        }
    }

    /// The id of a header extension.
    #[must_use]
    pub fn extension(&self, extension: Extension) -> u8 {
        let place = Extension::ALL.iter().position(|&e| e == extension);
        u8::try_from(place.expect("it is one of all")).expect("nine of them") + 1 + self.shift
    }

    /// Media and retransmission payload types of a video codec.
    ///
    /// # Panics
    /// For audio codecs.
    #[must_use]
    pub fn of(&self, codec: Codec) -> (u8, u8) {
        match codec {
            Codec::Vp8 => self.vp8,
            Codec::H264 => self.h264,
            Codec::Vp9 => self.vp9,
            Codec::Av1 => self.av1,
            Codec::Opus | Codec::Red => panic!("{codec:?} is no video codec"),
        }
    }
}
