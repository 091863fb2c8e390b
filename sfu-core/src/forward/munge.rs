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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::negotiation::Codec;
    use crate::rtp::codec_view::{Detail, Reader};

    fn written(payload: &[u8], payload_edit: PayloadEdit) -> Vec<u8> {
        let edit = Edit { payload: payload_edit, ..Edit::default() };
        let mut out = vec![0x55];
        write_payload(&mut out, payload, &edit);
        assert_eq!(out.remove(0), 0x55, "what is there stays");
        out
    }

    #[test]
    fn fields_are_edited_in_the_length_they_have() {
        let vp8 = PayloadEdit::Vp8 { picture_id: 0x1234, tl0_picture_index: 0x56, key_index: 0xff };
        let vp9 = PayloadEdit::Vp9 { picture_id: 0x1234, tl0_picture_index: 0x56 };
        let table: [(PayloadEdit, &[u8], &[u8]); 9] = [
            (vp8, &[0x10, 7], &[0x10, 7]),
            (vp8, &[0x90, 0x80, 0x05, 7], &[0x90, 0x80, 0x34, 7]),
            (vp8, &[0x90, 0xe0, 0x80, 1, 2, 0x60, 7], &[0x90, 0xe0, 0x92, 0x34, 0x56, 0x60, 7]),
            (vp8, &[0x90, 0x50, 1, 0x62, 7], &[0x90, 0x50, 0x56, 0x7f, 7]),
            (vp8, &[0x90, 0x20, 0x62, 7], &[0x90, 0x20, 0x62, 7]),
            (vp9, &[0x08, 7], &[0x08, 7]),
            (vp9, &[0x88, 1, 7], &[0x88, 0x34, 7]),
            (vp9, &[0xa8, 0x80, 1, 2, 3, 7], &[0xa8, 0x92, 0x34, 2, 0x56, 7]),
            (vp9, &[0xf8, 0x80, 1, 2, 3, 7], &[0xf8, 0x92, 0x34, 2, 3, 7]),
        ];
        for (edit, payload, want) in table {
            assert_eq!(written(payload, edit), want, "{payload:02x?}");
            assert_eq!(written(payload, PayloadEdit::Keep), payload);
        }
    }

    #[test]
    fn a_packet_that_fills_a_place_is_one_byte_of_padding() {
        let mut out = Vec::new();
        let edit = Edit::fill();
        write_payload(&mut out, &[1, 2, 3], &edit);
        assert_eq!(out, [1]);
        assert!(padding(&edit) && !marker(&edit, true) && !padding(&Edit::default()));
        assert!(!descriptor(&edit, &[0xc0, 0, 1], &mut Element::new()));
    }

    #[test]
    fn the_marker_is_set_where_the_picture_ends() {
        let end = Edit { end_of_picture: true, ..Edit::default() };
        let table = [(Edit::default(), false, false), (Edit::default(), true, true)];
        for (edit, original, want) in
            table.into_iter().chain([(end, false, true), (end, true, true)])
        {
            assert_eq!(marker(&edit, original), want);
        }
    }

    proptest! {
        /// Whatever a descriptor has, it reads the same afterwards but for the numbers.
        #[test]
        fn nothing_else_changes(
            payload in proptest::collection::vec(any::<u8>(), 1..40),
            picture_id in 0..0x8000u16,
            tl0_picture_index: u8,
            key_index in 0..32u8,
        ) {
            for codec in [Codec::Vp8, Codec::Vp9] {
                let before = Reader::default().inspect(codec, &payload, None);
                let edit = match codec {
                    Codec::Vp8 => PayloadEdit::Vp8 { picture_id, tl0_picture_index, key_index },
                    _ => PayloadEdit::Vp9 { picture_id, tl0_picture_index },
                };
                if before.detail == Detail::None {
                    continue;
                }
                let mut after = Reader::default().inspect(codec, &written(&payload, edit), None);
                let cut = |old: Option<(u16, bool)>| {
                    old.map(|(_, long)| (if long { picture_id } else { picture_id & 0x7f }, long))
                };
                match (&mut after.detail, &before.detail) {
                    (Detail::Vp8(new), Detail::Vp8(old)) => {
                        prop_assert_eq!(new.picture_id, cut(old.picture_id));
                        prop_assert_eq!(new.tl0_picture_index, old.tl0_picture_index.and(Some(tl0_picture_index)));
                        prop_assert_eq!(new.key_index, old.key_index.and(Some(key_index)));
                        new.clone_from(old);
                    }
                    (Detail::Vp9(new), Detail::Vp9(old)) => {
                        prop_assert_eq!(new.picture_id, cut(old.picture_id));
                        prop_assert_eq!(new.tl0_picture_index, old.tl0_picture_index.and(Some(tl0_picture_index)));
                        new.clone_from(old);
                    }
                    _ => prop_assert!(false, "another codec"),
                }
                prop_assert_eq!(after, before);
            }
        }
    }
}
