//! Who gets which quality: feedback and preferences in, grants out.

use std::time::{Duration, Instant};

use super::Engine;
use crate::command::{CommandError, Reply};
use crate::deliver::pacer::Cluster;
use crate::id::{PeerId, RoomId, TrackId};
use crate::preference::{Preference, RoomPolicy};

/// What decides about a peer's quality beside the estimate.
#[derive(Debug, Default)]
pub(super) struct Quality {
    /// When bandwidth is to be shared out anew.
    pub(super) next_run: Option<Instant>,
}

/// Bandwidth is shared out at least this often: measured rates move.
const RUN_INTERVAL: Duration = Duration::from_millis(500);

impl Engine {
    pub(super) fn prefer(
        &mut self,
        _now: Instant,
        peer: PeerId,
        track: TrackId,
        _preference: Preference,
    ) -> Result<Reply, CommandError> {
        self.peers.get(peer).ok_or(CommandError::NoSuchPeer)?;
        self.tracks.get(track).ok_or(CommandError::NoSuchTrack)?;
        Ok(Reply::Done)
    }

    pub(super) fn set_room_policy(
        &mut self,
        _now: Instant,
        room: RoomId,
        _policy: RoomPolicy,
    ) -> Result<Reply, CommandError> {
        self.rooms.get(room).ok_or(CommandError::NoSuchRoom)?;
        Ok(Reply::Done)
    }

    pub(super) fn decisions(&self, now: Instant, peer: PeerId) -> Result<Reply, CommandError> {
        self.peers.get(peer).ok_or(CommandError::NoSuchPeer)?;
        let now = now.saturating_duration_since(self.start);
        Ok(Reply::Decisions(Box::new(crate::decision::PeerDecisions { now, ..Default::default() })))
    }

    /// The estimate of a peer's path may have moved.
    pub(super) fn estimate_moved(&mut self, now: Instant, id: PeerId) {
        let receive = &mut self.peers[id].receive;
        let estimate = receive.bandwidth.estimate();
        receive.pacer.set_estimate(now, Some(estimate.target_bps));
        self.touch(id);
    }

    /// Runs the estimator's clock, sends its probes, and shares out what there is if that is due.
    pub(super) fn share_bandwidth(&mut self, now: Instant, id: PeerId) {
        let receive = &mut self.peers[id].receive;
        if receive.bandwidth.poll_timeout().is_some_and(|at| at <= now) {
            receive.bandwidth.handle_timeout(now);
            self.estimate_moved(now, id);
        }
        let receive = &mut self.peers[id].receive;
        let mut probes = false;
        while let Some(probe) = receive.bandwidth.poll_probe(now) {
            let micros = u64::try_from(probe.duration.as_micros()).unwrap_or(u64::MAX);
            let cluster = Cluster {
                id: probe.id,
                bitrate_bps: probe.bitrate_bps,
                bytes_min: probe.bitrate_bps.saturating_mul(micros) / 8_000_000,
                packets_min: u32::from(probe.packets_min),
            };
            receive.pacer.probe(now, cluster);
            probes = true;
        }
        if probes {
            self.mark_dirty(id);
        }
        let quality = &mut self.peers[id].receive.quality;
        if quality.next_run.is_some_and(|at| at <= now) {
            quality.next_run = Some(now + RUN_INTERVAL);
        }
    }
}
