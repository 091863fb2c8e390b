//! The template dependency structure: which kinds of frames there are, what they depend on, and
//! which decode targets they are for (RTP Payload Format For AV1, appendix A.8.3 ff.).

use arrayvec::ArrayVec;

use super::bits::{BitReader, BitWriter};

/// Decode targets of one structure (`dt_cnt_minus_one` has five bits).
pub const DECODE_TARGETS_MAX: usize = 32;
/// Templates of one structure (`frame_dependency_template_id` has six bits).
pub const TEMPLATES_MAX: usize = 64;
/// Frames that one frame refers to: AV1 has seven references, other codecs less.
pub const REFERENCES_MAX: usize = 8;
/// Spatial and temporal layers, each: what [`crate::forward::layer::LayerId`] tells apart.
pub const LAYERS_MAX: u8 = 8;

/// How a frame relates to a decode target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Indication {
    /// Not part of it.
    NotPresent,
    /// Part of it, and no later frame of it depends on this one.
    Discardable,
    /// Part of it, and later frames of it depend on nothing before this one but by this one.
    Switch,
    /// Part of it.
    Required,
}

/// One indication for each decode target, two bits each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Indications(u64);

impl Indications {
    /// The indication for a decode target.
    #[must_use]
    pub fn of(self, target: u8) -> Indication {
        match self.0 >> (2 * u32::from(target & 31)) & 3 {
            0 => Indication::NotPresent,
            1 => Indication::Discardable,
            2 => Indication::Switch,
            _ => Indication::Required,
        }
    }

    /// Sets the indication for a decode target that had none.
    pub fn set(&mut self, target: u8, indication: Indication) {
        self.0 |= (indication as u64) << (2 * u32::from(target & 31));
    }

    /// Whether the frame is part of a decode target.
    #[must_use]
    pub fn is_present(self, target: u8) -> bool {
        self.of(target) != Indication::NotPresent
    }

    pub(super) fn read(reader: &mut BitReader<'_>, targets: u8) -> Option<Self> {
        let mut indications = 0;
        for target in 0..u32::from(targets) {
            indications |= u64::from(reader.bits(2)?) << (2 * target);
        }
        Some(Self(indications))
    }

    pub(super) fn write(self, writer: &mut BitWriter<'_>, targets: u8) {
        for target in 0..u32::from(targets) {
            writer.bits((self.0 >> (2 * target) & 3) as u32, 2);
        }
    }
}

/// A kind of frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    /// Its spatial layer.
    pub spatial: u8,
    /// Its temporal layer.
    pub temporal: u8,
    /// What it is to each decode target.
    pub indications: Indications,
    /// The frames it refers to, by how many frames ago they were: 1 to 16.
    pub references: ArrayVec<u16, REFERENCES_MAX>,
    /// For each chain, how many frames ago its previous frame was: 0 to 15, 0 for none.
    pub chain_differences: ArrayVec<u8, DECODE_TARGETS_MAX>,
}

/// A template dependency structure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Structure {
    /// The template id of the first template; ids go on from there, modulo 64.
    pub template_id_offset: u8,
    /// Decode targets: 1 to [`DECODE_TARGETS_MAX`].
    pub decode_targets: u8,
    /// The templates: 1 to [`TEMPLATES_MAX`], by spatial, then temporal layer.
    pub templates: Vec<Template>,
    /// For each decode target the chain that protects it; empty without chains.
    pub protected_by: ArrayVec<u8, DECODE_TARGETS_MAX>,
    /// How many chains there are.
    pub chains: u8,
    /// Width and height of each spatial layer, in pixels; empty if not said.
    pub sizes: ArrayVec<(u16, u16), { LAYERS_MAX as usize }>,
    /// For each decode target its spatial and temporal layer.
    pub targets: ArrayVec<(u8, u8), DECODE_TARGETS_MAX>,
    /// For each decode target those that are part of it: whoever has all of its frames has theirs.
    pub included: ArrayVec<u32, DECODE_TARGETS_MAX>,
}

impl Structure {
    /// Reads a structure; `None` if it is cut short or beyond the bounds.
    pub(super) fn read(reader: &mut BitReader<'_>) -> Option<Self> {
        let template_id_offset = reader.small(6)?;
        let decode_targets = reader.small(5)? + 1;
        let mut templates = read_layers(reader)?;
        for template in &mut templates {
            template.indications = Indications::read(reader, decode_targets)?;
        }
        for template in &mut templates {
            while reader.flag()? {
                template.references.try_push(reader.bits(4)? as u16 + 1).ok()?;
            }
        }
        let chains = reader.below(decode_targets + 1)?;
        let mut protected_by = ArrayVec::new();
        if chains > 0 {
            for _ in 0..decode_targets {
                protected_by.push(reader.below(chains)?);
            }
            for template in &mut templates {
                for _ in 0..chains {
                    template.chain_differences.push(reader.small(4)?);
                }
            }
        }
        let mut sizes = ArrayVec::new();
        if reader.flag()? {
            let highest = templates.iter().map(|template| template.spatial).max().unwrap_or(0);
            for _ in 0..=highest {
                let mut pixels = || Some((reader.bits(16)? as u16).saturating_add(1));
                sizes.push((pixels()?, pixels()?));
            }
        }
        Some(Self::new(template_id_offset, decode_targets, templates, protected_by, chains, sizes))
    }

