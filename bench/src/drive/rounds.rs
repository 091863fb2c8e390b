//! Interleaved rounds, and what they say.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde::Serialize;

use super::{Rig, Round, Target};
use crate::results::Spread;

/// How long a target is driven before each of its rounds.
const WARM: Duration = Duration::from_millis(300);
/// A server the first time: it finds out what its paths carry, which takes a few seconds, and more
/// on a machine whose receivers do not always get the processor.
const WARM_FIRST: Duration = Duration::from_secs(4);
const WARM_FIRST_MAX: Duration = Duration::from_secs(30);
const WARM_STEP: Duration = Duration::from_secs(1);
/// Share of packets that has to arrive for the rounds to mean anything. On a machine that does other
/// things as well, receivers that do not get the processor lose some.
const DELIVERED_MIN: f64 = 0.9;

/// All rounds of one target.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Costs {
    pub(crate) name: String,
    pub(crate) rounds: Vec<Round>,
}

/// Gives each rig one round after the other, as often as asked; one more goes first and is not
/// counted.
pub(crate) async fn interleave(rigs: &mut [&mut Rig], rounds: usize) -> Result<Vec<Costs>> {
    let mut costs: Vec<Costs> =
        rigs.iter().map(|rig| Costs { name: rig.name.clone(), rounds: Vec::new() }).collect();
    for round in 0..=rounds {
        for (rig, costs) in rigs.iter_mut().zip(&mut costs) {
            if round == 0 && matches!(rig.target, Target::Server { .. }) {
                warm_up(rig).await?;
            }
            let done = rig.round(WARM).await?;
            eprintln!(
                "round {round}, {}: {:.3} µs per packet, {} of {} delivered",
                rig.name,
                done.cost_us(),
                done.delivered,
                done.expected
            );
            if round > 0 {
                costs.rounds.push(done);
            }
        }
    }
    for costs in &costs {
        let share = costs.delivered_share();
        ensure!(share >= DELIVERED_MIN, "{}: only {share:.4} of the packets came", costs.name);
    }
    Ok(costs)
}

/// Publishes until what is published arrives, or for [`WARM_FIRST_MAX`].
async fn warm_up(rig: &mut Rig) -> Result<()> {
    let rate = f64::from(rig.setup.packets_per_second);
    let began = Instant::now();
    rig.publish(rate, WARM_FIRST)?;
    loop {
        rig.settle()?;
        let (round, _) = rig.timed_round(rate, WARM_STEP).await?;
        let arrives = round.delivered as f64 >= DELIVERED_MIN * round.expected as f64;
        if arrives || began.elapsed() >= WARM_FIRST_MAX {
            return Ok(());
        }
    }
}

impl Costs {
    /// CPU time per delivered packet, in µs.
    pub(crate) fn cost_us(&self) -> Spread {
        self.rounds.iter().map(Round::cost_us).collect()
    }

    /// The cost ÷ another's in the same round.
    pub(crate) fn ratio(&self, other: &Self) -> Spread {
        let pairs = self.rounds.iter().zip(&other.rounds);
        pairs.map(|(own, other)| own.cost_us() / other.cost_us()).collect()
    }

    /// How often a second core is worth the first: what the cost allows times what the busiest of
    /// the workers leaves to the others.
    pub(crate) fn gain_over(&self, one: &Self) -> Spread {
        let pairs = self.rounds.iter().zip(&one.rounds);
        pairs.map(|(many, one)| one.cost_us() / many.cost_us() * many.balance()).collect()
    }

    pub(crate) fn delivered_share(&self) -> f64 {
        let sum = |read: fn(&Round) -> u64| self.rounds.iter().map(read).sum::<u64>() as f64;
        sum(|r| r.delivered) / sum(|r| r.expected)
    }

    /// CPU time of the receivers' thread, in µs per packet.
    pub(crate) fn receivers_us(&self) -> Spread {
        self.rounds.iter().map(|r| r.receivers_cpu_s * 1e6 / r.delivered as f64).collect()
    }

    /// A server's own counts of system calls per delivered packet, all kinds together.
    pub(crate) fn calls(&self) -> Spread {
        self.rounds.iter().map(|r| r.calls.values().sum::<f64>() / r.delivered as f64).collect()
    }
}
