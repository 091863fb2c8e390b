//! What a WHEP viewer is told and may choose beside media: the events and the layers of the draft's
//! core extensions (webrtc-http-egress-events). Events are differences between what a stream was told
//! and what is so now, so there is no queue: who reads late is told the latest.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sfu_core::command::Command;
use sfu_core::decision::LayerOption;
use sfu_core::id::{Mid, PeerId, Rid};
use sfu_core::negotiation::{Answer, MediaKind, SectionContent};
use sfu_core::preference::{Preference, Quality};

use super::http_session::{HttpState, no_such_session};
use super::participant::Door;
use super::registry::Registry;
use super::requests::connection;
use super::room::Room;
use super::track::TrackKey;
use super::{ErrorCode, SessionError, Sessions};
use crate::limits;
use crate::media::WorkerId;

/// The kinds of events, in the order in which they are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ViewerEvent {
    Active,
    Inactive,
    Layers,
    Reconnect,
    ViewerCount,
}

/// One stream of events, made by `POST` and read by `GET`.
pub(crate) struct EventStream {
    token: Box<str>,
    wanted: Vec<ViewerEvent>,
    told: Told,
    /// Counts those who read it; only the last one goes on.
    reader: u64,
}

/// What a stream was told.
#[derive(Debug, Default)]
struct Told {
    is_active: bool,
    reconnect: bool,
    viewers: Option<usize>,
    layers: LayersByLine,
}

/// Somebody who reads a stream of a session.
#[derive(Clone, Debug)]
pub(crate) struct Watcher {
    room: String,
    session: String,
    stream: String,
    reader: u64,
    looks: u32,
}

/// The engine is asked for layers once in so many looks: it tells all that it decided, which is much.
const LOOKS_PER_LAYERS: u32 = 4;

/// The layers of each video m-line, by its place in the SDP, the best first.
type LayersByLine = BTreeMap<String, Vec<LayerItem>>;

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct LayerItem {
    #[serde(skip_serializing_if = "Option::is_none")]
    rid: Option<Box<str>>,
    spatial_layer_id: u8,
    temporal_layer_id: u8,
    /// Bit/s.
    bitrate: u64,
    #[serde(skip_serializing_if = "is_unknown")]
    width: u16,
    #[serde(skip_serializing_if = "is_unknown")]
    height: u16,
    /// Whether it is what the viewer receives. Not in the draft, which has clients ignore it.
    current: bool,
}

fn is_unknown(size: &u16) -> bool {
    *size == 0
}

/// Bitrates are always new and alone no news.
impl PartialEq for LayerItem {
    fn eq(&self, other: &Self) -> bool {
        let of = |item: &Self| (item.spatial_layer_id, item.temporal_layer_id, item.current);
        let size = |item: &Self| (item.width, item.height);
        self.rid == other.rid && of(self) == of(other) && size(self) == size(other)
    }
}

/// What a viewer asks for. Nothing but `media_id`: the server's choice again.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct LayerChoice {
    /// The m-line's place in the SDP; absent: the first video.
    media_id: Option<String>,
    rid: Option<String>,
    spatial_layer_id: Option<u8>,
    temporal_layer_id: Option<u8>,
    max_spatial_layer_id: Option<u8>,
    max_temporal_layer_id: Option<u8>,
    max_width: Option<u16>,
    max_height: Option<u16>,
}

impl ViewerEvent {
    pub(crate) const ALL: [Self; 5] =
        [Self::Active, Self::Inactive, Self::Layers, Self::Reconnect, Self::ViewerCount];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Inactive => "inactive",
            Self::Layers => "layers",
            Self::Reconnect => "reconnect",
            Self::ViewerCount => "viewercount",
        }
    }
}

