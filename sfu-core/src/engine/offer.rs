//! Applies an offer: transport, published tracks and slots follow what was agreed.

use std::time::Instant;

use rand_core::Rng;
use smallvec::SmallVec;

use super::Engine;
use super::commands::random_ssrc;
use super::peer::{Link, Route};
use crate::command::{CommandError, PublishRequest, Reply, Source};
use crate::deliver::slot::Slot;
use crate::event::Event;
use crate::id::{Mid, PeerId, TrackId};
use crate::limits::TRACKS_PER_PEER_MAX;
use crate::negotiation::{
    Answer, MediaKind, MediaSection, Msid, Offer, Section, SectionContent, negotiate,
};
use crate::publish::demand::TrackDemand;
use crate::publish::meter::LayerMeter;
use crate::publish::track::{Encoding, Origin, Track};
use crate::transport::{IceCredentials, Remote, Transport, TransportConfig};

impl Engine {
    pub(super) fn answer(
        &mut self,
        now: Instant,
        id: PeerId,
        offer: &Offer,
        publish: Vec<PublishRequest>,
    ) -> Result<Reply, CommandError> {
        let peer = self.peers.get(id).ok_or(CommandError::NoSuchPeer)?;
        let before = peer.link.as_ref().map_or(&[][..], |link| &link.sections);
        let rng = &mut self.rng;
        let sections = negotiate(offer, before, &mut || random_ssrc(rng))?;
        let sending = sections.iter().filter(|s| media(s).is_some_and(|m| m.receive.is_some()));
        if sending.count() > TRACKS_PER_PEER_MAX {
            return Err(CommandError::Limit("tracks per participant"));
        }
        self.connect(now, id, offer)?;
        let peer = &mut self.peers[id];
        peer.publish.announced = publish;
        let link = peer.link.as_mut().expect("connected above");
        link.sections.clone_from(&sections);
        link.answers += 1;
        self.apply_publishing(now, id, &sections);
        self.apply_slots(now, id, &sections);
        self.touch(id);
        self.mark_dirty(id);
        let publish = &self.peers[id].publish;
        let published = sections
            .iter()
            .zip(&publish.track_by_section)
            .filter_map(|(section, track)| Some((section.mid.clone(), (*track)?)))
            .collect();
        Ok(Reply::Answer { answer: Box::new(self.render(id, sections)), published })
    }

    /// Creates the transport at the first offer; restarts ICE at one with new credentials.
    fn connect(&mut self, now: Instant, id: PeerId, offer: &Offer) -> Result<(), CommandError> {
        let known = self.peers[id].link.as_ref();
        if let Some(link) = known {
            if link.remote_fingerprints != offer.fingerprints {
                return Err(CommandError::FingerprintChanged);
            }
            if link.remote_ice != offer.ice {
                self.restart_ice(now, id, offer.ice.clone())?;
            }
            return Ok(());
        }
        let local = IceCredentials::generate(&mut self.rng, self.config.worker);
        let config = TransportConfig {
            certificate: self.config.certificate.clone(),
            security: self.config.security,
        };
        let remote = Remote { ice: offer.ice.clone(), fingerprints: offer.fingerprints.clone() };
        let seed = self.rng.next_u64();
        let transport = Transport::new(now, &config, local.clone(), remote, offer.role, seed);
        self.demux.learn_ufrag(&local.ufrag, id);
        self.peers[id].link = Some(Link {
            transport,
            remote_ice: offer.ice.clone(),
            remote_fingerprints: offer.fingerprints.clone(),
            local_ice: local,
            paths: Vec::new(),
            role: offer.role,
            sections: Vec::new(),
            answers: 0,
        });
        Ok(())
    }

