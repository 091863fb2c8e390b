//! The STUN messages an ICE-lite agent meets: Binding requests read, answers written.
//! Parsing, integrity and fingerprint are rtc-stun's; what it does not check is checked here.

use std::net::SocketAddr;

use bytes::Bytes;
use rtc_crypto::RTCCrypto;
use stun::attributes::{
    ATTR_FINGERPRINT, ATTR_ICE_CONTROLLED, ATTR_MESSAGE_INTEGRITY, ATTR_PRIORITY,
    ATTR_UNKNOWN_ATTRIBUTES, ATTR_USE_CANDIDATE, ATTR_USERNAME, AttrType,
};
use stun::error_code::{ErrorCode, ErrorCodeAttribute};
use stun::fingerprint::FINGERPRINT;
use stun::integrity::MessageIntegrity;
use stun::message::{
    BINDING_ERROR, BINDING_REQUEST, BINDING_SUCCESS, MESSAGE_HEADER_SIZE, Message, Setter,
    TransactionId,
};
use stun::xoraddr::XorMappedAddress;

use crate::drops::DropReason;

/// A well-formed Binding request. Nothing in it is to be believed before [`Request::verify`].
#[derive(Debug)]
pub(super) struct Request {
    message: Message,
    /// Attributes before MESSAGE-INTEGRITY: what comes after it proves nothing and is ignored
    /// (RFC 8489 §14.5). `None` if there is none.
    authenticated: Option<usize>,
}

impl Request {
    /// Reads a datagram that begins like STUN.
    pub(super) fn parse(datagram: &[u8]) -> Result<Self, DropReason> {
        let mut message = Message::new();
        message.unmarshal_binary(datagram).map_err(|_| DropReason::StunMalformed)?;
        // rtc-stun lets bytes trail the message and then looks for FINGERPRINT among them.
        if datagram.len() != MESSAGE_HEADER_SIZE + message.length as usize {
            return Err(DropReason::StunMalformed);
        }
        if message.typ != BINDING_REQUEST {
            return Err(DropReason::StunUnexpected);
        }
        let attributes = &message.attributes.0;
        if attributes.last().is_none_or(|last| last.typ != ATTR_FINGERPRINT)
            || FINGERPRINT.check(&message).is_err()
        {
            return Err(DropReason::StunMalformed);
        }
        let authenticated = attributes.iter().position(|a| a.typ == ATTR_MESSAGE_INTEGRITY);
        Ok(Self { message, authenticated })
    }

    pub(super) fn transaction(&self) -> TransactionId {
        self.message.transaction_id
    }

    pub(super) fn username(&self) -> Option<&[u8]> {
        self.attribute(ATTR_USERNAME)
    }

    /// Whether the message carries MESSAGE-INTEGRITY at all.
    pub(super) fn has_integrity(&self) -> bool {
        self.authenticated.is_some()
    }

    /// Whether the message was made by someone who knows `password`.
    pub(super) fn verify(&mut self, password: &str, crypto: &dyn RTCCrypto) -> bool {
        MessageIntegrity::check(&mut self.message, password.as_bytes(), crypto).is_ok()
    }

    /// Attributes that must be understood (RFC 8489 §14) and are not.
    pub(super) fn unknown_required(&self) -> Vec<AttrType> {
        let known = |t| matches!(t, ATTR_USERNAME | ATTR_PRIORITY | ATTR_USE_CANDIDATE);
        self.attributes()
            .iter()
            .map(|a| a.typ)
            .filter(|&t| t.required() && !known(t))
            .take(UNKNOWN_REPORTED_MAX)
            .collect()
    }

    pub(super) fn nominates(&self) -> bool {
        self.attribute(ATTR_USE_CANDIDATE).is_some()
    }

    pub(super) fn claims_controlled(&self) -> bool {
        self.attribute(ATTR_ICE_CONTROLLED).is_some()
    }

    /// The priority of the client's candidate: the same for all checks from one local address.
    pub(super) fn priority(&self) -> Option<u32> {
        Some(u32::from_be_bytes(self.attribute(ATTR_PRIORITY)?.try_into().ok()?))
    }

    fn attributes(&self) -> &[stun::attributes::RawAttribute] {
        let end = self.authenticated.unwrap_or(self.message.attributes.0.len());
        &self.message.attributes.0[..end]
    }

    fn attribute(&self, kind: AttrType) -> Option<&[u8]> {
        self.attributes().iter().find(|a| a.typ == kind).map(|a| a.value.as_slice())
    }
}

/// A well-formed success answer to a check of ours. To be believed after [`Answer::verify`].
#[derive(Debug)]
pub(super) struct Answer(Message);

