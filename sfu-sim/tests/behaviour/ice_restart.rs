//! A client draws new ICE credentials and offers again: media goes on all the while, and the old
//! credentials are forgotten in time.

use sfu_core::event::{Event, TransportState};

use crate::common::{assert_flawless, broadcast, s, video};

#[test]
fn media_goes_on_over_an_ice_restart() {
    let (mut world, _, camera, viewers) = broadcast(1, 2);
    world.run_for(s(3));
    let addresses = world.stats().addresses;
    let mark = world.events().len();
    for client in [camera, viewers[0]] {
        world.client_mut(client).restart_ice();
        world.offer(client).unwrap();
    }
    assert_eq!(world.stats().addresses, addresses + 2, "both ufrags are answered");
    world.run_for(s(40));
    assert_eq!(world.stats().addresses, addresses, "the old ones are forgotten");
    for &viewer in &viewers {
        assert_flawless(&world, viewer);
        assert!(video(&world, viewer).frames > 30 * 42);
    }
    let lost = world.events_since(mark).any(|event| {
        matches!(event, Event::Transport { state, .. } if *state != TransportState::Connected)
    });
    assert!(!lost, "{:?}", &world.events()[mark..]);
}
