//! Well-formed packets round-trip; everything else has its drop reason and never a panic.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::rtp::header::{OutgoingHeader, write_header};

#[test]
fn padding_has_a_length_between_one_and_the_payload() {
    // The last byte of the payload, the payload's length, and what becomes of it.
    let table = [
        (0, 10, Err(DropReason::RtpBadPadding)),
        (1, 10, Ok(9)),
        (9, 10, Ok(1)),
        (10, 10, Ok(0)),
        (11, 10, Err(DropReason::RtpBadPadding)),
        (255, 10, Err(DropReason::RtpBadPadding)),
        (255, 255, Ok(0)),
        (1, 1, Ok(0)),
    ];
    for (last, bytes, want) in table {
        let mut data = fixed(0x20).to_vec();
        data.resize(12 + bytes, 7);
        *data.last_mut().unwrap() = last;
        let got = RtpPacket::parse(&data).map(|packet| {
            assert_eq!(packet.padding_bytes() + packet.payload().len(), bytes);
            packet.payload().len()
        });
        assert_eq!(got, want, "padding {last} of {bytes}");
    }
    let empty = RtpPacket::parse(&fixed(0x20)).map(|_| ());
    assert_eq!(empty, Err(DropReason::RtpBadPadding), "padding without a payload");
}

#[test]
fn the_header_ends_behind_csrcs_and_extension() {
    let mut data = fixed(0x12).to_vec();
    data.extend_from_slice(&[0xaa; 8]);
    data.extend_from_slice(&[0xbe, 0xde, 0, 1, 0x30, 0x7f, 0, 0]);
    data.extend_from_slice(&[1, 2, 3]);
    let packet = RtpPacket::parse(&data).unwrap();
    assert_eq!(packet.header_bytes(), 28);
    assert_eq!(packet.payload(), [1, 2, 3]);
    assert_eq!(packet.extension(3), Some(&[0x7f][..]));
    assert_eq!(packet.extension(4), None);
    assert!(packet.marker());
    assert_eq!(packet.payload_type(), PayloadType(96));
    assert_eq!((packet.sequence(), packet.timestamp()), (0x1234, 0x5678_9abc));
    assert_eq!(packet.ssrc(), Ssrc(0xdef0_1234));
}

#[test]
fn elements_are_walked_as_rfc_8285_says() {
    type Case = (&'static str, u16, &'static [u8], Result<&'static [(u8, &'static [u8])], ()>);
    const ONE: u16 = 0xbede;
    const TWO: u16 = 0x1000;
    let table: [Case; 15] = [
        ("one byte", ONE, &[0x10, 9, 0x21, 8, 7, 0, 0, 0], Ok(&[(1, &[9]), (2, &[8, 7])])),
        ("padding between", ONE, &[0x10, 9, 0, 0, 0x20, 8, 0, 0], Ok(&[(1, &[9]), (2, &[8])])),
        ("id 15 ends it", ONE, &[0x10, 9, 0xf0, 1, 0x20, 8, 0, 0], Ok(&[(1, &[9])])),
        ("id 15 hides what is wrong behind", ONE, &[0x10, 9, 0xff, 0x2f], Ok(&[(1, &[9])])),
        ("id 0 with a length ends it", ONE, &[0x10, 9, 0x01, 1, 0x20, 8, 0, 0], Ok(&[(1, &[9])])),
        ("sixteen bytes", ONE, &[0x1f; 20], Err(())),
        ("last element too long", ONE, &[0x10, 9, 0x21, 8], Err(())),
        ("head without data", ONE, &[0x10, 9, 0, 0x20], Err(())),
        ("the same id twice", ONE, &[0x10, 9, 0x10, 8], Ok(&[(1, &[9]), (1, &[8])])),
        ("two bytes", TWO, &[1, 0, 200, 2, 5, 6, 0, 0], Ok(&[(1, &[]), (200, &[5, 6])])),
        ("id 15 is an id", TWO + 3, &[15, 1, 5, 0], Ok(&[(15, &[5])])),
        ("id without length", TWO, &[1, 1, 5, 2], Err(())),
        ("length past the end", TWO, &[1, 3, 5, 2], Err(())),
        ("empty", ONE, &[], Ok(&[])),
        ("of another profile", 0xabcd, &[0x1f, 0, 0, 0], Ok(&[])),
    ];
    for (name, profile, elements, want) in table {
        let mut data = fixed(0x10).to_vec();
        data.extend_from_slice(&profile.to_be_bytes());
        data.extend_from_slice(&(elements.len() as u16 / 4).to_be_bytes());
        data.extend_from_slice(elements);
        let got = RtpPacket::parse(&data).map(|packet| packet.extensions().collect::<Vec<_>>());
        let want = want.map(<[_]>::to_vec).map_err(|()| DropReason::ExtensionMalformed);
        assert_eq!(got, want, "{name}");
    }
    let twice = [&fixed(0x10)[..], &[0xbe, 0xde, 0, 1, 0x10, 9, 0x10, 8]].concat();
    assert_eq!(RtpPacket::parse(&twice).unwrap().extension(1), Some(&[9][..]), "the first counts");
}

