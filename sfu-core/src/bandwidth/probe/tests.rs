use super::*;
use crate::bandwidth::tests::origin;
use crate::decision::ProbeReason;

const PACKET: usize = 600;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn probe(bitrate_bps: u64) -> Probe {
    Probe {
        id: ProbeId(3),
        bitrate_bps,
        duration: Duration::from_millis(15),
        packets_min: 5,
        why: ProbeReason::Start,
    }
}

/// Sends as many packets as asked, `sent_us` apart; those of `lost` do not arrive, the others do
/// `arrived_us` apart.
fn run(bitrate_bps: u64, sent_us: u64, arrived_us: u64, lost: &[u64], inherent: f64) -> Probed {
    let now = origin();
    let mut clusters = Clusters::default();
    clusters.on_issued(now, probe(bitrate_bps));
    let packets = (bitrate_bps * 15 / 8000).div_ceil(PACKET as u64).max(5);
    for _ in 0..packets {
        assert_eq!(clusters.poll(now, inherent), None);
        clusters.on_sent(ProbeId(3), PACKET);
    }
    for n in 0..packets {
        assert_eq!(clusters.poll(now, inherent), None, "{n} of {packets}");
        if lost.contains(&n) {
            clusters.on_lost(ProbeId(3));
            continue;
        }
        let times = Times {
            departure: Duration::from_micros(n * sent_us),
            arrival: Duration::from_micros(50_000 + n * arrived_us),
        };
        clusters.on_arrived(ProbeId(3), times, PACKET);
    }
    let probed = clusters.poll(now, inherent).expect("everything is known of it");
    assert!(clusters.is_empty());
    probed
}

#[test]
fn the_lesser_of_both_rates_counts() {
    // 600 bytes in 2 ms are 2.4 Mbit/s; packets asked for: 8.
    type Shown = Option<(u64, bool)>;
    let table: [(u64, u64, &[u64], f64, Shown); 9] = [
        (2000, 2000, &[], 0.0, Some((2_400_000, false))),
        (2000, 1900, &[], 0.0, Some((2_400_000, false))),
        (2000, 2100, &[], 0.0, Some((2_285_714, false))),
        (2000, 4000, &[], 0.0, Some((1_140_000, true))),
        (2000, 900, &[], 0.0, None),
        (2000, 0, &[], 0.0, None),
        (0, 2000, &[], 0.0, None),
        (2000, 2000, &[3, 5], 0.0, None),
        (2000, 2000, &[3, 5], 0.2, Some((1_714_285, false))),
    ];
    for (sent_us, arrived_us, lost, inherent, expected) in table {
        let probed = run(2_400_000, sent_us, arrived_us, lost, inherent);
        let seen = probed.bitrate_bps.map(|bps| (bps, probed.is_saturated));
        assert_eq!(seen, expected, "{sent_us} {arrived_us} {lost:?}");
    }
}

#[test]
fn few_packets_or_a_long_time_show_nothing() {
    assert_eq!(run(100_000, 2000, 2000, &[0, 1], 0.5).bitrate_bps, None);
    assert_eq!(run(2_400_000, 150_000, 150_000, &[], 0.0).bitrate_bps, None);
}

/// 8 packets of 600 bytes sent 2 ms apart, that arrive at these times, in ms.
fn arrive(arrivals_ms: [u64; 8]) -> Probed {
    let now = origin();
    let mut clusters = Clusters::default();
    clusters.on_issued(now, probe(2_400_000));
    arrivals_ms.iter().for_each(|_| clusters.on_sent(ProbeId(3), PACKET));
    for (n, at) in (0u64..).zip(arrivals_ms) {
        let departure = Duration::from_millis(2 * n);
        clusters.on_arrived(ProbeId(3), Times { departure, arrival: ms(50 + at) }, PACKET);
    }
    clusters.poll(now, 0.0).unwrap()
}

#[test]
fn one_that_a_single_gap_has_torn_shows_nothing_and_says_so() {
    for (arrivals, shown) in [
        // As sent; behind a slow link; read after a while, twice.
        ([0, 2, 4, 6, 8, 10, 12, 14], Some((2_400_000, false))),
        ([0, 4, 8, 12, 16, 20, 24, 28], Some((1_140_000, true))),
        ([0, 2, 4, 30, 30, 30, 30, 30], None),
        ([0, 25, 26, 27, 28, 29, 30, 31], None),
        // A longer one among others does not.
        ([0, 2, 4, 6, 8, 16, 18, 20], Some((1_596_000, true))),
    ] {
        let probed = arrive(arrivals);
        let seen = probed.bitrate_bps.map(|bps| (bps, probed.is_saturated));
        assert_eq!((seen, probed.was_disturbed), (shown, shown.is_none()), "{arrivals:?}");
    }
    // Nothing that was lost was disturbed.
    assert!(!run(2_400_000, 2000, 2000, &[3, 5], 0.0).was_disturbed);
}

#[test]
fn what_is_not_heard_of_is_given_up() {
    let now = origin();
    let mut clusters = Clusters::default();
    clusters.on_issued(now, probe(1_000_000));
    clusters.on_sent(ProbeId(3), PACKET);
    assert_eq!(clusters.next_timeout(), Some(now + AGE_MAX));
    assert_eq!(clusters.poll(now + AGE_MAX - Duration::from_millis(1), 0.0), None);
    assert_eq!(clusters.poll(now + AGE_MAX, 0.0).unwrap().bitrate_bps, None);
    assert_eq!(clusters.next_timeout(), None);
}

#[test]
fn the_oldest_of_too_many_goes_and_unknown_ones_are_ignored() {
    let now = origin();
    let mut clusters = Clusters::default();
    for id in 0..=limits::PROBES_MAX as u32 {
        clusters.on_issued(now, Probe { id: ProbeId(id), ..probe(1_000_000) });
    }
    assert_eq!(clusters.clusters.len(), limits::PROBES_MAX);
    assert_eq!(clusters.clusters[0].probe.id, ProbeId(1));
    clusters.on_sent(ProbeId(0), PACKET);
    clusters.on_lost(ProbeId(99));
}
