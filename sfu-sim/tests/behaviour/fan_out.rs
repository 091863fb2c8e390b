//! The fixture for measurements forwards what it claims to.

use std::collections::HashMap;
use std::net::SocketAddr;

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

#[test]
fn a_frame_for_many_goes_out_in_parts_and_nothing_comes_twice_or_not_at_all() {
    const SUBSCRIBERS: usize = 500;
    const FRAME: usize = 4;
    let mut fixture = fan_out(SUBSCRIBERS, 100);
    let (now, publisher) = (fixture.now, fixture.publisher);
    let mut egress = Egress::default();
    let mut got: HashMap<SocketAddr, Vec<u16>> = HashMap::new();
    let mut parts = 0;
    let mut packets = fixture.packets.iter_mut();
    let mut rest = packets.len();
    while rest > 0 {
        for packet in packets.by_ref().take(FRAME) {
            fixture.engine.handle_datagram(now, publisher, packet);
            rest -= 1;
        }
        // Now and then the next frame comes when the one before has only reached some.
        while !fixture.engine.drain(now, &mut egress) && (parts % 7 != 0 || rest == 0) {
            parts += 1;
            collect(&mut egress, &mut got);
        }
        parts += 1;
        collect(&mut egress, &mut got);
    }
    assert!(parts > 100, "in parts: {parts}");
    assert_eq!(got.len(), SUBSCRIBERS);
    for (address, numbers) in got {
        let expected: Vec<u16> = (0..100).map(|at| numbers[0].wrapping_add(at)).collect();
        assert_eq!(numbers, expected, "{address}");
    }
}

/// Notes the sequence numbers of the media in a batch, and forgets it.
fn collect(egress: &mut Egress, got: &mut HashMap<SocketAddr, Vec<u16>>) {
    for (transmit, run) in egress.iter() {
        for datagram in run.chunks(transmit.segment_bytes) {
            // RTCP has packet types from 192 on (RFC 5761 §4).
            if !(192..=223).contains(&datagram[1]) {
                let number = u16::from_be_bytes([datagram[2], datagram[3]]);
                got.entry(transmit.path.remote).or_default().push(number);
            }
        }
    }
    egress.clear();
}
