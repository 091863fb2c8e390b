//! An overloaded server gives up layers of videos, and no sound; they come back.

use sfu_core::command::Command;
use sfu_core::decision::Reason;
use sfu_core::event::Event;
use sfu_core::negotiation::MediaKind;
use sfu_sim::{ClientId, Plan, VideoPlan, World};

use crate::common::{assert_sound, audio, s};

fn encoding(world: &World, viewer: ClientId) -> Option<u8> {
    let mut receivers = world.client(viewer).receivers();
    let receiver = receivers.find(|receiver| receiver.kind() == MediaKind::Video)?;
    receiver.playing().map(|stamp| stamp.encoding)
}

#[test]
fn layers_are_shed_step_by_step_and_given_back_and_sound_goes_on() {
    for seed in [1, 2, 3] {
        let mut world = World::new(seed);
        let room = world.create_room();
        world.join(room, Plan::publisher().with_video(VideoPlan::simulcast()));
        let viewer = world.join(room, Plan::viewer().with_slots(1, 1));
        world.run_for(s(5));
        assert_eq!(encoding(&world, viewer), Some(2), "seed {seed}");
        for (level, want) in [(1, 1), (2, 0), (4, 0), (0, 2)] {
            world.command(Command::ShedVideo { level }).unwrap();
            world.run_for(s(8));
            assert_eq!(encoding(&world, viewer), Some(want), "seed {seed}, level {level}");
        }
        assert_sound(&world, viewer);
        let heard = audio(&world, viewer);
        assert_eq!((heard.lost, heard.freezes_500), (0, 0), "seed {seed}: {heard:?}");
        let told = world.events().iter().filter_map(|(_, event)| match event {
            Event::Forwarding { reason, .. } => Some(*reason),
            _ => None,
        });
        assert!(told.clone().any(|reason| reason == Reason::Overload), "seed {seed}");
        assert_eq!(told.last(), Some(Reason::Best), "seed {seed}");
    }
}
