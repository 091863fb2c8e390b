//! The rounds: each contender in turn under the same load, the order turned by one each round.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use serde::Serialize;
use serde_json::Value;

use super::contender::Running;
use super::namespace::ADDRESS;
use super::{Contender, PeersArgs};

/// Viewers that join in a second.
const JOIN_RATE: u32 = 25;

/// What one run of the load found.
#[derive(Clone, Debug, Serialize)]
pub struct Sample {
    /// Of which server.
    pub contender: Contender,
    /// Viewers of the one publisher.
    pub viewers: u32,
    /// 0 is the round that does not count.
    pub round: u32,
    /// Packets delivered in the measured time.
    pub delivered: u64,
    /// The measured time.
    pub seconds: f64,
    /// CPU time of the server's process in it, kernel included.
    pub cpu_s: f64,
    /// Resident memory at its end.
    pub rss_bytes: u64,
    /// Packets that never came, of those that should have.
    pub lost_percent: f64,
    /// Of them, how many came by retransmission.
    pub recovered: u64,
    /// From due at the publisher to received, in microseconds: median and 99th percentile.
    pub delay_us: [f64; 2],
    /// Datagrams that the load generator was too slow to read.
    pub dropped_by_load: u64,
    /// Share of a core that its busiest receiving thread took.
    pub load_busiest: f64,
    /// Load average of the machine over the minute before.
    pub load_average: f64,
}

impl Sample {
    /// CPU time for a delivered packet, in microseconds.
    #[must_use]
    pub fn us_per_packet(&self) -> f64 {
        self.cpu_s * 1e6 / self.delivered.max(1) as f64
    }
}

/// All rounds of all loads.
pub(super) async fn all(args: &PeersArgs, contenders: &[Contender]) -> anyhow::Result<Vec<Sample>> {
    let mut samples = Vec::new();
    for viewers in &args.viewers {
        for round in 0..=args.rounds {
            for place in 0..contenders.len() {
                let contender = contenders[(place + round as usize) % contenders.len()];
                let sample = one(args, contender, *viewers, round)
                    .await
                    .with_context(|| format!("{} with {viewers} viewers", contender.name()))?;
                println!(
                    "{viewers} viewers, round {round}: {}: {:.2} µs for a packet, {:.3} % lost",
                    contender.name(),
                    sample.us_per_packet(),
                    sample.lost_percent,
                );
                samples.push(sample);
            }
        }
    }
    Ok(samples)
}

async fn one(
    args: &PeersArgs,
    contender: Contender,
    viewers: u32,
    round: u32,
) -> anyhow::Result<Sample> {
    let load_average = load_average();
    let server = Running::start(contender, args).await?;
    let outcome = std::env::temp_dir().join(format!("peers-{}.json", std::process::id()));
    let output = Command::new(args.load())
        .arg("load")
        .args(["--url", &server.url])
        .args(["--pid", &server.pid.to_string()])
        .args(["--bind", &ADDRESS.to_string()])
        .args(["--via", "whip"])
        .args(["--subscribers", &viewers.to_string()])
        .args(["--bitrate", &args.bitrate])
        .args(["--packet-size", &args.packet_size.to_string()])
        .args(["--join-rate", &JOIN_RATE.to_string()])
        .args(["--duration", &format!("{}s", args.seconds)])
        .args(["--lose-one-in", &args.lose_one_in.to_string()])
        .arg("--json")
        .arg(&outcome)
        .arg("--quiet")
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("starting {}", args.load().display()))?;
    drop(server);
    let found = std::fs::read(&outcome);
    // It need not be there if the load failed.
    let _ = std::fs::remove_file(&outcome);
    let said = || String::from_utf8_lossy(&output.stderr).trim().to_owned();
    let found =
        found.with_context(|| format!("the load ended by {}: {}", output.status, said()))?;
    let sample = read(contender, viewers, round, load_average, &serde_json::from_slice(&found)?);
    let sample = sample.context("not what `sfu load --json` writes")?;
    ensure!(sample.delivered > 0, "nothing was delivered: {}", said());
    Ok(sample)
}

/// Takes what is needed from the outcome of `sfu load`.
fn read(
    contender: Contender,
    viewers: u32,
    round: u32,
    load_average: f64,
    outcome: &Value,
) -> Option<Sample> {
    let packets = &outcome["packets"];
    let count = |value: &Value| value.as_u64();
    let received = count(&packets["received"])?;
    let missing = count(&packets["lost"])? + count(&packets["withheld"])?;
    Some(Sample {
        contender,
        viewers,
        round,
        delivered: count(&outcome["delivered"])?,
        seconds: outcome["seconds"].as_f64()?,
        cpu_s: outcome["server"]["cpu_s"].as_f64()?,
        rss_bytes: count(&outcome["server"]["rss_bytes"])?,
        lost_percent: missing as f64 * 100.0 / (received + missing).max(1) as f64,
        recovered: count(&packets["recovered"])?,
        delay_us: [outcome["delay_us"]["p50"].as_f64()?, outcome["delay_us"]["p99"].as_f64()?],
        dropped_by_load: count(&outcome["client"]["kernel_drops"])?,
        load_busiest: outcome["client"]["busiest"].as_f64()?,
        load_average,
    })
}

fn load_average() -> f64 {
    let text = std::fs::read_to_string(Path::new("/proc/loadavg")).unwrap_or_default();
    text.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_is_read_or_refused() {
        let mut outcome = serde_json::json!({
            "delivered": 1000, "seconds": 2.0,
            "packets": { "received": 1100, "lost": 60, "withheld": 40, "recovered": 7 },
            "delay_us": { "p50": 100.0, "p99": 900.5 },
            "server": { "cpu_s": 0.005, "rss_bytes": 4096 },
            "client": { "kernel_drops": 3, "busiest": 0.25 },
        });
        let sample = read(Contender::Pion, 50, 1, 0.5, &outcome).unwrap();
        assert!((sample.us_per_packet() - 5.0).abs() < 1e-9);
        assert!((sample.lost_percent - 100.0 / 12.0).abs() < 1e-9);
        assert_eq!((sample.delay_us, sample.dropped_by_load), ([100.0, 900.5], 3));
        outcome["server"] = Value::Null;
        assert!(read(Contender::Pion, 50, 1, 0.5, &outcome).is_none(), "no CPU time, no sample");
    }
}
