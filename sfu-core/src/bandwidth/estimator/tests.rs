use proptest::prelude::*;
use rtcp::transport_feedbacks::cc_feedback_report::Ecn;

use super::*;
use crate::bandwidth::tests::origin;

const CONFIG: BandwidthConfig =
    BandwidthConfig { start_bps: 300_000, min_bps: 30_000, max_bps: 20_000_000 };

fn report(id: u64, departure: Instant, arrival: Option<Duration>, size: usize) -> PacketReport {
    PacketReport {
        ssrc: 1,
        id,
        rtp_sequence_number: id as u16,
        is_twcc: true,
        twcc_sequence_number: id as u16,
        size,
        arrived: arrival.is_some(),
        departure,
        arrival,
        ecn: Ecn::NotEct,
    }
}

/// Sends packets of 1250 bytes 10 ms apart (1 Mbit/s) that are on the way for as long as `way_ms`
/// says, and reports five at a time.
fn send(
    estimator: &mut Estimator,
    start: Instant,
    from: u64,
    to: u64,
    way_ms: impl Fn(u64) -> u64,
) {
    for batch in from / 5..to / 5 {
        let reports: Vec<_> = (5 * batch..5 * batch + 5)
            .map(|n| {
                let arrival = Duration::from_millis(1_000_000 + 10 * n + way_ms(n));
                report(n, start + Duration::from_millis(10 * n), Some(arrival), 1250)
            })
            .collect();
        let heard = start + Duration::from_millis(10 * (5 * batch + 5) + 100);
        estimator.on_reports(heard, &reports);
    }
}

#[test]
fn a_quiet_path_lets_it_grow_and_a_growing_queue_does_not() {
    let start = origin();
    let mut estimator = Estimator::new(start, CONFIG);
    assert_eq!(estimator.limited_by(), LimitedBy::Start);
    send(&mut estimator, start, 0, 1000, |_| 50);
    let grown = estimator.target_bps();
    // What arrives at once, and then up to half more than that.
    assert!((1_000_000..=1_510_000).contains(&grown), "{grown}");
    assert_eq!(estimator.limited_by(), LimitedBy::Delay);
    assert_eq!(estimator.acked_bps(), Some(1_000_000));
    assert_eq!(estimator.measured_rtt(), Some(Duration::from_millis(110)));

    estimator.on_probed(start, 1_600_000, false);
    assert_eq!(estimator.target_bps(), 1_600_000);
    // A tenth more each time: 900 kbit/s arrive.
    send(&mut estimator, start, 1000, 1100, |n| 50 + (n - 1000) * 10 / 9);
    assert!(estimator.target_bps() < 900_000, "{}", estimator.target_bps());
    assert!(estimator.is_congested());
}

#[test]
fn the_receiver_s_own_estimate_is_a_cap_and_the_bounds_hold() {
    let start = origin();
    let mut estimator = Estimator::new(start, CONFIG);
    estimator.on_remb(100_000);
    assert_eq!((estimator.target_bps(), estimator.limited_by()), (100_000, LimitedBy::Remb));
    estimator.on_remb(0);
    assert_eq!((estimator.target_bps(), estimator.limited_by()), (30_000, LimitedBy::Bounds));
    estimator.on_remb(u64::MAX);
    assert_eq!(estimator.target_bps(), 300_000);
    estimator.on_probed(start, u64::MAX, false);
    assert_eq!((estimator.target_bps(), estimator.limited_by()), (20_000_000, LimitedBy::Bounds));
}

#[test]
fn silence_while_packets_are_under_way_is_borne_for_a_while_and_halves_it_then() {
    let start = origin();
    let mut estimator = Estimator::new(start, CONFIG);
    send(&mut estimator, start, 0, 1000, |_| 50);
    let before = estimator.target_bps();
    let heard = start + Duration::from_millis(10_100);
    estimator.set_waiting(None);
    assert_eq!(estimator.poll_timeout(), None, "nothing is under way");
    estimator.set_waiting(Some(heard));
    assert_eq!(estimator.poll_timeout(), Some(heard + QUIET_MIN));
    estimator.handle_timeout(heard + QUIET_MIN - Duration::from_millis(1));
    assert_eq!(estimator.target_bps(), before);

    estimator.handle_timeout(heard + QUIET_MIN);
    assert_eq!((estimator.target_bps(), estimator.is_dark()), (1_000_000, false), "what arrived");
    assert_eq!(estimator.limited_by(), LimitedBy::Outage);
    estimator.set_in_use(1_200_000);
    assert_eq!(estimator.target_bps(), 1_200_000, "what is in use goes on");
    let mut now = heard + QUIET_MIN + DARK_AFTER;
    for halvings in 1..4 {
        assert_eq!(estimator.poll_timeout(), Some(now));
        estimator.handle_timeout(now);
        assert_eq!((estimator.target_bps(), estimator.is_dark()), (before >> halvings, true));
        assert_eq!(estimator.limited_by(), LimitedBy::Outage);
        now += QUIET_MIN;
    }
    send(&mut estimator, start, 1400, 1405, |_| 50);
    // What surely arrived before, not what it had grown to beyond that.
    assert!((1_000_000..=before).contains(&estimator.target_bps()));
    assert!(!estimator.is_dark());
}

