//! The fixture for measurements forwards what it claims to.

use sfu_core::Egress;
use sfu_sim::fixture::fan_out;

#[test]
fn every_packet_goes_to_every_subscriber() {
    let mut fixture = fan_out(50, 1_000);
    let mut egress = Egress::default();
    for packet in 0..1_000 {
        // Once in a while the publisher is told of its packets too, but no time passes here.
        assert_eq!(fixture.forward(packet, &mut egress), 50, "packet {packet}");
    }
    let stats = fixture.engine.stats();
    assert_eq!((stats.rtp_in, stats.rtp_out), (1_000, 50_000));
}
