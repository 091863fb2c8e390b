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
    /// Added to the id of every extension.
    shift: u8,
}

impl Numbering {
    /// One of a few numberings.
    #[must_use]
    pub fn variant(which: usize) -> Self {
        match which % 3 {
            0 => Self { opus: 111, vp8: (96, 97), h264: (102, 103), shift: 0 },
            1 => Self { opus: 109, vp8: (120, 124), h264: (126, 127), shift: 3 },
            _ => Self { opus: 96, vp8: (108, 109), h264: (98, 99), shift: 5 },
        }
    }

    /// The payload type of what the client sends: Opus or VP8.
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
    pub(crate) fn video(&self, codec: Codec) -> Option<(u8, u8)> {
        match codec {
            Codec::Vp8 => Some(self.vp8),
            Codec::H264 => Some(self.h264),
            Codec::Opus | Codec::Red | Codec::Vp9 | Codec::Av1 => None,
        }
    }
}
