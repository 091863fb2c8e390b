//! The cases: RFC 8867 §5, and what calls ask of a path beyond it.

use std::time::Duration;

use super::bottleneck::BottleneckPlan;
use super::case::{Case, FlowPlan, MediaFlowPlan};
use super::course::Window;
use super::media::{Demand, EVERYTHING_BPS};
use super::metric::{Goal, Metric};
use super::receiver::Format;
use super::source::SourceKind;
use super::tcp::{Growth, Transfer};
use crate::link::Loss;
use crate::random;

use Goal::{AtLeast, AtMost, Between, Told};

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// The radio link is the same one for all seeds.
const RADIO_SEED: u64 = 77;

/// What an SFU has to choose among: three encodings with two frame rates each.
fn layers() -> SourceKind {
    SourceKind::Layered(vec![90_000, 150_000, 300_000, 500_000, 1_500_000, 2_500_000])
}

/// From 5 s after each step until the next.
fn phases(capacity: &[(Duration, u64)], end: Duration) -> Vec<Window> {
    let ends = capacity.iter().skip(1).map(|(at, _)| *at).chain([end]);
    capacity.iter().zip(ends).map(|((at, _), end)| *at + s(5)..end).collect()
}

/// All cases.
#[must_use]
pub fn catalogue() -> Vec<Case> {
    let mut cases = single_flow();
    cases.extend([
        multiple_flows(),
        congested_feedback(),
        same_algorithm(),
        rtt_fairness(),
        beside_tcp("5.6", "beside a long TCP flow (Reno), queue 300 ms", ms(300), Growth::Reno),
        beside_tcp("5.6-1000ms", "the same, queue 1000 ms", ms(1000), Growth::Reno),
        beside_tcp("5.6-cubic", "beside a long TCP flow (CUBIC)", ms(300), Growth::Cubic),
        short_tcp(),
        pause_and_resume(),
        tcp_leaves("5.6-leaves", "beside CUBIC until 60 s, then alone", 1),
        tcp_leaves("5.6-leaves-two", "two flows beside CUBIC until 60 s, then only they", 2),
        less_beside_tcp(),
        radio("radio", "one flow over a radio link, queue 1000 ms", 1),
        radio("radio-two", "two flows over a radio link, queue 1000 ms", 2),
    ]);
    cases.extend(starts());
    cases.extend(steps());
    cases.extend(losses());
    cases.extend(application_limited());
    cases
}

/// RFC 8867 §5.1 in its variants.
fn single_flow() -> Vec<Case> {
    let capacity =
        vec![(s(0), 1_000_000), (s(40), 2_500_000), (s(60), 600_000), (s(80), 1_000_000)];
    let case = |name, about, flow: MediaFlowPlan| {
        let windows = phases(&capacity, s(100));
        Case::new(name, about, s(100), capacity.clone())
            .media(flow)
            .check(Metric::Utilisation(windows.clone()), AtLeast(0.9))
            .check(Metric::QueueP95(windows), AtMost(100.0))
            .check(Metric::Lost(s(0)..s(100)), AtMost(1.0))
    };
    let flow = MediaFlowPlan::default;
    let jitter = |mut case: Case, jitter| {
        case.forward.jitter = jitter;
        case
    };
    vec![
        case("5.1", "one flow, 1.0 / 2.5 / 0.6 / 1.0 Mbit/s", flow()),
        case("5.1-100ms", "… 100 ms each way", MediaFlowPlan { one_way: ms(100), ..flow() }),
        case(
            "5.1-bursts",
            "… key frames of 8–10 frames' size",
            MediaFlowPlan { source: SourceKind::Bursty, ..flow() },
        ),
        case(
            "5.1-varying",
            "… frames that vary like a camera's",
            MediaFlowPlan { source: SourceKind::Varying, ..flow() },
        ),
        case(
            "5.1-feedback",
            "… feedback every 100 ms",
            MediaFlowPlan { feedback: ms(100), ..flow() },
        ),
        case(
            "5.1-ccfb",
            "… feedback of RFC 8888",
            MediaFlowPlan { format: Format::Ccfb, ..flow() },
        ),
        jitter(case("5.1-jitter", "… jitter of up to 30 ms", flow()), ms(30)),
    ]
}

