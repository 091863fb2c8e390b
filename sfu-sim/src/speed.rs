//! How fast the world turns: virtual seconds for each second of processor time, in rooms of some
//! shapes. Run by `cargo xtask sim speed`.

use std::fmt::Write;
use std::time::{Duration, Instant};

use sfu_core::negotiation::MediaKind;

use crate::plan::{Encoding, Plan, VideoPlan};
use crate::world::World;

/// A room to measure with.
#[derive(Clone, Debug)]
pub struct Shape {
    /// What it is called.
    pub name: &'static str,
    /// How many are in it.
    pub people: usize,
    /// What each of them does.
    pub plan: Plan,
}

/// Rooms of ten in which everybody sends a camera and a microphone and receives all of them.
#[must_use]
pub fn shapes() -> Vec<Shape> {
    let camera = |bits_per_second| {
        let encodings = vec![Encoding { rid: None, bits_per_second }];
        Plan::publisher().with_video(VideoPlan { encodings, ..VideoPlan::default() })
    };
    let shape = |name, plan| Shape { name, people: 10, plan };
    vec![
        shape("ten, 1 Mbit/s cameras", camera(1_000_000)),
        shape("ten, 300 kbit/s cameras", camera(300_000)),
        shape("ten, 3 encodings", Plan::publisher().with_video(VideoPlan::simulcast())),
    ]
}

/// What was measured.
#[derive(Clone, Copy, Debug)]
pub struct Speed {
    /// Virtual seconds for each second of processor time.
    pub times_real: f64,
    /// Datagrams delivered for each second of processor time.
    pub datagrams_per_second: f64,
    /// Pictures shown by the second on each video m-line: a room in which videos are paused is
    /// quicker, and not what was to be measured.
    pub pictures: f64,
}

/// Lets a room run for `lasts`, after the seconds in which everybody comes.
///
/// # Panics
/// If the world does not turn at all.
#[must_use]
#[allow(clippy::cast_precision_loss, reason = "counts far below 2^52")]
pub fn measure(shape: &Shape, seed: u64, lasts: Duration) -> Speed {
    let mut world = World::new(seed);
    let room = world.create_room();
    let people: Vec<_> = (0..shape.people).map(|_| world.join(room, shape.plan.clone())).collect();
    let pictures = |world: &World| {
        let now = world.now();
        people.iter().map(|&who| world.client(who).quality(now, MediaKind::Video).frames).sum()
    };
    world.run_for(Duration::from_secs(2));
    let before: u64 = pictures(&world);
    let (datagrams, began) = (world.delivered, processor_time());
    world.run_for(lasts);
    let took = (processor_time() - began).as_secs_f64().max(1e-9);
    Speed {
        times_real: lasts.as_secs_f64() / took,
        datagrams_per_second: (world.delivered - datagrams) as f64 / took,
        pictures: (pictures(&world) - before) as f64
            / lasts.as_secs_f64()
            / (shape.people * (shape.people - 1)) as f64,
    }
}

/// A table of every shape: one thread with one seed, then all processors with a seed each.
#[must_use]
pub fn table(lasts: Duration) -> String {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let mut out = format!(
        "| room | virtual s / CPU s | datagrams / CPU s | pictures / s / tile | {processors} seeds at once, virtual s / s |\n|---|---|---|---|---|\n"
    );
    for shape in shapes() {
        let one = measure(&shape, 1, lasts);
        let began = Instant::now();
        std::thread::scope(|scope| {
            for seed in 1..=processors as u64 {
                let shape = &shape;
                scope.spawn(move || measure(shape, seed, lasts));
            }
        });
        let all = lasts.as_secs_f64() * processors as f64 / began.elapsed().as_secs_f64();
        writeln!(
            out,
            "| {} | {:.0} | {:.2} million | {:.1} | {all:.0} |",
            shape.name,
            one.times_real,
            one.datagrams_per_second / 1e6,
            one.pictures,
        )
        .expect("strings take everything");
    }
    out
}

/// What the kernel has given this thread, so that others on the machine do not count; time that
/// passed where it does not say.
fn processor_time() -> Duration {
    thread_local!(static BEGAN: Instant = Instant::now());
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = told.and_then(|told| told.split(' ').next()?.parse().ok());
    nanos.map_or_else(|| BEGAN.with(Instant::elapsed), Duration::from_nanos)
}
