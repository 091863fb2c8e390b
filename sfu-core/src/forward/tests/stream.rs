//! Small encoders: streams of every codec and layering, with the truth about each frame beside
//! them, and no picture inside.

use arrayvec::ArrayVec;

use crate::negotiation::Codec;
use crate::rtp::dependency_descriptor::{Draft, Indication, Indications, Structure, Template};

/// What a frame really depends on.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) encoding: u8,
    /// Number of its picture: 30 of them a second, the same in all encodings.
    pub(super) picture: u64,
    pub(super) spatial: u8,
    pub(super) temporal: u8,
    pub(super) key: bool,
    /// The frames it cannot be decoded without.
    pub(super) needs: Vec<usize>,
    pub(super) packets: usize,
    /// The decode targets it is part of.
    pub(super) targets: u32,
}

/// A packet as the publisher sends it.
#[derive(Clone, Debug)]
pub(super) struct Packet {
    pub(super) encoding: u8,
    pub(super) sequence: u16,
    pub(super) timestamp: u32,
    pub(super) marker: bool,
    pub(super) payload: Vec<u8>,
    pub(super) descriptor: Option<Vec<u8>>,
}

/// What a stream is like.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) codec: Codec,
    pub(super) spatial: u8,
    pub(super) temporal: u8,
    /// Spatial layers depend on each other in keyframes only.
    pub(super) apart: bool,
    /// VP9's flexible mode.
    pub(super) flexible: bool,
    /// With a dependency descriptor.
    pub(super) described: bool,
    /// 15-bit picture ids, or 7-bit ones.
    pub(super) long_ids: bool,
}

/// Ticks of the 90 kHz clock between two pictures.
pub(super) const TICKS: u32 = 3_000;
/// Temporal layers of the pictures of a group, for one, two and three of them.
const PATTERNS: [&[u8]; 3] = [&[0], &[0, 1], &[0, 2, 1, 2]];

/// The encoder of one encoding.
pub(super) struct Encoder {
    shape: Shape,
    encoding: u8,
    structure: Option<Structure>,
    sequence: u16,
    timestamp_offset: u32,
    picture_id: u16,
    tl0: u8,
    frame_number: u16,
    /// Pictures since the keyframe.
    position: u64,
    keyframe_wanted: bool,
    /// The last frame of each spatial and temporal layer: its id, picture, and number.
    last: [[Option<Reference>; 3]; 3],
    /// The last frame number of each chain.
    chains: [u16; 3],
}

#[derive(Clone, Copy)]
struct Reference {
    id: usize,
    picture: u64,
    frame_number: u16,
}

impl Encoder {
    /// `start` places its numbers anywhere.
    pub(super) fn new(shape: Shape, encoding: u8, start: u64) -> Self {
        Self {
            shape,
            encoding,
            structure: shape.described.then(|| structure(&shape)),
            sequence: start as u16,
            timestamp_offset: (start >> 16) as u32,
            picture_id: (start >> 3) as u16,
            tl0: (start >> 5) as u8,
            frame_number: (start >> 7) as u16,
            position: 0,
            keyframe_wanted: true,
            last: [[None; 3]; 3],
            chains: [0; 3],
        }
    }

    pub(super) fn request_keyframe(&mut self) {
        self.keyframe_wanted = true;
    }

    pub(super) fn timestamp(&self, picture: u64) -> u32 {
        self.timestamp_offset.wrapping_add((picture as u32).wrapping_mul(TICKS))
    }

    /// Encodes a picture.
    pub(super) fn picture(&mut self, picture: u64, frames: &mut Vec<Frame>) -> Vec<Packet> {
        let key = std::mem::take(&mut self.keyframe_wanted);
        if key {
            self.position = 0;
        }
        let pattern = PATTERNS[usize::from(self.shape.temporal) - 1];
        let temporal = pattern[(self.position % pattern.len() as u64) as usize];
        self.picture_id = self.picture_id.wrapping_add(1);
        if temporal == 0 {
            self.tl0 = self.tl0.wrapping_add(1);
        }
        let mut packets = Vec::new();
        for spatial in 0..self.shape.spatial {
            packets.extend(self.frame(picture, spatial, temporal, key, frames));
        }
        if let Some(last) = packets.last_mut() {
            last.marker = true;
        }
        self.position += 1;
        packets
    }

