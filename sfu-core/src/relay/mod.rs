//! The relay: how one room spans several engines, of this process or of others.
//!
//! An engine knows its neighbours by worker number ([`crate::EngineConfig::worker`]). A room has a
//! [`RoomId`] in each engine that has members of it; [`crate::command::Command::LinkRoom`], given to
//! both sides in either order, says that they are one. From then on
//!
//! - every track published in one is **mirrored** in the others: a track like any other there, with
//!   a history of its own, so that losses of its subscribers are repaired where they are;
//! - packets of an encoding cross once for each engine that wants it, decrypted, all packets of one
//!   [`Engine::drain`](crate::Engine::drain) in one [`Message`];
//! - what mirrors want flows back: keyframes, and which encodings are to cross at all;
//! - levels, last-N seats and data messages are shared, so that the room is the same everywhere.
//!
//! # For the shell
//!
//! - After each drain fetch [`Engine::poll_relay`](crate::Engine::poll_relay) until `None`: at most
//!   one message for each neighbour. Bring it to [`Engine::handle_relay`](crate::Engine::handle_relay)
//!   of that engine, **in order and without loss** as long as any room is linked with it, then drain
//!   that engine. If it cannot be brought, leave it where it is
//!   ([`Engine::poll_relay_if`](crate::Engine::poll_relay_if)). What waits in the engine is bounded;
//!   media is dropped first ([`crate::drops::DropReason::RelayFull`]), and if notes find no room the
//!   link is over ([`Event::LinkLost`](crate::event::Event::LinkLost)).
//! - `handle_relay` leaves the message empty. Hand it back to the engine it came from
//!   ([`Engine::recycle`](crate::Engine::recycle)), and nothing is allocated in the steady state.
//! - Mirrors are told by [`Event::TrackMirrored`](crate::event::Event::TrackMirrored) and
//!   [`Event::TrackUnmirrored`](crate::event::Event::TrackUnmirrored). A subscriber's events and
//!   commands name a mirror by its local id. `Mute` and `Unpublish` are for the engine where the
//!   track is published; its `TrackMuted` is told there only.
//! - A data message of the control plane is given to one engine of the room, and reaches all.
//!   [`RoomPolicy`](crate::preference::RoomPolicy) is to be set in every engine of the room.
//! - If an engine is gone, unlink its rooms: mirrors of it end.

mod link;
mod mirror;
mod outbox;
mod packets;

use std::sync::Arc;

use smallvec::SmallVec;

use crate::command::{DataMessage, Source};
use crate::deliver::slot::ClockOffset;
use crate::forward::layer::LayerId;
use crate::id::{Mid, ParticipantId, Rid, RoomId, TrackId};
use crate::limits::ENCODINGS_MAX;
use crate::negotiation::{CodecParameters, MediaKind};
use crate::room::Seats;

pub use link::Link;
pub use mirror::Mirror;
pub(crate) use outbox::Outboxes;
pub use packets::{Packets, RelayedPacket};

/// Everything one engine has for another at the end of a batch: first what must arrive, then media.
#[derive(Debug, Default)]
pub struct Message {
    /// In this order. Ids are those of the receiving engine unless said otherwise.
    pub notes: Vec<Note>,
    /// Packets, in order of arrival.
    pub packets: Packets,
}

impl Message {
    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.notes.is_empty() && self.packets.is_empty()
    }
}

