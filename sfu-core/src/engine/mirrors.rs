//! Mirrored tracks: made, fed, asked for and ended.

use std::time::{Duration, Instant};

use smallvec::SmallVec;

use super::fan_out::{Routed, What};
use super::ingress::Arrived;
use super::peer::Route;
use super::{Engine, Timer};
use crate::decision::Reason;
use crate::deliver::slot::ClockOffset;
use crate::drops::DropReason;
use crate::event::Event;
use crate::id::{RoomId, TrackId};
use crate::limits::{
    ENCODINGS_MAX, HISTORY_AGE, MIRRORS_PER_ROOM_MAX, RELAY_INDEX_MAX, REPORT_INTERVAL,
};
use crate::negotiation::MediaKind;
use crate::publish::demand::TrackDemand;
use crate::publish::meter::LayerMeter;
use crate::publish::track::{Encoding, Origin, Track};
use crate::relay::{Announcement, Mirror, Note, RelayedPacket, Wish};

/// How long a mirror that gets nothing any more is looked after: until its history is empty.
const FADING: Duration = HISTORY_AGE.saturating_add(REPORT_INTERVAL);

impl Engine {
    /// A track of another engine: mirrored, if it is not yet.
    pub(super) fn mirror(
        &mut self,
        now: Instant,
        room: RoomId,
        from: u8,
        told: &Announcement,
    ) -> Result<(), DropReason> {
        if let Ok(known) = self.mirror_of(room, from, told.track) {
            let track = &mut self.tracks[known];
            track.codecs.clone_from(&told.codecs);
            if track.muted != told.muted {
                self.set_muted(now, known, told.muted);
                self.touch_mirror(known);
            }
            return Ok(());
        }
        let mirrors: usize = self.rooms[room].links.iter().map(|link| link.mirrors.len()).sum();
        if mirrors >= MIRRORS_PER_ROOM_MAX || told.encodings.len() > ENCODINGS_MAX {
            return Err(DropReason::RelayLimit);
        }
        let id = self.tracks.insert(told.to_track(room, from));
        let Self { rooms, tracks, .. } = self;
        let this = &mut rooms[room];
        let place = |id: TrackId| (tracks[id].since, tracks[id].participant);
        let at = this.tracks.partition_point(|&other| place(other) < place(id));
        this.tracks.insert(at, id);
        if let Some(link) = this.link_mut(from) {
            link.mirrors.insert(told.track, id);
        }
        let track = self.tracks[id].info(id);
        self.tell(Event::TrackMirrored { room, origin: (from, told.track), track });
        for (_, peer) in self.rooms[room].peers.clone() {
            self.apply_policy(now, peer);
        }
        Ok(())
    }

    /// Ends a mirror whose packets make this engine panic, and sees to it that no more come.
    pub(super) fn give_up_mirror(&mut self, now: Instant, id: TrackId) {
        let Some(mirror) = self.tracks.get(id).and_then(Track::mirror) else { return };
        let (worker, track) = (mirror.worker, mirror.track);
        self.relay.note(worker, Note::Demand { track, mirror: id, wish: Wish::default() });
        self.end_mirror(now, id);
    }

    /// The mirror of a track of another engine.
    pub(super) fn mirror_of(
        &self,
        room: RoomId,
        from: u8,
        track: TrackId,
    ) -> Result<TrackId, DropReason> {
        let link = self.rooms[room].link(from);
        link.and_then(|link| link.mirrors.get(&track).copied()).ok_or(DropReason::RelayUnknown)
    }

    /// Ends a mirror.
    pub(super) fn end_mirror(&mut self, now: Instant, id: TrackId) {
        let Some(track) = self.tracks.get(id) else { return };
        let Some(&Mirror { worker, track: origin, .. }) = track.mirror() else { return };
        let (room, participant) = (track.room, track.participant);
        if let Some(link) = self.rooms[room].link_mut(worker) {
            link.mirrors.remove(&origin);
        }
        self.timers.set(Timer::Mirror(id), None);
        self.remove_track(now, id);
        let origin = (worker, origin);
        self.tell(Event::TrackUnmirrored { room, origin, participant, track: id });
        self.resume_followers(now, room);
    }