fn multiple_flows() -> Case {
    let capacity = vec![
        (s(0), 4_000_000),
        (s(25), 2_000_000),
        (s(50), 3_500_000),
        (s(75), 1_000_000),
        (s(100), 2_000_000),
    ];
    let windows = phases(&capacity, s(125));
    Case::new("5.2", "two flows, 4 / 2 / 3.5 / 1 / 2 Mbit/s", s(125), capacity)
        .media(MediaFlowPlan::default())
        .media(MediaFlowPlan::default())
        .check(Metric::Utilisation(windows.clone()), Told(true))
        .check(Metric::QueueP95(windows), Told(false))
        .check(Metric::Lost(s(0)..s(125)), Told(false))
        .check(Metric::Smallest(s(5)..s(125)), AtLeast(0.25))
        .check(Metric::Jain(s(5)..s(125)), Told(true))
}

fn congested_feedback() -> Case {
    let forward = vec![(s(0), 2_000_000), (s(20), 1_000_000), (s(40), 500_000), (s(60), 2_000_000)];
    let windows = phases(&forward, s(100));
    let mut case = Case::new("5.3", "a flow each way, both ways congested", s(100), forward)
        .media(MediaFlowPlan::default())
        .media(MediaFlowPlan { reversed: true, ..MediaFlowPlan::default() })
        .check(Metric::Utilisation(windows.clone()), Told(true))
        .check(Metric::QueueP95(windows), Told(false))
        .check(Metric::Lost(s(0)..s(100)), Told(false))
        .check(Metric::Smallest(s(5)..s(100)), AtLeast(0.25));
    case.backward =
        BottleneckPlan::new(vec![(s(0), 2_000_000), (s(35), 800_000), (s(70), 2_000_000)]);
    case
}

fn same_algorithm() -> Case {
    let flow = |start| MediaFlowPlan { start, ..MediaFlowPlan::default() };
    Case::new(
        "5.4",
        "three flows on 3.5 Mbit/s, joining at 0, 20, 40 s",
        s(120),
        vec![(s(0), 3_500_000)],
    )
    .media(flow(s(0)))
    .media(flow(s(20)))
    .media(flow(s(40)))
    .check(Metric::Jain(s(60)..s(120)), AtLeast(0.95))
    .check(Metric::Utilisation(vec![s(60)..s(120)]), Told(true))
    .check(Metric::QueueP95(vec![s(60)..s(120)]), Told(false))
    .check(Metric::Lost(s(0)..s(120)), Told(false))
}

fn rtt_fairness() -> Case {
    let mut case =
        Case::new("5.5", "five flows, 10–150 ms each way", s(300), vec![(s(0), 4_000_000)]);
    for (index, one_way) in (0..).zip([10, 25, 50, 100, 150]) {
        let start = s(10 * index);
        case =
            case.media(MediaFlowPlan { start, one_way: ms(one_way), ..MediaFlowPlan::default() });
    }
    case.check(Metric::Jain(s(100)..s(300)), Told(true))
        .check(Metric::Smallest(s(100)..s(300)), AtLeast(0.25))
        .check(Metric::Utilisation(vec![s(100)..s(300)]), Told(true))
        .check(Metric::QueueP95(vec![s(100)..s(300)]), Told(false))
        .check(Metric::Lost(s(0)..s(300)), Told(false))
}

fn beside_tcp(name: &'static str, about: &'static str, queue: Duration, growth: Growth) -> Case {
    let mut case = Case::new(name, about, s(120), vec![(s(0), 2_000_000)])
        .media(MediaFlowPlan { start: s(5), ..MediaFlowPlan::default() })
        .check(Metric::Share(s(30)..s(120)), Between(30.0, 70.0))
        .check(Metric::QueueP95(vec![s(30)..s(120)]), Told(false))
        .check(Metric::Lost(s(30)..s(120)), Told(false));
    case.forward.queue = queue;
    case.flows.push(FlowPlan::Tcp {
        start: s(0),
        one_way: ms(50),
        growth,
        transfer: Transfer::Endless,
        reversed: false,
    });
    case
}

/// What is left of a contest once there is nobody to compete with: nothing, if all is well.
fn tcp_leaves(name: &'static str, about: &'static str, flows: usize) -> Case {
    let mut case = Case::new(name, about, s(120), vec![(s(0), 2_000_000)]);
    for _ in 0..flows {
        case = case.media(MediaFlowPlan { start: s(5), ..MediaFlowPlan::default() });
    }
    case.flows.push(cubic(Transfer::Until(s(60))));
    case.check(Metric::Smallest(s(30)..s(60)), Told(true))
        .check(Metric::Utilisation(vec![s(70)..s(120)]), AtLeast(0.9))
        .check(Metric::QueueP95(vec![s(70)..s(120)]), AtMost(150.0))
        .check(Metric::Lost(s(70)..s(120)), AtMost(1.0))
        .check(Metric::Jain(s(80)..s(120)), AtLeast(0.9))
}

