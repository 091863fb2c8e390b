//! What clients are told, as JSON: the replies and events of `docs/protocol.md`.

use base64::Engine as _;
use bytestring::ByteString;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use sfu_core::command::Source;
use sfu_core::event::{FailReason, TransportState};
use sfu_core::id::{Mid, ParticipantId, TrackId};
use sfu_core::negotiation::MediaKind;

use super::forwarding::LayerView;
use super::grant::PermissionsView;
use super::settings::RoomSettings;
use super::track::TrackKey;
use crate::ice_servers::IceServer;
use crate::media::Impairment;

/// A rendered message; rendered once, however many receive it.
#[derive(Clone, Debug)]
pub(crate) struct Json(ByteString);

impl Json {
    /// Renders `message`.
    pub(crate) fn of(message: &impl Serialize) -> Self {
        let text = serde_json::to_string(message).expect("messages hold only strings and numbers");
        Self(text.into())
    }

    pub(crate) fn frame(&self) -> ByteString {
        self.0.clone()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// A participant's id on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WireId(u64);

impl From<ParticipantId> for WireId {
    fn from(id: ParticipantId) -> Self {
        Self(id.0)
    }
}

impl From<TrackId> for WireId {
    fn from(id: TrackId) -> Self {
        Self(id.to_wire())
    }
}

impl From<TrackKey> for WireId {
    fn from(key: TrackKey) -> Self {
        Self(key.to_wire())
    }
}

impl WireId {
    /// Reads exactly 16 hexadecimal digits.
    pub(crate) fn parse(text: &str) -> Option<u64> {
        let is_hex = text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
        is_hex.then(|| u64::from_str_radix(text, 16).expect("16 hexadecimal digits are a u64"))
    }
}

impl std::fmt::Display for WireId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Serialize for WireId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:016x}", self.0))
    }
}

impl JsonSchema for WireId {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Id".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9a-f]{16}$" })
    }
}

/// A participant as others see it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct ParticipantView {
    pub(crate) id: WireId,
    pub(crate) name: String,
    pub(crate) metadata: String,
    pub(crate) tracks: Vec<TrackView>,
}

/// A track as others see it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct TrackView {
    pub(crate) track: WireId,
    pub(crate) kind: &'static str,
    pub(crate) source: &'static str,
    pub(crate) name: String,
    pub(crate) muted: bool,
    pub(crate) encodings: u8,
}

/// What an m-line publishes.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PublishedView {
    pub(crate) mid: String,
    pub(crate) track: WireId,
}

/// What a receiving m-line carries.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct AssignedView {
    pub(crate) mid: String,
    pub(crate) track: Option<WireId>,
    pub(crate) participant: Option<WireId>,
}

impl AssignedView {
    pub(crate) fn new(mid: &Mid, carried: Option<(ParticipantId, TrackKey)>) -> Self {
        Self {
            mid: mid.to_string(),
            track: carried.map(|(_, track)| track.into()),
            participant: carried.map(|(participant, _)| participant.into()),
        }
    }
}

/// The answer to an offer.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct AnswerView {
    pub(crate) sdp: String,
    pub(crate) tracks: Vec<PublishedView>,
    pub(crate) assigned: Vec<AssignedView>,
}

/// An active speaker.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct SpeakerView {
    pub(crate) participant: WireId,
    pub(crate) level: i8,
}

/// The answer to a request.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Reply {
    Joined {
        room: String,
        participant: WireId,
        participants: Vec<ParticipantView>,
        permissions: PermissionsView,
        #[serde(flatten)]
        settings: RoomSettings,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        ice_servers: Vec<IceServer>,
        /// Whether networks may be made bad, in development.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        impairments: bool,
        /// What another WebSocket shows to go on from this one, where that was asked for.
        #[serde(skip_serializing_if = "Option::is_none")]
        resume_key: Option<super::ResumeKey>,
    },
    /// The answer to `resume`, before anything else.
    Resumed {
        /// The last request that was carried out.
        last_request: Option<u64>,
    },
    Answer(AnswerView),
    Ok {},
    /// The answer to `prefer`.
    #[serde(rename = "ok")]
    Preferred {
        ignored: Vec<WireId>,
    },
    Pong {},
    Error {
        code: ErrorCode,
        title: &'static str,
        detail: String,
    },
}

