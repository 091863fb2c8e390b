//! The scenarios of `sfu-sim`: networks as people have them.

use std::time::Duration;

use super::Measure::{
    AudioArrived, EmptySeconds, FramesComplete, FramesLate, FramesPerSecond, Freezes500,
    KeyframeRequestsPerSecond, LongestFreeze, Lost, NeedlessRepairs, Violations,
};
use super::{Check, Party, Scenario, at_least, at_most, conference};
use crate::link::{Conditions, LinkPlan, Loss};
use crate::plan::{Plan, VideoPlan};

pub(super) const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub(super) const fn s(s: u64) -> Duration {
    Duration::from_secs(s)
}

/// Gilbert-Elliott with a mean loss and a mean burst length.
fn bursts(share: f64, length: f64) -> Loss {
    let to_good = 1.0 / length;
    Loss::Burst { to_bad: to_good * share / (1.0 - share), to_good }
}

/// Every scenario.
#[must_use]
pub fn catalogue() -> Vec<Scenario> {
    let mut all = vec![clean(), broadcast(), newcomers(), upstream_loss(), simulcast()];
    all.extend([
        downlink("loss-1", "1 % loss on one downlink", Loss::Random(0.01), 99.9, 350.0),
        downlink("loss-5", "5 % loss on one downlink", Loss::Random(0.05), 99.5, 500.0),
        downlink("loss-10", "10 % loss on one downlink", Loss::Random(0.1), 99.0, 700.0),
        downlink("loss-20", "20 % loss on one downlink", Loss::Random(0.2), 99.0, 1000.0),
        downlink("bursts", "10 % loss in bursts of 4", bursts(0.1, 4.0), 98.0, 1000.0),
    ]);
    all.extend([outage(), international(), moderate()]);
    all.extend(conference::all());
    all
}

/// What must be true of everybody whose own link is clean, whatever the others' are like.
fn untouched(who: &'static str) -> [Check; 5] {
    [
        at_most(who, EmptySeconds, 0.0),
        at_least(who, FramesComplete, 100.0),
        at_most(who, Lost, 0.0),
        at_most(who, Freezes500, 0.0),
        at_most(who, Violations, 0.0),
    ]
}

fn clean() -> Scenario {
    let mut checks = untouched("everyone").to_vec();
    checks.extend([
        at_least("everyone", AudioArrived, 100.0),
        at_most("everyone", KeyframeRequestsPerSecond, 0.5),
    ]);
    Scenario {
        parties: vec![Party::new("everyone", 10, Plan::publisher())],
        checks,
        ..Scenario::new("clean", "ten people with cameras and microphones, nothing wrong", s(20))
    }
}

fn broadcast() -> Scenario {
    let mut checks = untouched("viewer").to_vec();
    checks.push(at_least("viewer", FramesPerSecond, 29.0));
    Scenario {
        parties: vec![
            Party::new("camera", 1, Plan::camera()),
            Party::new("viewer", 50, Plan::viewer().with_slots(0, 1)),
        ],
        checks,
        ..Scenario::new("broadcast", "one camera, fifty viewers", s(20))
    }
}

fn newcomers() -> Scenario {
    let late = Party::new("newcomer", 20, Plan::viewer()).coming(s(10), Duration::ZERO);
    let mut checks = [untouched("viewer"), untouched("newcomer")].concat();
    checks.extend([
        at_least("newcomer", FramesPerSecond, 28.0),
        at_most("camera", KeyframeRequestsPerSecond, 2.0),
    ]);
    Scenario {
        parties: vec![
            Party::new("camera", 2, Plan::publisher()),
            Party::new("viewer", 3, Plan::viewer()),
            late,
        ],
        checks,
        ..Scenario::new("newcomers", "twenty people come at once in the middle of a call", s(20))
    }
}

fn upstream_loss() -> Scenario {
    let lossy = Conditions::clean(ms(25)).with_loss(Loss::Random(0.05));
    Scenario {
        parties: vec![
            Party::new("camera", 1, Plan::publisher().with_up(lossy)),
            Party::new("viewer", 4, Plan::viewer()),
        ],
        checks: vec![
            at_least("viewer", FramesComplete, 99.5),
            at_most("viewer", Freezes500, 0.0),
            at_most("viewer", Violations, 0.0),
            at_least("viewer", AudioArrived, 93.0),
            at_most("camera", KeyframeRequestsPerSecond, 0.5),
        ],
        ..Scenario::new("upstream-loss", "5 % loss on the way from a camera to the engine", s(30))
    }
}

