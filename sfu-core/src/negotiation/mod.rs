//! Offer → answer. The client always offers, the engine only answers (JSEP, RFC 8829).
//!
//! Three steps, so that text never costs a media thread anything: [`Offer::parse`] and
//! [`Answer::to_sdp`] run wherever the session lives; in between the engine works on values:
//! [`negotiate()`] is a pure function from the offer and what was agreed before to the
//! [`Section`]s both sides will use.
//!
//! | file | what it knows |
//! |---|---|
//! | `text` | bounds of the text, rtc-sdp's parser, looking up attributes |
//! | `offer` | the session: BUNDLE, the one transport, the m-lines |
//! | `section` | one offered m-line |
//! | `codec` | payload types, their parameters, and whose decoder takes whose stream |
//! | `h264` | H.264 profiles |
//! | `direction` | sendrecv, sendonly, recvonly, inactive |
//! | `source` | RIDs and SSRCs a client announces |
//! | `negotiate` | what is agreed |
//! | `answer` | the answer's text |
//! | `fragment` | SDP fragments of WHIP and WHEP (RFC 8840) |
//! | `one_way` | what WHIP and WHEP ask of an offer |

mod answer;
mod codec;
mod direction;
mod fragment;
mod h264;
mod negotiate;
mod offer;
mod one_way;
mod section;
mod source;
mod text;

use crate::id::{Mid, PayloadType, Rid, Ssrc};
use crate::rtp::extension::{Extension, ExtensionMap};
use crate::transport::{Candidate, DtlsRole, Fingerprint, IceCredentials};

pub use direction::Direction;
pub use fragment::SdpFragment;
pub use negotiate::negotiate;

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
    /// RTCP feedback: offered in an [`Offer`], agreed in a [`Section`].
    pub feedback: Feedback,
}

/// RTCP feedback of one codec (`a=rtcp-fb`, RFC 4585 §4.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Feedback {
    /// Generic NACK (RFC 4585 §6.2.1).
    pub nack: bool,
    /// Picture loss indication (RFC 4585 §6.3.1).
    pub nack_pli: bool,
    /// Full intra request (RFC 5104 §4.3.1).
    pub ccm_fir: bool,
    /// Transport-wide congestion control.
    pub transport_cc: bool,
    /// Congestion control feedback (RFC 8888 §6).
    pub ack_ccfb: bool,
    /// Receiver estimated maximum bitrate.
    pub goog_remb: bool,
}

impl Feedback {
    /// Whether the receiver says what the path to it carries.
    #[must_use]
    pub fn tells_of_path(&self) -> bool {
        self.transport_cc || self.ack_ccfb || self.goog_remb
    }
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
#[derive(Clone, Debug, PartialEq)]
pub struct OfferedSection {
    /// Its mid. Empty only if the client itself refuses the m-line and named none.
    pub mid: Mid,
    /// Its first line.
    pub line: MediaLine,
    /// What it offers.
    pub content: OfferedContent,
}

/// What an answer has to repeat of an m-line even if it refuses it (RFC 3264 §6).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MediaLine {
    /// `audio`, `video`, `application` …
    pub media: Box<str>,
    /// The transport protocol, such as `UDP/TLS/RTP/SAVPF`.
    pub protocol: Box<str>,
    /// The first format: what a refusal lists.
    pub format: Box<str>,
    /// Its place in the client's BUNDLE group (RFC 9143), if it is in it. The transport's
    /// attributes belong to the first that is accepted.
    pub bundle: Option<u16>,
}

/// What an offered m-line is for.
#[derive(Clone, Debug, PartialEq)]
pub enum OfferedContent {
    /// Refused by the client (port 0), or nothing this server knows.
    Rejected,
    /// An SCTP association for data channels (RFC 8841).
    Data(OfferedData),
    /// Audio or video.
    Media(Box<OfferedMedia>),
}

/// An offered SCTP association.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OfferedData {
    /// The client's SCTP port.
    pub sctp_port: u16,
    /// Longest message the client takes, in bytes; `None` is without limit.
    pub message_bytes_max: Option<u64>,
}

