//! The STUN messages an ICE-lite agent meets (RFC 8489): Binding requests read where they lie,
//! answers written in place. Every client sends such a check every few seconds for as long as it is
//! there, so nothing is allocated for one; rtc-stun, which does, is the peer in the tests.

use std::net::{IpAddr, SocketAddr};

use arrayvec::ArrayVec;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac::{Context, HMAC_SHA1_FOR_LEGACY_USE_ONLY, Key, Tag};
use stun::fingerprint::fingerprint_value;

use crate::drops::DropReason;

/// Type, length, magic cookie and transaction (§5).
const HEADER_BYTES: usize = 20;
const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
/// Type and length of an attribute (§14).
const HEAD_BYTES: usize = 4;
const INTEGRITY_BYTES: usize = 20;
const FINGERPRINT_BYTES: usize = 4;

const BINDING_REQUEST: u16 = 0x0001;
const BINDING_SUCCESS: u16 = 0x0101;
const BINDING_ERROR: u16 = 0x0111;

const USERNAME: u16 = 0x0006;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const ERROR_CODE: u16 = 0x0009;
const UNKNOWN_ATTRIBUTES: u16 = 0x000a;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const PRIORITY: u16 = 0x0024;
const USE_CANDIDATE: u16 = 0x0025;
const FINGERPRINT: u16 = 0x8028;
const ICE_CONTROLLED: u16 = 0x8029;
/// Types below have to be understood (§14).
const OPTIONAL_FROM: u16 = 0x8000;

/// More unknown attributes than this are not listed: an answer stays smaller than its request.
const UNKNOWN_REPORTED_MAX: usize = 8;
/// Longest answer: ERROR-CODE, so many unknown attributes, MESSAGE-INTEGRITY, FINGERPRINT.
const ANSWER_BYTES_MAX: usize = HEADER_BYTES
    + (HEAD_BYTES + 4)
    + (HEAD_BYTES + 2 * UNKNOWN_REPORTED_MAX)
    + (HEAD_BYTES + INTEGRITY_BYTES)
    + (HEAD_BYTES + FINGERPRINT_BYTES);

/// Names a request; its answer carries it again.
pub(super) type TransactionId = [u8; 12];
/// An answer, ready to be sent.
pub(super) type Answer = ArrayVec<u8, ANSWER_BYTES_MAX>;
/// Attributes that were not understood.
pub(super) type Unknown = ArrayVec<u16, UNKNOWN_REPORTED_MAX>;

/// Why a check is refused (§14.8, RFC 8445 §7.3.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ErrorCode {
    BadRequest = 400,
    Unauthorized = 401,
    UnknownAttribute = 420,
    RoleConflict = 487,
}

/// A well-formed Binding request. Nothing in it is to be believed before [`Request::verify`].
#[derive(Debug)]
pub(super) struct Request<'a> {
    header: &'a [u8; HEADER_BYTES],
    /// The attributes before MESSAGE-INTEGRITY: what comes after it proves nothing and is ignored
    /// (§14.5). All of them if there is none.
    attributes: &'a [u8],
    integrity: Option<&'a [u8]>,
}

impl<'a> Request<'a> {
    /// Reads a datagram that begins like STUN.
    pub(super) fn parse(datagram: &'a [u8]) -> Result<Self, DropReason> {
        let malformed = DropReason::StunMalformed;
        let (header, all) = datagram.split_first_chunk::<HEADER_BYTES>().ok_or(malformed)?;
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        if header[4..8] != MAGIC_COOKIE || length != all.len() || !length.is_multiple_of(4) {
            return Err(malformed);
        }
        if u16::from_be_bytes([header[0], header[1]]) != BINDING_REQUEST {
            return Err(DropReason::StunUnexpected);
        }
        let (mut rest, mut attributes, mut integrity) = (all, all, None);
        let mut last = None;
        while !rest.is_empty() {
            let at = all.len() - rest.len();
            let (kind, value, behind) = split_attribute(rest).ok_or(malformed)?;
            if kind == MESSAGE_INTEGRITY && integrity.is_none() {
                (attributes, integrity) = (&all[..at], Some(value));
            }
            last = Some((kind, value, at));
            rest = behind;
        }
        // The last attribute has to be FINGERPRINT (§14.7), and to be right.
        let Some((FINGERPRINT, value, at)) = last else { return Err(malformed) };
        let expected = fingerprint_value(&datagram[..HEADER_BYTES + at]);
        if value != expected.to_be_bytes() {
            return Err(malformed);
        }
        Ok(Self { header, attributes, integrity })
    }

    pub(super) fn transaction(&self) -> TransactionId {
        *self.header.last_chunk().expect("a header is longer than its last field")
    }

