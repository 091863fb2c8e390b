//! WHEP (draft-ietf-wish-whep): `POST /whep/{room}` plays whoever publishes there first,
//! `POST /whep/{room}/{participant}` one participant. The session is `/whep/{room}/{session}`:
//! a participant's id has 16 digits, a session's 32, so the paths do not clash.

use actix_web::http::header;
use actix_web::web::{self, Data, Path, Payload, Query};
use actix_web::{HttpRequest, HttpResponse, guard};
use serde::Deserialize;

use super::{Context, Problem, access, cors, negotiated, rooms, whep_extensions};
use crate::session::{Door, participant_id};

#[derive(Deserialize)]
struct Viewer {
    /// Whether to wait for somebody to publish.
    #[serde(default = "yes")]
    wait: bool,
}

fn yes() -> bool {
    true
}

pub(super) fn routes(config: &mut web::ServiceConfig) {
    let names_a_participant =
        guard::fn_guard(|context| participant_id(last_segment(context.head().uri.path())).is_ok());
    config
        .service(negotiated::endpoint("/whep/{room}", look).route(web::post().to(play_room)))
        .service(
            negotiated::endpoint("/whep/{room}/{participant}", look)
                .guard(names_a_participant)
                .route(web::post().to(play_participant)),
        )
        .service(
            negotiated::session("/whep/{room}/{session}", Door::Whep)
                .route(web::post().to(play_nobody)),
        );
}

fn last_segment(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

async fn play_room(
    context: Data<Context>,
    request: HttpRequest,
    room: Path<String>,
    viewer: Query<Viewer>,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let room = room.into_inner();
    let grant = access::entry(&context, &request, &room)?.grant;
    let base = format!("/whep/{}", rooms::path_segment(&room));
    let sessions = context.sessions.clone();
    let make = |sdp| async move { sessions.create_whep(room, None, viewer.wait, grant, sdp).await };
    let made = negotiated::create(&context, &request, payload, &base, make).await?;
    Ok(whep_extensions::advertise(made))
}

async fn play_participant(
    context: Data<Context>,
    request: HttpRequest,
    path: Path<(String, String)>,
    viewer: Query<Viewer>,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let (room, participant) = path.into_inner();
    let grant = access::entry(&context, &request, &room)?.grant;
    let participant = Some(participant_id(&participant)?);
    let base = format!("/whep/{}", rooms::path_segment(&room));
    let sessions = context.sessions.clone();
    let make =
        |sdp| async move { sessions.create_whep(room, participant, viewer.wait, grant, sdp).await };
    let made = negotiated::create(&context, &request, payload, &base, make).await?;
    Ok(whep_extensions::advertise(made))
}

/// What is not a participant's id names none.
async fn play_nobody(path: Path<(String, String)>) -> Result<HttpResponse, Problem> {
    participant_id(&path.1)?;
    Err(Problem::not_found("there is nothing at this path"))
}

/// An endpoint says what it speaks (draft §4.2).
async fn look() -> HttpResponse {
    cors::expose(&mut HttpResponse::Ok())
        .insert_header((header::CONTENT_TYPE, "application/sdp"))
        .finish()
}
