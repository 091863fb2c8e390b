//! Media from another address: recognised by its keys, and followed once that address has answered.

use sfu_core::drops::DropReason;
use sfu_core::transport::{Path, Received, StunOutcome, Transport};
use stun::attributes::{ATTR_ICE_CONTROLLED, ATTR_PRIORITY, ATTR_USERNAME};
use stun::fingerprint::FINGERPRINT;
use stun::integrity::MessageIntegrity;
use stun::message::{BINDING_REQUEST, BINDING_SUCCESS, Message, Setter};

use crate::world::{World, credentials, ms, path};

/// An RTP packet as the peer of `world` seals it.
fn sealed(world: &mut World, sequence: u16) -> Vec<u8> {
    let (mut sealer, _) = world.peer.srtp();
    let mut packet = vec![0x80, 96];
    packet.extend_from_slice(&sequence.to_be_bytes());
    packet.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 7]);
    packet.extend_from_slice(b"payload");
    let header = rtp::Header { sequence_number: sequence, ssrc: 7, ..Default::default() };
    sealer.encrypt_rtp_with_header(&packet, &header).unwrap().to_vec()
}

/// What the transport sends to `to`, which is a check of its own.
fn challenge(transport: &mut Transport, to: Path) -> Message {
    let (path, datagram) = transport.poll_transmit().expect("a check");
    assert_eq!(path, to);
    let mut message = Message::new();
    message.unmarshal_binary(&datagram).unwrap();
    FINGERPRINT.check(&message).unwrap();
    assert_eq!(message.typ, BINDING_REQUEST);
    message
}

/// The success answer to a check, sealed with `password`.
fn answer(to: &Message, password: &str) -> Vec<u8> {
    let provider = rtc_crypto::default_provider().unwrap();
    let transaction_id = to.transaction_id;
    let mut message = Message { typ: BINDING_SUCCESS, transaction_id, ..Message::new() };
    message.write_header();
    let password = password.to_owned();
    let key = MessageIntegrity::new_short_term_integrity_with_provider(password, provider.crypto());
    key.add_to(&mut message).unwrap();
    FINGERPRINT.add_to(&mut message).unwrap();
    message.raw
}

#[test]
fn media_is_taken_at_once_and_followed_after_an_answer() {
    let mut world = World::connected();
    let now = world.now + ms(10);
    let mut packet = sealed(&mut world, 1);
    let (received, asked) = world.transport.recognize(path(1), now, 5, &mut packet).unwrap();
    assert!(matches!(received, Received::Rtp(_)));
    assert_eq!(world.transport.path(), Some(path(0)), "nothing is sent there yet");

    let mut check = challenge(&mut world.transport, path(1));
    assert_eq!(asked, Some(check.transaction_id.0));
    assert_eq!(check.transaction_id.0[0], 5, "the worker's number");
    let (local, remote) = (credentials("local"), credentials("remote"));
    let username = format!("{}:{}", remote.ufrag, local.ufrag);
    assert_eq!(check.get(ATTR_USERNAME).unwrap(), username.as_bytes());
    assert!(check.contains(ATTR_ICE_CONTROLLED) && check.contains(ATTR_PRIORITY));
    let provider = rtc_crypto::default_provider().unwrap();
    MessageIntegrity::check(&mut check, remote.password.as_bytes(), provider.crypto()).unwrap();

    let good = answer(&check, &remote.password);
    let wrong = answer(&check, "another-password-012345678");
    let transport = &mut world.transport;
    let refused = transport.handle_answer(now, path(1), &wrong);
    assert_eq!(refused, Err(DropReason::StunUnauthenticated));
    let elsewhere = transport.handle_answer(now, path(2), &good);
    assert_eq!(elsewhere, Err(DropReason::StunUnexpected), "from another address");
    assert_eq!(transport.path(), Some(path(0)));
    let outcome = transport.handle_answer(now, path(1), &good);
    assert_eq!(outcome, Ok(StunOutcome { validated: true, forgotten: None }));
    assert_eq!(transport.path(), Some(path(1)));
    let again = transport.handle_answer(now, path(1), &good);
    assert_eq!(again, Err(DropReason::StunUnexpected), "a second time");
}

#[test]
fn strangers_are_not_recognized_and_nobody_is_asked() {
    let mut world = World::connected();
    let now = world.now + ms(10);
    let mut packet = sealed(&mut world, 1);
    let last = packet.len() - 1;
    packet[last] ^= 1;
    let refused = world.transport.recognize(path(1), now, 0, &mut packet).err();
    assert_eq!(refused, Some(DropReason::SrtpAuthentication));
    let mut dtls = [22; 40];
    assert!(world.transport.recognize(path(1), now, 0, &mut dtls).is_err());
    assert!(world.transport.poll_transmit().is_none());
}

#[test]
fn packets_are_all_taken_and_the_address_is_asked_five_times_a_second() {
    let mut world = World::connected();
    let mut asked = 0;
    for n in 0..100 {
        let now = world.now + ms(10 * u64::from(n));
        let mut packet = sealed(&mut world, n);
        let (_, transaction) = world.transport.recognize(path(1), now, 0, &mut packet).unwrap();
        asked += u32::from(transaction.is_some());
    }
    assert!((3..=5).contains(&asked), "{asked}");
}
