//! Data channels against SCTP packets written by hand: what no library would send.

use bytes::Bytes;
use sfu_core::command::Reliability;
use sfu_core::drops::DropReason;
use sfu_core::event::TransportState;
use sfu_core::limits::DATA_CHANNELS_MAX;
use sfu_core::transport::TransportEvent;

use crate::world::{World, handle};

/// An SCTP packet with the given chunk; the checksum is CRC32c (RFC 9260 §6.8).
pub(crate) fn packet(tag: u32, chunk: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x13, 0x88, 0x13, 0x88];
    packet.extend_from_slice(&tag.to_be_bytes());
    packet.extend_from_slice(&[0; 4]);
    packet.extend_from_slice(chunk);
    packet.resize(packet.len().next_multiple_of(4), 0);
    let mut crc = !0u32;
    for byte in &packet {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    packet[8..12].copy_from_slice(&(!crc).to_le_bytes());
    packet
}

pub(crate) fn init(tag: u32, tsn: u32) -> Vec<u8> {
    let mut chunk = vec![1, 0, 0, 26];
    chunk.extend_from_slice(&tag.to_be_bytes());
    chunk.extend_from_slice(&[0, 16, 0, 0, 0, 64, 0, 64]);
    chunk.extend_from_slice(&tsn.to_be_bytes());
    // Supported extensions: RECONFIG and FORWARD TSN.
    chunk.extend_from_slice(&[0x80, 8, 0, 6, 130, 192]);
    packet(0, &chunk)
}

/// A DATA chunk that is a whole message, or a fragment by its flags (RFC 9260 §3.3.1).
fn data(flags: u8, tsn: u32, stream: u16, ssn: u16, ppid: u32, payload: &[u8]) -> Vec<u8> {
    let mut chunk = vec![0, flags];
    chunk.extend_from_slice(&(16 + payload.len() as u16).to_be_bytes());
    chunk.extend_from_slice(&tsn.to_be_bytes());
    chunk.extend_from_slice(&stream.to_be_bytes());
    chunk.extend_from_slice(&ssn.to_be_bytes());
    chunk.extend_from_slice(&ppid.to_be_bytes());
    chunk.extend_from_slice(payload);
    chunk
}

const WHOLE: u8 = 3;
const DCEP: u32 = 50;
const BINARY: u32 = 53;
/// DATA_CHANNEL_OPEN, reliable, labelled "x".
const OPEN: [u8; 13] = [3, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, b'x'];

/// A client that writes its packets by hand.
struct ByHand {
    world: World,
    tag: u32,
    tsn: u32,
    drops: Vec<DropReason>,
}

impl ByHand {
    fn new(tsn: u32) -> Self {
        let world = World::connected();
        let mut hand = Self { world, tag: 0, tsn, drops: vec![] };
        hand.send(&init(99, tsn));
        let init_ack = hand.world.peer.received.pop_front().unwrap();
        hand.tag = u32::from_be_bytes(init_ack[16..20].try_into().unwrap());
        // The cookie is the first parameter after the fixed ones.
        let bytes = usize::from(u16::from_be_bytes([init_ack[34], init_ack[35]]));
        assert_eq!(init_ack[32..34], [0, 7]);
        let mut echo = vec![10, 0];
        echo.extend_from_slice(&init_ack[34..36]);
        echo.extend_from_slice(&init_ack[36..32 + bytes]);
        hand.chunk(&echo);
        assert_eq!(hand.world.peer.received.pop_front().unwrap()[12], 11, "COOKIE ACK");
        let open = hand.next(WHOLE, 0, 0, DCEP, &OPEN);
        hand.chunk(&open);
        assert_eq!(hand.world.events, [TransportEvent::DataOpen(Reliability::Reliable)]);
        hand
    }

    /// The next DATA chunk.
    fn next(&mut self, flags: u8, stream: u16, ssn: u16, ppid: u32, payload: &[u8]) -> Vec<u8> {
        let chunk = data(flags, self.tsn, stream, ssn, ppid, payload);
        self.tsn = self.tsn.wrapping_add(1);
        chunk
    }

    fn chunk(&mut self, chunk: &[u8]) {
        self.send(&packet(self.tag, chunk));
    }

    fn send(&mut self, packet: &[u8]) {
        let World { now, path, .. } = self.world;
        self.world.peer.write(now, packet);
        while let Some(datagram) = self.world.peer.transmit() {
            self.drops.extend(handle(&mut self.world.transport, now, path, &datagram).err());
        }
        self.world.exchange();
    }

