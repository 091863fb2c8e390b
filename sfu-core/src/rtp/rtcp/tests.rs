//! The builders against the reader, the reader against the `rtcp` crate, and hostile input.

use ::rtcp::goodbye::Goodbye;
use ::rtcp::payload_feedbacks::receiver_estimated_maximum_bitrate::ReceiverEstimatedMaximumBitrate;
use ::rtcp::source_description::SourceDescription;
use proptest::collection::vec;
use proptest::prelude::*;
use shared::marshal::{Marshal, Unmarshal};

use super::*;

#[test]
fn what_is_written_is_read() {
    let mut out = vec![];
    let block = ReportBlock {
        ssrc: Ssrc(7),
        fraction_lost: 250,
        cumulative_lost: -3,
        highest_sequence: 0x0002_ffff,
        jitter: 99,
        last_sender_report: 0x1234_5678,
        delay_since_last_sender_report: 65_536,
    };
    write_sender_report(&mut out, Ssrc(1), 0x0123_4567_89ab_cdef, 3_000_000_000, 5, 6);
    write_sdes_cname(&mut out, Ssrc(1), "cname");
    write_receiver_report(&mut out, Ssrc(2), &[block; 2]);
    write_nack(&mut out, Ssrc(2), Ssrc(3), &[65_530, 65_535, 0, 16, 40]);
    write_pli(&mut out, Ssrc(2), Ssrc(4));
    write_fir(&mut out, Ssrc(2), Ssrc(5), 9);
    assert_eq!(out.len() % 4, 0);

    let (result, told) = read(&out);
    assert_eq!(result, Ok(()));
    let nack = told.iter().find_map(|said| match said {
        Rtcp::Nack { media_ssrc: Ssrc(3), sequences } => Some(sequences.clone().collect()),
        _ => None,
    });
    assert_eq!(nack, Some(vec![65_530, 65_535, 0, 16, 40]));
    assert_eq!(
        told[0],
        Rtcp::SenderReport { ssrc: Ssrc(1), ntp: 0x0123_4567_89ab_cdef, rtp_time: 3_000_000_000 }
    );
    assert_eq!(told[1..4], [Rtcp::Other, Rtcp::ReceiverReport(block), Rtcp::ReceiverReport(block)]);
    assert_eq!(told[5..], [Rtcp::Pli { media_ssrc: Ssrc(4) }, Rtcp::Fir { media_ssrc: Ssrc(5) }]);
}

#[test]
fn a_cname_of_any_length_is_one_null_terminated_item() {
    for length in (0..10).chain([254, 255, 256, 1000]) {
        let mut out = vec![];
        let name = "n".repeat(length);
        write_sdes_cname(&mut out, Ssrc(0x0102_0304), &name);
        let kept = length.min(255);
        // RFC 3550 §6.5: header, source, item, and one to four null octets.
        assert_eq!(out[..10], [0x81, 202, 0, (out.len() / 4 - 1) as u8, 1, 2, 3, 4, 1, kept as u8]);
        assert_eq!(out[10..10 + kept], name.as_bytes()[..kept]);
        assert!((1..=4).contains(&(out.len() - 10 - kept)), "{length}");
        assert!(out[10 + kept..].iter().all(|&byte| byte == 0), "{length}: {out:?}");
        let parsed = SourceDescription::unmarshal(&mut &out[..]).unwrap();
        assert_eq!(parsed.chunks[0].items[0].text.len(), kept);
    }
}

