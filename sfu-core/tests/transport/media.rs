//! SRTP and SRTCP against rtc-srtp, over keys that a real handshake agreed on.

use dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use sfu_core::drops::DropReason;
use sfu_core::limits::SSRCS_PER_PEER_MAX;
use sfu_core::transport::{DtlsRole, SealError};

use crate::peer::{CM, GCM};
use crate::world::{Got, World, handle, ms, path};

const PROFILES: [SrtpProtectionProfile; 2] = [GCM, CM];

fn connected(profile: SrtpProtectionProfile) -> World {
    let mut world = World::new(DtlsRole::Server, &[profile]);
    world.check();
    world.run(ms(10));
    assert!(world.transport.is_connected());
    world
}

/// An RTP packet with one CSRC and a header extension, in which padding stands between elements.
fn rtp(ssrc: u32, sequence: u16) -> (Vec<u8>, usize) {
    let mut packet = vec![0x91, 96];
    packet.extend_from_slice(&sequence.to_be_bytes());
    packet.extend_from_slice(&[0, 0, 0, 1]);
    packet.extend_from_slice(&ssrc.to_be_bytes());
    packet.extend_from_slice(&[5, 5, 5, 5]);
    packet.extend_from_slice(&[0xbe, 0xde, 0, 2, 0x10, 7, 0, 0, 0x21, 8, 9, 0]);
    let header_bytes = packet.len();
    packet.extend_from_slice(b"the payload of the packet");
    (packet, header_bytes)
}

fn sender_report(ssrc: u32) -> Vec<u8> {
    let mut packet = vec![0x80, 200, 0, 6];
    packet.extend_from_slice(&ssrc.to_be_bytes());
    packet.extend_from_slice(&[3; 20]);
    packet
}

/// What the library as a sender would make of it: it only reads the header's plain fields.
fn header_of(packet: &[u8], header_bytes: usize) -> rtp::Header {
    rtp::Header {
        sequence_number: u16::from_be_bytes([packet[2], packet[3]]),
        ssrc: u32::from_be_bytes([packet[8], packet[9], packet[10], packet[11]]),
        csrc: vec![0; (header_bytes - 12) / 4],
        ..Default::default()
    }
}

#[test]
fn what_we_seal_opens_elsewhere_across_the_wrap_of_the_sequence_number() {
    for profile in PROFILES {
        let mut world = connected(profile);
        let (_, mut opener) = world.peer.srtp();
        for (ssrc, first) in [(1, 0u64), (2, 1), (3, 65_530), (4, 40_000)] {
            for index in first..first + 70_000 {
                if index > first + 20 && !(65_500..65_600).contains(&index) && index % 1000 != 0 {
                    continue;
                }
                let (packet, header_bytes) = rtp(ssrc, index as u16);
                let mut arena = b"before".to_vec();
                arena.extend_from_slice(&packet);
                world.transport.seal_rtp(&mut arena, 6, header_bytes, index).unwrap();
                assert_eq!(&arena[..6], b"before");
                assert_ne!(arena[6 + header_bytes..][..20], packet[header_bytes..][..20]);
                let header = header_of(&packet, header_bytes);
                let opened = opener.decrypt_rtp_with_header(&arena[6..], &header).unwrap();
                assert_eq!(opened, packet, "{profile:?} {index}");
            }
        }
    }
}

#[test]
fn rtcp_goes_both_ways() {
    for profile in PROFILES {
        let mut world = connected(profile);
        let (mut sealer, mut opener) = world.peer.srtp();
        for ssrc in [1, 1, 2] {
            let report = sender_report(ssrc);
            let sealed = sealer.encrypt_rtcp(&report).unwrap();
            let received = handle(&mut world.transport, world.now, world.path, &sealed);
            assert_eq!(received, Ok(Got::Rtcp(report[..].into())));
            let mut arena = vec![1, 2, 3];
            arena.extend_from_slice(&report);
            world.transport.seal_rtcp(&mut arena, 3).unwrap();
            assert_eq!(opener.decrypt_rtcp(&arena[3..]).unwrap(), report);
        }
    }
}

#[test]
fn rtp_of_the_peer_is_opened_once() {
    for profile in PROFILES {
        let mut world = connected(profile);
        let (mut sealer, _) = world.peer.srtp();
        let mut sealed = vec![];
        for sequence in (65_500..=65_535).chain(0..100) {
            let (packet, header_bytes) = rtp(7, sequence);
            let header = header_of(&packet, header_bytes);
            sealed
                .push((packet.clone(), sealer.encrypt_rtp_with_header(&packet, &header).unwrap()));
        }
        sealed.swap(30, 40);
        for (packet, sealed) in &sealed {
            let received = handle(&mut world.transport, world.now, world.path, sealed);
            assert_eq!(received, Ok(Got::Rtp(packet[..].into())));
        }
        for (_, sealed) in &sealed {
            let again = handle(&mut world.transport, world.now, world.path, sealed);
            assert_eq!(again, Err(DropReason::SrtpReplay));
        }
        let report = sealer.encrypt_rtcp(&sender_report(7)).unwrap();
        assert!(handle(&mut world.transport, world.now, world.path, &report).is_ok());
        let again = handle(&mut world.transport, world.now, world.path, &report);
        assert_eq!(again, Err(DropReason::SrtpReplay));
    }
}

