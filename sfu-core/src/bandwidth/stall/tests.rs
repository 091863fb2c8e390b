use super::*;

const MBPS: u64 = 1_000_000;

/// Sends a packet each 10 ms from the given one on; gives what comes out as (number, ms on the way).
fn pass(stalls: &mut Stalls, from: u64, ways_ms: &[u64]) -> Vec<(u64, u64)> {
    let mut out = Vec::new();
    for (n, &way) in (from..).zip(ways_ms) {
        let departure = Duration::from_millis(10 * n);
        let arrival = Duration::from_secs(1000) + Duration::from_millis(10 * n + way);
        let arrival = Arrival {
            times: Times { departure, arrival },
            bytes: 1250,
            is_probe: false,
            is_newest: true,
            is_behind_gap: false,
        };
        stalls.push(arrival, MBPS);
        while let Some(Arrival { times, .. }) = stalls.pop() {
            let way = times.arrival - Duration::from_secs(1000) - times.departure;
            out.push((
                times.departure.as_millis() as u64 / 10,
                (way.as_secs_f64() * 1e3).round() as u64,
            ));
        }
    }
    out
}

/// The ways of the packets that came out.
fn ways(out: &[(u64, u64)]) -> Vec<u64> {
    out.iter().map(|&(_, way)| way).collect()
}

#[test]
fn what_waited_to_be_read_is_taken_to_have_arrived_in_time() {
    let mut stalls = Stalls::default();
    assert_eq!(ways(&pass(&mut stalls, 0, &[50, 52, 50])), [50, 52, 50]);
    // No time for 60 ms; nothing is let through until it is clear.
    assert_eq!(pass(&mut stalls, 3, &[110, 100, 90]), []);
    let out = pass(&mut stalls, 6, &[80, 70, 60, 50]);
    assert_eq!(ways(&out), [50, 50, 50, 50, 50, 50, 50], "as before the gap");
    assert_eq!(out.iter().map(|&(n, _)| n).collect::<Vec<_>>(), [3, 4, 5, 6, 7, 8, 9]);
}

#[test]
fn a_queue_that_stands_behind_a_gap_is_one() {
    let mut stalls = Stalls::default();
    pass(&mut stalls, 0, &[50, 50]);
    // Another flow's burst ahead of us, and no end of it.
    assert_eq!(ways(&pass(&mut stalls, 2, &[90, 91, 92, 91])), [90, 91, 92, 91]);
    // Down again is no gap.
    assert_eq!(ways(&pass(&mut stalls, 6, &[70, 50])), [70, 50]);
}

#[test]
fn a_queue_that_grows_smoothly_is_not_held_up() {
    let mut stalls = Stalls::default();
    let growing: Vec<u64> = (0..40).map(|n| 50 + 14 * n).collect();
    assert_eq!(ways(&pass(&mut stalls, 0, &growing)), growing);
}

#[test]
fn a_link_that_has_become_slow_is_not_a_stall() {
    let mut stalls = Stalls::default();
    pass(&mut stalls, 0, &[50, 50]);
    // A packet each 100 ms.
    let slow = [140, 230, 320, 410, 500];
    assert_eq!(ways(&pass(&mut stalls, 2, &slow))[..4], slow[..4]);
}

#[test]
fn what_is_left_of_a_delay_is_not_taken_away() {
    let mut stalls = Stalls::default();
    pass(&mut stalls, 0, &[50, 50]);
    // Read late by 200 ms, and 30 ms of queue besides.
    let mut late: Vec<u64> = (0..18).map(|n| 250 - 10 * n).collect();
    late.extend([80; 6]);
    let out = pass(&mut stalls, 2, &late);
    assert!(out.len() > 18, "{out:?}");
    assert!(ways(&out).iter().all(|&way| way == 80), "{out:?}");
}

#[test]
fn a_second_stall_while_the_first_is_caught_up_with_is_one_too() {
    let mut stalls = Stalls::default();
    pass(&mut stalls, 0, &[50, 50]);
    let out = pass(&mut stalls, 2, &[110, 100, 90, 80, 180, 170, 160, 150, 140, 100, 60, 50]);
    assert_eq!(ways(&out), [50; 12]);
}

#[test]
fn a_queue_that_goes_on_growing_behind_a_gap_is_known_at_once() {
    let mut stalls = Stalls::default();
    pass(&mut stalls, 0, &[50, 50]);
    assert_eq!(ways(&pass(&mut stalls, 2, &[66, 74])), [66, 74]);
}

#[test]
fn gaps_are_those_of_the_link_s_packets_at_least() {
    // 96 ms a packet at 100 kbit/s: nothing of note.
    let mut stalls = Stalls::default();
    for (n, way) in [50u64, 150, 52].into_iter().enumerate() {
        let departure = Duration::from_millis(200 * n as u64);
        let times = Times { departure, arrival: departure + Duration::from_millis(way) };
        let arrival =
            Arrival { times, bytes: 1200, is_probe: false, is_newest: true, is_behind_gap: false };
        stalls.push(arrival, 100_000);
        assert_eq!(stalls.pop(), Some(arrival));
    }
}

#[test]
fn another_clock_is_not_a_gap_and_no_time_gets_a_hold_of_it() {
    let mut stalls = Stalls::default();
    pass(&mut stalls, 0, &[50, 50]);
    assert_eq!(ways(&pass(&mut stalls, 2, &[9_000_000])), [9_000_000]);
    assert_eq!(pass(&mut stalls, 3, &[9_000_100]), []);
    let mut out = 0;
    for _ in 0..limits::LATE_PACKETS_MAX {
        // Always a little less, all at one time: caught up with for ever.
        let n = 4 + out as u64;
        out += pass(&mut stalls, n, &[9_000_100 - 9 * (n % 7)]).len();
        assert!(stalls.held.len() <= limits::LATE_PACKETS_MAX + 1);
    }
    stalls.reset();
    assert_eq!(stalls.held.len(), 0);
}
