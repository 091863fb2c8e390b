use interceptor::convert_twcc;
use proptest::prelude::*;
use rtcp::transport_feedbacks::transport_layer_cc::TransportLayerCc;
use shared::marshal::Unmarshal;

use super::*;

/// A block with these chunks and deltas, padded to a word.
fn block(base: u16, count: u16, reference: u32, chunks: &[u16], deltas: &[u8]) -> Vec<u8> {
    let mut body = vec![0; 8];
    body.extend(base.to_be_bytes());
    body.extend(count.to_be_bytes());
    body.extend((reference << 8 | 9).to_be_bytes());
    body.extend(chunks.iter().flat_map(|chunk| chunk.to_be_bytes()));
    body.extend(deltas);
    body.resize(body.len().next_multiple_of(4), 0);
    let mut block = vec![0x8f, 205];
    block.extend(((body.len() / 4) as u16).to_be_bytes());
    block.extend(body);
    block
}

/// Every packet by its distance from the base: `None` if it did not arrive, else ticks.
type Ticks = Vec<Option<i64>>;

fn read(reader: &mut TwccReader, block: &[u8]) -> Option<Ticks> {
    let report = reader.read(block)?;
    let mut packets = vec![];
    report.statuses(|offset, status| {
        assert_eq!(usize::from(offset), packets.len());
        match status {
            TwccStatus::Lost(times) => packets.extend(vec![None; usize::from(times)]),
            TwccStatus::Arrived(at) => {
                let micros = at.as_micros() as i64 - CLOCK_BASE_US as i64;
                packets.push(Some(micros / MICROSECONDS_PER_TICK));
            }
        }
    });
    Some(packets)
}

#[test]
fn chunks_are_read_as_the_draft_says() {
    type Row<'a> = (&'a str, u16, &'a [u16], &'a [u8], Option<Ticks>);
    let table: [Row<'_>; 12] = [
        ("nothing", 0, &[], &[], Some(vec![])),
        ("a run lost", 3, &[0x0003], &[], Some(vec![None; 3])),
        ("a run arrived", 3, &[0x2003], &[4, 0, 255], Some(vec![Some(4), Some(4), Some(259)])),
        ("large deltas", 2, &[0x4002], &[0xff, 0xfe, 1, 0], Some(vec![Some(-2), Some(254)])),
        ("one bit each", 3, &[0x8000 | 0b101 << 11], &[1, 2], Some(vec![Some(1), None, Some(3)])),
        (
            "two bits each",
            3,
            &[0xc000 | 0b01_00_10 << 8],
            &[1, 0, 2],
            Some(vec![Some(1), None, Some(3)]),
        ),
        ("the reserved symbol", 2, &[0xc000 | 0b11_01 << 10], &[1], Some(vec![None, Some(1)])),
        ("runs of none in between", 1, &[0x2000, 0x0000, 0x2001], &[7], Some(vec![Some(7)])),
        ("fewer chunks than packets", 9, &[0x2002], &[1, 1], None),
        ("fewer deltas than packets", 7, &[0x2007], &[1, 1, 1, 1], None),
        ("half a delta", 2, &[0x4002, 0], &[], None),
        ("no chunk", 1, &[], &[], None),
    ];
    for (name, count, chunks, deltas, expected) in table {
        let block = block(65_535, count, 0, chunks, deltas);
        assert_eq!(read(&mut TwccReader::default(), &block), expected, "{name}");
    }
}

#[test]
fn the_reference_time_goes_on_over_its_turns() {
    let mut reader = TwccReader::default();
    let mut arrival = |reference: u32| {
        read(&mut reader, &block(0, 1, reference & 0xff_ffff, &[0x2001], &[0])).unwrap()[0].unwrap()
    };
    let first = arrival(0xff_fff0);
    assert_eq!(first, 0xff_fff0 * 256);
    assert_eq!(arrival(0x100_0010) - first, 0x20 * 256);
    assert_eq!(arrival(0xff_ffff) - first, 0xf * 256, "overtaken");
    assert_eq!(arrival(0x17f_0000) - first, (0x17f_0000 - 0xff_fff0) * 256);
    assert_eq!(arrival(0x1fe_0001) - first, (0x1fe_0001 - 0xff_fff0) * 256);
}

