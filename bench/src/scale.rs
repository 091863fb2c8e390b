//! `bench scale`: what a packet costs as subscribers grow in number, against the floors.

use std::path::Path;

use anyhow::Result;
use clap::Args;
use serde_json::json;

use crate::drive::{Rig, Setup, interleave};
use crate::floor::Kind;
use crate::results::{Findings, Line, Plot, Table};
use crate::run::ServerArgs;

/// How many.
#[derive(Debug, Args)]
pub struct ScaleArgs {
    /// Subscribers of one publisher; may be repeated, in growing order.
    #[arg(long, default_values_t = [10, 50, 200, 900])]
    counts: Vec<usize>,
    /// Packets a second to all subscribers together, as far as `--packets-per-second` allows.
    #[arg(long, default_value_t = 40_000)]
    delivered_per_second: u32,
    #[command(flatten)]
    setup: Setup,
    #[command(flatten)]
    server: ServerArgs,
}

/// Runs F1, F2 and the server in turn for each count.
pub async fn run(args: &ScaleArgs, results: Option<&Path>) -> Result<bool> {
    let mut findings = Findings::begin("scale", "What a packet costs for few and for many");
    let mut table = Table::new(
        &format!(
            "1 publisher, {} packets a second to all subscribers together but at most {} to each, \
             {}-byte payloads, frames of {}; CPU time of the whole process per delivered packet, \
             µs, median (minimum–maximum) of {} interleaved rounds:",
            args.delivered_per_second,
            args.setup.packets_per_second,
            args.setup.payload,
            args.setup.burst,
            args.setup.rounds
        ),
        &[
            "subscribers",
            "F1",
            "F2",
            "server",
            "÷ F1",
            "delivered",
            "server memory per subscriber, KiB",
        ],
    );
    let names = ["F1", "F2", "server"];
    let mut lines = names.map(|name| Line { name: name.to_owned(), points: Vec::new() });
    let mut raw = Vec::new();
    for &count in &args.counts {
        let mut setup = args.setup.clone();
        setup.subscribers = count;
        let each = args.delivered_per_second / u32::try_from(count)?;
        setup.packets_per_second = each.clamp(setup.burst, setup.packets_per_second);
        let server = args.server.clone().or_built()?;
        let mut rigs = [
            Rig::floor(Kind::F1, &setup)?,
            Rig::floor(Kind::F2, &setup)?,
            Rig::server("server", &server, &setup, 0).await?,
        ];
        let costs = interleave(&mut rigs.each_mut(), setup.rounds).await?;
        let resident = rigs[2].target.used()?.rss_kib;
        table.row([
            count.to_string(),
            costs[0].cost_us().to_string(),
            costs[1].cost_us().to_string(),
            costs[2].cost_us().to_string(),
            format!("{:.2}", costs[2].ratio(&costs[0])),
            format!("{:.2} %", 100.0 * costs[2].delivered_share()),
            format!("{:.0}", resident as f64 / count as f64),
        ]);
        for (line, cost) in lines.iter_mut().zip(&costs) {
            line.points.push((count as f64, cost.cost_us().median));
        }
        raw.push(json!({ "setup": setup, "rounds": costs, "rss_kib": resident }));
    }
    findings.tables.push(table);
    findings.plots.push(Plot {
        name: "scale".to_owned(),
        title: "Cost of a delivered packet".to_owned(),
        across: "subscribers".to_owned(),
        up: "µs of CPU time per delivered packet".to_owned(),
        lines: lines.to_vec(),
    });
    findings.raw = json!(raw);
    findings.finish(results)
}