fn simulcast() -> Scenario {
    Scenario {
        parties: vec![Party::new(
            "everyone",
            5,
            Plan::publisher().with_video(VideoPlan::simulcast()),
        )],
        checks: untouched("everyone").to_vec(),
        ..Scenario::new("simulcast", "five people with three encodings each", s(20))
    }
}

/// A call with three clean viewers and one behind a lossy link of 80 ms there and back.
fn downlink(
    name: &'static str,
    about: &'static str,
    loss: Loss,
    complete: f64,
    freeze_ms: f64,
) -> Scenario {
    let lossy = Conditions::clean(ms(40)).with_loss(loss);
    let down = LinkPlan::from(Conditions::clean(ms(40))).with_spell(s(1), s(3_600), lossy);
    let viewer = Plan::viewer().at_distance(ms(40));
    let mut checks = untouched("viewer").to_vec();
    checks.extend([
        at_least("lossy", FramesComplete, complete),
        at_most("lossy", EmptySeconds, 0.0),
        at_most("lossy", LongestFreeze, freeze_ms),
        at_most("lossy", Violations, 0.0),
        at_most("camera", KeyframeRequestsPerSecond, 2.0),
    ]);
    Scenario {
        parties: vec![
            Party::new("camera", 1, Plan::publisher().at_distance(ms(40))),
            Party::new("viewer", 3, viewer.clone()),
            Party::new("lossy", 1, viewer.with_down(down)),
        ],
        checks,
        ..Scenario::new(name, about, s(30))
    }
}

fn outage() -> Scenario {
    let dark = Conditions::default().with_loss(Loss::Outage);
    let link = LinkPlan::default().with_spell(s(10), s(15), dark);
    let mut checks = untouched("viewer").to_vec();
    checks.extend([at_most("cut", LongestFreeze, 6_000.0), at_most("cut", Violations, 0.0)]);
    Scenario {
        parties: vec![
            Party::new("camera", 1, Plan::publisher()),
            Party::new("viewer", 3, Plan::viewer()),
            Party::new("cut", 1, Plan::viewer().with_up(link.clone()).with_down(link)),
        ],
        checks,
        ..Scenario::new("outage", "one viewer is cut off for five seconds", s(25))
    }
}

fn international() -> Scenario {
    let far = Conditions {
        duplicate: 0.02,
        reorder: 0.05,
        reorder_by: ms(30),
        ..Conditions::clean(ms(200)).with_jitter(ms(100)).with_loss(bursts(0.02, 2.0))
    };
    let down = LinkPlan::from(Conditions::clean(ms(200))).with_spell(s(2), s(3_600), far);
    let mut checks = untouched("viewer").to_vec();
    checks.extend([
        at_least("far", FramesComplete, 99.0),
        at_most("far", Violations, 0.0),
        // Probes repeat what was sent of late; they are among these.
        at_most("far", NeedlessRepairs, 15.0),
    ]);
    Scenario {
        parties: vec![
            Party::new("camera", 1, Plan::publisher()),
            Party::new("viewer", 3, Plan::viewer()),
            Party::new("far", 1, Plan::viewer().at_distance(ms(200)).with_down(down)),
        ],
        checks,
        ..Scenario::new(
            "international",
            "one viewer far away: 200 to 300 ms, bursts, duplicates, reordering",
            s(30),
        )
    }
}

fn moderate() -> Scenario {
    let link = Conditions::clean(ms(50)).with_jitter(ms(25)).with_loss(Loss::Random(0.02));
    Scenario {
        parties: vec![Party::new(
            "everyone",
            5,
            Plan::publisher().with_up(link.clone()).with_down(link),
        )],
        checks: vec![
            at_least("everyone", FramesComplete, 99.0),
            at_most("everyone", FramesLate, 5.0),
            at_least("everyone", AudioArrived, 94.0),
            at_most("everyone", Violations, 0.0),
            at_most("everyone", KeyframeRequestsPerSecond, 2.0),
        ],
        ..Scenario::new(
            "moderate",
            "five people, each 50 to 75 ms away with 2 % loss both ways",
            s(30),
        )
    }
}
