//! What participants are told of quality: which layer of a track they receive, when and why they
//! receive none, and which encodings of their own tracks anybody wants.

use serde::Serialize;
use sfu_core::decision::Reason;
use sfu_core::forward::layer::LayerId;
use sfu_core::id::{PeerId, TrackId};

use super::Sessions;
use super::message::{Json, ServerEvent};
use super::participant::Participant;
use super::track::TrackKey;
use crate::media::WorkerId;

/// A layer on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct LayerView {
    encoding: u8,
    spatial: u8,
    temporal: u8,
}

impl From<LayerId> for LayerView {
    fn from(layer: LayerId) -> Self {
        let LayerId { encoding, spatial, temporal } = layer;
        Self { encoding, spatial, temporal }
    }
}

/// What is forwarded of a track from now on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Forwarding {
    pub(super) track: TrackId,
    /// `None`: paused.
    pub(super) layer: Option<LayerId>,
    /// Pixels; 0: unknown.
    pub(super) size: (u16, u16),
    pub(super) reason: Reason,
}

impl Sessions {
    /// Tells a subscriber what it receives.
    pub(super) fn forwarding_changed(&self, worker: WorkerId, peer: PeerId, now: Forwarding) {
        self.counters.layer_switches.count(now.reason);
        if let Some((key, subscriber)) = self.registry.lock().subscriber(worker, peer, now.track) {
            subscriber.tell_forwarding(key, now);
        }
    }
}

impl Participant {
    fn tell_forwarding(&mut self, key: TrackKey, now: Forwarding) {
        let (track, reason) = (key.into(), reason_name(now.reason));
        let Some(layer) = now.layer else {
            self.paused.insert(key);
            self.outbox.push(&Json::of(&ServerEvent::Paused { track, reason }));
            return;
        };
        if self.paused.remove(&key) {
            self.outbox.push(&Json::of(&ServerEvent::Resumed { track }));
        }
        let (width, height) = now.size;
        let layer = layer.into();
        let event = ServerEvent::Layer { track, layer, width, height, reason };
        self.outbox.push(&Json::of(&event));
    }
}