#[test]
fn a_broken_block_moves_nothing() {
    let mut reader = TwccReader::default();
    read(&mut reader, &block(0, 1, 0x10, &[0x2001], &[0])).unwrap();
    let good = block(0, 2, 0x50_0000, &[0x2002], &[1, 1]);
    for bytes in 0..good.len() {
        assert!(reader.read(&good[..bytes]).is_none(), "{bytes}");
    }
    assert_eq!(reader.reference, Some(0x10));
}

#[test]
fn padding_is_not_deltas() {
    let mut padded = block(0, 2, 0, &[0x2002], &[1]);
    padded[0] |= 0x20;
    *padded.last_mut().unwrap() = 1;
    assert!(TwccReader::default().read(&padded).is_none());
    let mut padded = block(0, 1, 0, &[0x2001], &[1]);
    padded[0] |= 0x20;
    *padded.last_mut().unwrap() = 1;
    assert_eq!(read(&mut TwccReader::default(), &padded), Some(vec![Some(1)]));
    *padded.last_mut().unwrap() = 200;
    assert!(TwccReader::default().read(&padded).is_none());
}

proptest! {
    #[test]
    fn hostile_bytes_are_read_or_refused(body in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut body = body;
        body.resize(body.len().next_multiple_of(4), 0);
        let mut data = vec![0x8f, 205];
        data.extend(((body.len() / 4) as u16).to_be_bytes());
        data.extend(&body);
        if let Some(report) = TwccReader::default().read(&data) {
            let (mut packets, mut calls) = (0u32, 0);
            report.statuses(|_, status| {
                calls += 1;
                packets += match status {
                    TwccStatus::Lost(times) => u32::from(times),
                    TwccStatus::Arrived(_) => 1,
                };
            });
            prop_assert_eq!(packets, u32::from(report.count));
            // The work is bounded by the bytes, not by the count.
            prop_assert!(calls <= 7 * data.len());
        }
    }

    /// Messages of our own recorder, read by us and by the interceptor crate.
    #[test]
    fn reads_what_the_interceptor_crate_reads(
        gaps in proptest::collection::vec((1..4u16, 0..90_000u64), 1..300),
        start: u16,
    ) {
        let mut now = crate::bandwidth::tests::origin();
        let mut recorder = crate::publish::twcc::TwccRecorder::default();
        let mut sequence = start;
        for (step, micros) in gaps {
            sequence = sequence.wrapping_add(step);
            now += Duration::from_micros(micros);
            recorder.on_packet(now, sequence);
        }
        let mut reader = TwccReader::default();
        let mut block = vec![];
        while recorder.build(now, crate::id::Ssrc(1), crate::id::Ssrc(2), &mut block) {
            let theirs = TransportLayerCc::unmarshal(&mut &block[..]).unwrap();
            let theirs = convert_twcc(&theirs);
            let base = reader.read(&block).unwrap().base;
            let ours = read(&mut reader, &block).unwrap();
            let theirs: Vec<_> = theirs
                .iter()
                .map(|ack| (ack.sequence_number, ack.arrival.map(|at| at.as_micros() as i64 / 250)))
                .collect();
            let ours: Vec<_> = (0u16..)
                .zip(ours)
                .map(|(offset, ticks)| (base.wrapping_add(offset), ticks))
                .collect();
            for (ours, theirs) in ours.iter().zip(&theirs) {
                prop_assert_eq!(ours, theirs);
            }
            // They read a last vector to its end.
            prop_assert!(theirs[ours.len()..].iter().all(|(_, ticks)| ticks.is_none()));
            block.clear();
        }
    }
}
