//! `bench churn`: participants join and leave, thousands of times; afterwards the server must hold
//! nothing of them.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::Args;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::Serialize;
use tokio::time::Instant;

use super::{Metrics, ProcessUse, Report, Server, ServerArgs};
use crate::client::{HttpSession, Join, Participant, Peer, ServerUrl, until};
use crate::media::VideoPlan;

/// How long gauges may take to come to zero after the last goodbye.
const SETTLE: Duration = Duration::from_secs(5);
/// Packets a joiner waits for before it leaves.
const PACKETS: u64 = 5;

/// How much coming and going.
#[derive(Clone, Debug, Args)]
pub struct ChurnArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Joins per round.
    #[arg(long, default_value_t = 1000)]
    joins: usize,
    /// Rounds. Memory is compared between the last two.
    #[arg(long, default_value_t = 2)]
    rounds: usize,
    /// Joiners at a time.
    #[arg(long, default_value_t = 4)]
    at_once: usize,
    /// Growth of the server's memory in the last round that is too much, in KiB.
    #[arg(long, default_value_t = 1024)]
    growth_kib_max: u64,
}

/// What was left after a round.
#[derive(Debug, Serialize)]
pub struct Round {
    /// Joins and leaves carried out.
    pub joins: usize,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Gauges of rooms, participants, peers, tracks, subscriptions, timers, addresses and pages of
    /// payloads.
    pub left: Vec<(String, f64)>,
    /// What the server's process had used; absent if it was not spawned here.
    pub server: Option<ProcessUse>,
}

/// What a churn run found.
#[derive(Debug, Serialize)]
pub struct ChurnOutcome {
    /// Round by round.
    pub rounds: Vec<Round>,
    /// Memory the server gained in the last round, in KiB.
    pub growth_kib: Option<i64>,
    /// How much would be too much.
    pub growth_kib_max: u64,
    /// The server's drop counters that are not zero.
    pub drops: Vec<(String, f64)>,
}

/// Runs all rounds.
pub async fn run(args: &ChurnArgs) -> anyhow::Result<ChurnOutcome> {
    ensure!(args.rounds > 0 && args.joins > 0 && args.at_once > 0, "nothing to do");
    let server = Server::start(&args.server).await?;
    let mut rounds: Vec<Round> = Vec::new();
    for number in 0..args.rounds {
        let round = round(args, &server).await.with_context(|| format!("round {number}"))?;
        eprintln!("round {number}: {} joins in {:.1} s", round.joins, round.seconds);
        rounds.push(round);
    }
    let rss = |round: &Round| round.server.and_then(|used| i64::try_from(used.rss_kib).ok());
    let growth_kib = match rounds.as_slice() {
        [.., before, last] => rss(last).zip(rss(before)).map(|(last, before)| last - before),
        _ => None,
    };
    let drops = Metrics::scrape(&server.url).await?.above_zero("drop");
    Ok(ChurnOutcome { rounds, growth_kib, growth_kib_max: args.growth_kib_max, drops })
}

async fn round(args: &ChurnArgs, server: &Server) -> anyhow::Result<Round> {
    let start = Instant::now();
    let left = come_and_go(&server.url, args.joins, args.at_once).await?;
    let seconds = start.elapsed().as_secs_f64();
    Ok(Round { joins: args.joins, seconds, left, server: server.used()? })
}

/// A standing publisher, and `joins` others that come and go beside it. Returns the server's gauges
/// when all have left.
pub async fn come_and_go(
    server: &ServerUrl,
    joins: usize,
    at_once: usize,
) -> anyhow::Result<Vec<(String, f64)>> {
    let standing =
        HttpSession::publish(server, "churn", Some(VideoPlan::camera(300_000, 30)), true).await?;
    stream::iter(0..joins)
        .map(|n| async move { visit(server, n).await.with_context(|| format!("join {n}")) })
        .buffer_unordered(at_once)
        .try_collect::<()>()
        .await?;
    standing.close().await.context("the standing publisher")?;
    emptied(server).await
}

/// One join with ICE, DTLS and a few packets, then a goodbye. Each third is of another kind.
async fn visit(server: &ServerUrl, n: usize) -> anyhow::Result<()> {
    match n % 3 {
        0 => {
            let viewer = HttpSession::watch(server, "churn", None).await?;
            receive(&viewer.peer).await.context("a WHEP viewer")?;
            viewer.close().await
        }
        1 => {
            let room = format!("churn-{}", n % 7);
            let plan = VideoPlan::camera(300_000, 30);
            let publisher = HttpSession::publish(server, &room, Some(plan), true).await?;
            until("a few packets sent", || {
                let camera = publisher.camera.as_ref()?;
                (camera.sent() >= PACKETS).then_some(())
            })
            .await?;
            publisher.close().await
        }
        _ => {
            let join = Join {
                room: "churn".to_owned(),
                name: format!("visitor {n}"),
                video: Some(VideoPlan::camera(300_000, 30)),
                ..Default::default()
            };
            let participant = Participant::join(server, join).await?;
            receive(participant.peer()).await.context("a WebSocket participant")?;
            participant.leave().await.map(drop)
        }
    }
}

async fn receive(peer: &Peer) -> anyhow::Result<()> {
    until("a few packets", || (peer.tap().ledger().packets() >= PACKETS).then_some(())).await
}

/// The server's gauges of population, once they are all zero or [`SETTLE`] is over.
pub async fn emptied(server: &ServerUrl) -> anyhow::Result<Vec<(String, f64)>> {
    let deadline = Instant::now() + SETTLE;
    loop {
        let left = Metrics::scrape(server).await?.population()?;
        if left.iter().all(|(_, value)| *value == 0.0) || Instant::now() >= deadline {
            return Ok(left);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

impl Report for ChurnOutcome {
    fn markdown(&self) -> String {
        self.told().expect("writing to a string")
    }

    fn failures(&self) -> Vec<String> {
        let mut failures = Vec::new();
        for (number, round) in self.rounds.iter().enumerate() {
            for (name, value) in round.left.iter().filter(|(_, value)| *value != 0.0) {
                failures.push(format!("after round {number}: {name} is {value}"));
            }
        }
        if let Some(growth) = self.growth_kib
            && growth > i64::try_from(self.growth_kib_max).unwrap_or(i64::MAX)
        {
            failures.push(format!("memory grew by {growth} KiB in the last round"));
        }
        failures
    }
}

impl ChurnOutcome {
    fn told(&self) -> Result<String, std::fmt::Error> {
        let mut out = String::from(
            "| round | joins | seconds | left behind | memory KiB | descriptors | threads | CPU s |\n\
             |---|---|---|---|---|---|---|---|\n",
        );
        for (number, round) in self.rounds.iter().enumerate() {
            let left: f64 = round.left.iter().map(|(_, value)| *value).sum();
            let used = round.server.unwrap_or_default();
            writeln!(
                out,
                "| {number} | {} | {:.1} | {left} | {} | {} | {} | {:.2} |",
                round.joins,
                round.seconds,
                used.rss_kib,
                used.descriptors,
                used.threads,
                used.user_s + used.system_s,
            )?;
        }
        if let Some(growth) = self.growth_kib {
            writeln!(out, "\nmemory growth in the last round: {growth} KiB")?;
        }
        for (name, value) in &self.drops {
            writeln!(out, "`{name}` {value}")?;
        }
        Ok(out)
    }
}
