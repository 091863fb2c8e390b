//! A thousand people come, send, see and leave: nothing of them stays.

use sfu_core::command::Command;
use sfu_sim::{Plan, World};

use crate::common::{assert_flawless, audio, ms, s, video};

#[test]
fn nothing_stays_of_a_thousand_who_came_and_left() {
    let mut world = World::new(1);
    let room = world.create_room();
    let host = world.join(room, Plan::publisher().with_slots(3, 3));
    world.run_for(s(1));
    let mut present = Vec::new();
    for _ in 0..1000 {
        present.push(world.join(room, Plan::publisher().with_slots(3, 3)));
        world.run_for(ms(250));
        if present.len() > 2 {
            let leaver = present.remove(0);
            let (video, audio) = (video(&world, leaver), audio(&world, leaver));
            assert!(video.frames > 10 && audio.frames > 10, "{video:?} {audio:?}");
            world.leave(leaver);
        }
    }
    for leaver in present {
        world.leave(leaver);
    }
    world.run_for(s(2));
    let alone = world.stats();
    assert_eq!((alone.rooms, alone.peers, alone.tracks, alone.subscriptions), (1, 1, 2, 0));
    // About three seconds of its picture and sound, whatever the others left.
    assert!((16..=40).contains(&alone.history_pages), "{} pages for one", alone.history_pages);
    // The host saw all of them on three m-lines of each kind, each on one unbroken line.
    assert_flawless(&world, host);
    assert!(video(&world, host).frames > 10_000);

    world.leave(host);
    world.command(Command::CloseRoom { room }).unwrap();
    world.run_for(s(2));
    let stats = world.stats();
    let left = [
        stats.rooms,
        stats.peers,
        stats.peers_connected,
        stats.tracks,
        stats.subscriptions,
        stats.timers,
        stats.addresses,
        stats.history_pages,
        stats.panics,
    ];
    assert_eq!(left, [0; 9], "{stats:?}");
}
