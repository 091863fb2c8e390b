//! What a room forwards at all: settings that operators make and change while it lasts.

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use sfu_core::command::Command;
use sfu_core::id::RoomId;
use sfu_core::negotiation::{Codec, Offer, OfferedContent};
use sfu_core::preference::RoomPolicy;

use super::join::carry_out;
use super::message::{Json, ServerEvent};
use super::registry::Cleanup;
use super::requests::no_such_room;
use super::{ErrorCode, IfMatch, RoomView, SessionError, Sessions};
use crate::limits;
use crate::media::{MediaError, WorkerId};

/// Settings of a room. What is absent is not limited.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct RoomSettings {
    /// Only this many microphones, the loudest, are forwarded.
    #[serde(skip_serializing_if = "Option::is_none")]
    audio_last_n: Option<u16>,
    /// Only the cameras of this many participants, the last speakers, are forwarded.
    #[serde(skip_serializing_if = "Option::is_none")]
    video_last_n: Option<u16>,
    /// So many may be there at a time, viewers included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_participants: Option<u16>,
    /// Nobody new may come in.
    pub(super) locked: bool,
    /// The codecs that are agreed on in offers from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    codecs: Option<Vec<CodecName>>,
    /// Two who are alone in the room may exchange media among themselves, past the server. Each then
    /// learns the other's addresses.
    #[serde(skip_serializing_if = "is_false")]
    direct: bool,
    /// For applications.
    #[serde(skip_serializing_if = "String::is_empty")]
    metadata: String,
}

/// A codec by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CodecName {
    Opus,
    Vp8,
    Vp9,
    H264,
    Av1,
}

impl CodecName {
    const fn allows(self, codec: Codec) -> bool {
        match self {
            Self::Opus => matches!(codec, Codec::Opus | Codec::Red),
            Self::Vp8 => matches!(codec, Codec::Vp8),
            Self::Vp9 => matches!(codec, Codec::Vp9),
            Self::H264 => matches!(codec, Codec::H264),
            Self::Av1 => matches!(codec, Codec::Av1),
        }
    }
}

/// A change of settings: what is absent stays as it is, `null` lifts a limit (RFC 7396).
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SettingsChange {
    #[serde(default, deserialize_with = "present")]
    pub(crate) audio_last_n: Option<Option<u64>>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) video_last_n: Option<Option<u64>>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) max_participants: Option<Option<u64>>,
    pub(crate) locked: Option<bool>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) codecs: Option<Option<Vec<CodecName>>>,
    /// Whether two who are alone in the room may exchange media among themselves.
    pub(crate) direct: Option<bool>,
    /// At most 64 KiB.
    pub(crate) metadata: Option<String>,
    /// Seconds it stays while empty, at most a day.
    pub(crate) empty_timeout: Option<u64>,
}

/// Tells a `null` from a field that is absent, for which this is not called.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    value: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(value).map(Some)
}

impl RoomSettings {
    /// The same for the engine, by way of which everything goes.
    pub(super) const fn policy(&self) -> RoomPolicy {
        let (audio_last_n, video_last_n) = (self.audio_last_n, self.video_last_n);
        RoomPolicy { audio_last_n, video_last_n, direct: false }
    }

    /// These settings after a change.
    pub(crate) fn changed(&self, change: &SettingsChange) -> Result<Self, SessionError> {
        let metadata = change.metadata.as_ref().unwrap_or(&self.metadata);
        if metadata.len() > limits::METADATA_BYTES_MAX {
            return Err(SessionError::new(ErrorCode::Limit, "the metadata is over 64 KiB"));
        }
        let codecs = change.codecs.as_ref().unwrap_or(&self.codecs).clone();
        if codecs.as_ref().is_some_and(|codecs| codecs.is_empty() || codecs.len() > CODECS_MAX) {
            return Err(SessionError::new(ErrorCode::Limit, "codecs has no name, or too many"));
        }
        let (before, n) = (self.max_participants, change.max_participants);
        let max_participants = bounded("max_participants", before, n)?;
        if max_participants == Some(0) {
            return Err(SessionError::new(ErrorCode::Limit, "max_participants is 0"));
        }
        Ok(Self {
            audio_last_n: bounded("audio_last_n", self.audio_last_n, change.audio_last_n)?,
            video_last_n: bounded("video_last_n", self.video_last_n, change.video_last_n)?,
            max_participants,
            locked: change.locked.unwrap_or(self.locked),
            codecs,
            direct: change.direct.unwrap_or(self.direct),
            metadata: metadata.clone(),
        })
    }

