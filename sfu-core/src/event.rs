//! What the engine tells: a closed list, fetched with `Engine::poll_event`.

use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::command::{Reliability, Source};
use crate::decision::Reason;
use crate::forward::layer::LayerId;
use crate::id::{Mid, ParticipantId, PeerId, Rid, RoomId, TrackId};
use crate::negotiation::MediaKind;

/// Something the control plane must know.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "fields are named by what they hold")]
pub enum Event {
    /// A peer's transport moved on.
    Transport { peer: PeerId, state: TransportState },
    /// A participant published a track.
    TrackPublished { room: RoomId, track: TrackInfo },
    /// A track ended.
    TrackUnpublished { room: RoomId, participant: ParticipantId, track: TrackId },
    /// A track was muted or unmuted, by its owner or by command.
    TrackMuted { room: RoomId, participant: ParticipantId, track: TrackId, muted: bool },
    /// A track of another engine can be subscribed to here, by the id that `track` has; `origin` is
    /// the worker where it is published, and its id there. That engine tells the rest of its life
    /// (`TrackPublished`, `TrackMuted`, `TrackUnpublished`).
    TrackMirrored { room: RoomId, origin: (u8, TrackId), track: TrackInfo },
    /// A mirror ended, with its track or with the link.
    TrackUnmirrored {
        room: RoomId,
        origin: (u8, TrackId),
        participant: ParticipantId,
        track: TrackId,
    },
    /// More waited for the engine `worker` than is kept: the room's link with it was cut, as by
    /// `UnlinkRoom`.
    LinkLost { room: RoomId, worker: u8 },
    /// From now on `mid` of `peer` carries this track, or nothing. No SDP exchange is needed:
    /// an m-line keeps its SSRC whatever it carries.
    Assigned { peer: PeerId, mid: Mid, track: Option<(ParticipantId, TrackId)> },
    /// Subscriptions wait for m-lines: the client should add this many recvonly ones and offer
    /// again. Sent again only when the numbers change.
    SlotsNeeded { peer: PeerId, audio: u16, video: u16 },
    /// A subscription cannot be served: the subscriber negotiated none of the track's codecs.
    NoCommonCodec { peer: PeerId, track: TrackId },
    /// What a subscriber sees of a track changed: the layer that is forwarded from now on, or
    /// `None` while it is paused; its size in pixels (0: unknown), and why it is no more.
    Forwarding {
        peer: PeerId,
        track: TrackId,
        layer: Option<LayerId>,
        size: (u16, u16),
        reason: Reason,
    },
    /// Which encodings of a publisher's track anybody wants, by their place in the offer; the
    /// others need not be sent. With SVC there is one encoding, and `max_spatial` bounds it.
    Demand { peer: PeerId, track: TrackId, wanted: SmallVec<[bool; 4]>, max_spatial: u8 },
    /// Who is speaking, loudest first; sent when the list changes.
    Speakers { room: RoomId, speakers: Vec<Speaker> },
    /// A data message for a peer that has no data channel for it.
    Data {
        peer: PeerId,
        from: Option<ParticipantId>,
        reliability: Reliability,
        text: bool,
        payload: Bytes,
    },
}

/// The life of a peer's transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportState {
    /// ICE or DTLS is under way.
    Connecting,
    /// Keys are agreed; media may flow.
    Connected,
    /// Nothing valid has been received for a while; consent may return.
    Disconnected,
    /// Over; the peer should be removed, or may restart ICE where the reason allows.
    Failed(FailReason),
}

/// Why a transport ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailReason {
    /// No valid check within [`crate::limits::ICE_DEADLINE`].
    IceTimeout,
    /// DTLS did not finish within [`crate::limits::DTLS_DEADLINE`].
    DtlsTimeout,
    /// The peer's certificate is not the one its SDP announced.
    FingerprintMismatch,
    /// The handshake broke for another reason.
    DtlsError,
    /// Consent to send expired (RFC 7675).
    ConsentExpired,
    /// The peer said goodbye (DTLS close_notify).
    ClosedByPeer,
    /// Processing this peer's input panicked; a bug, contained.
    Internal,
}

/// What others learn of a track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackInfo {
    /// The track.
    pub track: TrackId,
    /// Its publisher.
    pub participant: ParticipantId,
    /// Audio or video.
    pub kind: MediaKind,
    /// Where it comes from.
    pub source: Source,
    /// Its label.
    pub name: Arc<str>,
    /// Whether it is muted.
    pub muted: bool,
    /// The publisher's m-line.
    pub mid: Mid,
    /// How many simulcast encodings were negotiated (1 without simulcast).
    pub encodings: u8,
    /// Their RIDs, in that order; none without simulcast.
    pub rids: SmallVec<[Rid; 4]>,
}

/// One active speaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Speaker {
    /// Who.
    pub participant: ParticipantId,
    /// Smoothed level in dBov, 0 loudest to -127 silence (RFC 6464).
    pub level_dbov: i8,
}
