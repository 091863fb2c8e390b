//! Who gets which track, and on which of their m-lines.

use std::time::Instant;

use super::Engine;
use crate::bandwidth::allocate::Memory;
use crate::command::{CommandError, SubscribePolicy};
use crate::decision::{KeyframeReason, Reason};
use crate::event::Event;
use crate::forward::layer::LayerId;
use crate::forward::selector::Selector;
use crate::id::{ParticipantId, PeerId, SubscriptionId, TrackId};
use crate::limits::SUBSCRIPTIONS_PER_PEER_MAX;
use crate::negotiation::MediaKind;
use crate::preference::Preference;

/// One peer's interest in one track.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) peer: PeerId,
    pub(super) track: TrackId,
    /// The m-line that carries it; `None` while it waits for one.
    pub(super) slot: Option<u16>,
    pub(super) selector: Selector,
    /// The subscriber was told that it has no codec for the track.
    pub(super) unplayable: bool,
    /// When it got its m-line, or was made.
    pub(super) since: Instant,
    /// What the subscriber wants of it.
    pub(super) preference: Preference,
    /// The layer the allocation grants; `None` is a pause.
    pub(super) granted: Option<LayerId>,
    /// Why no more.
    pub(super) reason: Reason,
    /// The server is overloaded, and the best layers were not to be had.
    pub(super) is_shed: bool,
    /// What the allocation remembers of it.
    pub(super) memory: Memory,
    /// The layer forwarded when this was last looked at.
    pub(super) forwarded: Option<LayerId>,
    /// What the subscriber was last told.
    pub(super) told: Option<(Option<LayerId>, Reason)>,
}

impl Subscription {
    /// Looks at what is being forwarded, and whether that has changed.
    pub(super) fn note_forwarded(&mut self) -> bool {
        let current = self.selector.current();
        std::mem::replace(&mut self.forwarded, current) != current
    }
}

impl Engine {
    /// Adds a subscription; one that exists already is left as it is.
    pub(super) fn subscribe(
        &mut self,
        now: Instant,
        peer: PeerId,
        track: TrackId,
    ) -> Result<(), CommandError> {
        let this = self.peers.get(peer).ok_or(CommandError::NoSuchPeer)?;
        if !this.permissions.subscribe {
            return Err(CommandError::NotPermitted);
        }
        let receive = &this.receive;
        let known = receive.subscriptions.iter().any(|&s| self.subscriptions[s].track == track);
        if known {
            return Ok(());
        }
        if receive.subscriptions.len() >= SUBSCRIPTIONS_PER_PEER_MAX {
            return Err(CommandError::Limit("subscriptions per peer"));
        }
        let mut selector = Selector::default();
        // Audio has one layer. Which of a video's is for the allocation to say.
        let audio = self.tracks[track].kind == MediaKind::Audio;
        selector.aim(audio.then(|| LayerId::all_of(0)));
        let preference = self.preference(peer, track);
        let id = self.subscriptions.insert(Subscription {
            peer,
            track,
            slot: None,
            selector,
            unplayable: false,
            since: now,
            preference,
            granted: None,
            reason: Reason::NoSlot,
            is_shed: false,
            memory: Memory::default(),
            forwarded: None,
            told: None,
        });
        self.peers[peer].receive.subscriptions.push(id);
        self.tracks[track].subscriptions.push(id);
        self.touch_mirror(track);
        self.assign(now, peer);
        self.reconsider(now, peer);
        Ok(())
    }

    /// Ends a subscription and frees its m-line for one that waits.
    pub(super) fn unsubscribe(&mut self, now: Instant, id: SubscriptionId) {
        let Some(subscription) = self.subscriptions.remove(id) else { return };
        if let Some(track) = self.tracks.get_mut(subscription.track) {
            track.subscriptions.retain(|&other| other != id);
        }
        let Some(peer) = self.peers.get_mut(subscription.peer) else { return };
        peer.receive.subscriptions.retain(|&other| other != id);
        if let Some(at) = subscription.slot {
            let slot = &mut peer.receive.slots[usize::from(at)];
            slot.clear();
            let mid = slot.mid.clone();
            self.tell(Event::Assigned { peer: subscription.peer, mid, track: None });
        }
        self.assign(now, subscription.peer);
        self.reconsider(now, subscription.peer);
        self.update_demand(now, subscription.track);
    }

    /// Subscribes a peer to whatever its policy says it wants and does not have yet.
    pub(super) fn apply_policy(&mut self, now: Instant, peer: PeerId) {
        let Some(this) = self.peers.get(peer) else { return };
        let room = &self.rooms[this.room];
        let wanted: Option<ParticipantId> = match this.policy {
            SubscribePolicy::Manual => return,
            SubscribePolicy::All => None,
            SubscribePolicy::Only(participant) => Some(participant),
            SubscribePolicy::FirstPublisher => {
                let followed = this.receive.subscriptions.first();
                let followed =
                    followed.map(|&s| self.tracks[self.subscriptions[s].track].participant);
                let first = room.tracks.first().map(|&track| self.tracks[track].participant);
                match followed.or(first) {
                    Some(participant) => Some(participant),
                    None => return,
                }
            }
        };
        let tracks: Vec<_> = room
            .tracks
            .iter()
            .copied()
            .filter(|&track| self.tracks[track].peer() != Some(peer))
            .filter(|&track| wanted.is_none_or(|p| self.tracks[track].participant == p))
            .collect();
        for track in tracks {
            // A full list is the peer's own bound; the rest waits for it to shrink.
            if self.subscribe(now, peer, track).is_err() {
                return;
            }
        }
    }

