//! Payload types and their codecs: what an m-line offers, and whose decoder takes whose stream.

use sdp::description::media::MediaDescription;

use super::text::Attributes;
use super::{Codec, CodecParameters, Feedback, MediaKind, OfferError, h264};
use crate::id::PayloadType;
use crate::limits::PAYLOAD_TYPES_PER_SECTION_MAX;

/// Payload types that cannot be told from RTCP packet types once the marker bit is set
/// (RFC 5761 §4).
const RTCP_PAYLOAD_TYPES: std::ops::RangeInclusive<u8> = 64..=95;

/// One format of an `m=` line with all that the attributes say of it.
struct Format<'a> {
    payload_type: u8,
    encoding: Option<&'a str>,
    fmtp: &'a str,
    feedback: Feedback,
}

/// Reads the codecs that an m-line offers and the engine knows, in the order of the `m=` line.
pub(super) fn read(
    media: &MediaDescription,
    kind: MediaKind,
) -> Result<Vec<CodecParameters>, OfferError> {
    let formats = formats(media)?;
    let mut codecs: Vec<_> = formats.iter().filter_map(|format| format.codec(kind)).collect();
    for format in formats.iter().filter(|format| kind == MediaKind::Video && format.is_rtx()) {
        let apt = parameter(format.fmtp, "apt").and_then(|apt| apt.parse().ok());
        let repaired = codecs.iter_mut().find(|codec| Some(codec.payload_type.0) == apt);
        if let Some(codec @ CodecParameters { rtx: None, .. }) = repaired {
            codec.rtx = Some(PayloadType(format.payload_type));
        }
    }
    Ok(codecs)
}

/// The formats of an `m=` line. Attributes come in any order (Firefox sorts them, fmtp before
/// rtpmap), so they are joined here by payload type before any is understood.
fn formats(media: &MediaDescription) -> Result<Vec<Format<'_>>, OfferError> {
    if media.media_name.formats.len() > PAYLOAD_TYPES_PER_SECTION_MAX {
        return Err(OfferError::Malformed("more than 64 payload types in an m-line"));
    }
    let mut formats: Vec<Format<'_>> = Vec::with_capacity(media.media_name.formats.len());
    for format in &media.media_name.formats {
        let payload_type = payload_type(format)?;
        if formats.iter().all(|known| known.payload_type != payload_type) {
            let feedback = Feedback::default();
            formats.push(Format { payload_type, encoding: None, fmtp: "", feedback });
        }
    }
    let mut for_all = Feedback::default();
    for (key, value) in Attributes(&media.attributes).iter() {
        if !matches!(key, "rtpmap" | "fmtp" | "rtcp-fb") {
            continue;
        }
        let (of, value) = value.split_once(' ').unwrap_or((value, ""));
        if key == "rtcp-fb" && of == "*" {
            for_all.add(value);
            continue;
        }
        let of = payload_type(of)?;
        let Some(format) = formats.iter_mut().find(|format| format.payload_type == of) else {
            continue;
        };
        match key {
            "rtpmap" => format.encoding = format.encoding.or(Some(value.trim())),
            "fmtp" if format.fmtp.is_empty() => format.fmtp = value.trim(),
            "fmtp" => {}
            _ => format.feedback.add(value),
        }
    }
    // RFC 8888 §6: named for single payload types it means nothing.
    formats.iter_mut().for_each(|format| format.feedback.ack_ccfb = false);
    formats.iter_mut().for_each(|format| format.feedback.add_all(for_all));
    Ok(formats)
}

fn payload_type(text: &str) -> Result<u8, OfferError> {
    text.parse()
        .ok()
        .filter(|&payload_type| payload_type <= 127)
        .ok_or(OfferError::Malformed("a payload type that is not within 0..=127"))
}

impl Format<'_> {
    /// The codec, if the engine knows it and it can be sent beside RTCP.
    fn codec(&self, kind: MediaKind) -> Option<CodecParameters> {
        let (name, clock_rate, channels) = self.encoding()?;
        let codec = Codec::ALL
            .into_iter()
            .find(|codec| codec.kind() == kind && codec.name().eq_ignore_ascii_case(name))?;
        let known = clock_rate == codec.clock_rate()
            && channels == codec.channels()
            && (codec != Codec::H264 || h264::packetization_mode(self.fmtp) <= 1);
        known.then(|| CodecParameters {
            codec,
            payload_type: PayloadType(self.payload_type),
            rtx: None,
            clock_rate,
            fmtp: self.fmtp.into(),
            feedback: self.feedback,
        })
    }

    fn is_rtx(&self) -> bool {
        self.encoding().is_some_and(|(name, ..)| name.eq_ignore_ascii_case("rtx"))
    }

    /// Name, clock rate in Hz and channels of `a=rtpmap`.
    fn encoding(&self) -> Option<(&str, u32, u8)> {
        if RTCP_PAYLOAD_TYPES.contains(&self.payload_type) {
            return None;
        }
        let mut parts = self.encoding?.split('/');
        let (name, clock_rate) = (parts.next()?, parts.next()?.parse().ok()?);
        let channels = parts.next().map_or(Some(1), |channels| channels.parse().ok())?;
        Some((name, clock_rate, channels))
    }
}