/// An offered media m-line.
#[derive(Clone, Debug, PartialEq)]
pub struct OfferedMedia {
    /// Audio or video.
    pub kind: MediaKind,
    /// Which way media flows, as the client sees it.
    pub direction: Direction,
    /// The codecs that the engine knows too, in the client's order of preference.
    pub codecs: Vec<CodecParameters>,
    /// The header extensions that the engine knows too.
    pub extensions: Vec<OfferedExtension>,
    /// What the client will send.
    pub receive: ReceiveParameters,
    /// The MediaStream and track of what the client will send, if it says.
    pub msid: Option<Msid>,
    /// Whether one- and two-byte header extensions may be mixed (RFC 8285 §6).
    pub extmap_allow_mixed: bool,
    /// Whether RTCP may be of reduced size (RFC 5506).
    pub rtcp_reduced_size: bool,
}

/// An offered header extension (RFC 8285 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OfferedExtension {
    /// The extension.
    pub extension: Extension,
    /// The client's id for it.
    pub id: u8,
    /// Which way it may be used, as the client sees it.
    pub direction: Direction,
}

/// One agreed m-line.
#[derive(Clone, Debug, PartialEq)]
pub struct Section {
    /// Its mid.
    pub mid: Mid,
    /// Its first line.
    pub line: MediaLine,
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
    /// Header extensions with the client's ids. Some may only be read, see
    /// [`MediaSection::extensions_to_send`].
    pub extensions: ExtensionMap,
    /// Those of `extensions` that are agreed for one way only, as the client sees it.
    pub one_way: Vec<(Extension, Direction)>,
    /// Whether one- and two-byte header extensions may be mixed (RFC 8285 §6).
    pub extmap_allow_mixed: bool,
    /// Whether RTCP may be of reduced size (RFC 5506).
    pub rtcp_reduced_size: bool,
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
    /// Signalled media SSRCs with the SSRC of their retransmissions, in the order of
    /// `a=ssrc-group:SIM` if there is one. May be empty.
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
    /// The server's host candidates, the earlier the better.
    pub candidates: Vec<Candidate>,
    /// CNAME of everything the server sends to this peer.
    pub cname: Box<str>,
    /// Which answer of this session it is, counted from 0: the version of its `o=` line.
    pub version: u64,
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
    /// The offered SCTP association, if there is one.
    #[must_use]
    pub fn data(&self) -> Option<OfferedData> {
        self.sections.iter().find_map(|section| match section.content {
            OfferedContent::Data(data) => Some(data),
            OfferedContent::Rejected | OfferedContent::Media(_) => None,
        })
    }
}

impl MediaSection {
    /// The codec that a payload type stands for, and whether it is that of its retransmissions.
    #[must_use]
    pub fn codec(&self, payload_type: PayloadType) -> Option<(&CodecParameters, bool)> {
        self.codecs.iter().find_map(|codec| {
            if codec.payload_type == payload_type {
                Some((codec, false))
            } else if codec.rtx == Some(payload_type) {
                Some((codec, true))
            } else {
                None
            }
        })
    }

    /// The codec of this m-line that can carry what a publisher sends as `publisher`, payload
    /// untouched. The closest match wins, then the client's preference.
    #[must_use]
    pub fn compatible(&self, publisher: &CodecParameters) -> Option<&CodecParameters> {
        self.codecs
            .iter()
            .filter_map(|codec| codec.distance_from(publisher).map(|distance| (distance, codec)))
            .min_by_key(|&(distance, _)| distance)
            .map(|(_, codec)| codec)
    }

    /// The Opus that a RED of this m-line wraps: what to send to a subscriber without RED, once
    /// unwrapped (RFC 2198).
    #[must_use]
    pub fn wrapped_in(&self, red: &CodecParameters) -> Option<&CodecParameters> {
        let inner = red.red_payload_type()?;
        self.codecs.iter().find(|codec| codec.codec == Codec::Opus && codec.payload_type == inner)
    }

    /// The RED of this m-line that wraps its `opus`, if any.
    #[must_use]
    pub fn wrapping(&self, opus: &CodecParameters) -> Option<&CodecParameters> {
        self.codecs.iter().find(|red| red.red_payload_type() == Some(opus.payload_type))
    }

    /// The header extensions that the client takes, with its ids: what may be written into
    /// packets for it.
    #[must_use]
    pub fn extensions_to_send(&self) -> ExtensionMap {
        let mut extensions = self.extensions;
        for &(extension, direction) in &self.one_way {
            if !direction.receives() {
                extensions.set(extension, 0);
            }
        }
        extensions
    }
}
