//! The numbers inside payloads and dependency descriptors: one line each, whatever is forwarded.

use super::munge::{Edit, PayloadEdit};
use super::numbering::Counter;
use crate::rtp::codec_view::{Detail, PayloadInfo};

/// The lines of one subscription.
#[derive(Clone, Debug, Default)]
pub(super) struct Numbers {
    /// Picture ids of VP8 and VP9.
    pub(super) pictures: Counter,
    /// TL0PICIDX.
    tl0: Counter,
    /// KEYIDX of VP8.
    keys: Counter,
    /// Frame numbers of dependency descriptors.
    frames: Counter,
}

const TL0_BITS: u32 = 8;
const KEY_BITS: u32 = 5;
const FRAME_BITS: u32 = 16;

/// The numbers of one packet.
#[derive(Clone, Copy, Debug, Default)]
struct Present {
    picture_id: Option<u16>,
    picture_bits: u32,
    tl0: Option<u8>,
    key: Option<u8>,
    frame: Option<u16>,
}

impl Present {
    fn of(info: &PayloadInfo) -> Self {
        let frame = info.dependency.as_ref().map(|dependency| dependency.frame_number);
        let (picture, tl0, key) = match &info.detail {
            Detail::Vp8(vp8) => (vp8.picture_id, vp8.tl0_picture_index, vp8.key_index),
            Detail::Vp9(vp9) => (vp9.picture_id, vp9.tl0_picture_index, None),
            Detail::None | Detail::Audio => (None, None, None),
        };
        let picture_bits = if picture.is_some_and(|(_, long)| long) { 15 } else { 7 };
        Self { picture_id: picture.map(|(id, _)| id), picture_bits, tl0, key, frame }
    }
}

/// The number of a packet's picture, and how many bits it has.
pub(super) fn picture_id(info: &PayloadInfo) -> Option<(u16, u32)> {
    let present = Present::of(info);
    present.picture_id.map(|id| (id, present.picture_bits))
}

impl Numbers {
    /// Goes on with a new source, which begins with this packet.
    pub(super) fn begin(&mut self, info: &PayloadInfo) {
        let present = Present::of(info);
        self.pictures.begin(present.picture_id);
        self.tl0.begin(present.tl0.map(u16::from));
        self.keys.begin(present.key.map(u16::from));
        self.frames.begin(present.frame);
    }

    /// Notes the first packet of a keyframe of the same source: encoders that were set up anew
    /// count from elsewhere.
    pub(super) fn keyframe(&mut self, info: &PayloadInfo) {
        let present = Present::of(info);
        self.pictures.keyframe(present.picture_id, present.picture_bits);
        self.tl0.keyframe(present.tl0.map(u16::from), TL0_BITS);
        self.keys.keyframe(present.key.map(u16::from), KEY_BITS);
        self.frames.keyframe(present.frame, FRAME_BITS);
    }

    /// Takes a picture that is not forwarded out of the line of picture ids.
    pub(super) fn skip_picture(&mut self, info: &PayloadInfo) {
        if let Some((id, bits)) = picture_id(info) {
            let number = self.pictures.place(id, bits);
            self.pictures.skip(number);
        }
    }

    /// The edit of a packet that is forwarded; `None` if its picture has no place on the lines.
    pub(super) fn edit(&mut self, info: &PayloadInfo) -> Option<Edit> {
        let present = Present::of(info);
        let mut edit = Edit::default();
        if let Some(number) = present.frame {
            edit.frame_number = Some(self.frames.map(number, FRAME_BITS)?);
        }
        let picture_id = match present.picture_id {
            Some(id) => self.pictures.map(id, present.picture_bits)?,
            None => 0,
        };
        let tl0_picture_index = match present.tl0 {
            Some(index) => self.tl0.map(u16::from(index), TL0_BITS)? as u8,
            None => 0,
        };
        let key_index = match present.key {
            Some(index) => self.keys.map(u16::from(index), KEY_BITS)? as u8,
            None => 0,
        };
        edit.payload = match &info.detail {
            Detail::Vp8(_) => PayloadEdit::Vp8 { picture_id, tl0_picture_index, key_index },
            Detail::Vp9(_) => PayloadEdit::Vp9 { picture_id, tl0_picture_index },
            Detail::None | Detail::Audio => PayloadEdit::Keep,
        };
        Some(edit)
    }
}
