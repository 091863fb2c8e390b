//! WHIP (RFC 9725): `POST /whip/{room}` publishes; the session is `/whip/{room}/{session}`.

use actix_web::http::StatusCode;
use actix_web::web::{self, Data, Path, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;

use super::{Context, Problem, access, cors, negotiated, rooms};
use crate::session::Door;

/// What a publisher without a name is called.
const NAME: &str = "whip";

#[derive(Deserialize)]
struct Publisher {
    name: Option<String>,
}

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(
            web::resource("/whip/{room}")
                .route(web::post().to(create))
                .route(web::get().to(look))
                .route(web::head().to(look))
                .route(web::method(actix_web::http::Method::OPTIONS).to(options)),
        )
        .service(
            web::resource("/whip/{room}/{session}")
                .route(web::patch().to(patch))
                .route(web::delete().to(delete))
                .route(web::get().to(look_session))
                .route(web::head().to(look_session))
                .route(web::method(actix_web::http::Method::OPTIONS).to(session_options)),
        );
}

async fn create(
    context: Data<Context>,
    request: HttpRequest,
    room: Path<String>,
    publisher: Query<Publisher>,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let room = room.into_inner();
    let entry = access::entry(&context, &request, &room)?;
    let own = publisher.into_inner().name;
    let name = entry.name(own.unwrap_or_default());
    let name = if name.is_empty() { NAME.to_owned() } else { name };
    let base = format!("/whip/{}", rooms::path_segment(&room));
    let sessions = context.sessions.clone();
    let make = |sdp| async move { sessions.create_whip(room, name, entry.grant, sdp).await };
    negotiated::create(&context, &request, payload, &base, make).await
}

async fn look() -> HttpResponse {
    cors::expose(&mut HttpResponse::build(StatusCode::NO_CONTENT)).finish()
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
    negotiated::patch(&context, &request, payload, Door::Whip, &room, &token).await
}

async fn delete(
    context: Data<Context>,
    path: Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    negotiated::delete(&context, Door::Whip, &path.0, &path.1)
}

async fn look_session(
    context: Data<Context>,
    path: Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    negotiated::look(&context, Door::Whip, &path.0, &path.1)
}

async fn session_options() -> HttpResponse {
    negotiated::session_options()
}
