//! [`Mirror`]: what a track that is published in another engine has beside what all tracks have.

use std::time::Instant;

use super::Wish;
use crate::id::TrackId;

/// The tie of a mirrored track with its origin.
#[derive(Clone, Copy, Debug)]
pub struct Mirror {
    /// The worker number of the engine where it is published.
    pub worker: u8,
    /// What it is called there.
    pub track: TrackId,
    /// What that engine was last told to send.
    pub told: Wish,
    /// Since when nothing is wanted.
    pub left: Option<Instant>,
    /// When to look after its history and meter next; `None` while nothing is kept.
    pub upkeep: Option<Instant>,
    /// Waiting in the engine's list of mirrors whose wish may have changed.
    pub touched: bool,
}

impl Mirror {
    /// A mirror that has told its origin nothing.
    #[must_use]
    pub fn new(worker: u8, track: TrackId) -> Self {
        Self { worker, track, told: Wish::default(), left: None, upkeep: None, touched: false }
    }
}