    /// Whether two who are alone may exchange media among themselves. Only the server sees to what
    /// else a room may be told to forward, so there must be nothing of that kind.
    pub(super) fn allows_direct(&self) -> bool {
        let takes_two = |limit: Option<u16>| limit.is_none_or(|n| n >= 2);
        self.direct
            && self.codecs.is_none()
            && takes_two(self.audio_last_n)
            && takes_two(self.video_last_n)
    }

    /// Takes codecs out of an offer that the room does not have.
    pub(super) fn restrict(&self, offer: &mut Offer) {
        let Some(allowed) = &self.codecs else { return };
        for section in &mut offer.sections {
            if let OfferedContent::Media(media) = &mut section.content {
                media.codecs.retain(|it| allowed.iter().any(|name| name.allows(it.codec)));
            }
        }
    }
}

/// For fields that are shown only when set.
fn is_false(value: &bool) -> bool {
    !value
}

/// As many as there are.
const CODECS_MAX: usize = 5;

fn bounded(
    name: &str,
    before: Option<u16>,
    change: Option<Option<u64>>,
) -> Result<Option<u16>, SessionError> {
    let Some(new) = change else { return Ok(before) };
    let Some(new) = new else { return Ok(None) };
    match u16::try_from(new) {
        Ok(new) if new <= limits::LAST_N_MAX => Ok(Some(new)),
        _ => {
            let detail = format!("{name} is over {}", limits::LAST_N_MAX);
            Err(SessionError::new(ErrorCode::Limit, detail))
        }
    }
}

/// How long a room may stay empty.
pub(crate) fn empty_timeout(seconds: u64) -> Result<Duration, SessionError> {
    let timeout = Duration::from_secs(seconds);
    if timeout > limits::EMPTY_TIMEOUT_MAX {
        let detail = format!("empty_timeout is over {} s", limits::EMPTY_TIMEOUT_MAX.as_secs());
        return Err(SessionError::new(ErrorCode::Limit, detail));
    }
    Ok(timeout)
}

impl Sessions {
    /// Changes a room's settings; everybody in it is told.
    pub(crate) async fn change_settings(
        self: &Arc<Self>,
        room: String,
        change: SettingsChange,
        if_match: IfMatch,
    ) -> Result<RoomView, SessionError> {
        // In a task of its own: whoever asked may hang up between the engine's change and ours.
        let sessions = Arc::clone(self);
        let task =
            self.runtime.spawn(async move { sessions.settle(&room, &change, &if_match).await });
        task.await.unwrap_or_else(|_| Err(MediaError::Panicked.into()))
    }

    async fn settle(
        self: &Arc<Self>,
        name: &str,
        change: &SettingsChange,
        if_match: &IfMatch,
    ) -> Result<RoomView, SessionError> {
        let held = self.hold_room(name).ok_or_else(no_such_room)?;
        let place = &held.place;
        self.engine_room(place).await.map_err(room_error)?;
        // One change at a time, so that the last one is the same here and in the engines; and no
        // part is added meanwhile that would not hear of it.
        let _turn = place.turn().lock().await;
        let (before, after, direct, parts) = {
            let mut registry = self.registry.lock();
            let room = place.find_room(&mut registry).ok_or_else(no_such_room)?;
            if_match.admits_version(room.version)?;
            let after = room.settings.changed(change)?;
            change.empty_timeout.map(empty_timeout).transpose()?;
            (room.settings.clone(), after, room.is_direct(), room.bound_parts())
        };
        if after.policy() != before.policy() {
            // Whether media goes directly may change meanwhile: whoever changes it waits for its turn.
            let policy = |settings: &RoomSettings| RoomPolicy { direct, ..settings.policy() };
            let (before, after) = (policy(&before), policy(&after));
            self.set_policy(&parts, before, after).await.map_err(room_error)?;
        }
        let mut registry = self.registry.lock();
        let room = place.find_room(&mut registry).ok_or_else(no_such_room)?;
        room.settings = after.clone();
        if let Some(seconds) = change.empty_timeout {
            room.empty_timeout = empty_timeout(seconds)?;
        }
        room.version = room.version.wrapping_add(1);
        if after != before {
            room.tell_others(None, &Json::of(&ServerEvent::RoomSettings(after)));
        }
        let view = room.view();
        registry.review_direct(name);
        Ok(view)
    }