#[test]
fn long_lists_become_several_packets() {
    let block = |ssrc| ReportBlock {
        ssrc: Ssrc(ssrc),
        fraction_lost: 0,
        cumulative_lost: -0x80_0000,
        highest_sequence: 0,
        jitter: 0,
        last_sender_report: 0,
        delay_since_last_sender_report: 0,
    };
    for count in [0, 1, 31, 32, 70] {
        let mut out = vec![];
        let blocks: Vec<_> = (0..count).map(block).collect();
        write_receiver_report(&mut out, Ssrc(1), &blocks);
        let packets = blocks.len().div_ceil(31).max(1);
        assert_eq!(out.len(), 8 * packets + 24 * blocks.len(), "{count} blocks");
        let want: Vec<_> = blocks.into_iter().map(Rtcp::ReceiverReport).collect();
        assert_eq!(read(&out), (Ok(()), want), "{count} blocks");
    }
    let sequences: Vec<u16> = (0..600).map(|n| n * 100).collect();
    let mut out = vec![];
    write_nack(&mut out, Ssrc(1), Ssrc(2), &sequences);
    let mut asked = vec![];
    parse(&out, &mut |said| match said {
        Rtcp::Nack { sequences, .. } => asked.extend(sequences),
        other => panic!("{other:?}"),
    })
    .unwrap();
    assert_eq!(asked, sequences);
    out.clear();
    write_nack(&mut out, Ssrc(1), Ssrc(2), &[]);
    assert!(out.is_empty());
}

#[test]
fn counts_must_fit_what_is_there() {
    // Name, packet type, body, and for which counts it holds together.
    type Case = (&'static str, u8, &'static [u8], fn(u8) -> bool);
    let table: [Case; 6] = [
        ("SR of one block", 200, &[0; 48], |count| count <= 1),
        ("RR of two blocks", 201, &[0; 52], |count| count <= 2),
        ("RR without a sender", 201, &[], |_| false),
        ("BYE of three, no reason", 203, &[0; 12], |count| count <= 3),
        ("SDES is not looked into", 202, &[9; 8], |_| true),
        ("XR with a wild length", 207, &[4, 0, 0xff, 0xff], |_| true),
    ];
    for (name, packet_type, body, holds) in table {
        for count in 0..32 {
            let data = block(count, packet_type, body);
            let (result, told) = read(&data);
            assert_eq!(result.is_ok(), holds(count), "{name}, {count}");
            assert!(
                result.is_ok() || told.is_empty(),
                "{name}, {count}: a bad block told {told:?}"
            );
        }
    }
}

#[test]
fn the_reason_of_a_bye_must_fit() {
    let bye = |length| block(1, 203, &[0, 0, 0, 5, length, b'b', b'y', b'e']);
    assert_eq!(read(&bye(3)), (Ok(()), vec![Rtcp::Bye { ssrc: Ssrc(5) }]));
    assert_eq!(read(&bye(4)), (Err(DropReason::RtcpMalformed), vec![]));
    assert_eq!(read(&bye(255)), (Err(DropReason::RtcpMalformed), vec![]));
}

#[test]
fn feedback_needs_its_control_information() {
    // Name, format, packet type, bytes behind the two SSRCs, and whether it holds together.
    let table: [(&str, u8, u8, &[u8], bool); 15] = [
        ("NACK without entry", 1, 205, &[], false),
        ("NACK", 1, 205, &[0; 4], true),
        ("TWCC without chunk", 15, 205, &[0; 8], false),
        ("TWCC", 15, 205, &[0; 12], true),
        ("RFC 8888, nothing but its time", 11, 205, &[], true),
        ("another transport feedback", 3, 205, &[], true),
        ("PLI", 1, 206, &[], true),
        ("FIR without entry", 4, 206, &[], false),
        ("FIR with half an entry", 4, 206, &[0; 12], false),
        ("FIR with two", 4, 206, &[0; 16], true),
        ("REMB without rate", 15, 206, b"REMB", false),
        ("REMB with 255 of 1 source", 15, 206, b"REMB\xff\0\0\0abcd", false),
        ("REMB with 1 of 1 source", 15, 206, b"REMB\x01\0\0\0abcd", true),
        ("another application's", 15, 206, b"TEST", true),
        ("SLI", 2, 206, &[0; 4], true),
    ];
    for (name, format, packet_type, control, holds) in table {
        let body = [&[0; 8], control].concat();
        assert_eq!(read(&block(format, packet_type, &body)).0.is_ok(), holds, "{name}");
        let short = block(format, packet_type, &[0; 4]);
        assert_eq!(read(&short), (Err(DropReason::RtcpMalformed), vec![]), "{name}, without SSRCs");
    }
}

#[test]
fn congestion_control_feedback_is_handed_on_as_a_whole() {
    let data = block(11, 205, &[1; 20]);
    assert_eq!(read(&data), (Ok(()), vec![Rtcp::Ccfb(&data)]));
}

