//! A world in which media is really encrypted takes the same course as one in which it is not: the
//! same pictures at the same times, the same layers for the same reasons, the same repairs.

use std::time::Duration;

use sfu_core::command::{Command, Reply};
use sfu_core::decision::What;
use sfu_core::transport::Security;
use sfu_sim::{Conditions, Feedback, LinkPlan, Loss, Plan, Quality, VideoPlan, World};

use crate::common::{assert_flawless, audio, ms, s, track, video};

/// Three round trips of 100 ms, for there is a cookie; and nine pictures.
const HANDSHAKE: Duration = ms(300);

/// What one subscriber saw, and what was decided about it.
#[derive(Debug)]
struct Seen {
    video: Quality,
    audio: Quality,
    /// Encoding and width.
    shown: Vec<(u8, u16)>,
    /// When forwarding changed over, by the engine's records.
    switched: Vec<(u128, What)>,
}

/// A call with two clean subscribers and one that loses packets, and a camera whose best encoding
/// goes away. Who needs no handshake comes so much later.
fn call(security: Security) -> Vec<Seen> {
    let (mut world, later) = match security {
        Security::Full => (World::encrypted(5), ms(0)),
        Security::Plain => (World::new(5), HANDSHAKE),
    };
    let room = world.create_room();
    world.run_for(later);
    let publisher = Plan::publisher().with_video(VideoPlan::simulcast()).at_distance(ms(50));
    let camera = world.join(room, publisher);
    world.run_for(s(1));
    let lossy = Conditions::clean(ms(50)).with_loss(Loss::Random(0.02));
    let down = LinkPlan::from(Conditions::clean(ms(50))).then(s(3), lossy);
    let viewer = Plan::viewer().with_feedback(Feedback::BROWSER).at_distance(ms(50));
    let viewers: Vec<_> = [viewer.clone(), viewer.clone(), viewer.with_down(down)]
        .into_iter()
        .map(|plan| world.join(room, plan))
        .collect();
    world.run_for(s(12) + HANDSHAKE - later);
    for camera in world.client_mut(camera).cameras_mut() {
        camera.set_encoding_active(2, false);
    }
    world.run_for(s(6));
    let video_track = track(&world, camera);
    viewers
        .iter()
        .map(|&viewer| {
            let peer = world.client(viewer).peer;
            let Ok(Reply::Decisions(decisions)) = world.command(Command::Decisions { peer }) else {
                panic!("no decisions");
            };
            let switched = decisions.records.into_iter();
            let is_video =
                |what: &What| matches!(what, What::Switched { track, .. } if *track == video_track);
            let switched = switched.filter(|record| is_video(&record.what));
            let client = world.client(viewer);
            let receivers = client.receivers().flat_map(|receiver| receiver.history());
            Seen {
                video: video(&world, viewer),
                audio: audio(&world, viewer),
                shown: receivers.map(|(_, shown)| (shown.encoding, shown.width)).collect(),
                switched: switched.map(|r| (r.at.as_millis(), r.what)).collect(),
            }
        })
        .collect()
}

#[test]
fn encryption_changes_nothing_of_what_is_decided_and_seen() {
    let (plain, full) = (call(Security::Plain), call(Security::Full));
    for (plain, full) in plain.iter().zip(&full).take(2) {
        assert_eq!(plain.shown, full.shown);
        assert!(plain.shown.len() >= 3, "there was something to decide: {:?}", plain.shown);
        let videos = |seen: &Seen| {
            let changes = seen
                .switched
                .iter()
                .filter(|(_, what)| matches!(what, What::Switched { to: Some(_), .. }));
            changes.cloned().collect::<Vec<_>>()
        };
        let (plain, full) = (videos(plain), videos(full));
        let what = |all: &[(u128, What)]| all.iter().map(|(_, what)| what.clone()).collect();
        let (plain_what, full_what): (Vec<What>, Vec<What>) = (what(&plain), what(&full));
        assert_eq!(plain_what, full_what);
        // Bandwidth is shared out twice a second, counted from when the subscriber came.
        let near = |((a, _), (b, _)): (&(u128, What), &(u128, What))| a.abs_diff(*b) <= 500;
        assert!(plain.iter().zip(&full).all(near), "{plain:?} {full:?}");
    }
    // Where chance drops packets it does not drop the same ones.
    for (plain, full) in plain.iter().zip(&full) {
        assert_eq!((&plain.video.violations, &full.video.violations), (&vec![], &vec![]));
        let near = |a: u64, b: u64| a.abs_diff(b) <= a / 20 + 5;
        assert!(near(plain.video.frames, full.video.frames), "{plain:?} {full:?}");
        assert!(near(plain.audio.frames, full.audio.frames), "{plain:?} {full:?}");
        assert!(near(plain.video.lost, full.video.lost), "{plain:?} {full:?}");
    }
}

#[test]
fn everybody_connects_and_hears_everybody() {
    let mut world = World::encrypted(2);
    let room = world.create_room();
    let clients: Vec<_> = (0..3).map(|_| world.join(room, Plan::publisher())).collect();
    world.run_for(s(5));
    for client in clients {
        assert_flawless(&world, client);
        assert!(audio(&world, client).frames >= 2 * 50 * 4);
        assert!(video(&world, client).frames > 0);
    }
}
