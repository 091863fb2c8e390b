//! `bench fanout`: what a packet costs the server, against the floors, in rounds that take turns.

use std::path::Path;

use anyhow::{Result, ensure};
use clap::Args;
use serde_json::json;

use crate::drive::{Costs, Rig, Setup, interleave, trace_calls};
use crate::floor::Kind;
use crate::lean::Media;
use crate::results::{Findings, Spread, Table};
use crate::run::ServerArgs;

/// A server's cost ÷ F1's, at most.
const SINGLE_MAX: f64 = 1.35;
/// The same for frames of several packets, and ÷ F2's.
const BURST_MAX: f64 = 0.75;
const BURST_OVER_RUNS_MAX: f64 = 1.5;
/// Packets a second for a given CPU time, as a share of F1's.
const AUDIO_SHARE_MIN: f64 = 0.75;
/// Cost beside idle rooms ÷ cost without them.
const IDLE_MAX: f64 = 1.05;
/// System calls per packet with at least so many subscribers.
const CALLS_MAX: f64 = 0.05;
const CALLS_SUBSCRIBERS_MIN: usize = 64;

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
    /// Count all system calls of the server with `strace`, in a round that is not measured.
    #[arg(long)]
    strace: bool,
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

    findings.tables.push(table(setup, &costs));
    for rig in &rigs[2..] {
        let (samples, bad) = rig.samples();
        ensure!(samples > 0 && bad == 0, "{bad} bad packets among {samples} decrypted");
        findings.notes.push(format!(
            "{}: {samples} packets decrypted as a sample, all of them what was published.",
            rig.name
        ));
    }
    args.judge(&mut findings, &costs);
    if args.strace {
        args.trace(&mut findings, &mut rigs[2])?;
    }
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
            "delivered",
            "counted system calls per packet",
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
    fn judge(&self, findings: &mut Findings, costs: &[Costs]) {
        let [f1, f2, server, idle @ ..] = costs else { return };
        let Setup { subscribers, payload, burst, media, .. } = self.setup;
        let what = format!("1 → {subscribers}, {payload}-byte payloads, frames of {burst}");
        if media == Media::Audio {
            let share: Spread = f1.ratio(server);
            findings.at_least(
                &format!("{what}, audio: packets a second, share of F1's"),
                share,
                AUDIO_SHARE_MIN,
            );
        } else if burst == 1 {
            findings.at_most(&format!("{what}: cost ÷ F1"), server.ratio(f1), SINGLE_MAX);
        } else {
            findings.at_most(&format!("{what}: cost ÷ F1"), server.ratio(f1), BURST_MAX);
            findings.at_most(&format!("{what}: cost ÷ F2"), server.ratio(f2), BURST_OVER_RUNS_MAX);
        }
        if let [idle, ..] = idle {
            let what = format!("{} idle rooms beside: cost ÷ without", self.idle_rooms);
            findings.at_most(&what, idle.ratio(server), IDLE_MAX);
        }
    }

    fn trace(&self, findings: &mut Findings, server: &mut Rig) -> Result<()> {
        let Some(calls) = trace_calls(server)? else {
            findings.notes.push("System calls not traced: strace is not installed.".to_owned());
            return Ok(());
        };
        let each = calls.per_packet;
        let names = calls.by_name.iter();
        let names: Vec<_> = names.map(|(name, count)| format!("{name} {count}")).collect();
        findings.notes.push(format!(
            "All system calls of the process, by strace, which slows them down: {each:.3} per \
             delivered packet ({}).",
            names.join(", ")
        ));
        if self.setup.subscribers >= CALLS_SUBSCRIBERS_MIN {
            let Setup { subscribers, burst, .. } = self.setup;
            let what = format!("1 → {subscribers}, frames of {burst}: system calls per packet");
            findings.at_most(&what, each.into(), CALLS_MAX);
        }
        Ok(())
    }
}
