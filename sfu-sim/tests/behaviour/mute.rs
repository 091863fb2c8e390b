//! A muted track forwards nothing; unmuted, it begins with a keyframe on the same line.

use sfu_core::command::Command;
use sfu_core::drops::DropReason;
use sfu_core::event::Event;
use sfu_sim::Plan;

use crate::common::{assert_flawless, audio, ms, s, track, video};

#[test]
fn nothing_flows_while_muted_and_a_keyframe_comes_first_after() {
    let mut world = sfu_sim::World::new(1);
    let room = world.create_room();
    let camera = world.join(room, Plan::publisher());
    let viewer = world.join(room, Plan::viewer());
    world.run_for(s(3));
    let track = track(&world, camera);
    let mark = world.events().len();

    world.command(Command::Mute { track, muted: true }).unwrap();
    world.run_for(ms(200)); // what is under way arrives
    let (before, heard) = (video(&world, viewer), audio(&world, viewer));
    world.run_for(s(3));
    let during = video(&world, viewer);
    assert_eq!(during.packets, before.packets);
    assert!(audio(&world, viewer).packets >= heard.packets + 149, "audio goes on");
    assert!(world.drops(DropReason::Muted) > 300);

    world.command(Command::Mute { track, muted: false }).unwrap();
    let resumed = world.run_until(s(1), |world| video(world, viewer).frames > during.frames);
    assert!(resumed, "within a second");
    world.run_for(s(2));
    let after = video(&world, viewer);
    assert_eq!(after.keyframes, during.keyframes + 1, "{after:?}");
    assert!(after.frames >= during.frames + 30, "{after:?}");
    assert_flawless(&world, viewer);

    let muted: Vec<_> = world
        .events_since(mark)
        .filter_map(|event| match event {
            Event::TrackMuted { track: of, muted, .. } => Some((*of, *muted)),
            _ => None,
        })
        .collect();
    assert_eq!(muted, [(track, true), (track, false)]);
}
