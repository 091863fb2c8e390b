//! What a peer may do, and what ends when it may no longer.

use std::time::Instant;

use super::Engine;
use crate::command::{CommandError, Permissions, Reply};
use crate::id::{PeerId, TrackId};

impl Engine {
    /// Nothing of what is taken away goes on after this returns: packets of a track that ended
    /// belong to nobody, and a subscription that ended has no m-line.
    pub(super) fn permit(
        &mut self,
        now: Instant,
        id: PeerId,
        permissions: Permissions,
    ) -> Result<Reply, CommandError> {
        let peer = self.peers.get_mut(id).ok_or(CommandError::NoSuchPeer)?;
        let before = std::mem::replace(&mut peer.permissions, permissions);
        let refused = |&track: &TrackId| !permissions.publish.contains(self.tracks[track].source);
        let refused: Vec<TrackId> = self.peers[id].publish.tracks().filter(refused).collect();
        for track in refused {
            self.unpublish(now, track)?;
        }
        if !permissions.subscribe {
            for subscription in self.peers[id].receive.subscriptions.clone() {
                self.unsubscribe(now, subscription);
            }
        } else if !before.subscribe {
            self.apply_policy(now, id);
        }
        Ok(Reply::Done)
    }
}
