use super::world::{Format, Setup, World};
use std::time::Duration;

fn report(name: &str, world: &World, spans: &[(f64, f64)]) {
    println!("== {name}");
    for &(from, to) in spans {
        println!(
            "  {from:5.1}-{to:5.1}: goodput {:.3} queue p95 {:3} ms dropped {:.4} target mean {:.0} max {}",
            world.goodput(from, to),
            world.queue_p95_ms(from, to),
            world.dropped(from, to),
            world.target_mean(from, to),
            world.target_max(from, to),
        );
    }
}

#[test]
fn look() {
    let rfc = Setup {
        capacity: vec![(0.0, 1_000_000), (40.0, 2_500_000), (60.0, 600_000), (80.0, 1_000_000)],
        ..Setup::default()
    };
    for frames in [false, true] {
        for feedback in [50, 100, 200] {
            let world = World::run(
                Setup { frames, feedback: Duration::from_millis(feedback), ..rfc.clone() },
                100.0,
            );
            report(
                &format!("5.1 frames {frames} feedback {feedback}"),
                &world,
                &[(5.0, 40.0), (45.0, 60.0), (65.0, 80.0), (85.0, 100.0)],
            );
            println!("  up: {:.2} s", world.reaches(40.0, 2_000_000));
            println!(
                "  down: sent<=cap {:.2} queue<50 {:.2}",
                world.settles(60.0, 63.0, |s| s.target <= 620_000),
                world.settles(60.0, 64.0, |s| s.queue < Duration::from_millis(50))
            );
            println!("  probes {}", world.probes.len());
            if std::env::var("TRACE").is_ok() {
                println!("{}", world.trace(0.0, 3.0, 50));
                println!("{}", world.trace(10.0, 20.0, 100));
                println!("{}", world.trace(39.0, 50.0, 100));
                println!("{}", world.trace(59.5, 64.0, 50));
                return;
            }
        }
    }
    let start = World::run(Setup { capacity: vec![(0.0, 3_000_000)], ..Setup::default() }, 10.0);
    report("start 3M", &start, &[(0.0, 1.0), (1.0, 10.0)]);
    println!("  80 % after {:.2} s", start.reaches(0.0, 2_400_000));
    for loss in [0.02, 0.05, 0.1, 0.2] {
        for seed in 1..4 {
            let world = World::run(
                Setup { seed, loss, capacity: vec![(0.0, 2_000_000)], ..Setup::default() },
                60.0,
            );
            report(&format!("loss {loss}"), &world, &[(5.0, 60.0)]);
            println!(
                "  inherent {:.3} limit {:?}",
                world.sender.estimate().loss,
                world.sender.estimate().loss_bps
            );
        }
    }
    let idle = World::run(
        Setup {
            capacity: vec![(0.0, 3_000_000)],
            demand: vec![(0.0, 150_000), (60.0, 2_500_000)],
            ..Setup::default()
        },
        70.0,
    );
    report("idle", &idle, &[(0.0, 60.0), (60.0, 62.0), (62.0, 70.0)]);
    println!("  80 % after {:.2} s", idle.reaches(60.0, 2_000_000));
    let twcc = World::run(rfc.clone(), 100.0);
    let ccfb = World::run(Setup { format: Format::Ccfb, ..rfc.clone() }, 100.0);
    let spans = [(5.0, 40.0), (45.0, 60.0), (65.0, 80.0), (85.0, 100.0)];
    report("twcc", &twcc, &spans);
    report("ccfb", &ccfb, &spans);
    let bad = World::run(
        Setup { feedback_lost: 0.1, feedback_doubled: 0.1, feedback_swapped: 0.1, ..rfc.clone() },
        100.0,
    );
    report("bad feedback", &bad, &spans);
    for jitter in [5, 10, 20, 30] {
        let world =
            World::run(Setup { jitter: Duration::from_millis(jitter), ..rfc.clone() }, 100.0);
        report(&format!("jitter {jitter}"), &world, &spans);
    }
    let out = World::run(Setup { outage: Some((20.0, 23.0)), ..Setup::default() }, 40.0);
    report("outage", &out, &[(10.0, 20.0), (20.0, 23.0), (23.0, 26.0), (26.0, 40.0)]);
}
