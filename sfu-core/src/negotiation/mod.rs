//! Offer → answer. The client always offers, the engine only answers (JSEP, RFC 8829).
//!
//! Three steps, so that text never costs a media thread anything: [`Offer::parse`] and
//! [`Answer::to_sdp`] run wherever the session lives; in between the engine works on values:
//! [`negotiate`] is a pure function from the offer and what was agreed before to the
//! [`Section`]s both sides will use.

use std::net::SocketAddr;

use crate::id::{Mid, PayloadType, Rid, Ssrc};
use crate::rtp::extension::ExtensionMap;
use crate::transport::{DtlsRole, Fingerprint, IceCredentials};

/// What an m-line carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MediaKind {
    /// `m=audio`.
    Audio,
    /// `m=video`.
    Video,
}

/// A codec the engine forwards. It never transcodes; it must know where keyframes begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// RFC 7587.
    Opus,
    /// Redundant audio data around Opus (RFC 2198); passes through.
    Red,
    /// RFC 7741.
    Vp8,
    /// RFC 9628.
    Vp9,
    /// RFC 6184.
    H264,
    /// AV1 RTP payload format 1.0.
    Av1,
}

/// A codec as one m-line numbers and parameterises it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodecParameters {
    /// The codec.
    pub codec: Codec,
    /// The client's payload type for it.
    pub payload_type: PayloadType,
    /// The client's payload type for its retransmissions (RFC 4588), if offered.
    pub rtx: Option<PayloadType>,
    /// RTP clock rate in Hz.
    pub clock_rate: u32,
    /// Format parameters as offered (profile-level-id, packetization-mode …).
    pub fmtp: Box<str>,
}

/// A parsed, bounded offer.
#[derive(Clone, Debug)]
pub struct Offer {
    /// The client's ICE credentials.
    pub ice: IceCredentials,
    /// The client's certificate fingerprints; never empty.
    pub fingerprints: Vec<Fingerprint>,
    /// The DTLS role left to this side by `a=setup`.
    pub role: DtlsRole,
    /// The m-lines in order.
    pub sections: Vec<OfferedSection>,
}

/// One offered m-line.
#[derive(Clone, Debug)]
pub struct OfferedSection {
    /// Its mid.
    pub mid: Mid,
}

/// One agreed m-line.
#[derive(Clone, Debug, PartialEq)]
pub struct Section {
    /// Its mid.
    pub mid: Mid,
    /// What is agreed for it.
    pub content: SectionContent,
}

/// What an agreed m-line is for.
#[derive(Clone, Debug, PartialEq)]
pub enum SectionContent {
    /// Refused or closed: port 0 in the answer.
    Rejected,
    /// The SCTP association (RFC 8841).
    Data,
    /// Audio or video.
    Media(MediaSection),
}

/// An agreed media m-line.
#[derive(Clone, Debug, PartialEq)]
pub struct MediaSection {
    /// Audio or video.
    pub kind: MediaKind,
    /// Codecs both sides know, in the client's order of preference.
    pub codecs: Vec<CodecParameters>,
    /// Header extensions with the client's ids.
    pub extensions: ExtensionMap,
    /// Set if the client sends on it (the answer receives).
    pub receive: Option<ReceiveParameters>,
    /// Set if the client receives on it (the answer sends).
    pub send: Option<SendParameters>,
}

/// What the client announced of its sending.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReceiveParameters {
    /// Simulcast encodings in the client's order (best quality last or first as it says); empty
    /// without simulcast.
    pub rids: Vec<Rid>,
    /// Signalled media SSRCs with the SSRC of their retransmissions. May be empty.
    pub ssrcs: Vec<(Ssrc, Option<Ssrc>)>,
}

/// What the engine will send on an m-line. Stable for the life of the m-line.
#[derive(Clone, Debug, PartialEq)]
pub struct SendParameters {
    /// The media SSRC.
    pub ssrc: Ssrc,
    /// The SSRC of retransmissions (video with RTX).
    pub rtx_ssrc: Option<Ssrc>,
}

/// Why an offer does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NegotiationError {
    /// An agreed m-line is missing, moved or changed its kind.
    #[error("m-lines must keep their order, mid and kind")]
    SectionChanged,
}

/// Why an offer could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OfferError {
    /// Longer than [`crate::limits::SDP_BYTES_MAX`].
    #[error("the SDP is longer than 64 KiB")]
    TooLarge,
    /// Not SDP, or without something that WebRTC requires.
    #[error("malformed SDP: {0}")]
    Malformed(&'static str),
    /// Well-formed, but nothing that this server can do.
    #[error("unsupported: {0}")]
    Unsupported(&'static str),
}

/// The answer as a value.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The server's ICE credentials.
    pub ice: IceCredentials,
    /// The server's certificate.
    pub fingerprint: Fingerprint,
    /// The server's DTLS role.
    pub role: DtlsRole,
    /// The server's UDP host candidates.
    pub candidates: Vec<SocketAddr>,
    /// CNAME of everything the server sends to this peer.
    pub cname: Box<str>,
    /// The m-lines, with the msid (stream, track) of those that send.
    pub sections: Vec<(Section, Option<Msid>)>,
}

/// `a=msid` (RFC 8830).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Msid {
    /// The MediaStream: receivers synchronise audio and video that share it.
    pub stream: Box<str>,
    /// The track.
    pub track: Box<str>,
}

impl Offer {
    /// Reads an offer.
    pub fn parse(_sdp: &str) -> Result<Self, OfferError> {
        Err(OfferError::Unsupported("not written yet"))
    }
}

impl Answer {
    /// Renders the answer.
    #[must_use]
    pub fn to_sdp(&self) -> String {
        String::new()
    }
}

/// Agrees on the m-lines of `offer`, given those agreed `before` (empty the first time).
/// `new_ssrc` gives SSRCs for new sending m-lines.
pub fn negotiate(
    _offer: &Offer,
    _before: &[Section],
    _new_ssrc: &mut dyn FnMut() -> Ssrc,
) -> Result<Vec<Section>, NegotiationError> {
    Err(NegotiationError::SectionChanged)
}
