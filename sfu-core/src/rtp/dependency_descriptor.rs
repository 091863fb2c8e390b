//! The AV1 RTP dependency descriptor (RTP Payload Format For AV1, appendix A), which other codecs
//! may carry too: read with the structure that the last keyframe brought, and written.

mod bits;
mod structure;
mod write;

use std::sync::Arc;

use arrayvec::ArrayVec;

use bits::BitReader;
pub use bits::Element;
pub use structure::{
    DECODE_TARGETS_MAX, Indication, Indications, LAYERS_MAX, REFERENCES_MAX, Structure,
    TEMPLATES_MAX, Template,
};
pub use write::{Draft, MaskEdit, rewrite};

/// A dependency descriptor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// The first packet of a frame.
    pub start_of_frame: bool,
    /// The last packet of a frame.
    pub end_of_frame: bool,
    /// Counts frames.
    pub frame_number: u16,
    /// The template structure is attached: a new coded video sequence.
    pub has_structure: bool,
    /// What it says of the frame; `None` without the structure to read it by.
    pub frame: Option<Frame>,
}

/// What a dependency descriptor says of its frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What it was read by.
    pub structure: Arc<Structure>,
    /// Place of its template in the structure.
    pub template: u8,
    /// Spatial layer.
    pub spatial: u8,
    /// Temporal layer.
    pub temporal: u8,
    /// What it is to each decode target.
    pub indications: Indications,
    /// The frames it refers to, by how many frames ago they were.
    pub references: ArrayVec<u16, REFERENCES_MAX>,
    /// For each chain, how many frames ago its previous frame was; 0 for none.
    pub chain_differences: ArrayVec<u8, DECODE_TARGETS_MAX>,
    /// The decode targets that are being sent.
    pub active: u32,
    /// Where the mask of active decode targets is, or would be, in bits.
    pub mask_at: u16,
    /// Whether it is there.
    pub has_mask: bool,
}

/// What is remembered of a stream to read its descriptors.
#[derive(Clone, Debug, Default)]
pub struct Reader {
    latest: Option<Known>,
    /// The structure before, for packets that come late.
    before: Option<Known>,
}

/// A structure in force.
#[derive(Clone, Debug)]
struct Known {
    structure: Arc<Structure>,
    /// The frame that brought it.
    since: u16,
    /// The mask last said, and by which frame.
    active: u32,
    said: u16,
}

/// The flags of the extended part (A.8.2).
struct Flags {
    active: bool,
    indications: bool,
    references: bool,
    chains: bool,
}

impl Reader {
    /// Reads the data of the header extension element. `None` if it is cut short within what it
    /// says, or contradicts the structure; nothing is remembered of it then.
    pub fn read(&mut self, data: &[u8]) -> Option<Descriptor> {
        let mut reader = BitReader::new(data);
        let start_of_frame = reader.flag()?;
        let end_of_frame = reader.flag()?;
        let template_id = reader.small(6)?;
        let frame_number = reader.bits(16)? as u16;
        let extended = data.len() > 3;
        let mut flag = || if extended { reader.flag() } else { Some(false) };
        let has_structure = flag()?;
        let flags =
            Flags { active: flag()?, indications: flag()?, references: flag()?, chains: flag()? };
        let attached = has_structure
            .then(|| Structure::read(&mut reader))
            .map_or(Some(None), |structure| {
                structure.map(|structure| Some(Known::new(structure, frame_number)))
            })?;
        let known = attached.as_ref().or_else(|| self.in_force(frame_number));
        let frame = match known {
            Some(known) => Some(read_frame(reader, known, template_id, frame_number, &flags)?),
            None => None,
        };
        self.remember(frame_number, attached, frame.as_ref());
        Some(Descriptor { start_of_frame, end_of_frame, frame_number, has_structure, frame })
    }

    /// The structure that a frame is to be read by.
    fn in_force(&self, frame_number: u16) -> Option<&Known> {
        let latest = self.latest.as_ref()?;
        if is_before(frame_number, latest.since) { self.before.as_ref() } else { Some(latest) }
    }

    fn remember(&mut self, frame_number: u16, attached: Option<Known>, frame: Option<&Frame>) {
        if let Some(mut attached) = attached {
            attached.active = frame.map_or(attached.active, |frame| frame.active);
            match &self.latest {
                Some(latest) if is_before(attached.since, latest.since) => {
                    self.before = Some(attached);
                }
                Some(latest) if attached.since == latest.since => self.latest = Some(attached),
                _ => self.before = self.latest.replace(attached),
            }
            return;
        }
        let Some(frame) = frame.filter(|frame| frame.has_mask) else { return };
        if let Some(latest) = &mut self.latest
            && !is_before(frame_number, latest.said)
        {
            (latest.active, latest.said) = (frame.active, frame_number);
        }
    }
}

impl Known {
    fn new(structure: Structure, since: u16) -> Self {
        Self { active: structure.all(), structure: Arc::new(structure), since, said: since }
    }
}

/// Whether one frame number is behind another, the shorter way round.
fn is_before(a: u16, b: u16) -> bool {
    a.wrapping_sub(b).cast_signed() < 0
}

/// The rest of a descriptor, from the mask on (A.8.3).
fn read_frame(
    mut reader: BitReader<'_>,
    known: &Known,
    template_id: u8,
    frame_number: u16,
    flags: &Flags,
) -> Option<Frame> {
    let structure = &known.structure;
    let mask_at = reader.position() as u16;
    let active = match flags.active {
        true => reader.bits(u32::from(structure.decode_targets))?,
        false if is_before(frame_number, known.said) => structure.all(),
        false => known.active,
    };
    let at = (template_id + 64 - structure.template_id_offset) % 64;
    let template = structure.templates.get(usize::from(at))?;
    let mut frame = Frame {
        structure: Arc::clone(structure),
        template: at,
        spatial: template.spatial,
        temporal: template.temporal,
        indications: template.indications,
        references: template.references.clone(),
        chain_differences: template.chain_differences.clone(),
        active,
        mask_at,
        has_mask: flags.active,
    };
    if flags.indications {
        frame.indications = Indications::read(&mut reader, structure.decode_targets)?;
    }
    if flags.references {
        frame.references.clear();
        loop {
            let nibbles = reader.bits(2)?;
            if nibbles == 0 {
                break;
            }
            frame.references.try_push(reader.bits(4 * nibbles)? as u16 + 1).ok()?;
        }
    }
    if flags.chains {
        for difference in &mut frame.chain_differences {
            *difference = reader.small(8)?;
        }
    }
    Some(frame)
}

#[cfg(test)]
mod tests;
