//! `bench cores`: what a second worker gains, for many rooms and for one.
//!
//! The load has to run on the same machine, so throughput itself cannot double here. Measured is
//! what would limit it elsewhere: CPU time per packet with one worker ÷ with two, times the share
//! of the work that the busier of the two leaves to the other (2 if they have equal parts).

use std::path::Path;

use anyhow::Result;
use clap::Args;
use serde_json::json;

use crate::drive::{Rig, Setup, interleave};
use crate::results::{Findings, Spread, Table};
use crate::run::ServerArgs;

/// Gains of two workers over one.
const MANY_ROOMS_MIN: f64 = 1.85;
const ONE_ROOM_MIN: f64 = 1.7;

/// What to forward.
#[derive(Debug, Args)]
pub struct CoresArgs {
    #[command(flatten)]
    setup: Setup,
    #[command(flatten)]
    server: ServerArgs,
    /// How many are many rooms.
    #[arg(long, default_value_t = 10)]
    many: usize,
}

/// Runs four servers in turn: one worker and two, many rooms and one.
pub async fn run(args: &CoresArgs, results: Option<&Path>) -> Result<bool> {
    let mut findings = Findings::begin("cores", "What a second worker gains");
    let mut rigs = Vec::new();
    for rooms in [args.many, 1] {
        for workers in ["1", "2"] {
            let mut server = args.server.clone().or_built()?;
            server.spawn_arg.extend(["--workers".to_owned(), workers.to_owned()]);
            let mut setup = args.setup.clone();
            setup.rooms = rooms;
            setup.no_pin = true;
            let name = format!("{rooms} rooms, {workers} workers");
            rigs.push(Rig::server(&name, &server, &setup, 0).await?);
        }
    }
    let mut turns: Vec<&mut Rig> = rigs.iter_mut().collect();
    let costs = interleave(&mut turns, args.setup.rounds).await?;
    let mut table = Table::new(
        &format!(
            "{} subscribers, {}-byte payloads, frames of {}; CPU time of the whole process per \
             delivered packet, median (minimum–maximum) of {} interleaved rounds:",
            args.setup.subscribers, args.setup.payload, args.setup.burst, args.setup.rounds
        ),
        &["server", "µs per packet", "workers' CPU time ÷ the busiest's", "gain"],
    );
    for pair in costs.chunks(2) {
        let [one, two] = pair else { continue };
        for cost in pair {
            let balance: Spread = cost.rounds.iter().map(|round| round.balance()).collect();
            table.row([
                cost.name.clone(),
                cost.cost_us().to_string(),
                format!("{balance:.2}"),
                format!("{:.2}", cost.gain_over(one)),
            ]);
        }
        let many = one.name.starts_with(&args.many.to_string());
        let (what, least) =
            if many { ("many rooms", MANY_ROOMS_MIN) } else { ("one room", ONE_ROOM_MIN) };
        findings.at_least(&format!("second core, {what}"), two.gain_over(one), least);
    }
    findings.tables.push(table);
    findings.raw = json!({ "setup": args.setup, "rounds": costs });
    findings.finish(results)
}
