//! What a track is called: by everybody in its room, and by each engine the room is on.

use std::collections::{BTreeMap, HashMap, VecDeque};

use sfu_core::decision::{PeerDecisions, What};
use sfu_core::event::TrackInfo;
use sfu_core::id::TrackId;

use crate::limits::ENDED_MIRRORS_MAX;
use crate::media::WorkerId;

/// Where a worker's number is in a track's id on the wire. An engine never has as many tracks at a
/// time as would need these bits of its own id.
const WORKER_SHIFT: u32 = 24;
const WORKER_BITS: u64 = 0xff << WORKER_SHIFT;

/// A track as everybody calls it: by the worker where it is published, and its id there. Engines
/// count their tracks on their own, so ids of two of them coincide.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) struct TrackKey {
    pub(crate) worker: WorkerId,
    pub(crate) id: TrackId,
}

impl TrackKey {
    /// As it travels in signalling.
    pub(crate) fn to_wire(self) -> u64 {
        let id = self.id.to_wire();
        debug_assert_eq!(id & WORKER_BITS, 0, "an engine has fewer tracks");
        id | u64::from(self.worker.0) << WORKER_SHIFT
    }

    /// The inverse; any number is accepted, and one that names no track finds none.
    pub(crate) fn from_wire(wire: u64) -> Self {
        let worker = WorkerId((wire >> WORKER_SHIFT) as u8);
        Self { worker, id: TrackId::from_wire(wire & !WORKER_BITS) }
    }
}

/// A track as the registry keeps it.
#[derive(Clone, Debug)]
pub(crate) struct Track {
    pub(crate) info: TrackInfo,
    /// Its id in the engines that know it: its publisher's, and those that mirror it. Participants
    /// of other workers have not been told of it yet, or no longer know it.
    pub(crate) local: BTreeMap<WorkerId, TrackId>,
    /// Whether the next change of its mute state was caused by the server, so that its owner is
    /// to be told as well.
    pub(crate) tell_owner: bool,
}

impl Track {
    pub(crate) fn new(info: TrackInfo) -> Self {
        Self { info, local: BTreeMap::new(), tell_owner: false }
    }
}

/// What the mirrors of one engine's room are called by everybody.
#[derive(Debug, Default)]
pub(crate) struct Mirrors {
    key_by_id: HashMap<TrackId, TrackKey>,
    /// Of these, those that are no more, the oldest first: records still name them.
    ended: VecDeque<TrackId>,
}

impl Mirrors {
    pub(crate) fn begin(&mut self, id: TrackId, key: TrackKey) {
        self.key_by_id.insert(id, key);
    }

    pub(crate) fn end(&mut self, id: TrackId) {
        if self.key_by_id.contains_key(&id) {
            self.ended.push_back(id);
        }
        if self.ended.len() > ENDED_MIRRORS_MAX
            && let Some(oldest) = self.ended.pop_front()
        {
            self.key_by_id.remove(&oldest);
        }
    }

    /// What everybody calls the track that the engine of `worker` calls `id`.
    pub(crate) fn key(&self, worker: WorkerId, id: TrackId) -> TrackKey {
        self.key_by_id.get(&id).copied().unwrap_or(TrackKey { worker, id })
    }

    /// Gives every track that decisions of the engine of `worker` speak of the id by which
    /// everybody knows it.
    pub(crate) fn rename(&self, worker: WorkerId, decisions: &mut PeerDecisions) {
        let rename = |id: &mut TrackId| *id = TrackId::from_wire(self.key(worker, *id).to_wire());
        decisions.subscriptions.iter_mut().for_each(|decision| rename(&mut decision.track));
        for record in &mut decisions.records {
            match &mut record.what {
                What::Allocated { grants, .. } => {
                    grants.iter_mut().for_each(|(track, ..)| rename(track));
                }
                What::Switched { track, .. } | What::KeyframeRequested { track, .. } => {
                    rename(track);
                }
                What::Estimate(_) | What::Probe { .. } | What::Probed { .. } => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u64) -> TrackId {
        TrackId::from_wire(5 << 32 | n)
    }

    #[test]
    fn the_worker_is_in_the_wire_id_and_comes_out_of_it() {
        for worker in [0, 1, 63, 255] {
            let key = TrackKey { worker: WorkerId(worker), id: id(0x00ab_cdef) };
            assert_eq!(TrackKey::from_wire(key.to_wire()), key);
        }
        let key = TrackKey { worker: WorkerId(0), id: id(7) };
        assert_eq!(key.to_wire(), id(7).to_wire());
        assert_ne!(TrackKey { worker: WorkerId(1), ..key }.to_wire(), key.to_wire());
    }

    #[test]
    fn mirrors_are_known_by_their_origin_and_for_a_while_after_they_ended() {
        let (here, there) = (WorkerId(1), WorkerId(0));
        let mut mirrors = Mirrors::default();
        for n in 0..=ENDED_MIRRORS_MAX as u64 {
            mirrors.begin(id(n), TrackKey { worker: there, id: id(n + 1) });
            assert_eq!(mirrors.key(here, id(n)), TrackKey { worker: there, id: id(n + 1) });
            mirrors.end(id(n));
        }
        assert_eq!(mirrors.key(here, id(0)).worker, here, "forgotten, or its own track");
        assert_eq!(mirrors.key(here, id(1)).worker, there);
        mirrors.end(id(0));
        assert_eq!(
            (mirrors.key_by_id.len(), mirrors.ended.len()),
            (ENDED_MIRRORS_MAX, ENDED_MIRRORS_MAX)
        );
    }
}