/// Why no more is forwarded, in signalling and in what explains decisions.
pub(crate) const fn reason_name(reason: Reason) -> &'static str {
    match reason {
        Reason::Best => "best",
        Reason::LargeEnough => "large_enough",
        Reason::Wanted => "wanted",
        Reason::Bandwidth => "bandwidth",
        Reason::Settling => "settling",
        Reason::Priority => "priority",
        Reason::Off => "off",
        Reason::Hidden => "hidden",
        Reason::LastN => "last_n",
        Reason::Muted => "muted",
        Reason::Silent => "silent",
        Reason::NoSlot => "no_slot",
        Reason::Direct => "direct",
        Reason::Overload => "overload",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::FutureExt as _;
    use sfu_core::command::{Source, SubscribePolicy};
    use sfu_core::event::{Event, TrackInfo};
    use sfu_core::id::{ParticipantId, RoomId};
    use sfu_core::negotiation::MediaKind;
    use tokio::runtime::Handle;

    use super::*;
    use crate::config::{Live, Settings};
    use crate::ice_servers::IceServers;
    use crate::media::{Media, Output};
    use crate::session::outbox::OutboxItem;
    use crate::session::{Door, ErrorCode, JoinRequest, Membership, Outbox};

    const TRACK: &str = "0000000100000002";

    fn track() -> TrackId {
        TrackId::from_wire(0x1_0000_0002)
    }

    fn key() -> TrackKey {
        TrackKey { worker: WorkerId(0), id: track() }
    }

    /// Two participants of a room whose engine is told what to have said.
    struct Site {
        sessions: Arc<Sessions>,
        ann: Membership,
        anns: Outbox,
        bob: Membership,
        bobs: Outbox,
        room: RoomId,
    }

    impl Site {
        async fn new() -> Self {
            let mut settings = Settings::default();
            settings.media.udp_port = 0;
            settings.media.tcp = false;
            settings.media.advertise = vec!["127.0.0.1".parse().unwrap()];
            settings.media.workers = Some(1);
            let media = Media::start(&settings.media, Arc::default()).unwrap();
            let ice_servers = IceServers::new(&settings.ice).unwrap();
            let handle = media.handle.clone();
            let sessions =
                Sessions::new(Live::new(settings), handle, ice_servers, Handle::current());
            sessions.follow(media.outputs);
            let (ann, anns) = join(&sessions).await;
            let (bob, bobs) = join(&sessions).await;
            let room = sessions.registry.lock().room_by_name["r"].parts[0].bound_id.unwrap();
            let site = Self { sessions, ann, anns, bob, bobs, room };
            site.told(&site.anns);
            site.told(&site.bobs);
            site
        }

        fn happen(&self, event: Event) {
            self.sessions.apply(WorkerId(0), Output::Event(event));
        }

        /// Ann publishes the track.
        fn publish(&self) {
            let track = TrackInfo {
                track: track(),
                participant: self.ann.participant,
                kind: MediaKind::Video,
                source: Source::Camera,
                name: "".into(),
                muted: false,
                mid: "0".into(),
                encodings: 3,
                rids: Default::default(),
            };
            self.happen(Event::TrackPublished { room: self.room, track });
            self.told(&self.bobs);
        }

        /// What Bob receives of it changes.
        fn forward(&self, layer: Option<LayerId>, reason: Reason) {
            let peer = self.peer(self.bob.participant);
            self.happen(Event::Forwarding {
                peer,
                track: track(),
                layer,
                size: (640, 360),
                reason,
            });
        }

        fn peer(&self, id: ParticipantId) -> PeerId {
            self.sessions.registry.lock().participant("r", id).unwrap().1.peer.unwrap()
        }

        fn is_paused(&self) -> bool {
            let mut registry = self.sessions.registry.lock();
            registry.participant("r", self.bob.participant).unwrap().1.paused.contains(&key())
        }

        /// What waits in an outbox.
        fn told(&self, outbox: &Outbox) -> Vec<String> {
            let next = || match outbox.next().now_or_never()? {
                OutboxItem::Frame(frame) => Some(frame.to_string()),
                end => panic!("{end:?}"),
            };
            std::iter::from_fn(next).collect()
        }
    }

    impl Drop for Site {
        fn drop(&mut self) {
            self.sessions.media().stop();
        }
    }

    async fn join(sessions: &Arc<Sessions>) -> (Membership, Outbox) {
        let outbox = Outbox::new();
        let request = JoinRequest {
            room: "r".to_owned(),
            name: String::new(),
            metadata: String::new(),
            door: Door::WebSocket,
            grant: crate::session::Grant::everything(),
            subscribe: SubscribePolicy::Manual,
            goes_direct: false,
            outbox: outbox.clone(),
            request: None,
            resume_key: None,
            http: None,
        };
        (sessions.join(request).await.unwrap(), outbox)
    }

    fn layer(reason: &str) -> String {
        format!(
            "{{\"type\":\"layer\",\"track\":\"{TRACK}\",\"encoding\":2,\"spatial\":0,\
             \"temporal\":1,\"width\":640,\"height\":360,\"reason\":\"{reason}\"}}"
        )
    }

    fn paused(reason: &str) -> String {
        format!("{{\"type\":\"paused\",\"track\":\"{TRACK}\",\"reason\":\"{reason}\"}}")
    }

    fn resumed() -> String {
        format!("{{\"type\":\"resumed\",\"track\":\"{TRACK}\"}}")
    }

    const MIDDLE: Option<LayerId> = Some(LayerId { encoding: 2, spatial: 0, temporal: 1 });

    #[tokio::test]
    async fn the_subscriber_alone_is_told_of_layers_pauses_and_resumptions() {
        let site = Site::new().await;
        site.publish();
        for (layer_now, reason, want) in [
            (MIDDLE, Reason::LargeEnough, vec![layer("large_enough")]),
            (MIDDLE, Reason::Best, vec![layer("best")]),
            (None, Reason::Bandwidth, vec![paused("bandwidth")]),
            (None, Reason::LastN, vec![paused("last_n")]),
            (MIDDLE, Reason::Settling, vec![resumed(), layer("settling")]),
            (MIDDLE, Reason::Priority, vec![layer("priority")]),
        ] {
            site.forward(layer_now, reason);
            assert_eq!(site.told(&site.bobs), want);
        }
        assert_eq!(site.told(&site.anns), [""; 0]);
    }

    #[tokio::test]
    async fn a_track_that_ended_or_is_unwanted_does_not_resume() {
        let site = Site::new().await;
        site.publish();
        site.forward(None, Reason::Hidden);
        assert!(site.is_paused());
        // The engine knows of no such track, the registry does.
        let unsubscribed = site.sessions.subscribe("r", site.bob.participant, key(), false);
        assert_eq!(unsubscribed.await.unwrap_err().code, ErrorCode::NoSuchTrack);
        assert!(!site.is_paused(), "the next subscription starts anew");
        site.forward(None, Reason::Hidden);
        let ended = Event::TrackUnpublished {
            room: site.room,
            participant: site.ann.participant,
            track: track(),
        };
        site.happen(ended.clone());
        assert!(!site.is_paused());

        site.publish();
        site.forward(None, Reason::Hidden);
        site.sessions.kick("r", site.ann.participant).unwrap();
        site.happen(ended);
        assert!(!site.is_paused(), "though its publisher left before");
    }

    #[tokio::test]
    async fn the_publisher_alone_is_told_which_encodings_are_wanted() {
        let site = Site::new().await;
        site.publish();
        let wanted = [true, false, true].into_iter().collect();
        let peer = site.peer(site.ann.participant);
        site.happen(Event::Demand { peer, track: track(), wanted, max_spatial: 2 });
        let want = format!(
            "{{\"type\":\"demand\",\"track\":\"{TRACK}\",\"encodings\":[true,false,true],\
             \"max_spatial\":2}}"
        );
        assert_eq!(site.told(&site.anns), [want]);
        assert_eq!(site.told(&site.bobs), [""; 0]);
    }
}
