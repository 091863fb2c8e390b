//! `/api/v1/rooms`: list, create, get, change, delete.

use std::fmt::Write as _;

use actix_web::http::header;
use actix_web::web::{self, Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::access::{self, Need};
use super::page::Page;
use super::{Context, Problem, body};
use crate::limits;
use crate::session::{
    self, CodecName, ETag, ErrorCode, IfMatch, RoomSettings, RoomView, SessionError, SettingsChange,
};

/// The body of `POST /api/v1/rooms`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewRoom {
    /// 1 to 256 bytes, no control characters.
    name: String,
    /// Seconds it stays while empty, 300 if absent, at most a day.
    empty_timeout: Option<u64>,
    audio_last_n: Option<u64>,
    video_last_n: Option<u64>,
    /// So many may be there at a time, viewers included.
    max_participants: Option<u64>,
    /// Nobody but its administrators may come in.
    locked: Option<bool>,
    /// The codecs that are agreed on.
    codecs: Option<Vec<CodecName>>,
    /// Two who are alone in the room may exchange media among themselves, past the server. Each then
    /// learns the other's addresses.
    direct: Option<bool>,
    /// For applications; at most 64 KiB.
    metadata: Option<String>,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Rooms {
    /// In the order of their names.
    rooms: Vec<RoomView>,
    /// The cursor of the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(
            web::resource("/api/v1/rooms").route(web::get().to(list)).route(web::post().to(create)),
        )
        .service(
            web::resource("/api/v1/rooms/{room}")
                .route(web::get().to(get))
                .route(web::patch().to(change))
                .route(web::delete().to(delete)),
        );
}

async fn list(context: Data<Context>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let caller = access::check(&context, &request, Need::List)?;
    let page = Page::of(&request)?;
    let mut rooms = context.sessions.rooms();
    if let Some(only) = access::only_room(&caller) {
        rooms.retain(|room| room.name == only);
    }
    let (rooms, next) = page.cut(rooms, |room| room.name.clone())?;
    Ok(HttpResponse::Ok().json(Rooms { rooms, next }))
}

/// An existing room is answered with 200 and left as it is, a new one with 201.
async fn create(
    context: Data<Context>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let caller = access::authenticate(&context, &request)?;
    let wanted: NewRoom = body::json(&request, payload).await?;
    let name = wanted.name;
    access::authorize(&caller, Need::Create(&name))?;
    let empty_timeout =
        wanted.empty_timeout.map_or(Ok(limits::EMPTY_TIMEOUT), session::empty_timeout)?;
    let settings = SettingsChange {
        audio_last_n: Some(wanted.audio_last_n),
        video_last_n: Some(wanted.video_last_n),
        max_participants: Some(wanted.max_participants),
        locked: wanted.locked,
        codecs: Some(wanted.codecs),
        direct: wanted.direct,
        metadata: wanted.metadata,
        empty_timeout: None,
    };
    let settings = RoomSettings::default().changed(&settings)?;
    let is_new = context.sessions.create_room(&name, empty_timeout, settings).await?;
    let room = context.sessions.room(&name)?;
    if !is_new {
        return Ok(show(&mut HttpResponse::Ok(), room));
    }
    let location = format!("/api/v1/rooms/{}", path_segment(&name));
    Ok(show(HttpResponse::Created().insert_header((header::LOCATION, location)), room))
}

/// A room with the tag of its settings.
fn show(response: &mut HttpResponseBuilder, room: RoomView) -> HttpResponse {
    let etag = ETag::of_version(room.version).quoted();
    response.insert_header((header::ETAG, etag)).json(room)
}

/// The precondition of a request that changes something.
pub(super) fn if_match(request: &HttpRequest) -> IfMatch {
    let value = request.headers().get(header::IF_MATCH);
    // Bytes that are no text are no tag of ours.
    IfMatch::parse(value.map(|value| value.to_str().unwrap_or_default()))
}

async fn get(
    context: Data<Context>,
    request: HttpRequest,
    room: Path<String>,
) -> Result<HttpResponse, Problem> {
    access::check(&context, &request, Need::See(&room))?;
    Ok(show(&mut HttpResponse::Ok(), context.sessions.room(&room)?))
}

/// What the body does not name stays as it is.
async fn change(
    context: Data<Context>,
    request: HttpRequest,
    room: Path<String>,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    access::check(&context, &request, Need::Room(&room))?;
    let change: SettingsChange = body::json(&request, payload).await?;
    let if_match = if_match(&request);
    let room = context.sessions.change_settings(room.into_inner(), change, if_match).await?;
    Ok(show(&mut HttpResponse::Ok(), room))
}

/// Everybody in it is sent away.
async fn delete(
    context: Data<Context>,
    request: HttpRequest,
    room: Path<String>,
) -> Result<HttpResponse, Problem> {
    access::check(&context, &request, Need::Delete(&room))?;
    if !context.sessions.close_room(&room) {
        return Err(SessionError::new(ErrorCode::NoSuchRoom, "there is no such room").into());
    }
    Ok(HttpResponse::NoContent().finish())
}

/// A name as part of a path (RFC 3986 §3.3), everything but unreserved characters escaped.
pub(super) fn path_segment(name: &str) -> String {
    let mut segment = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            segment.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(segment, "%{byte:02X}");
        }
    }
    segment
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_for_paths() {
        assert_eq!(path_segment("a-b_c.d~9"), "a-b_c.d~9");
        assert_eq!(path_segment("é /?#%"), "%C3%A9%20%2F%3F%23%25");
    }
}
