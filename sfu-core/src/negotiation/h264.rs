//! H.264 profiles: whose decoder takes whose stream (RFC 6184 §8.1).

use super::codec::{number, parameter};

/// A profile of the H.264 specification, the level left out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Profile {
    ConstrainedBaseline,
    Baseline,
    Main,
    Extended,
    ConstrainedHigh,
    High,
    /// Any other: profile_idc and profile-iop.
    Other(u8, u8),
}

/// What `packetization-mode` is when absent: single NAL units.
pub(super) fn packetization_mode(fmtp: &str) -> u8 {
    number(fmtp, "packetization-mode").unwrap_or(u8::MAX)
}

/// How far a receiver's parameters are from a sender's; `None` if it need not understand it.
pub(super) fn distance(receiver: &str, sender: &str) -> Option<u8> {
    // A receiver of mode 1 reads the single NAL units of mode 0, but not the other way round.
    let mode = packetization_mode(receiver).checked_sub(packetization_mode(sender))?;
    profile(sender)?.distance_to(profile(receiver)?).map(|distance| 2 * distance + mode)
}

/// The profile, by table 5 of RFC 6184; without `profile-level-id` it is Baseline.
fn profile(fmtp: &str) -> Option<Profile> {
    let Some(id) = parameter(fmtp, "profile-level-id") else {
        return Some(Profile::Baseline);
    };
    if id.len() != 6 || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let id = u32::from_str_radix(id, 16).ok()?.to_be_bytes();
    let (idc, iop) = (id[1], id[2]);
    let set = |bit: u8| iop & (0x80 >> bit) != 0;
    Some(match idc {
        0x42 if set(1) => Profile::ConstrainedBaseline,
        0x42 => Profile::Baseline,
        0x4d if set(0) => Profile::ConstrainedBaseline,
        0x4d => Profile::Main,
        0x58 if set(0) && set(1) => Profile::ConstrainedBaseline,
        0x58 if set(0) => Profile::Baseline,
        0x58 => Profile::Extended,
        0x64 if iop == 0 => Profile::High,
        0x64 if set(4) && set(5) => Profile::ConstrainedHigh,
        _ => Profile::Other(idc, iop),
    })
}

impl Profile {
    /// How far a decoder of `other` is from this, if it decodes it (H.264 annex A.2).
    ///
    /// Baseline is taken for Constrained Baseline: no WebRTC encoder uses what it has beyond that
    /// (FMO, ASO, redundant slices), and Chromium, asked for either, sends the same.
    fn distance_to(self, other: Self) -> Option<u8> {
        use Profile::{Baseline, ConstrainedBaseline, ConstrainedHigh, Extended, High, Main};
        match (self, other) {
            _ if self == other => Some(0),
            (Baseline, ConstrainedBaseline) | (ConstrainedBaseline, Baseline) => Some(1),
            (Baseline | ConstrainedBaseline, Main | Extended | ConstrainedHigh | High)
            | (Main | ConstrainedHigh, High) => Some(2),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h264_profiles_are_those_of_rfc_6184_table_5() {
        for (id, expected) in [
            ("42e01f", Profile::ConstrainedBaseline),
            ("42C01F", Profile::ConstrainedBaseline),
            ("42001f", Profile::Baseline),
            ("4d001f", Profile::Main),
            ("4d8028", Profile::ConstrainedBaseline),
            ("58c00d", Profile::ConstrainedBaseline),
            ("58800d", Profile::Baseline),
            ("58000d", Profile::Extended),
            ("640c1f", Profile::ConstrainedHigh),
            ("64001f", Profile::High),
            ("f4001f", Profile::Other(0xf4, 0)),
        ] {
            assert_eq!(profile(&format!("profile-level-id={id}")), Some(expected), "{id}");
        }
        assert_eq!(profile("packetization-mode=1"), Some(Profile::Baseline));
        for evil in ["", "42e0", "42e01f00", "+2e01f", "zzzzzz", "42é1f"] {
            assert_eq!(profile(&format!("profile-level-id={evil}")), None, "{evil}");
        }
    }
}
