//! Handshakes: whole, lossy, forged, cut to pieces, refused.

use aws_lc_rs::digest;
use sfu_core::drops::DropReason;
use sfu_core::event::{FailReason, TransportState};
use sfu_core::limits::{DTLS_DEADLINE, DTLS_FRAGMENTS_MAX};
use sfu_core::transport::{DtlsRole, SealError};

use crate::peer::{CM, GCM, fingerprint_of, new_certificate};
use crate::world::{World, handle, ms};

const ROLES: [DtlsRole; 2] = [DtlsRole::Server, DtlsRole::Client];

#[test]
fn keys_are_agreed_in_both_roles_and_both_profiles() {
    for role in ROLES {
        for (offered, expected) in
            [(&[GCM, CM][..], GCM), (&[CM, GCM], GCM), (&[GCM], GCM), (&[CM], CM)]
        {
            let mut world = World::new(role, offered);
            world.check();
            world.run(ms(10));
            assert_eq!(world.states, [TransportState::Connected], "{role:?} {offered:?}");
            assert!(world.peer.done && world.transport.is_connected());
            assert_eq!(world.peer.profile(), expected, "{role:?} {offered:?}");
        }
    }
}

#[test]
fn any_of_several_fingerprints_will_do_in_any_hash() {
    let certificate = new_certificate();
    let wrong = fingerprint_of(&new_certificate(), &digest::SHA256, "sha-256");
    let hashes = [
        (&digest::SHA1_FOR_LEGACY_USE_ONLY, "sha-1"),
        (&digest::SHA224, "sha-224"),
        (&digest::SHA384, "sha-384"),
        (&digest::SHA512, "sha-512"),
    ];
    for (hash, name) in hashes {
        let right = fingerprint_of(&certificate, hash, name);
        let both = vec![wrong.clone(), right];
        let mut world = World::with(DtlsRole::Server, &[GCM], Some(certificate.clone()), both);
        world.check();
        world.run(ms(10));
        assert_eq!(world.states, [TransportState::Connected], "{name}");
    }
}

#[test]
fn a_wrong_fingerprint_is_refused_in_both_roles() {
    for role in ROLES {
        for fingerprints in
            [vec![], vec![fingerprint_of(&new_certificate(), &digest::SHA256, "sha-256")]]
        {
            let mut world = World::with(role, &[GCM], Some(new_certificate()), fingerprints);
            world.check();
            world.run(ms(20_000));
            let failed = TransportState::Failed(FailReason::FingerprintMismatch);
            assert_eq!(world.states, [failed], "{role:?}");
            assert!(!world.transport.is_connected() && world.transport.path().is_none());
            let sealed = world.transport.seal_rtp(&mut vec![0x80; 40], 0, 12, 0x8080);
            assert_eq!(sealed, Err(SealError::NoKeys));
            assert!(world.peer.error.is_some(), "the peer is told: {role:?}");
            assert!(!world.peer.done || role == DtlsRole::Client);
        }
    }
}

#[test]
fn a_client_without_certificate_is_refused() {
    let fingerprint = fingerprint_of(&new_certificate(), &digest::SHA256, "sha-256");
    let mut world = World::with(DtlsRole::Server, &[GCM], None, vec![fingerprint]);
    world.check();
    world.run(ms(20_000));
    assert_eq!(world.states, [TransportState::Failed(FailReason::DtlsError)]);
    assert!(!world.peer.done);
}

#[test]
fn each_datagram_lost_once_costs_less_than_half_a_second() {
    for role in ROLES {
        let mut lossless = World::new(role, &[GCM]);
        lossless.check();
        lossless.run(ms(10));
        assert!(lossless.carried >= 4);
        for place in 0..lossless.carried {
            let mut world = World::new(role, &[GCM]);
            world.lost = vec![place];
            world.check();
            world.run(ms(500));
            assert_eq!(world.states, [TransportState::Connected], "{role:?} {place}");
            assert!(world.peer.done, "{role:?} {place}");
        }
    }
}

#[test]
fn a_peer_that_falls_silent_is_given_up_and_not_pestered() {
    for role in ROLES {
        for heard in 0..3 {
            let mut world = World::new(role, &[GCM]);
            world.lost = (heard..1000).collect();
            world.check();
            world.run(DTLS_DEADLINE + ms(1));
            let failed = TransportState::Failed(FailReason::DtlsTimeout);
            assert_eq!(world.states, [failed], "{role:?} {heard}");
            // The longest flight is two datagrams; 7 repetitions of it, and what came before.
            assert!(world.sent <= 2 * 8 + 2, "{role:?} {heard}: {}", world.sent);
            assert_eq!(world.transport.poll_timeout(), None);
        }
    }
}

