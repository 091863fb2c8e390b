//! `/api/v1/rooms`: list, create, get, change, delete.

use std::fmt::Write as _;
use std::time::Duration;

use actix_web::http::header;
use actix_web::web::{self, Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};

use super::access::{self, Need};
use super::{Context, Problem, body};
use crate::limits;
use crate::session::{ErrorCode, RoomSettings, RoomView, SessionError, SettingsChange};

/// The body of `POST /api/v1/rooms`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewRoom {
    name: String,
    /// Seconds it stays while empty.
    empty_timeout: Option<u64>,
    audio_last_n: Option<u64>,
    video_last_n: Option<u64>,
}

#[derive(Serialize)]
struct Rooms {
    rooms: Vec<RoomView>,
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
    let mut rooms = context.sessions.rooms();
    if let Some(only) = access::only_room(&caller) {
        rooms.retain(|room| room.name == only);
    }
    Ok(HttpResponse::Ok().json(Rooms { rooms }))
}

/// An existing room is answered with 200 and left as it is, a new one with 201.
async fn create(
    context: Data<Context>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let caller = access::authenticate(&context, &request)?;
    let NewRoom { name, empty_timeout, audio_last_n, video_last_n } =
        body::json(&request, payload).await?;
    access::authorize(&caller, Need::Create(&name))?;
    let empty_timeout = empty_timeout.map_or(limits::EMPTY_TIMEOUT, Duration::from_secs);
    if empty_timeout > limits::EMPTY_TIMEOUT_MAX {
        let detail = format!("empty_timeout is over {} s", limits::EMPTY_TIMEOUT_MAX.as_secs());
        return Err(SessionError::new(ErrorCode::Limit, detail).into());
    }
    let settings =
        SettingsChange { audio_last_n: Some(audio_last_n), video_last_n: Some(video_last_n) };
    let settings = RoomSettings::default().changed(&settings)?;
    let is_new = context.sessions.create_room(&name, empty_timeout, settings).await?;
    let room = context.sessions.room(&name)?;
    if !is_new {
        return Ok(HttpResponse::Ok().json(room));
    }
    let location = format!("/api/v1/rooms/{}", path_segment(&name));
    Ok(HttpResponse::Created().insert_header((header::LOCATION, location)).json(room))
}

async fn get(
    context: Data<Context>,
    request: HttpRequest,
    room: Path<String>,
) -> Result<HttpResponse, Problem> {
    access::check(&context, &request, Need::See(&room))?;
    Ok(HttpResponse::Ok().json(context.sessions.room(&room)?))
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
    let room = context.sessions.change_settings(room.into_inner(), change).await?;
    Ok(HttpResponse::Ok().json(room))
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