    /// A structure of these parts, and what follows from them.
    #[must_use]
    pub fn new(
        template_id_offset: u8,
        decode_targets: u8,
        templates: Vec<Template>,
        protected_by: ArrayVec<u8, DECODE_TARGETS_MAX>,
        chains: u8,
        sizes: ArrayVec<(u16, u16), { LAYERS_MAX as usize }>,
    ) -> Self {
        let has = |template: &Template, target| template.indications.is_present(target);
        let layers = |target| {
            let present = templates.iter().filter(|template| has(template, target));
            present.fold((0, 0), |(spatial, temporal), template| {
                (template.spatial.max(spatial), template.temporal.max(temporal))
            })
        };
        let is_part = |part, whole| {
            templates.iter().all(|template| !has(template, part) || has(template, whole))
        };
        let included = |whole| {
            (0..decode_targets)
                .filter(|&part| is_part(part, whole))
                .fold(0, |mask, part| mask | 1 << part)
        };
        Self {
            targets: (0..decode_targets).map(layers).collect(),
            included: (0..decode_targets).map(included).collect(),
            template_id_offset,
            decode_targets,
            templates,
            protected_by,
            chains,
            sizes,
        }
    }

    pub(super) fn write(&self, writer: &mut BitWriter<'_>) {
        writer.bits(u32::from(self.template_id_offset), 6);
        writer.bits(u32::from(self.decode_targets - 1), 5);
        for (at, template) in self.templates.iter().enumerate() {
            let next = match self.templates.get(at + 1) {
                None => 3,
                Some(next) if next.spatial > template.spatial => 2,
                Some(next) => u32::from(next.temporal > template.temporal),
            };
            writer.bits(next, 2);
        }
        for template in &self.templates {
            template.indications.write(writer, self.decode_targets);
        }
        for template in &self.templates {
            for &reference in &template.references {
                writer.bits(1, 1);
                writer.bits(u32::from(reference - 1), 4);
            }
            writer.bits(0, 1);
        }
        writer.below(self.chains, self.decode_targets + 1);
        for &chain in &self.protected_by {
            writer.below(chain, self.chains);
        }
        for difference in self.templates.iter().flat_map(|t| &t.chain_differences) {
            writer.bits(u32::from(*difference), 4);
        }
        writer.bits(u32::from(!self.sizes.is_empty()), 1);
        for &(width, height) in &self.sizes {
            writer.bits(u32::from(width - 1), 16);
            writer.bits(u32::from(height - 1), 16);
        }
    }

    /// The mask of all decode targets.
    #[must_use]
    pub fn all(&self) -> u32 {
        u32::MAX >> (32 - u32::from(self.decode_targets))
    }

    /// The decode target that shows as much as `spatial` and `temporal` allow, of those in
    /// `among`: the highest spatial layer first. If all are beyond, the lowest spatial layer there
    /// is, with as many pictures as are allowed: whoever waits for a keyframe to come down sees no
    /// fewer meanwhile.
    #[must_use]
    pub fn target_for(&self, spatial: u8, temporal: u8, among: u32) -> Option<u8> {
        let candidates = (0u8..).zip(&self.targets).filter(|&(at, _)| among >> at & 1 == 1);
        let within = candidates.clone().filter(|&(_, &(s, t))| s <= spatial && t <= temporal);
        let best = within.max_by_key(|&(_, &layer)| layer);
        let least = |&(_, &(s, t)): &(u8, &(u8, u8))| {
            if t <= temporal { (s, 0, u8::MAX - t) } else { (s, 1, t) }
        };
        best.or_else(|| candidates.min_by_key(least)).map(|(at, _)| at)
    }
}

/// The templates with their layers (A.8.3.1).
fn read_layers(reader: &mut BitReader<'_>) -> Option<Vec<Template>> {
    let mut templates = Vec::new();
    let (mut spatial, mut temporal) = (0, 0);
    loop {
        if templates.len() == TEMPLATES_MAX || spatial >= LAYERS_MAX || temporal >= LAYERS_MAX {
            return None;
        }
        templates.push(Template { spatial, temporal, ..Template::default() });
        match reader.bits(2)? {
            0 => {}
            1 => temporal += 1,
            2 => (spatial, temporal) = (spatial + 1, 0),
            _ => return Some(templates),
        }
    }
}
