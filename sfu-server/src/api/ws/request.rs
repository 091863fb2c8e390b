//! Reads the requests of `docs/protocol.md`, strictly: what is not understood is an error.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::media::Leg;
use crate::session::{ErrorCode, SessionError};

/// A request that could be read.
#[derive(Debug, PartialEq)]
pub(super) enum Request {
    Join(Join),
    Resume(Resume),
    Publish(Publish),
    Offer(Offer),
    Mute(Track),
    Unmute(Track),
    Unpublish(Track),
    Subscribe(Track),
    Unsubscribe(Track),
    Prefer(Prefer),
    Data(Data),
    Update(Update),
    Lock(Lock),
    Impair(Impair),
    DirectSignal(DirectSignal),
    DirectState(DirectState),
    Ping(Nothing),
    Leave(Nothing),
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Join {
    pub(super) room: String,
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) metadata: String,
    #[serde(default)]
    pub(super) subscribe: Subscribe,
    /// Whether it can exchange media with another participant directly.
    #[serde(default)]
    pub(super) direct: bool,
    /// Whether another WebSocket may go on if this one breaks.
    #[serde(default)]
    pub(super) resume: bool,
    /// Unless the WebSocket was opened with one.
    pub(super) token: Option<String>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Resume {
    pub(super) key: String,
    /// Messages that came of what is to go on.
    pub(super) received: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Subscribe {
    #[default]
    Auto,
    Manual,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Publish {
    pub(super) mid: String,
    pub(super) source: String,
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) muted: bool,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Offer {
    pub(super) sdp: String,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Track {
    pub(super) track: String,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Prefer {
    /// Read one by one, with [`super::preference::read`].
    pub(super) preferences: Vec<Map<String, Value>>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Data {
    pub(super) payload: String,
    #[serde(default)]
    pub(super) to: Vec<String>,
    #[serde(default = "yes")]
    pub(super) reliable: bool,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Update {
    pub(super) name: Option<String>,
    pub(super) metadata: Option<String>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Lock {
    pub(super) locked: bool,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DirectSignal {
    pub(super) epoch: u64,
    pub(super) payload: String,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Impair {
    /// Absent: oneself.
    pub(super) participant: Option<String>,
    #[serde(default)]
    pub(super) downlink: Leg,
    #[serde(default)]
    pub(super) uplink: Leg,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DirectState {
    pub(super) epoch: u64,
    pub(super) state: DirectWord,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum DirectWord {
    /// Everything of the other one arrives directly.
    Connected,
    /// It does not, or no more.
    Failed,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

fn yes() -> bool {
    true
}

/// Reads a frame: the request's id as far as it can be read, and the request or what is wrong
/// with it.
pub(super) fn parse(frame: &str) -> (Option<u64>, Result<Request, SessionError>) {
    let mut fields: Map<String, Value> = match serde_json::from_str(frame) {
        Ok(fields) => fields,
        Err(e) => return (None, Err(malformed(format!("not a JSON object: {e}")))),
    };
    let Some(id) = fields.remove("id").and_then(|id| id.as_u64()) else {
        return (None, Err(malformed("id must be a whole number of 0 at least")));
    };
    let Some(Value::String(name)) = fields.remove("type") else {
        return (Some(id), Err(malformed("type must be a string")));
    };
    (Some(id), parse_type(&name, fields))
}

fn parse_type(name: &str, fields: Map<String, Value>) -> Result<Request, SessionError> {
    fn read<T: DeserializeOwned>(
        fields: Map<String, Value>,
        request: fn(T) -> Request,
    ) -> Result<Request, SessionError> {
        let value = serde_json::from_value(Value::Object(fields));
        value.map(request).map_err(|e| malformed(e.to_string()))
    }
    match name {
        "join" => read(fields, Request::Join),
        "resume" => read(fields, Request::Resume),
        "publish" => read(fields, Request::Publish),
        "offer" => read(fields, Request::Offer),
        "mute" => read(fields, Request::Mute),
        "unmute" => read(fields, Request::Unmute),
        "unpublish" => read(fields, Request::Unpublish),
        "subscribe" => read(fields, Request::Subscribe),
        "unsubscribe" => read(fields, Request::Unsubscribe),
        "prefer" => read(fields, Request::Prefer),
        "data" => read(fields, Request::Data),
        "update" => read(fields, Request::Update),
        "lock" => read(fields, Request::Lock),
        "impair" => read(fields, Request::Impair),
        "direct_signal" => read(fields, Request::DirectSignal),
        "direct_state" => read(fields, Request::DirectState),
        "ping" => read(fields, Request::Ping),
        "leave" => read(fields, Request::Leave),
        _ => {
            // Repeated in the answer, so not at any length.
            let name: String = name.chars().take(64).collect();
            let detail = format!("there is no request of type {name:?}");
            Err(SessionError::new(ErrorCode::UnknownType, detail))
        }
    }
}

fn malformed(detail: impl Into<String>) -> SessionError {
    SessionError::new(ErrorCode::Malformed, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(frame: &str) -> (Option<u64>, Option<ErrorCode>) {
        let (id, request) = parse(frame);
        (id, request.err().map(|e| e.code))
    }

    #[test]
    fn requests_are_read_with_their_defaults() {
        let (id, request) = parse(r#"{"id":3,"type":"join","room":"r","name":"n"}"#);
        let want = Join {
            room: "r".into(),
            name: "n".into(),
            metadata: String::new(),
            subscribe: Subscribe::Auto,
            direct: false,
            resume: false,
            token: None,
        };
        assert_eq!((id, request.unwrap()), (Some(3), Request::Join(want)));
        let (_, request) = parse(r#"{"id":3,"type":"data","payload":"p"}"#);
        let want = Data { payload: "p".into(), to: vec![], reliable: true };
        assert_eq!(request.unwrap(), Request::Data(want));
    }

    #[test]
    fn what_is_not_understood_is_an_error_that_names_the_request_if_it_can() {
        use ErrorCode::{Malformed, UnknownType};
        for (frame, want) in [
            ("", (None, Malformed)),
            ("[]", (None, Malformed)),
            ("{", (None, Malformed)),
            (r#"{"type":"ping"}"#, (None, Malformed)),
            (r#"{"id":"1","type":"ping"}"#, (None, Malformed)),
            (r#"{"id":-1,"type":"ping"}"#, (None, Malformed)),
            (r#"{"id":1.5,"type":"ping"}"#, (None, Malformed)),
            (r#"{"id":1}"#, (Some(1), Malformed)),
            (r#"{"id":1,"type":1}"#, (Some(1), Malformed)),
            (r#"{"id":1,"type":"fly"}"#, (Some(1), UnknownType)),
            (r#"{"id":1,"type":"ping","x":1}"#, (Some(1), Malformed)),
            (r#"{"id":1,"type":"offer"}"#, (Some(1), Malformed)),
            (r#"{"id":1,"type":"offer","sdp":1}"#, (Some(1), Malformed)),
            (r#"{"id":1,"type":"join","room":"r","subscribe":"all"}"#, (Some(1), Malformed)),
        ] {
            assert_eq!(code(frame), (want.0, Some(want.1)), "{frame}");
        }
        let deep = format!("{{\"id\":1,\"type\":{}", "[".repeat(100_000));
        assert_eq!(code(&deep), (None, Some(Malformed)), "nesting is bounded");
    }
}
