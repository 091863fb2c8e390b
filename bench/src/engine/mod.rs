//! What the engine itself costs: real keys, real packets and real reports, no socket. CPU time
//! against F0 in interleaved rounds, allocations, memory, and instructions as a gate for changes.

mod call;
mod instructions;
mod memory;
mod meter;

use std::path::Path;

use anyhow::{Result, ensure};
use clap::Args;
use serde::Serialize;
use serde_json::json;

use self::call::{Call, Script};
use crate::alloc::Allocated;
use crate::floor::Forge;
use crate::lean::FeedbackPlan;
use crate::results::{Findings, Line, Plot, Spread, Table};
use crate::sys::thread_cpu;

pub use instructions::play_script;

/// Cost ÷ F0's at up to 50 subscribers, and at more.
const FEW_MAX: f64 = 3.0;
const MANY_MAX: f64 = 4.0;
/// Allocations per forwarded packet, at most.
const ALLOCATIONS_MAX: f64 = 0.001;

/// What to measure.
#[derive(Debug, Args)]
pub struct EngineArgs {
    /// Subscribers of the one publisher; may be repeated.
    #[arg(long, default_values_t = [50, 999])]
    subscribers: Vec<usize>,
    /// Frames published in each round, 30 a second of virtual time.
    #[arg(long, default_value_t = 300)]
    frames: usize,
    /// Packets of a frame.
    #[arg(long, default_value_t = 4)]
    batch: u32,
    /// Bytes of an RTP payload.
    #[arg(long, default_value_t = 1100)]
    payload: usize,
    /// Counted rounds; one more goes first and is not counted.
    #[arg(long, default_value_t = 6)]
    rounds: usize,
    /// Count instructions and fail if they have grown by more than 5 %.
    #[arg(long)]
    check: bool,
    /// Count instructions and write them down as what later changes are held against.
    #[arg(long, conflicts_with = "check")]
    record: bool,
}

/// One line of the result.
#[derive(Serialize)]
struct Cost {
    subscribers: usize,
    /// CPU time per forwarded packet, in µs.
    engine_us: Spread,
    floor_us: Spread,
    ratio: Spread,
    allocations: f64,
    /// Bytes that stayed allocated over all rounds.
    grown_bytes: i64,
}

/// Runs the measurement, or the gate.
pub fn run(args: &EngineArgs, results: Option<&Path>) -> Result<bool> {
    if args.check || args.record {
        return instructions::gate(args.record);
    }
    ensure!(Allocated::is_counting(), "this program does not count its allocations");
    let mut findings = Findings::begin("engine", "The engine without a socket");
    let costs: Vec<Cost> =
        args.subscribers.iter().map(|&n| args.measure(n, USUAL)).collect::<Result<_>>()?;
    findings.tables.push(args.table(
        "with transport-wide feedback, receiver reports, NACKs of 1 packet in 100, and consent",
        &costs,
    ));
    for cost in &costs {
        let most = if cost.subscribers <= 50 { FEW_MAX } else { MANY_MAX };
        let what = format!("engine, {} subscribers", cost.subscribers);
        findings.at_most(&format!("{what}: cost ÷ F0"), cost.ratio, most);
        let allocations = cost.allocations.into();
        findings.at_most(&format!("{what}: allocations per packet"), allocations, ALLOCATIONS_MAX);
    }
    let silent: Vec<Cost> =
        args.subscribers.iter().map(|&n| args.measure(n, SILENT)).collect::<Result<_>>()?;
    findings.tables.push(args.table("no reports from subscribers, only consent", &silent));
    let memory = memory::measure()?;
    memory.report(&mut findings);
    if costs.len() > 1 {
        findings.plots.push(plot(&costs));
    }
    findings.raw = json!({ "costs": costs, "without_reports": silent, "memory": memory });
    findings.finish(results)
}