    /// Starts and ends tracks as m-lines start and stop sending.
    fn apply_publishing(&mut self, now: Instant, id: PeerId, sections: &[Section]) {
        let publish = &mut self.peers[id].publish;
        publish.track_by_section.resize(sections.len(), None);
        for (at, section) in sections.iter().enumerate() {
            let sends = media(section).filter(|media| media.receive.is_some());
            if let Some(media) = sends {
                for (extension, number) in media.extensions.iter() {
                    self.peers[id].publish.extensions.set(extension, number);
                }
            }
            match (self.peers[id].publish.track_by_section[at], sends) {
                (None, Some(media)) => self.publish(now, id, at, &section.mid, media),
                (Some(track), Some(media)) => self.republish(id, track, media),
                (Some(track), None) => {
                    let (room, participant) = (self.peers[id].room, self.peers[id].participant);
                    self.remove_track(now, track);
                    self.tell(Event::TrackUnpublished { room, participant, track });
                    self.resume_followers(now, room);
                }
                (None, None) => {}
            }
        }
        self.peers[id].publish.announced.clear();
    }

    fn publish(&mut self, now: Instant, id: PeerId, at: usize, mid: &Mid, media: &MediaSection) {
        let peer = &mut self.peers[id];
        let announced = &peer.publish.announced;
        let request = announced.iter().find(|r| r.mid == *mid).cloned().unwrap_or(PublishRequest {
            mid: mid.clone(),
            source: match media.kind {
                MediaKind::Audio => Source::Microphone,
                MediaKind::Video => Source::Camera,
            },
            name: "".into(),
            muted: false,
        });
        // The m-line stays as it was answered, and what comes on it belongs to no track.
        if !peer.permissions.publish.contains(request.source) {
            return;
        }
        let (room, participant) = (peer.room, peer.participant);
        let encodings = encodings_of(media);
        let ntp = self.ntp(now);
        let track = self.tracks.insert(Track {
            room,
            origin: Origin::Peer(id),
            since: self.rooms[room].stamp(ntp),
            participant,
            kind: media.kind,
            source: request.source,
            name: request.name,
            muted: request.muted,
            mid: mid.clone(),
            codecs: media.codecs.clone(),
            meter: LayerMeter::new(encodings.len()),
            demand: TrackDemand::new(encodings.len()),
            encodings,
            subscriptions: Vec::new(),
            wishes: SmallVec::new(),
        });
        self.peers[id].publish.track_by_section[at] = Some(track);
        self.rooms[room].tracks.push(track);
        self.bind_signalled(id, track);
        self.tell(Event::TrackPublished { room, track: self.tracks[track].info(track) });
        self.announce(track);
        for (_, other) in self.rooms[room].peers.clone() {
            if other != id {
                self.apply_policy(now, other);
            }
        }
    }

    /// A track goes on: the offer may have changed its codecs and SSRCs.
    fn republish(&mut self, id: PeerId, track_id: TrackId, media: &MediaSection) {
        let track = &mut self.tracks[track_id];
        let other_codecs = track.codecs != media.codecs;
        track.codecs.clone_from(&media.codecs);
        let offered = encodings_of(media);
        for (encoding, offered) in track.encodings.iter_mut().zip(offered) {
            encoding.is_replaceable = true;
            if offered.ssrc.is_some() && offered.ssrc != encoding.ssrc {
                if encoding.ssrc.is_some() {
                    encoding.restart(&mut self.pages);
                }
                encoding.ssrc = offered.ssrc;
                encoding.rtx_ssrc = offered.rtx_ssrc;
            }
        }
        self.bind_signalled(id, track_id);
        if other_codecs {
            self.announce(track_id);
        }
    }

    /// Binds the SSRCs that the SDP names.
    fn bind_signalled(&mut self, id: PeerId, track: TrackId) {
        let publish = &mut self.peers[id].publish;
        for (encoding, this) in (0u8..).zip(&self.tracks[track].encodings) {
            for (ssrc, rtx) in [(this.ssrc, false), (this.rtx_ssrc, true)] {
                let Some(ssrc) = ssrc else { continue };
                // Beyond the cap the SSRC stays unknown, and its packets are counted as such.
                let _ = publish.bind(ssrc, Route { track, encoding, rtx });
            }
        }
    }

