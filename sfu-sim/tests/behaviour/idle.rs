//! Who neither sends nor receives costs nothing but the answers to its checks.

use sfu_core::Egress;
use sfu_sim::{Plan, World};

use crate::common::{ms, s};

#[test]
fn those_who_do_nothing_wake_nobody() {
    const IDLE: usize = 50;
    let mut world = World::new(1);
    for _ in 0..IDLE {
        let room = world.create_room();
        world.join(room, Plan::viewer());
        // Each at a time of its own, so that no two are served at once.
        world.run_for(ms(7));
    }
    world.run_for(s(10));
    assert_eq!(world.stats().peers_connected, IDLE as u64);
    let (mut engines, now) = world.into_engines();
    let (engine, mut egress) = (&mut engines[0], Egress::default());
    // Before the silence of the clients, whom nobody moves any more, is noticed.
    let end = now + ms(2_000);
    let mut wakes = 0;
    while let Some(at) = engine.poll_timeout().filter(|&at| at < end) {
        wakes += 1;
        engine.handle_timeout(at);
        engine.drain(at, &mut egress);
        egress.clear();
    }
    assert!(wakes < IDLE / 2, "{wakes} times woken in two seconds");
}
