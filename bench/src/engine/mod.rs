//! What the engine itself costs: real keys and real packets, no socket. Measured as thread CPU
//! time against a floor that only copies, writes a header and seals, in interleaved rounds.

pub mod audience;
mod call;
mod floor;

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use call::Call;
use floor::Floor;

/// Payload bytes of a packet, as in the cost model this is compared with.
const PAYLOAD_BYTES: usize = 1100;
/// Packets handled before each drain: a 1 Mbit/s frame at 30 fps.
const BATCH: usize = 4;

/// What to measure.
#[derive(Args)]
pub struct EngineArgs {
    /// Subscribers of the one publisher; may be repeated.
    #[arg(long, default_values_t = [50])]
    subscribers: Vec<usize>,
    /// Packets published in each round.
    #[arg(long, default_value_t = 2000)]
    packets: usize,
    /// Counted rounds; one more goes first and is not counted.
    #[arg(long, default_value_t = 6)]
    rounds: usize,
}

/// One line of the result.
#[derive(Serialize)]
pub struct EngineCost {
    subscribers: usize,
    /// CPU time per forwarded packet in µs: median, minimum, maximum over the rounds.
    engine_us: [f64; 3],
    /// The same for the floor.
    floor_us: [f64; 3],
    /// Engine ÷ floor of the same round.
    ratio: [f64; 3],
}

/// Runs the measurement.
pub fn run(args: &EngineArgs) -> Result<Vec<EngineCost>> {
    args.subscribers.iter().map(|&n| measure(n, args.packets, args.rounds)).collect()
}

/// Prints the result as a Markdown table.
#[allow(clippy::print_stdout, reason = "it is what the command is for")]
pub fn print(costs: &[EngineCost]) {
    println!("| subscribers | engine, µs per forwarded packet | floor, µs | engine ÷ floor |");
    println!("|---|---|---|---|");
    for cost in costs {
        let cell = |[median, min, max]: [f64; 3]| format!("{median:.3} ({min:.3}–{max:.3})");
        println!(
            "| {} | {} | {} | {} |",
            cost.subscribers,
            cell(cost.engine_us),
            cell(cost.floor_us),
            cell(cost.ratio)
        );
    }
}

fn measure(subscribers: usize, packets: usize, rounds: usize) -> Result<EngineCost> {
    let mut call = Call::new(subscribers)?;
    let mut floor = Floor::new(subscribers)?;
    let (mut engine_us, mut floor_us, mut ratio) = (Vec::new(), Vec::new(), Vec::new());
    let forwarded = (subscribers * packets) as f64;
    for round in 0..=rounds {
        let sealed = call.prepare(packets)?;
        let engine = cpu(|| call.forward(&sealed))?;
        let bare = cpu(|| floor.forward(packets))?;
        if round == 0 {
            continue;
        }
        engine_us.push(engine.as_secs_f64() * 1e6 / forwarded);
        floor_us.push(bare.as_secs_f64() * 1e6 / forwarded);
        ratio.push(engine.as_secs_f64() / bare.as_secs_f64());
    }
    Ok(EngineCost {
        subscribers,
        engine_us: spread(engine_us),
        floor_us: spread(floor_us),
        ratio: spread(ratio),
    })
}

/// CPU time of this thread spent in `work`.
fn cpu(work: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let now = || -> Result<Duration> {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        Ok(Duration::new(time.tv_sec.try_into()?, time.tv_nsec.try_into()?))
    };
    let before = now()?;
    work()?;
    Ok(now()? - before)
}

/// Median, minimum, maximum.
fn spread(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    let at = |i: usize| values.get(i).copied().unwrap_or(f64::NAN);
    [at(values.len() / 2), at(0), at(values.len().saturating_sub(1))]
}
