//! Runs a scenario and judges it.

use std::fmt::Write;
use std::time::Duration;

use sfu_core::negotiation::MediaKind;

use super::{Bound, Check, Measure, Scenario};
use crate::world::{ClientId, World};

/// How a scenario went with one seed.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The scenario.
    pub name: &'static str,
    /// The seed.
    pub seed: u64,
    /// The course of events as one number.
    pub hash: u64,
    /// Datagrams delivered.
    pub datagrams: u64,
    /// One row for each check.
    pub rows: Vec<Row>,
}

/// How one check went: the worst figure of the party.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// What was checked.
    pub check: Check,
    /// The worst figure among the party.
    pub figure: f64,
}

impl Row {
    /// Whether the check holds.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.check.bound.holds(self.figure)
    }
}

impl Outcome {
    /// Whether every check holds.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.rows.iter().all(Row::holds)
    }
}

/// A participant at work.
struct Present {
    party: usize,
    id: ClientId,
    came: Duration,
    leaves: Option<Duration>,
    left: Option<Duration>,
}

/// Runs a scenario with a seed.
#[must_use]
pub fn run(scenario: &Scenario, seed: u64) -> Outcome {
    let mut world = World::new(seed);
    let room = world.create_room();
    let mut present: Vec<Present> = Vec::new();
    for now in moments(scenario) {
        world.run_for(now.saturating_sub(world.now()));
        for leaver in present.iter_mut().filter(|p| p.left.is_none() && p.leaves == Some(now)) {
            world.leave(leaver.id);
            leaver.left = Some(now);
        }
        for (at, party) in scenario.parties.iter().enumerate().filter(|(_, p)| p.comes == now) {
            for _ in 0..party.count {
                let id = world.join(room, party.plan.clone());
                present.push(Present {
                    party: at,
                    id,
                    came: now,
                    leaves: party.leaves,
                    left: None,
                });
            }
        }
    }
    let figures = |check: &Check| {
        let party = present.iter().filter(|p| scenario.parties[p.party].name == check.who);
        let figures = party.map(|participant| measure(&world, participant, check.measure));
        match check.bound {
            Bound::AtLeast(_) => figures.fold(f64::INFINITY, f64::min),
            Bound::AtMost(_) => figures.fold(f64::NEG_INFINITY, f64::max),
        }
    };
    let rows = scenario.checks.iter().map(|check| Row { check: *check, figure: figures(check) });
    Outcome {
        name: scenario.name,
        seed,
        hash: world.hash(),
        datagrams: world.delivered,
        rows: rows.collect(),
    }
}

/// The times at which somebody comes or leaves, and the end.
fn moments(scenario: &Scenario) -> Vec<Duration> {
    let parties = scenario.parties.iter();
    let mut moments: Vec<_> = parties
        .flat_map(|party| [Some(party.comes), party.leaves])
        .flatten()
        .filter(|&moment| moment < scenario.lasts)
        .chain([scenario.lasts])
        .collect();
    moments.sort_unstable();
    moments.dedup();
    moments
}

#[allow(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn measure(world: &World, participant: &Present, measure: Measure) -> f64 {
    let client = world.client(participant.id);
    let until = participant.left.unwrap_or(world.now());
    let seconds = (until - participant.came).as_secs_f64();
    let (video, audio) =
        (client.quality(until, MediaKind::Video), client.quality(until, MediaKind::Audio));
    let receivers = client
        .receivers()
        .filter(|r| r.kind() == MediaKind::Video && r.quality().packets > 0)
        .count();
    let per_cent = |part: u64, whole: u64| part as f64 * 100.0 / whole.max(1) as f64;
    match measure {
        Measure::FramesComplete => video.completeness() * 100.0,
        Measure::FramesLate => per_cent(video.frames_late, video.frames),
        Measure::AudioArrived => audio.completeness() * 100.0,
        Measure::LongestFreeze => video.longest_gap.as_secs_f64() * 1000.0,
        Measure::Freezes500 => video.freezes_500 as f64,
        Measure::Lost => video.lost as f64,
        Measure::Violations => (video.violations.len() + audio.violations.len()) as f64,
        Measure::FramesPerSecond => video.frames as f64 / seconds / receivers.max(1) as f64,
        Measure::KeyframeRequestsPerSecond => {
            let requests = client.cameras().map(|c| c.published().keyframe_requests.len());
            requests.sum::<usize>() as f64 / seconds
        }
        Measure::NeedlessRepairs => per_cent(video.needless_repairs, video.packets),
    }
}

/// Outcomes as a Markdown table: one row for each check, the worst figure of all seeds.
#[must_use]
pub fn table(outcomes: &[Outcome]) -> String {
    let mut out = String::from(
        "| scenario | seeds | who | measure | wanted | worst | holds |\n|---|---|---|---|---|---|---|\n",
    );
    let mut names: Vec<_> = outcomes.iter().map(|outcome| outcome.name).collect();
    names.dedup();
    for name in names {
        let runs: Vec<_> = outcomes.iter().filter(|outcome| outcome.name == name).collect();
        let checks = runs.first().map_or(0, |run| run.rows.len());
        for at in 0..checks {
            let check = runs[0].rows[at].check;
            let figures = runs.iter().map(|run| run.rows[at].figure);
            let (worst, wanted) = match check.bound {
                Bound::AtLeast(bound) => (figures.fold(f64::INFINITY, f64::min), ("≥", bound)),
                Bound::AtMost(bound) => (figures.fold(f64::NEG_INFINITY, f64::max), ("≤", bound)),
            };
            let failed: Vec<_> = runs
                .iter()
                .filter(|run| !run.rows[at].holds())
                .map(|run| run.seed.to_string())
                .collect();
            let holds = match failed.as_slice() {
                [] => "yes".to_owned(),
                seeds => format!("**no**, seed {}", seeds.join(" ")),
            };
            writeln!(
                out,
                "| {name} | {} | {} | {:?} | {} {} | {worst:.2} | {holds} |",
                runs.len(),
                check.who,
                check.measure,
                wanted.0,
                wanted.1,
            )
            .expect("strings take everything");
        }
    }
    out
}
