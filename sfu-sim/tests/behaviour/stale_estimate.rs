//! An estimate that no video was sent by for a while is no reason to show nothing: who looks again
//! is shown a picture at once, whatever the path carried before.

use sfu_core::command::{Command, Reply};
use sfu_core::negotiation::MediaKind;
use sfu_core::preference::{Preference, Quality};
use sfu_sim::link::Rate;
use sfu_sim::{Conditions, LinkPlan, Plan, World};

use crate::common::{ms, s, track, video};

#[test]
fn a_tab_that_was_in_the_background_shows_its_picture_at_once() {
    for (hidden, shown) in [(s(2), false), (s(30), true)] {
        let mut world = World::new(1);
        let room = world.create_room();
        let camera = world.join(room, Plan::camera());
        let narrow = Conditions::clean(ms(20)).with_rate(Rate::kbit(150, 200));
        let link = LinkPlan::from(narrow).then(s(10), Conditions::clean(ms(20)));
        let viewer = world.join(room, Plan::viewer().with_slots(0, 1).with_down(link));
        world.run_for(s(9));
        let (peer, track) = (world.client(viewer).peer, track(&world, camera));
        let prefer = |world: &mut World, quality| {
            let preference = Preference { quality, ..Preference::default() };
            world.command(Command::Prefer { peer, track, preference }).unwrap();
        };
        prefer(&mut world, Quality::Off);
        world.run_for(hidden);
        prefer(&mut world, Quality::Auto);
        world.run_for(ms(1));
        let Ok(Reply::Decisions(now)) = world.command(Command::Decisions { peer }) else {
            panic!("no decisions");
        };
        let mut videos = now.subscriptions.iter().filter(|s| s.kind == MediaKind::Video);
        let granted = videos.next().unwrap().granted.is_some();
        assert_eq!(granted, shown, "after {hidden:?}: {:?}", now.estimate);
        if shown {
            let before = video(&world, viewer).frames;
            assert!(world.run_until(ms(150), |world| video(world, viewer).frames > before));
        }
    }
}