#[test]
fn a_remb_beyond_64_bits_is_their_maximum() {
    let table: [([u8; 3], u64); 6] = [
        ([0, 0, 0], 0),
        ([0b11, 0xff, 0xff], 0x3_ffff),
        ([0b101, 0, 1], 0x1_0001 * 2),
        ([46 << 2 | 3, 0xff, 0xff], 0x3_ffff << 46),
        ([47 << 2 | 3, 0xff, 0xff], u64::MAX),
        ([63 << 2 | 3, 0xff, 0xff], u64::MAX),
    ];
    for (rate, bitrate_bps) in table {
        let body = [&[0; 8], &b"REMB\0"[..], &rate].concat();
        assert_eq!(read(&block(15, 206, &body)), (Ok(()), vec![Rtcp::Remb { bitrate_bps }]));
    }
}

#[test]
fn padding_is_taken_off_or_refused() {
    let table = [(0, false), (1, true), (4, true), (12, true), (13, false), (255, false)];
    for (padding, holds) in table {
        let mut data = block(1, 203, &[0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, padding]);
        data[0] |= 0x20;
        // With all twelve bytes gone the source is gone too.
        let want = holds && padding < 12;
        assert_eq!(read(&data).0.is_ok(), want, "{padding}");
    }
    let mut empty = block(0, 203, &[]);
    empty[0] |= 0x20;
    assert_eq!(read(&empty).0, Err(DropReason::RtcpMalformed));
}

#[test]
fn blocks_before_a_bad_one_act() {
    let mut data = vec![];
    write_pli(&mut data, Ssrc(1), Ssrc(2));
    let good = data.len();
    write_nack(&mut data, Ssrc(1), Ssrc(2), &[5, 6]);
    write_pli(&mut data, Ssrc(1), Ssrc(3));
    let (_, whole) = read(&data);
    for bytes in 0..data.len() {
        let (result, told) = read(&data[..bytes]);
        let boundary = [good, good + 16].contains(&bytes);
        assert_eq!(result.is_ok(), boundary, "{bytes} bytes");
        assert_eq!(told[..], whole[..told.len()], "{bytes} bytes");
        assert_eq!(told.len(), usize::from(bytes >= good) + usize::from(bytes >= good + 16));
    }
    for wrong in [0x00, 0x40, 0xc0] {
        let mut other_version = data.clone();
        other_version[good] = wrong | 1;
        assert_eq!(read(&other_version), (Err(DropReason::RtcpMalformed), whole[..1].to_vec()));
    }
    let mut long = data.clone();
    long[good + 2..good + 4].copy_from_slice(&[0xff, 0xff]);
    assert_eq!(read(&long), (Err(DropReason::RtcpMalformed), whole[..1].to_vec()));
}

