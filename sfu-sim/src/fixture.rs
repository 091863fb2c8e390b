//! Engines ready to be measured or attacked: one publisher, many connected subscribers, and the
//! packets to feed them with.

use std::time::{Duration, Instant};

use sfu_core::negotiation::MediaKind;
use sfu_core::transport::Path;
use sfu_core::{Egress, Engine};

use crate::plan::{Feedback, Plan};
use crate::wire::{self, RtpHeader, Stamp};
use crate::world::{World, path};

/// Payload bytes of a synthetic packet.
const PAYLOAD_BYTES: usize = 1100;
/// Packets of a synthetic frame: 1 Mbit/s at 30 frames a second.
const PACKETS_PER_FRAME: u16 = 4;
const TICKS_PER_FRAME: u32 = 3_000;

/// An engine in the middle of a call, and what comes next.
pub struct FanOut {
    /// The engine; every peer is connected and every subscription has its m-line.
    pub engine: Engine,
    /// The time it has been brought to.
    pub now: Instant,
    /// Where the publisher's packets come from.
    pub publisher: Path,
    /// The publisher's packets in order, as they travel with
    /// [`Security::Plain`](sfu_core::transport::Security::Plain); the first begins a keyframe.
    pub packets: Vec<Vec<u8>>,
}

impl FanOut {
    /// Feeds one packet and fills `egress`, which is cleared first. Gives the datagrams made.
    pub fn forward(&mut self, packet: usize, egress: &mut Egress) -> usize {
        egress.clear();
        self.engine.handle_datagram(self.now, self.publisher, &mut self.packets[packet]);
        drained(&mut self.engine, self.now, egress)
    }
}

/// The same with the publisher in one engine and all viewers in another.
pub struct Across {
    /// The publisher's engine, and its packets.
    pub origin: FanOut,
    /// The engine of the subscribers.
    pub mirror: Engine,
}

impl Across {
    /// Feeds one packet and fills `egress` with what the engine of the subscribers makes of it. Gives
    /// the datagrams made.
    pub fn forward(&mut self, packet: usize, egress: &mut Egress) -> usize {
        let Self { origin, mirror } = self;
        let now = origin.now;
        origin.forward(packet, egress);
        egress.clear();
        while let Some((_, mut message)) = origin.engine.poll_relay() {
            mirror.handle_relay(now, 0, &mut message);
            origin.engine.recycle(message);
        }
        drained(mirror, now, egress)
    }
}

/// Drains an engine. Gives the datagrams made.
fn drained(engine: &mut Engine, now: Instant, egress: &mut Egress) -> usize {
    let mut datagrams = 0;
    loop {
        let done = engine.drain(now, egress);
        datagrams += egress
            .iter()
            .map(|(transmit, bytes)| bytes.len().div_ceil(transmit.segment_bytes))
            .sum::<usize>();
        if done {
            return datagrams;
        }
        egress.clear();
    }
}

/// One publisher, `subscribers` viewers, and `packets` packets of synthetic video to forward.
///
/// # Panics
/// If the engine does not get the call going, which is a bug of one of the two.
#[must_use]
pub fn fan_out(subscribers: usize, packets: usize) -> FanOut {
    let (engine, rest) = call(1, subscribers, packets);
    assert!(rest.is_empty(), "there is one");
    engine
}

/// The same across two engines.
///
/// # Panics
/// As [`fan_out`].
#[must_use]
pub fn across(subscribers: usize, packets: usize) -> Across {
    let (origin, mut rest) = call(2, subscribers, packets);
    Across { origin, mirror: rest.pop().expect("there are two") }
}

/// A call with the publisher in the first and the viewers in the last of so many engines.
fn call(engines: usize, subscribers: usize, packets: usize) -> (FanOut, Vec<Engine>) {
    let mut world = World::spanning(1, engines);
    let room = world.create_room();
    let publisher = world.join_at(0, room, Plan::camera());
    // The synthetic packets take the camera's place from its first number on.
    world.client_mut(publisher).cameras_mut().for_each(|camera| camera.set_active(false));
    for _ in 0..subscribers {
        let viewer = Plan::viewer().with_slots(0, 1);
        world.join_at(engines - 1, room, viewer.with_feedback(Feedback::None));
    }
    let connected = subscribers as u64 + 1;
    let begun = world.run_until(Duration::from_secs(2), |world| {
        let peers = (0..engines).map(|engine| world.stats_of(engine).peers_connected);
        peers.sum::<u64>() == connected && world.client(publisher).is_connected()
    });
    assert!(begun, "everybody connects");
    // What one engine wants of the other is under way.
    world.run_for(Duration::from_millis(1));
    let camera = world.client(publisher).cameras().next().expect("it has one");
    let ssrc = camera.ssrc(0);
    let payload_type = world.client(publisher).numbering().payload_type(MediaKind::Video);
    let address = world.address(publisher);
    let (mut engines, now) = world.into_engines();
    let rest = engines.split_off(1);
    let engine = engines.pop().expect("there is one at least");
    let packets = (0..packets).map(|at| packet(ssrc, payload_type, at)).collect();
    (FanOut { engine, now, publisher: path(address), packets }, rest)
}

/// The `at`-th packet of an endless video.
fn packet(ssrc: u32, payload_type: u8, at: usize) -> Vec<u8> {
    #[allow(clippy::cast_possible_truncation, reason = "numbers that wrap on the wire")]
    let (sequence, frame) = (at as u16, (at / usize::from(PACKETS_PER_FRAME)) as u32);
    let part = sequence % PACKETS_PER_FRAME;
    let stamp = Stamp {
        source: ssrc,
        frame,
        part,
        parts: PACKETS_PER_FRAME,
        keyframe: frame == 0,
        ..Stamp::default()
    };
    let header = RtpHeader {
        payload_type,
        marker: part == PACKETS_PER_FRAME - 1,
        sequence,
        timestamp: frame.wrapping_mul(TICKS_PER_FRAME),
        ssrc,
    };
    wire::rtp(&header, &[], &wire::vp8_payload(frame as u16, &stamp, PAYLOAD_BYTES), 0)
}
