//! The session an offer describes: one transport, shared by all its m-lines (BUNDLE, RFC 9143).

use super::section;
use super::text::{self, Attributes};
use super::{Offer, OfferError, OfferedContent, OfferedMedia, OfferedSection};
use crate::limits::{FINGERPRINTS_MAX, SSRCS_PER_PEER_MAX};
use crate::transport::{DtlsRole, Fingerprint, IceCredentials};

/// Hash functions a fingerprint may use (RFC 8122 §5), with the length of their hash in bytes.
/// MD5 and MD2 are left out as too weak.
const HASHES: [(&str, usize); 5] =
    [("sha-1", 20), ("sha-224", 28), ("sha-256", 32), ("sha-384", 48), ("sha-512", 64)];

impl Offer {
    /// Reads an offer. Takes time in proportion to its length, which is bounded, so it may be
    /// called with anything.
    pub fn parse(sdp: &str) -> Result<Self, OfferError> {
        let description = text::read(sdp)?;
        let session = Attributes(&description.attributes);
        let media = &description.media_descriptions;
        let bundle = bundle(session);
        let sections = media
            .iter()
            .map(|media| section::read(media, session, &bundle))
            .collect::<Result<Vec<_>, _>>()?;
        check_mids(&sections)?;
        check_bundle(&sections)?;
        check_ssrcs(&sections)?;

        let tagged = tagged(&sections).map_or(&[][..], |index| &media[index].attributes);
        let transport = Transport { media: Attributes(tagged), session };
        Ok(Self {
            ice: transport.ice()?,
            fingerprints: transport.fingerprints()?,
            role: transport.role()?,
            sections,
        })
    }
}

impl OfferedSection {
    /// Whether the m-line can be accepted.
    fn is_usable(&self) -> bool {
        match &self.content {
            OfferedContent::Rejected => false,
            OfferedContent::Data(_) => true,
            OfferedContent::Media(media) => !media.codecs.is_empty(),
        }
    }
}

/// The mids of the first BUNDLE group.
fn bundle(session: Attributes<'_>) -> Vec<&str> {
    let mut groups = session.values("group").map(str::split_whitespace);
    groups
        .find_map(|mut words| {
            words.next().filter(|&word| word == "BUNDLE").map(|_| words.collect())
        })
        .unwrap_or_default()
}

fn check_mids(sections: &[OfferedSection]) -> Result<(), OfferError> {
    for (index, section) in sections.iter().enumerate() {
        let again = sections[..index].iter().any(|earlier| earlier.mid == section.mid);
        if again && !section.mid.0.is_empty() {
            return Err(OfferError::Malformed("two m-lines with the same mid"));
        }
    }
    Ok(())
}

/// Everything that could be accepted must share one transport.
fn check_bundle(sections: &[OfferedSection]) -> Result<(), OfferError> {
    let mut usable = sections.iter().filter(|section| section.is_usable());
    if usable.clone().count() > 1 && !usable.all(|section| section.line.bundle.is_some()) {
        return Err(OfferError::Unsupported("m-lines outside the BUNDLE group"));
    }
    Ok(())
}

/// Each signalled SSRC may come to life, and each living one costs a replay window.
fn check_ssrcs(sections: &[OfferedSection]) -> Result<(), OfferError> {
    let ssrcs = |media: &OfferedMedia| -> usize {
        media.receive.ssrcs.iter().map(|(_, rtx)| 1 + usize::from(rtx.is_some())).sum()
    };
    let ssrcs: usize = sections
        .iter()
        .map(|section| match &section.content {
            OfferedContent::Media(media) if media.direction.sends() => ssrcs(media),
            _ => 0,
        })
        .sum();
    if ssrcs > SSRCS_PER_PEER_MAX {
        return Err(OfferError::Unsupported("more than 96 SSRCs"));
    }
    Ok(())
}

