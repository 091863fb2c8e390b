//! A subscriber that asks for far too much gets what its budget allows and no more; what it asks
//! for that was never its own costs nothing but a count.

use sfu_core::drops::DropReason;
use sfu_core::limits::{RTX_BUDGET_FLOOR_BYTES, RTX_BUDGET_PERCENT};
use sfu_sim::client::rtcp;

use crate::common::{assert_flawless, assert_sound, broadcast, ms, s, video};

/// Longest payload of a simulated packet.
const PACKET_BYTES: u64 = 1100;

#[test]
fn retransmissions_stay_within_their_budget() {
    let (mut world, _, _, viewers) = broadcast(1, 2);
    world.run_for(s(3));
    let (greedy, other) = (viewers[0], viewers[1]);
    let receiver = world.client(greedy).receivers().next().unwrap();
    let (ssrc, first) = (receiver.ssrc(), receiver.first_sequence().unwrap());
    let before = world.stats();
    for _ in 0..500 {
        let sent = u16::try_from(video(&world, greedy).packets).unwrap();
        let newest = first.wrapping_add(sent);
        let everything: Vec<u16> = (1..=400).rev().map(|back| newest.wrapping_sub(back)).collect();
        world.client_mut(greedy).send(rtcp::nack(1, ssrc, &everything));
        world.run_for(ms(10));
    }
    let after = world.stats();
    let (asked, resent) = (after.nacks_in - before.nacks_in, after.rtx_out - before.rtx_out);
    let media = video(&world, greedy).packets * PACKET_BYTES;
    let budget = media * RTX_BUDGET_PERCENT / 100 + RTX_BUDGET_FLOOR_BYTES;
    let needless = video(&world, greedy).needless_repairs;
    assert!(asked >= 190_000, "{asked}");
    assert!(resent >= 50, "it does get some: {resent}");
    assert!(needless * 700 <= budget, "{needless} resent, budget {budget} bytes");
    assert!(resent * 10 < asked, "{resent} of {asked}");
    assert!(after.drops.get(DropReason::RtxBudget) > 100_000);
    assert_sound(&world, greedy);
    assert_flawless(&world, other);
}

#[test]
fn requests_for_old_foreign_and_unknown_packets_are_misses() {
    let (mut world, _, _, viewers) = broadcast(2, 2);
    world.run_for(s(10));
    let own = world.client(viewers[0]).receivers().next().unwrap();
    let (own_ssrc, first) = (own.ssrc(), own.first_sequence().unwrap());
    let foreign_ssrc = world.client(viewers[1]).receivers().next().unwrap().ssrc();
    let recent = first.wrapping_add(u16::try_from(video(&world, viewers[0]).packets).unwrap());
    // (SSRC, sequence): sent long ago, not sent yet, somebody else's, nobody's.
    let misses = [
        (own_ssrc, first),
        (own_ssrc, recent.wrapping_add(5_000)),
        (foreign_ssrc, recent.wrapping_sub(10)),
        (0xdead_beef, recent),
    ];
    for (count, &(ssrc, sequence)) in (1..).zip(&misses) {
        world.client_mut(viewers[0]).send(rtcp::nack(1, ssrc, &[sequence]));
        world.run_for(ms(100));
        assert_eq!(world.drops(DropReason::NackMiss), count, "{ssrc:x} {sequence}");
    }
    assert_eq!(world.stats().rtx_out, 0);
    for viewer in viewers {
        assert_flawless(&world, viewer);
    }
}

#[test]
fn what_is_more_than_a_second_old_is_answered_by_a_keyframe() {
    let (mut world, _, _, viewers) = broadcast(3, 1);
    world.run_for(s(10));
    let receiver = world.client(viewers[0]).receivers().next().unwrap();
    let (ssrc, first) = (receiver.ssrc(), receiver.first_sequence().unwrap());
    let newest = first.wrapping_add(u16::try_from(video(&world, viewers[0]).packets).unwrap());
    // A camera's packets of 2 s, and of 0.5 s.
    for (back, answered) in [(240, false), (60, true)] {
        let before = (world.stats().rtx_out, world.drops(DropReason::NackOld));
        let keyframes = video(&world, viewers[0]).keyframes;
        world.client_mut(viewers[0]).send(rtcp::nack(1, ssrc, &[newest.wrapping_sub(back)]));
        world.run_for(ms(500));
        let after = (world.stats().rtx_out, world.drops(DropReason::NackOld));
        let expected = if answered { (before.0 + 1, before.1) } else { (before.0, before.1 + 1) };
        assert_eq!(after, expected, "{back} packets back");
        let came = video(&world, viewers[0]).keyframes - keyframes;
        assert_eq!(came, u64::from(!answered), "{back} packets back");
    }
    assert_flawless(&world, viewers[0]);
}
