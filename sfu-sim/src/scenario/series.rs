//! What happened over time, for plots.

use std::fmt::Write;
use std::time::Duration;

use super::run::Outcome;

/// A participant at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Since the start of the world.
    pub at: Duration,
    /// Wait in its downlink's own queue, in ms.
    pub queue_ms: f64,
    /// The engine's estimate of its downlink, in kbit/s.
    pub estimate_kbit: f64,
    /// What the engine grants its videos, in kbit/s.
    pub allocated_kbit: f64,
    /// What arrived since the sample before, in kbit/s.
    pub received_kbit: f64,
    /// Width shown by each video m-line, in their order.
    pub widths: Vec<u16>,
    /// Pictures shown since the start, on all m-lines.
    pub frames: u64,
    /// Freezes of more than 200 ms since the start.
    pub freezes: u64,
}

/// The samples of outcomes as CSV in the long form: one value in each line.
#[must_use]
pub fn csv(outcomes: &[Outcome]) -> String {
    let mut out = String::from("scenario,seed,participant,time_s,series,value\n");
    for outcome in outcomes {
        for (who, samples) in &outcome.samples {
            for sample in samples {
                let mut line = |series: &str, value: f64| {
                    let (name, seed, at) = (outcome.name, outcome.seed, sample.at.as_secs_f64());
                    writeln!(out, "{name},{seed},{who},{at:.1},{series},{value}")
                        .expect("strings take everything");
                };
                line("queue_ms", sample.queue_ms);
                line("estimate_kbit", sample.estimate_kbit);
                line("allocated_kbit", sample.allocated_kbit);
                line("received_kbit", sample.received_kbit);
                line("freezes", sample.freezes as f64);
                line("frames", sample.frames as f64);
                for (tile, &width) in sample.widths.iter().enumerate() {
                    line(&format!("width_{tile}"), width.into());
                }
            }
        }
    }
    out
}
