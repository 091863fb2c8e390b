//! H.264 payloads (RFC 6184 §5), as far as keyframes go.

mod sps;

use crate::rtp::av1::merge_layers;
use crate::rtp::codec_view::PayloadInfo;
use crate::rtp::dependency_descriptor::Descriptor;

/// NAL unit types (RFC 6184 §5.2, table 1; H.264 table 7-1).
mod nal_type {
    pub(super) const SLICE: u8 = 1;
    pub(super) const PARTITION_A: u8 = 2;
    pub(super) const IDR: u8 = 5;
    pub(super) const SEI: u8 = 6;
    pub(super) const SPS: u8 = 7;
    pub(super) const PPS: u8 = 8;
    pub(super) const DELIMITER: u8 = 9;
    pub(super) const STAP_A: u8 = 24;
    pub(super) const FU_A: u8 = 28;
}

/// What is remembered of the parameter sets of a stream.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ParameterSets {
    /// Whether they come in band at all.
    seen: bool,
    /// IDR pictures since the last ones.
    pictures_since: u8,
}

impl ParameterSets {
    /// Whether an IDR picture is to be taken for the start of a keyframe. Where its parameter sets
    /// come in band they are the start: whoever begins behind them would miss them. Two pictures
    /// without any mean that they come no more.
    fn starts_at_picture(&mut self) -> bool {
        self.pictures_since = self.pictures_since.saturating_add(1);
        !self.seen || self.pictures_since > 2
    }
}

/// What an H.264 payload says: of a single NAL unit, of each in a STAP-A, or of the one that an
/// FU-A begins. Other aggregation and fragmentation units belong to the interleaved mode, which
/// is not negotiated.
pub(super) fn inspect(payload: &[u8], sets: &mut ParameterSets) -> Option<PayloadInfo> {
    let (&head, rest) = payload.split_first()?;
    Some(match head & 0x1f {
        nal_type::STAP_A => aggregate(rest, sets),
        nal_type::FU_A => {
            let (&fragment, slice) = rest.split_first()?;
            let starts = fragment & 0x80 != 0;
            if starts { unit(fragment & 0x1f, slice, sets) } else { PayloadInfo::default() }
        }
        kind => unit(kind, rest, sets),
    })
}

/// A dependency descriptor knows better where frames start, and knows of layers.
pub(super) fn merge(info: &mut PayloadInfo, descriptor: &Descriptor) {
    info.frame_start = descriptor.start_of_frame;
    info.frame_end = descriptor.end_of_frame;
    let size = info.size;
    merge_layers(info, descriptor);
    info.size = size.or(info.size);
}

/// The NAL units of a STAP-A, each behind its length (RFC 6184 §5.7.1). Ends at a length that does
/// not fit.
fn aggregate(mut rest: &[u8], sets: &mut ParameterSets) -> PayloadInfo {
    let mut info = PayloadInfo::default();
    while let [l0, l1, units @ ..] = rest {
        let bytes = usize::from(u16::from_be_bytes([*l0, *l1]));
        let Some((nal, after)) = units.split_at_checked(bytes) else { break };
        if let Some((&head, body)) = nal.split_first() {
            let said = unit(head & 0x1f, body, sets);
            info.keyframe_start |= said.keyframe_start;
            info.frame_start |= said.frame_start;
            info.size = info.size.or(said.size);
        }
        rest = after;
    }
    info
}

/// What one NAL unit says, given what follows its header.
fn unit(kind: u8, body: &[u8], sets: &mut ParameterSets) -> PayloadInfo {
    // A slice header begins with first_mb_in_slice as ue(v): a leading 1 bit means 0.
    let first_slice = body.first().is_some_and(|byte| byte & 0x80 != 0);
    let frame_start = match kind {
        nal_type::SLICE | nal_type::PARTITION_A | nal_type::IDR => first_slice,
        nal_type::SEI | nal_type::SPS | nal_type::PPS | nal_type::DELIMITER => true,
        _ => false,
    };
    let keyframe_start = match kind {
        nal_type::IDR => first_slice && sets.starts_at_picture(),
        nal_type::SPS => {
            *sets = ParameterSets { seen: true, pictures_since: 0 };
            true
        }
        _ => false,
    };
    let size = if kind == nal_type::SPS { sps::size(body) } else { None };
    PayloadInfo { keyframe_start, frame_start, size, ..PayloadInfo::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::negotiation::Codec;
    use crate::rtp::codec_view::Reader;

    #[test]
    fn keyframes_start_with_an_sps_or_the_first_idr_slice() {
        let table: [(&str, &[u8], bool, bool); 14] = [
            ("first IDR slice", &[0x65, 0x88, 0x80], true, true),
            ("second IDR slice", &[0x65, 0x08, 0x80], false, false),
            ("first slice", &[0x41, 0x9a], false, true),
            ("second slice", &[0x41, 0x1a], false, false),
            ("SPS", &[0x67, 0x42], true, true),
            ("PPS", &[0x68, 0xce], false, true),
            ("SEI", &[0x06, 0x05], false, true),
            ("STAP-A of SPS and PPS", &[0x78, 0, 2, 0x67, 0x42, 0, 2, 0x68, 0xce], true, true),
            ("STAP-A of PPS and IDR", &[0x78, 0, 2, 0x68, 0xce, 0, 2, 0x65, 0x88], true, true),
            ("STAP-A of slices", &[0x78, 0, 2, 0x41, 0x9a, 0, 2, 0x41, 0x1a], false, true),
            ("STAP-A with a wrong length", &[0x78, 0, 3, 0x67, 0x42], false, false),
            ("FU-A start of IDR", &[0x7c, 0x85, 0x88], true, true),
            ("FU-A middle of IDR", &[0x7c, 0x05, 0x88], false, false),
            ("FU-A start of slice", &[0x7c, 0x81, 0x9a], false, true),
        ];
        for (name, payload, keyframe_start, frame_start) in table {
            let info = inspect(payload, &mut ParameterSets::default()).unwrap();
            assert_eq!(
                (info.keyframe_start, info.frame_start),
                (keyframe_start, frame_start),
                "{name}"
            );
        }
        assert_eq!(inspect(&[], &mut ParameterSets::default()), None);
        assert_eq!(inspect(&[0x7c], &mut ParameterSets::default()), None);
    }

    #[test]
    fn where_parameter_sets_come_in_band_they_are_the_start() {
        let (sps, idr): (&[u8], &[u8]) = (&[0x67, 0x42], &[0x65, 0x88]);
        let mut sets = ParameterSets::default();
        let table =
            [(idr, true), (sps, true), (idr, false), (idr, false), (sps, true), (idr, false)];
        for (at, (payload, keyframe_start)) in table.into_iter().enumerate() {
            assert_eq!(inspect(payload, &mut sets).unwrap().keyframe_start, keyframe_start, "{at}");
        }
        inspect(idr, &mut sets);
        assert!(inspect(idr, &mut sets).unwrap().keyframe_start, "they come no more");
    }

    #[test]
    fn a_dependency_descriptor_knows_better_where_frames_start() {
        let start = |descriptor: &[u8]| {
            let mut reader = Reader::default();
            reader.inspect(Codec::H264, &[0x68, 0xce], Some(descriptor)).frame_start
        };
        assert!(!start(&[0x40, 0, 1]));
        assert!(start(&[0x80, 0, 1]));
        assert!(start(&[0x40]));
    }
}
