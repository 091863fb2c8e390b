//! Checks: believed, refused, answered; paths, consent, restarts.

use sfu_core::drops::DropReason;
use sfu_core::event::{FailReason, TransportState};
use sfu_core::limits::{
    CONSENT_EXPIRY, DISCONNECTED_AFTER, ICE_DEADLINE, NOMINATIONS_PER_SECOND_MAX,
    PATHS_PER_PEER_MAX,
};
use sfu_core::transport::{DtlsRole, Path, Security, StunOutcome, Transport, TransportEvent};
use stun::attributes::{ATTR_ERROR_CODE, ATTR_SOFTWARE, ATTR_USE_CANDIDATE, AttrType};
use stun::fingerprint::FINGERPRINT;
use stun::integrity::MessageIntegrity;
use stun::message::{BINDING_SUCCESS, Getter, Message};
use stun::xoraddr::XorMappedAddress;

use crate::peer::Check;
use crate::world::{Got, World, credentials, epoch, handle, ms, new_transport, path};

fn check() -> Check {
    Check::new(&credentials("local"), &credentials("remote"))
}

fn plain() -> Transport {
    new_transport(epoch(), DtlsRole::Server, Security::Plain, vec![])
}

fn states(transport: &mut Transport) -> Vec<TransportState> {
    let events = std::iter::from_fn(|| transport.poll_event());
    let state = |event| match event {
        TransportEvent::State(state) => Some(state),
        _ => None,
    };
    events.filter_map(state).collect()
}

fn answer(transport: &mut Transport) -> Option<(Path, Message)> {
    let (path, datagram) = transport.poll_transmit()?;
    let mut message = Message::new();
    message.unmarshal_binary(&datagram).unwrap();
    FINGERPRINT.check(&message).unwrap();
    Some((path, message))
}

fn error_code(message: &Message) -> u16 {
    let value = message.get(ATTR_ERROR_CODE).unwrap();
    u16::from(value[2]) * 100 + u16::from(value[3])
}

fn is_sealed(message: &mut Message) -> bool {
    let provider = rtc_crypto::default_provider().unwrap();
    let key = credentials("local").password;
    MessageIntegrity::check(message, key.as_bytes(), provider.crypto()).is_ok()
}

#[test]
fn a_check_is_answered_with_its_source_and_validates_its_path() {
    let mut transport = plain();
    assert_eq!(transport.path(), None);
    let outcome = transport.handle_stun(epoch(), path(1), &check().encode());
    assert_eq!(outcome, Ok(StunOutcome { validated: true, forgotten: None }));
    let (to, mut message) = answer(&mut transport).unwrap();
    assert_eq!((to, message.typ), (path(1), BINDING_SUCCESS));
    let mut source = XorMappedAddress::default();
    source.get_from(&message).unwrap();
    assert_eq!((source.ip, source.port), (path(1).remote.ip(), path(1).remote.port()));
    assert!(is_sealed(&mut message));
    assert_eq!(transport.path(), Some(path(1)));
    assert_eq!(states(&mut transport), [TransportState::Connected]);
    let again = transport.handle_stun(epoch(), path(1), &check().encode());
    assert_eq!(again, Ok(StunOutcome::default()));
}

#[test]
fn plain_media_passes_as_it_is_from_validated_paths_only() {
    let mut transport = plain();
    let packet = [0x80, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 42];
    let early = handle(&mut transport, epoch(), path(1), &packet);
    assert_eq!(early, Err(DropReason::RtpUnvalidated));
    transport.handle_stun(epoch(), path(1), &check().encode()).unwrap();
    let received = handle(&mut transport, epoch(), path(1), &packet);
    assert_eq!(received, Ok(Got::Rtp(packet[..].into())));
    let mut arena = packet.to_vec();
    transport.seal_rtp(&mut arena, 0, 12, 1).unwrap();
    assert_eq!(arena, packet);
}

