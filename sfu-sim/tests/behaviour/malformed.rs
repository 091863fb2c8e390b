//! Malformed RTP and RTCP of every short length, from an address that ICE has validated: counted,
//! no panic, and the call beside it loses nothing.

use sfu_core::drops::DropReason;
use sfu_core::negotiation::MediaKind;
use sfu_sim::random::{Pcg64Mcg, generator, word};
use sfu_sim::wire::{RtpHeader, rtp};
use sfu_sim::{ClientId, Plan, Quality, World};

use crate::common::{ms, s};

/// A call of two, and in the same room a third with a camera who means ill.
struct Call {
    world: World,
    publisher: ClientId,
    viewer: ClientId,
    attacker: ClientId,
}

fn call_with_attacker(seed: u64) -> Call {
    let mut world = World::new(seed);
    let room = world.create_room();
    let publisher = world.join(room, Plan::publisher());
    let viewer = world.join(room, Plan::viewer());
    let attacker = world.join(room, Plan::publisher().with_slots(1, 1));
    world.run_for(s(2));
    // Its own camera is covered, so that what the viewer gets of it is what it forges.
    world.client_mut(attacker).cameras_mut().for_each(|camera| camera.set_active(false));
    world
        .client_mut(attacker)
        .microphones_mut()
        .for_each(|microphone| microphone.set_active(false));
    Call { world, publisher, viewer, attacker }
}

fn random_bytes(rng: &mut Pcg64Mcg, length: usize) -> Vec<u8> {
    (0..length).map(|_| word(rng) as u8).collect()
}

impl Call {
    /// The viewer's m-lines for the publisher, as those for the attacker may carry rubbish.
    fn quality(&self) -> Quality {
        let participant = self.world.client(self.publisher).participant;
        let mut quality = Quality::default();
        for receiver in self.world.client(self.viewer).receivers() {
            if receiver.carries().is_some_and(|(of, _)| of == participant) {
                quality.add(&receiver.quality_at(self.world.now()));
            }
        }
        quality
    }

    #[track_caller]
    fn assert_unharmed(mut self) {
        let before = self.quality();
        self.world.run_for(s(2));
        assert_eq!(self.world.stats().panics, 0);
        let quality = self.quality();
        assert!(quality.frames >= before.frames + 150, "{quality:?}");
        let faults = [quality.lost, quality.frames_missed, quality.freezes_200];
        assert_eq!(faults, [0; 3], "{quality:?}");
        assert_eq!(quality.violations, []);
    }
}

#[test]
fn every_short_length_of_anything_is_counted() {
    let mut call = call_with_attacker(1);
    let Call { world, attacker, .. } = &mut call;
    let attacker = *attacker;
    let mut rng = generator(1, 99);
    let sum = |world: &World| world.stats().drops.iter().map(|(_, count)| count).sum::<u64>();
    let before = sum(world);
    let mut sent = 0;
    for length in 0..64 {
        for head in [0x80, 0x90, 0xa0, 0xbf, 0x81, 0x40, 0xc0, 0x05, 0x13] {
            for second in [96, 111, 200, 201, 205, 206, 207] {
                let mut datagram = random_bytes(&mut rng, length);
                for (byte, value) in datagram.iter_mut().zip([head, second]) {
                    *byte = value;
                }
                world.client_mut(attacker).send(datagram);
                sent += 1;
            }
        }
        world.run_for(ms(10));
    }
    world.run_for(s(1));
    let counted = sum(world) - before;
    assert!(counted > sent * 8 / 10, "{counted} of {sent}; the rest is well-formed RTCP");
    for reason in [
        DropReason::Unclassified,
        DropReason::RtpMalformed,
        DropReason::RtcpMalformed,
        DropReason::SsrcUnknown,
    ] {
        assert!(world.drops(reason) > 0, "{reason:?}");
    }
    call.assert_unharmed();
}

#[test]
fn random_bytes_under_the_attackers_own_ssrc_harm_nobody() {
    let mut call = call_with_attacker(2);
    let Call { world, attacker, .. } = &mut call;
    let attacker = *attacker;
    let mut rng = generator(2, 99);
    let client = world.client(attacker);
    let ssrc = client.cameras().next().unwrap().ssrc(0);
    let video_type = client.numbering().payload_type(MediaKind::Video);
    for round in 0..2_000u16 {
        let length = (word(&mut rng) % 64) as usize;
        let payload = random_bytes(&mut rng, length);
        let header = RtpHeader {
            payload_type: if round % 7 == 0 { (word(&mut rng) % 128) as u8 } else { video_type },
            marker: round % 3 == 0,
            sequence: word(&mut rng) as u16,
            timestamp: word(&mut rng),
            ssrc,
        };
        let id = 1 + (word(&mut rng) % 14) as u8;
        let length = 1 + (word(&mut rng) % 16) as usize;
        let value = random_bytes(&mut rng, length);
        let mut datagram = rtp(&header, &[(id, &value)], &payload, (word(&mut rng) % 20) as u8);
        if round % 5 == 0 {
            let at = word(&mut rng) as usize % datagram.len();
            datagram[at] ^= 1 << (word(&mut rng) % 8);
        }
        world.client_mut(attacker).send(datagram);
        if round % 20 == 0 {
            world.run_for(ms(5));
        }
    }
    world.run_for(s(1));
    call.assert_unharmed();
}

#[test]
fn hostile_feedback_harms_nobody() {
    let mut call = call_with_attacker(3);
    let Call { world, attacker, .. } = &mut call;
    let attacker = *attacker;
    let mut rng = generator(3, 99);
    let ssrcs: Vec<u32> = world.client(attacker).receivers().map(|r| r.ssrc()).collect();
    for round in 0..3_000u32 {
        let words = 1 + word(&mut rng) % 12;
        let mut datagram = vec![0x80 | (word(&mut rng) % 32) as u8];
        datagram.push([200, 201, 202, 203, 204, 205, 206, 207][round as usize % 8]);
        datagram.extend((words as u16 - u16::from(round % 9 == 0)).to_be_bytes());
        datagram.extend(random_bytes(&mut rng, words as usize * 4));
        if datagram.len() >= 12 && round % 2 == 0 {
            let ssrc = ssrcs[round as usize % ssrcs.len()];
            datagram[8..12].copy_from_slice(&ssrc.to_be_bytes());
        }
        world.client_mut(attacker).send(datagram);
        if round % 20 == 0 {
            world.run_for(ms(5));
        }
    }
    call.assert_unharmed();
}