/// The m-line whose transport all others share: the first of the group that can be accepted
/// (RFC 9143 §7.3.1), failing that any, so that an offer of nothing useful can be answered.
fn tagged(sections: &[OfferedSection]) -> Option<usize> {
    let usable = |&index: &usize| sections[index].is_usable();
    let place = |&index: &usize| sections[index].line.bundle.unwrap_or(u16::MAX);
    (0..sections.len())
        .filter(usable)
        .min_by_key(place)
        .or_else(|| (0..sections.len()).min_by_key(place))
}

/// Where the transport's attributes are looked for: in the tagged m-line, else in the session.
struct Transport<'a> {
    media: Attributes<'a>,
    session: Attributes<'a>,
}

impl<'a> Transport<'a> {
    fn value(&self, key: &'static str) -> Option<&'a str> {
        self.media.value(key).or_else(|| self.session.value(key))
    }

    /// RFC 8839 §5.4.
    fn ice(&self) -> Result<IceCredentials, OfferError> {
        let (Some(ufrag), Some(password)) = (self.value("ice-ufrag"), self.value("ice-pwd")) else {
            return Err(OfferError::Malformed("no ICE credentials"));
        };
        ice_credentials(ufrag, password)
    }

    fn fingerprints(&self) -> Result<Vec<Fingerprint>, OfferError> {
        let level = if self.media.has("fingerprint") { self.media } else { self.session };
        let mut fingerprints = Vec::new();
        for (index, value) in level.values("fingerprint").enumerate() {
            if index >= FINGERPRINTS_MAX {
                return Err(OfferError::Malformed("more than 8 fingerprints"));
            }
            fingerprints.extend(fingerprint(value)?);
        }
        match (fingerprints.is_empty(), level.has("fingerprint")) {
            (false, _) => Ok(fingerprints),
            (true, false) => Err(OfferError::Malformed("no certificate fingerprint")),
            (true, true) => Err(OfferError::Unsupported("no known fingerprint hash function")),
        }
    }

    /// RFC 8842 §5.2. Offers should say actpass; an absent one is taken for that.
    fn role(&self) -> Result<DtlsRole, OfferError> {
        match self.value("setup") {
            None | Some("actpass" | "active") => Ok(DtlsRole::Server),
            Some("passive") => Ok(DtlsRole::Client),
            Some("holdconn") => Err(OfferError::Unsupported("a=setup:holdconn")),
            Some(_) => Err(OfferError::Malformed("an unknown a=setup")),
        }
    }
}

/// Credentials, if they are well-formed (RFC 8839 §5.4).
pub(super) fn ice_credentials(ufrag: &str, password: &str) -> Result<IceCredentials, OfferError> {
    let plain = |text: &str| {
        text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/')
    };
    if !(4..=256).contains(&ufrag.len()) || !plain(ufrag) {
        return Err(OfferError::Malformed("an ICE ufrag that is not 4 to 256 of A-Z a-z 0-9 + /"));
    }
    if !(22..=256).contains(&password.len()) || !plain(password) {
        return Err(OfferError::Malformed(
            "an ICE password that is not 22 to 256 of A-Z a-z 0-9 + /",
        ));
    }
    Ok(IceCredentials { ufrag: ufrag.into(), password: password.into() })
}

/// One `a=fingerprint`; `None` if its hash function is not known.
fn fingerprint(value: &str) -> Result<Option<Fingerprint>, OfferError> {
    const BAD: OfferError = OfferError::Malformed("a fingerprint that is not one");
    let (name, hex) = value.split_once(' ').ok_or(BAD)?;
    let Some(&(algorithm, length)) =
        HASHES.iter().find(|(algorithm, _)| algorithm.eq_ignore_ascii_case(name))
    else {
        return Ok(None);
    };
    let bytes: Vec<u8> = hex
        .trim()
        .split(':')
        .map(|byte| {
            let hex = byte.len() == 2 && byte.bytes().all(|digit| digit.is_ascii_hexdigit());
            hex.then(|| u8::from_str_radix(byte, 16).ok()).flatten().ok_or(BAD)
        })
        .collect::<Result<_, _>>()?;
    if bytes.len() != length {
        return Err(BAD);
    }
    Ok(Some(Fingerprint { algorithm: algorithm.into(), bytes }))
}
