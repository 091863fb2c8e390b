//! `/api/v1/rooms/{room}/participants`: list, get, change, kick, mute, subscriptions; and messages
//! to them.

use actix_web::http::header;
use actix_web::web::{self, Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sfu_core::stats::PeerStats;

use super::access::{self, Need};
use super::page::Page;
use super::rooms::if_match;
use super::{Context, Problem, body};
use crate::session::{
    DataRequest, Door, ETag, ParticipantChange, ParticipantDetail, ParticipantView,
    PermissionsView, participant_id, track_id,
};

/// The body of `POST …/mute`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Mute {
    track: String,
    muted: bool,
}

/// The body of `PUT …/subscriptions`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Subscriptions {
    /// The tracks it is to receive, all of them.
    tracks: Vec<String>,
}

/// The body of `POST …/data`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewData {
    /// Text, at most 64 KiB.
    payload: String,
    /// Participants, at most 64; none: everybody.
    #[serde(default)]
    to: Vec<String>,
    /// Absent: yes.
    reliable: Option<bool>,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Participants {
    /// In the order of their ids.
    participants: Vec<ParticipantBody>,
    /// The cursor of the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct ParticipantBody {
    #[serde(flatten)]
    view: ParticipantView,
    /// As its token names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<String>,
    permissions: PermissionsView,
    door: Door,
    transport: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    stats: Option<StatsBody>,
}

/// Counters of a connection since its start.
#[derive(Serialize, JsonSchema)]
pub(super) struct StatsBody {
    rtt_ms: Option<u32>,
    rtp_in: u64,
    rtp_out: u64,
    rtx_out: u64,
    /// Of 1.
    loss: f32,
}

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/api/v1/rooms/{room}/participants").route(web::get().to(list)))
        .service(
            web::resource("/api/v1/rooms/{room}/participants/{participant}")
                .route(web::get().to(get))
                .route(web::patch().to(change))
                .route(web::delete().to(kick)),
        )
        .service(
            web::resource("/api/v1/rooms/{room}/participants/{participant}/subscriptions")
                .route(web::put().to(subscriptions)),
        )
        .service(web::resource("/api/v1/rooms/{room}/data").route(web::post().to(data)))
        .service(
            web::resource("/api/v1/rooms/{room}/participants/{participant}/mute")
                .route(web::post().to(mute)),
        );
}

async fn list(
    context: Data<Context>,
    request: HttpRequest,
    room: Path<String>,
) -> Result<HttpResponse, Problem> {
    access::check(&context, &request, Need::Room(&room))?;
    let page = Page::of(&request)?;
    let participants = context.sessions.participants(&room)?;
    let (participants, next) = page.cut(participants, |detail| detail.view.id.to_string())?;
    let participants = participants.into_iter().map(|detail| participant_body(detail, None));
    Ok(HttpResponse::Ok().json(Participants { participants: participants.collect(), next }))
}

async fn get(
    context: Data<Context>,
    request: HttpRequest,
    path: Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    access::check(&context, &request, Need::Room(&path.0))?;
    let id = participant_id(&path.1)?;
    let (detail, stats) = context.sessions.participant_detail(&path.0, id).await?;
    Ok(show(detail, stats))
}

/// What the body does not name stays as it is.
async fn change(
    context: Data<Context>,
    request: HttpRequest,
    path: Path<(String, String)>,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    access::check(&context, &request, Need::Room(&path.0))?;
    let change: ParticipantChange = body::json(&request, payload).await?;
    let (room, id) = path.into_inner();
    let (id, if_match) = (participant_id(&id)?, if_match(&request));
    let detail = context.sessions.change_participant(room, id, change, if_match).await?;
    Ok(show(detail, None))
}

/// A participant with the tag of what can be changed of it.
fn show(detail: ParticipantDetail, stats: Option<PeerStats>) -> HttpResponse {
    let etag = ETag::of_version(detail.version).quoted();
    HttpResponse::Ok().insert_header((header::ETAG, etag)).json(participant_body(detail, stats))
}

async fn subscriptions(
    context: Data<Context>,
    request: HttpRequest,
    path: Path<(String, String)>,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    access::check(&context, &request, Need::Room(&path.0))?;
    let Subscriptions { tracks } = body::json(&request, payload).await?;
    let id = participant_id(&path.1)?;
    let wanted = tracks.iter().map(|track| track_id(track)).collect::<Result<_, _>>()?;
    context.sessions.set_subscriptions(&path.0, id, wanted).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// A message of the server to everybody, or to some.
async fn data(
    context: Data<Context>,
    request: HttpRequest,
    room: Path<String>,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    access::check(&context, &request, Need::Room(&room))?;
    let NewData { payload, to, reliable } = body::json(&request, payload).await?;
    let to = to.iter().map(|id| participant_id(id)).collect::<Result<_, _>>()?;
    let message = DataRequest { payload, to, is_reliable: reliable.unwrap_or(true) };
    context.sessions.send_data_to(&room, message).await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn kick(
    context: Data<Context>,
    request: HttpRequest,
    path: Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    access::check(&context, &request, Need::Room(&path.0))?;
    context.sessions.kick(&path.0, participant_id(&path.1)?)?;
    Ok(HttpResponse::NoContent().finish())
}

async fn mute(
    context: Data<Context>,
    request: HttpRequest,
    path: Path<(String, String)>,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    access::check(&context, &request, Need::Room(&path.0))?;
    let Mute { track, muted } = body::json(&request, payload).await?;
    let (id, track) = (participant_id(&path.1)?, track_id(&track)?);
    context.sessions.mute_by_server(&path.0, id, track, muted).await?;
    Ok(HttpResponse::NoContent().finish())
}

fn participant_body(detail: ParticipantDetail, stats: Option<PeerStats>) -> ParticipantBody {
    let stats = stats.map(|stats| StatsBody {
        rtt_ms: stats.rtt_ms,
        rtp_in: stats.rtp_in,
        rtp_out: stats.rtp_out,
        rtx_out: stats.rtx_out,
        loss: f32::from(stats.fraction_lost) / 256.0,
    });
    ParticipantBody {
        view: detail.view,
        identity: detail.identity,
        permissions: detail.permissions,
        door: detail.door,
        transport: detail.transport,
        stats,
    }
}
