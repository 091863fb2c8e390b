//! [`Engine`]: owns peers, rooms and tracks; the only place where they meet.
//!
//! One file per way in or out: [`commands`] and [`offer`] from the control plane, [`ingress`] and
//! [`feedback`] and [`repair`] from the network, [`upkeep`] from time, [`outgoing`] to the network; [`relay`] from
//! and to other engines, with [`mirrors`] of their tracks, the [`origins`] of ours, and what
//! [`members`] of one room share.

mod build;
mod commands;
mod data;
mod egress;
mod explain;
mod fan_out;
mod feedback;
mod ingress;
mod leave;
mod members;
mod mirrors;
mod offer;
mod origins;
mod outgoing;
mod peer;
mod permit;
mod quality;
mod rebound;
mod relay;
mod repair;
mod subscriptions;
mod timers;
mod upkeep;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use rand_core::SeedableRng;
use rand_pcg::Pcg64Mcg;
use slotmap::SlotMap;

use crate::command::{Command, CommandError, Reply};
use crate::deliver::slot::ntp_from_duration;
use crate::demux::{Demux, PathChange};
use crate::drops::DropReason;
use crate::event::Event;
use crate::id::{PeerId, RoomId, SubscriptionId, TrackId};
use crate::limits::{EVENTS_MAX, STRANGERS_PER_SECOND_MAX};
use crate::publish::pages::PagePool;
use crate::publish::track::Track;
use crate::relay::Outboxes;
use crate::room::Room;
use crate::stats::EngineStats;
use crate::transport::{Candidate, Certificate, Datagram, Path, Rate, Security};

pub use egress::{Egress, Transmit};
use peer::Peer;
use quality::{Allocation, Shed};
use subscriptions::Subscription;
use timers::{Timer, Timers};

/// What an engine is told once.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// The server's certificate.
    pub certificate: Arc<Certificate>,
    /// Host candidates put into answers.
    pub candidates: Vec<Candidate>,
    /// This worker's number, carried in every local ufrag.
    pub worker: u8,
    /// Wall-clock time at `now` of [`Engine::new`], in NTP format (RFC 5905 §6), for sender
    /// reports.
    pub ntp_at_start: u64,
    /// [`Security::Full`] but in simulations.
    pub security: Security,
}

/// The engine.
///
/// Feed it with the `handle_*` methods; after each batch of them call [`Engine::drain`], then
/// [`Engine::poll_event`] until `None`, then wait until [`Engine::poll_timeout`] or more input.
#[derive(Debug)]
pub struct Engine {
    config: EngineConfig,
    rng: Pcg64Mcg,
    start: Instant,
    rooms: SlotMap<RoomId, Room>,
    peers: SlotMap<PeerId, Peer>,
    tracks: SlotMap<TrackId, Track>,
    subscriptions: SlotMap<SubscriptionId, Subscription>,
    /// Where the payloads of all tracks are.
    pages: PagePool,
    demux: Demux,
    timers: Timers,
    /// Published packets of this batch of datagrams that are still to be offered.
    batch: fan_out::Batch,
    /// Peers with something to send, in the order in which it came up.
    dirty: VecDeque<PeerId>,
    /// Peers whose deadlines may have moved.
    touched: Vec<PeerId>,
    events: VecDeque<Event>,
    /// Goodbyes of peers that are gone.
    farewells: VecDeque<(Path, Datagram)>,
    stats: EngineStats,
    allocation: Allocation,
    /// How far videos are cut down while the server is overloaded.
    shed: Shed,
    /// Subscriptions whose forwarded layer has changed.
    switched: Vec<SubscriptionId>,
    /// What waits for other engines.
    relay: Outboxes,
    /// Mirrors whose wishes may have changed.
    touched_mirrors: Vec<TrackId>,
    /// How much of what strangers send is looked at.
    strangers: Rate<STRANGERS_PER_SECOND_MAX>,
    /// Transactions of our own checks, and whose they are; the oldest first.
    challenged: VecDeque<([u8; 12], PeerId)>,
    /// See [`Engine::take_unclaimed`].
    unclaimed: bool,
    /// See [`Engine::reads_for_others`].
    reads_for_others: bool,
}

impl Engine {
    /// An empty engine. Decisions and identifiers derive from `seed`; keys do not.
    #[must_use]
    pub fn new(config: EngineConfig, seed: u64, now: Instant) -> Self {
        Self {
            config,
            rng: Pcg64Mcg::seed_from_u64(seed),
            start: now,
            rooms: SlotMap::with_key(),
            peers: SlotMap::with_key(),
            tracks: SlotMap::with_key(),
            subscriptions: SlotMap::with_key(),
            pages: PagePool::default(),
            demux: Demux::default(),
            timers: Timers::default(),
            batch: fan_out::Batch::default(),
            dirty: VecDeque::new(),
            touched: Vec::new(),
            events: VecDeque::new(),
            farewells: VecDeque::new(),
            stats: EngineStats::default(),
            allocation: Allocation::default(),
            switched: Vec::new(),
            relay: Outboxes::default(),
            shed: Shed::default(),
            touched_mirrors: Vec::new(),
            strangers: Rate::new(),
            challenged: VecDeque::new(),
            unclaimed: false,
            reads_for_others: false,
        }
    }