proptest! {
    #[test]
    fn hostile_bytes_are_parsed_or_refused(
        blocks in vec((0..32u8, 198..=208u8, -1..=1i32, any::<bool>(), vec(any::<u8>(), 0..60)), 1..5),
        remb: bool,
    ) {
        let mut data = vec![];
        for (count, packet_type, lie, padded, mut body) in blocks {
            body.resize(body.len().next_multiple_of(4), 1);
            if let (true, Some(name)) = (remb, body.get_mut(8..12)) {
                name.copy_from_slice(b"REMB");
            }
            let at = data.len();
            data.extend(block(count, packet_type, &body));
            let words = (body.len() as i32 / 4 + lie) as u16;
            data[at + 2..at + 4].copy_from_slice(&words.to_be_bytes());
            data[at] |= u8::from(padded) << 5;
        }
        let (_, whole) = read(&data);
        for bytes in 0..=data.len() {
            let (_, told) = read(&data[..bytes]);
            prop_assert_eq!(&told[..], &whole[..told.len()]);
            let mut asked = 0;
            for said in told {
                if let Rtcp::Nack { sequences, .. } = said {
                    asked += sequences.count();
                }
            }
            prop_assert!(asked <= bytes / 4 * 17);
        }
    }

    #[test]
    fn nack_entries_are_read_like_the_rtcp_crate_does(entries in vec(any::<[u8; 4]>(), 1..30)) {
        let data = block(1, 205, &[&[0; 8], entries.as_flattened()].concat());
        let theirs = ::rtcp::transport_feedbacks::transport_layer_nack::TransportLayerNack::unmarshal(
            &mut &data[..],
        ).unwrap();
        let theirs: Vec<u16> = theirs.nacks.into_iter().flatten().collect();
        let (_, told) = read(&data);
        let [Rtcp::Nack { sequences, .. }] = &told[..] else { panic!("{told:?}") };
        prop_assert_eq!(sequences.clone().collect::<Vec<_>>(), theirs);
    }

    #[test]
    fn any_nack_list_comes_through(mut sequences in vec(any::<u16>(), 0..300)) {
        let mut out = vec![];
        write_nack(&mut out, Ssrc(1), Ssrc(2), &sequences);
        let mut asked = vec![];
        if !out.is_empty() {
            parse(&out, &mut |said| {
                if let Rtcp::Nack { sequences, .. } = said { asked.extend(sequences) }
            }).unwrap();
        }
        asked.sort_unstable();
        asked.dedup();
        sequences.sort_unstable();
        sequences.dedup();
        prop_assert_eq!(asked, sequences);
    }

    #[test]
    fn reports_are_read_like_the_rtcp_crate_does(body in vec(any::<u8>(), 24 + 72), count in 0..4u8) {
        let data = block(count, 200, &body);
        let theirs = ::rtcp::sender_report::SenderReport::unmarshal(&mut &data[..]).unwrap();
        let (result, told) = read(&data);
        prop_assert_eq!(result, Ok(()));
        prop_assert_eq!(&told[0], &Rtcp::SenderReport {
            ssrc: Ssrc(theirs.ssrc), ntp: theirs.ntp_time, rtp_time: theirs.rtp_time,
        });
        prop_assert_eq!(told.len(), 1 + theirs.reports.len());
        for (ours, theirs) in told[1..].iter().zip(theirs.reports) {
            let Rtcp::ReceiverReport(ours) = ours else { panic!("{ours:?}") };
            let mut written = Vec::new();
            write_receiver_report(&mut written, Ssrc(1), std::slice::from_ref(ours));
            let again = ::rtcp::receiver_report::ReceiverReport::unmarshal(&mut &written[..]).unwrap();
            prop_assert_eq!(&again.reports, &[theirs]);
            prop_assert!((-0x80_0000..0x80_0000).contains(&ours.cumulative_lost));
        }
    }

    #[test]
    fn remb_and_bye_of_the_rtcp_crate_are_read(
        bitrate in 0..u64::MAX >> 1, ssrcs in vec(any::<u32>(), 0..20), reason in "[a-z]{0,40}",
    ) {
        let remb = ReceiverEstimatedMaximumBitrate {
            sender_ssrc: 1, bitrate: bitrate as f32, ssrcs: ssrcs.clone(),
        };
        let remb = remb.marshal().unwrap();
        let (_, told) = read(&remb);
        let [Rtcp::Remb { bitrate_bps }] = told[..] else { panic!("{told:?}") };
        // 18 bits of mantissa.
        prop_assert!(bitrate_bps.abs_diff(bitrate) <= bitrate >> 16);

        let bye = Goodbye { sources: ssrcs.clone(), reason: reason.into() }.marshal().unwrap();
        let want: Vec<_> = ssrcs.into_iter().map(|ssrc| Rtcp::Bye { ssrc: Ssrc(ssrc) }).collect();
        prop_assert_eq!(read(&bye), (Ok(()), want));
    }
}

fn read(data: &[u8]) -> (Result<(), DropReason>, Vec<Rtcp<'_>>) {
    let mut told = vec![];
    let result = parse(data, &mut |said| told.push(said));
    (result, told)
}

/// One RTCP packet with a right length.
fn block(count: u8, packet_type: u8, body: &[u8]) -> Vec<u8> {
    let words = (body.len() / 4) as u16;
    [&[0x80 | count, packet_type], &words.to_be_bytes()[..], body].concat()
}
