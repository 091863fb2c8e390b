//! Which layers of one encoding are forwarded, and where that may change.

mod scalable;
mod targets;
mod temporal;

use std::sync::Arc;

use super::layer::LayerId;
use super::numbers::Numbers;
use crate::rtp::codec_view::{Detail, PayloadInfo};
use crate::rtp::dependency_descriptor::{Frame, MaskEdit, Structure};
use scalable::Scalable;
use targets::Targets;
use temporal::Temporal;

/// What is forwarded of an encoding from some packet on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Choice {
    /// Highest spatial layer.
    pub(super) spatial: u8,
    /// Highest temporal layer.
    pub(super) temporal: u8,
    /// Of other spatial layers only what the highest one needs.
    pub(super) alone: bool,
    /// The decode target, where a dependency descriptor says what is needed.
    pub(super) target: u8,
}

/// Spatial and temporal layer that are wanted at most.
pub(super) type Want = (u8, u8);

/// The state behind the choice: what the subscriber has of the layers.
#[derive(Clone, Debug)]
pub(super) struct Layers {
    kind: Kind,
    /// Highest spatial and temporal layer that came since the source began.
    top: Want,
    /// The structure in force and whether the mask has changed since it came.
    mask: Option<(Arc<Structure>, bool)>,
    last_mask: u32,
}

#[derive(Clone, Debug)]
enum Kind {
    /// There are none, or nothing is said of them: everything is forwarded.
    Flat,
    /// Temporal layers by the payload descriptor (VP8).
    Temporal(Temporal),
    /// Spatial and temporal layers by the payload descriptor (VP9).
    Scalable(Scalable),
    /// Decode targets of a dependency descriptor (AV1, H.264).
    Targets(Targets),
}

/// A packet in its place: `in_order` if it is the newest of its encoding.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet<'a> {
    pub(super) index: u64,
    pub(super) in_order: bool,
    pub(super) info: &'a PayloadInfo,
}

impl Layers {
    /// Begins with a packet where decoding can start.
    pub(super) fn begin(packet: Packet<'_>, want: Want) -> (Self, Choice) {
        let info = packet.info;
        let frame = frame_of(info);
        let mut choice = Choice { spatial: want.0, temporal: want.1, ..Choice::default() };
        let kind = match (&info.detail, frame) {
            (Detail::Vp8(_), _) if info.temporal.is_some() => Kind::Temporal(Temporal::default()),
            (Detail::Vp9(_), _) if info.spatial.is_some() => {
                Kind::Scalable(Scalable::new(packet.index))
            }
            (Detail::None, Some(frame)) => {
                let (targets, target) = Targets::begin(frame, want);
                choice = targets.choice(target);
                Kind::Targets(targets)
            }
            _ => Kind::Flat,
        };
        let mask = frame.map(|frame| (Arc::clone(&frame.structure), false));
        let last_mask = frame.map_or(0, |frame| frame.structure.all());
        (Self { kind, top: (0, 0), mask, last_mask }, choice)
    }

    /// Chooses at the first packet of a picture that came in order, given what is forwarded now.
    pub(super) fn choose(&mut self, packet: Packet<'_>, now: Choice, want: Want) -> Choice {
        if packet.info.keyframe_start {
            if !self.fits(packet.info) {
                let choice;
                (*self, choice) = Self::begin(packet, want);
                return choice;
            }
            if let Some(layers) = &packet.info.layers {
                self.top.0 = self.top.0.min(layers.spatial.saturating_sub(1));
            }
        }
        match &mut self.kind {
            Kind::Flat => now,
            Kind::Temporal(temporal) => temporal.choose(packet, now, want),
            Kind::Scalable(scalable) => scalable.choose(packet, now, want),
            Kind::Targets(targets) => targets.choose(packet, now, want),
        }
    }

    /// Whether a stream is still of the kind it was: the codec may have changed.
    fn fits(&self, info: &PayloadInfo) -> bool {
        match self.kind {
            Kind::Temporal(_) => matches!(info.detail, Detail::Vp8(_)) && info.temporal.is_some(),
            Kind::Scalable(_) => matches!(info.detail, Detail::Vp9(_)) && info.spatial.is_some(),
            Kind::Targets(_) => info.detail == Detail::None && frame_of(info).is_some(),
            Kind::Flat => match info.detail {
                Detail::Vp8(_) => info.temporal.is_none(),
                Detail::Vp9(_) => info.spatial.is_none(),
                Detail::None => frame_of(info).is_none(),
                Detail::Audio => true,
            },
        }
    }