impl Sessions {
    /// Makes a stream of these events and returns its name.
    pub(crate) fn open_events(
        &self,
        room: &str,
        session: &str,
        wanted: Vec<ViewerEvent>,
    ) -> Result<String, SessionError> {
        let mut registry = self.registry.lock();
        let streams = &mut registry.viewer(room, session)?.streams;
        if streams.len() >= limits::EVENT_STREAMS_MAX {
            return Err(SessionError::new(ErrorCode::Limit, "this session has four event streams"));
        }
        // As secret as the session's own name: a browser's EventSource sends no `Authorization`.
        let token = format!("{:032x}", rand::random::<u128>());
        let told = Told::default();
        streams.push(EventStream { token: token.as_str().into(), wanted, told, reader: 0 });
        Ok(token)
    }

    /// Ends a stream.
    pub(crate) fn close_events(
        &self,
        room: &str,
        session: &str,
        stream: &str,
    ) -> Result<(), SessionError> {
        let mut registry = self.registry.lock();
        let streams = &mut registry.viewer(room, session)?.streams;
        let at = streams.iter().position(|one| *one.token == *stream);
        streams.remove(at.ok_or_else(no_such_stream)?);
        Ok(())
    }

    /// Begins to read a stream, in the place of whoever did until now.
    pub(crate) fn watch_events(
        &self,
        room: String,
        session: String,
        stream: String,
    ) -> Result<Watcher, SessionError> {
        let mut registry = self.registry.lock();
        let is_active = registry.is_watching(&room, &session)?;
        let found = registry.viewer(&room, &session)?.stream(&stream)?;
        found.reader += 1;
        // It may not have got what it was told last, but `inactive` is told once.
        let is_active = found.told.is_active && !is_active;
        found.told = Told { is_active, ..Told::default() };
        let reader = found.reader;
        Ok(Watcher { room, session, stream, reader, looks: 0 })
    }

    /// What is new to a reader. An error ends it.
    pub(crate) async fn next_events(
        &self,
        watcher: &mut Watcher,
    ) -> Result<Vec<(ViewerEvent, Value)>, SessionError> {
        let Watcher { room, session, stream, reader, looks } = watcher;
        let is_due = *looks % LOOKS_PER_LAYERS == 0;
        *looks = looks.wrapping_add(1);
        let wants_layers = is_due && {
            let mut registry = self.registry.lock();
            let found = registry.viewer(room, session)?.stream(stream)?;
            found.wanted.contains(&ViewerEvent::Layers)
        };
        let layers = if wants_layers { Some(self.layers(room, session).await?) } else { None };
        let mut registry = self.registry.lock();
        let is_active = registry.is_watching(room, session)?;
        let viewers = registry.room_by_name.get(room.as_str()).map_or(0, Room::viewers);
        let found = registry.viewer(room, session)?.stream(stream)?;
        if found.reader != *reader {
            return Err(no_such_stream());
        }
        let layers = layers.unwrap_or_else(|| found.told.layers.clone());
        let now = Told { is_active, reconnect: self.is_draining(), viewers: Some(viewers), layers };
        let mut events = now.news(&found.told);
        events.retain(|(event, _)| found.wanted.contains(event));
        found.told = now;
        Ok(events)
    }

    /// The layers of what a viewer receives.
    async fn layers(&self, room: &str, session: &str) -> Result<LayersByLine, SessionError> {
        let (worker, peer) = self.viewer_peer(room, session)?;
        let decisions = self.decisions_of(room, worker, peer).await?;
        let mut registry = self.registry.lock();
        let lines = registry.viewer(room, session)?.video_lines();
        let room = registry.room_by_name.get(room).ok_or_else(no_such_session)?;
        let mut layers = BTreeMap::new();
        for subscription in decisions.subscriptions {
            let Some(line) = lines.iter().find(|(_, mid)| Some(mid) == subscription.mid.as_ref())
            else {
                continue;
            };
            let key = TrackKey::from_wire(subscription.track.to_wire());
            let rids = room.track(key).map(|track| track.info.rids.clone()).unwrap_or_default();
            let item = |option: &LayerOption| LayerItem {
                rid: rids.get(usize::from(option.layer.encoding)).map(|rid| rid.0.clone()),
                spatial_layer_id: option.layer.spatial,
                temporal_layer_id: option.layer.temporal,
                bitrate: option.bitrate_bps,
                width: option.width,
                height: option.height,
                current: subscription.current == Some(option.layer),
            };
            let mut available = subscription.available;
            available.sort_by_key(|option| std::cmp::Reverse(option.layer));
            layers.insert(line.0.to_string(), available.iter().map(item).collect());
        }
        Ok(layers)
    }

