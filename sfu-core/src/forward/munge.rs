//! How a packet's bytes change for one subscriber beyond the header's numbers: picture ids and
//! their like go on over switches, and what is left out leaves no trace.

use crate::rtp::dependency_descriptor::{self, Element, MaskEdit};

/// The changes to one packet. Kept with what was sent, so that it can be sent again as it was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Edit {
    /// Nothing of the payload is sent: the packet only fills the place of one that is not for
    /// this subscriber.
    pub empty: bool,
    /// The picture ends here for this subscriber, though not for others: the marker bit is set.
    pub end_of_picture: bool,
    /// The payload descriptor.
    pub payload: PayloadEdit,
    /// Frame number in the dependency descriptor.
    pub frame_number: Option<u16>,
    /// Mask of active decode targets in the dependency descriptor.
    pub mask: Option<MaskEdit>,
}

/// The changes to a payload descriptor. A field the packet does not have is not added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PayloadEdit {
    /// None.
    #[default]
    Keep,
    /// RFC 7741 §4.2.
    Vp8 {
        /// PictureID, all 15 bits of it; the packet has 7 or 15.
        picture_id: u16,
        /// TL0PICIDX.
        tl0_picture_index: u8,
        /// KEYIDX, of which 5 bits count.
        key_index: u8,
    },
    /// RFC 9628 §4.2.
    Vp9 {
        /// Picture id, all 15 bits of it; the packet has 7 or 15.
        picture_id: u16,
        /// TL0PICIDX.
        tl0_picture_index: u8,
    },
}

impl Edit {
    /// The packet that fills a place: see [`crate::forward::selector::Verdict::Fill`].
    #[must_use]
    pub fn fill() -> Self {
        Self { empty: true, ..Self::default() }
    }
}

/// Appends the payload as this subscriber gets it. For an empty packet that is one byte of
/// padding, for which the header needs the padding bit (RFC 3550 §5.1): see [`padding`].
pub fn write_payload(out: &mut Vec<u8>, payload: &[u8], edit: &Edit) {
    if edit.empty {
        out.push(1);
        return;
    }
    let start = out.len();
    out.extend_from_slice(payload);
    let written = &mut out[start..];
    match edit.payload {
        PayloadEdit::Keep => {}
        PayloadEdit::Vp8 { picture_id, tl0_picture_index, key_index } => {
            let done = edit_vp8(written, picture_id, tl0_picture_index, key_index);
            debug_assert!(done.is_some(), "edits are made for packets that were read");
        }
        PayloadEdit::Vp9 { picture_id, tl0_picture_index } => {
            let done = edit_vp9(written, picture_id, tl0_picture_index);
            debug_assert!(done.is_some(), "edits are made for packets that were read");
        }
    }
}

/// Whether the header needs the padding bit.
#[must_use]
pub fn padding(edit: &Edit) -> bool {
    edit.empty
}

/// The marker bit as this subscriber gets it.
#[must_use]
pub fn marker(edit: &Edit, original: bool) -> bool {
    !edit.empty && (original || edit.end_of_picture)
}

/// The dependency descriptor as this subscriber gets it. False: the packet has none.
pub fn descriptor(edit: &Edit, original: &[u8], buffer: &mut Element) -> bool {
    let Some(frame_number) = edit.frame_number.filter(|_| !edit.empty) else { return false };
    dependency_descriptor::rewrite(original, frame_number, edit.mask, buffer);
    true
}

fn edit_vp8(payload: &mut [u8], picture_id: u16, tl0: u8, key_index: u8) -> Option<()> {
    if payload.first()? & 0x80 == 0 {
        return Some(());
    }
    let present = *payload.get(1)?;
    let mut at = 2;
    if present & 0x80 != 0 {
        at += set_picture_id(payload, at, picture_id)?;
    }
    if present & 0x40 != 0 {
        *payload.get_mut(at)? = tl0;
        at += 1;
    }
    if present & 0x10 != 0 {
        let byte = payload.get_mut(at)?;
        *byte = *byte & 0xe0 | key_index & 0x1f;
    }
    Some(())
}

fn edit_vp9(payload: &mut [u8], picture_id: u16, tl0: u8) -> Option<()> {
    let head = *payload.first()?;
    let mut at = 1;
    if head & 0x80 != 0 {
        at += set_picture_id(payload, at, picture_id)?;
    }
    let layers_and_not_flexible = head & 0x30 == 0x20;
    if layers_and_not_flexible {
        *payload.get_mut(at + 1)? = tl0;
    }
    Some(())
}

/// Writes a picture id in the length that is there, and gives that length in bytes.
fn set_picture_id(payload: &mut [u8], at: usize, picture_id: u16) -> Option<usize> {
    let [high, low] = picture_id.to_be_bytes();
    if payload.get(at)? & 0x80 == 0 {
        payload[at] = low & 0x7f;
        return Some(1);
    }
    *payload.get_mut(at + 1)? = low;
    payload[at] = high | 0x80;
    Some(2)
}
