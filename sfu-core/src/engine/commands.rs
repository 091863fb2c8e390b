//! Commands of the control plane.

use std::time::Instant;

use super::Engine;
use super::peer::{Link, Peer};
use crate::command::{Command, CommandError, Reply, SubscribePolicy};
use crate::decision::KeyframeReason;
use crate::event::Event;
use crate::id::{ParticipantId, PeerId, RoomId, Ssrc, TrackId};
use crate::limits::{PEERS_MAX, PEERS_PER_ROOM_MAX, ROOMS_MAX};
use crate::relay::Note;
use crate::room::Room;
use crate::transport::IceCredentials;

/// Goodbyes kept until the next drain. They are a courtesy; beyond this they are not sent.
const FAREWELLS_MAX: usize = 1024;

impl Engine {
    pub(super) fn carry_out(
        &mut self,
        now: Instant,
        command: Command,
    ) -> Result<Reply, CommandError> {
        match command {
            Command::CreateRoom => self.create_room(),
            Command::CloseRoom { room } => self.close_room(now, room),
            Command::AddPeer { room, participant, subscribe } => {
                self.add_peer(now, room, participant, subscribe)
            }
            Command::RemovePeer { peer } => self.remove_peer(now, peer),
            Command::Offer { peer, offer, publish } => self.answer(now, peer, &offer, publish),
            Command::RestartIce { peer, remote } => self.restart_ice(now, peer, remote),
            Command::Mute { track, muted } => self.mute(now, track, muted),
            Command::Unpublish { track } => self.unpublish(now, track),
            Command::Subscribe { peer, track } => {
                let room = self.peers.get(peer).ok_or(CommandError::NoSuchPeer)?.room;
                let track_room = self.tracks.get(track).map(|track| track.room);
                if track_room != Some(room) {
                    return Err(CommandError::NoSuchTrack);
                }
                self.subscribe(now, peer, track).map(|()| Reply::Done)
            }
            Command::Unsubscribe { peer, track } => {
                let peer = self.peers.get(peer).ok_or(CommandError::NoSuchPeer)?;
                let of_track = |&&id: &&_| self.subscriptions[id].track == track;
                let id = peer.receive.subscriptions.iter().find(of_track).copied();
                self.unsubscribe(now, id.ok_or(CommandError::NoSuchTrack)?);
                Ok(Reply::Done)
            }
            Command::Prefer { peer, track, preference } => {
                self.prefer(now, peer, track, preference)
            }
            Command::SetRoomPolicy { room, policy } => self.set_room_policy(now, room, policy),
            Command::ShedVideo { level } => Ok(self.shed_video(now, level)),
            Command::Decisions { peer } => self.decisions(now, peer),
            Command::SendData { room, message } => {
                if !self.rooms.contains_key(room) {
                    return Err(CommandError::NoSuchRoom);
                }
                self.send_data(now, room, &message);
                Ok(Reply::Done)
            }
            Command::LinkRoom { room, worker, remote } => self.link_room(now, room, worker, remote),
            Command::UnlinkRoom { room, worker } => self.unlink_room(now, room, worker),
            Command::Permit { peer, permissions } => self.permit(now, peer, permissions),
            Command::PeerStats { peer } => {
                let peer = self.peers.get(peer).ok_or(CommandError::NoSuchPeer)?;
                Ok(Reply::PeerStats(Box::new(peer.stats.clone())))
            }
        }
    }

    fn create_room(&mut self) -> Result<Reply, CommandError> {
        if self.rooms.len() >= ROOMS_MAX {
            return Err(CommandError::Limit("rooms"));
        }
        Ok(Reply::Room(self.rooms.insert(Room::default())))
    }

    fn close_room(&mut self, now: Instant, id: RoomId) -> Result<Reply, CommandError> {
        let room = self.rooms.get(id).ok_or(CommandError::NoSuchRoom)?;
        let workers: Vec<u8> = room.links.iter().map(|link| link.worker).collect();
        for (_, peer) in room.peers.clone() {
            self.remove_peer(now, peer)?;
        }
        for worker in workers {
            self.unlink_room(now, id, worker)?;
        }
        self.rooms.remove(id);
        self.timers.set(super::Timer::Room(id), None);
        Ok(Reply::Done)
    }

    fn add_peer(
        &mut self,
        now: Instant,
        room: RoomId,
        participant: ParticipantId,
        policy: SubscribePolicy,
    ) -> Result<Reply, CommandError> {
        let this = self.rooms.get_mut(room).ok_or(CommandError::NoSuchRoom)?;
        if this.peers.len() >= PEERS_PER_ROOM_MAX {
            return Err(CommandError::Limit("participants of a room"));
        }
        if self.peers.len() >= PEERS_MAX {
            return Err(CommandError::Limit("participants of a server"));
        }
        let ssrc = random_ssrc(&mut self.rng);
        let peer = self.peers.insert(Peer::new(now, room, participant, policy, ssrc));
        this.peers.push((participant, peer));
        self.participant_came(now, room, participant);
        self.apply_policy(now, peer);
        Ok(Reply::Peer(peer))
    }

