//! What goes over the wire, without sockets and clocks: ICE checks, DTLS, SRTP, the few RTP and
//! RTCP bytes that a load client writes itself, and the stamp in each payload.

pub mod header;
mod ice;
mod secure;
pub mod srtp;
pub mod stamp;
pub mod twcc;

pub use ice::{Credentials, Ice, IceOutcome};
pub use secure::{Identity, Secure, SecureOutcome};
pub use srtp::{Keys, MasterKey, Opener, Profile, Sealer};

/// What a datagram is, by its first bytes (RFC 7983, RFC 5761 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// STUN.
    Stun,
    /// DTLS.
    Dtls,
    /// SRTP.
    Rtp,
    /// SRTCP.
    Rtcp,
    /// Nothing that is known here.
    Other,
}

impl Kind {
    /// Tells them apart.
    #[must_use]
    pub fn of(datagram: &[u8]) -> Self {
        match datagram {
            [0..=3, ..] => Self::Stun,
            [20..=63, ..] => Self::Dtls,
            [128..=191, 192..=223, ..] => Self::Rtcp,
            [128..=191, ..] => Self::Rtp,
            _ => Self::Other,
        }
    }
}
