//! Nine videos on a path that cannot carry them all: the one that is pinned is shown first, with 360
//! lines if there is room for that, then all others in their lowest layer, and what is left goes to
//! the one that is pinned.

use sfu_core::command::{Command, Reply};
use sfu_core::negotiation::MediaKind;
use sfu_core::preference::Preference;
use sfu_sim::link::Rate;
use sfu_sim::{Conditions, Plan, VideoPlan, World};

use crate::common::{ms, s, track};

/// A step up is taken when there is so much more room than it needs, in per cent.
const MARGIN_PERCENT: u64 = 25;

/// And has been there for so many seconds.
const WAIT_MAX: u32 = 10;

#[test]
fn the_pinned_one_is_360_lines_or_what_fits_beside_the_lowest_of_all() {
    let mut widths = Vec::new();
    for kbit in [1_500, 3_000, 4_500] {
        let mut world = World::new(1);
        let room = world.create_room();
        let person = Plan::publisher().with_video(VideoPlan::simulcast());
        let people: Vec<_> = (0..9).map(|_| world.join(room, person.clone())).collect();
        let link = Conditions::clean(ms(20)).with_rate(Rate::kbit(kbit, 200));
        let viewer = world.join(room, Plan::viewer().with_down(link));
        world.run_for(s(2));
        let peer = world.client(viewer).peer;
        let pinned = track(&world, people[0]);
        for &person in &people {
            let track = track(&world, person);
            let tile = Preference { max_size: Some((320, 180)), ..Preference::default() };
            let large = Preference { pinned: true, max_size: Some((1280, 720)), ..tile };
            let preference = if track == pinned { large } else { tile };
            world.command(Command::Prefer { peer, track, preference }).unwrap();
        }
        world.run_for(s(18));
        let mut waiting = 0;
        for second in 0..40 {
            world.run_for(s(1));
            let Ok(Reply::Decisions(now)) = world.command(Command::Decisions { peer }) else {
                panic!("no decisions");
            };
            let videos = || now.subscriptions.iter().filter(|s| s.kind == MediaKind::Video);
            let video = videos().find(|video| video.track == pinned).unwrap();
            assert!(video.granted.is_some(), "{kbit} kbit/s, second {second}: not shown");
            let audio_bps: u64 = now
                .subscriptions
                .iter()
                .filter(|s| s.kind == MediaKind::Audio)
                .flat_map(|s| s.available.iter().map(|option| option.bitrate_bps).max())
                .sum();
            let others_bps: u64 = videos()
                .filter(|video| video.track != pinned)
                .flat_map(|s| s.available.iter().map(|option| option.bitrate_bps).min())
                .sum();
            let left_bps = now.estimate.target_bps.saturating_sub(audio_bps + others_bps);
            let cost = |layer| {
                video.available.iter().find(|o| Some(o.layer) == layer).map_or(0, |o| o.bitrate_bps)
            };
            let granted_bps = cost(video.granted);
            let fits = |bps: u64| bps * (100 + MARGIN_PERCENT) / 100 <= left_bps;
            let best_bps =
                video.available.iter().map(|o| o.bitrate_bps).filter(|&bps| fits(bps)).max();
            let short = granted_bps < best_bps.unwrap_or(0);
            waiting = if short { waiting + 1 } else { 0 };
            assert!(
                waiting <= WAIT_MAX,
                "{kbit} kbit/s, second {second}: {granted_bps} granted, {best_bps:?} would fit"
            );
        }
        let shown = world.client(viewer).receiver_of(pinned).and_then(|r| r.showing());
        widths.push(shown.map_or(0, |shown| shown.width));
    }
    assert_eq!(widths, [640, 640, 1280]);
}