/// What is not a packet.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "fields are named by what they hold")]
pub enum Note {
    /// The sender has linked its room with this one, and wants to know what there is. `answer`: and
    /// to be greeted in return, in case the receiver's own greeting came too early.
    Hello { room: RoomId, answer: bool },
    /// The sender has cut the link.
    Goodbye { room: RoomId },
    /// A participant is there, since this NTP time of the server.
    Present { room: RoomId, participant: ParticipantId, since: u64 },
    /// A participant has left.
    Absent { room: RoomId, participant: ParticipantId },
    /// There is a track, or it has other codecs than before.
    Announce { room: RoomId, track: Box<Announcement> },
    /// A track has ended; `track` is the sender's id.
    Unannounce { room: RoomId, track: TrackId },
    /// A track was muted or unmuted; `track` is the sender's id.
    Muted { room: RoomId, track: TrackId, muted: bool },
    /// A sender report of the publisher (RFC 3550 §6.4.1), and how its clock relates to the
    /// server's: so that what is one moment there is one moment here.
    Report { track: TrackId, encoding: u8, ntp: u64, rtp_time: u32, clock: ClockOffset },
    /// What the sender's mirror of a track wants; `mirror` is its own id, by which packets are to be
    /// addressed.
    Demand { track: TrackId, mirror: TrackId, wish: Wish },
    /// The sender's mirror needs a keyframe.
    Keyframe { track: TrackId, encoding: u8 },
    /// How loud participants of the sender are, as far as that has changed.
    Levels { room: RoomId, levels: Vec<Level> },
    /// Who has a last-N seat. Said by the engine with the lowest worker number of the room.
    Seats { room: RoomId, seats: Seats },
    /// A data message for whom it may concern of the receiver's participants.
    Data { room: RoomId, message: DataMessage },
}

impl Note {
    /// The room it is about, if not a track.
    #[must_use]
    pub fn room(&self) -> Option<RoomId> {
        match *self {
            Self::Hello { room, .. }
            | Self::Goodbye { room }
            | Self::Present { room, .. }
            | Self::Absent { room, .. }
            | Self::Announce { room, .. }
            | Self::Unannounce { room, .. }
            | Self::Muted { room, .. }
            | Self::Levels { room, .. }
            | Self::Seats { room, .. }
            | Self::Data { room, .. } => Some(room),
            Self::Report { .. } | Self::Demand { .. } | Self::Keyframe { .. } => None,
        }
    }
}

/// A track, as its mirrors are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// The track in the engine where it is published.
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
    /// The codecs its publisher may use, as it numbers them.
    pub codecs: Vec<CodecParameters>,
    /// The RID of each encoding, as far as it has one.
    pub encodings: SmallVec<[Option<Rid>; ENCODINGS_MAX]>,
    /// When it was published, an NTP time of the server: who follows the first publisher follows
    /// the same one everywhere.
    pub since: u64,
}

/// The highest spatial layer there can be.
const SPATIAL_MAX: u8 = 7;

/// What one mirror wants of a track.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// One bit for each encoding, by its place in the offer.
    pub encodings: u8,
    /// The highest spatial layer wanted. Packets cross whole; this bounds what publishers send.
    pub max_spatial: u8,
}

impl Wish {
    /// Whether packets of an encoding are to cross.
    #[must_use]
    pub fn wants(self, encoding: u8) -> bool {
        self.encodings.checked_shr(encoding.into()).is_some_and(|bits| bits & 1 == 1)
    }

    /// As far as a track with so many encodings can meet it.
    #[must_use]
    pub fn within(self, encodings: usize) -> Self {
        let all = 1u32.checked_shl(encodings as u32).map_or(u32::MAX, |next| next - 1);
        Self {
            encodings: self.encodings & all as u8,
            max_spatial: self.max_spatial.min(SPATIAL_MAX),
        }
    }

    /// Whether nothing is to cross.
    #[must_use]
    pub fn is_nothing(self) -> bool {
        self.encodings == 0
    }

    /// The highest layer wanted of each encoding that is.
    pub fn layers(self) -> impl Iterator<Item = LayerId> {
        (0..u8::BITS as u8)
            .filter(move |&encoding| self.wants(encoding))
            .map(move |encoding| LayerId { encoding, spatial: self.max_spatial, temporal: 0 })
    }
}

/// How loud a participant is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// Who.
    pub participant: ParticipantId,
    /// Smoothed level in dBov and whether that counts as speaking; `None`: not to be heard at all
    /// any more.
    pub heard: Option<(i8, bool)>,
}
