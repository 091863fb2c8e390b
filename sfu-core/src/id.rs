//! Names of things: newtyped ids, so that a track is never taken for a peer.

use std::fmt;

slotmap::new_key_type! {
    /// A room within one engine.
    pub struct RoomId;
    /// One participant's connection to the engine.
    pub struct PeerId;
    /// A published track.
    pub struct TrackId;
    /// One peer's interest in one track.
    pub struct SubscriptionId;
}

impl TrackId {
    /// The id as it travels in signalling: stable for the life of the track.
    #[must_use]
    pub fn to_wire(self) -> u64 {
        slotmap::Key::data(&self).as_ffi()
    }

    /// The inverse of [`TrackId::to_wire`]; any number is accepted and simply names no track.
    #[must_use]
    pub fn from_wire(wire: u64) -> Self {
        slotmap::KeyData::from_ffi(wire).into()
    }
}

/// A participant's public name in its room: chosen at random by the control plane (64 bits),
/// unique in the room, carried in data messages and room events.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ParticipantId(pub u64);

impl fmt::Display for ParticipantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// RTP synchronisation source (RFC 3550 §3).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Ssrc(pub u32);

/// RTP payload type, 0..=127 (RFC 3550 §5.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct PayloadType(pub u8);

/// An m-line's identification tag (RFC 5888), at most [`crate::limits::TOKEN_BYTES_MAX`] bytes.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Mid(pub Box<str>);

/// A simulcast encoding's restriction identifier (RFC 8851).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Rid(pub Box<str>);

impl From<&str> for Mid {
    fn from(s: &str) -> Self {
        Self(s.into())
    }
}

impl From<&str> for Rid {
    fn from(s: &str) -> Self {
        Self(s.into())
    }
}

impl fmt::Display for Mid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Rid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