    /// Sets a policy in every part of a room, or in none.
    async fn set_policy(
        &self,
        parts: &[(WorkerId, RoomId)],
        before: RoomPolicy,
        after: RoomPolicy,
    ) -> Result<(), MediaError> {
        let set = |room, policy| Command::SetRoomPolicy { room, policy };
        for (index, (worker, room)) in parts.iter().enumerate() {
            if let Err(error) = self.media.call(*worker, set(*room, after)).await {
                let back = |(worker, room): &(_, _)| (*worker, set(*room, before));
                carry_out(&self.media, Cleanup(parts[..index].iter().map(back).collect())).await;
                return Err(error);
            }
        }
        Ok(())
    }
}

/// The room may go while its settings change.
fn room_error(error: impl Into<SessionError>) -> SessionError {
    let error = error.into();
    if error.code == ErrorCode::NotJoined { no_such_room() } else { error }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(before: &RoomSettings, change: &str) -> Result<RoomSettings, Option<ErrorCode>> {
        let change: SettingsChange = serde_json::from_str(change).map_err(|_| None)?;
        before.changed(&change).map_err(|e| Some(e.code))
    }

    #[test]
    fn a_change_keeps_what_it_does_not_name_and_null_lifts_a_limit() {
        let both = RoomSettings {
            audio_last_n: Some(3),
            video_last_n: Some(9),
            ..RoomSettings::default()
        };
        for (change, want) in [
            ("{}", (Some(3), Some(9))),
            (r#"{"audio_last_n":5}"#, (Some(5), Some(9))),
            (r#"{"video_last_n":0}"#, (Some(3), Some(0))),
            (r#"{"video_last_n":1000,"audio_last_n":null}"#, (None, Some(1000))),
            (r#"{"video_last_n":null,"audio_last_n":null}"#, (None, None)),
        ] {
            let want = RoomSettings {
                audio_last_n: want.0,
                video_last_n: want.1,
                ..RoomSettings::default()
            };
            assert_eq!(changed(&both, change), Ok(want), "{change}");
        }
    }

    #[test]
    fn values_out_of_bounds_are_a_limit_and_others_are_not_read() {
        for (value, want) in [
            ("1001", Some(ErrorCode::Limit)),
            ("65537", Some(ErrorCode::Limit)),
            ("18446744073709551615", Some(ErrorCode::Limit)),
            ("18446744073709551616", None),
            ("-1", None),
            ("1.5", None),
            ("\"3\"", None),
            ("true", None),
        ] {
            for name in ["audio_last_n", "video_last_n", "max_participants"] {
                let change = format!("{{\"{name}\":{value}}}");
                assert_eq!(changed(&RoomSettings::default(), &change), Err(want), "{change}");
            }
        }
    }

    #[test]
    fn codecs_are_named_and_a_room_without_any_is_none() {
        for (change, want) in [
            (r#"{"codecs":["opus","vp8"]}"#, Ok(())),
            (r#"{"codecs":null}"#, Ok(())),
            (r#"{"codecs":[]}"#, Err(Some(ErrorCode::Limit))),
            (
                r#"{"codecs":["opus","opus","opus","opus","opus","opus"]}"#,
                Err(Some(ErrorCode::Limit)),
            ),
            (r#"{"codecs":["mp3"]}"#, Err(None)),
            (r#"{"max_participants":0}"#, Err(Some(ErrorCode::Limit))),
        ] {
            assert_eq!(changed(&RoomSettings::default(), change).map(drop), want, "{change}");
        }
    }
}
