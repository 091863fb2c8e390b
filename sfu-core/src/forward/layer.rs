//! [`LayerId`]: one of the qualities in which a track can be forwarded.

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