/// Heap allocations for each forwarded packet, once everything has grown to its size, for a program
/// that counts them.
pub fn allocations(subscribers: usize, frames: usize) -> Result<f64> {
    ensure!(Allocated::is_counting(), "this program does not count its allocations");
    let script = Script { subscribers, batch: 4, payload_bytes: 1100, feedback: USUAL };
    let mut call = Call::new(script)?;
    call.play(frames, false)?;
    let before = call.engine.stats().rtp_out;
    call.meter.reset();
    call.play(frames, false)?;
    let forwarded = call.engine.stats().rtp_out - before;
    Ok(call.meter.allocated.blocks as f64 / forwarded as f64)
}

impl EngineArgs {
    fn measure(&self, subscribers: usize, feedback: FeedbackPlan) -> Result<Cost> {
        let Self { batch, payload: payload_bytes, .. } = *self;
        let mut call = Call::new(Script { subscribers, batch, payload_bytes, feedback })?;
        let mut floor = Forge::new(subscribers)?;
        let payload = vec![7; self.payload];
        let packets = self.frames * self.batch as usize;
        let (mut engine_us, mut floor_us, mut ratio) = (Vec::new(), Vec::new(), Vec::new());
        let (mut blocks, mut grown_bytes, mut forwarded) = (0, 0, 0);
        for round in 0..=self.rounds {
            let before = call.engine.stats().rtp_out;
            call.meter.reset();
            call.play(self.frames, false)?;
            let done = call.engine.stats().rtp_out - before;
            let start = thread_cpu();
            floor.turn_over(packets, self.batch as usize, &payload)?;
            let bare = (thread_cpu() - start).as_secs_f64() * 1e6;
            if round == 0 {
                continue;
            }
            ensure!(
                done as usize >= packets * subscribers * 99 / 100,
                "only {done} packets went on"
            );
            let engine = call.meter.cpu.as_secs_f64() * 1e6 / done as f64;
            let bare = bare / (packets * subscribers) as f64;
            engine_us.push(engine);
            floor_us.push(bare);
            ratio.push(engine / bare);
            blocks += call.meter.allocated.blocks;
            grown_bytes += call.meter.allocated.live_bytes;
            forwarded += done;
        }
        Ok(Cost {
            subscribers,
            engine_us: engine_us.into_iter().collect(),
            floor_us: floor_us.into_iter().collect(),
            ratio: ratio.into_iter().collect(),
            allocations: blocks as f64 / forwarded as f64,
            grown_bytes,
        })
    }

    fn table(&self, feedback: &str, costs: &[Cost]) -> Table {
        let mut table = Table::new(
            &format!(
                "CPU time per forwarded packet: one publisher, {}-byte payloads, {} packets a \
                 frame, {feedback}; median (minimum–maximum) of {} interleaved rounds:",
                self.payload, self.batch, self.rounds
            ),
            &[
                "subscribers",
                "engine, µs",
                "F0, µs",
                "÷ F0",
                "allocations per packet",
                "grown, bytes",
            ],
        );
        for cost in costs {
            table.row([
                cost.subscribers.to_string(),
                cost.engine_us.to_string(),
                cost.floor_us.to_string(),
                format!("{:.2}", cost.ratio),
                format!("{:.4}", cost.allocations),
                cost.grown_bytes.to_string(),
            ]);
        }
        table
    }
}

/// What a browser reports, with a little loss.
const USUAL: FeedbackPlan =
    FeedbackPlan { transport_cc: true, reports: true, nack_one_in: Some(100) };
/// Nothing.
const SILENT: FeedbackPlan =
    FeedbackPlan { transport_cc: false, reports: false, nack_one_in: None };

fn plot(costs: &[Cost]) -> Plot {
    let line = |name: &str, read: fn(&Cost) -> f64| Line {
        name: name.to_owned(),
        points: costs.iter().map(|cost| (cost.subscribers as f64, read(cost))).collect(),
    };
    Plot {
        name: "engine".to_owned(),
        title: "The engine without a socket".to_owned(),
        across: "subscribers".to_owned(),
        up: "µs of CPU time per forwarded packet".to_owned(),
        lines: vec![
            line("engine", |cost| cost.engine_us.median),
            line("F0", |cost| cost.floor_us.median),
        ],
    }
}
