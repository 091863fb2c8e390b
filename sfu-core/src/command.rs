//! What may be asked of the engine: a closed list, answered at once by a [`Reply`].

use std::sync::Arc;

use crate::id::{ParticipantId, PeerId, RoomId, TrackId};
use crate::negotiation::{Answer, Offer};
use crate::preference::{Preference, RoomPolicy};
use crate::transport::IceCredentials;

/// One request of the control plane.
#[derive(Debug)]
#[allow(missing_docs, reason = "fields are named by what they hold")]
pub enum Command {
    /// Opens an empty room.
    CreateRoom,
    /// Removes every peer of the room, then the room.
    CloseRoom { room: RoomId },
    /// A participant enters. It has no transport until its first [`Command::Offer`].
    AddPeer { room: RoomId, participant: ParticipantId, subscribe: SubscribePolicy },
    /// A participant leaves: its tracks, subscriptions and transport are gone when this returns.
    RemovePeer { peer: PeerId },
    /// A client's offer, already parsed off the media thread.
    /// First use starts ICE and DTLS; new ICE credentials in a later offer are an ICE restart.
    Offer { peer: PeerId, offer: Box<Offer>, publish: Vec<PublishRequest> },
    /// An ICE restart without SDP (WHIP PATCH, RFC 9725 §4.3.3).
    RestartIce { peer: PeerId, remote: IceCredentials },
    /// Sets the mute state of a track. Muted tracks forward nothing.
    Mute { track: TrackId, muted: bool },
    /// Ends a track; its m-line may publish again after the next offer.
    Unpublish { track: TrackId },
    /// Adds an interest of `peer` in `track`.
    Subscribe { peer: PeerId, track: TrackId },
    /// Ends an interest of `peer` in `track`.
    Unsubscribe { peer: PeerId, track: TrackId },
    /// Says what `peer` wants of `track`; holds for the subscription it has, or the next one.
    Prefer { peer: PeerId, track: TrackId, preference: Preference },
    /// Sets what a room forwards at all.
    SetRoomPolicy { room: RoomId, policy: RoomPolicy },
    /// Forwards videos only up to 1 / 2^`level` of the bitrate of each one's best layer, but always
    /// the lowest; 0 is everything. For an overloaded server.
    ShedVideo { level: u8 },
    /// A message of a participant (or, with no sender, of the server) that did not come by data
    /// channel.
    SendData { room: RoomId, message: DataMessage },
    /// The room goes on in the engine `worker`, where it is `remote` ([`crate::relay`]). To be given
    /// to both sides, in either order; once more does no harm.
    LinkRoom { room: RoomId, worker: u8, remote: RoomId },
    /// The room goes on there no more: what it had from there ends.
    UnlinkRoom { room: RoomId, worker: u8 },
    /// A snapshot of one peer: its transport, publications and subscriptions.
    PeerStats { peer: PeerId },
    /// Why a peer receives what it receives.
    Decisions { peer: PeerId },
    /// Says what `peer` may do from now on. Until then it may do everything. What it does already
    /// and may no longer do ends at once; what it may do again it begins anew: tracks with its next
    /// offer, subscriptions by its policy or when it asks.
    Permit { peer: PeerId, permissions: Permissions },
}

/// What a peer may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permissions {
    /// From where it may publish.
    pub publish: Sources,
    /// Whether it may receive tracks.
    pub subscribe: bool,
    /// Whether its messages are passed on.
    pub data: bool,
}

impl Permissions {
    /// Everything.
    pub const ALL: Self = Self { publish: Sources::ALL, subscribe: true, data: true };
}

/// A set of [`Source`]s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sources(u8);

impl Sources {
    /// Every source.
    pub const ALL: Self = Self((1 << Source::EVERY.len()) - 1);
    /// None.
    pub const NONE: Self = Self(0);

    /// This set and `source`.
    #[must_use]
    pub const fn with(self, source: Source) -> Self {
        Self(self.0 | 1 << source as u8)
    }

    /// Whether `source` is in it.
    #[must_use]
    pub const fn contains(self, source: Source) -> bool {
        self.0 & 1 << source as u8 != 0
    }

