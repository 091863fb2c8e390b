//! `/api/v1/rooms/{room}/participants`: list, get, kick, mute.

use actix_web::web::{self, Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use sfu_core::stats::PeerStats;

use super::access::{self, Need};
use super::{Context, Problem, body};
use crate::session::{Door, ParticipantDetail, ParticipantView, participant_id, track_id};

/// The body of `POST …/mute`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mute {
    track: String,
    muted: bool,
}

#[derive(Serialize)]
struct Participants {
    participants: Vec<ParticipantBody>,
}

#[derive(Serialize)]
struct ParticipantBody {
    #[serde(flatten)]
    view: ParticipantView,
    door: Door,
    transport: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    stats: Option<StatsBody>,
}

/// Counters of a connection since its start.
#[derive(Serialize)]
struct StatsBody {
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
                .route(web::delete().to(kick)),
        )
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
    let participants = context.sessions.participants(&room)?;
    let participants = participants.into_iter().map(|detail| participant_body(detail, None));
    Ok(HttpResponse::Ok().json(Participants { participants: participants.collect() }))
}

async fn get(
    context: Data<Context>,
    request: HttpRequest,
    path: Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    access::check(&context, &request, Need::Room(&path.0))?;
    let id = participant_id(&path.1)?;
    let (detail, stats) = context.sessions.participant_detail(&path.0, id).await?;
    Ok(HttpResponse::Ok().json(participant_body(detail, stats)))
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
    ParticipantBody { view: detail.view, door: detail.door, transport: detail.transport, stats }
}
