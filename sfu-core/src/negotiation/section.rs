//! One offered m-line.

use sdp::description::media::MediaDescription;

use super::text::{Attributes, is_token};
use super::{
    Direction, MediaKind, MediaLine, Msid, OfferError, OfferedContent, OfferedData,
    OfferedExtension, OfferedMedia, OfferedSection, codec, source,
};
use crate::id::Mid;
use crate::limits::{CANDIDATES_MAX, EXTENSIONS_PER_SECTION_MAX, TOKEN_BYTES_MAX};
use crate::rtp::extension::Extension;

/// What an answerer takes for secured RTP (JSEP, RFC 8829 §5.1.2).
const RTP_PROTOCOLS: [&str; 6] = [
    "UDP/TLS/RTP/SAVPF",
    "UDP/TLS/RTP/SAVP",
    "TCP/DTLS/RTP/SAVPF",
    "TCP/DTLS/RTP/SAVP",
    "RTP/SAVPF",
    "RTP/SAVP",
];

/// And for data channels (RFC 8841 §4).
const DATA_PROTOCOLS: [&str; 2] = ["UDP/DTLS/SCTP", "TCP/DTLS/SCTP"];

/// Ids that an offerer with too many extensions uses as placeholders (RFC 8285 §6).
const EXTENSION_PLACEHOLDERS: std::ops::RangeInclusive<u16> = 4096..=4351;

/// Reads an m-line. `session` are the session's attributes, `bundle` the mids of its BUNDLE group.
pub(super) fn read(
    media: &MediaDescription,
    session: Attributes<'_>,
    bundle: &[&str],
) -> Result<OfferedSection, OfferError> {
    let attributes = Attributes(&media.attributes);
    if attributes.values("candidate").count() > CANDIDATES_MAX {
        return Err(OfferError::Malformed("more than 64 candidates in an m-line"));
    }
    let mid = mid(attributes)?;
    let place = mid.and_then(|mid| (0_u16..).zip(bundle).find(|&(_, &bundled)| bundled == mid));
    let line = line(media, place.map(|(place, _)| place));
    // RFC 9143 §6: a bundle-only m-line has port 0 and yet is offered.
    let bundle_only = line.bundle.is_some() && attributes.has("bundle-only");
    if media.media_name.port.value == 0 && !bundle_only {
        let mid = Mid::from(mid.unwrap_or_default());
        return Ok(OfferedSection { mid, line, content: OfferedContent::Rejected });
    }
    let mid = Mid::from(mid.ok_or(OfferError::Malformed("an m-line without a mid"))?);
    let rtp = RTP_PROTOCOLS.contains(&&*line.protocol);
    let content = match &*line.media {
        "audio" if rtp => offered_media(media, session, MediaKind::Audio)?,
        "video" if rtp => offered_media(media, session, MediaKind::Video)?,
        "application" if DATA_PROTOCOLS.contains(&&*line.protocol) => data(&line, attributes)?,
        _ => OfferedContent::Rejected,
    };
    Ok(OfferedSection { mid, line, content })
}

fn line(media: &MediaDescription, bundle: Option<u16>) -> MediaLine {
    MediaLine {
        media: media.media_name.media.as_str().into(),
        protocol: media.media_name.protos.join("/").into(),
        format: media.media_name.formats.first().map_or("0", String::as_str).into(),
        bundle,
    }
}

fn mid(attributes: Attributes<'_>) -> Result<Option<&str>, OfferError> {
    let mid = attributes.value("mid");
    match mid {
        Some(mid) if mid.len() > TOKEN_BYTES_MAX => {
            Err(OfferError::Malformed("a mid of more than 16 bytes"))
        }
        Some(mid) if !is_token(mid) => Err(OfferError::Malformed("a mid that is not a token")),
        _ => Ok(mid),
    }
}