impl Reply {
    /// Renders the reply to the request `re`, or to one whose id could not be read.
    pub(crate) fn to(self, re: Option<u64>) -> Json {
        #[derive(Serialize)]
        struct Envelope {
            re: Option<u64>,
            #[serde(flatten)]
            reply: Reply,
        }
        Json::of(&Envelope { re, reply: self })
    }

    pub(crate) fn error(error: super::SessionError) -> Self {
        Self::Error { code: error.code, title: error.code.title(), detail: error.detail }
    }
}

/// Something a client is told without asking.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum ServerEvent {
    Hello {
        protocol: &'static str,
        version: &'static str,
        ping_interval: u64,
    },
    ParticipantJoined {
        participant: ParticipantView,
    },
    ParticipantLeft {
        participant: WireId,
        reason: super::LeaveReason,
    },
    TrackPublished {
        participant: WireId,
        track: TrackView,
    },
    TrackUnpublished {
        participant: WireId,
        track: WireId,
    },
    TrackMuted {
        participant: WireId,
        track: WireId,
        muted: bool,
    },
    Assigned(AssignedView),
    SlotsNeeded {
        audio: u16,
        video: u16,
    },
    Unplayable {
        track: WireId,
    },
    Layer {
        track: WireId,
        #[serde(flatten)]
        layer: LayerView,
        width: u16,
        height: u16,
        reason: &'static str,
    },
    Paused {
        track: WireId,
        reason: &'static str,
    },
    Resumed {
        track: WireId,
    },
    Demand {
        track: WireId,
        encodings: Vec<bool>,
        max_spatial: u8,
    },
    RoomSettings(RoomSettings),
    Speakers {
        speakers: Vec<SpeakerView>,
    },
    Data {
        from: Option<WireId>,
        payload: String,
        reliable: bool,
        binary: bool,
    },
    Transport {
        state: &'static str,
        reason: Option<&'static str>,
    },
    /// One's own permissions from now on.
    Permissions(PermissionsView),
    /// How bad one's network is made from now on.
    Impairment(Impairment),
    /// Somebody's name or metadata changed, perhaps one's own.
    ParticipantUpdated {
        participant: WireId,
        name: String,
        metadata: String,
    },
    /// One may exchange media with this participant directly: try.
    Direct {
        epoch: u64,
        participant: WireId,
        /// Whether one gives way when both offer at once, and lets the other begin.
        polite: bool,
    },
    /// What the other one has to say.
    DirectSignal {
        epoch: u64,
        payload: String,
    },
    /// It works both ways: the server forwards nothing from now on.
    DirectOn {
        epoch: u64,
    },
    /// The server forwards again.
    DirectEnd {
        epoch: u64,
        reason: super::direct::DirectEnd,
    },
    Draining {},
}

impl ServerEvent {
    pub(crate) fn transport(state: TransportState) -> Self {
        let (state, reason) = match state {
            TransportState::Connecting => ("connecting", None),
            TransportState::Connected => ("connected", None),
            TransportState::Disconnected => ("disconnected", None),
            TransportState::Failed(reason) => ("failed", Some(fail_reason(reason))),
        };
        Self::Transport { state, reason }
    }

    /// A data message: text as it is, anything else as base64.
    pub(crate) fn data(
        from: Option<ParticipantId>,
        payload: &[u8],
        is_text: bool,
        reliable: bool,
    ) -> Self {
        let from = from.map(WireId::from);
        match std::str::from_utf8(payload) {
            Ok(text) if is_text => {
                Self::Data { from, payload: text.to_owned(), reliable, binary: false }
            }
            _ => {
                let payload = base64::engine::general_purpose::STANDARD.encode(payload);
                Self::Data { from, payload, reliable, binary: true }
            }
        }
    }
}

/// Why a transport failed, in signalling and metrics.
pub(crate) const fn fail_reason(reason: FailReason) -> &'static str {
    match reason {
        FailReason::IceTimeout => "ice_timeout",
        FailReason::DtlsTimeout => "dtls_timeout",
        FailReason::FingerprintMismatch => "fingerprint_mismatch",
        FailReason::DtlsError => "dtls_error",
        FailReason::ConsentExpired => "consent_expired",
        FailReason::ClosedByPeer => "closed_by_peer",
        FailReason::Internal => "internal",
    }
}

