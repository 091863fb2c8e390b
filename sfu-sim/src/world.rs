//! [`World`]: the engine, its clients and their links on one virtual clock.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rtc_crypto::RTCCryptoProvider;
use sfu_core::command::{Command, CommandError, Reply};
use sfu_core::drops::DropReason;
use sfu_core::event::Event;
use sfu_core::id::{PeerId, RoomId};
use sfu_core::stats::EngineStats;
use sfu_core::transport::{Certificate, Path, Security};
use sfu_core::{Egress, Engine, EngineConfig};

use crate::client::Client;
use crate::link::{Link, LinkPlan};
use crate::plan::Plan;
use crate::trace::Trace;

/// Where the engine is reached.
const SERVER: (Ipv4Addr, u16) = (Ipv4Addr::new(192, 0, 2, 1), 7882);
/// How long an offer and its answer take by the signalling connection.
const SIGNALLING_DELAY: Duration = Duration::from_millis(20);
/// Steps at one instant after which something must be going in circles.
const STEPS_PER_INSTANT_MAX: u32 = 10_000;
/// The engine's wall clock at the start, as an NTP time: any will do.
const NTP_AT_START: u64 = 3_950_000_000 << 32;

/// A client's place in the world, in order of arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(usize);

/// A client and its links.
struct Node {
    client: Client,
    address: SocketAddr,
    up: Link,
    down: Link,
    /// The earliest wake-up that is in the heap.
    wake: Option<Duration>,
    /// Receiving m-lines the engine said it lacks, audio and video, and that an offer with them
    /// is under way.
    lacks: (u16, u16),
    offering: bool,
    gone: bool,
}

/// Something that will happen.
#[derive(Debug)]
enum Happening {
    AtEngine { path: Path, from: u64, datagram: Vec<u8> },
    AtClient { to: usize, datagram: Vec<u8> },
    Wake(usize),
    Offer(usize),
}

/// A happening in its place: by time, then in order of making.
struct Due(Duration, u64, Happening);

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        (self.0, self.1) == (other.0, other.1)
    }
}
impl Eq for Due {}
impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.0, self.1).cmp(&(other.0, other.1))
    }
}

/// The engine and everything around it.
pub struct World {
    engine: Engine,
    seed: u64,
    origin: Instant,
    now: Duration,
    nodes: Vec<Node>,
    node_by_address: HashMap<SocketAddr, usize>,
    node_by_peer: HashMap<PeerId, usize>,
    /// Clients that may have something to send beside what their wake-ups bring.
    meddled: Vec<usize>,
    heap: BinaryHeap<Reverse<Due>>,
    /// Happenings made so far.
    made: u64,
    egress: Egress,
    events: Vec<(Duration, Event)>,
    trace: Trace,
    crypto: Arc<dyn RTCCryptoProvider>,
    steps_at_this_instant: u32,
    /// Datagrams the engine sent to addresses where nobody is.
    pub misdirected: u64,
    /// Datagrams delivered, both ways.
    pub delivered: u64,
}