#[test]
fn what_is_not_authenticated_changes_nothing() {
    let request = check();
    let cases = [
        (Check { password: Some("wrong".into()), ..request.clone() }, 401),
        (Check { username: Some("localufrag:somebody".into()), ..request.clone() }, 401),
        (Check { username: Some("localufrag:".into()), ..request.clone() }, 401),
        (Check { password: None, ..request.clone() }, 400),
    ];
    for (spoilt, code) in cases {
        let mut transport = plain();
        let outcome = transport.handle_stun(epoch(), path(1), &spoilt.encode());
        assert_eq!(outcome, Err(DropReason::StunUnauthenticated), "{code}");
        let (_, mut message) = answer(&mut transport).unwrap();
        assert_eq!(error_code(&message), code);
        assert!(!is_sealed(&mut message));
        assert!(message.raw.len() <= spoilt.encode().len());
        assert_eq!((transport.path(), transport.poll_event()), (None, None));
    }
    let silent = [
        (
            Check { username: Some("otherufrag:remoteufrag".into()), ..request.clone() },
            DropReason::StunUnknownUfrag,
        ),
        (
            Check { username: Some("localufragx:remoteufrag".into()), ..request.clone() },
            DropReason::StunUnknownUfrag,
        ),
        (Check { username: None, ..request.clone() }, DropReason::StunUnknownUfrag),
        (Check { fingerprint: false, ..request.clone() }, DropReason::StunMalformed),
    ];
    for (spoilt, reason) in silent {
        let mut transport = plain();
        assert_eq!(transport.handle_stun(epoch(), path(1), &spoilt.encode()), Err(reason));
        assert_eq!((transport.poll_transmit(), transport.path()), (None, None));
    }
}

#[test]
fn refusals_are_rationed() {
    let mut transport = plain();
    let spoilt = Check { password: Some("wrong".into()), ..check() }.encode();
    for _ in 0..1000 {
        _ = transport.handle_stun(epoch(), path(1), &spoilt);
    }
    assert_eq!(std::iter::from_fn(|| transport.poll_transmit()).count(), 5);
}

#[test]
fn a_peer_that_claims_to_be_controlled_is_told_of_the_conflict() {
    let mut transport = plain();
    let request = Check { controlled: true, ..check() };
    let outcome = transport.handle_stun(epoch(), path(1), &request.encode());
    assert_eq!(outcome, Err(DropReason::StunUnexpected));
    let (_, mut message) = answer(&mut transport).unwrap();
    assert_eq!(error_code(&message), 487);
    assert!(is_sealed(&mut message));
    assert_eq!(transport.path(), None);
}

#[test]
fn attributes_that_must_be_understood_are_named() {
    let mut transport = plain();
    let request = Check { extra: vec![AttrType(0x7ff0), ATTR_SOFTWARE], ..check() };
    let outcome = transport.handle_stun(epoch(), path(1), &request.encode());
    assert_eq!(outcome, Err(DropReason::StunUnexpected));
    let (_, message) = answer(&mut transport).unwrap();
    assert_eq!(error_code(&message), 420);
    assert_eq!(message.get(stun::attributes::ATTR_UNKNOWN_ATTRIBUTES).unwrap(), [0x7f, 0xf0]);
    let harmless = Check { extra: vec![AttrType(0xfff0)], ..check() };
    assert!(transport.handle_stun(epoch(), path(1), &harmless.encode()).is_ok());
}

#[test]
fn truncated_and_garbled_checks_are_dropped_without_an_answer() {
    let mut transport = plain();
    let request = check().encode();
    for length in 0..request.len() {
        let outcome = transport.handle_stun(epoch(), path(1), &request[..length]);
        assert_eq!(outcome, Err(DropReason::StunMalformed), "{length}");
    }
    let mut longer = request.clone();
    longer.extend_from_slice(&[0; 8]);
    let outcome = transport.handle_stun(epoch(), path(1), &longer);
    assert_eq!(outcome, Err(DropReason::StunMalformed));
    for at in 0..request.len() {
        let mut garbled = request.clone();
        garbled[at] ^= 0x55;
        assert!(transport.handle_stun(epoch(), path(1), &garbled).is_err(), "{at}");
    }
    assert_eq!((transport.poll_transmit(), transport.path()), (None, None));
}

#[test]
fn a_nomination_after_the_integrity_attribute_is_ignored() {
    let mut transport = plain();
    transport.handle_stun(epoch(), path(1), &check().nominating().encode()).unwrap();
    let smuggled = Check { after_integrity: vec![ATTR_USE_CANDIDATE], priority: 2, ..check() };
    transport.handle_stun(epoch(), path(2), &smuggled.encode()).unwrap();
    assert_eq!(transport.path(), Some(path(1)));
    let honest = Check { priority: 2, ..check() }.nominating();
    transport.handle_stun(epoch(), path(2), &honest.encode()).unwrap();
    assert_eq!(transport.path(), Some(path(2)));
}

