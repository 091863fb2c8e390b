//! [`World`]: the engine, its clients and their links on one virtual clock. What tests and scenarios
//! do with it is here; how time passes is in [`course`], and rooms that span several engines in
//! [`span`].

mod course;
mod span;

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rtc_crypto::RTCCryptoProvider;
use smallvec::SmallVec;

use sfu_core::command::{Command, CommandError, Reply};
use sfu_core::drops::DropReason;
use sfu_core::event::Event;
use sfu_core::id::{PeerId, RoomId, TrackId};
use sfu_core::stats::EngineStats;
use sfu_core::transport::{Candidate, Certificate, Path, Security};
use sfu_core::{Egress, Engine, EngineConfig};

use crate::bottleneck::{Bottleneck, BottleneckId};
use crate::client::Client;
use crate::client::secure::{Identity, Secure};
use crate::cross::{Cross, Flow, Step};
use crate::depot::Depot;
use crate::link::{Link, LinkPlan, Rate};
use crate::plan::Plan;
use crate::queue::Queue;
use crate::trace::Trace;
use course::Happening;
pub use span::Relayed;
use span::Span;

/// Where the engine is reached.
const SERVER: (Ipv4Addr, u16) = (Ipv4Addr::new(192, 0, 2, 1), 7882);
/// The port of every client.
const PORT: u16 = 40_000;
/// The engine's wall clock at the start, as an NTP time: any will do.
const NTP_AT_START: u64 = 3_950_000_000 << 32;

/// A client's place in the world, in order of arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(usize);

/// A client and its links.
struct Node {
    client: Client,
    /// The engine it is connected to.
    engine: usize,
    address: SocketAddr,
    up: Link,
    down: Link,
    /// The earliest wake-up that is in the heap.
    wake: Option<Duration>,
    /// Receiving m-lines the engine said it lacks, audio and video, and that an offer with them
    /// is under way.
    lacks: (u16, u16),
    offering: bool,
    /// What the engine said of demand and has not reached the client yet, by track, in order.
    demands: VecDeque<(TrackId, SmallVec<[bool; 4]>, u8)>,
    gone: bool,
}

/// The engine and everything around it.
pub struct World {
    /// By worker number; one, unless rooms span several.
    engines: Vec<Engine>,
    /// What is between them.
    span: Span,
    seed: u64,
    origin: Instant,
    now: Duration,
    nodes: Vec<Node>,
    node_by_peer: HashMap<(usize, PeerId), usize>,
    /// Clients that may have something to send beside what their wake-ups bring.
    meddled: Vec<usize>,
    queue: Queue<Happening>,
    depot: Depot,
    bottlenecks: Vec<Bottleneck>,
    flows: Vec<(BottleneckId, Flow)>,
    egress: Egress,
    events: Vec<(Duration, Event)>,
    /// The engine that told each event.
    teller: Vec<usize>,
    trace: Trace,
    crypto: Arc<dyn RTCCryptoProvider>,
    /// The clients' certificate, where media is encrypted.
    identity: Option<Identity>,
    steps_at_this_instant: u32,
    /// Datagrams the engine sent to addresses where nobody is.
    pub misdirected: u64,
    /// Datagrams delivered, both ways.
    pub delivered: u64,
}