/// The path becomes slow in the middle of a contest.
fn less_beside_tcp() -> Case {
    let capacity = vec![(s(0), 2_000_000), (s(60), 500_000)];
    let mut case = Case::new("5.6-less", "beside CUBIC, 2 → 0.5 Mbit/s", s(120), capacity)
        .media(MediaFlowPlan { start: s(5), ..MediaFlowPlan::default() });
    case.flows.push(cubic(Transfer::Endless));
    case.check(Metric::Share(s(70)..s(120)), Told(true))
        .check(Metric::SendsWithin(s(60), 500_000), Told(false))
        .check(Metric::Lost(s(60)..s(120)), Told(false))
}

fn cubic(transfer: Transfer) -> FlowPlan {
    let (start, one_way, growth) = (s(0), ms(50), Growth::Cubic);
    FlowPlan::Tcp { start, one_way, growth, transfer, reversed: false }
}

/// A link whose rate is another every 200 ms, by up to a third, between 0.4 and 5 Mbit/s, with a
/// buffer that is deep as those of radio links are: who takes its own queue there for somebody
/// else's is alone with it.
fn radio(name: &'static str, about: &'static str, flows: usize) -> Case {
    const BOUNDS_BPS: (f64, f64) = (400_000.0, 5_000_000.0);
    let mut dice = random::generator(RADIO_SEED, 0);
    let mut bps = 2_000_000.0_f64;
    let capacity = (0..600u32)
        .map(|step| {
            bps *= 1.33f64.powf(random::fraction(&mut dice) * 2.0 - 1.0);
            bps = bps.clamp(BOUNDS_BPS.0, BOUNDS_BPS.1);
            (ms(200) * step, bps as u64)
        })
        .collect();
    let mut case = Case::new(name, about, s(120), capacity);
    case.forward.queue = ms(1000);
    for _ in 0..flows {
        case = case.media(MediaFlowPlan::default());
    }
    case.check(Metric::Utilisation(vec![s(5)..s(120)]), Told(true))
        .check(Metric::QueueP95(vec![s(5)..s(120)]), Told(false))
        .check(Metric::Lost(s(0)..s(120)), Told(false))
        .check(Metric::Jain(s(5)..s(120)), Told(true))
}

fn short_tcp() -> Case {
    let flow = MediaFlowPlan { start: s(5), ..MediaFlowPlan::default() };
    let mut case =
        Case::new("5.7", "two flows beside ten short TCP flows", s(300), vec![(s(0), 2_000_000)])
            .media(flow.clone())
            .media(flow)
            .check(Metric::Utilisation(vec![s(30)..s(300)]), Told(true))
            .check(Metric::QueueP95(vec![s(30)..s(300)]), Told(false))
            .check(Metric::Lost(s(30)..s(300)), Told(false))
            .check(Metric::Smallest(s(30)..s(300)), AtLeast(0.25));
    for index in 0..10 {
        case.flows.push(FlowPlan::Tcp {
            start: s(5),
            one_way: ms(50),
            growth: Growth::Reno,
            transfer: Transfer::Files(100_000, 1_000_000, s(10)),
            // Half of them each way.
            reversed: index >= 5,
        });
    }
    case
}

fn pause_and_resume() -> Case {
    let all = EVERYTHING_BPS;
    let paused = Demand(vec![(s(0), all), (s(40), 0), (s(60), all)]);
    Case::new(
        "5.8",
        "three flows on 3.5 Mbit/s, the first paused from 40 to 60 s",
        s(120),
        vec![(s(0), 3_500_000)],
    )
    .media(MediaFlowPlan { demand: paused, ..MediaFlowPlan::default() })
    .media(MediaFlowPlan::default())
    .media(MediaFlowPlan::default())
    .check(Metric::Utilisation(vec![s(45)..s(60)]), Told(true))
    .check(Metric::Jain(s(80)..s(120)), Told(true))
    .check(Metric::Smallest(s(80)..s(120)), AtLeast(0.25))
    .check(Metric::QueueP95(vec![s(5)..s(120)]), Told(false))
    .check(Metric::Lost(s(0)..s(120)), Told(false))
}

fn starts() -> Vec<Case> {
    let case = |name, about, capacity: u64, one_way, goals: [Goal; 2]| {
        let eighty = capacity / 10 * 8;
        Case::new(name, about, s(15), vec![(s(0), capacity)])
            .media(MediaFlowPlan { one_way, ..MediaFlowPlan::default() })
            .check(Metric::Estimates(s(0), eighty), goals[0])
            .check(Metric::Reaches(s(0), eighty), Told(false))
            .check(Metric::Overshoot(s(0)..s(15)), goals[1])
            .check(Metric::Lost(s(0)..s(15)), Told(false))
            .check(Metric::QueueP95(vec![s(0)..s(5)]), Told(false))
    };
    vec![
        case("start", "start-up on 3 Mbit/s", 3_000_000, ms(50), [AtMost(1.0), AtMost(1.05)]),
        case("start-0.5", "start-up on 0.5 Mbit/s", 500_000, ms(50), [AtMost(1.0), Told(false)]),
        case(
            "start-near",
            "start-up on 3 Mbit/s, 10 ms each way",
            3_000_000,
            ms(10),
            [AtMost(1.0), AtMost(1.05)],
        ),
    ]
}