#[test]
fn who_was_only_busy_for_a_second_finds_everything_as_it_was() {
    let start = origin();
    let mut estimator = Estimator::new(start, CONFIG);
    send(&mut estimator, start, 0, 1000, |_| 50);
    let before = estimator.target_bps();
    let heard = start + Duration::from_millis(10_100);
    estimator.set_waiting(Some(heard));
    estimator.handle_timeout(heard + QUIET_MIN);
    // All of it comes at once, and the next as always.
    send(&mut estimator, start, 1000, 1105, |n| if n < 1100 { 50 + 10 * (1100 - n) } else { 50 });
    assert!(estimator.target_bps() >= before, "{} of {before}", estimator.target_bps());
}

#[test]
fn another_path_keeps_half_and_forgets_the_delay_of_the_old_one() {
    let start = origin();
    let mut estimator = Estimator::new(start, CONFIG);
    send(&mut estimator, start, 0, 1000, |_| 50);
    let before = estimator.target_bps();
    estimator.on_route_change();
    assert_eq!(estimator.target_bps(), before / 2);
    send(&mut estimator, start, 1000, 1200, |_| 400);
    assert!(estimator.target_bps() >= before / 2);
    assert_eq!(estimator.queue_delay(), Duration::ZERO);
}

#[test]
fn nothing_grows_while_little_is_sent() {
    let start = origin();
    let mut estimator = Estimator::new(start, CONFIG);
    estimator.set_application_limited(true);
    send(&mut estimator, start, 0, 3000, |_| 50);
    assert_eq!(estimator.target_bps(), 300_000);
}

#[test]
fn no_news_is_nothing_and_configurations_are_put_in_order() {
    let start = origin();
    let mut estimator = Estimator::new(start, CONFIG);
    estimator.on_reports(start, &[]);
    assert_eq!(estimator.limited_by(), LimitedBy::Start);
    let absurd = BandwidthConfig { start_bps: 0, min_bps: u64::MAX, max_bps: u64::MAX };
    assert_eq!(Estimator::new(start, absurd).target_bps(), limits::ESTIMATE_BPS_MAX);
    let none = BandwidthConfig { start_bps: 0, min_bps: 0, max_bps: 0 };
    assert_eq!(Estimator::new(start, none).target_bps(), 1);
}

/// What may happen to an estimator, with times and sizes of any kind.
#[derive(Clone, Debug)]
enum Happening {
    Reports(Vec<(u64, u64, Option<u64>, usize)>),
    Probed(u64, bool),
    Remb(u64),
    Route,
    Limited(bool),
    TakeBack(usize),
    Timeout,
}

fn happening() -> impl Strategy<Value = Happening> {
    let times = || prop_oneof![0..2_000_000u64, any::<u64>().prop_map(|n| n >> 2)];
    let report = (any::<u64>(), times(), prop::option::of(times()), 0..70_000usize);
    prop_oneof![
        6 => prop::collection::vec(report, 0..20).prop_map(Happening::Reports),
        1 => (any::<u64>(), any::<bool>()).prop_map(|(bps, full)| Happening::Probed(bps, full)),
        1 => any::<u64>().prop_map(Happening::Remb),
        1 => Just(Happening::Route),
        1 => any::<bool>().prop_map(Happening::Limited),
        1 => any::<usize>().prop_map(Happening::TakeBack),
        1 => Just(Happening::Timeout),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_the_target_stays_in_bounds(
        happenings in prop::collection::vec((happening(), 0..700u64), 1..120),
    ) {
        let start = origin();
        let mut estimator = Estimator::new(start, CONFIG);
        let mut now = start;
        for (happening, ms) in happenings {
            now += Duration::from_millis(ms);
            estimator.set_waiting(Some(now));
            match happening {
                Happening::Reports(reports) => {
                    let reports: Vec<_> = reports
                        .into_iter()
                        .map(|(id, departure, arrival, size)| {
                            let departure = start + Duration::from_micros(departure % (1 << 50));
                            report(id, departure, arrival.map(Duration::from_micros), size)
                        })
                        .collect();
                    estimator.on_reports(now, &reports);
                }
                Happening::Probed(bps, full) => estimator.on_probed(now, bps, full),
                Happening::Remb(bps) => estimator.on_remb(bps),
                Happening::Route => estimator.on_route_change(),
                Happening::Limited(is) => estimator.set_application_limited(is),
                Happening::TakeBack(bytes) => estimator.take_back_loss(bytes),
                Happening::Timeout => estimator.handle_timeout(now),
            }
            prop_assert!((CONFIG.min_bps..=CONFIG.max_bps).contains(&estimator.target_bps()));
            prop_assert!(estimator.target_bitrate().is_finite());
            prop_assert!((0.0..=1.0).contains(&estimator.recent_loss()));
        }
    }
}
