//! The judge finds what is wrong: streams are encoded, spoilt as a bad forwarder would spoil them,
//! and judged.

use std::time::Duration;

use sfu_core::negotiation::Codec;

use super::quality::{Quality, Violation};
use super::{Packet, Playout};
use crate::client::layers::Layering;
use crate::client::publisher::Encoder;
use crate::wire::codec::{self, Marks};
use crate::wire::{Datagram, Rtp, RtpHeader, Stamp, rtp};

const PICTURES: u32 = 24;
const INTERVAL: Duration = Duration::from_millis(33);

/// One packet of a layer frame on its way: what a forwarder could change.
#[derive(Clone, Debug)]
struct Forwarded {
    stamp: Stamp,
    marks: Marks,
    marker: bool,
    descriptor: Option<Vec<u8>>,
}

/// Pictures of two packets for each layer frame; keyframes where asked.
fn encode(codec: Codec, layering: Layering, keyframe_at: &[u32]) -> Vec<Forwarded> {
    let mut encoder = Encoder::new(codec, layering, (1280, 720), codec == Codec::Av1, 77);
    let mut packets = Vec::new();
    for picture in 0..PICTURES {
        let frames = encoder.encode(picture == 0 || keyframe_at.contains(&picture));
        let count = frames.len();
        for (layer, frame) in frames.into_iter().enumerate() {
            for part in 0..2 {
                let stamp = Stamp {
                    spatial: frame.spatial,
                    temporal: frame.temporal,
                    frame: picture,
                    part,
                    parts: 2,
                    keyframe: frame.keyframe,
                    sent: INTERVAL * picture,
                    references: frame.references,
                    width: frame.size.0,
                    ..Stamp::default()
                };
                let descriptor = frame.descriptor.as_ref().map(|(first, others)| {
                    let mut bytes = if part == 0 { first.to_vec() } else { others.to_vec() };
                    bytes[0] |= if part == 0 { 0x80 } else { 0x40 };
                    bytes
                });
                let marker = layer + 1 == count && part == 1;
                packets.push(Forwarded { stamp, marks: frame.marks, marker, descriptor });
            }
        }
    }
    packets
}

/// Judges packets as they are, numbered without a gap but where one is `None`, which is lost.
fn judge(codec: Codec, packets: impl IntoIterator<Item = Option<Forwarded>>) -> Quality {
    let (mut playout, mut quality) = (Playout::default(), Quality::default());
    let mut now = Duration::ZERO;
    for (index, packet) in (1000..).zip(packets) {
        let Some(packet) = packet else {
            playout.lose(now, index, &mut quality);
            continue;
        };
        now = packet.stamp.sent;
        let mut payload = Vec::new();
        packet.marks.write(&mut payload, &packet.stamp, 100);
        let timestamp = packet.stamp.frame * 2970;
        let header = RtpHeader { marker: packet.marker, timestamp, ..RtpHeader::default() };
        let bytes = rtp(&header, &[], &payload, 0);
        let read = Rtp::read(Datagram::whole(&bytes)).unwrap();
        let mut seen = codec::read(codec, &read).unwrap();
        if let Some(descriptor) = &packet.descriptor {
            seen.start = descriptor[0] & 0x80 != 0;
            seen.end = descriptor[0] & 0x40 != 0;
        }
        let (stamp, marker) = (packet.stamp, packet.marker);
        let descriptor = packet.descriptor.map(|bytes| bytes.as_slice().into());
        playout.insert(
            now,
            index,
            Packet { timestamp, marker, seen, stamp, descriptor },
            &mut quality,
        );
    }
    quality
}

fn all(packets: Vec<Forwarded>) -> impl Iterator<Item = Option<Forwarded>> {
    packets.into_iter().map(Some)
}

#[track_caller]
fn assert_found(quality: &Quality, found: impl Fn(&Violation) -> bool) {
    assert!(quality.violations.iter().any(found), "{quality:?}");
}

#[test]
fn nothing_is_wrong_with_what_is_right() {
    for codec in [Codec::Vp8, Codec::H264, Codec::Vp9, Codec::Av1] {
        let spatial = if matches!(codec, Codec::Vp9 | Codec::Av1) { 3 } else { 1 };
        for layering in [Layering::new(spatial, 3), Layering::key(spatial, 2)] {
            let quality = judge(codec, all(encode(codec, layering, &[10])));
            assert_eq!((quality.frames, quality.frames_undecodable), (24, 0), "{codec:?}");
            assert_eq!(quality.violations, [], "{codec:?} {layering:?}");
        }
    }
}

#[test]
fn layers_left_out_well_are_no_fault() {
    // VP9 and AV1 by their own numbers need no renumbering, but the marker has to move down.
    for codec in [Codec::Vp9, Codec::Av1] {
        let mut packets = encode(codec, Layering::new(3, 3), &[]);
        packets.retain(|packet| packet.stamp.spatial < 2 && packet.stamp.temporal < 2);
        for packet in &mut packets {
            packet.marker = packet.stamp.spatial == 1 && packet.stamp.part == 1;
        }
        let quality = judge(codec, all(packets));
        assert_eq!((quality.frames, quality.frames_undecodable), (12, 0), "{codec:?}");
        assert_eq!((quality.frames_missed, &quality.violations), (0, &vec![]), "{codec:?}");
    }
}