#[test]
fn short_packets_of_every_shape_are_dropped() {
    for profile in PROFILES {
        let mut world = connected(profile);
        for length in 0..=64usize {
            for shape in 0..64u8 {
                for packet_type in [96, 200] {
                    let mut packet = vec![0x5a; length];
                    let head = [0x80 | shape, packet_type];
                    packet.iter_mut().zip(head).for_each(|(b, h)| *b = h);
                    let expected = expected_drop(profile, &packet);
                    let result = handle(&mut world.transport, world.now, world.path, &packet);
                    assert_eq!(result, Err(expected), "{profile:?} {length} {shape:#x}");
                }
            }
        }
        assert!(world.transport.is_connected());
    }
}

fn expected_drop(profile: SrtpProtectionProfile, packet: &[u8]) -> DropReason {
    let tag = if profile == GCM { 16 } else { 10 };
    if packet.len() < 2 {
        return DropReason::Unclassified;
    }
    let bytes_min = if packet[1] == 200 {
        8 + 4 + tag
    } else {
        let extension = if packet[0] & 0x10 == 0 { 0 } else { 4 + 4 * 0x5a5a };
        12 + 4 * usize::from(packet[0] & 15) + extension + tag
    };
    if packet.len() < bytes_min { DropReason::SrtpShort } else { DropReason::SrtpAuthentication }
}

#[test]
fn rtcp_that_says_it_is_not_encrypted_is_not_believed() {
    for (profile, index_from_end) in [(GCM, 4), (CM, 14)] {
        let mut world = connected(profile);
        let mut forged = sender_report(1);
        forged.resize(forged.len() + 40, 0);
        let flag_at = forged.len() - index_from_end;
        forged[flag_at] = 0;
        let result = handle(&mut world.transport, world.now, world.path, &forged);
        assert_eq!(result, Err(DropReason::SrtpAuthentication), "{profile:?}");
    }
}

#[test]
fn forged_packets_neither_shift_the_window_nor_take_up_room() {
    for profile in PROFILES {
        let mut world = connected(profile);
        let (mut sealer, _) = world.peer.srtp();
        let mut forge = |ssrc: u32, sequence: u16| {
            let mut packet = rtp(ssrc, sequence).0;
            packet.extend_from_slice(&[0xee; 16]);
            let result = handle(&mut world.transport, world.now, world.path, &packet);
            assert_eq!(result, Err(DropReason::SrtpAuthentication));
            let mut report = sender_report(ssrc);
            report.extend_from_slice(&[0xee; 20]);
            let result = handle(&mut world.transport, world.now, world.path, &report);
            assert_eq!(result, Err(DropReason::SrtpAuthentication));
        };
        // Far ahead and behind on the SSRC that will be used, before and after it is known.
        forge(7, 40_000);
        forge(7, 1);
        for ssrc in 0..10_000 {
            forge(ssrc, 9);
        }
        let mut send = |ssrc: u32, sequence: u16| {
            let (packet, header_bytes) = rtp(ssrc, sequence);
            let header = header_of(&packet, header_bytes);
            let sealed = sealer.encrypt_rtp_with_header(&packet, &header).unwrap();
            handle(&mut world.transport, world.now, world.path, &sealed)
        };
        for sequence in 100..110 {
            assert!(send(7, sequence).is_ok());
        }
        for ssrc in 0..SSRCS_PER_PEER_MAX as u32 - 1 {
            assert!(send(1000 + ssrc, 1).is_ok(), "{ssrc}");
        }
        assert_eq!(send(5000, 1), Err(DropReason::SsrcCap));
        assert!(send(7, 110).is_ok());
    }
}

#[test]
fn packets_that_are_not_what_the_index_says_are_not_sealed() {
    let mut world = connected(GCM);
    let (packet, header_bytes) = rtp(1, 500);
    let mut seal = |bytes: usize, start: usize, header_bytes: usize, index: u64| {
        world.transport.seal_rtp(&mut packet[..bytes].to_vec(), start, header_bytes, index)
    };
    let malformed = Err(SealError::Malformed);
    assert_eq!(seal(packet.len(), 0, header_bytes, 501), malformed);
    assert_eq!(seal(packet.len(), 0, header_bytes, 1 << 48 | 500), malformed);
    assert_eq!(seal(packet.len(), 0, 8, 500), malformed);
    assert_eq!(seal(header_bytes - 1, 0, header_bytes, 500), malformed);
    assert_eq!(seal(packet.len(), packet.len() + 1, header_bytes, 500), malformed);
    assert_eq!(seal(packet.len(), 0, header_bytes, 65_536 + 500), Ok(()));
    assert_eq!(world.transport.seal_rtcp(&mut vec![0x80, 200, 0, 0], 0), malformed);
}

#[test]
fn media_before_keys_and_from_elsewhere_is_not_read() {
    let mut world = World::new(DtlsRole::Server, &[GCM]);
    let packet = rtp(1, 1).0;
    let unvalidated = handle(&mut world.transport, world.now, world.path, &packet);
    assert_eq!(unvalidated, Err(DropReason::RtpUnvalidated));
    let hello = world.peer.transmit().unwrap();
    let unvalidated = handle(&mut world.transport, world.now, world.path, &hello);
    assert_eq!(unvalidated, Err(DropReason::DtlsUnvalidated));
    assert_eq!(world.transport.poll_transmit(), None);
    world.check();
    let early = handle(&mut world.transport, world.now, world.path, &packet);
    assert_eq!(early, Err(DropReason::SrtpBeforeKeys));
    // The peer repeats its hello, and all is well.
    world.run(ms(100));
    assert!(world.transport.is_connected());
    let elsewhere = handle(&mut world.transport, world.now, path(9), &packet);
    assert_eq!(elsewhere, Err(DropReason::RtpUnvalidated));
}
