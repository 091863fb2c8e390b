//! The dependency descriptor (RTP Payload Format For AV1, appendix A): a writer for cameras and a
//! reader for those who judge, both apart from the engine's.

use smallvec::SmallVec;

use super::bits::{Reader, Writer};

/// How a frame stands to a decode target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the specification's names")]
pub enum Indication {
    #[default]
    NotPresent,
    Discardable,
    Switch,
    Required,
}

impl Indication {
    fn of(bits: u32) -> Self {
        [Self::NotPresent, Self::Discardable, Self::Switch, Self::Required][bits as usize & 3]
    }
}

/// What a frame depends on, and who depends on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dependencies {
    /// Its spatial layer.
    pub spatial: u8,
    /// Its temporal layer.
    pub temporal: u8,
    /// For each decode target.
    pub indications: SmallVec<[Indication; 12]>,
    /// Frames it builds on, as differences of frame numbers, from 1.
    pub back: SmallVec<[u16; 4]>,
    /// For each chain, how far back its last frame is.
    pub chains: SmallVec<[u8; 4]>,
}

/// What a keyframe says of the frames to come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Structure {
    /// The number of the first template.
    pub offset: u8,
    /// Decode targets.
    pub targets: u8,
    /// In order of layers.
    pub templates: Vec<Dependencies>,
    /// The chain that protects each decode target; empty without chains.
    pub protected_by: Vec<u8>,
    /// Chains.
    pub chains: u8,
    /// Width and height of each spatial layer; may be empty.
    pub sizes: Vec<(u16, u16)>,
}

/// What a packet says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Descriptor {
    /// The first packet of a frame.
    pub start: bool,
    /// The last packet of a frame.
    pub end: bool,
    /// Counts frames.
    pub number: u16,
    /// Of this frame.
    pub dependencies: Dependencies,
    /// From this frame on.
    pub structure: Option<Structure>,
    /// Decode targets that are sent, one bit each, if it says so.
    pub active: Option<u32>,
}

/// Writes a descriptor. `with_structure` attaches `structure`, from which a template is taken.
///
/// # Panics
/// If no template has the frame's layers.
#[must_use]
pub fn write(structure: &Structure, descriptor: &Descriptor, with_structure: bool) -> Vec<u8> {
    let frame = &descriptor.dependencies;
    let same_layer = |t: &&Dependencies| (t.spatial, t.temporal) == (frame.spatial, frame.temporal);
    let exact = structure.templates.iter().position(|template| template == frame);
    let near = || structure.templates.iter().position(|template| same_layer(&template));
    let at = exact.or_else(near).expect("a template for every layer");
    let template = &structure.templates[at];
    let custom = [
        template.indications != frame.indications,
        template.back != frame.back,
        template.chains != frame.chains,
    ];
    let mut out = Writer::default();
    out.flag(descriptor.start);
    out.flag(descriptor.end);
    out.bits((u32::from(structure.offset) + at as u32) % 64, 6);
    out.bits(descriptor.number.into(), 16);
    if !with_structure && descriptor.active.is_none() && custom == [false; 3] {
        return out.finish();
    }
    out.flag(with_structure);
    out.flag(descriptor.active.is_some());
    custom.into_iter().for_each(|custom| out.flag(custom));
    if with_structure {
        write_structure(&mut out, structure);
    }
    if let Some(active) = descriptor.active {
        out.bits(active, structure.targets.into());
    }
    if custom[0] {
        frame.indications.iter().for_each(|&indication| out.bits(indication as u32, 2));
    }
    if custom[1] {
        for &back in &frame.back {
            let nibbles = if back <= 16 {
                1
            } else if back <= 256 {
                2
            } else {
                3
            };
            out.bits(nibbles, 2);
            out.bits(u32::from(back) - 1, 4 * nibbles);
        }
        out.bits(0, 2);
    }
    if custom[2] {
        frame.chains.iter().for_each(|&chain| out.bits(chain.into(), 8));
    }
    out.finish()
}

fn write_structure(out: &mut Writer, structure: &Structure) {
    out.bits(structure.offset.into(), 6);
    out.bits(u32::from(structure.targets) - 1, 5);
    for pair in structure.templates.windows(2) {
        let next = match (pair[1].spatial - pair[0].spatial, pair[1].temporal) {
            (0, temporal) => u32::from(temporal - pair[0].temporal),
            _ => 2,
        };
        out.bits(next, 2);
    }
    out.bits(3, 2);
    for template in &structure.templates {
        template.indications.iter().for_each(|&indication| out.bits(indication as u32, 2));
    }
    for template in &structure.templates {
        for &back in &template.back {
            out.flag(true);
            out.bits(u32::from(back) - 1, 4);
        }
        out.flag(false);
    }
    out.below(structure.chains.into(), u32::from(structure.targets) + 1);
    if structure.chains > 0 {
        for &chain in &structure.protected_by {
            out.below(chain.into(), structure.chains.into());
        }
        for template in &structure.templates {
            template.chains.iter().for_each(|&chain| out.bits(chain.into(), 4));
        }
    }
    out.flag(!structure.sizes.is_empty());
    for &(width, height) in &structure.sizes {
        out.bits(u32::from(width) - 1, 16);
        out.bits(u32::from(height) - 1, 16);
    }
}