    /// Selects a layer, or leaves the choice to the server again.
    pub(crate) async fn choose_layer(
        &self,
        room: &str,
        session: &str,
        choice: LayerChoice,
    ) -> Result<(), SessionError> {
        let (worker, peer) = self.viewer_peer(room, session)?;
        let (mid, key, track, rids) = {
            let mut registry = self.registry.lock();
            let (name, id) = registry.find_token(Door::Whep, room, session)?;
            let mid = registry.viewer(room, session)?.video_line(choice.media_id.as_deref())?;
            let room = registry.room_by_name.get(&name).ok_or_else(no_such_session)?;
            let watching = room.participants.get(&id).ok_or_else(no_such_session)?;
            let carried = watching.assigned.get(&mid).copied().flatten();
            let (_, key) = carried.ok_or_else(nothing_there)?;
            let track = room.track(key).ok_or_else(nothing_there)?;
            let local = *track.local.get(&worker).ok_or_else(nothing_there)?;
            (mid, key, local, track.info.rids.clone())
        };
        let decisions = self.decisions_of(room, worker, peer).await?;
        let is_it = |wire| TrackKey::from_wire(wire) == key;
        let mut of_it = decisions.subscriptions.iter();
        let of_it = of_it.find(|one| is_it(one.track.to_wire()) && one.mid.as_ref() == Some(&mid));
        let available = of_it.map(|one| &*one.available).unwrap_or_default();
        let preference = choice.preference(&rids, available)?;
        self.media.call(worker, Command::Prefer { peer, track, preference }).await?;
        Ok(())
    }

    fn viewer_peer(&self, room: &str, session: &str) -> Result<(WorkerId, PeerId), SessionError> {
        let registry = self.registry.lock();
        let (room, id) = registry.find_token(Door::Whep, room, session)?;
        let connection = connection(&registry, &room, id)?;
        Ok((connection.worker, connection.peer))
    }
}

impl Told {
    /// The events between what was told and this.
    fn news(&self, told: &Self) -> Vec<(ViewerEvent, Value)> {
        let mut events = Vec::new();
        match (told.is_active, self.is_active) {
            (false, true) => events.push((ViewerEvent::Active, json!({}))),
            (true, false) => events.push((ViewerEvent::Inactive, json!({}))),
            _ => {}
        }
        if self.layers != told.layers {
            events.push((ViewerEvent::Layers, json!(self.layers)));
        }
        if self.reconnect && !told.reconnect {
            events.push((ViewerEvent::Reconnect, json!({})));
        }
        if self.viewers != told.viewers {
            let count = json!({ "viewercount": self.viewers.unwrap_or_default() });
            events.push((ViewerEvent::ViewerCount, count));
        }
        events
    }
}