#[test]
fn a_marker_that_did_not_move_down_is_found() {
    let mut packets = encode(Codec::Vp9, Layering::new(3, 1), &[]);
    packets.retain(|packet| packet.stamp.spatial < 2);
    assert_found(&judge(Codec::Vp9, all(packets)), |v| matches!(v, Violation::FrameEnd { .. }));
}

#[test]
fn picture_ids_with_holes_are_found_where_the_codec_counts_on_them() {
    let thin = |packets: &mut Vec<Forwarded>| packets.retain(|packet| packet.stamp.temporal < 2);
    // In every other cycle, layer 1 builds on the cycle before: a hole could be what is needed.
    let mut packets = encode(Codec::Vp8, Layering::new(1, 3).crossing(), &[]);
    thin(&mut packets);
    let spoilt = judge(Codec::Vp8, all(packets.clone()));
    assert_found(&spoilt, |v| matches!(v, Violation::Switch { .. }));
    // Renumbered, all is well.
    let first = packets[0].stamp.frame;
    for packet in &mut packets {
        let Marks::Vp8(marks) = &mut packet.marks else { panic!("not VP8") };
        marks.picture_id = 100 + ((packet.stamp.frame - first) / 2) as u16;
    }
    let well = judge(Codec::Vp8, all(packets));
    assert_eq!((well.frames_undecodable, &well.violations), (0, &vec![]));
}

#[test]
fn a_switch_up_where_none_is_allowed_is_found() {
    for codec in [Codec::Vp9, Codec::Av1] {
        let mut packets = encode(codec, Layering::new(2, 1), &[]);
        // The upper layer comes in the middle, without a keyframe.
        packets.retain(|packet| packet.stamp.spatial == 0 || packet.stamp.frame >= 5);
        for packet in packets.iter_mut().filter(|packet| packet.stamp.frame < 5) {
            packet.marker = packet.stamp.part == 1;
        }
        let quality = judge(codec, all(packets));
        assert_found(&quality, |v| matches!(v, Violation::Switch { .. }));
        assert_eq!(quality.frames_undecodable, 19, "{codec:?}");
    }
}

#[test]
fn a_claim_that_hides_what_is_needed_is_found() {
    // Renumbered over a picture that was needed: the receiver sees no hole and decodes garbage.
    let mut packets = encode(Codec::Vp9, Layering::new(1, 1), &[]);
    packets.retain(|packet| packet.stamp.frame != 5);
    for packet in packets.iter_mut().filter(|packet| packet.stamp.frame > 5) {
        let Marks::Vp9(marks) = &mut packet.marks else { panic!("not VP9") };
        marks.picture_id -= 1;
    }
    let quality = judge(Codec::Vp9, all(packets));
    assert_found(&quality, |v| matches!(v, Violation::Misclaimed { .. }));
}

#[test]
fn losses_are_no_violations_and_a_keyframe_ends_their_trouble() {
    for codec in [Codec::Vp8, Codec::H264, Codec::Vp9, Codec::Av1] {
        let packets = encode(codec, Layering::new(1, 1), &[12]);
        let lossy =
            packets.into_iter().enumerate().map(|(at, packet)| (at != 10).then_some(packet));
        let quality = judge(codec, lossy);
        // Picture 5 is gone; 6 to 11 build on it.
        assert_eq!((quality.frames, quality.frames_undecodable), (23, 6), "{codec:?}");
        assert_eq!((quality.frames_missed, &quality.violations), (1, &vec![]), "{codec:?}");
    }
}

#[test]
fn what_nothing_builds_on_may_be_lost_without_further_trouble() {
    for codec in [Codec::Vp9, Codec::Av1] {
        let packets = encode(codec, Layering::new(1, 3), &[]);
        // Picture 5 is of temporal layer 2.
        let lossy =
            packets.into_iter().enumerate().map(|(at, packet)| (at != 10).then_some(packet));
        let quality = judge(codec, lossy);
        assert_eq!((quality.frames, quality.frames_undecodable), (23, 0), "{codec:?}");
        assert_eq!(quality.violations, [], "{codec:?}");
    }
}

#[test]
fn a_descriptor_without_its_structure_is_found() {
    let packets = encode(Codec::Av1, Layering::new(1, 1), &[]);
    let beheaded = packets.into_iter().map(|mut packet| {
        if let Some(descriptor) = packet.descriptor.as_mut().filter(|bytes| bytes.len() > 3) {
            descriptor.truncate(3);
        }
        Some(packet)
    });
    assert_found(&judge(Codec::Av1, beheaded), |v| matches!(v, Violation::Descriptor { .. }));
}