impl World {
    /// A world with nobody in it.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        // The engine only ever sees differences to this.
        let origin = Instant::now();
        let config = EngineConfig {
            certificate: Arc::new(Certificate::generate().expect("keys can be made anywhere")),
            candidates: vec![SERVER.into()],
            worker: 0,
            ntp_at_start: NTP_AT_START,
            security: Security::Plain,
        };
        Self {
            engine: Engine::new(config, seed, origin),
            seed,
            origin,
            now: Duration::ZERO,
            nodes: Vec::new(),
            node_by_address: HashMap::new(),
            node_by_peer: HashMap::new(),
            meddled: Vec::new(),
            heap: BinaryHeap::new(),
            made: 0,
            egress: Egress::default(),
            events: Vec::new(),
            trace: Trace::default(),
            crypto: rtc_crypto::default_provider().expect("aws-lc-rs is built in"),
            steps_at_this_instant: 0,
            misdirected: 0,
            delivered: 0,
        }
    }

    /// Time since the start of the world.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.now
    }

    /// The course so far as one number.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.trace.hash()
    }

    /// Everything the engine has told, and when.
    #[must_use]
    pub fn events(&self) -> &[(Duration, Event)] {
        &self.events
    }

    /// What the engine has told since `from`, by place in [`World::events`].
    pub fn events_since(&self, from: usize) -> impl Iterator<Item = &Event> {
        self.events[from..].iter().map(|(_, event)| event)
    }

    /// The engine's counters.
    #[must_use]
    pub fn stats(&self) -> EngineStats {
        self.engine.stats()
    }

    /// One of the engine's drop counters.
    #[must_use]
    pub fn drops(&self, reason: DropReason) -> u64 {
        self.engine.stats().drops.get(reason)
    }

    /// A client.
    #[must_use]
    pub fn client(&self, id: ClientId) -> &Client {
        &self.nodes[id.0].client
    }

    /// A client, to be meddled with. What it sends by that goes out at the next step.
    pub fn client_mut(&mut self, id: ClientId) -> &mut Client {
        self.meddled.push(id.0);
        &mut self.nodes[id.0].client
    }

    /// A client's links, up and down.
    #[must_use]
    pub fn links(&self, id: ClientId) -> (&Link, &Link) {
        (&self.nodes[id.0].up, &self.nodes[id.0].down)
    }

    /// Replaces a client's links' plans, up and down.
    pub fn set_links(&mut self, id: ClientId, up: LinkPlan, down: LinkPlan) {
        self.nodes[id.0].up.set_plan(up);
        self.nodes[id.0].down.set_plan(down);
    }

    /// A client's address.
    #[must_use]
    pub fn address(&self, id: ClientId) -> SocketAddr {
        self.nodes[id.0].address
    }

    /// Opens a room.
    pub fn create_room(&mut self) -> RoomId {
        match self.command(Command::CreateRoom) {
            Ok(Reply::Room(room)) => room,
            other => panic!("no room: {other:?}"),
        }
    }

    /// Carries out a command now.
    pub fn command(&mut self, command: Command) -> Result<Reply, CommandError> {
        let reply = self.engine.handle_command(self.origin + self.now, command);
        self.settle();
        reply
    }

    /// A client comes into a room and makes its first offer.
    pub fn join(&mut self, room: RoomId, plan: Plan) -> ClientId {
        let index = self.nodes.len();
        let lane = (index as u64) << 8;
        let up = Link::seeded(plan.up.clone(), self.seed, lane | 3);
        let down = Link::seeded(plan.down.clone(), self.seed, lane | 4);
        let subscribe = plan.subscribe;
        let mut client = Client::new(plan, index, self.seed, self.crypto.clone(), self.now);
        let add = Command::AddPeer { room, participant: client.participant, subscribe };
        match self.engine.handle_command(self.origin + self.now, add) {
            Ok(Reply::Peer(peer)) => client.peer = peer,
            other => panic!("not admitted: {other:?}"),
        }
        let [_, a, b, c] = u32::try_from(index).expect("a few thousand clients").to_be_bytes();
        let address = SocketAddr::from(([10, a, b, c], 40_000));
        self.node_by_address.insert(address, index);
        self.node_by_peer.insert(client.peer, index);
        self.nodes.push(Node {
            client,
            address,
            up,
            down,
            wake: None,
            lacks: (0, 0),
            offering: false,
            gone: false,
        });
        self.offer(ClientId(index)).expect("a first offer is taken");
        ClientId(index)
    }

    /// A client leaves. Nothing it sent is under way any more, for it is not there to say so.
    pub fn leave(&mut self, id: ClientId) {
        let node = &mut self.nodes[id.0];
        node.gone = true;
        let peer = node.client.peer;
        self.node_by_address.remove(&node.address);
        self.node_by_peer.remove(&peer);
        self.command(Command::RemovePeer { peer }).expect("it was there");
    }

    /// A client offers what it now has, and takes the answer.
    pub fn offer(&mut self, id: ClientId) -> Result<(), CommandError> {
        let node = &mut self.nodes[id.0];
        let (offer, publish) = node.client.offer();
        let offer = Command::Offer { peer: node.client.peer, offer: Box::new(offer), publish };
        let reply = self.engine.handle_command(self.origin + self.now, offer)?;
        let Reply::Answer { answer, published } = reply else { panic!("no answer: {reply:?}") };
        self.nodes[id.0].client.answer(self.now, &answer, published);
        self.meddled.push(id.0);
        self.settle();
        Ok(())
    }

    /// A datagram from any address arrives at the engine now.
    pub fn inject(&mut self, from: SocketAddr, datagram: &[u8]) {
        let path = path(from);
        self.engine.handle_datagram(self.origin + self.now, path, &mut datagram.to_vec());
    }

    /// The engine, taken out of the world, and its time.
    #[must_use]
    pub fn into_engine(self) -> (Engine, Instant) {
        (self.engine, self.origin + self.now)
    }

    /// Lets time pass.
    pub fn run_for(&mut self, duration: Duration) {
        let until = self.now + duration;
        self.settle();
        while self.step(until) {}
        self.now = until;
    }

    /// Lets time pass until something is so, at most for `limit`. Says whether it became so.
    pub fn run_until(&mut self, limit: Duration, mut done: impl FnMut(&Self) -> bool) -> bool {
        let until = self.now + limit;
        self.settle();
        while !done(self) {
            if !self.step(until) {
                self.now = until;
                return done(self);
            }
        }
        true
    }

    /// Goes to the next instant at which something is due, unless that is after `until`.
    fn step(&mut self, until: Duration) -> bool {
        let in_heap = self.heap.peek().map(|Reverse(due)| due.0);
        let in_engine = self.engine.poll_timeout().map(|at| at.duration_since(self.origin));
        let Some(next) = in_heap.into_iter().chain(in_engine).min().filter(|&at| at <= until)
        else {
            return false;
        };
        self.steps_at_this_instant =
            if next > self.now { 0 } else { self.steps_at_this_instant + 1 };
        assert!(self.steps_at_this_instant < STEPS_PER_INSTANT_MAX, "time stands still");
        self.now = self.now.max(next);
        while let Some(Reverse(Due(at, ..))) = self.heap.peek()
            && *at <= self.now
        {
            let Some(Reverse(Due(_, _, happening))) = self.heap.pop() else { break };
            self.happen(happening);
        }
        self.engine.handle_timeout(self.origin + self.now);
        self.settle();
        true
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::AtEngine { path, from, mut datagram } => {
                self.note(from << 1, &datagram);
                self.engine.handle_datagram(self.origin + self.now, path, &mut datagram);
            }
            Happening::AtClient { to, datagram } => {
                if self.nodes[to].gone {
                    return;
                }
                self.note((to as u64) << 1 | 1, &datagram);
                let wake = self.nodes[to].client.handle_datagram(self.now, &datagram);
                self.carry_up(to);
                self.wake_at(to, wake);
            }
            Happening::Wake(at) => {
                if self.nodes[at].wake == Some(self.now) {
                    self.nodes[at].wake = None;
                }
                if !self.nodes[at].gone {
                    self.nodes[at].client.handle_timeout(self.now);
                    self.flush(at);
                }
            }
            Happening::Offer(at) => {
                let node = &mut self.nodes[at];
                node.offering = false;
                if !node.gone {
                    let (audio, video) = std::mem::take(&mut node.lacks);
                    node.client.add_slots(audio.into(), video.into());
                    self.offer(ClientId(at)).expect("more m-lines are taken");
                }
            }
        }
    }

    fn note(&mut self, direction: u64, datagram: &[u8]) {
        self.delivered += 1;
        self.trace.word(u64::try_from(self.now.as_nanos()).expect("worlds do not last 500 years"));
        self.trace.word(direction);
        self.trace.datagram(datagram);
    }

    /// Puts what a client has to send on its uplink, and sees to its next wake-up.
    fn flush(&mut self, at: usize) {
        self.carry_up(at);
        self.wake_at(at, self.nodes[at].client.wake());
    }

    fn carry_up(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        while let Some(datagram) = node.client.poll_transmit() {
            let [first, second] = node.up.send(self.now, datagram.len());
            let path = path(node.address);
            for (arrival, datagram) in copies(first, second, datagram) {
                let happening = Happening::AtEngine { path, from: at as u64, datagram };
                self.made += 1;
                self.heap.push(Reverse(Due(arrival, self.made, happening)));
            }
        }
    }

    /// Wakes a client then, unless something wakes it before.
    fn wake_at(&mut self, at: usize, wake: Option<Duration>) {
        let node = &mut self.nodes[at];
        if let Some(wake) = wake.map(|wake| wake.max(self.now))
            && node.wake.is_none_or(|before| wake < before)
        {
            node.wake = Some(wake);
            self.made += 1;
            self.heap.push(Reverse(Due(wake, self.made, Happening::Wake(at))));
        }
    }

    /// Takes what the engine has to say and to send, and what clients were made to send.
    fn settle(&mut self) {
        while let Some(at) = self.meddled.pop() {
            if !self.nodes[at].gone {
                self.flush(at);
            }
        }
        let now = self.origin + self.now;
        loop {
            let done = self.engine.drain(now, &mut self.egress);
            let mut egress = std::mem::take(&mut self.egress);
            for (transmit, bytes) in egress.iter() {
                for datagram in bytes.chunks(transmit.segment_bytes) {
                    self.carry_down(transmit.path.remote, datagram);
                }
            }
            egress.clear();
            self.egress = egress;
            if done {
                break;
            }
        }
        while let Some(event) = self.engine.poll_event() {
            self.take(event);
        }
    }

    fn carry_down(&mut self, address: SocketAddr, datagram: &[u8]) {
        let Some(&to) = self.node_by_address.get(&address) else {
            self.misdirected += 1;
            return;
        };
        let [first, second] = self.nodes[to].down.send(self.now, datagram.len());
        for (arrival, datagram) in copies(first, second, datagram.to_vec()) {
            self.made += 1;
            let happening = Happening::AtClient { to, datagram };
            self.heap.push(Reverse(Due(arrival, self.made, happening)));
        }
    }

    /// Notes an event and lets the clients it concerns know.
    fn take(&mut self, event: Event) {
        self.trace.bytes(format!("{event:?}").as_bytes());
        match &event {
            Event::Assigned { peer, mid, track } => {
                if let Some(at) = self.node_of(*peer) {
                    self.nodes[at].client.assign(self.now, mid, *track);
                }
            }
            Event::TrackMuted { track, .. } => {
                for node in &mut self.nodes {
                    node.client.interrupt(self.now, *track);
                }
            }
            Event::SlotsNeeded { peer, audio, video } => {
                let node = self.node_of(*peer).filter(|&at| self.nodes[at].client.grows());
                if let Some(at) = node {
                    self.lack(at, (*audio, *video));
                }
            }
            Event::Transport { .. }
            | Event::TrackPublished { .. }
            | Event::TrackUnpublished { .. }
            | Event::NoCommonCodec { .. }
            | Event::Forwarding { .. }
            | Event::Demand { .. }
            | Event::Speakers { .. }
            | Event::Data { .. } => {}
        }
        self.events.push((self.now, event));
    }

    /// Notes what m-lines a client lacks; it offers them a moment later.
    fn lack(&mut self, at: usize, lacks: (u16, u16)) {
        let node = &mut self.nodes[at];
        node.lacks = lacks;
        if lacks != (0, 0) && !std::mem::replace(&mut node.offering, true) {
            self.made += 1;
            let due = Due(self.now + SIGNALLING_DELAY, self.made, Happening::Offer(at));
            self.heap.push(Reverse(due));
        }
    }

    fn node_of(&self, peer: PeerId) -> Option<usize> {
        self.node_by_peer.get(&peer).copied()
    }
}

/// The path of datagrams from a client.
#[must_use]
pub(crate) fn path(remote: SocketAddr) -> Path {
    Path { remote, local: Some(IpAddr::V4(SERVER.0)) }
}

/// A datagram and maybe its copy, each with the time at which it arrives.
fn copies(
    first: Option<Duration>,
    second: Option<Duration>,
    datagram: Vec<u8>,
) -> impl Iterator<Item = (Duration, Vec<u8>)> {
    let copy = second.map(|arrival| (arrival, datagram.clone()));
    first.map(|arrival| (arrival, datagram)).into_iter().chain(copy)
}
