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
        .service(negotiated::endpoint("/whip/{room}", look).route(web::post().to(create)))
        .service(negotiated::session("/whip/{room}/{session}", Door::Whip));
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