    /// Takes a packet of another engine into the history of its mirror, and hands it to the
    /// subscriptions.
    pub(super) fn take_relayed(
        &mut self,
        now: Instant,
        from: u8,
        packet: &RelayedPacket<'_>,
    ) -> Result<(), DropReason> {
        let RelayedPacket { track: id, index, .. } = *packet;
        let comes_from = |track: &&mut Track| track.mirror().is_some_and(|m| m.worker == from);
        let encoding =
            |track: &Track| Some(track.encodings.get(usize::from(packet.encoding))?.epoch);
        if self.tracks.get(id).and_then(encoding) != Some(packet.epoch) {
            // It begins again; what is put down belongs to what was before.
            self.route_batch();
        }
        let Self { tracks, pages, .. } = self;
        let track = tracks.get_mut(id).filter(comes_from).ok_or(DropReason::RelayUnknown)?;
        let muted = track.muted;
        let codec = track.codec(packet.payload_type).map(|codec| (codec.codec, codec.clock_rate));
        let encoding = track.encodings.get_mut(usize::from(packet.encoding));
        let encoding = encoding.filter(|_| index < RELAY_INDEX_MAX);
        let encoding = encoding.ok_or(DropReason::RelayUnknown)?;
        if encoding.epoch != packet.epoch {
            encoding.restart(pages);
            encoding.epoch = packet.epoch;
        }
        let route = Route { track: id, encoding: packet.encoding, rtx: false };
        if packet.payload.is_empty() {
            self.route(Routed { route, index, what: What::Padding });
            return Ok(());
        }
        self.stats.relayed_in += 1;
        if muted {
            return Err(DropReason::Muted);
        }
        let arrived = Arrived {
            payload_type: packet.payload_type,
            sequence: index as u16,
            timestamp: packet.timestamp,
            marker: packet.marker,
            payload: packet.payload,
            repeated: false,
        };
        let codec = codec.ok_or(DropReason::PayloadTypeUnknown)?;
        self.keep(now, route, codec, index, &arrived, packet.extensions())
    }

    /// A sender report of a mirror's publisher.
    pub(super) fn take_report(
        &mut self,
        from: u8,
        id: TrackId,
        encoding: u8,
        (ntp, rtp_time): (u64, u32),
        clock: ClockOffset,
    ) -> Result<(), DropReason> {
        let Self { tracks, rooms, .. } = self;
        let comes_from = |track: &&mut Track| track.mirror().is_some_and(|m| m.worker == from);
        let track = tracks.get_mut(id).filter(comes_from).ok_or(DropReason::RelayUnknown)?;
        let encoding = track.encodings.get_mut(usize::from(encoding));
        let encoding = encoding.ok_or(DropReason::RelayUnknown)?;
        let link = rooms[track.room].link_mut(from).ok_or(DropReason::RelayUnknown)?;
        let known = link.people.get_mut(&track.participant).ok_or(DropReason::RelayUnknown)?;
        *known = clock;
        encoding.clock.on_report(ntp, rtp_time);
        encoding.sender_report = Some((ntp, rtp_time));
        Ok(())
    }

    /// What a mirror wants may have changed, or it waits for a keyframe.
    pub(super) fn touch_mirror(&mut self, id: TrackId) {
        let mirror = self.tracks.get_mut(id).and_then(Track::mirror_mut);
        if let Some(mirror) = mirror.filter(|mirror| !mirror.touched) {
            mirror.touched = true;
            self.touched_mirrors.push(id);
        }
    }

    /// Tells origins what is new about their mirrors.
    pub(super) fn serve_mirrors(&mut self, now: Instant) {
        while let Some(id) = self.touched_mirrors.pop() {
            self.serve_mirror(now, id);
        }
    }