#[test]
fn a_hello_cut_anew_at_every_attempt_is_put_together() {
    let mut world = World::new(DtlsRole::Server, &[GCM]);
    world.check();
    let hello = world.peer.transmit().unwrap();
    let (header, body) = (&hello[13..25], &hello[25..]);
    // The first cut loses its tail, the second is cut elsewhere: they overlap.
    let half = body.len() / 2;
    for (from, to) in [(0, half + 5), (half - 20, half + 1), (half - 9, body.len())] {
        let mut fragment = header.to_vec();
        fragment[6..9].copy_from_slice(&(from as u32).to_be_bytes()[1..]);
        fragment[9..12].copy_from_slice(&((to - from) as u32).to_be_bytes()[1..]);
        fragment.extend_from_slice(&body[from..to]);
        let mut record = hello[..11].to_vec();
        record.extend_from_slice(&(fragment.len() as u16).to_be_bytes());
        record.extend_from_slice(&fragment);
        handle(&mut world.transport, world.now, world.path, &record).unwrap();
    }
    world.run(ms(20));
    assert_eq!(world.states, [TransportState::Connected]);
    assert!(world.peer.done);
}

/// One-byte fragments of a ClientHello that never ends.
fn crumb(offset: u32) -> Vec<u8> {
    let mut record = vec![22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 13];
    record.extend_from_slice(&[1, 0, 0x3f, 0xff, 0, 0]);
    record.extend_from_slice(&offset.to_be_bytes()[1..]);
    record.extend_from_slice(&[0, 0, 1, 0xaa]);
    record
}

#[test]
fn thirty_thousand_crumbs_are_rationed() {
    let mut world = World::new(DtlsRole::Server, &[GCM]);
    world.check();
    while world.transport.poll_transmit().is_some() {}
    let mut refused = 0;
    for n in 0..30_000 {
        match handle(&mut world.transport, world.now, world.path, &crumb(n % 16_000)) {
            Ok(_) => {}
            Err(DropReason::DtlsGuard) => refused += 1,
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(refused, 30_000 - DTLS_FRAGMENTS_MAX);
    assert_eq!(world.transport.poll_transmit(), None);
    world.run(DTLS_DEADLINE);
    assert_eq!(world.states, [TransportState::Failed(FailReason::DtlsTimeout)]);
}

#[test]
fn a_forger_with_the_peers_address_does_not_stop_the_handshake() {
    let alert = vec![21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2, 2, 40];
    let change = vec![20, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1, 1];
    let noise = vec![0x17; 60];
    let garbled = vec![22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 3, 0xff, 0xff, 1];
    let encrypted = [vec![23, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 0, 0, 30], vec![9; 30]].concat();
    let null_hello = null_cipher_hello(0);
    let unproven_hello = null_cipher_hello(1);
    for role in ROLES {
        let mut world = World::new(role, &[GCM]);
        world.check();
        for _ in 0..12 {
            for forged in
                [&null_hello, &alert, &change, &noise, &garbled, &encrypted, &unproven_hello]
            {
                let client_hello = forged[0] == 22 && forged[1] == 0xfe && forged.len() > 14;
                // An active endpoint takes a ClientHello for what it is only by parsing it.
                if role == DtlsRole::Client && client_hello {
                    continue;
                }
                _ = handle(&mut world.transport, world.now, world.path, forged);
            }
            world.exchange();
        }
        world.run(ms(500));
        assert_eq!(world.states, [TransportState::Connected], "{role:?}");
        assert!(world.peer.done && world.peer.error.is_none(), "{role:?}");
    }
}

/// A ClientHello that offers TLS_NULL_WITH_NULL_NULL and nothing else.
fn null_cipher_hello(sequence: u8) -> Vec<u8> {
    let mut body = vec![0xfe, 0xfd];
    body.extend_from_slice(&[7; 32]);
    body.extend_from_slice(&[0, 0, 0, 2, 0, 0, 1, 0, 0, 0]);
    let mut record = vec![22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 12 + body.len() as u8];
    record.extend_from_slice(&[1, 0, 0, body.len() as u8, 0, sequence, 0, 0, 0, 0, 0]);
    record.push(body.len() as u8);
    record.extend_from_slice(&body);
    record
}

#[test]
fn both_sides_can_say_goodbye() {
    let mut world = World::connected();
    world.peer.close(world.now);
    world.run(ms(1));
    let closed = TransportState::Failed(FailReason::ClosedByPeer);
    assert_eq!(world.states.last(), Some(&closed));
    assert_eq!(world.transport.path(), None);

    let mut world = World::connected();
    world.transport.close(world.now);
    world.run(ms(1));
    assert!(world.peer.closed);
    assert_eq!(world.transport.poll_timeout(), None);
    let hello = crumb(0);
    let after = handle(&mut world.transport, world.now, world.path, &hello);
    assert_eq!(after, Err(DropReason::DtlsError));
}
