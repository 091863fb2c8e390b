//! VP9 payload descriptor (RFC 9628 §4.2).

use arrayvec::ArrayVec;

use crate::rtp::codec_view::{Detail, Layers, PayloadInfo};

/// The payload descriptor of one VP9 packet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Descriptor {
    /// P: the frame is predicted from an earlier one.
    pub inter_predicted: bool,
    /// F: references are named picture by picture.
    pub flexible: bool,
    /// B: a layer frame begins with this packet.
    pub layer_frame_start: bool,
    /// E: a layer frame ends with this packet.
    pub layer_frame_end: bool,
    /// Z: upper spatial layers of the picture do not depend on this frame.
    pub not_for_upper_layers: bool,
    /// Picture id, 7 or 15 bits, and whether it is the long one.
    pub picture_id: Option<(u16, bool)>,
    /// The layer, if the stream has layers.
    pub layer: Option<Layer>,
    /// TL0PICIDX, in the non-flexible mode: counts pictures of the lowest temporal layer.
    pub tl0_picture_index: Option<u8>,
    /// P_DIFF, in the flexible mode: the pictures referred to, by how many pictures ago they were.
    pub references: ArrayVec<u8, 3>,
    /// The scalability structure, if attached.
    pub structure: Option<Layers>,
    /// Learned from earlier pictures: spatial layers depend on each other in keyframes only, so
    /// that the upper one alone will do in between (k-SVC).
    pub layers_apart: bool,
}

/// The layer indices of a packet (RFC 9628 §4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layer {
    /// TID: the temporal layer.
    pub temporal: u8,
    /// U: the temporal layer may be switched up to here.
    pub switching_up: bool,
    /// SID: the spatial layer.
    pub spatial: u8,
    /// D: predicted from the spatial layer below.
    pub inter_layer: bool,
}

impl Descriptor {
    /// Reads a payload's descriptor; `None` if it is cut short.
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let mut bytes = payload.iter().copied();
        let mut next = || bytes.next();
        let head = next()?;
        let mut descriptor = Self {
            inter_predicted: head & 0x40 != 0,
            flexible: head & 0x10 != 0,
            layer_frame_start: head & 0x08 != 0,
            layer_frame_end: head & 0x04 != 0,
            not_for_upper_layers: head & 0x01 != 0,
            ..Self::default()
        };
        if head & 0x80 != 0 {
            let high = next()?;
            descriptor.picture_id = Some(if high & 0x80 == 0 {
                (u16::from(high), false)
            } else {
                (u16::from_be_bytes([high & 0x7f, next()?]), true)
            });
        }
        if head & 0x20 != 0 {
            let byte = next()?;
            descriptor.layer = Some(Layer {
                temporal: byte >> 5,
                switching_up: byte & 0x10 != 0,
                spatial: byte >> 1 & 0x07,
                inter_layer: byte & 0x01 != 0,
            });
            if !descriptor.flexible {
                descriptor.tl0_picture_index = Some(next()?);
            }
        }
        if descriptor.flexible && descriptor.inter_predicted {
            loop {
                let byte = next()?;
                descriptor.references.try_push(byte >> 1).ok()?;
                if byte & 0x01 == 0 {
                    break;
                }
            }
        }
        if head & 0x02 != 0 {
            descriptor.structure = Some(structure(&mut next)?);
        }
        Some(descriptor)
    }

    /// Where TL0PICIDX is, if there is one.
    #[must_use]
    pub fn tl0_at(&self) -> Option<usize> {
        let picture_id = match self.picture_id {
            None => 0,
            Some((_, false)) => 1,
            Some((_, true)) => 2,
        };
        self.tl0_picture_index.map(|_| 1 + picture_id + 1)
    }
}

/// The scalability structure (RFC 9628 §4.2.1). Of the picture group only the temporal layers are
/// of interest.
fn structure(next: &mut impl FnMut() -> Option<u8>) -> Option<Layers> {
    let head = next()?;
    let mut layers = Layers { spatial: (head >> 5) + 1, ..Layers::default() };
    if head & 0x10 != 0 {
        for _ in 0..layers.spatial {
            let mut pixels = || Some(u16::from_be_bytes([next()?, next()?]));
            layers.sizes.push((pixels()?, pixels()?));
        }
    }
    if head & 0x08 != 0 {
        for _ in 0..next()? {
            let picture = next()?;
            layers.temporal = layers.temporal.max((picture >> 5) + 1);
            for _ in 0..picture >> 2 & 0x03 {
                next()?;
            }
        }
    }
    Some(layers)
}

/// What was learned of how the spatial layers of a stream depend on each other.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Layering {
    /// Frames of upper layers in a row that did without the layer below, outside keyframes.
    apart: u8,
}

/// So many before it is believed: more than a lost lower layer could feign.
const APART_MIN: u8 = 8;

impl Layering {
    fn note(&mut self, descriptor: &Descriptor, layer: Layer) {
        if !descriptor.inter_predicted || !descriptor.layer_frame_start {
            return;
        }
        if layer.spatial == 0 && descriptor.not_for_upper_layers {
            return;
        }
        let alone = layer.spatial > 0 && !layer.inter_layer;
        self.apart = if alone { self.apart.saturating_add(1) } else { 0 };
    }
}