impl Feedback {
    fn add(&mut self, value: &str) {
        let mut words = value.split_whitespace();
        match (words.next(), words.next()) {
            (Some("nack"), None) => self.nack = true,
            (Some("nack"), Some("pli")) => self.nack_pli = true,
            (Some("ccm"), Some("fir")) => self.ccm_fir = true,
            (Some("transport-cc"), None) => self.transport_cc = true,
            (Some("ack"), Some("ccfb")) => self.ack_ccfb = true,
            (Some("goog-remb"), None) => self.goog_remb = true,
            _ => {}
        }
    }

    fn add_all(&mut self, other: Self) {
        self.nack |= other.nack;
        self.nack_pli |= other.nack_pli;
        self.ccm_fir |= other.ccm_fir;
        self.transport_cc |= other.transport_cc;
        self.ack_ccfb |= other.ack_ccfb;
        self.goog_remb |= other.goog_remb;
    }
}

impl Codec {
    const ALL: [Self; 6] = [Self::Opus, Self::Red, Self::Vp8, Self::Vp9, Self::H264, Self::Av1];

    /// Audio or video.
    #[must_use]
    pub const fn kind(self) -> MediaKind {
        match self {
            Self::Opus | Self::Red => MediaKind::Audio,
            Self::Vp8 | Self::Vp9 | Self::H264 | Self::Av1 => MediaKind::Video,
        }
    }

    /// The encoding name of `a=rtpmap`; compared without regard to case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Opus => "opus",
            Self::Red => "red",
            Self::Vp8 => "VP8",
            Self::Vp9 => "VP9",
            Self::H264 => "H264",
            Self::Av1 => "AV1",
        }
    }

    /// RTP clock rate in Hz.
    #[must_use]
    pub const fn clock_rate(self) -> u32 {
        match self.kind() {
            MediaKind::Audio => 48_000,
            MediaKind::Video => 90_000,
        }
    }

    /// Channels of `a=rtpmap`; Opus always says two (RFC 7587 §7).
    pub(super) const fn channels(self) -> u8 {
        match self.kind() {
            MediaKind::Audio => 2,
            MediaKind::Video => 1,
        }
    }
}

impl CodecParameters {
    /// How far this codec is from what a publisher sends, 0 being the same; `None` if its decoder
    /// need not understand that. Levels are ignored: the sender does not re-encode, and decoders
    /// are lenient.
    pub(super) fn distance_from(&self, publisher: &Self) -> Option<u8> {
        if self.codec != publisher.codec {
            return None;
        }
        let (ours, theirs) = (&*self.fmtp, &*publisher.fmtp);
        match self.codec {
            Codec::Opus | Codec::Vp8 => Some(0),
            // The blocks within RED name the payload type of Opus, so it has to be the same.
            Codec::Red => (self.red_payload_type()? == publisher.red_payload_type()?).then_some(0),
            // RFC 9628 §7.1: no profile is a subset of another.
            Codec::Vp9 => {
                (number(ours, "profile-id")? == number(theirs, "profile-id")?).then_some(0)
            }
            // A decoder of a higher profile decodes the lower ones (AV1 specification, annex A.2).
            Codec::Av1 => number(ours, "profile")?.checked_sub(number(theirs, "profile")?),
            Codec::H264 => h264::distance(ours, theirs),
        }
    }

    /// The payload type of what a RED wraps: its first block's (`111/111`). `None` for other
    /// codecs.
    pub(super) fn red_payload_type(&self) -> Option<PayloadType> {
        let first = self.fmtp.split('/').next().filter(|_| self.codec == Codec::Red)?;
        first.trim().parse().ok().map(PayloadType)
    }
}

/// The value of a `key=value` format parameter.
pub(super) fn parameter<'a>(fmtp: &'a str, key: &str) -> Option<&'a str> {
    fmtp.split(';')
        .filter_map(|parameter| parameter.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case(key))
        .map(|(_, value)| value.trim())
}

