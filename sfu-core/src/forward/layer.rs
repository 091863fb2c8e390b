//! [`LayerId`]: one of the qualities in which a track can be forwarded. [`Part`]: what a packet is
//! of one.

use crate::rtp::codec_view::PayloadInfo;

/// A quality of a track: which simulcast encoding, and how much of it.
///
/// Ordered by encoding, then spatial, then temporal layer. With plain simulcast `spatial` is 0;
/// with SVC there is one encoding. `temporal` is 0 where the codec does not name temporal layers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LayerId {
    /// Place in [`crate::publish::track::Track::encodings`], the order of the offer.
    pub encoding: u8,
    /// Highest spatial layer forwarded (0 to 7), and all it needs.
    pub spatial: u8,
    /// Highest temporal layer forwarded (0 to 7), and all it needs.
    pub temporal: u8,
}

/// Of which layer of its encoding a packet is, and whether that layer's frame ends with it: in a
/// byte, as it is kept with every packet that was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Part(u8);

impl Part {
    /// What the payload says; the lowest layer where it says nothing.
    #[must_use]
    pub fn of(info: &PayloadInfo) -> Self {
        let spatial = info.spatial.unwrap_or(0).min(7);
        let temporal = info.temporal.unwrap_or(0).min(7);
        Self(u8::from(info.frame_end) << 6 | spatial << 3 | temporal)
    }

    /// Spatial layer, 0 to 7.
    #[must_use]
    pub const fn spatial(self) -> u8 {
        self.0 >> 3 & 7
    }

    /// Temporal layer, 0 to 7.
    #[must_use]
    pub const fn temporal(self) -> u8 {
        self.0 & 7
    }

    /// The frame of its spatial layer ends with it, where the payload says so.
    #[must_use]
    pub const fn ends(self) -> bool {
        self.0 >> 6 & 1 == 1
    }
}

impl LayerId {
    /// All there is of an encoding.
    #[must_use]
    pub const fn all_of(encoding: u8) -> Self {
        Self { encoding, spatial: 7, temporal: 7 }
    }

    /// The lowest quality of an encoding.
    #[must_use]
    pub const fn lowest_of(encoding: u8) -> Self {
        Self { encoding, spatial: 0, temporal: 0 }
    }
}
