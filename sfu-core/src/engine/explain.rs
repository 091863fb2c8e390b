//! Why a peer receives what it receives: the answer to [`crate::command::Command::Decisions`].

use std::time::Instant;

use smallvec::SmallVec;

use super::Engine;
use crate::command::{CommandError, Reply};
use crate::decision::{PeerDecisions, SubscriptionDecision};
use crate::id::{PeerId, SubscriptionId};

impl Engine {
    pub(super) fn decisions(&self, now: Instant, id: PeerId) -> Result<Reply, CommandError> {
        let peer = self.peers.get(id).ok_or(CommandError::NoSuchPeer)?;
        let receive = &peer.receive;
        let (estimate, totals) = (receive.bandwidth.estimate(), *receive.quality.totals());
        let records = receive.quality.recorder().records().cloned().collect();
        let runs = receive.quality.recorder().trace();
        let subscriptions = receive.subscriptions.clone();
        let subscriptions =
            subscriptions.into_iter().map(|id| self.subscription_decision(now, id)).collect();
        Ok(Reply::Decisions(Box::new(PeerDecisions {
            now: self.age(now),
            estimate,
            allocated_bps: totals.allocated_bps,
            wanted_bps: totals.wanted_bps,
            subscriptions,
            records,
            runs,
        })))
    }

    fn subscription_decision(&self, now: Instant, id: SubscriptionId) -> SubscriptionDecision {
        let Self { peers, tracks, subscriptions, .. } = self;
        let this = &subscriptions[id];
        let track = &tracks[this.track];
        let slots = &peers[this.peer].receive.slots;
        SubscriptionDecision {
            track: this.track,
            participant: track.participant,
            kind: track.kind,
            mid: this.slot.map(|at| slots[usize::from(at)].mid.clone()),
            preference: this.preference,
            available: {
                let mut options = SmallVec::new();
                track.meter.options(now, &mut options);
                options
            },
            granted: this.granted,
            current: this.selector.current(),
            reason: this.reason,
        }
    }
}
