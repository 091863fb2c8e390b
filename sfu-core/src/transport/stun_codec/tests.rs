use proptest::prelude::*;
use rtc_crypto::RTCCrypto;
use stun::attributes::{
    ATTR_ERROR_CODE, ATTR_FINGERPRINT, ATTR_MESSAGE_INTEGRITY, ATTR_PRIORITY, ATTR_SOFTWARE,
    ATTR_UNKNOWN_ATTRIBUTES, ATTR_USE_CANDIDATE, ATTR_USERNAME, AttrType,
};
use stun::integrity::MessageIntegrity;
use stun::message::{self, Getter as _, Message, Setter as _};
use stun::xoraddr::XorMappedAddress;

use super::*;

const PASSWORD: &str = "a password of some length";

fn with_crypto<T>(act: impl FnOnce(&dyn RTCCrypto) -> T) -> T {
    act(rtc_crypto::default_provider().unwrap().crypto())
}

/// A check as rtc-stun writes it.
fn written(attributes: &[(AttrType, Vec<u8>)]) -> Vec<u8> {
    let mut message = Message { typ: message::BINDING_REQUEST, ..Message::new() };
    message.transaction_id.0 = *b"transaction!";
    message.write_header();
    for (kind, value) in attributes {
        message.add(*kind, value);
    }
    with_crypto(|crypto| {
        MessageIntegrity::new_short_term_integrity_with_provider(PASSWORD.into(), crypto)
            .add_to(&mut message)
    })
    .unwrap();
    stun::fingerprint::FINGERPRINT.add_to(&mut message).unwrap();
    message.raw
}

/// An answer as rtc-stun reads it; it checks the fingerprint, and the seal if there is one.
fn read(answer: &[u8]) -> Message {
    let mut message = Message::new();
    message.unmarshal_binary(answer).unwrap();
    assert_eq!(message.transaction_id.0, *b"transaction!");
    stun::fingerprint::FINGERPRINT.check(&message).unwrap();
    if message.contains(ATTR_MESSAGE_INTEGRITY) {
        let password = PASSWORD.as_bytes();
        with_crypto(|crypto| MessageIntegrity::check(&mut message, password, crypto)).unwrap();
    }
    message
}

#[test]
fn a_check_of_another_implementation_is_read() {
    let check = written(&[
        (ATTR_USERNAME, b"ours:theirs".to_vec()),
        (ATTR_SOFTWARE, b"any".to_vec()),
        (ATTR_PRIORITY, 1234_u32.to_be_bytes().to_vec()),
        (ATTR_USE_CANDIDATE, vec![]),
        (AttrType(0x7777), vec![1]),
    ]);
    let request = Request::parse(&check).unwrap();
    assert_eq!(request.transaction(), *b"transaction!");
    assert_eq!(request.username(), Some(&b"ours:theirs"[..]));
    assert_eq!(request.priority(), Some(1234));
    assert!(request.nominates() && !request.claims_controlled() && request.has_integrity());
    assert_eq!(request.unknown_required().as_slice(), [0x7777]);
    assert!(request.verify(PASSWORD) && !request.verify("another"));
}

#[test]
fn what_comes_after_the_seal_is_not_believed() {
    let mut message = Message::new();
    message.unmarshal_binary(&written(&[(ATTR_USERNAME, b"ours:theirs".to_vec())])).unwrap();
    let fingerprint = message.attributes.0.pop().unwrap();
    assert_eq!(fingerprint.typ, ATTR_FINGERPRINT);
    message.length -= 8;
    message.raw.truncate(message.raw.len() - 8);
    message.write_length();
    message.add(ATTR_USE_CANDIDATE, &[]);
    stun::fingerprint::FINGERPRINT.add_to(&mut message).unwrap();
    let request = Request::parse(&message.raw).unwrap();
    assert!(request.verify(PASSWORD), "the seal is good");
    assert!(!request.nominates(), "but does not cover this");
}

#[test]
fn answers_are_read_by_another_implementation() {
    let transaction = *b"transaction!";
    for source in ["192.0.2.7:4711", "[2001:db8::7]:4711", "[::ffff:192.0.2.7]:4711"] {
        let source: SocketAddr = source.parse().unwrap();
        let message = read(&success(transaction, source, PASSWORD));
        assert_eq!(message.typ, message::BINDING_SUCCESS);
        assert!(message.contains(ATTR_MESSAGE_INTEGRITY));
        let mut seen = XorMappedAddress::default();
        seen.get_from(&message).unwrap();
        assert_eq!((seen.ip, seen.port), (source.ip().to_canonical(), source.port()));
    }
    let unknown: Vec<u16> = (0x7000..0x7100).collect();
    let longest = error(transaction, ErrorCode::UnknownAttribute, &unknown, Some(PASSWORD));
    assert_eq!(longest.len(), ANSWER_BYTES_MAX);
    let message = read(&longest);
    assert_eq!(message.get(ATTR_ERROR_CODE).unwrap(), [0, 0, 4, 20]);
    assert_eq!(message.get(ATTR_UNKNOWN_ATTRIBUTES).unwrap().len(), 2 * UNKNOWN_REPORTED_MAX);
    let message = read(&error(transaction, ErrorCode::BadRequest, &[], None));
    assert_eq!(message.typ, message::BINDING_ERROR);
    assert!(!message.contains(ATTR_MESSAGE_INTEGRITY));
}

proptest! {
    /// Against rtc-stun: what it takes is taken and says the same, and nothing panics.
    #[test]
    fn requests_are_read_as_by_another_implementation(
        attributes in proptest::collection::vec(
            (prop_oneof![Just(0x0006_u16), Just(0x0024), Just(0x0025), Just(0x8029), any::<u16>()],
             proptest::collection::vec(any::<u8>(), 0..40)),
            0..8,
        ),
        damage in proptest::option::of((any::<prop::sample::Index>(), any::<u8>())),
        cut in 0usize..40,
    ) {
        // What the reader itself looks for must not be there twice.
        let own = [ATTR_FINGERPRINT.0, ATTR_MESSAGE_INTEGRITY.0];
        let attributes: Vec<_> = attributes
            .into_iter()
            .filter(|(kind, _)| !own.contains(kind))
            .map(|(kind, value)| (AttrType(kind), value))
            .collect();
        let mut check = written(&attributes);
        let whole = Request::parse(&check).unwrap();
        prop_assert!(whole.verify(PASSWORD));
        for (kind, _) in &attributes {
            let first = attributes.iter().find(|(other, _)| other == kind).unwrap();
            prop_assert_eq!(whole.attribute(kind.0), Some(first.1.as_slice()));
        }
        if cut > 0 && cut < check.len() {
            prop_assert!(Request::parse(&check[..check.len() - cut]).is_err());
        }
        if let Some((at, mask)) = damage {
            let at = at.index(check.len());
            check[at] ^= mask;
            let parsed = Request::parse(&check);
            // The fingerprint covers all but itself, which then differs.
            prop_assert!(mask == 0 || parsed.is_err());
        }
    }
}
