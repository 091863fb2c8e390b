//! What is agreed: a pure function of the offer and of what was agreed before.

use super::{
    Codec, CodecParameters, Direction, Feedback, MediaKind, MediaSection, NegotiationError, Offer,
    OfferedContent, OfferedMedia, OfferedSection, Section, SectionContent, SendParameters,
};
use crate::id::Ssrc;
use crate::rtp::extension::{Extension, ExtensionMap};

/// Agrees on the m-lines of `offer`, given those agreed `before` (empty the first time).
/// `new_ssrc` gives SSRCs for new sending m-lines; it must not give one twice.
///
/// An SSRC stays for as long as its m-line goes on sending. An m-line that pauses gets a new one
/// when it resumes, so that no SRTP stream ever starts twice.
pub fn negotiate(
    offer: &Offer,
    before: &[Section],
    new_ssrc: &mut dyn FnMut() -> Ssrc,
) -> Result<Vec<Section>, NegotiationError> {
    if offer.sections.len() < before.len() {
        return Err(NegotiationError::SectionChanged);
    }
    for (offered, before) in offer.sections.iter().zip(before) {
        check_continuity(offered, before)?;
    }
    let data = offer.sections.iter().position(|s| matches!(s.content, OfferedContent::Data(_)));
    let transport_cc = offer.offers_transport_cc();
    let section = |(index, offered): (usize, &OfferedSection)| {
        let content = match &offered.content {
            // RFC 8841 §9.2: one association per DTLS connection.
            OfferedContent::Data(_) if data == Some(index) => SectionContent::Data,
            OfferedContent::Data(_) | OfferedContent::Rejected => SectionContent::Rejected,
            OfferedContent::Media(media) => {
                let before = before.get(index).and_then(|section| section.sending(offered));
                media_section(media, transport_cc, before, new_ssrc)
            }
        };
        Section { mid: offered.mid.clone(), line: offered.line.clone(), content }
    };
    Ok(offer.sections.iter().enumerate().map(section).collect())
}

/// JSEP (RFC 8829) §5.2.2: an m-line keeps its place, mid and kind until one side has refused it;
/// then its place may be used again by another.
fn check_continuity(offered: &OfferedSection, before: &Section) -> Result<(), NegotiationError> {
    let same = match (&offered.content, &before.content) {
        (_, SectionContent::Rejected) => return Ok(()),
        (OfferedContent::Rejected, _) => offered.line.media == before.line.media,
        (OfferedContent::Data(_), SectionContent::Data) => offered.mid == before.mid,
        (OfferedContent::Media(offered_media), SectionContent::Media(media)) => {
            offered.mid == before.mid && offered_media.kind == media.kind
        }
        (OfferedContent::Data(_), SectionContent::Media(_))
        | (OfferedContent::Media(_), SectionContent::Data) => false,
    };
    if same { Ok(()) } else { Err(NegotiationError::SectionChanged) }
}

impl Section {
    /// What this m-line sent until now, if it goes on as `offered`.
    fn sending(&self, offered: &OfferedSection) -> Option<&SendParameters> {
        match &self.content {
            SectionContent::Media(media) if self.mid == offered.mid => media.send.as_ref(),
            _ => None,
        }
    }
}

fn media_section(
    offered: &OfferedMedia,
    transport_cc: bool,
    before: Option<&SendParameters>,
    new_ssrc: &mut dyn FnMut() -> Ssrc,
) -> SectionContent {
    let codecs = codecs(offered, transport_cc);
    if codecs.is_empty() {
        return SectionContent::Rejected;
    }
    let retransmits = codecs.iter().any(|codec| codec.rtx.is_some());
    let (extensions, one_way) = extensions(offered);
    SectionContent::Media(MediaSection {
        kind: offered.kind,
        codecs,
        extensions,
        one_way,
        extmap_allow_mixed: offered.extmap_allow_mixed,
        rtcp_reduced_size: offered.rtcp_reduced_size,
        receive: offered.direction.sends().then(|| offered.receive.clone()),
        send: offered.direction.receives().then(|| SendParameters {
            ssrc: before.map_or_else(&mut *new_ssrc, |before| before.ssrc),
            rtx_ssrc: retransmits
                .then(|| before.and_then(|before| before.rtx_ssrc).unwrap_or_else(new_ssrc)),
        }),
    })
}

/// The codecs to use: all that both sides know. RED is nothing without the Opus it wraps.
fn codecs(offered: &OfferedMedia, transport_cc: bool) -> Vec<CodecParameters> {
    let usable = |codec: &&CodecParameters| {
        codec.codec != Codec::Red
            || offered.codecs.iter().any(|opus| {
                opus.codec == Codec::Opus && codec.red_payload_type() == Some(opus.payload_type)
            })
    };
    offered
        .codecs
        .iter()
        .filter(usable)
        .map(|codec| CodecParameters {
            feedback: codec.feedback.agreed(offered, transport_cc),
            ..codec.clone()
        })
        .collect()
}

impl Offer {
    /// Whether transport-wide feedback is offered for anything.
    fn offers_transport_cc(&self) -> bool {
        self.sections.iter().any(|section| match &section.content {
            OfferedContent::Media(media) => media.codecs.iter().any(|c| c.feedback.transport_cc),
            OfferedContent::Data(_) | OfferedContent::Rejected => false,
        })
    }
}

impl Feedback {
    /// What is used of what was offered: nothing that audio has no need of, and one bandwidth
    /// estimate, for packets reported on in two formats would seem to arrive twice. All m-lines
    /// share one transport, so `transport_cc` anywhere rules out the others everywhere.
    fn agreed(self, offered: &OfferedMedia, transport_cc: bool) -> Self {
        // Agreed feedback is due in both directions (RFC 8888 §6), and the server reads this format
        // but does not write it.
        let only_sent_to = offered.direction.receives() && !offered.direction.sends();
        let one = Self {
            ack_ccfb: self.ack_ccfb && !transport_cc && only_sent_to,
            goog_remb: self.goog_remb && !transport_cc && !self.ack_ccfb,
            ..self
        };
        match offered.kind {
            MediaKind::Audio => {
                Self { transport_cc: one.transport_cc, ack_ccfb: one.ack_ccfb, ..Self::default() }
            }
            MediaKind::Video => one,
        }
    }
}

/// The header extensions to use, and those of them that are for one way only.
fn extensions(offered: &OfferedMedia) -> (ExtensionMap, Vec<(Extension, Direction)>) {
    let (mut extensions, mut one_way) = (ExtensionMap::default(), Vec::new());
    for extension in &offered.extensions {
        let direction = Direction::new(
            extension.direction.sends() && offered.direction.sends(),
            extension.direction.receives() && offered.direction.receives(),
        );
        // An m-line that is inactive now keeps its extensions for later.
        let used = direction != Direction::Inactive
            || (offered.direction == Direction::Inactive
                && extension.direction == Direction::SendRecv);
        if !used || !is_useful(extension.extension, offered.kind) {
            continue;
        }
        extensions.set(extension.extension, extension.id);
        if extension.direction != Direction::SendRecv {
            one_way.push((extension.extension, extension.direction));
        }
    }
    (extensions, one_way)
}

fn is_useful(extension: Extension, kind: MediaKind) -> bool {
    match extension {
        Extension::Mid | Extension::TransportCc | Extension::AbsSendTime => true,
        Extension::AudioLevel => kind == MediaKind::Audio,
        Extension::Rid
        | Extension::RepairedRid
        | Extension::VideoOrientation
        | Extension::PlayoutDelay
        | Extension::DependencyDescriptor => kind == MediaKind::Video,
    }
}