    fn frame(
        &mut self,
        picture: u64,
        spatial: u8,
        temporal: u8,
        key: bool,
        frames: &mut Vec<Frame>,
    ) -> Vec<Packet> {
        let id = frames.len();
        let (s, t) = (usize::from(spatial), usize::from(temporal));
        // Of the own layer: what the temporal layers below and this one have seen last, but at the
        // first such pictures after every other lowest one, which depend on that only.
        let sync = self.shape.codec != Codec::Vp8 || self.position % 8 < 3;
        let own: Vec<Reference> = match (key, t) {
            (true, _) => Vec::new(),
            (false, 0) => self.last[s][0].into_iter().collect(),
            (false, _) if sync => self.last[s][..t]
                .iter()
                .flatten()
                .max_by_key(|r| r.picture)
                .copied()
                .into_iter()
                .collect(),
            (false, _) => self.last[s][..=t].iter().flatten().copied().collect(),
        };
        let inter_layer = spatial > 0 && (key || !self.shape.apart);
        let below = if inter_layer {
            self.last[s - 1].iter().flatten().max_by_key(|r| r.picture).copied()
        } else {
            None
        };
        if key {
            self.last[s] = [None; 3];
        }
        let references: Vec<Reference> = own.iter().copied().chain(below).collect();
        let packets = if key { 6 } else { 1 + (id % 3) } + if spatial == 2 { 2 } else { 0 };
        let mut frame = Frame {
            encoding: self.encoding,
            picture,
            spatial,
            temporal,
            key,
            needs: references.iter().map(|r| r.id).collect(),
            packets,
            targets: u32::MAX,
        };
        self.frame_number = self.frame_number.wrapping_add(1);
        if self.structure.is_some() {
            let indications = indications(&self.shape, spatial, temporal, key);
            frame.targets = (0..self.shape.spatial * self.shape.temporal)
                .filter(|&target| indications.is_present(target))
                .fold(0, |mask, target| mask | 1 << target);
        }
        let built = (0..packets)
            .map(|part| {
                let head = match self.shape.codec {
                    Codec::Vp8 => self.vp8(t as u8, key, sync && t > 0, part),
                    Codec::Vp9 => self.vp9(
                        picture,
                        (spatial, temporal),
                        key,
                        inter_layer,
                        &own,
                        part,
                        packets,
                    ),
                    Codec::H264 => h264(key, part, packets),
                    _ => vec![if key && part == 0 && spatial == 0 { 0x18 } else { 0x10 }, 0x30],
                };
                let mut payload = head;
                payload.extend_from_slice(&[0xaa; 40]);
                payload.extend_from_slice(&(id as u32).to_be_bytes());
                payload.extend_from_slice(&(part as u16).to_be_bytes());
                let descriptor =
                    self.descriptor(spatial, temporal, key, &references, part, packets);
                self.sequence = self.sequence.wrapping_add(1);
                Packet {
                    encoding: self.encoding,
                    sequence: self.sequence,
                    timestamp: self.timestamp(picture),
                    marker: false,
                    payload,
                    descriptor,
                }
            })
            .collect();
        if t == 0 && (key || !self.shape.apart) {
            for chain in s..3 {
                self.chains[chain] = self.frame_number;
            }
        } else if t == 0 {
            self.chains[s] = self.frame_number;
        }
        self.last[s][t] = Some(Reference { id, picture, frame_number: self.frame_number });
        frames.push(frame);
        built
    }

    fn picture_id(&self, out: &mut Vec<u8>) {
        let [high, low] = self.picture_id.to_be_bytes();
        if self.shape.long_ids { out.extend([high | 0x80, low]) } else { out.push(low & 0x7f) }
    }

    fn vp8(&self, temporal: u8, key: bool, sync: bool, part: usize) -> Vec<u8> {
        let mut out = vec![0x80 | u8::from(part == 0) << 4, 0xe0];
        self.picture_id(&mut out);
        out.extend([self.tl0, temporal << 6 | u8::from(sync) << 5, u8::from(!key)]);
        out
    }