/// What a VP9 payload says. A picture begins with its lowest spatial layer; there, a frame that is
/// not predicted from earlier ones is a keyframe.
pub(super) fn inspect(payload: &[u8], layering: &mut Layering) -> Option<PayloadInfo> {
    let mut descriptor = Descriptor::parse(payload)?;
    if let Some(layer) = descriptor.layer {
        layering.note(&descriptor, layer);
        descriptor.layers_apart = layering.apart >= APART_MIN;
    }
    let lowest = descriptor.layer.is_none_or(|layer| layer.spatial == 0);
    let frame_start = descriptor.layer_frame_start && lowest;
    let layers = descriptor.structure.clone();
    Some(PayloadInfo {
        keyframe_start: frame_start && !descriptor.inter_predicted,
        frame_start,
        frame_end: descriptor.layer_frame_end,
        temporal: descriptor.layer.map(|layer| layer.temporal),
        spatial: descriptor.layer.map(|layer| layer.spatial),
        switch_up: descriptor.layer.is_some_and(|layer| layer.switching_up),
        size: layers.as_ref().and_then(Layers::largest),
        layers,
        detail: Detail::Vp9(descriptor),
        ..PayloadInfo::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keyframes_start_at_the_lowest_spatial_layer() {
        type Case = (&'static [u8], bool, bool, Option<u8>, Option<u8>);
        let table: [Case; 8] = [
            (&[0x08, 0xff], true, true, None, None),
            (&[0x48, 0xff], false, true, None, None),
            (&[0x00, 0xff], false, false, None, None),
            (&[0x88, 0x05], true, true, None, None),
            (&[0xa8, 0x81, 0x02, 0x00, 0x09], true, true, Some(0), Some(0)),
            (&[0xa8, 0x81, 0x02, 0x03, 0x09], false, false, Some(0), Some(1)),
            (&[0xe8, 0x81, 0x02, 0x50, 0x09], false, true, Some(2), Some(0)),
            (&[0xb8, 0x01, 0x40], true, true, Some(2), Some(0)),
        ];
        for (payload, keyframe_start, frame_start, temporal, spatial) in table {
            let info = inspect(payload, &mut Layering::default()).unwrap();
            let got = (info.keyframe_start, info.frame_start, info.temporal, info.spatial);
            assert_eq!(got, (keyframe_start, frame_start, temporal, spatial), "{payload:02x?}");
        }
    }

    #[test]
    fn the_descriptor_is_read_in_full() {
        let layer = Layer { temporal: 5, switching_up: true, spatial: 2, inter_layer: true };
        let payload = [0xed, 0xff, 0xfe, 0xb5, 0x2a];
        let want = Descriptor {
            inter_predicted: true,
            layer_frame_start: true,
            layer_frame_end: true,
            not_for_upper_layers: true,
            picture_id: Some((0x7ffe, true)),
            layer: Some(layer),
            tl0_picture_index: Some(0x2a),
            ..Descriptor::default()
        };
        assert_eq!(want.tl0_at(), Some(4));
        assert_eq!(Descriptor::parse(&payload), Some(want));
        for cut in 0..payload.len() {
            assert_eq!(Descriptor::parse(&payload[..cut]), None, "{cut}");
        }
    }

    #[test]
    fn the_flexible_mode_names_references_and_the_structure_layers() {
        let payload = [
            0xf2, 0x05, 0x00, 0x03, 0x05, 0x08, // I P L F V; 7-bit id; references 1, 2, 4
            0x38, 0x01, 0x40, 0x00, 0xb4, 0x02, 0x80, 0x01, 0x68, // 320x180, 640x360
            0x02, 0x04, 0x01, 0x28, 0x01, 0x02, // a group of TID 0 and TID 1
        ];
        let descriptor = Descriptor::parse(&payload).unwrap();
        assert_eq!(descriptor.references.as_slice(), [1, 2, 4]);
        let layers = descriptor.structure.unwrap();
        assert_eq!((layers.spatial, layers.temporal), (2, 2));
        assert_eq!(layers.sizes.as_slice(), [(320, 180), (640, 360)]);
        assert_eq!(layers.largest(), Some((640, 360)));
        for cut in 0..payload.len() {
            assert_eq!(Descriptor::parse(&payload[..cut]), None, "{cut}");
        }
        assert_eq!(Descriptor::parse(&[0x50, 3, 3, 3, 2]), None, "four references");
    }

    #[test]
    fn layers_that_stay_apart_are_noticed() {
        let mut layering = Layering::default();
        let mut apart = |payload: &[u8]| {
            let info = inspect(payload, &mut layering).unwrap();
            matches!(info.detail, Detail::Vp9(descriptor) if descriptor.layers_apart)
        };
        // Delta pictures: layer 0 not for upper ones (Z), layer 1 without the one below (no D).
        for _ in 0..APART_MIN {
            assert!(!apart(&[0x69, 0x00, 1]));
            apart(&[0x69, 0x02, 1]);
        }
        assert!(apart(&[0x69, 0x00, 1]));
        assert!(apart(&[0x28, 0x00, 1]), "in a keyframe they depend on each other");
        assert!(apart(&[0x28, 0x03, 1]));
        assert!(!apart(&[0x68, 0x00, 1]), "a lower layer that upper ones do depend on");
    }
}
