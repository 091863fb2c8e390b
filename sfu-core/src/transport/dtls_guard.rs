//! What stands between the network and rtc-dtls: plaintext handshake messages are put together
//! here and handed in whole, once and in order; everything unauthenticated is rationed.
//!
//! The library joins fragments by recursion and exact offsets, keeps what it cannot use, queues
//! early encrypted records without bound and loses its retransmission timer to any repeated
//! message. Behind this guard it sees none of that.

use std::collections::BTreeMap;

use crate::limits::{
    DTLS_FRAGMENTS_MAX, DTLS_MESSAGE_BYTES_MAX, DTLS_MESSAGES_AHEAD_MAX,
    DTLS_RECORDS_AFTER_DONE_MAX,
};

/// Bytes of one record header (RFC 6347 §4.1).
pub(super) const RECORD_HEADER_BYTES: usize = 13;
/// Bytes of one handshake header (RFC 6347 §4.2.2).
pub(super) const HANDSHAKE_HEADER_BYTES: usize = 12;
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

/// One fragment of a handshake message (RFC 6347 §4.2.3).
struct Fragment<'a> {
    kind: u8,
    message_bytes: usize,
    sequence: u16,
    offset: usize,
    body: &'a [u8],
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

/// The first record of a datagram and what follows it.
fn split_record(datagram: &[u8]) -> Option<(&[u8], &[u8])> {
    let header = datagram.get(..RECORD_HEADER_BYTES)?;
    let length = usize::from(u16::from_be_bytes([header[11], header[12]]));
    let is_record = header[1] == 0xfe && length > 0;
    is_record.then(|| datagram.split_at_checked(RECORD_HEADER_BYTES + length)).flatten()
}

fn split_fragment(body: &[u8]) -> Option<(Fragment<'_>, &[u8])> {
    let (header, rest) = body.split_at_checked(HANDSHAKE_HEADER_BYTES)?;
    let number = |at: usize| {
        usize::from(header[at]) << 16
            | usize::from(header[at + 1]) << 8
            | usize::from(header[at + 2])
    };
    let (message_bytes, offset, length) = (number(1), number(6), number(9));
    let (body, after) = rest.split_at_checked(length)?;
    let empty = length == 0 && message_bytes > 0;
    if message_bytes > DTLS_MESSAGE_BYTES_MAX || offset + length > message_bytes || empty {
        return None;
    }
    let sequence = u16::from_be_bytes([header[4], header[5]]);
    Some((Fragment { kind: header[0], message_bytes, sequence, offset, body }, after))
}

/// A vector with an `N`-byte length before it (RFC 5246 §4.3), and what follows it.
fn prefixed<const N: usize>(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_at_checked(N)?;
    rest.split_at_checked(length.iter().fold(0, |n, &b| n << 8 | usize::from(b)))
}

/// The cookie of a ClientHello (RFC 6347 §4.2.1).
fn hello_cookie(client_hello: &[u8]) -> Option<&[u8]> {
    let (_session, rest) = prefixed::<1>(client_hello.get(2 + 32..)?)?;
    prefixed::<1>(rest).map(|(cookie, _)| cookie)
}

