//! What stands between the network and rtc-dtls: plaintext handshake messages are put together
//! here and handed in whole, once and in order; everything unauthenticated is rationed.
//!
//! The library joins fragments by recursion and exact offsets, keeps what it cannot use, queues
//! early encrypted records without bound and loses its retransmission timer to any repeated
//! message. Behind this guard it sees none of that.

#[cfg(test)]
mod tests;
mod wire;

use std::collections::BTreeMap;

use crate::limits::{
    DTLS_FRAGMENTS_MAX, DTLS_MESSAGE_BYTES_MAX, DTLS_MESSAGES_AHEAD_MAX,
    DTLS_RECORDS_AFTER_DONE_MAX,
};

use self::wire::{Fragment, hello_cookie, prefixed, split_fragment, split_record};
pub(super) use self::wire::{HANDSHAKE_HEADER_BYTES, RECORD_HEADER_BYTES, hello_srtp_profiles};

const CHANGE_CIPHER_SPEC: u8 = 20;
pub(super) const HANDSHAKE: u8 = 22;
pub(super) const CLIENT_HELLO: u8 = 1;
pub(super) const HELLO_VERIFY_REQUEST: u8 = 3;

/// Bytes of unfinished messages held at a time: four of the longest. A certificate chain is the
/// only long message there is.
const HELD_BYTES_MAX: usize = 4 * DTLS_MESSAGE_BYTES_MAX;
/// ChangeCipherSpec and encrypted records passed before the handshake is done: enough for a flight
/// repeated many times, and a bound on what the library queues until it can decrypt.
const EARLY_RECORDS_MAX: u32 = 64;

/// What a datagram came to.
#[derive(Debug, Default)]
pub(super) struct Fed {
    /// Records for the library; empty if there is nothing for it.
    pub(super) records: Vec<u8>,
    /// Whether something was refused for good (a repeat is not: it was merely of no use).
    pub(super) refused: bool,
}

#[derive(Debug)]
pub(super) struct Guard {
    is_server: bool,
    /// Number of the next plaintext record handed in. The peer's own numbers are of no use once
    /// records are cut anew.
    record_sequence: u64,
    /// The next handshake message to hand in.
    next: u16,
    /// A flight other than HelloVerifyRequest has gone out: from now on our retransmission timer
    /// answers what the peer repeats.
    answered: bool,
    /// The cookie of our HelloVerifyRequest. Who does not know it cannot get past the first message.
    cookie: Option<Box<[u8]>>,
    parts: BTreeMap<u16, Part>,
    fragments_left: u32,
    early_records_left: u32,
    records_after_done_left: u32,
}

/// A message of which some fragments have arrived.
#[derive(Debug)]
struct Part {
    kind: u8,
    body: Vec<u8>,
    filled: Vec<bool>,
    missing: usize,
}

impl Guard {
    pub(super) fn new(is_server: bool) -> Self {
        Self {
            is_server,
            record_sequence: 0,
            next: 0,
            answered: false,
            cookie: None,
            parts: BTreeMap::new(),
            fragments_left: DTLS_FRAGMENTS_MAX,
            early_records_left: EARLY_RECORDS_MAX,
            records_after_done_left: DTLS_RECORDS_AFTER_DONE_MAX,
        }
    }

    /// The first message did the library no good: it is as if it had never come. The rations stay
    /// spent.
    pub(super) fn start_over(&mut self) {
        let (fragments_left, early_records_left) = (self.fragments_left, self.early_records_left);
        *self = Self { fragments_left, early_records_left, ..Self::new(self.is_server) };
    }

    /// Whether the peer has shown that it receives what we send (server), so that an error from
    /// now on is its own and not that of someone using its address.
    pub(super) fn peer_is_proven(&self) -> bool {
        !self.is_server || self.next > 1
    }

    /// Takes note of a plaintext datagram of ours.
    pub(super) fn note_sent(&mut self, datagram: &[u8]) {
        let (Some(&HANDSHAKE), Some(&kind)) = (datagram.first(), datagram.get(RECORD_HEADER_BYTES))
        else {
            return;
        };
        if kind == HELLO_VERIFY_REQUEST {
            let version_at = RECORD_HEADER_BYTES + HANDSHAKE_HEADER_BYTES;
            let cookie = datagram.get(version_at + 2..).and_then(prefixed::<1>);
            self.cookie = cookie.map(|(cookie, _)| cookie.into());
        } else {
            self.answered = true;
            self.parts.remove(&0);
        }
    }

    /// Judges a datagram. `done`: the handshake is complete.
    pub(super) fn feed(&mut self, datagram: &[u8], done: bool) -> Fed {
        let mut fed = Fed::default();
        let mut rest = datagram;
        while let Some((record, after)) = split_record(rest) {
            let (header, body) = record.split_at(RECORD_HEADER_BYTES);
            let encrypted = header[3..5] != [0, 0];
            match (header[0], done) {
                (_, true) if encrypted => fed.records.extend_from_slice(record),
                (_, false) if encrypted => {
                    if spend(&mut self.early_records_left, &mut fed) {
                        fed.records.extend_from_slice(record);
                    }
                }
                // Repeats of the last flight tell the library to repeat its own.
                (HANDSHAKE, true) => {
                    if spend(&mut self.records_after_done_left, &mut fed) {
                        self.write_record(&mut fed.records, HANDSHAKE, body);
                    }
                }
                (HANDSHAKE, false) => self.take_fragments(body, &mut fed),
                (CHANGE_CIPHER_SPEC, false) => {
                    if spend(&mut self.early_records_left, &mut fed) {
                        self.write_record(&mut fed.records, CHANGE_CIPHER_SPEC, body);
                    }
                }
                // A plaintext alert could be anyone's who knows the address. A handshake that the
                // peer has really given up ends by its deadline.
                _ => fed.refused = true,
            }
            rest = after;
        }
        fed.refused |= !rest.is_empty();
        fed
    }

