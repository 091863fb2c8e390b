//! What a token says. The names are LiveKit's (`livekit/protocol`, auth/grants.go); claims that
//! this server has no use for are passed over.

use serde::{Deserialize, Serialize};
use sfu_core::command::{Permissions, Source, Sources};

/// The claims of a token (RFC 7519 §4).
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Claims {
    /// The name of the key that signed it.
    pub iss: String,
    /// The participant's identity. Needed to join; tokens for the API may have none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub sub: String,
    /// When it ends, in seconds since 1970. A whole number: neither a string nor a fraction.
    pub exp: u64,
    /// When it begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<u64>,
    /// When it was issued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iat: Option<u64>,
    /// Stands in for `sub` in old tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
    /// What others see of the participant.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The same, for programs.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub metadata: String,
    /// What it may do.
    #[serde(default)]
    pub video: VideoGrant,
}

/// What a token allows. What is absent is not allowed, but for `can_publish` and `can_subscribe`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VideoGrant {
    /// The one room it is about.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub room: String,
    /// To enter that room.
    #[serde(skip_serializing_if = "is_false")]
    pub room_join: bool,
    /// To make and delete rooms.
    #[serde(skip_serializing_if = "is_false")]
    pub room_create: bool,
    /// To list rooms.
    #[serde(skip_serializing_if = "is_false")]
    pub room_list: bool,
    /// To see and change that room and who is in it.
    #[serde(skip_serializing_if = "is_false")]
    pub room_admin: bool,
    /// To publish. Absent: yes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_publish: Option<bool>,
    /// From where: `camera`, `microphone`, `screen_share`, `screen_share_audio`, `other`. Empty:
    /// from anywhere. A name that is not known allows nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub can_publish_sources: Vec<String>,
    /// To receive tracks. Absent: yes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_subscribe: Option<bool>,
    /// To send messages. Absent: if it may publish.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_publish_data: Option<bool>,
    /// To change its own name and metadata.
    #[serde(skip_serializing_if = "is_false")]
    pub can_update_own_metadata: bool,
    /// Nobody is told of it, and it publishes nothing.
    #[serde(skip_serializing_if = "is_false")]
    pub hidden: bool,
}

fn is_false(value: &bool) -> bool {
    !value
}

impl Claims {
    /// The participant's identity; empty if there is none.
    pub(crate) fn identity(&self) -> &str {
        if self.sub.is_empty() { self.jti.as_deref().unwrap_or_default() } else { &self.sub }
    }

    /// When it was issued, as far as it says: LiveKit's have a `nbf` only. Without either it is as
    /// old as can be.
    pub(crate) fn issued_at(&self) -> u64 {
        self.iat.or(self.nbf).unwrap_or(0)
    }
}

impl VideoGrant {
    /// What the engine is to let through.
    pub(crate) fn permissions(&self) -> Permissions {
        let may_publish = self.can_publish.unwrap_or(true);
        let named = || self.can_publish_sources.iter().filter_map(|name| source_from_claim(name));
        let publish = match (may_publish && !self.hidden, self.can_publish_sources.is_empty()) {
            (false, _) => Sources::NONE,
            (true, true) => Sources::ALL,
            (true, false) => named().fold(Sources::NONE, Sources::with),
        };
        Permissions {
            publish,
            subscribe: self.can_subscribe.unwrap_or(true),
            data: self.can_publish_data.unwrap_or(may_publish),
        }
    }
}

/// A source by LiveKit's name for it, or by ours.
pub(crate) fn source_from_claim(name: &str) -> Option<Source> {
    Some(match name {
        "camera" => Source::Camera,
        "microphone" => Source::Microphone,
        "screen_share" | "screen" => Source::Screen,
        "screen_share_audio" | "screen_audio" => Source::ScreenAudio,
        "other" => Source::Other,
        _ => return None,
    })
}

/// LiveKit's name for a source.
pub(crate) const fn source_to_claim(source: Source) -> &'static str {
    match source {
        Source::Camera => "camera",
        Source::Microphone => "microphone",
        Source::Screen => "screen_share",
        Source::ScreenAudio => "screen_share_audio",
        Source::Other => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permissions(grant: &str) -> Permissions {
        serde_json::from_str::<VideoGrant>(grant).unwrap().permissions()
    }

    #[test]
    fn what_is_absent_has_livekits_defaults() {
        for (grant, publish, subscribe, data) in [
            ("{}", Sources::ALL, true, true),
            (r#"{"canPublish":false}"#, Sources::NONE, true, false),
            (r#"{"canPublish":false,"canPublishData":true}"#, Sources::NONE, true, true),
            (r#"{"canPublishData":false}"#, Sources::ALL, true, false),
            (r#"{"canSubscribe":false}"#, Sources::ALL, false, true),
            (r#"{"hidden":true}"#, Sources::NONE, true, true),
            (
                r#"{"canPublishSources":["microphone","screen_share","warp"]}"#,
                Sources::NONE.with(Source::Microphone).with(Source::Screen),
                true,
                true,
            ),
            (r#"{"canPublishSources":["warp"]}"#, Sources::NONE, true, true),
            (r#"{"canPublish":false,"canPublishSources":["camera"]}"#, Sources::NONE, true, false),
        ] {
            assert_eq!(permissions(grant), Permissions { publish, subscribe, data }, "{grant}");
        }
    }

    #[test]
    fn every_source_has_a_name_in_claims_and_comes_back_from_it() {
        for source in Source::EVERY {
            assert_eq!(source_from_claim(source_to_claim(source)), Some(source));
            let only = Sources::NONE.with(source);
            assert!(only.contains(source) && only.iter().eq([source]), "{source:?}");
        }
    }
}