    /// Gives waiting subscriptions a place on idle m-lines, and says how many more are needed.
    /// Before the first offer there is nothing to count: the client will bring some.
    pub(super) fn assign(&mut self, now: Instant, id: PeerId) {
        let Some(peer) = self.peers.get(id).filter(|peer| peer.link.is_some()) else { return };
        let mut missing = (0u16, 0u16);
        for subscription in peer.receive.subscriptions.clone() {
            let this = &self.subscriptions[subscription];
            if this.slot.is_some() || this.unplayable {
                continue;
            }
            let kind = self.tracks[this.track].kind;
            match self.find_slot(id, this.track) {
                Place::Slot(at) => self.place(now, subscription, at),
                Place::NoneIdle => match kind {
                    MediaKind::Audio => missing.0 = missing.0.saturating_add(1),
                    MediaKind::Video => missing.1 = missing.1.saturating_add(1),
                },
                Place::NoCommonCodec => {
                    let track = this.track;
                    self.subscriptions[subscription].unplayable = true;
                    self.tell(Event::NoCommonCodec { peer: id, track });
                }
            }
        }
        let announced = &mut self.peers[id].receive.slots_announced;
        if *announced != missing {
            *announced = missing;
            let (audio, video) = missing;
            self.tell(Event::SlotsNeeded { peer: id, audio, video });
        }
    }

    fn place(&mut self, now: Instant, id: SubscriptionId, at: u16) {
        let subscription = &mut self.subscriptions[id];
        subscription.slot = Some(at);
        subscription.since = now;
        subscription.selector.restart();
        let (peer, track) = (subscription.peer, subscription.track);
        let slot = &mut self.peers[peer].receive.slots[usize::from(at)];
        slot.subscription = Some(id);
        let mid = slot.mid.clone();
        let participant = self.tracks[track].participant;
        self.touch_mirror(track);
        self.tell(Event::Assigned { peer, mid, track: Some((participant, track)) });
        self.reconsider(now, peer);
        self.start_subscription(now, id, KeyframeReason::Start);
    }

    /// Asks for the keyframe that a video subscription needs to get to where it aims.
    pub(super) fn start_subscription(
        &mut self,
        now: Instant,
        id: SubscriptionId,
        why: KeyframeReason,
    ) {
        let Some(subscription) = self.subscriptions.get(id) else { return };
        let video = self.tracks[subscription.track].kind == MediaKind::Video;
        let ready = subscription.slot.is_some() && self.peers[subscription.peer].is_connected();
        if video && ready && subscription.selector.waits_for_keyframe().is_some() {
            self.request_keyframe(now, id, why);
        }
    }

    /// Finds an idle m-line that can play a track.
    ///
    /// The n-th audio and the n-th video m-line share a MediaStream, which is what browsers
    /// synchronise by: prefer the partner of the m-line that carries the same participant's other
    /// medium, then one whose partner is idle too.
    fn find_slot(&self, id: PeerId, track: TrackId) -> Place {
        let receive = &self.peers[id].receive;
        let track = &self.tracks[track];
        let other = match track.kind {
            MediaKind::Audio => MediaKind::Video,
            MediaKind::Video => MediaKind::Audio,
        };
        let partners: Vec<Option<ParticipantId>> = receive
            .slots_of(other)
            .map(|(_, slot)| {
                let carried = self.subscriptions.get(slot.subscription?)?;
                Some(self.tracks[carried.track].participant)
            })
            .collect();
        let mut seen = false;
        let mut playable = false;
        let mut best: Option<(u8, usize)> = None;
        for (pair, (at, slot)) in receive.slots_of(track.kind).enumerate() {
            if !slot.open {
                continue;
            }
            seen = true;
            if !slot.can_play(&track.codecs) {
                continue;
            }
            playable = true;
            if slot.subscription.is_some() {
                continue;
            }
            let rank = match partners.get(pair) {
                Some(Some(participant)) if *participant == track.participant => 0,
                Some(None) => 1,
                None => 2,
                Some(Some(_)) => 3,
            };
            if best.is_none_or(|(better, _)| rank < better) {
                best = Some((rank, at));
            }
        }
        match best {
            Some((_, at)) => {
                Place::Slot(u16::try_from(at).expect("slots are capped by SECTIONS_MAX"))
            }
            None if seen && !playable => Place::NoCommonCodec,
            None => Place::NoneIdle,
        }
    }
}

/// Where a waiting subscription can go.
enum Place {
    Slot(u16),
    NoneIdle,
    NoCommonCodec,
}