pub(crate) const fn kind_name(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Audio => "audio",
        MediaKind::Video => "video",
    }
}

pub(crate) const fn source_name(source: Source) -> &'static str {
    match source {
        Source::Camera => "camera",
        Source::Microphone => "microphone",
        Source::Screen => "screen",
        Source::ScreenAudio => "screen_audio",
        Source::Other => "other",
    }
}

macro_rules! error_codes {
    ($($variant:ident $name:literal $title:literal,)*) => {
        /// The codes of an `error`, the same at every door.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
        pub(crate) enum ErrorCode { $(#[serde(rename = $name)] $variant,)* }

        impl ErrorCode {
            pub(crate) const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// A short sentence for people, the same for every error of this code.
            pub(crate) const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }
        }
    };
}

error_codes! {
    Malformed "malformed" "The request cannot be read",
    UnknownType "unknown_type" "There is no such request",
    NotJoined "not_joined" "Join a room first",
    AlreadyJoined "already_joined" "This connection has joined a room already",
    InvalidName "invalid_name" "The name is too long, empty or not printable",
    RoomFull "room_full" "The room is full",
    RoomLocked "room_locked" "The room is locked",
    Limit "limit" "A limit was reached",
    SdpMalformed "sdp_malformed" "The SDP cannot be read",
    SdpTooLarge "sdp_too_large" "The SDP is too large",
    SdpUnsupported "sdp_unsupported" "The SDP asks for something this server cannot do",
    NoSuchRoom "no_such_room" "There is no such room",
    NoSuchTrack "no_such_track" "There is no such track in this room",
    NotYours "not_yours" "The track belongs to somebody else",
    NoPublisher "no_publisher" "Nobody is publishing there",
    NoSuchParticipant "no_such_participant" "There is no such participant in this room",
    NoSuchSession "no_such_session" "There is no such session",
    NoSuchLayer "no_such_layer" "The track has no such layer",
    RateLimited "rate_limited" "Too many requests",
    Draining "draining" "The server is about to stop",
    Overloaded "overloaded" "The server is overloaded",
    ServerFull "server_full" "The server has no room for another room",
    Internal "internal" "Internal error",
    NotFound "not_found" "Not found",
    MethodNotAllowed "method_not_allowed" "Method not allowed",
    UnsupportedMediaType "unsupported_media_type" "Unsupported media type",
    BodyTooLarge "body_too_large" "The request body is too large",
    RequestTimeout "request_timeout" "The request took too long",
    OriginRefused "origin_refused" "Pages of this origin may not connect",
    PreconditionRequired "precondition_required" "If-Match is required",
    PreconditionFailed "precondition_failed" "If-Match names another version",
    Unauthorized "unauthorized" "A valid token is needed",
    Forbidden "forbidden" "This is not permitted",
    NoKeys "no_keys" "There is no key to sign with",
    NoDirect "no_direct" "Media does not go directly",
    NotAcceptable "not_acceptable" "The answer cannot be had in this form",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_sixteen_hexadecimal_digits_and_nothing_else() {
        assert_eq!(Json::of(&WireId(0xab)).frame(), "\"00000000000000ab\"");
        assert_eq!(WireId::parse("00000000000000aB"), Some(0xab));
        for wrong in ["", "ab", "+0000000000000ab", "00000000000000abc", "00000000000000ag"] {
            assert_eq!(WireId::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn messages_look_as_documented() {
        let reply = Reply::Ok {}.to(Some(7)).frame();
        assert_eq!(reply, r#"{"re":7,"type":"ok"}"#);
        let idle = ServerEvent::Assigned(AssignedView::new(&"3".into(), None));
        let want = r#"{"type":"assigned","mid":"3","track":null,"participant":null}"#;
        assert_eq!(Json::of(&idle).frame(), want);
        let failed = TransportState::Failed(FailReason::IceTimeout);
        let want = r#"{"type":"transport","state":"failed","reason":"ice_timeout"}"#;
        assert_eq!(Json::of(&ServerEvent::transport(failed)).frame(), want);
        let data = ServerEvent::data(None, &[0xff], true, false);
        let want = r#"{"type":"data","from":null,"payload":"/w==","reliable":false,"binary":true}"#;
        assert_eq!(Json::of(&data).frame(), want);
    }
}