/// Reads a descriptor, by the structure that holds if it brings none. `None` if it makes no sense.
#[must_use]
pub fn read(bytes: &[u8], known: Option<&Structure>) -> Option<Descriptor> {
    let mut bits = Reader::new(bytes);
    let mut descriptor =
        Descriptor { start: bits.flag()?, end: bits.flag()?, ..Descriptor::default() };
    let template = bits.bits(6)?;
    descriptor.number = bits.bits(16)? as u16;
    let mut flags = [false; 5];
    if bytes.len() > 3 {
        for flag in &mut flags {
            *flag = bits.flag()?;
        }
    }
    let [with_structure, with_active, indications, back, chains] = flags;
    if with_structure {
        descriptor.structure = Some(read_structure(&mut bits)?);
    }
    let structure = descriptor.structure.as_ref().or(known)?;
    if with_active {
        descriptor.active = Some(bits.bits(structure.targets.into())?);
    }
    let at = (template + 64 - u32::from(structure.offset)) % 64;
    let mut frame = structure.templates.get(at as usize)?.clone();
    if indications {
        for indication in &mut frame.indications {
            *indication = Indication::of(bits.bits(2)?);
        }
    }
    if back {
        frame.back.clear();
        loop {
            let nibbles = bits.bits(2)?;
            if nibbles == 0 {
                break;
            }
            frame.back.push(bits.bits(4 * nibbles)? as u16 + 1);
        }
    }
    if chains {
        for chain in &mut frame.chains {
            *chain = bits.bits(8)? as u8;
        }
    }
    descriptor.dependencies = frame;
    Some(descriptor)
}

fn read_structure(bits: &mut Reader<'_>) -> Option<Structure> {
    let mut structure = Structure {
        offset: bits.bits(6)? as u8,
        targets: bits.bits(5)? as u8 + 1,
        ..Structure::default()
    };
    let (mut spatial, mut temporal) = (0, 0);
    loop {
        structure.templates.push(Dependencies { spatial, temporal, ..Dependencies::default() });
        match bits.bits(2)? {
            0 => {}
            1 => temporal += 1,
            2 => (spatial, temporal) = (spatial + 1, 0),
            _ => break,
        }
        if structure.templates.len() == 64 {
            return None;
        }
    }
    for template in &mut structure.templates {
        for _ in 0..structure.targets {
            template.indications.push(Indication::of(bits.bits(2)?));
        }
    }
    for template in &mut structure.templates {
        while bits.flag()? {
            template.back.push(bits.bits(4)? as u16 + 1);
        }
    }
    structure.chains = bits.below(u32::from(structure.targets) + 1)? as u8;
    if structure.chains > 0 {
        for _ in 0..structure.targets {
            structure.protected_by.push(bits.below(structure.chains.into())? as u8);
        }
        for template in &mut structure.templates {
            for _ in 0..structure.chains {
                template.chains.push(bits.bits(4)? as u8);
            }
        }
    }
    if bits.flag()? {
        for _ in 0..=spatial {
            structure.sizes.push((bits.bits(16)? as u16 + 1, bits.bits(16)? as u16 + 1));
        }
    }
    Some(structure)
}

#[cfg(test)]
mod tests {
    use smallvec::smallvec;

    use super::*;

    fn frame(temporal: u8, indications: [u32; 2], back: &[u16], chain: u8) -> Dependencies {
        Dependencies {
            spatial: 0,
            temporal,
            indications: indications.iter().map(|&bits| Indication::of(bits)).collect(),
            back: back.into(),
            chains: smallvec![chain],
        }
    }

    fn l1t2() -> Structure {
        let templates =
            vec![frame(0, [2, 2], &[], 0), frame(0, [2, 2], &[2], 2), frame(1, [0, 1], &[1], 1)];
        let sizes = vec![(640, 360)];
        Structure { offset: 60, targets: 2, templates, protected_by: vec![0, 0], chains: 1, sizes }
    }

    #[test]
    fn descriptors_survive_with_template_structure_and_custom_fields() {
        let structure = l1t2();
        for (dependencies, with_structure, active, bytes) in [
            (frame(0, [2, 2], &[2], 2), false, None, 3),
            (frame(0, [2, 2], &[], 0), true, None, 15),
            (frame(1, [0, 3], &[1, 300], 200), false, Some(0b01), 9),
        ] {
            let mut descriptor = Descriptor {
                start: true,
                number: 0xfffe,
                dependencies,
                active,
                ..Descriptor::default()
            };
            let written = write(&structure, &descriptor, with_structure);
            assert_eq!(written.len(), bytes, "{written:02x?}");
            descriptor.structure = with_structure.then(|| structure.clone());
            let known = (!with_structure).then_some(&structure);
            assert_eq!(read(&written, known), Some(descriptor));
            if with_structure {
                assert!((3..bytes - 1).all(|cut| read(&written[..cut], None).is_none()));
            }
        }
        assert_eq!(read(&[0x80, 0, 1], None), None, "nothing is known of templates");
    }
}
