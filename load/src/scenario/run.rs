//! The course of a run: join, warm up, measure, stop, account, leave.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::ensure;

use super::crowd::{Crowd, Joined, leave};
use super::outcome::{ClientCost, Delay, Joins, Outcome, Packets};
use super::plan::Plan;
use super::progress::Progress;
use super::usage::{Gauge, ServerUse, kernel_drops};
use super::{LoadArgs, Target};
use crate::client::{ClientId, ClientReport};
use crate::fleet::{Fleet, FleetConfig, FleetUse};
use crate::wire::Profile;

/// How long the last packets, and what is missing, may take.
const GRACE: Duration = Duration::from_millis(1000);
/// Before the end everything is decrypted, so that the last packet of each stream is known.
const OPEN_ALL: Duration = Duration::from_millis(250);

/// What was counted, at one moment.
struct Mark {
    at: Instant,
    fleet: FleetUse,
    stage_cpu_ns: u64,
    sent: u64,
    server: Option<ServerUse>,
}

/// Makes the load, prints what came of it and writes it to `json`; whether nothing failed.
pub async fn run_and_tell(
    args: &LoadArgs,
    target: &Target,
    json: Option<&Path>,
) -> anyhow::Result<bool> {
    let outcome = run(args, target).await?;
    println!("{}", outcome.markdown());
    let failures = outcome.failures();
    for failure in &failures {
        println!("**FAILED**: {failure}");
    }
    if let Some(path) = json {
        let mut value = serde_json::to_value(&outcome)?;
        value["command"] = std::env::args().collect::<Vec<_>>().join(" ").into();
        value["failures"] = failures.clone().into();
        std::fs::write(path, serde_json::to_string_pretty(&value)?)?;
    }
    Ok(failures.is_empty())
}

/// Makes the load and tells what came of it. An error means that there was no measurement.
pub async fn run(args: &LoadArgs, target: &Target) -> anyhow::Result<Outcome> {
    let plan = Plan::of(args)?;
    let fleet = Fleet::start(fleet_config(args))?;
    let crowd = Crowd::new(fleet, plan.clone(), args.clone(), target)?;
    let gauge = match target.pid {
        Some(pid) => Gauge::Process(pid),
        None => Gauge::Metrics { http: crowd.http().clone(), url: crowd.base().join("metrics")? },
    };
    let mut progress = Progress::new(crowd.fleet(), args.quiet);

    let mut joined = progress
        .during(crowd.fleet(), "joining", async {
            let mut joined = crowd.publishers().await;
            joined.add(crowd.subscribers(plan.subscribers, plan.join_rate).await);
            tokio::time::sleep(args.warm_up).await;
            joined
        })
        .await;
    if joined.sessions.is_empty() {
        let why = joined.failures.pop();
        return Err(why.unwrap_or_else(|| anyhow::anyhow!("nobody joined")));
    }

    crowd.fleet().measure();
    let begun = mark(&crowd, &gauge).await;
    let (storm, ended) = progress
        .during(crowd.fleet(), "measuring", measured(&crowd, &plan, &gauge, begun.at))
        .await;
    let mut outcome = progress
        .during(
            crowd.fleet(),
            "counting",
            finish(&crowd, &plan, args, [begun, ended], &joined, &storm),
        )
        .await?;
    joined.add(storm);
    outcome.join_failures = joined.failures.iter().map(|error| format!("{error:#}")).collect();
    let unended = progress.during(crowd.fleet(), "leaving", leave(joined.sessions)).await;
    outcome.leave_failures = unended.len();
    drop(progress);
    Ok(outcome)
}

fn fleet_config(args: &LoadArgs) -> FleetConfig {
    FleetConfig {
        threads: args.threads as usize,
        open_one_in: args.decrypt.max(1),
        lose_one_in: args.lose_one_in,
        feedback: args.feedback,
        nack: !args.no_nack,
        bind: args.bind,
        profiles: if args.aes_cm { vec![Profile::Cm] } else { vec![Profile::Gcm, Profile::Cm] },
        late_after: args.late,
    }
}