/// RFC 8841 §5: no other application protocol is known, and the port and size have attributes.
fn data(line: &MediaLine, attributes: Attributes<'_>) -> Result<OfferedContent, OfferError> {
    if &*line.format != "webrtc-datachannel" {
        return Ok(OfferedContent::Rejected);
    }
    let sctp_port = attributes
        .value("sctp-port")
        .and_then(|port| port.parse().ok())
        .filter(|&port| port != 0)
        .ok_or(OfferError::Malformed("data channels without an a=sctp-port"))?;
    // RFC 8841 §6.1: 64 KiB if absent, 0 for any size.
    let message_bytes_max = match attributes.value("max-message-size") {
        None => Some(64 * 1024),
        Some(size) => size
            .parse()
            .map(|size| Some(size).filter(|&size| size != 0))
            .map_err(|_| OfferError::Malformed("an a=max-message-size that is not a number"))?,
    };
    Ok(OfferedContent::Data(OfferedData { sctp_port, message_bytes_max }))
}

fn offered_media(
    media: &MediaDescription,
    session: Attributes<'_>,
    kind: MediaKind,
) -> Result<OfferedContent, OfferError> {
    let attributes = Attributes(&media.attributes);
    let codecs = codec::read(media, kind)?;
    if !codecs.is_empty() && !attributes.has("rtcp-mux") {
        return Err(OfferError::Unsupported("RTCP without a=rtcp-mux"));
    }
    let direction = direction(attributes).or_else(|| direction(session)).unwrap_or_default();
    Ok(OfferedContent::Media(Box::new(OfferedMedia {
        kind,
        direction,
        codecs,
        extensions: extensions(attributes)?,
        receive: source::read(attributes)?,
        msid: msid(attributes),
        extmap_allow_mixed: attributes.has("extmap-allow-mixed")
            || session.has("extmap-allow-mixed"),
        rtcp_reduced_size: attributes.has("rtcp-rsize"),
    })))
}

fn direction(attributes: Attributes<'_>) -> Option<Direction> {
    attributes.iter().find_map(|(key, _)| Direction::from_token(key))
}

/// The `a=extmap` lines the engine understands; of the same id or extension the first counts.
fn extensions(attributes: Attributes<'_>) -> Result<Vec<OfferedExtension>, OfferError> {
    let mut ids = Vec::new();
    let mut extensions: Vec<OfferedExtension> = Vec::new();
    for (index, value) in attributes.values("extmap").enumerate() {
        if index >= EXTENSIONS_PER_SECTION_MAX {
            return Err(OfferError::Malformed("more than 64 header extensions in an m-line"));
        }
        let mut words = value.split_whitespace();
        let (id, direction) = extension_id(words.next().unwrap_or_default())?;
        let uri = words.next().ok_or(OfferError::Malformed("an a=extmap without a URI"))?;
        let Some(id) = id.filter(|id| !ids.contains(id)) else {
            continue;
        };
        ids.push(id);
        if let Some(extension) = Extension::from_uri(uri)
            && extensions.iter().all(|known| known.extension != extension)
        {
            extensions.push(OfferedExtension { extension, id, direction });
        }
    }
    Ok(extensions)
}

/// The `3` or `3/recvonly` of an `a=extmap`; no id if it is a placeholder.
fn extension_id(text: &str) -> Result<(Option<u8>, Direction), OfferError> {
    const BAD_ID: OfferError = OfferError::Malformed("a header extension id outside 1..=255");
    const BAD_DIRECTION: OfferError = OfferError::Malformed("a header extension's direction");
    let (id, direction) = match text.split_once('/') {
        None => (text, Direction::SendRecv),
        Some((id, direction)) => (id, Direction::from_token(direction).ok_or(BAD_DIRECTION)?),
    };
    match id.parse::<u16>().map_err(|_| BAD_ID)? {
        0 => Err(BAD_ID),
        placeholder if EXTENSION_PLACEHOLDERS.contains(&placeholder) => Ok((None, direction)),
        id => Ok((Some(u8::try_from(id).map_err(|_| BAD_ID)?), direction)),
    }
}

/// RFC 8830 §2; the stream is `-` if there is none, the track may be missing.
fn msid(attributes: Attributes<'_>) -> Option<Msid> {
    let mut words = attributes.value("msid")?.split_whitespace();
    let stream = words.next()?;
    Some(Msid { stream: stream.into(), track: words.next().unwrap_or_default().into() })
}
