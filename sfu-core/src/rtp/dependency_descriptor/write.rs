//! Descriptors written anew, and descriptors changed in place.

use super::bits::{BitReader, BitWriter, Element};
use super::structure::{Indications, Structure};

/// A descriptor to be written.
#[derive(Clone, Copy, Debug)]
pub struct Draft<'a> {
    /// The first packet of a frame.
    pub start_of_frame: bool,
    /// The last packet of a frame.
    pub end_of_frame: bool,
    /// Place of the frame's template in the structure.
    pub template: u8,
    /// Counts frames.
    pub frame_number: u16,
    /// The structure in force.
    pub structure: &'a Structure,
    /// Whether it is to be attached.
    pub attach: bool,
    /// The mask of active decode targets, if it is to be said.
    pub active: Option<u32>,
    /// Where the frame differs from its template.
    pub indications: Option<Indications>,
    /// As [`Self::indications`]; each 1 to 4096.
    pub references: Option<&'a [u16]>,
    /// As [`Self::indications`]; one for each chain.
    pub chain_differences: Option<&'a [u8]>,
}

impl Draft<'_> {
    /// The data of the header extension element; `None` if it is too long for one.
    #[must_use]
    pub fn write(&self) -> Option<Element> {
        let mut out = Element::new();
        let mut writer = BitWriter::new(&mut out);
        let template_id = (self.template + self.structure.template_id_offset) % 64;
        writer.bits(u32::from(self.start_of_frame), 1);
        writer.bits(u32::from(self.end_of_frame), 1);
        writer.bits(u32::from(template_id), 6);
        writer.bits(u32::from(self.frame_number), 16);
        let flags = [
            self.attach,
            self.active.is_some(),
            self.indications.is_some(),
            self.references.is_some(),
            self.chain_differences.is_some(),
        ];
        if flags.contains(&true) {
            for flag in flags {
                writer.bits(u32::from(flag), 1);
            }
            self.write_extended(&mut writer);
        }
        writer.finish().then_some(out)
    }

    fn write_extended(&self, writer: &mut BitWriter<'_>) {
        if self.attach {
            self.structure.write(writer);
        }
        if let Some(active) = self.active {
            writer.bits(active, u32::from(self.structure.decode_targets));
        }
        if let Some(indications) = self.indications {
            indications.write(writer, self.structure.decode_targets);
        }
        if let Some(references) = self.references {
            for &reference in references {
                let value = u32::from(reference - 1);
                let nibbles = (32 - value.leading_zeros()).div_ceil(4).clamp(1, 3);
                writer.bits(nibbles, 2);
                writer.bits(value, 4 * nibbles);
            }
            writer.bits(0, 2);
        }
        for &difference in self.chain_differences.into_iter().flatten() {
            writer.bits(u32::from(difference), 8);
        }
    }
}

/// A mask of active decode targets to be put into a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaskEdit {
    /// The mask.
    pub active: u32,
    /// How many decode targets there are.
    pub decode_targets: u8,
    /// Where it goes, in bits: [`super::Frame::mask_at`].
    pub at: u16,
    /// Whether there is one already.
    pub replaces: bool,
}

/// Writes a descriptor with another frame number and, if wanted, another mask. The mask is left
/// out if the descriptor has no room for it. What is too short for a descriptor comes back as is.
pub fn rewrite(original: &[u8], frame_number: u16, mask: Option<MaskEdit>, out: &mut Element) {
    out.clear();
    if let Some(mask) = mask
        && insert(original, mask, out)
    {
        set_frame_number(out, frame_number);
        return;
    }
    out.clear();
    if out.try_extend_from_slice(original).is_ok() {
        set_frame_number(out, frame_number);
    }
}

fn set_frame_number(out: &mut Element, frame_number: u16) {
    if let Some(field) = out.get_mut(1..3) {
        field.copy_from_slice(&frame_number.to_be_bytes());
    }
}

/// Bit of the flag that says there is a mask: the second of the extended part.
const MASK_FLAG_AT: usize = 25;

/// Copies with the mask put in; false if that cannot be done.
fn insert(original: &[u8], mask: MaskEdit, out: &mut Element) -> bool {
    let width = u32::from(mask.decode_targets);
    let mut reader = BitReader::new(original);
    let mut writer = BitWriter::new(out);
    if original.len() <= 3 {
        // No extended part: there is nothing but the mask to be put there.
        for &byte in original {
            writer.bits(u32::from(byte), 8);
        }
        writer.bits(0b0_1000, 5);
        writer.bits(mask.active, width);
        return writer.finish() && original.len() == 3;
    }
    for at in 0..usize::from(mask.at) {
        let Some(bit) = reader.bits(1) else { return false };
        writer.bits(if at == MASK_FLAG_AT { 1 } else { bit }, 1);
    }
    writer.bits(mask.active, width);
    if mask.replaces && reader.bits(width).is_none() {
        return false;
    }
    while let Some(bit) = reader.bits(1) {
        writer.bits(bit, 1);
    }
    writer.finish()
}
