//! The controlling side of ICE with one pair (RFC 8445): checks with nomination until one is
//! answered, then consent checks (RFC 7675). Checks of a server that is no lite agent are answered.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rtc_crypto::RTCCryptoProvider;
use stun::attributes::{ATTR_ICE_CONTROLLING, ATTR_PRIORITY, ATTR_USE_CANDIDATE, ATTR_USERNAME};
use stun::fingerprint::FINGERPRINT;
use stun::integrity::MessageIntegrity;
use stun::message::{BINDING_REQUEST, BINDING_SUCCESS, Message, Setter, TransactionId};
use stun::xoraddr::XorMappedAddress;

/// Between the first checks; doubled with each that is not answered.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);
const CHECK_INTERVAL_MAX: Duration = Duration::from_millis(800);
/// Between consent checks.
const CONSENT_INTERVAL: Duration = Duration::from_secs(5);
/// Checks that may still be answered.
const PENDING_MAX: usize = 8;
/// Priority of a host candidate (RFC 8445 §5.1.2).
const PRIORITY: u32 = 126 << 24 | 0xffff << 8 | 0xff;

/// ICE username fragment and password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Username fragment.
    pub ufrag: String,
    /// Password.
    pub password: String,
}

impl Credentials {
    /// New ones, from the operating system's randomness.
    #[must_use]
    pub fn generate() -> Self {
        Self { ufrag: format!("{:08x}", rand::random::<u32>()), password: hex128() }
    }
}

/// 128 random bits: what RFC 8445 §5.3 asks of a password.
fn hex128() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// What a STUN message brought.
#[derive(Debug, PartialEq, Eq)]
pub enum IceOutcome {
    /// The first answer: the pair works. Or a later one, which says that it still does.
    Answered {
        /// Whether it is the first.
        first: bool,
    },
    /// A check of the other side, and what to answer.
    Respond(Vec<u8>),
    /// Nothing of use, or not authentic.
    Ignored,
}

/// See the module.
pub struct Ice {
    crypto: Arc<dyn RTCCryptoProvider>,
    local: Credentials,
    remote: Credentials,
    tie_breaker: u64,
    pending: VecDeque<TransactionId>,
    unanswered: u32,
    next: Instant,
    connected: bool,
    heard: Instant,
}

impl Ice {
    /// Checks begin at once.
    #[must_use]
    pub fn new(
        crypto: Arc<dyn RTCCryptoProvider>,
        local: Credentials,
        remote: Credentials,
        now: Instant,
    ) -> Self {
        Self {
            crypto,
            local,
            remote,
            tie_breaker: rand::random(),
            pending: VecDeque::new(),
            unanswered: 0,
            next: now,
            connected: false,
            heard: now,
        }
    }

    /// When the other side last answered a check.
    #[must_use]
    pub fn heard(&self) -> Instant {
        self.heard
    }

    /// The check that is due, if any.
    pub fn poll(&mut self, now: Instant) -> Option<Vec<u8>> {
        if self.next > now {
            return None;
        }
        let interval = if self.connected {
            CONSENT_INTERVAL
        } else {
            (CHECK_INTERVAL * 2u32.pow(self.unanswered.min(8))).min(CHECK_INTERVAL_MAX)
        };
        self.next = now + interval;
        self.unanswered += 1;
        let id = TransactionId(rand::random());
        self.pending.push_back(id);
        if self.pending.len() > PENDING_MAX {
            self.pending.pop_front();
        }
        Some(self.check(id))
    }

    fn check(&self, id: TransactionId) -> Vec<u8> {
        let mut message = Message { typ: BINDING_REQUEST, transaction_id: id, ..Message::new() };
        message.write_header();
        let username = format!("{}:{}", self.remote.ufrag, self.local.ufrag);
        message.add(ATTR_USERNAME, username.as_bytes());
        message.add(ATTR_PRIORITY, &PRIORITY.to_be_bytes());
        message.add(ATTR_ICE_CONTROLLING, &self.tie_breaker.to_be_bytes());
        message.add(ATTR_USE_CANDIDATE, &[]);
        self.finish(message, &self.remote.password)
    }

    /// Takes a STUN message that came from `source`.
    pub fn handle(&mut self, now: Instant, source: SocketAddr, datagram: &[u8]) -> IceOutcome {
        let mut message = Message::new();
        if message.unmarshal_binary(datagram).is_err() {
            return IceOutcome::Ignored;
        }
        let password = match message.typ {
            BINDING_SUCCESS if self.pending.contains(&message.transaction_id) => {
                &self.remote.password
            }
            BINDING_REQUEST => &self.local.password,
            _ => return IceOutcome::Ignored,
        };
        let key = password.as_bytes();
        if MessageIntegrity::check(&mut message, key, self.crypto.crypto()).is_err() {
            return IceOutcome::Ignored;
        }
        if message.typ == BINDING_REQUEST {
            return IceOutcome::Respond(self.respond(source, message.transaction_id));
        }
        self.pending.clear();
        self.unanswered = 0;
        self.heard = now;
        self.next = now + CONSENT_INTERVAL;
        IceOutcome::Answered { first: !std::mem::replace(&mut self.connected, true) }
    }

    fn respond(&self, source: SocketAddr, id: TransactionId) -> Vec<u8> {
        let mut message = Message { typ: BINDING_SUCCESS, transaction_id: id, ..Message::new() };
        message.write_header();
        let address = XorMappedAddress { ip: source.ip(), port: source.port() };
        address.add_to(&mut message).expect("an address fits a message");
        self.finish(message, &self.local.password)
    }

    fn finish(&self, mut message: Message, password: &str) -> Vec<u8> {
        MessageIntegrity::new_short_term_integrity_with_provider(
            password.to_owned(),
            self.crypto.crypto(),
        )
        .add_to(&mut message)
        .expect("no FINGERPRINT precedes it");
        FINGERPRINT.add_to(&mut message).expect("appends eight bytes");
        message.raw
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_agents_answer_each_other_and_forgeries_do_nothing() {
        let crypto = rtc_crypto::default_provider().unwrap();
        let (a, b) = (Credentials::generate(), Credentials::generate());
        let now = Instant::now();
        let mut left = Ice::new(crypto.clone(), a.clone(), b.clone(), now);
        let mut right = Ice::new(crypto, b, a, now);
        let from: SocketAddr = ([192, 0, 2, 1], 5000).into();

        let check = left.poll(now).unwrap();
        assert_eq!(left.poll(now), None, "one at a time");
        let mut forged = check.clone();
        forged[30] ^= 1;
        assert_eq!(right.handle(now, from, &forged), IceOutcome::Ignored);
        let IceOutcome::Respond(answer) = right.handle(now, from, &check) else { panic!() };
        assert_eq!(left.handle(now, from, &answer), IceOutcome::Answered { first: true });
        assert_eq!(left.handle(now, from, &answer), IceOutcome::Ignored, "answered already");
        assert_eq!(left.poll(now + CONSENT_INTERVAL / 2), None);
        assert!(left.poll(now + CONSENT_INTERVAL).is_some());
    }
}