#[test]
fn a_truncated_header_is_refused_at_every_length() {
    let mut data = fixed(0x12).to_vec();
    data.extend_from_slice(&[0; 8]);
    data.extend_from_slice(&[0xbe, 0xde, 0, 2, 0x17, 1, 2, 3, 4, 5, 6, 7]);
    for bytes in 0..data.len() {
        // The CSRCs end at 20; from there on it is the extension that is cut.
        let want =
            if bytes < 20 { DropReason::RtpMalformed } else { DropReason::ExtensionMalformed };
        let got = RtpPacket::parse(&data[..bytes]).map(|_| ());
        assert_eq!(got, Err(want), "{bytes} bytes");
    }
    // An extension of seven bytes leaves an eighth that is padding, or rather an element's head.
    assert!(RtpPacket::parse(&data).is_err());
    data[24] = 0x16;
    assert!(RtpPacket::parse(&data).is_ok());
}

#[test]
fn other_versions_are_refused() {
    for version in [0x00, 0x40, 0xc0] {
        let mut data = fixed(0);
        data[0] = version;
        assert_eq!(RtpPacket::parse(&data).map(|_| ()), Err(DropReason::RtpMalformed));
    }
}

#[test]
fn the_two_byte_form_is_for_what_the_other_cannot_carry() {
    type Case = (&'static str, &'static [(u8, &'static [u8])], &'static [u8]);
    let table: [Case; 6] = [
        ("nothing", &[], &[]),
        (
            "one byte",
            &[(14, &[1; 3]), (1, &[2])],
            &[0xbe, 0xde, 0, 2, 0xe2, 1, 1, 1, 0x10, 2, 0, 0],
        ),
        ("id 15", &[(15, &[1])], &[0x10, 0, 0, 1, 15, 1, 1, 0]),
        ("empty data", &[(1, &[])], &[0x10, 0, 0, 1, 1, 0, 0, 0]),
        ("id 0 alone", &[(0, &[1])], &[]),
        ("id 0 beside another", &[(0, &[1]), (2, &[3])], &[0xbe, 0xde, 0, 1, 0x20, 3, 0, 0]),
    ];
    for (name, extensions, want) in table {
        let mut arena = vec![0xee];
        let bytes = write_header(&mut arena, &header(), extensions);
        assert_eq!(arena.len(), bytes + 1, "{name}");
        assert_eq!(&arena[13..], want, "{name}");
        assert_eq!(arena[1] & 0x10 != 0, !want.is_empty(), "{name}");
    }
    let mut arena = Vec::new();
    write_header(&mut arena, &header(), &[(1, &[0; 17]), (2, &[0; 256])]);
    assert_eq!(arena.len(), 12 + 4 + 20, "17 bytes need the two-byte form, 256 fit neither");
    assert_eq!(arena[12..16], [0x10, 0, 0, 5]);
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        marker: bool, payload_type in 0..128u8, sequence: u16, timestamp: u32, ssrc: u32,
        elements in vec((1..=255u8, vec(any::<u8>(), 0..40)), 0..6),
        small in vec((1..=14u8, vec(any::<u8>(), 1..=16)), 0..6),
        use_small: bool,
        payload in vec(any::<u8>(), 0..100),
        padding in 0..=255u8,
    ) {
        let elements = if use_small { small } else { elements };
        let borrowed: Vec<_> = elements.iter().map(|(id, data)| (*id, &data[..])).collect();
        let header = OutgoingHeader {
            padding: false,
            marker, payload_type: PayloadType(payload_type), sequence, timestamp, ssrc: Ssrc(ssrc),
        };
        let mut data = Vec::new();
        let header_bytes = write_header(&mut data, &header, &borrowed);
        prop_assert_eq!(header_bytes % 4, 0);
        data.extend_from_slice(&payload);
        if padding > 0 {
            data[0] |= 0x20;
            data.resize(data.len() + usize::from(padding) - 1, 0);
            data.push(padding);
        }
        let packet = RtpPacket::parse(&data).unwrap();
        prop_assert_eq!(packet.header_bytes(), header_bytes);
        prop_assert_eq!(packet.payload(), &payload[..]);
        prop_assert_eq!(packet.padding_bytes(), usize::from(padding));
        prop_assert_eq!(&packet.extensions().collect::<Vec<_>>(), &borrowed);
        prop_assert_eq!(packet.marker(), marker);
        prop_assert_eq!(packet.payload_type().0, payload_type);
        prop_assert_eq!(packet.sequence(), sequence);
        prop_assert_eq!(packet.timestamp(), timestamp);
        prop_assert_eq!(packet.ssrc().0, ssrc);
        if use_small && !borrowed.is_empty() {
            prop_assert_eq!(&data[12..14], &[0xbe, 0xde]);
        }
    }

    #[test]
    fn hostile_bytes_are_parsed_or_refused(
        mut data in vec(any::<u8>(), 0..120),
        head in 0x80..=0xbfu8,
        profile in prop_oneof![Just(0xbedeu16), Just(0x1000u16), any::<u16>()],
        words in 0..8u16,
    ) {
        if let Some(first) = data.first_mut() {
            *first = head;
        }
        let at = 12 + 4 * usize::from(head & 0x0f);
        if let Some(extension) = data.get_mut(at..at + 4) {
            extension[..2].copy_from_slice(&profile.to_be_bytes());
            extension[2..].copy_from_slice(&words.to_be_bytes());
        }
        for bytes in 0..=data.len() {
            let data = &data[..bytes];
            if let Ok(packet) = RtpPacket::parse(data) {
                let told = packet.header_bytes() + packet.payload().len() + packet.padding_bytes();
                prop_assert_eq!(told, bytes);
                let within: usize = packet.extensions().map(|(_, data)| data.len()).sum();
                prop_assert!(within <= packet.header_bytes());
                for id in 0..=255 {
                    let first = packet.extensions().find(|e| e.0 == id).map(|e| e.1);
                    prop_assert_eq!(packet.extension(id), first);
                }
            }
        }
    }
}

/// A fixed header with the given P, X and CC.
fn fixed(flags: u8) -> [u8; 12] {
    [0x80 | flags, 0xe0, 0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0, 0x12, 0x34]
}

fn header() -> OutgoingHeader {
    OutgoingHeader {
        padding: false,
        marker: false,
        payload_type: PayloadType(96),
        sequence: 1,
        timestamp: 2,
        ssrc: Ssrc(3),
    }
}
