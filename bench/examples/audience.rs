//! CPU time of the engine for each packet that leaves, with feedback and pacing: for profilers.
//! `cargo run --release -p bench --example audience -- SUBSCRIBERS FRAMES`

use std::cell::Cell;
use std::time::Duration;

use bench::engine::audience::{Audience, Watch};

thread_local! {
    static SPENT: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    static SINCE: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.cast_unsigned(), time.tv_nsec as u32)
}

const WATCH: Watch = Watch {
    enter: || SINCE.set(cpu_time()),
    leave: || SPENT.set(SPENT.get() + cpu_time() - SINCE.get()),
};

#[allow(clippy::print_stdout, reason = "it is what the program is for")]
fn main() -> anyhow::Result<()> {
    let mut numbers = std::env::args().skip(1).map(|text| text.parse::<usize>());
    let subscribers = numbers.next().transpose()?.unwrap_or(50);
    let frames = numbers.next().transpose()?.unwrap_or(900);
    let mut audience = Audience::new(subscribers, WATCH)?;
    for _ in 0..300 {
        audience.frame()?;
    }
    for _ in 0..6 {
        let before = (SPENT.get(), audience.received(), audience.runs());
        for _ in 0..frames / 6 {
            audience.frame()?;
        }
        let packets = (audience.received() - before.1) as f64;
        let spent = SPENT.get() - before.0;
        println!(
            "{:.3} µs a packet, {:.2} packets a run",
            spent.as_secs_f64() * 1e6 / packets,
            packets / (audience.runs() - before.2) as f64
        );
    }
    Ok(())
}