    fn remove_peer(&mut self, now: Instant, id: PeerId) -> Result<Reply, CommandError> {
        if !self.peers.contains_key(id) {
            return Err(CommandError::NoSuchPeer);
        }
        let tracks: Vec<_> = self.peers[id].publish.tracks().collect();
        for track in tracks {
            self.remove_track(now, track);
        }
        // Taken out first: nothing may be assigned to a peer on its way out.
        let mut peer = self.peers.remove(id).expect("checked above");
        for subscription in std::mem::take(&mut peer.receive.subscriptions) {
            self.unsubscribe(now, subscription);
        }
        self.timers.set(super::Timer::Peer(id), None);
        self.timers.set(super::Timer::Pacer(id), None);
        let room = &mut self.rooms[peer.room];
        room.peers.retain(|&(_, other)| other != id);
        self.participant_left(now, peer.room, peer.participant);
        if let Some(mut link) = peer.link.take() {
            self.forget_link(id, &link);
            link.transport.close(now);
            while let Some(farewell) = link.transport.poll_transmit() {
                if self.farewells.len() < FAREWELLS_MAX {
                    self.farewells.push_back(farewell);
                }
            }
        }
        self.resume_followers(now, peer.room);
        Ok(Reply::Done)
    }

    /// Ends a peer's transport without a word: its state can no longer be trusted.
    pub(super) fn unlink(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get_mut(id) else { return };
        peer.receive.pacer.clear();
        if let Some(link) = peer.link.take() {
            self.forget_link(id, &link);
        }
    }

    fn forget_link(&mut self, id: PeerId, link: &Link) {
        for path in &link.paths {
            self.demux.forget_path(path, id);
        }
        for ufrag in link.transport.local_ufrags() {
            self.demux.forget_ufrag(ufrag);
        }
    }

    /// Viewers that follow the first publisher look for the next one.
    pub(super) fn resume_followers(&mut self, now: Instant, room: RoomId) {
        let Some(room) = self.rooms.get(room) else { return };
        let followers: Vec<_> = room
            .peers
            .iter()
            .map(|&(_, peer)| peer)
            .filter(|&peer| {
                let peer = &self.peers[peer];
                peer.policy == SubscribePolicy::FirstPublisher
                    && peer.receive.subscriptions.is_empty()
            })
            .collect();
        for peer in followers {
            self.apply_policy(now, peer);
        }
    }

    pub(super) fn restart_ice(
        &mut self,
        now: Instant,
        id: PeerId,
        remote: IceCredentials,
    ) -> Result<Reply, CommandError> {
        let local = IceCredentials::generate(&mut self.rng, self.config.worker);
        let peer = self.peers.get_mut(id).ok_or(CommandError::NoSuchPeer)?;
        let link = peer.link.as_mut().ok_or(CommandError::NoTransport)?;
        link.transport.restart_ice(now, local.clone(), remote.clone());
        link.local_ice = local.clone();
        link.remote_ice = remote;
        self.demux.learn_ufrag(&local.ufrag, id);
        self.touch(id);
        Ok(Reply::Ice(local))
    }

    fn mute(&mut self, now: Instant, id: TrackId, muted: bool) -> Result<Reply, CommandError> {
        let track = self.tracks.get(id).ok_or(CommandError::NoSuchTrack)?;
        if track.mirror().is_some() {
            return Err(CommandError::MirroredTrack);
        }
        if track.muted == muted {
            return Ok(Reply::Done);
        }
        let (room, participant) = (track.room, track.participant);
        self.set_muted(now, id, muted);
        self.rooms[room].speakers.remove(participant);
        self.tell_links(room, |room| Note::Muted { room, track: id, muted });
        self.tell(Event::TrackMuted { room, participant, track: id, muted });
        Ok(Reply::Done)
    }

    /// Mutes or unmutes a track for its subscribers.
    pub(super) fn set_muted(&mut self, now: Instant, id: TrackId, muted: bool) {
        let track = &mut self.tracks[id];
        track.muted = muted;
        for subscription in track.subscriptions.clone() {
            // What comes after the pause begins a new source on the same line.
            self.subscriptions[subscription].selector.restart();
            if !muted {
                self.start_subscription(now, subscription, KeyframeReason::Start);
            }
        }
        self.reconsider_track(now, id);
    }

    pub(super) fn unpublish(&mut self, now: Instant, id: TrackId) -> Result<Reply, CommandError> {
        let track = self.tracks.get(id).ok_or(CommandError::NoSuchTrack)?;
        if track.mirror().is_some() {
            return Err(CommandError::MirroredTrack);
        }
        let (room, participant) = (track.room, track.participant);
        self.remove_track(now, id);
        self.tell(Event::TrackUnpublished { room, participant, track: id });
        self.resume_followers(now, room);
        Ok(Reply::Done)
    }

    /// Takes a track out of its room and its publisher, and frees its subscribers' m-lines.
    pub(super) fn remove_track(&mut self, now: Instant, id: TrackId) {
        let Some(track) = self.tracks.get(id) else { return };
        let (room, peer) = (track.room, track.peer());
        for subscription in track.subscriptions.clone() {
            self.unsubscribe(now, subscription);
        }
        if let Some(mut track) = self.tracks.remove(id) {
            track.encodings.iter_mut().for_each(|e| e.history.clear(&mut self.pages));
        }
        self.rooms[room].tracks.retain(|&other| other != id);
        let Some(peer) = peer else { return };
        self.tell_links(room, |room| Note::Unannounce { room, track: id });
        let publish = &mut self.peers[peer].publish;
        publish.unbind(id);
        for slot in &mut publish.track_by_section {
            if *slot == Some(id) {
                *slot = None;
            }
        }
    }
}

/// A random SSRC; zero is left out, some receivers take it for none.
pub(super) fn random_ssrc(rng: &mut impl rand_core::Rng) -> Ssrc {
    Ssrc(rng.next_u32().max(1))
}