    /// Sends what `chunk` makes until the association is ended; how often that took.
    fn sends_until_ended(&mut self, mut chunk: impl FnMut(&mut Self, u32) -> Vec<u8>) -> u32 {
        for n in 0..10_000 {
            let chunk = chunk(self, n);
            self.chunk(&chunk);
            if !self.world.transport.has_data_channel(Reliability::Reliable) {
                assert_eq!(self.drops, [DropReason::SctpError]);
                // The peer is told, and its media goes on.
                let last = self.world.peer.received.pop_back().unwrap();
                assert_eq!(last[12], 6, "ABORT");
                assert_eq!(self.world.states, [TransportState::Connected]);
                return n;
            }
        }
        panic!("it went on for ever");
    }
}

#[test]
fn a_peer_may_start_at_any_tsn() {
    for tsn in [0, 1, u32::MAX - 1, u32::MAX] {
        let mut hand = ByHand::new(tsn);
        let (first, last) = (2, 1);
        for (flags, payload) in [(first, b"ab"), (0, b"cd"), (last, b"ef")] {
            let chunk = hand.next(flags, 0, 1, BINARY, payload);
            hand.chunk(&chunk);
        }
        let message = TransportEvent::DataMessage {
            reliability: Reliability::Reliable,
            text: false,
            payload: Bytes::from_static(b"abcdef"),
        };
        assert_eq!(hand.world.events.last(), Some(&message), "{tsn}");
    }
}

#[test]
fn streams_are_counted_before_they_are_channels() {
    let mut hand = ByHand::new(7);
    for stream in 0..DATA_CHANNELS_MAX as u16 + 8 {
        let chunk = hand.next(WHOLE, stream + 1, 0, BINARY, b"nobody opened this");
        hand.chunk(&chunk);
    }
    let (opened, refused) = hand.drops.split_at(DATA_CHANNELS_MAX - 1);
    assert!(opened.iter().all(|&r| r == DropReason::DataMalformed));
    assert_eq!(refused, [DropReason::SctpError; 9]);
}

#[test]
fn messages_without_end_end_the_association() {
    // In order, so that the library has to take them.
    let sent = ByHand::new(7).sends_until_ended(|hand, n| {
        hand.next(if n == 0 { 2 } else { 0 }, 0, 1, BINARY, &[5; 1000])
    });
    assert!((1000..1100).contains(&sent), "{sent}");
    // From far ahead backwards: each fills a gap.
    let sent = ByHand::new(7).sends_until_ended(|hand, n| {
        data(0, hand.tsn.wrapping_add(1 << 20).wrapping_sub(n), 0, 1, BINARY, &[5; 1000])
    });
    assert!((1000..1100).contains(&sent), "{sent}");
    // By number rather than by size.
    let sent = ByHand::new(7)
        .sends_until_ended(|hand, n| data(0, hand.tsn.wrapping_add(2 * n + 5), 0, 1, BINARY, &[5]));
    assert!((8000..8300).contains(&sent), "{sent}");
}

#[test]
fn a_peer_may_send_more_than_is_ever_held_if_it_ends_its_messages() {
    let mut hand = ByHand::new(u32::MAX - 100);
    for n in 0..3000u32 {
        let flags = [2, 0, 1][n as usize % 3];
        let chunk = hand.next(flags, 0, 1 + (n / 3) as u16, BINARY, &[5; 1000]);
        hand.chunk(&chunk);
        // Repeated, as after a lost acknowledgement.
        hand.chunk(&chunk);
    }
    assert_eq!(hand.world.events.len(), 1 + 1000);
    assert_eq!(hand.drops, []);
}

#[test]
fn nobody_makes_us_count_to_two_billion() {
    let sent = ByHand::new(7).sends_until_ended(|hand, _| {
        let mut forward = vec![192, 0, 0, 8];
        forward.extend_from_slice(&hand.tsn.wrapping_add((1 << 31) - 2).to_be_bytes());
        forward
    });
    assert_eq!(sent, 0);
}

#[test]
fn resets_that_never_come_due_are_rationed() {
    let sent = ByHand::new(7).sends_until_ended(|hand, n| {
        let mut reset = vec![130, 0, 0, 22, 0, 13, 0, 18];
        reset.extend_from_slice(&(hand.tsn + n).to_be_bytes());
        reset.extend_from_slice(&[0; 4]);
        reset.extend_from_slice(&hand.tsn.wrapping_add(1 << 20).to_be_bytes());
        reset.extend_from_slice(&[0, 9]);
        reset
    });
    assert_eq!(sent, 4 * DATA_CHANNELS_MAX as u32);
}
