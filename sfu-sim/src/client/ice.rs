//! The client's half of ICE towards a lite agent: checks with nomination until one is answered,
//! then consent checks (RFC 8445 §7.2, RFC 7675).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use rtc_crypto::RTCCryptoProvider;
use sfu_core::transport::IceCredentials;
use stun::attributes::{ATTR_ICE_CONTROLLING, ATTR_PRIORITY, ATTR_USE_CANDIDATE, ATTR_USERNAME};
use stun::fingerprint::FINGERPRINT;
use stun::integrity::MessageIntegrity;
use stun::message::{BINDING_REQUEST, BINDING_SUCCESS, Message, Setter, TransactionId};

use crate::random::{Pcg64Mcg, token, word};

/// Between the first checks; doubled with each that is not answered yet.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);
const CHECK_INTERVAL_MAX: Duration = Duration::from_millis(400);
/// Between consent checks. Browsers send one every 2 to 3 s.
const CONSENT_INTERVAL: Duration = Duration::from_millis(2500);
/// Checks that may still be answered: some three seconds of them.
const PENDING_MAX: usize = 10;
/// Priority of a host candidate (RFC 8445 §5.1.2).
const PRIORITY: u32 = 126 << 24 | 0xffff << 8 | 0xff;

/// One client's ICE agent with one candidate pair.
pub(super) struct Ice {
    crypto: Arc<dyn RTCCryptoProvider>,
    local: IceCredentials,
    remote: Option<IceCredentials>,
    /// The latest checks without an answer, and when each was sent.
    pending: VecDeque<(TransactionId, Duration)>,
    next: Option<Duration>,
    connected: bool,
    rtt: Option<Duration>,
    rng: Pcg64Mcg,
}

impl Ice {
    pub(super) fn new(crypto: Arc<dyn RTCCryptoProvider>, mut rng: Pcg64Mcg) -> Self {
        let local = credentials(&mut rng);
        Self {
            crypto,
            local,
            remote: None,
            pending: VecDeque::new(),
            next: None,
            connected: false,
            rtt: None,
            rng,
        }
    }

    pub(super) fn local(&self) -> &IceCredentials {
        &self.local
    }

    /// Draws new credentials: the next offer restarts ICE.
    pub(super) fn renew(&mut self) {
        self.local = credentials(&mut self.rng);
    }

    /// Learns the engine's credentials; checks begin if they are new.
    pub(super) fn set_remote(&mut self, now: Duration, remote: &IceCredentials) {
        if self.remote.as_ref() != Some(remote) {
            self.remote = Some(remote.clone());
            self.connected = false;
            self.next = Some(now);
        }
    }

    /// Round-trip time of the last answered check.
    pub(super) fn rtt(&self) -> Option<Duration> {
        self.rtt
    }

    pub(super) fn wake(&self) -> Option<Duration> {
        self.next
    }

    /// The check that is due, if any.
    pub(super) fn poll(&mut self, now: Duration) -> Option<Vec<u8>> {
        let remote = self.remote.as_ref()?;
        if self.next? > now {
            return None;
        }
        let unanswered = u32::try_from(self.pending.len()).expect("at most PENDING_MAX");
        let interval = if self.connected {
            CONSENT_INTERVAL
        } else {
            (CHECK_INTERVAL * 2u32.pow(unanswered)).min(CHECK_INTERVAL_MAX)
        };
        self.next = Some(now + interval);
        let words = [word(&mut self.rng), word(&mut self.rng), word(&mut self.rng)];
        let mut id = [0; 12];
        for (bytes, word) in id.chunks_exact_mut(4).zip(words) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
        self.pending.push_back((TransactionId(id), now));
        if self.pending.len() > PENDING_MAX {
            self.pending.pop_front();
        }
        let username = format!("{}:{}", remote.ufrag, self.local.ufrag);
        Some(check(TransactionId(id), &username, &remote.password, &*self.crypto))
    }

    /// Takes an answer; true if it is the first that was awaited since the last (re)start.
    pub(super) fn handle(&mut self, now: Duration, datagram: &[u8]) -> bool {
        let mut message = Message::new();
        let Some(remote) = &self.remote else { return false };
        if message.unmarshal_binary(datagram).is_err() || message.typ != BINDING_SUCCESS {
            return false;
        }
        let asked = self.pending.iter().find(|(id, _)| *id == message.transaction_id);
        let Some(&(_, sent)) = asked else { return false };
        let key = remote.password.as_bytes();
        if MessageIntegrity::check(&mut message, key, self.crypto.crypto()).is_err() {
            return false;
        }
        self.pending.clear();
        self.rtt = Some(now - sent);
        self.next = Some(sent + CONSENT_INTERVAL);
        !std::mem::replace(&mut self.connected, true)
    }
}

fn credentials(rng: &mut Pcg64Mcg) -> IceCredentials {
    IceCredentials { ufrag: token(rng, 8), password: token(rng, 24) }
}

/// A Binding request of the controlling agent that nominates its pair.
fn check(
    id: TransactionId,
    username: &str,
    password: &str,
    crypto: &dyn RTCCryptoProvider,
) -> Vec<u8> {
    let mut message = Message { typ: BINDING_REQUEST, transaction_id: id, ..Message::new() };
    message.write_header();
    message.add(ATTR_USERNAME, username.as_bytes());
    message.add(ATTR_PRIORITY, &PRIORITY.to_be_bytes());
    message.add(ATTR_ICE_CONTROLLING, &[1; 8]);
    message.add(ATTR_USE_CANDIDATE, &[]);
    let integrity = MessageIntegrity::new_short_term_integrity_with_provider(
        password.to_owned(),
        crypto.crypto(),
    );
    integrity.add_to(&mut message).expect("no FINGERPRINT precedes it");
    FINGERPRINT.add_to(&mut message).expect("appends eight bytes");
    message.raw
}
