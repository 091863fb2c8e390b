use super::*;

fn times(departure_ms: f64, arrival_ms: f64) -> Times {
    let ms = |ms: f64| Duration::from_secs_f64(ms / 1000.0);
    Times { departure: ms(departure_ms), arrival: ms(arrival_ms) }
}

/// The spreads in ms that these packets give.
fn spreads(packets: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut groups = Groups::default();
    let packets = packets.iter().map(|&(departure, arrival)| times(departure, arrival));
    let rounded = |seconds: f64| (seconds * 1e6).round() / 1e3;
    packets
        .filter_map(|packet| groups.on_packet(packet))
        .map(|spread| (rounded(spread.sent), rounded(spread.arrived)))
        .collect()
}

#[test]
fn a_spread_is_between_the_last_packets_of_two_groups() {
    type Pairs<'a> = &'a [(f64, f64)];
    let table: [(&str, Pairs<'_>, Pairs<'_>); 7] = [
        ("one packet each", &[(0., 50.), (10., 62.), (20., 70.)], &[(10., 12.)]),
        (
            "two packets each",
            &[(0., 50.), (2., 53.), (10., 60.), (12., 64.), (20., 70.)],
            &[(10., 11.)],
        ),
        (
            "a group has no more than its length",
            &[(0., 50.), (5., 60.), (5.1, 70.), (20., 80.)],
            &[(0.1, 10.)],
        ),
        (
            "an overtaken packet counts for nothing",
            &[(0., 50.), (10., 60.), (2., 61.), (20., 70.)],
            &[(10., 10.)],
        ),
        (
            "packets that waited for each other are one group",
            &[(0., 50.), (10., 90.), (20., 91.), (30., 92.), (50., 110.)],
            &[(30., 42.)],
        ),
        (
            "until they are too long",
            &[(0., 50.), (10., 60.), (20., 66.), (30., 72.)],
            &[(10., 10.), (10., 6.)],
        ),
        ("equal times", &[(0., 50.), (0., 50.), (0., 50.)], &[]),
    ];
    for (name, packets, expected) in table {
        assert_eq!(spreads(packets), expected, "{name}");
    }
}

#[test]
fn a_clock_that_jumps_starts_afresh() {
    let seen = spreads(&[
        (0., 50.),
        (10., 60.),
        (20., 9000.),
        (30., 9010.),
        (40., 9020.),
        (50., 9030.),
        (60., 9040.),
    ]);
    assert_eq!(seen, [(10., 10.), (10., 10.)]);
}

#[test]
fn going_back_again_and_again_is_another_clock() {
    let back: Vec<_> = (0..6).map(|n| (10. * f64::from(n), 1000. - 5. * f64::from(n))).collect();
    assert_eq!(spreads(&back), []);
    let mut groups = Groups::default();
    for &(departure, arrival) in &back {
        groups.on_packet(times(departure, arrival));
    }
    assert!(groups.backwards < BACKWARDS_MAX);
}