fn steps() -> Vec<Case> {
    let down = vec![(s(0), 2_500_000), (s(30), 600_000)];
    let up = vec![(s(0), 600_000), (s(30), 2_500_000)];
    let flow = |source| MediaFlowPlan { source, ..MediaFlowPlan::default() };
    let down = |name, about, source, freeze| {
        Case::new(name, about, s(60), down.clone())
            .media(flow(source))
            .check(Metric::Utilisation(vec![s(15)..s(30)]), Told(true))
            .check(Metric::SendsWithin(s(30), 600_000), AtMost(1.0))
            .check(Metric::QueueBelow(s(30), ms(50)), AtMost(2.0))
            .check(Metric::Freeze(s(29)..s(40), ms(100)), freeze)
            .check(Metric::Utilisation(vec![s(35)..s(60)]), Told(true))
    };
    let up = |name, about, source| {
        Case::new(name, about, s(60), up.clone())
            .media(flow(source))
            .check(Metric::Estimates(s(30), 2_000_000), AtMost(5.0))
            .check(Metric::Reaches(s(30), 1_400_000), Told(false))
            .check(Metric::Overshoot(s(30)..s(60)), Told(false))
            .check(Metric::Lost(s(30)..s(60)), Told(false))
    };
    vec![
        down("step-down", "2.5 → 0.6 Mbit/s, an encoder", SourceKind::Constant, Told(false)),
        down("step-down-layers", "2.5 → 0.6 Mbit/s, layers", layers(), AtMost(300.0)),
        up("step-up", "0.6 → 2.5 Mbit/s, an encoder", SourceKind::Constant),
        up("step-up-layers", "0.6 → 2.5 Mbit/s, layers", layers()),
    ]
}

fn losses() -> Vec<Case> {
    let case = |name, about, loss, goals: [Goal; 2]| {
        let mut case = Case::new(name, about, s(120), vec![(s(0), 2_000_000)])
            .media(MediaFlowPlan::default())
            .check(Metric::Utilisation(vec![s(5)..s(120)]), goals[0])
            .check(Metric::OnTime(s(5)..s(118), ms(200)), goals[1])
            .check(Metric::QueueP95(vec![s(5)..s(120)]), Told(false));
        case.forward.loss = loss;
        case
    };
    vec![
        case(
            "loss-10",
            "10 % random loss on 2 Mbit/s",
            Loss::Random(0.1),
            [AtLeast(0.6), AtLeast(99.5)],
        ),
        case(
            "loss-20",
            "20 % random loss on 2 Mbit/s",
            Loss::Random(0.2),
            [AtLeast(0.5), AtLeast(95.0)],
        ),
        case(
            "loss-bursts",
            "5 % loss in bursts of 4 on 2 Mbit/s",
            Loss::Burst { to_bad: 0.013, to_good: 0.25 },
            [Told(true), Told(true)],
        ),
        case("loss-2", "2 % random loss on 2 Mbit/s", Loss::Random(0.02), [Told(true), Told(true)]),
    ]
}

fn application_limited() -> Vec<Case> {
    let demand = Demand(vec![(s(0), 150_000), (s(60), 2_500_000)]);
    let case = |name, about, source, reaches, goal| {
        Case::new(name, about, s(80), vec![(s(0), 3_000_000)])
            .media(MediaFlowPlan { source, demand: demand.clone(), ..MediaFlowPlan::default() })
            .check(Metric::Estimates(s(60), 2_000_000), AtMost(2.0))
            .check(Metric::Reaches(s(60), reaches), goal)
            .check(Metric::Lost(s(60)..s(70)), AtMost(1.0))
            .check(Metric::Overshoot(s(0)..s(60)), AtMost(2.0))
            .check(Metric::QueueP95(vec![s(60)..s(70)]), Told(false))
    };
    vec![
        case(
            "idle",
            "150 kbit/s on 3 Mbit/s for 60 s, then 2.5 are wanted",
            SourceKind::Constant,
            2_000_000,
            AtMost(2.0),
        ),
        case("idle-layers", "the same with layers", layers(), 1_400_000, Told(false)),
    ]
}
