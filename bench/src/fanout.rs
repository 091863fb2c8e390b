//! `bench fanout`: what a packet costs the server, against the floors, in rounds that take turns.

use std::path::Path;

use anyhow::{Result, ensure};
use clap::Args;
use serde_json::json;

use crate::drive::{Costs, Rig, Setup, interleave};
use crate::floor::Kind;
use crate::results::{Findings, Table};
use crate::run::ServerArgs;

/// What to forward.
#[derive(Debug, Args)]
pub struct FanoutArgs {
    #[command(flatten)]
    setup: Setup,
    #[command(flatten)]
    server: ServerArgs,
    /// Also a second server with so many rooms beside the measured one, each with a client that
    /// does nothing.
    #[arg(long, default_value_t = 0, value_name = "N")]
    idle_rooms: usize,
}

/// Runs F1, F2 and the server in turn.
pub async fn run(args: &FanoutArgs, results: Option<&Path>) -> Result<bool> {
    let setup = &args.setup;
    let server_args = args.server.clone().or_built()?;
    let mut findings = Findings::begin(&args.name(), "What a forwarded packet costs");
    let mut rigs = vec![
        Rig::floor(Kind::F1, setup)?,
        Rig::floor(Kind::F2, setup)?,
        Rig::server("server", &server_args, setup, 0).await?,
    ];
    if args.idle_rooms > 0 {
        let name = format!("server, {} idle rooms", args.idle_rooms);
        rigs.push(Rig::server(&name, &server_args, setup, args.idle_rooms).await?);
    }
    let mut turns: Vec<&mut Rig> = rigs.iter_mut().collect();
    let costs = interleave(&mut turns, setup.rounds).await?;
    let [f1, f2, server, idle @ ..] = costs.as_slice() else { unreachable!("three at least") };

    findings.tables.push(table(setup, &costs));
    for rig in &rigs[2..] {
        let (samples, bad) = rig.samples();
        ensure!(samples > 0 && bad == 0, "{bad} bad packets among {samples} decrypted");
        findings.notes.push(format!(
            "{}: {samples} packets decrypted as a sample, all of them what was published.",
            rig.name
        ));
    }
    args.judge(&mut findings, f1, f2, server, idle.first());
    findings.raw = json!({ "setup": setup, "rounds": costs });
    findings.finish(results)
}

fn table(setup: &Setup, costs: &[Costs]) -> Table {
    let feedback = if setup.no_transport_cc { "receiver" } else { "transport-wide and receiver" };
    let mut table = Table::new(
        &format!(
            "1 publisher of {} packets a second, {} subscribers, {}-byte payloads, frames of {}, \
             {feedback} reports; CPU time of the whole process per delivered packet, median \
             (minimum–maximum) of {} interleaved rounds of {:?}:",
            setup.packets_per_second,
            setup.subscribers,
            setup.payload,
            setup.burst,
            setup.rounds,
            setup.round
        ),
        &[
            "program",
            "µs per packet",
            "÷ F1",
            "÷ F2",
            "in the kernel",
            "delivered",
            "system calls per packet",
            "receivers, µs per packet",
        ],
    );
    for cost in costs {
        let calls = cost.calls();
        table.row([
            cost.name.clone(),
            cost.cost_us().to_string(),
            format!("{:.2}", cost.ratio(&costs[0])),
            format!("{:.2}", cost.ratio(&costs[1])),
            format!("{:.0} %", 100.0 * cost.system_share()),
            format!("{:.2} %", 100.0 * cost.delivered_share()),
            if calls.max > 0.0 { format!("{:.3}", calls.median) } else { "–".to_owned() },
            cost.receivers_us().to_string(),
        ]);
    }
    table
}

impl FanoutArgs {
    /// Name of the files: what tells this run from others.
    fn name(&self) -> String {
        let Setup { subscribers, payload, burst, media, .. } = &self.setup;
        let media = format!("{media:?}").to_lowercase();
        let idle = if self.idle_rooms > 0 { "-idle" } else { "" };
        format!("fanout-{media}-{subscribers}x{payload}-burst-{burst}{idle}")
    }

    /// Holds the ratios against the goals.
    fn judge(
        &self,
        findings: &mut Findings,
        f1: &Costs,
        f2: &Costs,
        server: &Costs,
        idle: Option<&Costs>,
    ) {
        let mut hold = |what: &str, found: f64, most: f64| {
            if found > most {
                findings.failures.push(format!("{what}: {found:.2}, the goal is {most}"));
            }
        };
        if self.setup.burst == 1 {
            // A goal in packets per second is one in time per packet, the other way up.
            let most = if self.setup.payload <= 200 { 1.0 / 0.75 } else { 1.35 };
            hold("÷ F1", server.ratio(f1).median, most);
        } else {
            hold("÷ F1", server.ratio(f1).median, 0.75);
            hold("÷ F2", server.ratio(f2).median, 1.5);
        }
        if let Some(idle) = idle {
            hold("with idle rooms ÷ without", idle.ratio(server).median, 1.05);
        }
    }
}
