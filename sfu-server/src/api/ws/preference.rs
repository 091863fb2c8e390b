//! Reads the preferences of a `prefer` request.

use std::collections::BTreeMap;
use std::num::{NonZeroU8, NonZeroU16};

use serde::Deserialize;
use serde_json::{Map, Value};
use sfu_core::preference::{PRIORITY_DEFAULT, Preference};

use crate::limits;
use crate::session::{ErrorCode, QualityWord, SessionError, TrackKey, track_id};

/// One of them. What is absent has its default.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    track: String,
    #[serde(default)]
    quality: QualityWord,
    max_width: Option<NonZeroU16>,
    max_height: Option<NonZeroU16>,
    max_fps: Option<NonZeroU8>,
    #[serde(default = "default_priority")]
    priority: u8,
    #[serde(default)]
    pinned: bool,
    #[serde(default = "default_visible")]
    visible: bool,
}

fn default_priority() -> u8 {
    PRIORITY_DEFAULT
}

fn default_visible() -> bool {
    true
}

/// Reads them all, or none. The last one of a track counts.
pub(super) fn read(
    entries: Vec<Map<String, Value>>,
) -> Result<BTreeMap<TrackKey, Preference>, SessionError> {
    if entries.is_empty() {
        return Err(SessionError::new(ErrorCode::Malformed, "there are no preferences"));
    }
    if entries.len() > limits::PREFERENCES_MAX {
        let detail = format!("more than {} preferences", limits::PREFERENCES_MAX);
        return Err(SessionError::new(ErrorCode::Limit, detail));
    }
    entries.into_iter().enumerate().map(|(index, entry)| read_entry(index, entry)).collect()
}

fn read_entry(
    index: usize,
    entry: Map<String, Value>,
) -> Result<(TrackKey, Preference), SessionError> {
    let malformed = |what: String| {
        SessionError::new(ErrorCode::Malformed, format!("preferences[{index}]: {what}"))
    };
    let entry: Entry =
        serde_json::from_value(Value::Object(entry)).map_err(|e| malformed(e.to_string()))?;
    let max_size = match (entry.max_width, entry.max_height) {
        (Some(width), Some(height)) => Some((width.get(), height.get())),
        (None, None) => None,
        _ => return Err(malformed("max_width and max_height go together".to_owned())),
    };
    let preference = Preference {
        quality: entry.quality.into(),
        max_size,
        max_frames_per_second: entry.max_fps.map(NonZeroU8::get),
        priority: entry.priority,
        pinned: entry.pinned,
        visible: entry.visible,
    };
    Ok((track_id(&entry.track)?, preference))
}

#[cfg(test)]
mod tests {
    use sfu_core::preference::Quality;

    use super::*;
    use crate::session::ErrorCode::{Limit, Malformed, NoSuchTrack};

    fn read_text(text: &str) -> Result<BTreeMap<TrackKey, Preference>, ErrorCode> {
        read(serde_json::from_str(text).unwrap()).map_err(|error| error.code)
    }

    fn of_track(fields: &str) -> Result<Preference, ErrorCode> {
        let text = format!(r#"[{{"track":"0123456789abcdef"{fields}}}]"#);
        read_text(&text).map(|read| read[&TrackKey::from_wire(0x0123_4567_89ab_cdef)])
    }

    #[test]
    fn what_is_absent_or_null_has_its_default() {
        assert_eq!(of_track(""), Ok(Preference::default()));
        assert_eq!(of_track(r#","max_width":null,"max_fps":null"#), Ok(Preference::default()));
    }

    #[test]
    fn every_field_is_read() {
        let wanted = Preference {
            quality: Quality::Medium,
            max_size: Some((640, 65535)),
            max_frames_per_second: Some(15),
            priority: 255,
            pinned: true,
            visible: false,
        };
        let fields = r#","quality":"medium","max_width":640,"max_height":65535,"max_fps":15,
                        "priority":255,"pinned":true,"visible":false"#;
        assert_eq!(of_track(fields), Ok(wanted));
        for (word, quality) in [
            ("off", Quality::Off),
            ("low", Quality::Low),
            ("medium", Quality::Medium),
            ("high", Quality::High),
            ("auto", Quality::Auto),
        ] {
            let fields = format!(r#","quality":"{word}""#);
            assert_eq!(of_track(&fields).map(|read| read.quality), Ok(quality));
        }
    }

    #[test]
    fn what_is_out_of_bounds_or_unknown_is_malformed() {
        for fields in [
            r#","quality":"best""#,
            r#","quality":"Low""#,
            r#","quality":1"#,
            r#","quality":null"#,
            r#","max_width":640"#,
            r#","max_height":360"#,
            r#","max_width":640,"max_height":null"#,
            r#","max_width":0,"max_height":360"#,
            r#","max_width":640,"max_height":0"#,
            r#","max_width":65536,"max_height":360"#,
            r#","max_width":640.5,"max_height":360"#,
            r#","max_width":-1,"max_height":360"#,
            r#","max_fps":0"#,
            r#","max_fps":256"#,
            r#","max_fps":7.5"#,
            r#","priority":256"#,
            r#","priority":-1"#,
            r#","priority":null"#,
            r#","pinned":1"#,
            r#","visible":"yes""#,
            r#","max_bitrate":1"#,
        ] {
            assert_eq!(of_track(fields), Err(Malformed), "{fields}");
        }
        assert_eq!(read_text("[{}]"), Err(Malformed), "no track");
        assert_eq!(read_text(r#"[{"track":1}]"#), Err(Malformed));
        assert_eq!(read_text(r#"[{"track":"1"}]"#), Err(NoSuchTrack), "no id at all");
        let error = read(serde_json::from_str(r#"[{"track":"0123456789abcdef"},{}]"#).unwrap());
        assert!(error.unwrap_err().detail.starts_with("preferences[1]: "), "it says which");
    }

    #[test]
    fn there_is_one_at_least_and_no_more_than_subscriptions() {
        let many = |n: u64| {
            let entries: Vec<_> = (0..n).map(|n| format!(r#"{{"track":"{n:016x}"}}"#)).collect();
            read_text(&format!("[{}]", entries.join(","))).map(|read| read.len())
        };
        assert_eq!(many(0), Err(Malformed));
        assert_eq!(many(250), Ok(250));
        assert_eq!(many(251), Err(Limit));
    }

    #[test]
    fn the_last_preference_of_a_track_counts() {
        let text = r#"[{"track":"0000000000000001","priority":1,"pinned":true},
                       {"track":"0000000000000002"},
                       {"track":"0000000000000001","priority":2}]"#;
        let read = read_text(text).unwrap();
        let want = Preference { priority: 2, ..Preference::default() };
        assert_eq!(read[&TrackKey::from_wire(1)], want, "whole, not merged");
        assert_eq!(read.len(), 2);
    }
}
