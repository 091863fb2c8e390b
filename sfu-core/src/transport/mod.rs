//! One peer's secure path: ICE-lite, DTLS, SRTP and SCTP. Datagrams already attributed to the
//! peer go in; decrypted RTP, RTCP and messages come out.

use std::net::{IpAddr, SocketAddr};

/// Where datagrams of a peer come from and which local address they reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Path {
    /// The peer's address.
    pub remote: SocketAddr,
    /// The local address the datagram was sent to; answers leave from it. `None` if unknown.
    pub local: Option<IpAddr>,
}

/// ICE username fragment and password (RFC 8445 §5.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IceCredentials {
    /// Username fragment, 4..=256 characters.
    pub ufrag: Box<str>,
    /// Password, 22..=256 characters.
    pub password: Box<str>,
}

/// Which side of the DTLS handshake this is (RFC 8842).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DtlsRole {
    /// `a=setup:active`: sends the ClientHello.
    Client,
    /// `a=setup:passive`.
    Server,
}

/// A certificate fingerprint (RFC 8122).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// The hash function, lower case (`sha-256`).
    pub algorithm: Box<str>,
    /// The hash.
    pub bytes: Vec<u8>,
}

/// The certificate of this server, one for all peers.
#[derive(Debug)]
pub struct Certificate {}

impl Certificate {
    /// A new self-signed P-256 certificate.
    pub fn generate() -> Result<Self, CertificateError> {
        Err(CertificateError)
    }
}

/// A certificate could not be made.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the certificate could not be generated")]
pub struct CertificateError;
