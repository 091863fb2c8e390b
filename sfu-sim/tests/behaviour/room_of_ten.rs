//! Ten people with cameras and microphones on clean links: nothing is lost, and virtual time runs
//! far ahead of real time.

use std::time::Instant;

use sfu_core::drops::DropReason;
use sfu_sim::{Plan, World};

use crate::common::{assert_flawless, audio, s, video};

#[test]
fn nothing_is_lost_among_ten_on_clean_links() {
    let started = Instant::now();
    let mut world = World::new(10);
    let room = world.create_room();
    let clients: Vec<_> = (0..10).map(|_| world.join(room, Plan::publisher())).collect();
    world.run_for(s(20));
    for &client in &clients {
        assert_flawless(&world, client);
        let (video, audio) = (video(&world, client), audio(&world, client));
        // 9 senders, 30 frames and 50 packets a second, but for the first second of getting there.
        assert!(video.frames > 9 * 30 * 19, "{video:?}");
        assert!(audio.frames > 9 * 50 * 19, "{audio:?}");
        assert_eq!((video.plis, video.nacked), (0, 0));
        assert!(world.client(client).told_transport_wide > 19 * 150);
    }
    let dropped: Vec<_> = world.stats().drops.iter().filter(|&(_, count)| count > 0).collect();
    assert_eq!(dropped, Vec::<(DropReason, u64)>::new());
    assert_eq!(world.misdirected, 0);
    let speed = world.now().as_secs_f64() / started.elapsed().as_secs_f64();
    println!("a room of ten: {speed:.0} times real time, {} datagrams", world.delivered);
}
