//! The picture size in a sequence parameter set (H.264 §7.3.2.1.1).

/// Width and height in pixels, given what follows the NAL unit's header. `None` if it is cut
/// short, of a kind unknown here, or absurd.
pub(super) fn size(body: &[u8]) -> Option<(u16, u16)> {
    let mut bits = Bits { body, at: 0, zeros: 0, left: 0, byte: 0 };
    let profile = bits.take(8)?;
    bits.take(16)?; // constraints and level
    bits.exp_golomb()?; // seq_parameter_set_id
    let mut chroma_format = 1;
    let mut separate_planes = false;
    if matches!(profile, 100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135) {
        chroma_format = bits.exp_golomb()?;
        separate_planes = chroma_format == 3 && bits.take(1)? == 1;
        bits.exp_golomb()?; // bit_depth_luma_minus8
        bits.exp_golomb()?; // bit_depth_chroma_minus8
        bits.take(1)?; // qpprime_y_zero_transform_bypass_flag
        if bits.take(1)? == 1 {
            skip_scaling_lists(&mut bits, if chroma_format == 3 { 12 } else { 8 })?;
        }
    }
    bits.exp_golomb()?; // log2_max_frame_num_minus4
    match bits.exp_golomb()? {
        0 => {
            bits.exp_golomb()?; // log2_max_pic_order_cnt_lsb_minus4
        }
        1 => {
            bits.take(1)?; // delta_pic_order_always_zero_flag
            bits.exp_golomb()?; // offset_for_non_ref_pic
            bits.exp_golomb()?; // offset_for_top_to_bottom_field
            for _ in 0..bits.exp_golomb()?.min(255) {
                bits.exp_golomb()?; // offset_for_ref_frame
            }
        }
        _ => {}
    }
    bits.exp_golomb()?; // max_num_ref_frames
    bits.take(1)?; // gaps_in_frame_num_value_allowed_flag
    let width = 16 * (u64::from(bits.exp_golomb()?) + 1);
    let map_units = u64::from(bits.exp_golomb()?) + 1;
    let frames_only = bits.take(1)? == 1;
    if !frames_only {
        bits.take(1)?; // mb_adaptive_frame_field_flag
    }
    bits.take(1)?; // direct_8x8_inference_flag
    let fields = if frames_only { 1 } else { 2 };
    let height = 16 * fields * map_units;
    let (mut cropped_x, mut cropped_y) = (0, 0);
    if bits.take(1)? == 1 {
        let mut crop = || Some(u64::from(bits.exp_golomb()?));
        let (left, right, top, bottom) = (crop()?, crop()?, crop()?, crop()?);
        let (unit_x, unit_y) = match (chroma_format, separate_planes) {
            (1, _) => (2, 2),
            (2, _) => (2, 1),
            _ => (1, 1),
        };
        cropped_x = unit_x * (left + right);
        cropped_y = unit_y * fields * (top + bottom);
    }
    let pixels = |all: u64, cropped: u64| u16::try_from(all.checked_sub(cropped)?).ok();
    Some((pixels(width, cropped_x)?, pixels(height, cropped_y)?))
}

/// The scaling matrix (§7.3.2.1.1.1), which says nothing of the size.
fn skip_scaling_lists(bits: &mut Bits<'_>, lists: usize) -> Option<()> {
    for list in 0..lists {
        if bits.take(1)? == 0 {
            continue;
        }
        let (mut last, mut next) = (8i64, 8i64);
        for _ in 0..if list < 6 { 16 } else { 64 } {
            if next != 0 {
                let code = i64::from(bits.exp_golomb()?);
                let delta = if code % 2 == 1 { code / 2 + 1 } else { -(code / 2) };
                next = (last + delta).rem_euclid(256);
            }
            last = if next == 0 { last } else { next };
        }
    }
    Some(())
}

/// Bits of a NAL unit, without the bytes that only keep start codes from arising (§7.4.1).
struct Bits<'a> {
    body: &'a [u8],
    at: usize,
    zeros: u8,
    byte: u8,
    left: u8,
}

impl Bits<'_> {
    fn bit(&mut self) -> Option<u32> {
        if self.left == 0 {
            let mut byte = *self.body.get(self.at)?;
            if self.zeros >= 2 && byte == 3 {
                self.at += 1;
                self.zeros = 0;
                byte = *self.body.get(self.at)?;
            }
            self.at += 1;
            self.zeros = if byte == 0 { self.zeros + 1 } else { 0 }.min(2);
            (self.byte, self.left) = (byte, 8);
        }
        self.left -= 1;
        Some(u32::from(self.byte >> self.left & 1))
    }

    fn take(&mut self, count: u32) -> Option<u32> {
        let mut value = 0;
        for _ in 0..count {
            value = value << 1 | self.bit()?;
        }
        Some(value)
    }

    /// ue(v) (§9.1), up to 2³¹ - 2.
    fn exp_golomb(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while self.bit()? == 0 {
            zeros += 1;
            if zeros > 30 {
                return None;
            }
        }
        Some((1 << zeros) - 1 + self.take(zeros)?)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_size_is_that_of_the_picture_without_its_border() {
        // Parameter sets of x264 and of browsers' constrained baseline encoders.
        let table: [(&[u8], (u16, u16)); 3] = [
            (&[0x42, 0xc0, 0x1e, 0xda, 0x02, 0x80, 0xf6, 0x84, 0x00], (640, 480)),
            (
                &[0x42, 0xc0, 0x1f, 0x8c, 0x8d, 0x40, 0x50, 0x1e, 0x90, 0x0f, 0x08, 0x84, 0x6a],
                (640, 480),
            ),
            (
                &[
                    0x64, 0x00, 0x28, 0xac, 0xd9, 0x40, 0x78, 0x02, 0x27, 0xe5, 0x84, 0x00, 0x00,
                    0x03, 0x00, 0x04, 0x00, 0x00, 0x03, 0x00, 0xf0, 0x3c, 0x60, 0xc6, 0x58,
                ],
                (1920, 1080),
            ),
        ];
        for (body, want) in table {
            assert_eq!(size(body), Some(want));
        }
        assert_eq!(size(&[]), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(body in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = size(&body);
        }
    }
}
