//! VP9's spatial and temporal layers by its payload descriptor (RFC 9628 §4.2).

use super::{Choice, Packet, Want};
use crate::rtp::codec_view::{Detail, PayloadInfo};
use crate::rtp::vp9::Descriptor;

/// What is remembered of the layers of a VP9 stream.
#[derive(Clone, Debug)]
pub(super) struct Scalable {
    /// The spatial layers of which the subscriber lacks frames since the last keyframe, one bit
    /// each.
    lacking: u8,
    /// Where that keyframe began.
    keyframe_at: u64,
    /// Highest spatial layer of the picture before, and of the present one.
    highest: (u8, u8),
    /// Pictures in a row without the layer that is forwarded alone.
    starving: u8,
}

/// So many pictures without the only layer that is forwarded, and it is taken for ended.
const STARVING_MAX: u8 = 8;

impl Scalable {
    pub(super) fn new(keyframe_at: u64) -> Self {
        Self { lacking: 0, keyframe_at, highest: (0, 0), starving: 0 }
    }

    pub(super) fn choose(&mut self, packet: Packet<'_>, now: Choice, want: Want) -> Choice {
        let (spatial_wanted, temporal_wanted) = want;
        self.highest = (self.highest.1, 0);
        if packet.info.keyframe_start {
            *self = Self { highest: self.highest, ..Self::new(packet.index) };
            let (spatial, temporal) = want;
            return Choice { spatial, temporal, ..Choice::default() };
        }
        let temporal = temporal_layer(packet.info, now.temporal, temporal_wanted);
        if now.alone {
            let there = self.highest.0 >= now.spatial;
            self.starving = if there { 0 } else { self.starving.saturating_add(1) };
            return Choice { temporal, ..now };
        }
        let mut spatial = now.spatial.min(spatial_wanted);
        if spatial_wanted > now.spatial {
            spatial = self.reachable(spatial_wanted).max(now.spatial);
        }
        // With keyframes only tying layers together, the lower ones need not go along. Only from a
        // layer that is there.
        let apart = descriptor(packet.info).is_some_and(|descriptor| descriptor.layers_apart);
        let top = spatial.min(self.highest.0);
        if apart && top > 0 && self.lacking & up_to(top) == 0 {
            return Choice { spatial: top, temporal, alone: true, ..now };
        }
        Choice { spatial, temporal, ..now }
    }

    /// The highest layer up to `wanted` of which, and below which, nothing is lacking.
    fn reachable(&self, wanted: u8) -> u8 {
        let unbroken = self.lacking.trailing_zeros().saturating_sub(1);
        wanted.min(u8::try_from(unbroken).unwrap_or(u8::MAX))
    }

    pub(super) fn wants(&mut self, packet: Packet<'_>, choice: Choice) -> bool {
        let Some(descriptor) = descriptor(packet.info) else { return true };
        let Some(layer) = descriptor.layer else { return true };
        if packet.in_order {
            self.highest.1 = self.highest.1.max(layer.spatial);
        }
        if layer.temporal > choice.temporal {
            return false;
        }
        let above = layer.spatial > choice.spatial;
        let unneeded = choice.alone
            && layer.spatial < choice.spatial
            && descriptor.inter_predicted
            && descriptor.not_for_upper_layers;
        if (above || unneeded) && packet.index >= self.keyframe_at {
            self.lacking |= 1 << layer.spatial;
        }
        !above && !unneeded
    }

    pub(super) fn take_back(&mut self, now: Choice) {
        self.lacking |= !up_to(now.spatial);
    }

    pub(super) fn needs_keyframe(&self, now: Choice, want: Want, top: Want) -> bool {
        let wanted = want.0.min(top.0);
        if now.alone {
            return wanted != now.spatial || self.starving >= STARVING_MAX;
        }
        wanted > now.spatial && self.reachable(wanted) < wanted
    }
}

/// Bits of the layers from the lowest to this one.
fn up_to(layer: u8) -> u8 {
    u8::MAX >> (7 - layer.min(7))
}

/// The temporal layer from this picture on. U on the next layer up: encoders mean that the picture
/// depends on lower layers only. U on the lowest layer: no later picture depends on one before
/// this but of the lowest layer (RFC 9628 §4.2), so that all are open.
fn temporal_layer(info: &PayloadInfo, now: u8, wanted: u8) -> u8 {
    let temporal = now.min(wanted);
    match info.temporal {
        Some(0) if info.switch_up => wanted,
        Some(of) if info.switch_up && of <= wanted && of == temporal + 1 => of,
        _ => temporal,
    }
}

fn descriptor(info: &PayloadInfo) -> Option<&Descriptor> {
    match &info.detail {
        Detail::Vp9(descriptor) => Some(descriptor),
        Detail::None | Detail::Audio | Detail::Vp8(_) => None,
    }
}