/// The SRTP protection profiles a ClientHello offers in use_srtp (RFC 5764 §4.1.1), in its order.
pub(super) fn hello_srtp_profiles(client_hello: &[u8]) -> Vec<u16> {
    const USE_SRTP: [u8; 2] = [0, 14];
    let extensions = || {
        let (_session, rest) = prefixed::<1>(client_hello.get(2 + 32..)?)?;
        let (_cookie, rest) = prefixed::<1>(rest)?;
        let (_suites, rest) = prefixed::<2>(rest)?;
        let (_compression, rest) = prefixed::<1>(rest)?;
        prefixed::<2>(rest).map(|(extensions, _)| extensions)
    };
    let mut rest = extensions().unwrap_or_default();
    while let Some((kind, after)) = rest.split_at_checked(2) {
        let Some((body, after)) = prefixed::<2>(after) else { break };
        if kind == USE_SRTP {
            let profiles = prefixed::<2>(body).map_or(&[][..], |(profiles, _)| profiles);
            return profiles.chunks_exact(2).map(|p| u16::from_be_bytes([p[0], p[1]])).collect();
        }
        rest = after;
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A handshake fragment in a record of its own.
    fn fragment(sequence: u16, kind: u8, message: &[u8], from: usize, to: usize) -> Vec<u8> {
        let number = |n: usize| (n as u32).to_be_bytes()[1..].to_vec();
        let mut body = vec![kind];
        body.extend(number(message.len()));
        body.extend_from_slice(&sequence.to_be_bytes());
        body.extend(number(from));
        body.extend(number(to - from));
        body.extend_from_slice(&message[from..to]);
        record(HANDSHAKE, 0, &body)
    }

    fn record(kind: u8, epoch: u16, body: &[u8]) -> Vec<u8> {
        let mut record = vec![kind, 0xfe, 0xfd];
        record.extend_from_slice(&epoch.to_be_bytes());
        record.extend_from_slice(&[0; 6]);
        record.extend_from_slice(&(body.len() as u16).to_be_bytes());
        record.extend_from_slice(body);
        record
    }

    fn whole(sequence: u16, kind: u8, message: &[u8]) -> Vec<u8> {
        fragment(sequence, kind, message, 0, message.len())
    }

    /// (record sequence, message sequence, body) of each handshake message handed in.
    fn messages(fed: &Fed) -> Vec<(u64, u16, Vec<u8>)> {
        let mut rest = &fed.records[..];
        let mut found = vec![];
        while let Some((record, after)) = split_record(rest) {
            let number = u64::from_be_bytes(record[3..11].try_into().unwrap());
            let (message, none) = split_fragment(&record[RECORD_HEADER_BYTES..]).unwrap();
            assert!(none.is_empty() && message.body.len() == message.message_bytes);
            found.push((number, message.sequence, message.body.to_vec()));
            rest = after;
        }
        assert!(rest.is_empty());
        found
    }

    #[test]
    fn fragments_in_any_order_and_cut_come_out_whole() {
        let message: Vec<u8> = (0..200).collect();
        let cuts = [(0, 90), (80, 120), (150, 200), (100, 160)];
        for start in 0..cuts.len() {
            let mut guard = Guard::new(false);
            let mut handed = vec![];
            for n in 0..cuts.len() {
                let (from, to) = cuts[(start + n) % cuts.len()];
                handed.extend(messages(&guard.feed(&fragment(0, 2, &message, from, to), false)));
            }
            assert_eq!(handed, [(0, 0, message.clone())]);
        }
    }

    #[test]
    fn messages_are_handed_in_in_order_and_numbered_anew() {
        let mut guard = Guard::new(false);
        assert!(messages(&guard.feed(&whole(2, 14, b""), false)).is_empty());
        let both = [whole(1, 11, b"cert"), whole(0, 2, b"hello")].concat();
        let expected = [(0, 0, b"hello".to_vec()), (1, 1, b"cert".to_vec()), (2, 2, b"".to_vec())];
        assert_eq!(messages(&guard.feed(&both, false)), expected);
        // A repeat brings nothing, and is nothing bad.
        let fed = guard.feed(&both, false);
        assert!(fed.records.is_empty() && !fed.refused);
    }

    #[test]
    fn several_fragments_in_one_record_are_all_read() {
        let mut guard = Guard::new(false);
        let joined: Vec<u8> = [whole(0, 2, b"hello"), whole(1, 11, b"cert")]
            .iter()
            .flat_map(|r| r[RECORD_HEADER_BYTES..].to_vec())
            .collect();
        assert_eq!(messages(&guard.feed(&record(HANDSHAKE, 0, &joined), false)).len(), 2);
    }

    #[test]
    fn a_repeated_first_hello_passes_until_it_is_answered() {
        let mut guard = Guard::new(true);
        let hello = whole(0, CLIENT_HELLO, b"hello");
        for _ in 0..3 {
            assert_eq!(messages(&guard.feed(&hello, false)).len(), 1);
            guard.note_sent(&whole(0, HELLO_VERIFY_REQUEST, b"\xfe\xfd\x01c"));
        }
        guard.note_sent(&whole(1, 2, b"server hello"));
        assert!(guard.feed(&hello, false).records.is_empty());
    }

    #[test]
    fn only_who_knows_the_cookie_gets_further() {
        let hello = |cookie: &[u8]| {
            let mut body = vec![0xfe, 0xfd];
            body.extend_from_slice(&[1; 32]);
            body.extend_from_slice(&[0, cookie.len() as u8]);
            body.extend_from_slice(cookie);
            body
        };
        let mut guard = Guard::new(true);
        guard.feed(&whole(0, CLIENT_HELLO, &hello(b"")), false);
        assert!(!guard.peer_is_proven());
        guard.note_sent(&whole(0, HELLO_VERIFY_REQUEST, b"\xfe\xfd\x03abc"));
        for wrong in [&b""[..], b"abd", b"ab"] {
            let fed = guard.feed(&whole(1, CLIENT_HELLO, &hello(wrong)), false);
            assert!(fed.refused && fed.records.is_empty());
        }
        assert_eq!(messages(&guard.feed(&whole(1, CLIENT_HELLO, &hello(b"abc")), false)).len(), 1);
        assert!(guard.peer_is_proven());
    }

    #[test]
    fn malformed_and_excessive_fragments_are_refused() {
        let mut guard = Guard::new(false);
        let mut overrun = whole(0, 2, b"hello");
        overrun[RECORD_HEADER_BYTES + 3] = 4;
        let empty = fragment(0, 2, b"hello", 2, 2);
        let mut endless = whole(0, 2, b"hello");
        endless[RECORD_HEADER_BYTES + 1] = 0xff;
        let ahead = whole(DTLS_MESSAGES_AHEAD_MAX, 2, b"hello");
        let short = record(HANDSHAKE, 0, &[1; HANDSHAKE_HEADER_BYTES - 1]);
        let alert = record(21, 0, &[2, 40]);
        let plaintext = record(23, 0, b"data");
        let truncated = whole(0, 2, b"hello")[..20].to_vec();
        let nothing = record(HANDSHAKE, 0, b"");
        let cases =
            [overrun, empty, endless, ahead, short, alert, plaintext, truncated, nothing, vec![22]];
        for (n, case) in cases.iter().enumerate() {
            let fed = guard.feed(case, false);
            assert!(fed.refused && fed.records.is_empty(), "{n}");
        }
    }

    #[test]
    fn what_is_held_is_bounded() {
        let mut guard = Guard::new(false);
        let long = vec![1; DTLS_MESSAGE_BYTES_MAX];
        for sequence in 0..DTLS_MESSAGES_AHEAD_MAX {
            let fed = guard.feed(&fragment(sequence, 2, &long, 5, 6), false);
            assert_eq!(fed.refused, sequence >= 4, "{sequence}");
        }
        // A fragment of another length takes the place of the first.
        assert!(!guard.feed(&fragment(0, 2, b"hello", 0, 3), false).refused);
        assert_eq!(messages(&guard.feed(&fragment(0, 2, b"hello", 3, 5), false)).len(), 1);
    }

    #[test]
    fn early_and_late_records_are_rationed() {
        let mut guard = Guard::new(false);
        let sealed = record(22, 1, b"sealed");
        let passed = (0..200).filter(|_| !guard.feed(&sealed, false).records.is_empty()).count();
        assert_eq!(passed, EARLY_RECORDS_MAX as usize);
        assert_eq!(guard.feed(&sealed, true).records, sealed);
        let late = whole(3, 20, b"finished");
        let passed = (0..200).filter(|_| !guard.feed(&late, true).records.is_empty()).count();
        assert_eq!(passed, DTLS_RECORDS_AFTER_DONE_MAX as usize);
        let change = record(CHANGE_CIPHER_SPEC, 0, &[1]);
        assert!(guard.feed(&change, true).refused);
        assert_eq!(guard.feed(&sealed, true).records, sealed);
    }

    #[test]
    fn noise_does_no_harm() {
        let mut guard = Guard::new(true);
        let mut state = 1u32;
        for length in 0..2000 {
            let mut datagram = vec![0; length % 90];
            for byte in &mut datagram {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *byte = (state >> 24) as u8;
            }
            let head = [22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, (length % 77) as u8, 1, 0, 0];
            datagram.iter_mut().zip(head).for_each(|(b, h)| *b = h);
            guard.feed(&datagram, length % 2 == 0);
            hello_srtp_profiles(&datagram);
        }
    }

    #[test]
    fn the_offered_profiles_are_found_among_other_extensions() {
        let mut hello = vec![0xfe, 0xfd];
        hello.extend_from_slice(&[1; 32]);
        hello.extend_from_slice(&[1, 9, 0, 0, 2, 0xc0, 0x2b, 1, 0]);
        let extensions = [0, 23, 0, 0, 0, 14, 0, 7, 0, 4, 0, 1, 0, 7, 0];
        hello.extend_from_slice(&[0, extensions.len() as u8]);
        hello.extend_from_slice(&extensions);
        assert_eq!(hello_srtp_profiles(&hello), [1, 7]);
        for length in 0..hello.len() {
            assert!(hello_srtp_profiles(&hello[..length]).is_empty());
        }
    }
}