    /// Whether a packet is part of what is forwarded.
    pub(super) fn wants(&mut self, packet: Packet<'_>, choice: Choice) -> bool {
        let info = packet.info;
        self.top.0 = self.top.0.max(info.spatial.unwrap_or(0));
        self.top.1 = self.top.1.max(info.temporal.unwrap_or(0));
        match &mut self.kind {
            Kind::Flat => true,
            Kind::Temporal(_) => info.temporal.is_none_or(|layer| layer <= choice.temporal),
            Kind::Scalable(scalable) => scalable.wants(packet, choice),
            Kind::Targets(targets) => targets.wants(packet, choice),
        }
    }

    /// Before a picture is numbered: those that are missing, and would not be forwarded, get no
    /// number.
    pub(super) fn close_gaps(&self, packet: Packet<'_>, now: Choice, numbers: &mut Numbers) {
        if let Kind::Temporal(_) = &self.kind {
            Temporal::close_gaps(packet, now, numbers);
        }
    }

    /// A picture that was wanted cannot be forwarded, as its number was given away.
    pub(super) fn lost(&mut self, info: &PayloadInfo) {
        if let Kind::Temporal(temporal) = &mut self.kind {
            temporal.lost(info.temporal.unwrap_or(0));
        }
    }

    /// The subscriber has not got what was to be forwarded of layers above these.
    pub(super) fn take_back(&mut self, now: Choice) {
        match &mut self.kind {
            Kind::Flat | Kind::Temporal(_) => {}
            Kind::Scalable(scalable) => scalable.take_back(now),
            Kind::Targets(targets) => targets.keep_only(now),
        }
    }

    /// Whether a picture that is not forwarded is to be taken out of the line of picture ids.
    /// VP9's groups of pictures are counted by them; its receivers expect the gaps.
    pub(super) fn closes_ranks(&self) -> bool {
        matches!(self.kind, Kind::Temporal(_))
    }

    /// Whether a packet with a marker of its own is the last of its picture for this subscriber.
    pub(super) fn ends_picture(&self, info: &PayloadInfo, choice: Choice) -> bool {
        let layered = matches!(self.kind, Kind::Scalable(_) | Kind::Targets(_));
        layered && info.frame_end && info.spatial == Some(choice.spatial)
    }

    /// Whether the layers wanted can be reached at a keyframe only.
    pub(super) fn needs_keyframe(&self, now: Choice, want: Want) -> bool {
        match &self.kind {
            Kind::Flat | Kind::Temporal(_) => false,
            Kind::Scalable(scalable) => scalable.needs_keyframe(now, want, self.top),
            Kind::Targets(targets) => targets.needs_keyframe(now, want),
        }
    }

    /// The layer that is forwarded, of those that there are.
    pub(super) fn current(&self, encoding: u8, choice: Choice) -> LayerId {
        LayerId {
            encoding,
            spatial: choice.spatial.min(self.top.0),
            temporal: choice.temporal.min(self.top.1),
        }
    }

    /// The mask of active decode targets that a packet is to carry, if it is not to stay as it is.
    /// Once it differs from what the structure implies it is on every packet, so that no loss
    /// matters; and on those that come late.
    pub(super) fn mask(&mut self, packet: Packet<'_>, choice: Choice) -> Option<MaskEdit> {
        let frame = frame_of(packet.info)?;
        let structure = &frame.structure;
        let target = match self.kind {
            Kind::Targets(_) => Some(choice.target),
            _ => structure.target_for(choice.spatial, choice.temporal, structure.all()),
        };
        let included = structure.included.get(usize::from(target?)).copied()?;
        let active = frame.active & included;
        let mut said = frame.has_mask || !packet.in_order;
        if packet.in_order {
            let known = self.mask.as_ref().is_some_and(|(known, _)| Arc::ptr_eq(known, structure));
            if !known {
                self.mask = Some((Arc::clone(structure), false));
                self.last_mask = structure.all();
            }
            let (_, changed) = self.mask.as_mut()?;
            *changed |= active != self.last_mask;
            self.last_mask = active;
            said |= *changed;
        }
        said.then_some(MaskEdit {
            active,
            decode_targets: structure.decode_targets,
            at: frame.mask_at,
            replaces: frame.has_mask,
        })
    }
}

/// What a dependency descriptor says of the frame.
fn frame_of(info: &PayloadInfo) -> Option<&Frame> {
    info.dependency.as_ref()?.frame.as_ref()
}

#[cfg(test)]
mod tests;