    /// Those in it, in declaration order.
    pub fn iter(self) -> impl Iterator<Item = Source> {
        Source::EVERY.into_iter().filter(move |&source| self.contains(source))
    }
}

impl Source {
    /// Every source, in declaration order.
    pub const EVERY: [Self; 5] =
        [Self::Camera, Self::Microphone, Self::Screen, Self::ScreenAudio, Self::Other];
}

/// Which tracks a peer subscribes to without asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubscribePolicy {
    /// Every track of the room but its own.
    All,
    /// Nothing; it names what it wants.
    Manual,
    /// Every track of one participant (a WHEP viewer of that participant).
    Only(ParticipantId),
    /// The first participant that publishes, and the next one once that has left
    /// (a WHEP viewer of a room).
    FirstPublisher,
}

/// What a client says of an m-line it is about to send on, before the offer that carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishRequest {
    /// The m-line.
    pub mid: crate::id::Mid,
    /// Where the media comes from.
    pub source: Source,
    /// A label for people.
    pub name: Arc<str>,
    /// Whether the track starts muted.
    pub muted: bool,
}

/// Where a track's media comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A camera.
    Camera,
    /// A microphone.
    Microphone,
    /// A shared screen, window or tab.
    Screen,
    /// The sound of what is shared.
    ScreenAudio,
    /// Anything else.
    Other,
}

/// An application message between participants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataMessage {
    /// The sender; `None` is the server.
    pub from: Option<ParticipantId>,
    /// The addressees; empty means everyone in the room but the sender.
    pub to: Vec<ParticipantId>,
    /// Whether it must arrive, in order, or may be lost or overtaken.
    pub reliability: Reliability,
    /// Whether the payload is UTF-8 text (else binary).
    pub text: bool,
    /// At most [`crate::limits::DATA_MESSAGE_BYTES_MAX`] bytes.
    pub payload: bytes::Bytes,
}

/// The two delivery classes of data messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reliability {
    /// Ordered and retransmitted.
    Reliable,
    /// Unordered, never retransmitted; dropped first when the receiver is slow.
    Lossy,
}

/// What a command gives back when it was carried out.
#[derive(Debug)]
#[allow(missing_docs, reason = "fields are named by what they hold")]
pub enum Reply {
    /// Nothing to say.
    Done,
    /// [`Command::CreateRoom`].
    Room(RoomId),
    /// [`Command::AddPeer`].
    Peer(PeerId),
    /// [`Command::Offer`]: the answer, to be rendered with [`Answer::to_sdp`], and the tracks
    /// that the client's m-lines now publish.
    Answer { answer: Box<Answer>, published: Vec<(crate::id::Mid, TrackId)> },
    /// [`Command::RestartIce`]: the server's new credentials.
    Ice(IceCredentials),
    /// [`Command::PeerStats`].
    PeerStats(Box<crate::stats::PeerStats>),
    /// [`Command::Decisions`].
    Decisions(Box<crate::decision::PeerDecisions>),
}

/// Why a command was refused. Nothing has changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The room is gone.
    #[error("no such room")]
    NoSuchRoom,
    /// The peer is gone.
    #[error("no such peer")]
    NoSuchPeer,
    /// The track is gone, or belongs to another room.
    #[error("no such track in this room")]
    NoSuchTrack,
    /// The track is a mirror: only the engine where it is published can do that.
    #[error("the track is published elsewhere")]
    MirroredTrack,
    /// A room cannot be linked with its own engine.
    #[error("a room cannot be linked with its own worker")]
    OwnWorker,
    /// The peer may not do that; see [`Command::Permit`].
    #[error("not permitted")]
    NotPermitted,
    /// The peer has no transport yet.
    #[error("no connection has been negotiated yet")]
    NoTransport,
    /// The offer names another certificate than the first one did: a new connection, for which
    /// the participant has to join again.
    #[error("the certificate of a connection cannot change")]
    FingerprintChanged,
    /// The offer does not fit what was agreed before.
    #[error("offer refused: {0}")]
    Negotiation(#[from] crate::negotiation::NegotiationError),
    /// A bound of [`crate::limits`] was reached.
    #[error("limit reached: {0}")]
    Limit(&'static str),
}