    pub(super) fn username(&self) -> Option<&'a [u8]> {
        self.attribute(USERNAME)
    }

    /// Whether the message carries MESSAGE-INTEGRITY at all.
    pub(super) fn has_integrity(&self) -> bool {
        self.integrity.is_some()
    }

    /// Whether the message was made by someone who knows `password`.
    pub(super) fn verify(&self, password: &str) -> bool {
        let expected = integrity(password, self.header, self.attributes);
        self.integrity
            .is_some_and(|found| verify_slices_are_equal(expected.as_ref(), found).is_ok())
    }

    /// Attributes that must be understood (§14) and are not.
    pub(super) fn unknown_required(&self) -> Unknown {
        let known = |kind| matches!(kind, USERNAME | PRIORITY | USE_CANDIDATE);
        let required = self.all().map(|(kind, _)| kind).filter(|&kind| kind < OPTIONAL_FROM);
        required.filter(|&kind| !known(kind)).take(UNKNOWN_REPORTED_MAX).collect()
    }

    pub(super) fn nominates(&self) -> bool {
        self.attribute(USE_CANDIDATE).is_some()
    }

    pub(super) fn claims_controlled(&self) -> bool {
        self.attribute(ICE_CONTROLLED).is_some()
    }

    /// The priority of the client's candidate: the same for all checks from one local address.
    pub(super) fn priority(&self) -> Option<u32> {
        Some(u32::from_be_bytes(self.attribute(PRIORITY)?.try_into().ok()?))
    }

    fn attribute(&self, wanted: u16) -> Option<&'a [u8]> {
        self.all().find(|&(kind, _)| kind == wanted).map(|(_, value)| value)
    }

    fn all(&self) -> impl Iterator<Item = (u16, &'a [u8])> + use<'a> {
        let mut rest = self.attributes;
        std::iter::from_fn(move || {
            let (kind, value, behind) = split_attribute(rest)?;
            rest = behind;
            Some((kind, value))
        })
    }
}

/// The first attribute, its value without padding, and what is behind it.
fn split_attribute(attributes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let (&[k0, k1, l0, l1], rest) = attributes.split_first_chunk()?;
    let bytes = usize::from(u16::from_be_bytes([l0, l1]));
    let behind = rest.get(bytes.next_multiple_of(4)..)?;
    Some((u16::from_be_bytes([k0, k1]), &rest[..bytes], behind))
}

/// MESSAGE-INTEGRITY over what stands before it (§14.5), with the length that the message has if it
/// ends with it.
fn integrity(password: &str, header: &[u8; HEADER_BYTES], attributes: &[u8]) -> Tag {
    let mut mac = Context::with_key(&Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes()));
    let length = attributes.len() + HEAD_BYTES + INTEGRITY_BYTES;
    mac.update(&header[..2]);
    mac.update(&u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes());
    mac.update(&header[4..]);
    mac.update(attributes);
    mac.sign()
}

/// Writes the success answer: where the request came from as we see it.
pub(super) fn success(transaction: TransactionId, source: SocketAddr, password: &str) -> Answer {
    let mut answer = begin(BINDING_SUCCESS, transaction);
    // XOR-MAPPED-ADDRESS (§14.2): hidden from whoever rewrites addresses on the way.
    let mut value = ArrayVec::<u8, 20>::new();
    let port = source.port() ^ u16::from_be_bytes([MAGIC_COOKIE[0], MAGIC_COOKIE[1]]);
    let mut put = |family: u8, ip: &[u8]| {
        value.extend([0, family]);
        value.extend(port.to_be_bytes());
        let mask = MAGIC_COOKIE.iter().chain(&transaction);
        value.extend(ip.iter().zip(mask).map(|(byte, mask)| byte ^ mask));
    };
    // A v4 client of a v6 socket is told its v4 address, the one it knows.
    match source.ip().to_canonical() {
        IpAddr::V4(ip) => put(1, &ip.octets()),
        IpAddr::V6(ip) => put(2, &ip.octets()),
    }
    add(&mut answer, XOR_MAPPED_ADDRESS, &value);
    finish(answer, Some(password))
}

/// Writes an error answer. Sealed with `key` when the request was authenticated. There is no reason
/// phrase: short answers cannot amplify.
pub(super) fn error(
    transaction: TransactionId,
    code: ErrorCode,
    unknown: &[u16],
    key: Option<&str>,
) -> Answer {
    let mut answer = begin(BINDING_ERROR, transaction);
    let code = code as u16;
    add(&mut answer, ERROR_CODE, &[0, 0, (code / 100) as u8, (code % 100) as u8]);
    if !unknown.is_empty() {
        let list: ArrayVec<u8, { 2 * UNKNOWN_REPORTED_MAX }> =
            unknown.iter().take(UNKNOWN_REPORTED_MAX).flat_map(|kind| kind.to_be_bytes()).collect();
        add(&mut answer, UNKNOWN_ATTRIBUTES, &list);
    }
    finish(answer, key)
}

fn begin(kind: u16, transaction: TransactionId) -> Answer {
    let mut answer = Answer::new();
    answer.extend(kind.to_be_bytes());
    answer.extend([0, 0]);
    answer.extend(MAGIC_COOKIE);
    answer.extend(transaction);
    answer
}

/// Appends an attribute and its padding; the length in the header follows.
fn add(answer: &mut Answer, kind: u16, value: &[u8]) {
    answer.extend(kind.to_be_bytes());
    answer.extend((value.len() as u16).to_be_bytes());
    answer.extend(value.iter().copied());
    while !answer.len().is_multiple_of(4) {
        answer.push(0);
    }
    set_length(answer, 0);
}

/// What the header says follows it, if `more` bytes are still to come.
fn set_length(answer: &mut Answer, more: usize) {
    let length = (answer.len() - HEADER_BYTES + more) as u16;
    answer[2..4].copy_from_slice(&length.to_be_bytes());
}

fn finish(mut answer: Answer, key: Option<&str>) -> Answer {
    if let Some(password) = key {
        let (header, attributes) =
            answer.split_first_chunk::<HEADER_BYTES>().expect("an answer begins with a header");
        let tag = integrity(password, header, attributes);
        add(&mut answer, MESSAGE_INTEGRITY, tag.as_ref());
    }
    set_length(&mut answer, HEAD_BYTES + FINGERPRINT_BYTES);
    let fingerprint = fingerprint_value(&answer);
    add(&mut answer, FINGERPRINT, &fingerprint.to_be_bytes());
    answer
}

#[cfg(test)]
mod tests;
