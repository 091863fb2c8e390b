//! Checks of our own. An ICE-lite agent needs none, but for one thing: a peer whose packets come from
//! another address than before, because its NAT forgot it or it changed networks. Its SRTP shows
//! who it is and not that it can be reached there (the source of a datagram is whatever its sender
//! writes), so before anything is sent to that address it must answer a check, with the password of
//! the session (RFC 8445 §7.2, RFC 7675).

use std::time::{Duration, Instant};

use bytes::Bytes;
use rtc_crypto::RTCCrypto;
use stun::attributes::{ATTR_ICE_CONTROLLED, ATTR_PRIORITY, ATTR_USERNAME};
use stun::fingerprint::FINGERPRINT;
use stun::integrity::MessageIntegrity;
use stun::message::{
    BINDING_REQUEST, BINDING_SUCCESS, MESSAGE_HEADER_SIZE, Message, Setter as _, TransactionId,
};

use super::Path;
use crate::drops::DropReason;

/// Addresses of one peer that are asked at a time.
const PENDING_MAX: usize = 4;
/// How soon an address that does not answer is asked again. It is packets from there that cause it,
/// so nobody is asked who is silent.
const AGAIN_AFTER: Duration = Duration::from_millis(200);
/// How long an answer is awaited.
const VALID: Duration = Duration::from_secs(2);

/// Checks that are not answered yet.
#[derive(Debug, Default)]
pub(super) struct Challenges(Vec<Challenge>);

#[derive(Debug)]
struct Challenge {
    path: Path,
    transaction: TransactionId,
    sent: Instant,
}

impl Challenges {
    /// Notes a check that is about to be sent. False if there is no need or no place for it.
    pub(super) fn begin(&mut self, now: Instant, path: Path, transaction: TransactionId) -> bool {
        self.0.retain(|challenge| now.saturating_duration_since(challenge.sent) < VALID);
        let asked_lately = |challenge: &Challenge| {
            challenge.path == path && now.saturating_duration_since(challenge.sent) < AGAIN_AFTER
        };
        if self.0.iter().any(asked_lately) || self.0.len() >= PENDING_MAX {
            return false;
        }
        self.0.push(Challenge { path, transaction, sent: now });
        true
    }

    /// Whether an answer from `path` is to one of them. Each is answered once.
    pub(super) fn answered(
        &mut self,
        now: Instant,
        path: Path,
        transaction: TransactionId,
    ) -> bool {
        let at = self.0.iter().position(|challenge| {
            challenge.path == path
                && challenge.transaction == transaction
                && now.saturating_duration_since(challenge.sent) < VALID
        });
        if at.is_some() {
            self.0.clear();
        }
        at.is_some()
    }
}

/// A well-formed success answer to a check of ours. To be believed after [`Success::verify`].
#[derive(Debug)]
pub(super) struct Success(Message);

impl Success {
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

/// PRIORITY of a peer-reflexive candidate (RFC 8445 §7.1.1).
const PRIORITY: u32 = (110 << 24) | (0xffff << 8) | 255;

/// Writes a check (RFC 8445 §7.2.2), of the controlled side.
pub(super) fn request(
    transaction: TransactionId,
    username: &str,
    password: &str,
    crypto: &dyn RTCCrypto,
) -> Option<Bytes> {
    let mut message =
        Message { typ: BINDING_REQUEST, transaction_id: transaction, ..Message::new() };
    message.write_header();
    message.add(ATTR_USERNAME, username.as_bytes());
    message.add(ATTR_PRIORITY, &PRIORITY.to_be_bytes());
    message.add(ATTR_ICE_CONTROLLED, &transaction.0[4..]);
    MessageIntegrity::new_short_term_integrity_with_provider(password.to_owned(), crypto)
        .add_to(&mut message)
        .ok()?;
    FINGERPRINT.add_to(&mut message).ok()?;
    Some(Bytes::from(message.raw))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(port: u16) -> Path {
        Path::udp(([192, 0, 2, 1], port), None)
    }

    fn transaction(n: u8) -> TransactionId {
        TransactionId([n; 12])
    }

    #[test]
    fn an_answer_counts_once_from_the_address_that_was_asked_and_in_time() {
        let now = crate::publish::test_clock::origin();
        let mut challenges = Challenges::default();
        assert!(challenges.begin(now, path(1), transaction(1)));
        assert!(!challenges.answered(now, path(2), transaction(1)), "another address");
        assert!(!challenges.answered(now, path(1), transaction(2)), "another transaction");
        assert!(!challenges.answered(now + VALID, path(1), transaction(1)), "too late");
        assert!(challenges.answered(now, path(1), transaction(1)));
        assert!(!challenges.answered(now, path(1), transaction(1)), "a second time");
    }

    #[test]
    fn an_address_is_not_asked_for_every_packet_and_not_many_are() {
        let now = crate::publish::test_clock::origin();
        let mut challenges = Challenges::default();
        assert!(challenges.begin(now, path(1), transaction(1)));
        assert!(!challenges.begin(now, path(1), transaction(2)));
        assert!(challenges.begin(now + AGAIN_AFTER, path(1), transaction(3)));
        let begun = (2..100).filter(|&n| challenges.begin(now, path(n), transaction(9))).count();
        assert_eq!(begun, PENDING_MAX - 2);
        assert!(challenges.begin(now + VALID + AGAIN_AFTER, path(7), transaction(4)));
    }
}