    /// Opens and closes slots as m-lines start and stop receiving.
    fn apply_slots(&mut self, now: Instant, id: PeerId, sections: &[Section]) {
        for (at, section) in sections.iter().enumerate() {
            let receives = media(section).and_then(|m| Some((m, m.send.as_ref()?)));
            let slots = &mut self.peers[id].receive.slots;
            let slot = slots.iter_mut().find(|slot| slot.section == at);
            match (slot, receives) {
                (Some(slot), Some((media, send)))
                    if slot.send == *send && slot.mid == section.mid =>
                {
                    slot.renegotiate(media.clone());
                }
                (Some(slot), Some((media, send))) => {
                    // A recycled m-line: another mid, other SSRCs, a new line.
                    let random = [self.rng.next_u32(), self.rng.next_u32()];
                    let fresh =
                        Slot::new(at, section.mid.clone(), media.clone(), send.clone(), random);
                    let carried = std::mem::replace(slot, fresh).subscription;
                    self.displace(carried);
                }
                (Some(slot), None) => {
                    slot.open = false;
                    let carried = slot.subscription;
                    slot.clear();
                    self.displace(carried);
                }
                (None, Some((media, send))) => {
                    let random = [self.rng.next_u32(), self.rng.next_u32()];
                    slots.push(Slot::new(
                        at,
                        section.mid.clone(),
                        media.clone(),
                        send.clone(),
                        random,
                    ));
                }
                (None, None) => {}
            }
        }
        let receive = &mut self.peers[id].receive;
        let mut codecs = receive.slots.iter().flat_map(|slot| &slot.media.codecs);
        receive.feedback = codecs.clone().any(|codec| codec.feedback.tells_of_path());
        receive.reports_by_ssrc = codecs.any(|codec| codec.feedback.ack_ccfb);
        for &subscription in &receive.subscriptions {
            self.subscriptions[subscription].unplayable = false;
        }
        self.assign(now, id);
        self.reconsider(now, id);
    }

    /// A subscription lost its m-line and waits for another.
    fn displace(&mut self, carried: Option<crate::id::SubscriptionId>) {
        if let Some(subscription) = carried.and_then(|id| self.subscriptions.get_mut(id)) {
            subscription.slot = None;
            subscription.granted = None;
            subscription.selector.restart();
        }
    }

    fn render(&self, id: PeerId, sections: Vec<Section>) -> Answer {
        let peer = &self.peers[id];
        let link = peer.link.as_ref().expect("an answer needs a transport");
        let msid = |at: usize| {
            let slot = peer.receive.slots.iter().find(|slot| slot.section == at && slot.open)?;
            let pair = peer.receive.slots_of(slot.kind).position(|(_, s)| s.section == at)?;
            Some(Msid {
                stream: format!("pair-{pair}").into(),
                track: format!("slot-{}", slot.mid).into(),
            })
        };
        Answer {
            ice: link.local_ice.clone(),
            fingerprint: self.config.certificate.fingerprint(),
            role: link.role,
            version: link.answers.saturating_sub(1),
            candidates: self.config.candidates.clone(),
            cname: peer.participant.to_string().into(),
            sections: sections.into_iter().enumerate().map(|(at, s)| (s, msid(at))).collect(),
        }
    }
}

fn media(section: &Section) -> Option<&MediaSection> {
    match &section.content {
        SectionContent::Media(media) => Some(media),
        SectionContent::Rejected | SectionContent::Data => None,
    }
}

/// The encodings an m-line announces: one for each RID, else for each SSRC, else one.
fn encodings_of(media: &MediaSection) -> Vec<Encoding> {
    let Some(receive) = &media.receive else { return Vec::new() };
    if !receive.rids.is_empty() {
        return receive
            .rids
            .iter()
            .map(|rid| Encoding::new(media.kind, Some(rid.clone()), None, None))
            .collect();
    }
    if receive.ssrcs.is_empty() {
        return vec![Encoding::new(media.kind, None, None, None)];
    }
    receive
        .ssrcs
        .iter()
        .take(crate::limits::ENCODINGS_MAX)
        .map(|&(ssrc, rtx)| Encoding::new(media.kind, None, Some(ssrc), rtx))
        .collect()
}