impl World {
    /// A world with nobody in it, in which nothing is encrypted.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::with_engines(seed, Security::Plain, 1)
    }

    /// The same with rooms that span so many engines; clients come to them in turn.
    #[must_use]
    pub fn spanning(seed: u64, engines: usize) -> Self {
        Self::with_engines(seed, Security::Plain, engines)
    }

    /// A world in which clients and engine shake hands by DTLS and encrypt by SRTP. Slower, and the
    /// bytes of its course differ from run to run, for keys do.
    #[must_use]
    pub fn encrypted(seed: u64) -> Self {
        Self::with_engines(seed, Security::Full, 1)
    }

    fn with_engines(seed: u64, security: Security, engines: usize) -> Self {
        // The engine only ever sees differences to this.
        let origin = Instant::now();
        let certificate = Arc::new(Certificate::generate().expect("keys can be made anywhere"));
        let engine = |worker: usize| {
            let config = EngineConfig {
                certificate: certificate.clone(),
                candidates: vec![Candidate::udp(SERVER)],
                worker: u8::try_from(worker).expect("a few engines"),
                ntp_at_start: NTP_AT_START,
                security,
            };
            Engine::new(config, seed.wrapping_add(worker as u64), origin)
        };
        let crypto = rtc_crypto::default_provider().expect("aws-lc-rs is built in");
        Self {
            identity: (security == Security::Full).then(|| Identity::new(&*crypto)),
            crypto,
            engines: (0..engines).map(engine).collect(),
            span: Span::default(),
            seed,
            origin,
            now: Duration::ZERO,
            nodes: Vec::new(),
            node_by_peer: HashMap::new(),
            meddled: Vec::new(),
            queue: Queue::default(),
            depot: Depot::default(),
            bottlenecks: Vec::new(),
            flows: Vec::new(),
            egress: Egress::default(),
            events: Vec::new(),
            teller: Vec::new(),
            trace: Trace::default(),
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

    /// The engine's counters; of several, those of the first.
    #[must_use]
    pub fn stats(&self) -> EngineStats {
        self.engines[0].stats()
    }

    /// One of the engine's drop counters; of several engines, their sum.
    #[must_use]
    pub fn drops(&self, reason: DropReason) -> u64 {
        self.engines.iter().map(|engine| engine.stats().drops.get(reason)).sum()
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

    /// A bottleneck that links may share ([`LinkPlan::through`]), with these rates from these times
    /// on, of which the first is zero.
    pub fn add_bottleneck(&mut self, rates: &[(Duration, Rate)]) -> BottleneckId {
        let rates = rates.iter().map(|&(from, rate)| (from, Some(rate))).collect();
        self.bottlenecks.push(Bottleneck::new(rates));
        BottleneckId(self.bottlenecks.len() - 1)
    }

    /// Lets traffic flow through a bottleneck beside the calls. Gives its number, for
    /// [`World::crossed`].
    pub fn add_cross(
        &mut self,
        through: BottleneckId,
        cross: Cross,
        from: Duration,
        until: Duration,
    ) -> usize {
        self.flows.push((through, Flow::new(cross, until)));
        let flow = self.flows.len() - 1;
        let short = u32::try_from(flow).expect("a few flows");
        self.queue.push(from.max(self.now), Happening::Cross(short, Step::Send));
        flow
    }

    /// Bytes of cross traffic that came through.
    #[must_use]
    pub fn crossed(&self, flow: usize) -> u64 {
        self.flows[flow].1.delivered
    }

    /// Opens a room, in every engine, and links it. Gives its id in the first one.
    pub fn create_room(&mut self) -> RoomId {
        let rooms = self.create_unlinked();
        self.link_all(&rooms);
        rooms[0]
    }

    /// Carries out a command now; of several engines, in the first.
    pub fn command(&mut self, command: Command) -> Result<Reply, CommandError> {
        self.command_at(0, command)
    }

    /// Carries out a command in one of several engines.
    pub fn command_at(&mut self, engine: usize, command: Command) -> Result<Reply, CommandError> {
        let reply = self.engines[engine].handle_command(self.origin + self.now, command);
        self.settle();
        reply
    }

    /// A client comes into a room and makes its first offer. Of several engines it comes to the
    /// next one in turn.
    pub fn join(&mut self, room: RoomId, plan: Plan) -> ClientId {
        self.join_at(self.nodes.len() % self.engines.len(), room, plan)
    }

    /// The same at one of several engines; `room` is its id in the first one.
    pub fn join_at(&mut self, engine: usize, room: RoomId, plan: Plan) -> ClientId {
        let room = self.room_in(engine, room);
        let index = self.nodes.len();
        let lane = (index as u64) << 8;
        let up = Link::seeded(plan.up.clone(), self.seed, lane | 3);
        let down = Link::seeded(plan.down.clone(), self.seed, lane | 4);
        let subscribe = plan.subscribe;
        let secure = self.identity.clone().map(|identity| {
            let fingerprint = identity.fingerprint;
            (Secure::new(self.crypto.clone(), identity, self.origin), fingerprint)
        });
        let crypto = self.crypto.clone();
        let mut client = Client::new(plan, index, self.seed, crypto, secure, self.now);
        let add = Command::AddPeer { room, participant: client.participant, subscribe };
        match self.engines[engine].handle_command(self.origin + self.now, add) {
            Ok(Reply::Peer(peer)) => client.peer = peer,
            other => panic!("not admitted: {other:?}"),
        }
        let address = address_of(index);
        self.node_by_peer.insert((engine, client.peer), index);
        self.nodes.push(Node {
            client,
            engine,
            address,
            up,
            down,
            wake: None,
            lacks: (0, 0),
            offering: false,
            demands: VecDeque::new(),
            gone: false,
        });
        self.offer(ClientId(index)).expect("a first offer is taken");
        ClientId(index)
    }

    /// A client leaves. Nothing it sent is under way any more, for it is not there to say so.
    pub fn leave(&mut self, id: ClientId) {
        let node = &mut self.nodes[id.0];
        node.gone = true;
        let (peer, engine) = (node.client.peer, node.engine);
        self.node_by_peer.remove(&(engine, peer));
        self.command_at(engine, Command::RemovePeer { peer }).expect("it was there");
    }

    /// A client offers what it now has, and takes the answer.
    pub fn offer(&mut self, id: ClientId) -> Result<(), CommandError> {
        let node = &mut self.nodes[id.0];
        let (offer, publish) = node.client.offer();
        let offer = Command::Offer { peer: node.client.peer, offer: Box::new(offer), publish };
        let engine = &mut self.engines[node.engine];
        let reply = engine.handle_command(self.origin + self.now, offer)?;
        let Reply::Answer { answer, published } = reply else { panic!("no answer: {reply:?}") };
        self.nodes[id.0].client.answer(self.now, &answer, published);
        self.meddled.push(id.0);
        self.settle();
        Ok(())
    }

    /// A datagram from any address arrives at the (first) engine now.
    pub fn inject(&mut self, from: SocketAddr, datagram: &[u8]) {
        let path = path(from);
        self.engines[0].handle_datagram(self.origin + self.now, path, &mut datagram.to_vec());
    }

    /// The engines, taken out of the world, and their time.
    #[must_use]
    pub fn into_engines(self) -> (Vec<Engine>, Instant) {
        (self.engines, self.origin + self.now)
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

    fn node_of(&self, engine: usize, peer: PeerId) -> Option<usize> {
        self.node_by_peer.get(&(engine, peer)).copied()
    }
}

/// The path of datagrams from a client.
#[must_use]
pub(crate) fn path(remote: SocketAddr) -> Path {
    Path::udp(remote, Some(IpAddr::V4(SERVER.0)))
}

/// Where a client is.
fn address_of(index: usize) -> SocketAddr {
    let [_, a, b, c] = u32::try_from(index).expect("a few thousand clients").to_be_bytes();
    SocketAddr::from(([10, a, b, c], PORT))
}

/// The client at an address, if one can be there.
fn index_of(address: SocketAddr) -> Option<usize> {
    match address {
        SocketAddr::V4(v4) if v4.port() == PORT => {
            let [net, a, b, c] = v4.ip().octets();
            (net == 10).then(|| u32::from_be_bytes([0, a, b, c]) as usize)
        }
        _ => None,
    }
}
