//! VP8's temporal layers (RFC 7741 §4.2).

use super::{Choice, Packet, Want};
use crate::forward::numbers::{Numbers, picture_id};

/// What is remembered of the layers of a VP8 stream.
#[derive(Clone, Debug, Default)]
pub(super) struct Temporal {
    /// The layer that each of the last pictures was of, by picture id modulo [`PATTERN`].
    recent: [Option<u8>; PATTERN as usize],
    /// A picture of this layer was lost on the way through here.
    lost: Option<u8>,
}

/// Patterns of temporal layers repeat after 1, 2, 4 or 8 pictures.
const PATTERN: u64 = 8;

impl Temporal {
    /// Down at any picture; up by one layer, at a picture of that layer that depends on the lowest
    /// one only; anywhere at a keyframe.
    pub(super) fn choose(&mut self, packet: Packet<'_>, now: Choice, want: Want) -> Choice {
        let (_, wanted) = want;
        if packet.info.keyframe_start {
            *self = Self::default();
            return Choice { temporal: wanted, ..now };
        }
        let mut temporal = now.temporal.min(wanted);
        if let Some(lost) = self.lost.take() {
            temporal = temporal.min(lost.saturating_sub(1));
        }
        let of = packet.info.temporal.unwrap_or(0);
        if packet.info.switch_up && of <= wanted && of == temporal + 1 {
            temporal = of;
        }
        Choice { temporal, ..now }
    }

    /// Receivers wait for a missing picture id, though by the pattern it would not be forwarded:
    /// it gets none. If that was wrong the picture is lost (see [`Self::lost`]).
    pub(super) fn close_gaps(&mut self, packet: Packet<'_>, now: Choice, numbers: &mut Numbers) {
        let Some((id, bits)) = picture_id(packet.info) else { return };
        let number = numbers.pictures.place(id, bits);
        let Some(highest) = numbers.pictures.highest() else { return };
        if number > highest && number - highest <= PATTERN {
            for missing in highest + 1..number {
                let expected = self.recent[(missing % PATTERN) as usize];
                if expected.is_some_and(|layer| layer > now.temporal) {
                    numbers.pictures.skip(missing);
                }
            }
        }
        self.recent[(number % PATTERN) as usize] = packet.info.temporal;
    }

    pub(super) fn lost(&mut self, layer: u8) {
        self.lost = Some(self.lost.map_or(layer, |lost| lost.min(layer)));
    }
}
