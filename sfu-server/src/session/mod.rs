//! The session layer: rooms and the participants in them, common to all doors. WebSocket, WHIP,
//! WHEP and REST all speak to [`Sessions`]; it speaks to the media workers and keeps everybody
//! told.
//!
//! One lock guards the registry; it is never held across an await. What the engine tells is
//! applied by one task per worker in the engine's order, so that a reply never overtakes the
//! events that came before it.

mod decisions;
mod direct;
mod doorkeeper;
mod error;
mod events;
mod forwarding;
mod grant;
mod http_session;
mod impair;
mod join;
mod lock;
mod message;
mod moderate;
mod offer;
mod outbox;
mod overload;
mod participant;
mod parts;
mod placement;
mod prefer;
mod rate;
mod registry;
mod requests;
mod resume;
mod room;
mod settings;
mod shed;
#[cfg(test)]
mod tests;
mod timing;
mod track;
mod tracks;
mod viewer;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64};
use std::time::SystemTime;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::config::Live;
use crate::ice_servers::{IceServer, IceServers};
use crate::media::MediaHandle;
use crate::webhooks::Webhooks;

pub(crate) use decisions::{DecisionsView, RecordView};
pub(crate) use error::SessionError;
pub(crate) use grant::{Grant, Identity, PermissionsView, forbidden};
pub(crate) use http_session::{ETag, HttpSession, IfMatch, PatchOutcome};
pub(crate) use join::{JoinRequest, Membership};
pub(crate) use message::{ErrorCode, Json, ParticipantView, Reply, ServerEvent, TrackView, WireId};
pub(crate) use moderate::ParticipantChange;
pub(crate) use outbox::{CloseCode, Closing, Outbox, OutboxItem};
pub(crate) use participant::{Door, LeaveReason, check_name};
pub(crate) use prefer::QualityWord;
pub(crate) use rate::{AddressRates, Bucket};
pub(crate) use registry::Census;
pub(crate) use requests::{
    DataRequest, ParticipantDetail, participant_id, publish_request, source_by_name, track_id,
};
pub(crate) use resume::{Parked, ResumeKey};
pub(crate) use room::RoomView;
pub(crate) use settings::{CodecName, RoomSettings, SettingsChange, empty_timeout};
pub(crate) use track::TrackKey;
pub(crate) use viewer::{LayerChoice, ViewerEvent, Watcher};

use placement::Placement;
use registry::Registry;

/// The session layer. Shared by every door.
pub(crate) struct Sessions {
    media: MediaHandle,
    registry: Mutex<Registry>,
    /// Taken while `registry` is held, never the other way round.
    placement: Mutex<Placement>,
    ice_servers: IceServers,
    pub(crate) settings: Live,
    pub(crate) counters: Counters,
    /// Where tasks run that must outlive the request that caused them.
    runtime: Handle,
    /// Whether joins are refused because the server is about to stop.
    door: doorkeeper::Doorkeeper,
    /// Whether joins are refused because all workers are busy.
    is_overloaded: AtomicBool,
    /// Whether everybody is being sent away.
    stopping: watch::Sender<bool>,
    /// Whose WebSocket may be followed by another.
    lines: resume::Lines,
}

/// What happened since the start, for metrics.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) joins: AtomicU64,
    pub(crate) leaves: AtomicU64,
    /// WebSockets that went on from one that broke.
    pub(crate) resumes: AtomicU64,
    pub(crate) slow_consumers: AtomicU64,
    pub(crate) panics: AtomicU64,
    /// Joins refused because the server was full.
    pub(crate) overloads: AtomicU64,
    /// How far the videos of the worst-off worker are cut down at present, in steps.
    pub(crate) shed_level: AtomicU8,
    /// From the join to the moment when media can flow.
    pub(crate) join_duration: timing::Histogram,
    pub(crate) layer_switches: timing::Switches,
}

impl Sessions {
    /// A session layer without rooms.
    pub(crate) fn new(
        settings: Live,
        media: MediaHandle,
        ice_servers: IceServers,
        runtime: Handle,
    ) -> Arc<Self> {
        let placement = Placement::new(settings.now().media.placement, media.workers());
        Arc::new(Self {
            media,
            registry: Mutex::default(),
            placement: Mutex::new(placement),
            ice_servers,
            settings,
            counters: Counters::default(),
            runtime,
            door: doorkeeper::Doorkeeper::default(),
            is_overloaded: AtomicBool::new(false),
            stopping: watch::Sender::new(false),
            lines: resume::Lines::default(),
        })
    }

    /// The STUN and TURN servers a client is told of, with credentials of its own.
    pub(crate) fn ice_servers(&self, user: &str) -> Vec<IceServer> {
        self.ice_servers.tell(user, SystemTime::now())
    }

    /// The media workers.
    pub(crate) fn media(&self) -> &MediaHandle {
        &self.media
    }

    /// Whether joins are refused because the server is about to stop.
    pub(crate) fn is_draining(&self) -> bool {
        self.door.is_draining()
    }

    /// From now on tells webhooks what happens.
    pub(crate) fn tell_webhooks(&self, webhooks: Webhooks) {
        self.registry.lock().webhooks = webhooks;
    }

    /// What became of messages to webhooks.
    pub(crate) fn webhook_outcomes(&self) -> [(&'static str, u64); 4] {
        self.registry.lock().webhooks.outcomes()
    }

    /// Kicks that were forgotten before their time.
    pub(crate) fn kicks_forgotten(&self) -> u64 {
        self.registry.lock().kicks.forgotten
    }

    /// Accepts joins again. False if the server was told to end.
    pub(crate) fn accept_joins(&self) -> bool {
        self.door.open()
    }

    /// From now on refuses joins, for good; who is in may stay.
    pub(crate) fn refuse_joins(&self) {
        self.door.end();
    }

    /// Refuses joins from now on and tells everybody who is in, once.
    pub(crate) fn begin_drain(&self) {
        if self.door.drain() {
            self.registry.lock().tell_everybody(&Json::of(&ServerEvent::Draining {}));
        }
    }

    /// Whether nobody is here.
    pub(crate) fn is_empty(&self) -> bool {
        let census = self.census();
        census.websockets + census.whip + census.whep == 0
    }

    /// Completes once everybody is being sent away.
    pub(crate) async fn stopped(&self) {
        // Cannot fail: the sender is in `self`.
        let _ = self.stopping.subscribe().wait_for(|stopping| *stopping).await;
    }

    /// Where work goes that must outlive its request.
    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Sizes, for metrics.
    pub(crate) fn census(&self) -> Census {
        self.registry.lock().census()
    }
}
