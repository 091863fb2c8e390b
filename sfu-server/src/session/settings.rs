//! What a room forwards at all: settings that operators make and change while it lasts.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};
use sfu_core::command::Command;
use sfu_core::id::RoomId;
use sfu_core::preference::RoomPolicy;

use super::join::carry_out;
use super::message::{Json, ServerEvent};
use super::registry::Cleanup;
use super::requests::no_such_room;
use super::{ErrorCode, RoomView, SessionError, Sessions};
use crate::limits;
use crate::media::{MediaError, WorkerId};

/// Settings of a room. What is absent is not limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct RoomSettings {
    /// Only this many microphones, the loudest, are forwarded.
    #[serde(skip_serializing_if = "Option::is_none")]
    audio_last_n: Option<u16>,
    /// Only the cameras of this many participants, the last speakers, are forwarded.
    #[serde(skip_serializing_if = "Option::is_none")]
    video_last_n: Option<u16>,
}

/// A change of settings: what is absent stays as it is, `null` lifts a limit (RFC 7396).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SettingsChange {
    #[serde(default, deserialize_with = "present")]
    pub(crate) audio_last_n: Option<Option<u64>>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) video_last_n: Option<Option<u64>>,
}

/// Tells a `null` from a field that is absent, for which this is not called.
fn present<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Option<u64>>, D::Error> {
    Option::deserialize(value).map(Some)
}

impl RoomSettings {
    /// The same for the engine.
    pub(super) const fn policy(self) -> RoomPolicy {
        RoomPolicy { audio_last_n: self.audio_last_n, video_last_n: self.video_last_n }
    }

    /// These settings after a change.
    pub(crate) fn changed(self, change: &SettingsChange) -> Result<Self, SessionError> {
        Ok(Self {
            audio_last_n: last_n("audio_last_n", self.audio_last_n, change.audio_last_n)?,
            video_last_n: last_n("video_last_n", self.video_last_n, change.video_last_n)?,
        })
    }
}

fn last_n(
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

impl Sessions {
    /// Changes a room's settings; everybody in it is told.
    pub(crate) async fn change_settings(
        self: &Arc<Self>,
        room: String,
        change: SettingsChange,
    ) -> Result<RoomView, SessionError> {
        // In a task of its own: whoever asked may hang up between the engine's change and ours.
        let sessions = Arc::clone(self);
        let task = self.runtime.spawn(async move { sessions.settle(&room, &change).await });
        task.await.unwrap_or_else(|_| Err(MediaError::Panicked.into()))
    }

    async fn settle(
        self: &Arc<Self>,
        name: &str,
        change: &SettingsChange,
    ) -> Result<RoomView, SessionError> {
        let held = self.hold_room(name).ok_or_else(no_such_room)?;
        let place = &held.place;
        self.engine_room(place).await.map_err(room_error)?;
        // One change at a time, so that the last one is the same here and in the engines; and no
        // part is added meanwhile that would not hear of it.
        let _turn = place.turn().lock().await;
        let (before, after, parts) = {
            let mut registry = self.registry.lock();
            let room = place.find_room(&mut registry).ok_or_else(no_such_room)?;
            (room.settings, room.settings.changed(change)?, room.bound_parts())
        };
        if after != before {
            self.set_policy(&parts, before.policy(), after.policy()).await.map_err(room_error)?;
        }
        let mut registry = self.registry.lock();
        let room = place.find_room(&mut registry).ok_or_else(no_such_room)?;
        room.settings = after;
        if after != before {
            room.tell_others(None, &Json::of(&ServerEvent::RoomSettings(after)));
        }
        Ok(room.view())
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

    fn changed(before: RoomSettings, change: &str) -> Result<RoomSettings, Option<ErrorCode>> {
        let change: SettingsChange = serde_json::from_str(change).map_err(|_| None)?;
        before.changed(&change).map_err(|e| Some(e.code))
    }

    #[test]
    fn a_change_keeps_what_it_does_not_name_and_null_lifts_a_limit() {
        let both = RoomSettings { audio_last_n: Some(3), video_last_n: Some(9) };
        for (change, want) in [
            ("{}", (Some(3), Some(9))),
            (r#"{"audio_last_n":5}"#, (Some(5), Some(9))),
            (r#"{"video_last_n":0}"#, (Some(3), Some(0))),
            (r#"{"video_last_n":1000,"audio_last_n":null}"#, (None, Some(1000))),
            (r#"{"video_last_n":null,"audio_last_n":null}"#, (None, None)),
        ] {
            let want = RoomSettings { audio_last_n: want.0, video_last_n: want.1 };
            assert_eq!(changed(both, change), Ok(want), "{change}");
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
            for name in ["audio_last_n", "video_last_n"] {
                let change = format!("{{\"{name}\":{value}}}");
                assert_eq!(changed(RoomSettings::default(), &change), Err(want), "{change}");
            }
        }
    }
}