    /// Takes one datagram. `data` may be decrypted in place.
    pub fn handle_datagram(&mut self, now: Instant, path: Path, data: &mut [u8]) {
        self.stats.datagrams_in += 1;
        self.stats.bytes_in += data.len() as u64;
        if let Err(reason) = self.ingest(now, path, data) {
            self.stats.drops.count(reason);
        }
    }

    /// Carries out a command.
    pub fn handle_command(
        &mut self,
        now: Instant,
        command: Command,
    ) -> Result<Reply, CommandError> {
        self.route_batch();
        self.carry_out(now, command)
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.route_batch();
        while let Some(timer) = self.timers.pop_due(now) {
            match timer {
                Timer::Peer(peer) => self.touch(peer),
                Timer::Room(room) => self.tick_speakers(now, room),
                Timer::Pacer(peer) => self.mark_dirty(peer),
                Timer::Mirror(track) => self.touch_mirror(track),
            }
        }
    }

    /// Appends every datagram that is ready to go. Returns false if `egress` filled up first:
    /// send, clear it and call again.
    pub fn drain(&mut self, now: Instant, egress: &mut Egress) -> bool {
        while self.route_some() {
            if !self.deliver(now, egress) {
                return false;
            }
        }
        self.settle(now);
        self.deliver(now, egress)
    }

    /// The next event, if any.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// From now on [`Engine::poll_path`] tells of paths: for a shell with several engines on one
    /// port, whose datagrams may reach the wrong one.
    pub fn watch_paths(&mut self) {
        self.demux.watch_paths();
    }

    /// Whether ICE has validated `path` for a peer of this engine.
    #[must_use]
    pub fn knows_path(&self, path: &Path) -> bool {
        self.demux.peer_by_path(path).is_some()
    }

    /// The peer that a datagram over `path` is from, as far as path and check tell.
    #[must_use]
    pub fn peer_of(&self, path: &Path, datagram: &[u8]) -> Option<PeerId> {
        let by_check = || self.demux.peer_by_stun(datagram).ok();
        self.demux.peer_by_path(path).or_else(by_check)
    }

    /// Whether there is such a peer.
    #[must_use]
    pub fn has_peer(&self, peer: PeerId) -> bool {
        self.peers.get(peer).is_some()
    }

    /// The next change of whose paths lead here, after [`Engine::watch_paths`]. To be polled until
    /// `None` after every batch, before [`Engine::drain`]: what it tells of a check is then known
    /// wherever it must be before the answer has left.
    pub fn poll_path(&mut self) -> Option<PathChange> {
        self.demux.poll_change()
    }

    /// When [`Engine::handle_timeout`] wants to be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Counters and sizes.
    #[must_use]
    pub fn stats(&self) -> EngineStats {
        EngineStats {
            rooms: self.rooms.len() as u64,
            peers: self.peers.len() as u64,
            peers_connected: self.peers.values().filter(|peer| peer.is_connected()).count() as u64,
            tracks: self.tracks.len() as u64,
            mirrors: self.tracks.values().filter(|track| track.mirror().is_some()).count() as u64,
            subscriptions: self.subscriptions.len() as u64,
            estimates: self.estimates(),
            timers: self.timers.len() as u64,
            addresses: {
                let (paths, ufrags) = self.demux.len();
                (paths + ufrags) as u64
            },
            history_pages: self.pages.in_use() as u64,
            history_pages_refused: self.pages.refused(),
            ..self.stats.clone()
        }
    }

    /// Wall-clock time in NTP format.
    fn ntp(&self, now: Instant) -> u64 {
        let elapsed = now.saturating_duration_since(self.start);
        self.config.ntp_at_start.wrapping_add(ntp_from_duration(elapsed))
    }

    /// Queues an event. If the shell has stopped polling, only speaker lists are lost, which the
    /// next one replaces; anything else would leave the control plane with a wrong picture.
    fn tell(&mut self, event: Event) {
        if self.events.len() >= EVENTS_MAX && matches!(event, Event::Speakers { .. }) {
            return;
        }
        self.events.push_back(event);
    }

    fn count(&mut self, reason: DropReason) {
        self.stats.drops.count(reason);
    }

    /// Notes that a peer has something to send.
    fn mark_dirty(&mut self, id: PeerId) {
        if let Some(peer) = self.peers.get_mut(id)
            && !peer.dirty
        {
            peer.dirty = true;
            self.dirty.push_back(id);
        }
    }

    /// Notes that a peer's deadlines may have moved.
    fn touch(&mut self, id: PeerId) {
        if let Some(peer) = self.peers.get_mut(id)
            && !peer.touched
        {
            peer.touched = true;
            self.touched.push(id);
        }
    }
}