#[test]
fn nominations_are_followed_so_many_times_a_second() {
    let mut transport = plain();
    transport.handle_stun(epoch(), path(0), &check().encode()).unwrap();
    let mut moves = 0;
    for n in 0..100u16 {
        let before = transport.path();
        let now = epoch() + ms(u64::from(n) * 10);
        transport.handle_stun(now, path(1 + n % 2), &check().nominating().encode()).unwrap();
        moves += u32::from(transport.path() != before);
    }
    assert_eq!(moves, NOMINATIONS_PER_SECOND_MAX);
}

#[test]
fn the_stalest_path_makes_room_and_never_the_one_in_use() {
    let mut transport = plain();
    transport.handle_stun(epoch(), path(0), &check().nominating().encode()).unwrap();
    for n in 1..1000u16 {
        let now = epoch() + ms(n.into());
        let outcome = transport.handle_stun(now, path(n), &check().encode()).unwrap();
        let full = usize::from(n) >= PATHS_PER_PEER_MAX;
        let forgotten = full.then(|| path(n + 1 - PATHS_PER_PEER_MAX as u16));
        assert_eq!(outcome, StunOutcome { validated: true, forgotten }, "{n}");
    }
    assert_eq!(transport.path(), Some(path(0)));
}

#[test]
fn silent_paths_are_forgotten() {
    let mut transport = plain();
    transport.handle_stun(epoch(), path(0), &check().nominating().encode()).unwrap();
    transport.handle_stun(epoch() + ms(5), path(1), &check().encode()).unwrap();
    let mut now = epoch();
    while now < epoch() + CONSENT_EXPIRY + ms(5) {
        now = transport.poll_timeout().unwrap();
        transport.handle_timeout(now);
        transport.handle_stun(now, path(0), &check().encode()).unwrap();
    }
    let events: Vec<_> = std::iter::from_fn(|| transport.poll_event()).collect();
    assert!(events.contains(&TransportEvent::PathForgotten(path(1))));
    assert!(!events.contains(&TransportEvent::PathForgotten(path(0))));
}

#[test]
fn a_peer_never_heard_is_given_up_and_taken_back_after_a_restart() {
    let mut transport = plain();
    assert_eq!(transport.poll_timeout(), Some(epoch() + ICE_DEADLINE));
    let late = epoch() + ICE_DEADLINE;
    transport.handle_timeout(late);
    assert_eq!(states(&mut transport), [TransportState::Failed(FailReason::IceTimeout)]);
    transport.restart_ice(late, credentials("newlocal"), credentials("newremote"));
    assert_eq!(states(&mut transport), [TransportState::Connecting]);
    assert_eq!(transport.poll_timeout(), Some(late + ICE_DEADLINE));
    let request = Check::new(&credentials("newlocal"), &credentials("newremote"));
    transport.handle_stun(late, path(1), &request.encode()).unwrap();
    assert_eq!(states(&mut transport), [TransportState::Connected]);
}

#[test]
fn consent_fades_and_comes_back_with_a_check() {
    let mut transport = plain();
    transport.handle_stun(epoch(), path(0), &check().encode()).unwrap();
    assert_eq!(states(&mut transport), [TransportState::Connected]);
    assert_eq!(transport.poll_timeout(), Some(epoch() + DISCONNECTED_AFTER));
    transport.handle_timeout(epoch() + DISCONNECTED_AFTER - ms(1));
    assert_eq!(states(&mut transport), []);
    transport.handle_timeout(epoch() + DISCONNECTED_AFTER);
    assert_eq!(states(&mut transport), [TransportState::Disconnected]);
    assert_eq!(transport.path(), Some(path(0)));
    assert_eq!(transport.poll_timeout(), Some(epoch() + CONSENT_EXPIRY));
    transport.handle_timeout(epoch() + CONSENT_EXPIRY);
    let expired = TransportState::Failed(FailReason::ConsentExpired);
    assert_eq!(states(&mut transport), [expired]);
    assert_eq!((transport.path(), transport.is_connected()), (None, false));
    // Media is no consent.
    let now = epoch() + CONSENT_EXPIRY + ms(1);
    handle(&mut transport, now, path(0), &[0x80, 96, 0, 1]).unwrap();
    assert_eq!(transport.path(), None);
    transport.handle_stun(now, path(0), &check().encode()).unwrap();
    assert_eq!(states(&mut transport), [TransportState::Connected]);
    assert_eq!(transport.path(), Some(path(0)));
}

