//! What a subscriber wants of the tracks of others.

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, stream};
use serde::{Deserialize, Serialize};
use sfu_core::command::{Command, CommandError};
use sfu_core::id::ParticipantId;
use sfu_core::preference::{Preference, Quality};

use super::requests::{Connection, connection};
use super::track::TrackKey;
use super::{SessionError, Sessions};
use crate::media::MediaError;

/// Preferences of one request on their way to the media worker at a time: most tiles of a page
/// take one turn of its loop, and one client takes little of its queue.
const PREFERENCES_AT_A_TIME: usize = 32;

/// A quality in words, as it travels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum QualityWord {
    Off,
    Low,
    Medium,
    High,
    #[default]
    Auto,
}

impl From<QualityWord> for Quality {
    fn from(word: QualityWord) -> Self {
        match word {
            QualityWord::Off => Self::Off,
            QualityWord::Low => Self::Low,
            QualityWord::Medium => Self::Medium,
            QualityWord::High => Self::High,
            QualityWord::Auto => Self::Auto,
        }
    }
}

impl From<Quality> for QualityWord {
    fn from(quality: Quality) -> Self {
        match quality {
            Quality::Off => Self::Off,
            Quality::Low => Self::Low,
            Quality::Medium => Self::Medium,
            Quality::High => Self::High,
            Quality::Auto => Self::Auto,
        }
    }
}

/// A preference as it is shown; the same fields as in a request.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct PreferenceView {
    quality: QualityWord,
    max_width: Option<u16>,
    max_height: Option<u16>,
    max_fps: Option<u8>,
    priority: u8,
    pinned: bool,
    visible: bool,
}

impl From<Preference> for PreferenceView {
    fn from(preference: Preference) -> Self {
        Self {
            quality: preference.quality.into(),
            max_width: preference.max_size.map(|(width, _)| width),
            max_height: preference.max_size.map(|(_, height)| height),
            max_fps: preference.max_frames_per_second,
            priority: preference.priority,
            pinned: preference.pinned,
            visible: preference.visible,
        }
    }
}

impl Sessions {
    /// Notes what a participant wants, each preference instead of the one before. Returns the
    /// tracks that are not there, or one's own.
    pub(crate) async fn prefer(
        &self,
        room: &str,
        id: ParticipantId,
        preference_by_track: BTreeMap<TrackKey, Preference>,
    ) -> Result<Vec<TrackKey>, SessionError> {
        let mut ignored = Vec::new();
        let mut taken = Vec::new();
        let (worker, peer) = {
            let registry = self.registry.lock();
            let Connection { room, worker, peer, .. } = connection(&registry, room, id)?;
            let own = &room.participants[&id].tracks;
            for (key, preference) in preference_by_track {
                let track = room.track(key).filter(|_| !own.contains_key(&key));
                match track.and_then(|track| track.local.get(&worker)) {
                    Some(track) => taken.push((key, *track, preference)),
                    None => ignored.push(key),
                }
            }
            (worker, peer)
        };
        let calls = taken.into_iter().map(|(key, track, preference)| async move {
            let command = Command::Prefer { peer, track, preference };
            (key, self.media.call(worker, command).await)
        });
        let mut results = stream::iter(calls).buffered(PREFERENCES_AT_A_TIME);
        while let Some((track, result)) = results.next().await {
            match result {
                Ok(_) => {}
                // It ended while the client was asking.
                Err(MediaError::Refused(CommandError::NoSuchTrack)) => ignored.push(track),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(ignored)
    }
}
