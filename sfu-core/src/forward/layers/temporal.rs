//! VP8's temporal layers (RFC 7741 §4.2).

use super::{Choice, Packet, Want};
use crate::forward::numbers::{Numbers, picture_id};
use crate::rtp::codec_view::Detail;

/// What is remembered of the layers of a VP8 stream.
#[derive(Clone, Debug, Default)]
pub(super) struct Temporal {
    /// A picture of this layer was lost on the way through here.
    lost: Option<u8>,
}

impl Temporal {
    /// Down at any picture; up by one layer, at a picture of that layer that depends on the lowest
    /// one only; anywhere at a keyframe.
    pub(super) fn choose(&mut self, packet: Packet<'_>, now: Choice, want: Want) -> Choice {
        let (_, wanted) = want;
        if packet.info.keyframe_start {
            self.lost = None;
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
    pub(super) fn close_gaps(packet: Packet<'_>, now: Choice, numbers: &mut Numbers) {
        let (Some((id, bits)), Detail::Vp8(descriptor)) =
            (picture_id(packet.info), &packet.info.detail)
        else {
            return;
        };
        let number = numbers.pictures.place(id, bits);
        let Some(highest) = numbers.pictures.highest() else { return };
        let missing = number.saturating_sub(highest + 1);
        for (back, layer) in descriptor.before.into_iter().enumerate().rev() {
            let back = back as u64 + 1;
            if back <= missing && layer.is_some_and(|layer| layer > now.temporal) {
                numbers.pictures.skip(number - back);
            }
        }
    }

    pub(super) fn lost(&mut self, layer: u8) {
        self.lost = Some(self.lost.map_or(layer, |lost| lost.min(layer)));
    }
}
