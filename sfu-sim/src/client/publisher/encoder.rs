//! One encoding's encoder: from "a picture, now" to layer frames with all that their packets say.

use smallvec::SmallVec;

use sfu_core::negotiation::Codec;

use crate::client::layers::Layering;
use crate::wire::codec::Marks;
use crate::wire::dependency::{self, Descriptor, Structure};
use crate::wire::vp9::{GROUP_MAX, Layer, Place};
use crate::wire::{REFERENCES_MAX, Reference, av1, h264, vp8, vp9};

/// One layer frame as it was encoded.
#[derive(Clone, Debug)]
pub(crate) struct LayerFrame {
    pub(crate) spatial: u8,
    pub(crate) temporal: u8,
    pub(crate) keyframe: bool,
    pub(crate) references: [Option<Reference>; REFERENCES_MAX],
    pub(crate) marks: Marks,
    pub(crate) size: (u16, u16),
    /// The dependency descriptor of its first packet and of the others, both without their flags
    /// for the frame's beginning and end.
    pub(crate) descriptor: Option<(SmallVec<[u8; 16]>, [u8; 3])>,
}

/// The state of an encoder.
#[derive(Clone, Debug)]
pub(crate) struct Encoder {
    codec: Codec,
    layering: Layering,
    /// Spatial layers that are sent.
    spatial: u8,
    /// Size of the largest layer.
    size: (u16, u16),
    /// VP9's mode of telling references.
    flexible: bool,
    with_descriptor: bool,
    /// Pictures since the keyframe.
    place: u32,
    picture_id: u16,
    tl0: u8,
    frame_number: u16,
    structure: Structure,
}

impl Encoder {
    pub(crate) fn new(
        codec: Codec,
        layering: Layering,
        size: (u16, u16),
        with_descriptor: bool,
        random: u32,
    ) -> Self {
        Self {
            codec,
            layering,
            spatial: layering.spatial,
            size,
            // Groups of pictures repeat after a cycle, crossings after two.
            flexible: layering.crossing,
            with_descriptor,
            place: 0,
            picture_id: (random & 0x7fff) as u16,
            tl0: (random >> 16) as u8,
            frame_number: (random >> 8) as u16,
            structure: Structure::default(),
        }
    }

    /// Spatial layers that are sent from the next keyframe on.
    pub(crate) fn set_spatial(&mut self, spatial: u8) {
        self.spatial = spatial.clamp(1, self.layering.spatial);
    }

    /// Spatial layers that are sent.
    pub(crate) fn spatial(&self) -> u8 {
        self.spatial
    }

    fn active(&self) -> Layering {
        Layering { spatial: self.spatial, ..self.layering }
    }

    /// Size of a spatial layer.
    fn size_of(&self, spatial: u8) -> (u16, u16) {
        let down = self.layering.spatial - 1 - spatial;
        (self.size.0 >> down, self.size.1 >> down)
    }

    /// Encodes a picture: its layer frames, lowest first.
    pub(crate) fn encode(&mut self, keyframe: bool) -> SmallVec<[LayerFrame; 3]> {
        if keyframe {
            self.place = 0;
            if self.with_descriptor {
                let count = self.structure.templates.len() as u8;
                let offset = (self.structure.offset + count) % 64;
                self.structure = self.active().structure(offset, self.size_of(self.spatial - 1));
            }
        }
        self.picture_id = (self.picture_id + 1) & 0x7fff;
        if self.active().temporal_at(self.place) == 0 {
            self.tl0 = self.tl0.wrapping_add(1);
        }
        let frames = (0..self.spatial).map(|spatial| self.layer(spatial)).collect();
        self.place += 1;
        frames
    }

    fn layer(&mut self, spatial: u8) -> LayerFrame {
        let (layering, place) = (self.active(), self.place);
        let mut references = [None; REFERENCES_MAX];
        let own = layering.back(place).into_iter().filter(|&back| back > 0);
        let below = layering.on_below(place, spatial);
        let all = own
            .map(|back| Reference { back, spatial })
            .chain(below.then(|| Reference { back: 0, spatial: spatial - 1 }));
        for (place, reference) in references.iter_mut().zip(all) {
            *place = Some(reference);
        }
        LayerFrame {
            spatial,
            temporal: layering.temporal_at(place),
            keyframe: place == 0,
            references,
            marks: self.marks(spatial),
            size: self.size_of(spatial),
            descriptor: self.with_descriptor.then(|| self.describe(spatial)),
        }
    }

    fn marks(&self, spatial: u8) -> Marks {
        let (layering, place) = (self.active(), self.place);
        let temporal = layering.temporal_at(place);
        let discardable = layering.is_discardable(place);
        let size = self.size_of(spatial);
        match self.codec {
            Codec::Vp9 => Marks::Vp9(self.vp9_marks(spatial)),
            Codec::H264 => Marks::H264(h264::Marks { discardable, size }),
            Codec::Av1 => {
                let layered = layering.spatial > 1 || layering.temporal > 1;
                Marks::Av1(av1::Marks { layer: layered.then_some((temporal, spatial)) })
            }
            Codec::Vp8 | Codec::Opus | Codec::Red => Marks::Vp8(vp8::Marks {
                picture_id: self.picture_id,
                temporal: (layering.temporal > 1)
                    .then(|| (self.tl0, temporal, layering.is_sync(place))),
                discardable,
                size,
            }),
        }
    }

    fn vp9_marks(&self, spatial: u8) -> vp9::Marks {
        let (layering, place) = (self.active(), self.place);
        let mut group = [None; GROUP_MAX];
        if !self.flexible {
            let cycle = layering.cycle();
            for (at, entry) in group.iter_mut().enumerate().take(cycle as usize) {
                // As every cycle but the one that the keyframe begins.
                let at = at as u32 + cycle;
                *entry = Some(Place {
                    temporal: layering.temporal_at(at),
                    switching_up: layering.switching_up(at),
                    back: layering.back(at),
                });
            }
        }
        let structure = vp9::Structure {
            layers: layering.spatial,
            size: self.size_of(layering.spatial - 1),
            group,
        };
        vp9::Marks {
            picture_id: self.picture_id,
            layer: Layer {
                temporal: layering.temporal_at(place),
                switching_up: layering.switching_up(place),
                spatial,
                on_below: layering.on_below(place, spatial),
            },
            flexible: self.flexible,
            tl0: self.tl0,
            back: layering.back(place),
            not_below: spatial + 1 == layering.spatial || !layering.on_below(place, spatial + 1),
            structure: (place == 0 && spatial == 0).then_some(structure),
        }
    }

    fn describe(&mut self, spatial: u8) -> (SmallVec<[u8; 16]>, [u8; 3]) {
        let descriptor = Descriptor {
            number: self.frame_number,
            dependencies: self.active().dependencies(self.place, spatial),
            ..Descriptor::default()
        };
        self.frame_number = self.frame_number.wrapping_add(1);
        let begins = self.place == 0 && spatial == 0;
        let first = dependency::write(&self.structure, &descriptor, begins);
        let others = first[..3].try_into().expect("three bytes at least");
        (first.into(), others)
    }
}