impl LayerChoice {
    /// As the engine takes it: a place no larger than the layer, and no more frames than it has. That
    /// bounds from above; with less bandwidth there is less.
    fn preference(
        &self,
        rids: &[Rid],
        available: &[LayerOption],
    ) -> Result<Preference, SessionError> {
        let encoding = match &self.rid {
            None => None,
            Some(rid) => {
                let at = rids.iter().position(|one| *one.0 == **rid).ok_or_else(no_such_layer)?;
                Some(at)
            }
        };
        let within = |option: &&LayerOption| {
            let LayerOption { layer, width, height, .. } = **option;
            let exactly = |wanted: Option<u8>, is: u8| wanted.is_none_or(|wanted| wanted == is);
            let at_most = |max: Option<u8>, is: u8| max.is_none_or(|max| is <= max);
            let fits = |max: Option<u16>, is: u16| max.is_none_or(|max| is <= max);
            encoding.is_none_or(|encoding| usize::from(layer.encoding) == encoding)
                && exactly(self.spatial_layer_id, layer.spatial)
                && exactly(self.temporal_layer_id, layer.temporal)
                && at_most(self.max_spatial_layer_id, layer.spatial)
                && at_most(self.max_temporal_layer_id, layer.temporal)
                && fits(self.max_width, width)
                && fits(self.max_height, height)
        };
        let exact = self.spatial_layer_id.is_some() || self.temporal_layer_id.is_some();
        let Some(best) = available.iter().filter(within).max_by_key(|option| option.layer) else {
            // Not one of the layers that arrive; an encoding may not have arrived yet.
            return if exact {
                Err(no_such_layer())
            } else {
                Ok(self.unseen(encoding, rids.len()))
            };
        };
        let is_bound = encoding.is_some()
            || self.spatial_layer_id.or(self.max_spatial_layer_id).is_some()
            || self.max_width.or(self.max_height).is_some();
        let is_paced = self.temporal_layer_id.or(self.max_temporal_layer_id).is_some();
        if is_bound && best.width == 0 {
            return Ok(self.unseen(encoding.or(Some(usize::from(best.layer.encoding))), rids.len()));
        }
        Ok(Preference {
            max_size: is_bound.then_some((best.width, best.height)),
            max_frames_per_second: is_paced.then_some(best.frames_per_second.max(1)),
            ..Preference::default()
        })
    }

    /// By what is known without pictures.
    fn unseen(&self, encoding: Option<usize>, encodings: usize) -> Preference {
        let quality = match encoding {
            Some(0) if encodings > 1 => Quality::Low,
            Some(at) if at + 1 < encodings => Quality::Medium,
            _ => Quality::Auto,
        };
        let place = (self.max_width.unwrap_or(u16::MAX), self.max_height.unwrap_or(u16::MAX));
        let is_bound = self.max_width.or(self.max_height).is_some();
        Preference { quality, max_size: is_bound.then_some(place), ..Preference::default() }
    }
}

impl HttpState {
    fn stream(&mut self, token: &str) -> Result<&mut EventStream, SessionError> {
        self.streams.iter_mut().find(|one| *one.token == *token).ok_or_else(no_such_stream)
    }

    /// The places and mids of its video.
    fn video_lines(&self) -> Vec<(usize, Mid)> {
        self.answer.as_deref().map(video_lines).unwrap_or_default()
    }

    fn video_line(&self, place: Option<&str>) -> Result<Mid, SessionError> {
        let mut lines = self.video_lines().into_iter();
        let is_it = |(at, _): &(usize, Mid)| place.is_none_or(|place| at.to_string() == place);
        lines.find(is_it).map(|(_, mid)| mid).ok_or_else(no_such_layer)
    }
}

fn video_lines(answer: &Answer) -> Vec<(usize, Mid)> {
    let sections = answer.sections.iter().map(|(section, _)| section).enumerate();
    let video = sections.filter(|(_, section)| {
        matches!(&section.content, SectionContent::Media(media) if media.kind == MediaKind::Video)
    });
    video.map(|(at, section)| (at, section.mid.clone())).collect()
}

impl Registry {
    /// What is kept of a viewer's session.
    fn viewer(&mut self, room: &str, session: &str) -> Result<&mut HttpState, SessionError> {
        let (room, id) = self.find_token(Door::Whep, room, session)?;
        let (_, participant) = self.participant(&room, id).ok_or_else(no_such_session)?;
        participant.http.as_mut().ok_or_else(no_such_session)
    }

    /// Whether there is somebody to see or hear.
    fn is_watching(&mut self, room: &str, session: &str) -> Result<bool, SessionError> {
        let (room, id) = self.find_token(Door::Whep, room, session)?;
        let (_, participant) = self.participant(&room, id).ok_or_else(no_such_session)?;
        Ok(participant.assigned.values().any(Option::is_some))
    }
}

impl Room {
    fn viewers(&self) -> usize {
        self.participants.values().filter(|participant| participant.door == Door::Whep).count()
    }
}

fn no_such_stream() -> SessionError {
    SessionError::new(ErrorCode::NoSuchSession, "there is no such event stream")
}