    fn serve_mirror(&mut self, now: Instant, id: TrackId) {
        if self.tracks.get(id).is_some_and(|t| t.demand.due().is_some_and(|at| at <= now)) {
            self.update_demand(now, id);
        }
        let Some(wish) = self.wish(id) else { return };
        let Self { tracks, relay, pages, stats, timers, .. } = self;
        let track = &mut tracks[id];
        let Some(mut mirror) = track.mirror().copied() else { return };
        mirror.touched = false;
        let left = Wish { encodings: mirror.told.encodings & !wish.encodings, ..wish };
        if wish != mirror.told {
            mirror.told = wish;
            let note = Note::Demand { track: mirror.track, mirror: id, wish };
            relay.note(mirror.worker, note);
            let wanted: SmallVec<[bool; ENCODINGS_MAX]> =
                (0..ENCODINGS_MAX as u8).map(|encoding| wish.wants(encoding)).collect();
            track.meter.set_wanted(now, &wanted, wish.max_spatial);
            mirror.left = wish.is_nothing().then_some(now);
            mirror.upkeep.get_or_insert(now + REPORT_INTERVAL);
        }
        for (at, encoding) in (0u8..).zip(&mut track.encodings) {
            if encoding.keyframes.poll(now) && wish.wants(at) {
                stats.keyframe_requests_out += 1;
                relay.note(mirror.worker, Note::Keyframe { track: mirror.track, encoding: at });
            }
        }
        if mirror.upkeep.is_some_and(|at| at <= now) {
            track.meter.tick(now);
            track.encodings.iter_mut().for_each(|encoding| encoding.history.expire(pages, now));
            let faded = mirror.left.is_some_and(|left| now >= left + FADING);
            mirror.upkeep = (!faded).then_some(now + REPORT_INTERVAL);
        }
        let due = track.demand.due().into_iter().chain(mirror.upkeep);
        let due = due.chain(track.encodings.iter().filter_map(|e| e.keyframes.next_timeout()));
        timers.set(Timer::Mirror(id), due.min());
        track.origin = Origin::Mirror(mirror);
        self.leave_encodings(id, left);
    }

    /// What has ceased to come ends for its subscriptions too: what may come later does not follow
    /// on it.
    fn leave_encodings(&mut self, id: TrackId, left: Wish) {
        let Self { tracks, subscriptions, .. } = self;
        let track = &tracks[id];
        for &subscription in track.subscriptions.iter().filter(|_| !left.is_nothing()) {
            let selector = &mut subscriptions[subscription].selector;
            let follows = (0u8..)
                .zip(&track.encodings)
                .any(|(at, encoding)| left.wants(at) && selector.follows(at, encoding.epoch));
            if follows {
                selector.restart();
            }
        }
    }

    /// What a mirror wants: of audio all or nothing, of video what a publisher would be asked for,
    /// and nothing if nobody looks.
    fn wish(&self, id: TrackId) -> Option<Wish> {
        let track = self.tracks.get(id)?;
        let served = track.subscriptions.iter().map(|&id| &self.subscriptions[id]);
        let mut served = served.filter(|subscription| subscription.slot.is_some());
        let nothing = Wish::default();
        if track.kind == MediaKind::Audio {
            let heard = served.any(|subscription| subscription.granted.is_some());
            return Some(if heard { Wish { encodings: 1, max_spatial: 0 } } else { nothing });
        }
        let looks = |subscription: &super::Subscription| {
            let withheld = matches!(
                subscription.reason,
                Reason::Off | Reason::Hidden | Reason::LastN | Reason::Muted | Reason::Direct
            );
            subscription.granted.is_some() || !withheld
        };
        if !served.any(looks) {
            return Some(nothing);
        }
        let asked = track.demand.asked();
        let bits = (0u8..).zip(asked.encodings).map(|(at, wanted)| u8::from(wanted) << at);
        Some(Wish { encodings: bits.sum(), max_spatial: asked.max_spatial })
    }
}

impl Announcement {
    /// What is told of a track.
    pub(super) fn of(id: TrackId, track: &Track) -> Self {
        Self {
            track: id,
            participant: track.participant,
            kind: track.kind,
            source: track.source,
            name: track.name.clone(),
            muted: track.muted,
            mid: track.mid.clone(),
            codecs: track.codecs.clone(),
            encodings: track.encodings.iter().map(|encoding| encoding.rid.clone()).collect(),
            since: track.since,
        }
    }

    /// The mirror made of it.
    fn to_track(&self, room: RoomId, from: u8) -> Track {
        let encoding = |rid: &Option<_>| Encoding::new(self.kind, rid.clone(), None, None);
        Track {
            room,
            origin: Origin::Mirror(Mirror::new(from, self.track)),
            since: self.since,
            participant: self.participant,
            kind: self.kind,
            source: self.source,
            name: self.name.clone(),
            muted: self.muted,
            mid: self.mid.clone(),
            codecs: self.codecs.clone(),
            encodings: self.encodings.iter().map(encoding).collect(),
            meter: LayerMeter::new(self.encodings.len()),
            demand: TrackDemand::new(self.encodings.len()),
            subscriptions: Vec::new(),
            wishes: SmallVec::new(),
        }
    }
}