impl Answer {
    /// Reads a datagram that begins like STUN.
    pub(super) fn parse(datagram: &[u8]) -> Result<Self, DropReason> {
        let mut message = Message::new();
        message.unmarshal_binary(datagram).map_err(|_| DropReason::StunMalformed)?;
        if datagram.len() != MESSAGE_HEADER_SIZE + message.length as usize {
            return Err(DropReason::StunMalformed);
        }
        if message.typ != BINDING_SUCCESS {
            return Err(DropReason::StunUnexpected);
        }
        Ok(Self(message))
    }

    pub(super) fn transaction(&self) -> TransactionId {
        self.0.transaction_id
    }

    /// Whether it was made by someone who knows `password`.
    pub(super) fn verify(&mut self, password: &str, crypto: &dyn RTCCrypto) -> bool {
        MessageIntegrity::check(&mut self.0, password.as_bytes(), crypto).is_ok()
    }
}

/// Writes a check (RFC 8445 §7.2.2), of the controlled side.
pub(super) fn request(
    transaction: TransactionId,
    username: &str,
    password: &str,
    crypto: &dyn RTCCrypto,
) -> Option<Bytes> {
    let attributes = CheckAttributes { username, tie_breaker: transaction.0 };
    let message = Message { typ: BINDING_REQUEST, ..with(transaction) };
    answer(message, &attributes, Some((password, crypto)))
}

/// What a check of a lite agent says. Its one candidate is a host's.
struct CheckAttributes<'a> {
    username: &'a str,
    tie_breaker: [u8; 12],
}

impl Setter for CheckAttributes<'_> {
    fn add_to(&self, message: &mut Message) -> shared::error::Result<()> {
        message.add(ATTR_USERNAME, self.username.as_bytes());
        message.add(ATTR_PRIORITY, &PRIORITY_OF_CHECKS.to_be_bytes());
        message.add(ATTR_ICE_CONTROLLED, &self.tie_breaker[4..]);
        Ok(())
    }
}

/// That of a peer-reflexive candidate (RFC 8445 §7.1.1).
const PRIORITY_OF_CHECKS: u32 = (110 << 24) | (0xffff << 8) | 255;

/// More unknown attributes than this are not listed: an answer stays smaller than its request.
const UNKNOWN_REPORTED_MAX: usize = 8;

/// Writes the success answer: where the request came from as we see it.
pub(super) fn success(
    transaction: TransactionId,
    source: SocketAddr,
    password: &str,
    crypto: &dyn RTCCrypto,
) -> Option<Bytes> {
    // A v4 client of a v6 socket is told its v4 address, the one it knows.
    let address = XorMappedAddress { ip: source.ip().to_canonical(), port: source.port() };
    answer(
        Message { typ: BINDING_SUCCESS, ..with(transaction) },
        &address,
        Some((password, crypto)),
    )
}

/// Writes an error answer. Sealed with `key` when the request was authenticated.
pub(super) fn error(
    transaction: TransactionId,
    code: ErrorCode,
    unknown: &[AttrType],
    key: Option<(&str, &dyn RTCCrypto)>,
) -> Option<Bytes> {
    let attributes = ErrorAttributes { code, unknown };
    answer(Message { typ: BINDING_ERROR, ..with(transaction) }, &attributes, key)
}

fn with(transaction: TransactionId) -> Message {
    Message { transaction_id: transaction, ..Message::new() }
}

fn answer(
    mut message: Message,
    content: &dyn Setter,
    key: Option<(&str, &dyn RTCCrypto)>,
) -> Option<Bytes> {
    message.write_header();
    content.add_to(&mut message).ok()?;
    if let Some((password, crypto)) = key {
        MessageIntegrity::new_short_term_integrity_with_provider(password.into(), crypto)
            .add_to(&mut message)
            .ok()?;
    }
    FINGERPRINT.add_to(&mut message).ok()?;
    Some(message.raw.into())
}

/// ERROR-CODE without a reason phrase (short answers cannot amplify), and UNKNOWN-ATTRIBUTES.
struct ErrorAttributes<'a> {
    code: ErrorCode,
    unknown: &'a [AttrType],
}

impl Setter for ErrorAttributes<'_> {
    fn add_to(&self, message: &mut Message) -> shared::error::Result<()> {
        ErrorCodeAttribute { code: self.code, reason: vec![] }.add_to(message)?;
        if !self.unknown.is_empty() {
            let list: Vec<u8> = self.unknown.iter().flat_map(|t| t.value().to_be_bytes()).collect();
            message.add(ATTR_UNKNOWN_ATTRIBUTES, &list);
        }
        Ok(())
    }
}
