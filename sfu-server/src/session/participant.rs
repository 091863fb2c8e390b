//! One participant as the registry keeps it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;
use sfu_core::command::PublishRequest;
use sfu_core::event::{TrackInfo, TransportState};
use sfu_core::id::{Mid, ParticipantId, PeerId};
use sfu_core::negotiation::MediaKind;

use super::grant::Grant;
use super::http_session::HttpState;
use super::message::{AssignedView, ParticipantView, TrackView, kind_name, source_name};
use super::outbox::Outbox;
use super::resume::ResumeKey;
use super::track::{Track, TrackKey};
use crate::media::{Impairment, WorkerId};
use crate::webhooks::Who;

/// The door a participant came in by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Door {
    WebSocket,
    Whip,
    /// A viewer. Nobody is told of it, and it is in no list; it counts against the room's limit.
    Whep,
}

impl Door {
    /// Its name in the log.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::WebSocket => "web_socket",
            Self::Whip => "whip",
            Self::Whep => "whep",
        }
    }
}

/// Why a participant is no longer there, as others are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LeaveReason {
    /// It said so.
    Left,
    /// Its connection broke.
    Lost,
    /// It was removed.
    Kicked,
    /// The same identity entered again.
    Replaced,
    /// The room was closed. Others are told by their own close.
    Closed,
}

/// A participant, from the request to join to the end.
pub(crate) struct Participant {
    pub(crate) id: ParticipantId,
    pub(crate) name: String,
    pub(crate) metadata: String,
    pub(crate) door: Door,
    pub(crate) grant: Grant,
    /// Changes with its name, metadata and permissions.
    pub(crate) version: u64,
    /// Whether it said that it can exchange media with another participant directly.
    pub(super) goes_direct: bool,
    /// Where its connection is.
    pub(crate) worker: WorkerId,
    /// Its connection in the engine; `None` until the engine has added it. Nobody is told of it
    /// before.
    pub(crate) peer: Option<PeerId>,
    pub(crate) outbox: Outbox,
    /// What the reply to its `join` refers to.
    pub(crate) join_request: Option<u64>,
    /// What another WebSocket may go on with, where it asked for that.
    pub(super) resume_key: Option<ResumeKey>,
    pub(crate) tracks: BTreeMap<TrackKey, Track>,
    /// What its receiving m-lines carry.
    pub(crate) assigned: BTreeMap<Mid, Option<(ParticipantId, TrackKey)>>,
    /// Tracks it was told it does not receive for the time being. No more than its subscriptions.
    pub(crate) paused: BTreeSet<TrackKey>,
    /// `publish` requests whose m-line does not send yet.
    pub(crate) publish_requests: BTreeMap<Mid, PublishRequest>,
    pub(crate) transport: TransportState,
    /// When it asked to join, until media can flow.
    pub(super) joining_since: Option<Instant>,
    /// How bad its network was made, in development.
    pub(super) impairment: Impairment,
    /// What a WHIP or WHEP session URL stands for.
    pub(crate) http: Option<HttpState>,
}

impl Participant {
    pub(crate) fn new(
        id: ParticipantId,
        name: String,
        metadata: String,
        door: Door,
        worker: WorkerId,
    ) -> Self {
        Self {
            id,
            name,
            metadata,
            door,
            grant: Grant::everything(),
            version: rand::random(),
            goes_direct: false,
            worker,
            peer: None,
            outbox: Outbox::default(),
            join_request: None,
            resume_key: None,
            tracks: BTreeMap::new(),
            assigned: BTreeMap::new(),
            paused: BTreeSet::new(),
            publish_requests: BTreeMap::new(),
            transport: TransportState::Connecting,
            joining_since: Some(Instant::now()),
            impairment: Impairment::default(),
            http: None,
        }
    }

    /// Whether others know of it.
    pub(crate) fn is_visible(&self) -> bool {
        self.is_entered() && !self.grant.hidden
    }

    /// Whether it is in the room and no mere viewer: it hears of others, and moderators see it.
    pub(crate) fn is_entered(&self) -> bool {
        self.peer.is_some() && self.door != Door::Whep
    }

    /// As webhooks name it.
    pub(crate) fn who(&self) -> Who<'_> {
        let identity = self.grant.identity.as_ref().map(|identity| &*identity.name);
        Who { id: self.id.into(), name: &self.name, identity, door: self.door }
    }

    pub(crate) fn view(&self) -> ParticipantView {
        self.view_from(self.worker)
    }

    /// As participants on `worker` see it: with the tracks that are there.
    pub(crate) fn view_from(&self, worker: WorkerId) -> ParticipantView {
        let there = self.tracks.iter().filter(|(_, track)| track.local.contains_key(&worker));
        ParticipantView {
            id: self.id.into(),
            name: self.name.clone(),
            metadata: self.metadata.clone(),
            tracks: there.map(|(key, track)| track_view(*key, &track.info)).collect(),
        }
    }

    pub(crate) fn assigned_views(&self) -> Vec<AssignedView> {
        self.assigned.iter().map(|(mid, carried)| AssignedView::new(mid, *carried)).collect()
    }

    pub(crate) fn count_tracks(&self, kind: MediaKind) -> usize {
        self.tracks.values().filter(|track| track.info.kind == kind).count()
    }

    /// The state of its transport in one word.
    pub(crate) fn transport_name(&self) -> &'static str {
        match self.transport {
            TransportState::Connecting => "connecting",
            TransportState::Connected => "connected",
            TransportState::Disconnected => "disconnected",
            TransportState::Failed(_) => "failed",
        }
    }
}

pub(crate) fn track_view(key: TrackKey, info: &TrackInfo) -> TrackView {
    TrackView {
        track: key.into(),
        kind: kind_name(info.kind),
        source: source_name(info.source),
        name: info.name.to_string(),
        muted: info.muted,
        encodings: info.encodings,
    }
}

/// A name of `min_bytes` at least: short enough, and printable, so that a log line or a page
/// shows it as it is.
pub(crate) fn check_name(
    what: &str,
    name: &str,
    min_bytes: usize,
) -> Result<(), super::SessionError> {
    let max = crate::limits::NAME_BYTES_MAX;
    let is_valid = (min_bytes..=max).contains(&name.len()) && !name.chars().any(char::is_control);
    if is_valid {
        return Ok(());
    }
    Err(super::SessionError::new(
        super::ErrorCode::InvalidName,
        format!("{what} must have {min_bytes} to {max} bytes and no control characters"),
    ))
}

/// A label shared by all who hear of it.
pub(crate) fn label(name: &str) -> Arc<str> {
    Arc::from(name)
}
