//! What time brings: retransmission requests, keyframe requests, feedback and reports.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use arrayvec::{ArrayString, ArrayVec};

use super::{Engine, Timer};
use crate::decision::KeyframeReason;
use crate::event::{Event, TransportState};
use crate::id::{PeerId, RoomId, TrackId};
use crate::limits::{REPORT_INTERVAL, SPEAKERS_INTERVAL};
use crate::negotiation::MediaKind;
use crate::publish::track::Origin;
use crate::rtp::rtcp;
use crate::transport::{Path, Protocol, TransportEvent};

/// Round-trip time to a publisher, assumed: an SFU that only receives cannot measure it.
const PUBLISHER_RTT: Duration = Duration::from_millis(100);
/// A deadline is never nearer than this, so that a stuck one cannot spin the caller.
const DEADLINE_MIN: Duration = Duration::from_millis(1);
/// Report blocks of one receiver report (RFC 3550 §6.4.1: five bits count them).
const REPORT_BLOCKS_MAX: usize = 31;

impl Engine {
    /// Serves every peer whose deadlines may have moved, and sets its next deadline.
    pub(super) fn settle(&mut self, now: Instant) {
        self.tell_switched(now);
        // Serving one peer may touch another (a failed one closes its tracks), so: until none.
        while let Some(id) = self.touched.pop() {
            let Some(peer) = self.peers.get_mut(id) else { continue };
            peer.touched = false;
            let done = self.guarded(id, |engine| {
                engine.serve(now, id);
                Ok(())
            });
            debug_assert!(done.is_ok(), "serving reports no drops");
            let deadline = self.deadline(id).map(|at| at.max(now + DEADLINE_MIN));
            self.timers.set(Timer::Peer(id), deadline);
        }
        self.serve_mirrors(now);
        self.cut_lost_links(now);
    }

    fn serve(&mut self, now: Instant, id: PeerId) {
        let peer = &mut self.peers[id];
        let Some(link) = &mut peer.link else { return };
        if link.transport.poll_timeout().is_some_and(|at| at <= now) {
            link.transport.handle_timeout(now);
            self.mark_dirty(id);
        }
        self.pump_transport(now, id);
        if !self.peers.get(id).is_some_and(super::peer::Peer::is_connected) {
            return;
        }
        let tracks: smallvec::SmallVec<[TrackId; 8]> = self.peers[id].publish.tracks().collect();
        for track in tracks {
            self.ask_publisher(now, id, track);
            if self.tracks[track].demand.due().is_some_and(|at| at <= now) {
                self.update_demand(now, track);
            }
        }
        self.send_feedback(now, id);
        self.share_bandwidth(now, id);
        if self.peers[id].next_report.is_some_and(|at| at <= now) {
            self.send_reports(now, id);
            self.peers[id].next_report = None;
        }
        let peer = &mut self.peers[id];
        if peer.next_report.is_none() && peer.has_to_report() {
            peer.next_report = Some(now + REPORT_INTERVAL);
        }
        if !self.peers[id].rtcp.is_empty() {
            self.mark_dirty(id);
        }
    }

    /// NACKs and keyframe requests for one track.
    fn ask_publisher(&mut self, now: Instant, id: PeerId, track: TrackId) {
        let Self { peers, tracks, stats, .. } = self;
        let peer = &mut peers[id];
        let track = &mut tracks[track];
        let mut missing = Vec::new();
        for encoding in &mut track.encodings {
            let Some(ssrc) = encoding.ssrc else { continue };
            // Audio is not retransmitted by browsers; asking would only cost.
            if track.kind == MediaKind::Video {
                missing.clear();
                let overflow = encoding.nack.poll(now, PUBLISHER_RTT, &mut missing);
                if overflow {
                    encoding.keyframes.request_for_engine(now);
                }
                if !missing.is_empty() {
                    stats.nacks_out += missing.len() as u64;
                    peer.rtcp.push(|out| rtcp::write_nack(out, peer.feedback_ssrc, ssrc, &missing));
                }
            }
            if encoding.keyframes.poll(now) {
                stats.keyframe_requests_out += 1;
                peer.rtcp.push(|out| rtcp::write_pli(out, peer.feedback_ssrc, ssrc));
            }
        }
    }

    /// Transport-wide feedback.
    fn send_feedback(&mut self, now: Instant, id: PeerId) {
        let peer = &mut self.peers[id];
        if peer.publish.twcc.next_timeout().is_none_or(|at| at > now) {
            return;
        }
        // The media SSRC of transport-wide feedback is any of the sender's.
        let media = peer.publish.routes.first().map_or(peer.feedback_ssrc, |&(ssrc, _)| ssrc);
        let (twcc, ssrc) = (&mut peer.publish.twcc, peer.feedback_ssrc);
        let mut more = true;
        while more {
            peer.rtcp.push(|out| more = twcc.build(now, ssrc, media, out));
        }
    }

