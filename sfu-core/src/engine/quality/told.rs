//! Who hears of it: subscribers what they get, publishers what is wanted of them.

use std::time::Instant;

use crate::decision::{Reason, What};
use crate::engine::Engine;
use crate::event::Event;
use crate::forward::layer::LayerId;
use crate::id::{SubscriptionId, TrackId};
use crate::negotiation::MediaKind;
use crate::publish::demand::Asked;

/// The highest spatial layer there can be.
const SPATIAL_MAX: u8 = 7;

impl Engine {
    /// Tells a subscriber, and the recorder, what is forwarded to it from now on.
    pub(in crate::engine) fn tell_forwarding(&mut self, now: Instant, id: SubscriptionId) {
        let age = self.age(now);
        let Some(subscription) = self.subscriptions.get_mut(id) else { return };
        let (peer, track) = (subscription.peer, subscription.track);
        let layer = subscription.selector.current().filter(|_| subscription.granted.is_some());
        let said = (layer, subscription.reason);
        if subscription.told == Some(said) {
            return;
        }
        let from = subscription.told.replace(said).and_then(|(layer, _)| layer);
        let size = layer.map_or((0, 0), |layer| self.tracks[track].meter.size_of(layer));
        let what = What::Switched { track, from, to: layer };
        self.peers[peer].receive.quality.recorder.note(age, what);
        self.tell(Event::Forwarding { peer, track, layer, size, reason: said.1 });
    }

    /// Works out again which encodings of a track anybody is to get, and tells its publisher if
    /// that has changed.
    pub(in crate::engine) fn update_demand(&mut self, now: Instant, id: TrackId) {
        let Self { tracks, subscriptions, rooms, .. } = self;
        let Some(track) = tracks.get_mut(id).filter(|track| track.kind == MediaKind::Video) else {
            return;
        };
        let served = track.subscriptions.iter().map(|&id| &subscriptions[id]);
        let served = served.filter(|subscription| subscription.slot.is_some());
        // Where media goes directly nobody is about to look, so not even the lowest need go on.
        let watched = !rooms[track.room].last_n.is_direct()
            && (served.clone().next().is_some() || !track.wishes.is_empty());
        let layers = served.flat_map(|this| {
            // Who has the best there is would take more: a publisher may begin with fewer layers.
            let best = this.granted.filter(|_| this.reason == Reason::Best);
            let more = best.map(|layer| LayerId { spatial: SPATIAL_MAX, ..layer });
            this.granted.into_iter().chain(more).chain(this.selector.current())
        });
        let layers = layers.chain(track.wishes.iter().flat_map(|wished| wished.wish.layers()));
        let lowest = track.meter.lowest();
        let asked = track.demand.update(now, layers, lowest, watched);
        let peer = track.peer();
        self.touch_source(id);
        // What a mirror asks for is worked out there.
        let Some(peer) = peer else { return };
        if let Some(Asked { encodings: wanted, max_spatial }) = asked {
            self.tracks[id].meter.set_wanted(now, &wanted, max_spatial);
            self.tell(Event::Demand { peer, track: id, wanted, max_spatial });
        }
    }

    /// Tells of the layers that forwarding has changed over to.
    pub(in crate::engine) fn tell_switched(&mut self, now: Instant) {
        for at in 0..self.switched.len() {
            let id = self.switched[at];
            self.leave_behind(now, id);
            self.tell_forwarding(now, id);
            if let Some(track) = self.subscriptions.get(id).map(|this| this.track) {
                self.update_demand(now, track);
            }
        }
        self.switched.clear();
    }
}