    /// Takes every fragment of a handshake record: a record may hold several.
    fn take_fragments(&mut self, mut body: &[u8], fed: &mut Fed) {
        while !body.is_empty() {
            let Some((fragment, after)) = split_fragment(body) else {
                fed.refused = true;
                return;
            };
            body = after;
            if !spend(&mut self.fragments_left, fed) {
                return;
            }
            let repeated = fragment.sequence < self.next;
            // Until the cookie came back, only a repeated ClientHello brings our
            // HelloVerifyRequest out again.
            let wanted = !repeated || (self.is_server && !self.answered && fragment.sequence == 0);
            if !wanted {
                continue;
            }
            if fragment.sequence >= self.next.saturating_add(DTLS_MESSAGES_AHEAD_MAX)
                || !self.keep(&fragment)
            {
                fed.refused = true;
                continue;
            }
            self.hand_in(fragment.sequence, fed);
        }
    }

    /// Lays a fragment where it belongs. Overlaps are as good as exact cuts. Returns false if
    /// there is no room.
    fn keep(&mut self, fragment: &Fragment<'_>) -> bool {
        let bytes = fragment.message_bytes;
        let disagrees = |p: &Part| p.kind != fragment.kind || p.body.len() != bytes;
        if self.parts.get(&fragment.sequence).is_some_and(disagrees) {
            // One of the two is forged. The later one stays, for a genuine peer tries again.
            self.parts.remove(&fragment.sequence);
        }
        if !self.parts.contains_key(&fragment.sequence) {
            let held: usize = self.parts.values().map(|p| p.body.len()).sum();
            if held + bytes > HELD_BYTES_MAX {
                return false;
            }
            let (body, filled) = (vec![0; bytes], vec![false; bytes]);
            let part = Part { kind: fragment.kind, body, filled, missing: bytes };
            self.parts.insert(fragment.sequence, part);
        }
        let Some(part) = self.parts.get_mut(&fragment.sequence) else { return false };
        let range = fragment.offset..fragment.offset + fragment.body.len();
        part.body[range.clone()].copy_from_slice(fragment.body);
        part.missing -= part.filled[range.clone()].iter().filter(|filled| !**filled).count();
        part.filled[range].fill(true);
        true
    }

    /// Hands in message `sequence` if it is whole and due, and those that waited for it.
    fn hand_in(&mut self, mut sequence: u16, fed: &mut Fed) {
        while sequence <= self.next {
            let Some(part) = self.parts.remove(&sequence) else { return };
            if part.missing > 0 {
                self.parts.insert(sequence, part);
                return;
            }
            if sequence > 0 && part.kind == CLIENT_HELLO && !self.knows_cookie(&part.body) {
                fed.refused = true;
                return;
            }
            self.write_record(&mut fed.records, HANDSHAKE, &part.whole(sequence));
            if self.is_server && sequence == 0 && !self.answered {
                // Our HelloVerifyRequest may be lost, and so may parts of the repeated
                // ClientHello: any part of it shall bring the request out again.
                self.parts.insert(sequence, part);
            }
            if sequence < self.next {
                return;
            }
            self.next = self.next.saturating_add(1);
            sequence = self.next;
        }
    }

    fn knows_cookie(&self, client_hello: &[u8]) -> bool {
        let cookie = hello_cookie(client_hello);
        self.is_server && cookie.is_some() && cookie == self.cookie.as_deref()
    }

    fn write_record(&mut self, records: &mut Vec<u8>, kind: u8, body: &[u8]) {
        // Epoch 0 in the upper two bytes; 48 bits of sequence number cannot run out here.
        let sequence = self.record_sequence.to_be_bytes();
        self.record_sequence += 1;
        records.extend_from_slice(&[kind, 0xfe, 0xfd]);
        records.extend_from_slice(&sequence);
        records.extend_from_slice(&(body.len() as u16).to_be_bytes());
        records.extend_from_slice(body);
    }
}

impl Part {
    /// The message as one fragment.
    fn whole(&self, sequence: u16) -> Vec<u8> {
        let length = (self.body.len() as u32).to_be_bytes();
        let mut message = Vec::with_capacity(HANDSHAKE_HEADER_BYTES + self.body.len());
        message.push(self.kind);
        message.extend_from_slice(&length[1..]);
        message.extend_from_slice(&sequence.to_be_bytes());
        message.extend_from_slice(&[0, 0, 0]);
        message.extend_from_slice(&length[1..]);
        message.extend_from_slice(&self.body);
        message
    }
}

/// Takes one from a ration. Says so in `fed` if there is none left.
fn spend(left: &mut u32, fed: &mut Fed) -> bool {
    let allowed = *left > 0;
    *left = left.saturating_sub(1);
    fed.refused |= !allowed;
    allowed
}
