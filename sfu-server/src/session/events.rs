//! Applies what the media workers tell, in their order: to the registry, and to everybody who is
//! to hear of it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sfu_core::command::{Command, Reliability};
use sfu_core::event::{Event, FailReason, TransportState};
use sfu_core::id::{ParticipantId, PeerId, RoomId};
use tokio::sync::mpsc;

use super::forwarding::Forwarding;
use super::message::{Json, Reply, ServerEvent, SpeakerView, WireId, fail_reason};
use super::outbox::CloseCode;
use super::participant::{Door, LeaveReason};
use super::registry::Cleanup;
use super::{Sessions, TrackKey};
use crate::media::{Output, WorkerId};
use crate::webhooks::Notice;

/// How often empty rooms are looked for.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

impl Sessions {
    /// Starts the tasks that follow the workers.
    pub(crate) fn follow(self: &Arc<Self>, mut outputs: mpsc::Receiver<(WorkerId, Output)>) {
        let sessions = Arc::clone(self);
        self.runtime.spawn(async move {
            while let Some((worker, output)) = outputs.recv().await {
                let apply = AssertUnwindSafe(|| sessions.apply(worker, output));
                if catch_unwind(apply).is_err() {
                    sessions.counters.panics.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        self.follow_policies();
        let sessions = Arc::downgrade(self);
        self.runtime.spawn(async move {
            let mut interval = tokio::time::interval(SWEEP_INTERVAL);
            loop {
                let now = interval.tick().await;
                let Some(sessions) = sessions.upgrade() else { return };
                let cleanup = {
                    let mut registry = sessions.registry.lock();
                    registry.review_all_direct(now);
                    registry.sweep(now)
                };
                sessions.spawn(cleanup);
                sessions.close_empty_parts(now);
            }
        });
    }

    pub(super) fn apply(self: &Arc<Self>, worker: WorkerId, output: Output) {
        match output {
            Output::PeerAdded { participant, room, peer } => {
                self.peer_added(worker, room, participant, peer);
            }
            Output::Event(event) => self.handle_event(worker, event),
            // Whoever asked may have gone.
            Output::Reply { to, result } => drop(to.send(result)),
        }
    }

    /// A join is complete: the newcomer gets the state of the room, the others hear of it.
    fn peer_added(&self, worker: WorkerId, room: RoomId, id: ParticipantId, peer: PeerId) {
        let mut registry = self.registry.lock();
        if !registry.bind_peer(worker, room, id, peer) {
            // It left while the engine was adding it.
            drop(registry);
            self.spawn(Cleanup(vec![(worker, Command::RemovePeer { peer })]));
            return;
        }
        let webhooks = registry.webhooks.clone();
        let room = registry.room_by_id(worker, room).expect("bind_peer found it");
        let others = room.visible().filter(|other| other.id != id);
        let newcomer = &room.participants[&id];
        let joined = Reply::Joined {
            room: room.name.to_string(),
            participant: id.into(),
            participants: others.map(|other| other.view_from(worker)).collect(),
            permissions: newcomer.grant.view(),
            settings: room.settings.clone(),
            ice_servers: self.ice_servers(&format!("{:016x}", id.0)),
            impairments: self.settings.now().media.impairments,
            resume_key: newcomer.resume_key,
        };
        newcomer.outbox.push(&joined.to(newcomer.join_request));
        if newcomer.is_entered() {
            let (room, participant) = (&*room.name, newcomer.who());
            webhooks.tell(&Notice::ParticipantJoined { room, participant });
        }
        if newcomer.is_visible() {
            let event = ServerEvent::ParticipantJoined { participant: newcomer.view() };
            room.tell_others(Some(id), &Json::of(&event));
        }
        let name = Arc::clone(&room.name);
        registry.review_direct(&name);
    }

    fn handle_event(self: &Arc<Self>, worker: WorkerId, event: Event) {
        match event {
            Event::Transport { peer, state } => self.transport_changed(worker, peer, state),
            Event::TrackPublished { room, track } => self.track_published(worker, room, track),
            Event::TrackUnpublished { room, participant, track } => {
                self.track_unpublished(worker, room, participant, track);
            }
            Event::TrackMuted { room, participant, track, muted } => {
                self.track_muted(worker, room, participant, track, muted);
            }
            Event::TrackMirrored { room, origin, track } => {
                self.track_mirrored(worker, room, origin, track);
            }
            Event::TrackUnmirrored { room, participant, track, .. } => {
                self.track_unmirrored(worker, room, participant, track);
            }
            Event::LinkLost { room, worker: other } => {
                self.link_lost(worker, room, WorkerId(other));
            }
            Event::Assigned { peer, mid, track } => self.assigned(worker, peer, mid, track),
            Event::SlotsNeeded { peer, audio, video } => {
                self.tell_peer(worker, peer, &ServerEvent::SlotsNeeded { audio, video });
            }
            Event::NoCommonCodec { peer, track } => {
                if let Some((key, subscriber)) =
                    self.registry.lock().subscriber(worker, peer, track)
                {
                    let event = ServerEvent::Unplayable { track: key.into() };
                    subscriber.outbox.push(&Json::of(&event));
                }
            }
            Event::Forwarding { peer, track, layer, size, reason } => {
                let now = Forwarding { track, layer, size, reason };
                self.forwarding_changed(worker, peer, now);
            }
            Event::Demand { peer, track, wanted, max_spatial } => {
                let encodings = wanted.into_vec();
                let track = TrackKey { worker, id: track }.into();
                let event = ServerEvent::Demand { track, encodings, max_spatial };
                self.tell_peer(worker, peer, &event);
            }
            Event::Speakers { room, speakers } => {
                let speakers = speakers.iter().map(|speaker| SpeakerView {
                    participant: speaker.participant.into(),
                    level: speaker.level_dbov,
                });
                let event = ServerEvent::Speakers { speakers: speakers.collect() };
                let message = Json::of(&event);
                let mut registry = self.registry.lock();
                let room = registry.room_by_id(worker, room);
                // All engines of a room say the same; one is enough.
                if let Some(room) = room.filter(|room| room.leader() == Some(worker)) {
                    for participant in room.listeners() {
                        participant.outbox.push_lossy(&message);
                    }
                }
            }
            Event::Data { peer, from, reliability, text, payload } => {
                let is_reliable = reliability == Reliability::Reliable;
                let message = Json::of(&ServerEvent::data(from, &payload, text, is_reliable));
                if let Some(participant) = self.registry.lock().participant_by_peer(worker, peer) {
                    if is_reliable {
                        participant.outbox.push(&message);
                    } else {
                        participant.outbox.push_lossy(&message);
                    }
                }
            }
        }
    }

    fn tell_peer(&self, worker: WorkerId, peer: PeerId, event: &ServerEvent) {
        if let Some(participant) = self.registry.lock().participant_by_peer(worker, peer) {
            participant.outbox.push(&Json::of(event));
        }
    }

    /// A WebSocket participant is told and decides itself. A WHIP or WHEP session is its
    /// transport: with it, it ends.
    fn transport_changed(&self, worker: WorkerId, peer: PeerId, state: TransportState) {
        let mut registry = self.registry.lock();
        let Some(participant) = registry.participant_by_peer(worker, peer) else { return };
        participant.transport = state;
        let (id, name) = (WireId::from(participant.id), participant.transport_name());
        match state {
            TransportState::Failed(reason) => {
                let reason = fail_reason(reason);
                tracing::info!(participant = %id, reason, "transport {name}");
            }
            _ => tracing::info!(participant = %id, "transport {name}"),
        }
        participant.outbox.push(&Json::of(&ServerEvent::transport(state)));
        let door = participant.door;
        let key = participant.resume_key;
        if state == TransportState::Connected
            && let Some(since) = participant.joining_since.take()
        {
            self.counters.join_duration.observe(since.elapsed());
        }
        let TransportState::Failed(reason) = state else { return };
        let (why, close) = match (door, reason) {
            (_, FailReason::Internal) => {
                (LeaveReason::Lost, Some((CloseCode::Internal, "internal error")))
            }
            // With neither signalling nor media there is nothing to go on from.
            (Door::WebSocket, _) if key.is_some_and(|key| self.is_parked(key)) => {
                (LeaveReason::Lost, None)
            }
            (Door::WebSocket, _) => return,
            (_, FailReason::ClosedByPeer) => (LeaveReason::Left, None),
            (_, _) => (LeaveReason::Lost, None),
        };
        let (room, id) = registry.locate(worker, peer).expect("found above");
        drop(registry);
        self.remove(&room, id, why, close);
    }
}