fn no_such_layer() -> SessionError {
    SessionError::new(ErrorCode::NoSuchLayer, "there is no such video layer")
}

fn nothing_there() -> SessionError {
    SessionError::new(ErrorCode::NoPublisher, "nobody is publishing there")
}

#[cfg(test)]
mod tests {
    use sfu_core::forward::layer::LayerId;

    use super::*;

    fn option(encoding: u8, temporal: u8, width: u16) -> LayerOption {
        LayerOption {
            layer: LayerId { encoding, spatial: 0, temporal },
            bitrate_bps: 1000,
            width,
            height: width / 2,
            frames_per_second: 15 << temporal,
        }
    }

    #[test]
    fn a_choice_bounds_what_the_engine_sends() {
        let rids = ["l", "h"].map(Rid::from);
        let seen = [option(0, 0, 320), option(0, 1, 320), option(1, 0, 640), option(1, 1, 640)];
        let unsized_ones = [option(0, 0, 0), option(1, 0, 0)];
        let automatic = Preference::default();
        let size = |width: u16| Preference { max_size: Some((width, width / 2)), ..automatic };
        let low = Preference { quality: Quality::Low, ..automatic };
        let slow = Preference { max_frames_per_second: Some(15), ..automatic };
        let both = Preference { max_frames_per_second: Some(15), ..size(320) };
        for (choice, available, want) in [
            (r#"{}"#, &seen[..], Some(automatic)),
            (r#"{"mediaId":"1"}"#, &seen, Some(automatic)),
            (r#"{"rid":"l"}"#, &seen, Some(size(320))),
            (r#"{"rid":"h"}"#, &seen, Some(size(640))),
            (r#"{"rid":"q"}"#, &seen, None),
            (r#"{"rid":"l","temporalLayerId":0}"#, &seen, Some(both)),
            (r#"{"temporalLayerId":0}"#, &seen, Some(slow)),
            (r#"{"maxTemporalLayerId":0}"#, &seen, Some(slow)),
            (r#"{"temporalLayerId":2}"#, &seen, None),
            (r#"{"spatialLayerId":1}"#, &seen, None),
            (r#"{"maxWidth":639}"#, &seen, Some(size(320))),
            (r#"{"maxHeight":320}"#, &seen, Some(size(640))),
            (r#"{"rid":"l"}"#, &unsized_ones, Some(low)),
            (r#"{"rid":"h"}"#, &unsized_ones, Some(automatic)),
            (r#"{"rid":"l"}"#, &[], Some(low)),
            (r#"{"rid":"q"}"#, &[], None),
        ] {
            let parsed: LayerChoice = serde_json::from_str(choice).unwrap();
            assert_eq!(parsed.preference(&rids, available).ok(), want, "{choice}");
        }
    }

    #[test]
    fn what_is_new_is_told_once_and_no_inactive_first() {
        let names = |events: Vec<(ViewerEvent, Value)>| -> Vec<&str> {
            events.into_iter().map(|(event, _)| event.name()).collect()
        };
        let item = |bitrate, current| LayerItem {
            rid: None,
            spatial_layer_id: 0,
            temporal_layer_id: 0,
            bitrate,
            width: 0,
            height: 0,
            current,
        };
        let now = |is_active, reconnect, viewers, item: LayerItem| Told {
            is_active,
            reconnect,
            viewers: Some(viewers),
            layers: [("1".to_owned(), vec![item])].into(),
        };
        let idle = Told { viewers: Some(1), ..Told::default() };
        assert_eq!(names(idle.news(&Told::default())), ["viewercount"]);
        let active = now(true, false, 1, item(1, true));
        assert_eq!(names(active.news(&idle)), ["active", "layers"]);
        let dearer = now(true, false, 1, item(2, true));
        assert!(dearer.news(&active).is_empty(), "a bitrate is no news");
        let other = now(true, true, 2, item(2, false));
        assert_eq!(names(other.news(&dearer)), ["layers", "reconnect", "viewercount"]);
        assert_eq!(names(idle.news(&active)), ["inactive", "layers"]);
    }
}