/// A small number among the format parameters, 0 if absent; `None` if it is not one.
pub(super) fn number(fmtp: &str, key: &str) -> Option<u8> {
    parameter(fmtp, key).map_or(Some(0), |value| value.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::negotiation::MediaSection;

    fn codec(codec: Codec, payload_type: u8, fmtp: &str) -> CodecParameters {
        CodecParameters {
            codec,
            payload_type: PayloadType(payload_type),
            rtx: None,
            clock_rate: codec.clock_rate(),
            fmtp: fmtp.into(),
            feedback: Feedback::default(),
        }
    }

    fn section(codecs: Vec<CodecParameters>) -> MediaSection {
        MediaSection {
            kind: codecs[0].codec.kind(),
            codecs,
            extensions: Default::default(),
            one_way: Vec::new(),
            extmap_allow_mixed: false,
            rtcp_reduced_size: false,
            receive: None,
            send: None,
        }
    }

    /// The payload type that `receiver` (payload type, fmtp) has for `sender`'s stream.
    fn match_of(of: Codec, receiver: &[(u8, &str)], sender: &str) -> Option<u8> {
        let receiver = section(receiver.iter().map(|&(pt, f)| codec(of, pt, f)).collect());
        receiver.compatible(&codec(of, 1, sender)).map(|found| found.payload_type.0)
    }

    #[test]
    fn h264_prefers_the_same_profile_and_mode_then_a_superset() {
        const CB: &str = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f";
        const CB_LEVEL_52: &str = "profile-level-id=42e034; packetization-mode=1";
        const CB_MODE_0: &str = "packetization-mode=0;profile-level-id=42e01f";
        const BASELINE: &str = "packetization-mode=1;profile-level-id=42001f";
        const MAIN: &str = "packetization-mode=1;profile-level-id=4d001f";
        const HIGH: &str = "packetization-mode=1;profile-level-id=64001f";
        let of = |receiver: &[(u8, &str)], sender| match_of(Codec::H264, receiver, sender);
        assert_eq!(of(&[(96, HIGH), (97, MAIN), (98, CB)], CB), Some(98));
        assert_eq!(of(&[(96, HIGH), (98, CB)], CB_LEVEL_52), Some(98));
        assert_eq!(of(&[(96, HIGH)], CB), Some(96));
        assert_eq!(of(&[(98, CB)], HIGH), None);
        assert_eq!(of(&[(96, HIGH), (98, CB)], BASELINE), Some(98));
        assert_eq!(of(&[(96, HIGH), (99, BASELINE)], CB), Some(99));
        assert_eq!(of(&[(98, CB_MODE_0)], CB), None);
        assert_eq!(of(&[(97, CB), (98, CB_MODE_0)], CB_MODE_0), Some(98));
        assert_eq!(of(&[(97, CB)], CB_MODE_0), Some(97));
    }

    #[test]
    fn vp9_and_av1_match_by_profile() {
        let vp9 = |receiver: &[(u8, &str)], sender| match_of(Codec::Vp9, receiver, sender);
        assert_eq!(vp9(&[(98, "profile-id=0"), (100, "profile-id=2")], "profile-id=2"), Some(100));
        assert_eq!(vp9(&[(100, "profile-id=2"), (98, "")], "profile-id=0"), Some(98));
        assert_eq!(vp9(&[(98, "")], "profile-id=2"), None);
        let av1 = |receiver: &[(u8, &str)], sender| match_of(Codec::Av1, receiver, sender);
        assert_eq!(av1(&[(45, "level-idx=5;profile=0;tier=0")], ""), Some(45));
        assert_eq!(av1(&[(47, "profile=1"), (45, "profile=0")], "profile=0"), Some(45));
        assert_eq!(av1(&[(47, "profile=1")], "profile=0;level-idx=20"), Some(47));
        assert_eq!(av1(&[(45, "")], "profile=1"), None);
    }

    #[test]
    fn other_codecs_never_match() {
        let receiver = section(vec![codec(Codec::Vp8, 96, "")]);
        assert_eq!(receiver.compatible(&codec(Codec::Vp9, 98, "")), None);
        assert!(receiver.compatible(&codec(Codec::Vp8, 120, "max-fs=12288")).is_some());
    }

    #[test]
    fn red_matches_only_if_its_blocks_have_the_same_payload_type() {
        let both = section(vec![codec(Codec::Opus, 111, ""), codec(Codec::Red, 63, "111/111")]);
        let red = codec(Codec::Red, 100, "111/111/111");
        assert_eq!(both.compatible(&red).map(|c| c.payload_type.0), Some(63));
        assert_eq!(both.compatible(&codec(Codec::Red, 100, "109/109")), None);
        assert_eq!(both.compatible(&codec(Codec::Red, 100, "")), None);

        assert_eq!(both.wrapped_in(&both.codecs[1]), Some(&both.codecs[0]));
        assert_eq!(both.wrapping(&both.codecs[0]), Some(&both.codecs[1]));
        assert_eq!(both.wrapped_in(&both.codecs[0]), None);
        assert_eq!(section(vec![codec(Codec::Opus, 109, "")]).wrapped_in(&red), None);
    }

    #[test]
    fn payload_types_are_looked_up_with_their_retransmissions() {
        let mut vp8 = codec(Codec::Vp8, 96, "");
        vp8.rtx = Some(PayloadType(97));
        let section = section(vec![vp8.clone(), codec(Codec::Vp9, 98, "")]);
        assert_eq!(section.codec(PayloadType(96)), Some((&vp8, false)));
        assert_eq!(section.codec(PayloadType(97)), Some((&vp8, true)));
        assert_eq!(section.codec(PayloadType(99)), None);
    }
}
