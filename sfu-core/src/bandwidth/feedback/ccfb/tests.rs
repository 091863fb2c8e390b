use proptest::prelude::*;
use rtcp::transport_feedbacks::cc_feedback_report::{
    CcFeedbackMetricBlock, CcFeedbackReport, CcFeedbackReportBlock,
};
use shared::marshal::Marshal;

use super::*;

fn metric(received: bool, ecn: Ecn, arrival_time_offset: u16) -> CcFeedbackMetricBlock {
    CcFeedbackMetricBlock { received, ecn, arrival_time_offset }
}

/// A block as the rtcp crate writes it.
fn block(timestamp: u32, sources: &[(u32, u16, &[CcFeedbackMetricBlock])]) -> Vec<u8> {
    let report = CcFeedbackReport {
        sender_ssrc: 1,
        report_blocks: sources
            .iter()
            .map(|&(media_ssrc, begin_sequence, metrics)| CcFeedbackReportBlock {
                media_ssrc,
                begin_sequence,
                metric_blocks: metrics.to_vec(),
            })
            .collect(),
        report_timestamp: timestamp,
    };
    report.marshal().unwrap().to_vec()
}

fn read(reader: &mut CcfbReader, block: &[u8]) -> Option<Vec<Metric>> {
    let report = reader.read(block)?;
    let mut metrics = vec![];
    report.metrics(|metric| metrics.push(metric));
    Some(metrics)
}

#[test]
fn arrivals_are_on_one_clock_from_report_to_report() {
    let mut reader = CcfbReader::default();
    // 64 s before a turn of the timestamp; the second report comes 100 s later.
    let start = 0xffff_ffff - 64 * 65_536 + 1;
    let both = [metric(true, Ecn::NotEct, 1024), metric(true, Ecn::Ce, 512)];
    let first = read(&mut reader, &block(start, &[(7, 65_535, &both)])).unwrap();
    let later = start.wrapping_add(100 * 65_536);
    let second = read(&mut reader, &block(later, &[(7, 1, &both[..1])])).unwrap();
    let before = read(&mut reader, &block(later - 65_536, &[(7, 0, &both[..1])])).unwrap();
    let base = Duration::from_micros(CLOCK_BASE_US);
    let arrivals = [first[0], first[1], second[0], before[0]].map(|metric| metric.arrival.unwrap());
    assert_eq!(arrivals[0], base - Duration::from_secs(1));
    assert_eq!(arrivals[1], base - Duration::from_millis(500));
    assert_eq!(arrivals[2], base + Duration::from_secs(99));
    assert_eq!(arrivals[3], base + Duration::from_secs(98));
    assert_eq!((first[0].sequence, first[1].sequence), (65_535, 0));
    assert_eq!((first[0].ecn, first[1].ecn), (Ecn::NotEct, Ecn::Ce));
}

#[test]
fn what_did_not_arrive_or_nobody_knows_when() {
    let metrics = [
        metric(false, Ecn::NotEct, 0),
        metric(true, Ecn::Ect1, 0x1ffe),
        metric(true, Ecn::Ect0, 0x1fff),
        metric(true, Ecn::Ect0, 0x1ffd),
    ];
    let read = read(&mut CcfbReader::default(), &block(0, &[(7, 1, &metrics)])).unwrap();
    let seen: Vec<_> = read.iter().map(|m| (m.arrived, m.arrival.is_some())).collect();
    assert_eq!(seen, [(false, false), (true, false), (true, false), (true, true)]);
}

#[test]
fn sources_follow_each_other_with_padding() {
    let one = [metric(true, Ecn::NotEct, 1)];
    let sources: [(u32, u16, &[_]); 3] = [(7, 5, &one), (8, 9, &[]), (9, 1, &one)];
    let read = read(&mut CcfbReader::default(), &block(0, &sources)).unwrap();
    let seen: Vec<_> = read.iter().map(|metric| (metric.ssrc.0, metric.sequence)).collect();
    assert_eq!(seen, [(7, 5), (9, 1)]);
}

#[test]
fn counts_beyond_the_bytes_or_the_rfc_are_refused() {
    let good = block(9, &[(7, 5, &[metric(true, Ecn::NotEct, 1); 4])]);
    assert!(CcfbReader::default().read(&good).is_some());
    for bytes in 0..good.len() {
        assert!(CcfbReader::default().read(&good[..bytes]).is_none());
    }
    for count in [5u16, 7, 16_385, 65_535] {
        let mut lying = good.clone();
        lying[14..16].copy_from_slice(&count.to_be_bytes());
        let mut reader = CcfbReader::default();
        assert!(reader.read(&lying).is_none(), "{count}");
        assert_eq!(reader.start, None);
    }
}

proptest! {
    #[test]
    fn hostile_bytes_are_read_or_refused(body in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut body = body;
        body.resize(body.len().next_multiple_of(4), 0);
        // A count that may be true, in most cases.
        if let Some(count) = body.get_mut(10..12) {
            count[0] = 0;
        }
        let mut data = vec![0x8b, 205];
        data.extend(((body.len() / 4) as u16).to_be_bytes());
        data.extend(&body);
        if let Some(metrics) = read(&mut CcfbReader::default(), &data) {
            prop_assert!(2 * metrics.len() <= data.len());
        }
    }

    #[test]
    fn reads_what_the_rtcp_crate_writes(
        sources in proptest::collection::vec(
            (any::<u32>(), any::<u16>(), proptest::collection::vec((any::<bool>(), 0..0x1ffeu16), 0..40)),
            0..5,
        ),
        timestamp: u32,
    ) {
        let metrics: Vec<Vec<_>> = sources
            .iter()
            .map(|(.., list)| {
                let metric = |&(received, offset): &(bool, u16)| metric(received, Ecn::NotEct, offset);
                list.iter().map(metric).collect()
            })
            .collect();
        let listed: Vec<_> = sources
            .iter()
            .zip(&metrics)
            .map(|((ssrc, begin, _), metrics)| (*ssrc, *begin, &metrics[..]))
            .collect();
        let seen = read(&mut CcfbReader::default(), &block(timestamp, &listed)).unwrap();
        let mut seen = seen.iter();
        for (ssrc, begin, metrics) in listed {
            for (sequence, metric) in (0u16..).map(|n| begin.wrapping_add(n)).zip(metrics) {
                let ours = seen.next().unwrap();
                prop_assert_eq!((ours.ssrc.0, ours.sequence, ours.arrived), (ssrc, sequence, metric.received));
                if metric.received {
                    let back = CLOCK_BASE_US - ours.arrival.unwrap().as_micros() as u64;
                    prop_assert_eq!(back, u64::from(metric.arrival_time_offset) * 1_000_000 / 1024);
                }
            }
        }
        prop_assert_eq!(seen.next(), None);
    }
}
