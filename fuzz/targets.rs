//! What is fuzzed: everything that reads bytes of strangers. Each function takes any bytes and must
//! neither panic nor hang; some also say what must hold.
//!
//! The programs in `fuzz_targets` run them under coverage guidance; `sfu-sim/tests/corpus.rs`
//! replays the corpora in the ordinary test run.

use std::time::Duration;

use sfu_core::bandwidth::feedback::{CcfbReader, TwccReader};
use sfu_core::negotiation::{Codec, MediaKind, Offer, SdpFragment};
use sfu_core::rtp::codec_view::Reader;
use sfu_core::rtp::packet::RtpPacket;
use sfu_core::rtp::rtcp::{self, Rtcp};
use sfu_sim::wire::{RtpHeader, rtp};
use sfu_sim::{ClientId, Plan, World};

const CODECS: [Codec; 6] =
    [Codec::Opus, Codec::Red, Codec::Vp8, Codec::Vp9, Codec::H264, Codec::Av1];

/// An offer of a client, and the body of a WHIP PATCH.
pub(crate) fn offer(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    _ = SdpFragment::parse(text);
    if let Ok(mut offer) = Offer::parse(text) {
        _ = offer.clone().publish_only();
        _ = offer.play_only();
    }
}

/// An RTP packet: what is read lies within it.
pub(crate) fn packet(data: &[u8]) {
    let Ok(packet) = RtpPacket::parse(data) else { return };
    let extensions: usize = packet.extensions().map(|(_, value)| value.len()).sum();
    assert!(packet.header_bytes() + packet.payload().len() <= data.len());
    assert!(extensions <= packet.header_bytes());
}

/// Payloads of one encoding, one after another: `codec`, then `descriptor length, payload length,
/// descriptor, payload` over and over. A length of 0 for the descriptor: there is none.
pub(crate) fn payload(data: &[u8]) {
    let Some((&codec, mut rest)) = data.split_first() else { return };
    let codec = CODECS[usize::from(codec) % CODECS.len()];
    let mut reader = Reader::default();
    while let [descriptor, payload, after @ ..] = rest {
        let (descriptor, after) = after.split_at(after.len().min(usize::from(*descriptor)));
        let (payload, after) = after.split_at(after.len().min(usize::from(*payload)));
        let info = reader.inspect(codec, payload, (!descriptor.is_empty()).then_some(descriptor));
        assert!(info.layers.is_none_or(|layers| layers.spatial <= 8));
        rest = after;
    }
}

/// RTCP, and what is inside feedback. No message says more than its bytes can hold.
pub(crate) fn rtcp(data: &[u8]) {
    let (mut twcc, mut ccfb) = (TwccReader::default(), CcfbReader::default());
    _ = rtcp::parse(data, &mut |said| match said {
        Rtcp::Nack { sequences, .. } => assert!(sequences.count() <= data.len() * 17 / 4),
        Rtcp::Twcc(block) => {
            if let Some(report) = twcc.read(block) {
                let mut told = 0;
                report.statuses(|offset, _| told = told.max(u32::from(offset) + 1));
                assert!(told <= u32::from(report.count));
            }
        }
        Rtcp::Ccfb(block) => {
            if let Some(report) = ccfb.read(block) {
                let mut told = 0;
                report.metrics(|_| told += 1);
                assert!(told <= data.len());
            }
        }
        _ => {}
    });
}

/// A participant of a call that sends what it likes: `kind, length, bytes` over and over.
/// Whatever that is, the engine survives, and the two others go on talking.
pub(crate) fn call(data: &[u8]) {
    let mut world = World::new(1);
    let room = world.create_room();
    let publisher = world.join(room, Plan::publisher());
    let viewer = world.join(room, Plan::viewer());
    let attacker = world.join(room, Plan::publisher().with_slots(1, 1));
    world.run_for(Duration::from_secs(1));
    let mut rest = data;
    while let [kind, length, after @ ..] = rest {
        let (bytes, after) = after.split_at(after.len().min(usize::from(*length)));
        act(&mut world, attacker, *kind, bytes);
        rest = after;
    }
    let frames = |world: &World| {
        let participant = world.client(publisher).participant;
        let receivers = world.client(viewer).receivers();
        let own = receivers.filter(|r| r.carries().is_some_and(|(of, _)| of == participant));
        own.map(|receiver| receiver.quality_at(world.now()).frames).sum::<u64>()
    };
    let before = frames(&world);
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.stats().panics, 0);
    assert!(frames(&world) >= before + 25, "the call beside it stands still");
}

fn act(world: &mut World, attacker: ClientId, kind: u8, bytes: &[u8]) {
    let client = world.client(attacker);
    let ssrc = client.cameras().next().map_or(0, |camera| camera.ssrc(0));
    let payload_type = client.numbering().payload_type(MediaKind::Video);
    match (kind % 4, bytes) {
        (0, _) => world.client_mut(attacker).send(bytes.to_vec()),
        // Media of its own: sequence number, timestamp, marker and extension id are in the bytes.
        (1, &[high, low, time, head, ref payload @ ..]) => {
            let header = RtpHeader {
                payload_type,
                marker: head & 1 == 1,
                sequence: u16::from_be_bytes([high, low]),
                timestamp: u32::from(time) * 3000,
                ssrc,
            };
            let (value, payload) = payload.split_at(payload.len().min(usize::from(head >> 5)));
            let extension = [(1 + (head >> 1 & 0x0f).min(13), value)];
            let extensions = if value.is_empty() { &[][..] } else { &extension[..] };
            world.client_mut(attacker).send(rtp(&header, extensions, payload, 0));
        }
        // RTCP about whatever it likes.
        (2, &[count, packet_type, ref body @ ..]) => {
            let words = (body.len() / 4) as u16;
            let mut block = vec![0x80 | count & 0x1f, 200 + packet_type % 8];
            block.extend_from_slice(&words.to_be_bytes());
            block.extend_from_slice(&body[..usize::from(words) * 4]);
            world.client_mut(attacker).send(block);
        }
        (3, &[ms, ..]) => world.run_for(Duration::from_millis(u64::from(ms))),
        _ => {}
    }
}
