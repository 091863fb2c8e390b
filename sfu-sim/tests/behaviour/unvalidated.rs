//! From an address that ICE has not validated nothing is read but STUN, and STUN without the right
//! password changes nothing.

use std::net::SocketAddr;

use sfu_core::drops::DropReason;

use crate::common::{assert_flawless, broadcast, s, video};

#[test]
fn strangers_are_counted_and_get_nothing() {
    let (mut world, _, camera, viewers) = broadcast(1, 2);
    world.run_for(s(2));
    let before = world.stats();
    let stranger = SocketAddr::from(([203, 0, 113, 9], 5_000));
    let same_host = SocketAddr::new(world.address(camera).ip(), 41_000);
    for from in [stranger, same_host] {
        for length in [12, 20, 64, 1200] {
            let mut rtp = vec![0x80; length];
            rtp[1] = 96;
            world.inject(from, &rtp);
            let mut rtcp = vec![0x80; length];
            rtcp[1] = 201;
            world.inject(from, &rtcp);
            let dtls = vec![22; length];
            world.inject(from, &dtls);
        }
    }
    world.run_for(s(2));
    assert_eq!(world.drops(DropReason::RtpUnvalidated), 16);
    assert_eq!(world.drops(DropReason::DtlsUnvalidated), 8);
    assert_eq!(world.misdirected, 0, "nothing was answered");
    assert_eq!(world.stats().addresses, before.addresses);
    for viewer in viewers {
        assert_flawless(&world, viewer);
        assert!(video(&world, viewer).frames > 30 * 3);
    }
}
