//! `bench floors`: what the floors cost here, against each other.

use std::path::Path;

use anyhow::Result;
use clap::Args;
use serde_json::json;

use super::{Forge, Kind};
use crate::drive::{Rig, Setup, interleave};
use crate::results::{Findings, Spread, Table};
use crate::sys::thread_cpu;

/// Packets of a round of F0.
const F0_PACKETS: usize = 2000;

/// What the floors are to carry.
#[derive(Debug, Args)]
pub struct FloorsArgs {
    #[command(flatten)]
    setup: Setup,
}

/// Runs F0, F1 and F2 in turn.
pub async fn run(args: &FloorsArgs, results: Option<&Path>) -> Result<bool> {
    let setup = &args.setup;
    let name = format!("floors-burst-{}", setup.burst);
    let mut findings = Findings::begin(&name, "What forwarding costs at least");
    let mut single = Rig::floor(Kind::F1, setup)?;
    let mut runs = Rig::floor(Kind::F2, setup)?;
    let costs = interleave(&mut [&mut single, &mut runs], setup.rounds).await?;
    let bare = bare(setup)?;

    let mut table = Table::new(
        &format!(
            "1 publisher, {} subscribers, {}-byte payloads, frames of {}; CPU time of the floor's \
             thread per delivered packet, median (minimum–maximum) of {} interleaved rounds:",
            setup.subscribers, setup.payload, setup.burst, setup.rounds
        ),
        &["floor", "µs per packet", "÷ F1", "receivers, µs per packet"],
    );
    table.row(["F0".into(), bare.to_string(), String::new(), String::new()]);
    for cost in &costs {
        table.row([
            cost.name.clone(),
            cost.cost_us().to_string(),
            cost.ratio(&costs[0]).to_string(),
            cost.receivers_us().to_string(),
        ]);
    }
    findings.tables.push(table);
    findings.raw = json!({ "setup": setup, "f0_us": bare, "rounds": costs });
    findings.finish(results)
}

/// F0: CPU time per copy, in µs.
fn bare(setup: &Setup) -> Result<Spread> {
    let mut forge = Forge::new(setup.subscribers)?;
    let payload = vec![7; setup.payload as usize];
    let mut costs = Vec::new();
    for round in 0..=setup.rounds {
        let before = thread_cpu();
        forge.turn_over(F0_PACKETS, setup.burst as usize, &payload)?;
        let spent = thread_cpu() - before;
        if round > 0 {
            costs.push(spent.as_secs_f64() * 1e6 / (F0_PACKETS * setup.subscribers) as f64);
        }
    }
    Ok(costs.into_iter().collect())
}
