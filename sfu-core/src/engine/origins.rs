//! What the engine where a track is published does for its mirrors in others.

use std::time::Instant;

use super::Engine;
use super::ingress::Arrived;
use super::peer::Route;
use crate::drops::DropReason;
use crate::id::TrackId;
use crate::limits::ENCODINGS_MAX;
use crate::publish::track::{Track, Wished};
use crate::relay::{Note, RelayedPacket, Wish};

impl Engine {
    /// Hands a packet that has just been kept to the engines that want it.
    pub(super) fn relay_packet(&mut self, route: Route, index: u64) {
        let Self { tracks, relay, stats, .. } = self;
        let track = &tracks[route.track];
        if track.wishes.is_empty() {
            return;
        }
        let encoding = &track.encodings[usize::from(route.encoding)];
        let Some((stored, payload)) = encoding.history.get(index) else { return };
        let packet = RelayedPacket {
            track: route.track,
            encoding: route.encoding,
            epoch: encoding.epoch,
            index,
            timestamp: stored.timestamp,
            marker: stored.marker,
            payload_type: stored.payload_type,
            audio_level: stored.extensions.audio_level,
            video_orientation: stored.extensions.video_orientation,
            playout_delay: stored.extensions.playout_delay,
            descriptor: &stored.extensions.dependency_descriptor,
            payload,
        };
        for wished in &track.wishes {
            if !wished.wish.wants(route.encoding) {
                continue;
            }
            match relay.packet(wished.worker, &RelayedPacket { track: wished.mirror, ..packet }) {
                Ok(()) => stats.relayed_out += 1,
                Err(reason) => stats.drops.count(reason),
            }
        }
    }

    /// The same for one that is padding only, of which nothing is kept.
    pub(super) fn relay_padding(&mut self, route: Route, index: u64, arrived: &Arrived<'_>) {
        let Self { tracks, relay, stats, .. } = self;
        let track = &tracks[route.track];
        for wished in track.wishes.iter().filter(|wished| wished.wish.wants(route.encoding)) {
            let packet = RelayedPacket {
                track: wished.mirror,
                encoding: route.encoding,
                epoch: track.encodings[usize::from(route.encoding)].epoch,
                index,
                timestamp: arrived.timestamp,
                marker: arrived.marker,
                payload_type: arrived.payload_type,
                audio_level: None,
                video_orientation: None,
                playout_delay: None,
                descriptor: &[],
                payload: &[],
            };
            if let Err(reason) = relay.packet(wished.worker, &packet) {
                stats.drops.count(reason);
            }
        }
    }

    /// Tells mirrors how a publisher's clock stands.
    pub(super) fn relay_report(&mut self, track: TrackId, encoding: u8) {
        for at in 0..self.tracks[track].wishes.len() {
            let wished = self.tracks[track].wishes[at];
            self.relay_report_to(wished, track, encoding);
        }
    }

    fn relay_report_to(&mut self, to: Wished, track: TrackId, encoding: u8) {
        let track = &self.tracks[track];
        let report = track.encodings.get(usize::from(encoding)).and_then(|e| e.sender_report);
        let publisher = track.peer().and_then(|peer| self.peers.get(peer));
        let (Some((ntp, rtp_time)), Some(publisher)) = (report, publisher) else { return };
        let clock = publisher.publish.clock;
        let note = Note::Report { track: to.mirror, encoding, ntp, rtp_time, clock };
        self.relay.note(to.worker, note);
    }

    /// Another engine's mirror wants something else than before.
    pub(super) fn take_wish(
        &mut self,
        now: Instant,
        from: u8,
        id: TrackId,
        mirror: TrackId,
        wish: Wish,
    ) -> Result<(), DropReason> {
        let Self { tracks, rooms, .. } = self;
        let linked =
            |track: &&mut Track| track.peer().is_some() && rooms[track.room].link(from).is_some();
        let track = tracks.get_mut(id).filter(linked).ok_or(DropReason::RelayUnknown)?;
        let wish = wish.within(track.encodings.len());
        track.wishes.retain(|wished| wished.worker != from);
        if !wish.is_nothing() {
            let wished = Wished { worker: from, mirror, wish };
            track.wishes.push(wished);
            for encoding in 0..ENCODINGS_MAX as u8 {
                self.relay_report_to(wished, id, encoding);
            }
        }
        self.update_demand(now, id);
        Ok(())
    }

    pub(super) fn take_keyframe_request(
        &mut self,
        now: Instant,
        from: u8,
        id: TrackId,
        encoding: u8,
    ) -> Result<(), DropReason> {
        let track = self.tracks.get_mut(id).ok_or(DropReason::RelayUnknown)?;
        let asked = track.wishes.iter().any(|wished| wished.worker == from);
        let encoding = track.encodings.get_mut(usize::from(encoding)).filter(|_| asked);
        // Its subscribers' budgets are kept there; what comes here is throttled as all else.
        encoding.ok_or(DropReason::RelayUnknown)?.keyframes.request_for_engine(now);
        self.touch_source(id);
        Ok(())
    }

    /// Whoever a track comes from may have something to do for it.
    pub(super) fn touch_source(&mut self, id: TrackId) {
        match self.tracks.get(id).map(Track::peer) {
            Some(Some(peer)) => self.touch(peer),
            Some(None) => self.touch_mirror(id),
            None => {}
        }
    }
}
