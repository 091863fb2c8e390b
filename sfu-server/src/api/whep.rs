//! WHEP (draft-ietf-wish-whep): `POST /whep/{room}` plays whoever publishes there first,
//! `POST /whep/{room}/{participant}` one participant. The session is `/whep/{room}/{session}`:
//! a participant's id has 16 digits, a session's 32, so the paths do not clash.

use actix_web::http::{StatusCode, header};
use actix_web::web::{self, Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};

use super::{Context, Problem, access, cors, negotiated, rooms};
use crate::session::{Door, participant_id};

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(
            web::resource("/whep/{room}")
                .route(web::post().to(play_room))
                .route(web::get().to(look))
                .route(web::head().to(look))
                .route(web::method(actix_web::http::Method::OPTIONS).to(options)),
        )
        .service(
            web::resource("/whep/{room}/{session}")
                .route(web::post().to(play_participant))
                .route(web::patch().to(patch))
                .route(web::delete().to(delete))
                .route(web::get().to(look_inside))
                .route(web::head().to(look_inside))
                .route(web::method(actix_web::http::Method::OPTIONS).to(options_inside)),
        );
}

async fn play_room(
    context: Data<Context>,
    request: HttpRequest,
    room: Path<String>,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let room = room.into_inner();
    let grant = access::entry(&context, &request, &room)?.grant;
    let base = format!("/whep/{}", rooms::path_segment(&room));
    let sessions = context.sessions.clone();
    let make = |sdp| async move { sessions.create_whep(room, None, grant, sdp).await };
    negotiated::create(&context, &request, payload, &base, make).await
}

async fn play_participant(
    context: Data<Context>,
    request: HttpRequest,
    path: Path<(String, String)>,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let (room, participant) = path.into_inner();
    let grant = access::entry(&context, &request, &room)?.grant;
    let participant = participant_id(&participant)?;
    let base = format!("/whep/{}", rooms::path_segment(&room));
    let sessions = context.sessions.clone();
    let make = |sdp| async move { sessions.create_whep(room, Some(participant), grant, sdp).await };
    negotiated::create(&context, &request, payload, &base, make).await
}

/// An endpoint says what it speaks (draft §4.2).
async fn look() -> HttpResponse {
    endpoint()
}

fn endpoint() -> HttpResponse {
    cors::expose(&mut HttpResponse::build(StatusCode::OK))
        .insert_header((header::CONTENT_TYPE, "application/sdp"))
        .finish()
}

async fn options() -> HttpResponse {
    negotiated::endpoint_options()
}

async fn patch(
    context: Data<Context>,
    request: HttpRequest,
    path: Path<(String, String)>,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let (room, token) = path.into_inner();
    negotiated::patch(&context, &request, payload, Door::Whep, &room, &token).await
}

async fn delete(
    context: Data<Context>,
    path: Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    negotiated::delete(&context, Door::Whep, &path.0, &path.1)
}

async fn look_inside(
    context: Data<Context>,
    path: Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    if participant_id(&path.1).is_ok() {
        return Ok(endpoint());
    }
    negotiated::look(&context, Door::Whep, &path.0, &path.1)
}

async fn options_inside(path: Path<(String, String)>) -> HttpResponse {
    if participant_id(&path.1).is_ok() {
        return negotiated::endpoint_options();
    }
    negotiated::session_options()
}
