//! One peer's secure path: ICE-lite, DTLS, SRTP and SCTP. Datagrams already attributed to the
//! peer go in; decrypted RTP, RTCP and messages come out.

mod certificate;
mod challenge;
mod connection;
mod credentials;
mod data;
mod dtls;
mod dtls_guard;
mod ice;
mod sctp_guard;
mod srtp;
mod srtp_keys;
mod srtp_window;
mod stun_codec;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;

use crate::command::Reliability;
use crate::event::TransportState;

pub use self::certificate::{Certificate, CertificateError, Fingerprint};
pub use self::connection::Transport;
pub use self::credentials::IceCredentials;
pub(crate) use self::ice::Rate;
pub use self::ice::StunOutcome;
pub use self::srtp::SealError;

/// What carries datagrams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// UDP.
    #[default]
    Udp,
    /// A TCP connection that the peer opened, with a length before each datagram (RFC 4571).
    Tcp,
}

/// An address that clients can reach this server at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Candidate {
    /// Where.
    pub addr: SocketAddr,
    /// How. By TCP the server waits: `tcptype passive` (RFC 6544).
    pub protocol: Protocol,
}

impl Candidate {
    /// A candidate by UDP.
    pub fn udp(addr: impl Into<SocketAddr>) -> Self {
        Self { addr: addr.into(), protocol: Protocol::Udp }
    }
}

/// Where datagrams of a peer come from and which local address they reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Path {
    /// The peer's address.
    pub remote: SocketAddr,
    /// The local address the datagram was sent to; answers leave from it. `None` if unknown.
    pub local: Option<IpAddr>,
    /// What carries them. A TCP connection is one path for as long as it is open.
    pub protocol: Protocol,
}

impl Path {
    /// A path by UDP.
    pub fn udp(remote: impl Into<SocketAddr>, local: Option<IpAddr>) -> Self {
        Self { remote: remote.into(), local, protocol: Protocol::Udp }
    }
}

/// Which side of the DTLS handshake this is (RFC 8842).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DtlsRole {
    /// `a=setup:active`: sends the ClientHello.
    Client,
    /// `a=setup:passive`.
    Server,
}

/// Whether media is encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Security {
    /// DTLS-SRTP.
    #[default]
    Full,
    /// Nothing is encrypted and there are no data channels: for simulations, where a thousand
    /// handshakes would drown what is looked at. ICE checks are authenticated all the same.
    Plain,
}

/// What all transports of an engine share.
#[derive(Clone, Debug)]
pub struct TransportConfig {
    /// The server's certificate.
    pub certificate: Arc<Certificate>,
    /// Whether media is encrypted.
    pub security: Security,
}

/// What the peer's SDP says of it.
#[derive(Clone, Debug)]
pub struct Remote {
    /// Its ICE credentials.
    pub ice: IceCredentials,
    /// Its certificate is one of these.
    pub fingerprints: Vec<Fingerprint>,
}

/// What leaves by a path that is no media: an answer to a check, which needs no memory of its own,
/// or a record of the handshake or of data channels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram(Contents);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Contents {
    Answer(stun_codec::Answer),
    Record(Bytes),
}

impl std::ops::Deref for Datagram {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Contents::Answer(answer) => answer,
            Contents::Record(record) => record,
        }
    }
}

/// What a datagram was.
#[derive(Debug, PartialEq, Eq)]
pub enum Received<'a> {
    /// The transport's own business.
    Consumed,
    /// An RTP packet, in the clear, without its tag.
    Rtp(&'a [u8]),
    /// An RTCP compound packet, in the clear.
    Rtcp(&'a [u8]),
}

/// Something the engine must know.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "fields are named by what they hold")]
pub enum TransportEvent {
    /// The transport moved on.
    State(TransportState),
    /// A path is not the peer's any more; the demultiplexer should forget it.
    PathForgotten(Path),
    /// A local ufrag is not answered any more; the demultiplexer should forget it.
    UfragForgotten(Box<str>),
    /// The peer opened a data channel of this class.
    DataOpen(Reliability),
    /// A message came by data channel.
    DataMessage { reliability: Reliability, text: bool, payload: Bytes },
}
