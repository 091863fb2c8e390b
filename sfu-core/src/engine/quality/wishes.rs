//! What subscribers say they want, and rooms let them have.

use std::time::Instant;

use crate::command::{CommandError, Reply};
use crate::engine::Engine;
use crate::id::{PeerId, RoomId, TrackId};
use crate::limits::SUBSCRIPTIONS_PER_PEER_MAX;
use crate::preference::{Preference, RoomPolicy};

impl Engine {
    /// Says what a peer wants of a track, which it may not have yet.
    pub(in crate::engine) fn prefer(
        &mut self,
        now: Instant,
        id: PeerId,
        track: TrackId,
        preference: Preference,
    ) -> Result<Reply, CommandError> {
        let Self { peers, tracks, subscriptions, .. } = self;
        let peer = peers.get_mut(id).ok_or(CommandError::NoSuchPeer)?;
        if tracks.get(track).is_none_or(|track| track.room != peer.room) {
            return Err(CommandError::NoSuchTrack);
        }
        let preferences = &mut peer.receive.quality.preferences;
        if preferences.len() >= SUBSCRIPTIONS_PER_PEER_MAX {
            preferences.retain(|&track, _| tracks.contains_key(track));
        }
        if preferences.len() >= SUBSCRIPTIONS_PER_PEER_MAX && !preferences.contains_key(&track) {
            return Err(CommandError::Limit("preferences per peer"));
        }
        preferences.insert(track, preference);
        for &subscription in &peer.receive.subscriptions {
            if subscriptions[subscription].track == track {
                subscriptions[subscription].preference = preference;
                subscriptions[subscription].memory.hurry();
            }
        }
        self.reconsider(now, id);
        Ok(Reply::Done)
    }

    /// Sets what a room forwards at all.
    pub(in crate::engine) fn set_room_policy(
        &mut self,
        now: Instant,
        id: RoomId,
        policy: RoomPolicy,
    ) -> Result<Reply, CommandError> {
        let room = self.rooms.get_mut(id).ok_or(CommandError::NoSuchRoom)?;
        let was_direct = room.last_n.is_direct();
        if room.last_n.set_policy(now, policy) {
            self.seats_moved(now, id);
        }
        if was_direct != policy.direct {
            // What is wanted again is wanted now: until it comes there is nothing to share out.
            for track in self.rooms[id].tracks.clone() {
                self.update_demand(now, track);
            }
        }
        Ok(Reply::Done)
    }

    /// What a peer said of a track.
    pub(in crate::engine) fn preference(&self, peer: PeerId, track: TrackId) -> Preference {
        let preferences = &self.peers[peer].receive.quality.preferences;
        preferences.get(&track).copied().unwrap_or_default()
    }

    /// Something changed that the allocation depends on: it runs before the next drain.
    pub(in crate::engine) fn reconsider(&mut self, now: Instant, id: PeerId) {
        if let Some(peer) = self.peers.get_mut(id) {
            peer.receive.quality.next_run = Some(now);
            self.touch(id);
        }
    }

    /// The same for everyone who subscribes to a track.
    pub(in crate::engine) fn reconsider_track(&mut self, now: Instant, track: TrackId) {
        for at in 0..self.tracks[track].subscriptions.len() {
            let subscription = self.tracks[track].subscriptions[at];
            self.reconsider(now, self.subscriptions[subscription].peer);
        }
    }

    /// The same for everyone in a room.
    pub(in crate::engine) fn reconsider_room(&mut self, now: Instant, room: RoomId) {
        for at in 0..self.rooms[room].peers.len() {
            let (_, peer) = self.rooms[room].peers[at];
            self.reconsider(now, peer);
        }
    }
}