    #[allow(clippy::too_many_arguments, reason = "each is one field of the descriptor")]
    fn vp9(
        &self,
        picture: u64,
        (spatial, temporal): (u8, u8),
        key: bool,
        inter_layer: bool,
        own: &[Reference],
        part: usize,
        packets: usize,
    ) -> Vec<u8> {
        let alone = self.shape.apart && !key || spatial + 1 == self.shape.spatial;
        let structure = key && spatial == 0 && part == 0;
        let mut head = 0xa0 | u8::from(alone);
        for (bit, set) in [
            (0x40, !key),
            (0x10, self.shape.flexible),
            (0x08, part == 0),
            (0x04, part + 1 == packets),
            (0x02, structure),
        ] {
            head |= if set { bit } else { 0 };
        }
        let mut out = vec![head];
        self.picture_id(&mut out);
        // As browsers have it: U where all references are of lower temporal layers.
        let up = key || temporal > 0;
        out.push(temporal << 5 | u8::from(up) << 4 | spatial << 1 | u8::from(inter_layer));
        if !self.shape.flexible {
            out.push(self.tl0);
        } else if !key {
            for (at, reference) in own.iter().enumerate() {
                let more = u8::from(at + 1 < own.len());
                out.push(((picture - reference.picture) as u8) << 1 | more);
            }
        }
        if structure {
            out.push((self.shape.spatial - 1) << 5);
        }
        out
    }

    fn descriptor(
        &self,
        spatial: u8,
        temporal: u8,
        key: bool,
        references: &[Reference],
        part: usize,
        packets: usize,
    ) -> Option<Vec<u8>> {
        let structure = self.structure.as_ref()?;
        let template = structure.templates.iter().enumerate().position(|(at, template)| {
            let is_key_template = at % (usize::from(self.shape.temporal) + 1) == 0;
            (template.spatial, template.temporal) == (spatial, temporal) && is_key_template == key
        })?;
        let differences: Vec<u16> =
            references.iter().map(|r| self.frame_number.wrapping_sub(r.frame_number)).collect();
        let chains: Vec<u8> = (0..usize::from(self.shape.spatial))
            .map(|chain| {
                let since = self.frame_number.wrapping_sub(self.chains[chain]);
                if key && chain >= usize::from(spatial) && spatial == 0 { 0 } else { since as u8 }
            })
            .collect();
        let same = structure.templates[template].references.as_slice() == differences;
        let draft = Draft {
            start_of_frame: part == 0,
            end_of_frame: part + 1 == packets,
            template: template as u8,
            frame_number: self.frame_number,
            structure,
            attach: key && spatial == 0 && part == 0,
            active: None,
            indications: None,
            references: (!same).then_some(&differences),
            chain_differences: Some(&chains),
        };
        Some(draft.write()?.to_vec())
    }
}

fn h264(key: bool, part: usize, packets: usize) -> Vec<u8> {
    match (key, part) {
        // Parameter sets in a packet of their own, then the fragments of one slice.
        (true, 0) => vec![0x78, 0, 2, 0x67, 0x42, 0, 2, 0x68, 0xce],
        (true, 1) => vec![0x7c, 0x85, 0x88],
        (true, _) => vec![0x7c, 0x05 | if part + 1 == packets { 0x40 } else { 0 }, 0x88],
        (false, 0) => vec![0x5c, 0x81, 0x9a],
        (false, _) => vec![0x5c, 0x01, 0x9a],
    }
}

/// What a frame is to the decode target of each spatial and temporal layer.
fn indications(shape: &Shape, spatial: u8, temporal: u8, key: bool) -> Indications {
    let mut indications = Indications::default();
    let tied = key || !shape.apart;
    for s in 0..shape.spatial {
        for t in 0..shape.temporal {
            let part = temporal <= t && (spatial == s || spatial < s && tied);
            let indication = match (part, spatial == s, temporal) {
                (false, ..) => continue,
                (true, true, 0) => Indication::Switch,
                (true, false, 0) if key => Indication::Switch,
                (true, true, of) if of == t => Indication::Discardable,
                (true, ..) => Indication::Required,
            };
            indications.set(s * shape.temporal + t, indication);
        }
    }
    indications
}

/// One template for the keyframes of each spatial layer, and one for each layer otherwise.
fn structure(shape: &Shape) -> Structure {
    let mut templates = Vec::new();
    for spatial in 0..shape.spatial {
        for (temporal, key) in
            std::iter::once((0, true)).chain((0..shape.temporal).map(|t| (t, false)))
        {
            templates.push(Template {
                spatial,
                temporal,
                indications: indications(shape, spatial, temporal, key),
                references: if spatial > 0 && key {
                    ArrayVec::from_iter([1])
                } else {
                    ArrayVec::new()
                },
                chain_differences: (0..shape.spatial).map(|_| 0).collect(),
            });
        }
    }
    let targets = shape.spatial * shape.temporal;
    Structure::new(
        17,
        targets,
        templates,
        (0..targets).map(|target| target / shape.temporal).collect(),
        shape.spatial,
        (0..shape.spatial).map(|s| (320 << s, 180 << s)).collect(),
    )
}