#[test]
fn media_shows_that_the_peer_is_there() {
    let mut transport = plain();
    transport.handle_stun(epoch(), path(0), &check().encode()).unwrap();
    let mut now = epoch();
    while now < epoch() + 2 * CONSENT_EXPIRY {
        now += ms(1000);
        handle(&mut transport, now, path(0), &[0x80, 96, 0, 1]).unwrap();
        transport.handle_timeout(now);
    }
    assert_eq!(states(&mut transport), [TransportState::Connected]);
    transport.handle_timeout(now + DISCONNECTED_AFTER);
    handle(&mut transport, now + DISCONNECTED_AFTER, path(0), &[0x80, 96, 0, 1]).unwrap();
    let expected = [TransportState::Disconnected, TransportState::Connected];
    assert_eq!(states(&mut transport), expected);
}

#[test]
fn a_rebound_nat_is_followed_once_the_old_address_is_silent() {
    let mut transport = plain();
    transport.handle_stun(epoch(), path(0), &check().nominating().encode()).unwrap();
    // Another candidate of the client is merely kept alive.
    let other = Check { priority: 2, ..check() };
    transport.handle_stun(epoch() + ms(2000), path(1), &other.encode()).unwrap();
    assert_eq!(transport.path(), Some(path(0)));
    // The same candidate shows up elsewhere.
    transport.handle_stun(epoch() + ms(500), path(2), &check().encode()).unwrap();
    assert_eq!(transport.path(), Some(path(0)));
    transport.handle_stun(epoch() + ms(2500), path(2), &check().encode()).unwrap();
    assert_eq!(transport.path(), Some(path(2)));
}

#[test]
fn a_restart_keeps_the_old_path_until_the_new_one_is_nominated() {
    let mut world = World::connected();
    let (old, new) = (world.path, path(1));
    let (local, remote) = (credentials("newlocal"), credentials("newremote"));
    let restarted = world.now;
    world.transport.restart_ice(restarted, local.clone(), remote.clone());
    let ufrags: Vec<_> = world.transport.local_ufrags().map(str::to_owned).collect();
    assert_eq!(ufrags, ["newlocalufrag", "localufrag"]);

    // The old credentials keep the old path alive and move nothing.
    let now = restarted + ms(10);
    world.transport.handle_stun(now, path(5), &check().nominating().encode()).unwrap();
    assert_eq!(world.transport.path(), Some(old));
    world.transport.handle_stun(now, old, &check().nominating().encode()).unwrap();
    assert_eq!(world.transport.path(), Some(old));
    let fresh = Check { priority: 7, ..Check::new(&local, &remote) };
    let outcome = world.transport.handle_stun(now, new, &fresh.encode()).unwrap();
    assert!(outcome.validated);
    assert_eq!(world.transport.path(), Some(old));
    world.transport.handle_stun(now, new, &fresh.clone().nominating().encode()).unwrap();
    assert_eq!(world.transport.path(), Some(new));

    // Media and DTLS go on over the new path, with the same keys.
    let (mut sealer, _) = world.peer.srtp();
    let packet = [&[0x80, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1][..], b"payload"].concat();
    let sealed = sealer.encrypt_rtp(&packet).unwrap();
    let received = handle(&mut world.transport, now, new, &sealed);
    assert_eq!(received, Ok(Got::Rtp(packet[..].into())));
    world.path = new;
    world.peer.close(now);
    world.run(ms(1));
    let closed = TransportState::Failed(FailReason::ClosedByPeer);
    assert_eq!(world.states.last(), Some(&closed));
}

#[test]
fn former_credentials_are_refused_after_half_a_minute() {
    let mut transport = plain();
    let (local, remote) = (credentials("newlocal"), credentials("newremote"));
    transport.restart_ice(epoch(), local.clone(), remote.clone());
    let late = epoch() + ms(30_000);
    transport.handle_stun(late - ms(1), path(0), &check().encode()).unwrap();
    transport.handle_timeout(late);
    let events: Vec<_> = std::iter::from_fn(|| transport.poll_event()).collect();
    assert!(events.contains(&TransportEvent::UfragForgotten("localufrag".into())));
    let refused = transport.handle_stun(late, path(0), &check().encode());
    assert_eq!(refused, Err(DropReason::StunUnknownUfrag));
    assert_eq!(transport.local_ufrags().collect::<Vec<_>>(), ["newlocalufrag"]);
    // Two restarts in a row: the first credentials have to go at once.
    transport.restart_ice(late, credentials("third"), remote.clone());
    transport.restart_ice(late, credentials("fourth"), remote);
    let forgotten = TransportEvent::UfragForgotten("newlocalufrag".into());
    assert_eq!(transport.poll_event(), Some(forgotten));
}
