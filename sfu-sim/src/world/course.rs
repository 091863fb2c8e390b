//! How time passes: from one instant at which something happens to the next.

use std::time::Duration;

use sfu_core::event::Event;

use super::{ClientId, World, index_of, path};
use crate::cross::Step;
use crate::depot::Parcel;

/// How long an offer, its answer, or an event takes by the signalling connection.
const SIGNALLING_DELAY: Duration = Duration::from_millis(20);
/// What AES-GCM adds to a packet (RFC 7714 §5.2), and SRTCP beside that.
const SRTP_TAG_BYTES: usize = 16;
const SRTCP_INDEX_BYTES: usize = 4;
/// Steps at one instant after which something must be going in circles.
const STEPS_PER_INSTANT_MAX: u32 = 10_000;

/// Something that will happen.
#[derive(Clone, Copy, Debug)]
pub(super) enum Happening {
    AtEngine { from: u32, parcel: Parcel },
    AtClient { to: u32, parcel: Parcel },
    Wake(u32),
    Offer(u32),
    Demand(u32),
    Cross(u32, Step),
    Relay(u32),
}

/// A client's number in a happening.
fn short(index: usize) -> u32 {
    u32::try_from(index).expect("a few thousand clients")
}

impl World {
    /// Goes to the next instant at which something is due, unless that is after `until`.
    pub(super) fn step(&mut self, until: Duration) -> bool {
        let queued = self.queue.next();
        let in_engines = self.engines.iter().filter_map(sfu_core::Engine::poll_timeout);
        let in_engine = in_engines.min().map(|at| at.duration_since(self.origin));
        let Some(next) = queued.into_iter().chain(in_engine).min().filter(|&at| at <= until) else {
            return false;
        };
        self.steps_at_this_instant =
            if next > self.now { 0 } else { self.steps_at_this_instant + 1 };
        assert!(self.steps_at_this_instant < STEPS_PER_INSTANT_MAX, "time stands still");
        self.now = self.now.max(next);
        let mut for_engine = in_engine.is_some_and(|at| at <= self.now);
        while let Some(happening) = self.queue.pop(self.now) {
            for_engine |= matches!(happening, Happening::AtEngine { .. } | Happening::Relay(_));
            self.happen(happening);
        }
        if for_engine {
            let now = self.origin + self.now;
            self.engines.iter_mut().for_each(|engine| engine.handle_timeout(now));
            self.settle();
        }
        true
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::AtEngine { from, parcel } => {
                self.note(u64::from(from) << 1, parcel);
                let node = &self.nodes[from as usize];
                let path = path(node.address);
                let datagram = self.depot.open(parcel);
                self.engines[node.engine].handle_datagram(self.origin + self.now, path, datagram);
                self.depot.release(parcel);
            }
            Happening::AtClient { to, parcel } => {
                let at = to as usize;
                if !self.nodes[at].gone {
                    self.note(u64::from(to) << 1 | 1, parcel);
                    let datagram = self.depot.look(parcel);
                    let wake = self.nodes[at].client.handle_datagram(self.now, datagram);
                    self.carry_up(at);
                    self.wake_at(at, wake);
                }
                self.depot.release(parcel);
            }
            Happening::Wake(at) => {
                let at = at as usize;
                if self.nodes[at].wake == Some(self.now) {
                    self.nodes[at].wake = None;
                }
                if !self.nodes[at].gone {
                    self.nodes[at].client.handle_timeout(self.now);
                    self.flush(at);
                }
            }
            Happening::Offer(at) => {
                let node = &mut self.nodes[at as usize];
                node.offering = false;
                if !node.gone {
                    let (audio, video) = std::mem::take(&mut node.lacks);
                    node.client.add_slots(audio.into(), video.into());
                    self.offer(ClientId(at as usize)).expect("more m-lines are taken");
                }
            }
            Happening::Demand(at) => {
                let node = &mut self.nodes[at as usize];
                if let Some((track, wanted, max_spatial)) = node.demands.pop_front() {
                    node.client.demand(track, &wanted, max_spatial);
                }
            }
            Happening::Relay(slot) => self.relay(slot),
            Happening::Cross(flow, step) => {
                let (through, flowing) = &mut self.flows[flow as usize];
                let bottleneck = &mut self.bottlenecks[through.0];
                let queue = &mut self.queue;
                flowing.step(self.now, step, bottleneck, |at, step| {
                    queue.push(at, Happening::Cross(flow, step));
                });
            }
        }
    }

    fn note(&mut self, direction: u64, parcel: Parcel) {
        self.delivered += 1;
        let nanos = self.now.as_secs() * 1_000_000_000 + u64::from(self.now.subsec_nanos());
        self.trace.pair(nanos, direction);
        self.trace.datagram(self.depot.look(parcel));
    }

    /// Puts what a client has to send on its uplink, and sees to its next wake-up.
    fn flush(&mut self, at: usize) {
        self.carry_up(at);
        self.wake_at(at, self.nodes[at].client.wake());
    }

    fn carry_up(&mut self, at: usize) {
        let Self { nodes, bottlenecks, depot, queue, now, .. } = self;
        let super::Node { client, up, .. } = &mut nodes[at];
        if client.outbox().is_empty() {
            return;
        }
        let mut outbox = std::mem::take(client.outbox());
        for datagram in outbox.iter() {
            let sealed = client.seal(datagram);
            let datagram = match (&sealed, client.is_secure()) {
                (Some(sealed), _) => sealed,
                (None, false) => datagram,
                // There are no keys yet.
                (None, true) => continue,
            };
            let shared = up.shared().map(|shared| &mut bottlenecks[shared.0]);
            let arrivals = up.send(*now, wire_bytes(datagram, client.is_secure()), shared);
            for arrival in arrivals.into_iter().flatten() {
                let parcel = depot.keep(datagram);
                queue.push(arrival, Happening::AtEngine { from: short(at), parcel });
            }
        }
        outbox.clear();
        *client.outbox() = outbox;
    }

    /// Wakes a client then, unless something wakes it before.
    fn wake_at(&mut self, at: usize, wake: Option<Duration>) {
        let node = &mut self.nodes[at];
        if let Some(wake) = wake.map(|wake| wake.max(self.now))
            && node.wake.is_none_or(|before| wake < before)
        {
            node.wake = Some(wake);
            self.queue.push(wake, Happening::Wake(short(at)));
        }
    }

    /// Takes what the engine has to say and to send, and what clients were made to send.
    pub(super) fn settle(&mut self) {
        while let Some(at) = self.meddled.pop() {
            if !self.nodes[at].gone {
                self.flush(at);
            }
        }
        for engine in 0..self.engines.len() {
            self.drain(engine);
        }
    }

    fn drain(&mut self, engine: usize) {
        let now = self.origin + self.now;
        let mut egress = std::mem::take(&mut self.egress);
        loop {
            let done = self.engines[engine].drain(now, &mut egress);
            for (transmit, bytes) in egress.iter() {
                let to = index_of(transmit.path.remote)
                    .filter(|&at| self.nodes.get(at).is_some_and(|node| !node.gone));
                for datagram in bytes.chunks(transmit.segment_bytes) {
                    match to {
                        Some(to) => self.carry_down(to, datagram),
                        None => self.misdirected += 1,
                    }
                }
            }
            egress.clear();
            if done {
                break;
            }
        }
        self.egress = egress;
        self.carry_across(engine);
        while let Some(event) = self.engines[engine].poll_event() {
            self.take(engine, event);
        }
    }

    fn carry_down(&mut self, to: usize, datagram: &[u8]) {
        let super::Node { client, down, .. } = &mut self.nodes[to];
        let secure = client.is_secure();
        let shared = down.shared().map(|shared| &mut self.bottlenecks[shared.0]);
        let arrivals = down.send(self.now, wire_bytes(datagram, secure), shared);
        for arrival in arrivals.into_iter().flatten() {
            let parcel = match secure {
                true => self.depot.keep(datagram),
                false => self.depot.keep_ends(datagram),
            };
            self.queue.push(arrival, Happening::AtClient { to: short(to), parcel });
        }
    }

    /// Notes an event and lets the clients it concerns know.
    fn take(&mut self, engine: usize, event: Event) {
        if engine > 0 {
            self.trace.pair(engine as u64, 3);
        }
        self.trace.bytes(format!("{event:?}").as_bytes());
        match &event {
            Event::Assigned { peer, mid, track } => {
                if let Some(at) = self.node_of(engine, *peer) {
                    self.nodes[at].client.assign(self.now, mid, *track);
                }
            }
            Event::TrackMuted { track, .. } => {
                for node in &mut self.nodes {
                    if let Some(track) = self.span.name_in(node.engine, (engine, *track)) {
                        node.client.interrupt(self.now, track);
                    }
                }
            }
            Event::SlotsNeeded { peer, audio, video } => {
                let node = self.node_of(engine, *peer).filter(|&at| self.nodes[at].client.grows());
                if let Some(at) = node {
                    self.lack(at, (*audio, *video));
                }
            }
            Event::Forwarding { peer, track, layer, .. } => {
                // A pause is no freeze, and what follows it need not follow what was before it.
                if let Some(at) = self.node_of(engine, *peer).filter(|_| layer.is_none()) {
                    self.nodes[at].client.interrupt(self.now, *track);
                }
            }
            Event::Demand { peer, track, wanted, max_spatial } => {
                if let Some(at) = self.node_of(engine, *peer) {
                    self.nodes[at].demands.push_back((*track, wanted.clone(), *max_spatial));
                    self.queue.push(self.now + SIGNALLING_DELAY, Happening::Demand(short(at)));
                }
            }
            Event::TrackMirrored { origin, track, .. } => {
                self.span.learn(engine, *origin, track.track);
            }
            Event::TrackUnmirrored { origin, .. } => self.span.forget(engine, *origin),
            Event::Transport { .. }
            | Event::LinkLost { .. }
            | Event::TrackPublished { .. }
            | Event::TrackUnpublished { .. }
            | Event::NoCommonCodec { .. }
            | Event::Speakers { .. }
            | Event::Data { .. } => {}
        }
        self.events.push((self.now, event));
        self.teller.push(engine);
    }

    /// Notes what m-lines a client lacks; it offers them a moment later.
    fn lack(&mut self, at: usize, lacks: (u16, u16)) {
        let node = &mut self.nodes[at];
        node.lacks = lacks;
        if lacks != (0, 0) && !std::mem::replace(&mut node.offering, true) {
            self.queue.push(self.now + SIGNALLING_DELAY, Happening::Offer(short(at)));
        }
    }
}

/// Bytes of a datagram as links count them: media costs what it would cost encrypted.
fn wire_bytes(datagram: &[u8], secure: bool) -> usize {
    let would_grow = match datagram {
        _ if secure => 0,
        [128..=191, 192..=223, ..] => SRTP_TAG_BYTES + SRTCP_INDEX_BYTES,
        [128..=191, ..] => SRTP_TAG_BYTES,
        _ => 0,
    };
    datagram.len() + would_grow
}
