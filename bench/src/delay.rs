//! `bench delay`: how long a packet takes through the server, at given loads of its processor. From
//! just before the publisher's send to the kernel's stamp at each subscriber's socket, so neither
//! side's own scheduling is in it but the server's.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use hdrhistogram::Histogram;
use serde_json::{Value, json};

use crate::drive::{Rig, Setup};
use crate::floor::Kind;
use crate::results::{Findings, Table};
use crate::run::{ServerArgs, duration};

/// Rounds in which the rate is found that makes the wanted load, and the length of each.
const SEARCHES: usize = 5;
const SEARCH: Duration = Duration::from_millis(700);
/// The rate grows no faster than this from one to the next, so that estimates can follow.
const GROWTH_MAX: f64 = 2.0;
/// Goals in µs: at half load the median and p99, and at most load p99.
const HALF_P50_MAX: f64 = 100.0;
const HALF_P99_MAX: f64 = 1000.0;
const MOST_P99_MAX: f64 = 5000.0;

/// At which loads.
#[derive(Debug, Args)]
pub struct DelayArgs {
    #[command(flatten)]
    setup: Setup,
    #[command(flatten)]
    server: ServerArgs,
    /// Load of one processor by the server, in per cent; may be repeated.
    #[arg(long, default_values_t = [50, 90], value_parser = clap::value_parser!(u32).range(1..=100))]
    load: Vec<u32>,
    /// How long each is measured.
    #[arg(long, value_parser = duration, default_value = "5s")]
    measure: Duration,
}

/// Finds the rates and measures.
pub async fn run(args: &DelayArgs, results: Option<&Path>) -> Result<bool> {
    let setup = &args.setup;
    let (name, title) = match setup.rooms {
        1 => ("delay-one-room", "How long forwarding takes, in one large room"),
        _ => ("delay", "How long forwarding takes"),
    };
    let mut findings = Findings::begin(name, title);
    // The floor knows no rooms: it has one of the same size.
    let share = Setup { subscribers: setup.subscribers / setup.rooms, rooms: 1, ..setup.clone() };
    let mut rigs = [
        Rig::floor(Kind::F1, &share)?,
        Rig::server("server", &args.server.clone().or_built()?, setup, 0).await?,
    ];
    let mut table = Table::new(
        &format!(
            "{} rooms, each of 1 publisher and {} subscribers (F1: one such), {}-byte payloads, \
             frames of {}, {}; from just before the publisher's send to the kernel's stamp at each \
             subscriber's socket, in µs, over {:?}:",
            setup.rooms,
            share.subscribers,
            setup.payload,
            setup.burst,
            if setup.no_transport_cc { "not paced" } else { "paced by estimates" },
            args.measure
        ),
        &[
            "program",
            "load aimed at",
            "found",
            "packets a second",
            "delivered",
            "p50",
            "p90",
            "p99",
            "p99.9",
            "max",
        ],
    );
    let mut raw = Vec::new();
    for &load in &args.load {
        for rig in &mut rigs {
            let rate = find_rate(rig, f64::from(load) / 100.0).await?;
            let (round, delays) = rig.timed_round(rate, args.measure).await?;
            let at = |quantile| micros(&delays, quantile);
            table.row([
                rig.name.clone(),
                format!("{load} %"),
                format!("{:.0} %", 100.0 * round.utilisation()),
                format!("{:.0}", round.delivered as f64 / round.wall_s),
                format!("{:.2} %", 100.0 * round.delivered as f64 / round.expected as f64),
                format!("{:.0}", at(0.5)),
                format!("{:.0}", at(0.9)),
                format!("{:.0}", at(0.99)),
                format!("{:.0}", at(0.999)),
                format!("{:.0}", at(1.0)),
            ]);
            if rig.name == "server" {
                judge(&mut findings, load, &delays);
            }
            raw.push(json!({ "name": rig.name, "load": load, "rate": rate, "round": round,
                "delays_ns": curve(&delays) }));
        }
    }
    findings.tables.push(table);
    findings.notes.push(
        "Wall time: on a machine that does other things as well (see its load average) these \
         figures are of the machine as much as of the program; compare with F1's."
            .to_owned(),
    );
    findings.raw = json!({ "setup": setup, "runs": raw });
    findings.finish(results)
}

fn judge(findings: &mut Findings, load: u32, delays: &Histogram<u64>) {
    let mut hold = |quantile, most| {
        let what = format!("delay at {load} % load, p{:.0}, in µs", 100.0 * quantile);
        findings.at_most(&what, micros(delays, quantile).into(), most);
    };
    if load <= 50 {
        hold(0.5, HALF_P50_MAX);
        hold(0.99, HALF_P99_MAX);
    } else {
        hold(0.99, MOST_P99_MAX);
    }
}

/// The packets a second that make this load: by CPU time per packet, so that other programs on the
/// same processor do not count.
async fn find_rate(rig: &mut Rig, load: f64) -> Result<f64> {
    let mut rate = f64::from(rig.setup.packets_per_second);
    // A server finds out first what its paths carry.
    rig.publish(rate, 2 * SEARCH)?;
    for _ in 0..SEARCHES {
        let (round, _) = rig.timed_round(rate, SEARCH).await?;
        let now = rate * rig.setup.subscribers as f64 * round.cost_us() / 1e6;
        rate *= (load / now).clamp(1.0 / GROWTH_MAX, GROWTH_MAX);
    }
    rig.publish(rate, 2 * SEARCH)?;
    rig.settle()?;
    Ok(rate)
}

fn micros(delays: &Histogram<u64>, quantile: f64) -> f64 {
    delays.value_at_quantile(quantile) as f64 / 1000.0
}

/// The distribution, by percentile.
fn curve(delays: &Histogram<u64>) -> Value {
    let quantiles = [0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 0.9999, 1.0];
    quantiles.iter().map(|&q| json!([q, delays.value_at_quantile(q)])).collect()
}