    /// Sender reports for what the peer receives, receiver reports for what it publishes.
    fn send_reports(&mut self, now: Instant, id: PeerId) {
        let ntp = self.ntp(now);
        let Self { peers, tracks, subscriptions, pages, rooms, .. } = self;
        let mut blocks = ArrayVec::<_, REPORT_BLOCKS_MAX>::new();
        for track in peers[id].publish.tracks() {
            tracks[track].meter.tick(now);
            for encoding in &mut tracks[track].encodings {
                encoding.history.expire(pages, now);
                let heard = encoding.ssrc.filter(|_| encoding.statistics.received() > 0);
                if let Some(ssrc) = heard.filter(|_| !blocks.is_full()) {
                    blocks.push(encoding.statistics.report_block(now, ssrc));
                }
            }
        }
        if !blocks.is_empty() {
            let peer = &mut peers[id];
            let ssrc = peer.feedback_ssrc;
            peer.rtcp.push(|out| rtcp::write_receiver_report(out, ssrc, &blocks));
        }
        for at in 0..peers[id].receive.slots.len() {
            let slot = &peers[id].receive.slots[at];
            let carried = slot.subscription.and_then(|id| subscriptions.get(id));
            let Some(subscription) = carried.filter(|_| slot.packets > 0) else { continue };
            let track = &tracks[subscription.track];
            // Between two sources the line has no clock to report.
            let Some(layer) = subscription.selector.current() else { continue };
            let encoding = layer.encoding;
            let Some((report_ntp, report_rtp)) =
                track.encodings[usize::from(encoding)].sender_report
            else {
                continue; // without the publisher's clock there is nothing true to say
            };
            let clock_rate = track.codecs.first().map_or(90_000, |codec| codec.clock_rate);
            let clock = match &track.origin {
                Origin::Peer(publisher) => peers.get(*publisher).map(|peer| &peer.publish.clock),
                Origin::Mirror(mirror) => rooms[track.room]
                    .link(mirror.worker)
                    .and_then(|link| link.people.get(&track.participant)),
            };
            let source_rtp =
                clock.and_then(|clock| clock.rtp_time_at(ntp, report_ntp, report_rtp, clock_rate));
            let peer = &mut peers[id];
            let slot = &mut peer.receive.slots[at];
            let Some(rtp_time) = source_rtp.and_then(|rtp| slot.line.timestamp(rtp)) else {
                continue;
            };
            let (ssrc, packets, octets) = (slot.send.ssrc, slot.packets, slot.octets);
            let mut cname = ArrayString::<16>::new();
            write!(cname, "{}", peer.participant).expect("sixteen digits of a number");
            peer.rtcp.push(|out| {
                rtcp::write_sender_report(out, ssrc, ntp, rtp_time, packets, octets);
                rtcp::write_sdes_cname(out, ssrc, &cname);
            });
            slot.reports.note((ntp >> 16) as u32);
        }
    }

    fn deadline(&self, id: PeerId) -> Option<Instant> {
        let peer = self.peers.get(id)?;
        let link = peer.link.as_ref()?;
        let mut earliest = link.transport.poll_timeout();
        let mut consider = |at: Option<Instant>| {
            earliest = earliest.into_iter().chain(at).min();
        };
        if !peer.is_connected() {
            return earliest;
        }
        consider(peer.next_report);
        consider(peer.publish.twcc.next_timeout());
        consider(peer.receive.bandwidth.poll_timeout());
        consider(peer.receive.quality.next_run);
        for track in peer.publish.tracks() {
            let track = &self.tracks[track];
            consider(track.demand.due());
            for encoding in track.encodings.iter().filter(|encoding| encoding.ssrc.is_some()) {
                if track.kind == MediaKind::Video {
                    consider(encoding.nack.next_timeout());
                }
                consider(encoding.keyframes.next_timeout());
            }
        }
        earliest
    }

    /// Takes what a transport has to tell.
    pub(super) fn pump_transport(&mut self, now: Instant, id: PeerId) {
        loop {
            let link = self.peers.get_mut(id).and_then(|peer| peer.link.as_mut());
            let Some(link) = link else { return };
            let Some(event) = link.transport.poll_event() else { return };
            match event {
                TransportEvent::State(state) => self.transport_moved(now, id, state),
                TransportEvent::PathForgotten(path) => {
                    link.paths.retain(|&known| known != path);
                    self.demux.forget_path(&path, id);
                }
                TransportEvent::UfragForgotten(ufrag) => self.demux.forget_ufrag(&ufrag),
                TransportEvent::DataOpen(_) => {}
                TransportEvent::DataMessage { reliability, text, payload } => {
                    self.receive_data(now, id, reliability, text, payload);
                }
            }
        }
    }

    /// What carries a transport decides which count it adds to.
    pub(super) fn count_transport(&mut self, id: PeerId, state: TransportState) {
        let link = self.peers.get(id).and_then(|peer| peer.link.as_ref());
        let carrier = match link.and_then(|link| link.transport.last_path()) {
            Some(Path { protocol: Protocol::Udp, .. }) => 0,
            Some(Path { protocol: Protocol::Tcp, .. }) => 1,
            None => 2,
        };
        match state {
            TransportState::Connected => self.stats.transports.connected[carrier] += 1,
            TransportState::Failed(_) => self.stats.transports.failed[carrier] += 1,
            TransportState::Connecting | TransportState::Disconnected => {}
        }
    }

    fn transport_moved(&mut self, now: Instant, id: PeerId, state: TransportState) {
        self.count_transport(id, state);
        self.tell(Event::Transport { peer: id, state });
        self.touch(id);
        if state != TransportState::Connected {
            return;
        }
        let subscriptions = self.peers[id].receive.subscriptions.clone();
        self.reconsider(now, id);
        for subscription in subscriptions {
            self.start_subscription(now, subscription, KeyframeReason::Start);
        }
    }

    pub(super) fn tick_speakers(&mut self, now: Instant, id: RoomId) {
        let Some(room) = self.rooms.get_mut(id) else { return };
        let list = room.speakers.tick();
        let seated = room.last_n.tick(now, room.speakers.levels());
        if !room.speakers.is_idle() {
            self.timers.set(Timer::Room(id), Some(now + SPEAKERS_INTERVAL));
        }
        if let Some(speakers) = list {
            self.tell(Event::Speakers { room: id, speakers });
        }
        self.tell_levels(id);
        if seated {
            self.seats_moved(now, id);
        }
    }
}