async fn mark(crowd: &Crowd, gauge: &Gauge) -> Mark {
    let server = gauge.read().await;
    Mark {
        at: Instant::now(),
        fleet: crowd.fleet().used(),
        stage_cpu_ns: crowd.fleet().stage.used().cpu_ns,
        sent: crowd.fleet().sources.sent(),
        server,
    }
}

/// The measured time, with its storm of joins in the middle.
async fn measured(crowd: &Crowd, plan: &Plan, gauge: &Gauge, begun: Instant) -> (Joined, Mark) {
    let until = |part: f64| tokio::time::Instant::from_std(begun + plan.duration.mul_f64(part));
    let mut storm = Joined::default();
    if plan.storm > 0 {
        tokio::time::sleep_until(until(0.5)).await;
        let rate = f64::from(plan.storm * plan.rooms);
        storm = crowd.subscribers(plan.storm, rate).await;
    }
    tokio::time::sleep_until(until(1.0)).await;
    (storm, mark(crowd, gauge).await)
}

/// Stops the publishers, waits for the last packets and makes the account.
async fn finish(
    crowd: &Crowd,
    plan: &Plan,
    args: &LoadArgs,
    [begun, ended]: [Mark; 2],
    joined: &Joined,
    storm: &Joined,
) -> anyhow::Result<Outcome> {
    let fleet = crowd.fleet();
    fleet.open_all();
    tokio::time::sleep(OPEN_ALL).await;
    fleet.stage.stop_all();
    tokio::time::sleep(GRACE).await;
    let (reports, delays) = fleet.collect().await?;
    ensure!(!reports.is_empty(), "no client is left");

    let storming: HashSet<ClientId> = storm.ids().into_iter().collect();
    let watching: HashSet<ClientId> = joined.ids().into_iter().collect();
    let of = |ids: &HashSet<ClientId>| -> Vec<&ClientReport> {
        reports.iter().filter(|report| ids.contains(&report.id)).collect()
    };
    let ports: BTreeSet<u16> = reports.iter().map(|report| report.port).collect();
    let stage = fleet.stage.used();
    let (before, after) = (&begun.fleet, &ended.fleet);
    let window = after.counters.since(before.counters);
    let total = fleet.used().counters.since(before.counters);
    let seconds = (ended.at - begun.at).as_secs_f64();
    let mut outcome = Outcome {
        plan: plan.clone(),
        bounds: args.into(),
        seconds,
        delivered: window.delivered,
        packets: Packets {
            published: ended.sent - begun.sent,
            recovered: total.recovered,
            nacked: total.nacked,
            duplicates: total.duplicates,
            padding: total.padding,
            late: delays.late,
            undecryptable: total.undecryptable,
            foreign: total.foreign,
            ..Packets::default()
        },
        delay_us: Delay::of(&delays),
        counters: window,
        joins: Joins::of(&of(&watching)),
        storm: (plan.storm > 0).then(|| Joins::of(&of(&storming))),
        client: ClientCost {
            receive_ns: window.cpu_ns as f64 / window.datagrams.max(1) as f64,
            datagrams_per_call: window.datagrams as f64 / window.receive_calls.max(1) as f64,
            busiest: (after.busiest_ns - before.busiest_ns) as f64 / 1e9 / seconds,
            cpu_s: (window.cpu_ns + ended.stage_cpu_ns - begun.stage_cpu_ns) as f64 / 1e9,
            lag_us: Delay::of(&stage.lag),
            send_errors: stage.errors + total.send_errors,
            kernel_drops: kernel_drops(&ports),
        },
        server: None,
        ended: after.over,
        join_failures: Vec::new(),
        leave_failures: 0,
    };
    outcome.add_streams(&reports);
    outcome.add_server(begun.server, ended.server);
    Ok(outcome)
}
