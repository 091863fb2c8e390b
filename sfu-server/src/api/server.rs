//! `/api/v1/node`, `/api/v1/drain`, `/api/v1/tokens`: the server itself, for its administrator.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::web::{self, Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::access::{self, Need};
use super::{Context, Problem, body};
use crate::auth::{self, Claims, VideoGrant, source_to_claim};
use crate::session::{ErrorCode, SessionError, check_name, source_by_name};

/// How long a token is good for, unless asked otherwise.
const TOKEN_LIFETIME: Duration = Duration::from_secs(600);

/// What the server is and does.
#[derive(Serialize, JsonSchema)]
pub(super) struct Node {
    version: &'static str,
    /// Seconds since the start.
    uptime: u64,
    /// Whether joins are refused.
    draining: bool,
    rooms: usize,
    /// Viewers included.
    participants: usize,
    /// Each media worker's share of the last second spent at work: 0 to 1.
    load: Vec<f32>,
    limits: NodeLimits,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct NodeLimits {
    max_rooms: usize,
    max_participants_per_room: usize,
}

/// The body of `POST /api/v1/tokens`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewToken {
    /// The one room it is for.
    room: String,
    /// Who it is for: 1 to 256 bytes.
    identity: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    metadata: String,
    /// How long it is good for; 600 if absent.
    ttl_seconds: Option<u64>,
    /// From where it may publish; absent: anywhere.
    can_publish: Option<Vec<String>>,
    can_subscribe: Option<bool>,
    can_publish_data: Option<bool>,
    #[serde(default)]
    can_update_own_metadata: bool,
    #[serde(default)]
    hidden: bool,
    #[serde(default)]
    room_admin: bool,
    /// The key to sign it with; absent: the first by name that is good for the room.
    key: Option<String>,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct MintedToken {
    token: String,
    /// Seconds since 1970.
    expires_at: u64,
}

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/api/v1/node").route(web::get().to(node)))
        .service(
            web::resource("/api/v1/drain")
                .route(web::post().to(drain))
                .route(web::delete().to(undrain)),
        )
        .service(web::resource("/api/v1/tokens").route(web::post().to(mint)));
}

async fn node(context: Data<Context>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    access::check(&context, &request, Need::Server)?;
    Ok(show(&context))
}

/// Joins are refused from now on, and everybody is told. Who is in may stay.
async fn drain(context: Data<Context>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    access::check(&context, &request, Need::Server)?;
    context.sessions.begin_drain();
    Ok(show(&context))
}

/// Joins are accepted again, unless the process was told to end.
async fn undrain(context: Data<Context>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    access::check(&context, &request, Need::Server)?;
    if !context.sessions.accept_joins() {
        return Err(SessionError::draining().into());
    }
    Ok(show(&context))
}

fn show(context: &Context) -> HttpResponse {
    let census = context.sessions.census();
    let limits = &context.settings.now().limits;
    HttpResponse::Ok().json(Node {
        version: env!("CARGO_PKG_VERSION"),
        uptime: context.started.elapsed().as_secs(),
        draining: context.sessions.is_draining(),
        rooms: census.rooms,
        participants: census.websockets + census.whip + census.whep,
        load: context.sessions.media().loads(),
        limits: NodeLimits {
            max_rooms: limits.max_rooms,
            max_participants_per_room: limits.max_participants_per_room,
        },
    })
}

async fn mint(
    context: Data<Context>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    access::check(&context, &request, Need::Server)?;
    let wanted: NewToken = body::json(&request, payload).await?;
    check_name("the room's name", &wanted.room, 1)?;
    check_name("the identity", &wanted.identity, 1)?;
    check_name("the name", &wanted.name, 0)?;
    let lifetime = wanted.ttl_seconds.unwrap_or(TOKEN_LIFETIME.as_secs());
    let lifetime_max = context.settings.now().auth.token_lifetime_max_seconds;
    if !(1..=lifetime_max).contains(&lifetime) {
        let detail = format!("ttl_seconds must be 1 to {lifetime_max}");
        return Err(SessionError::new(ErrorCode::Limit, detail).into());
    }
    let expires_at = auth::unix_now() + lifetime;
    let keys = context.keys.now();
    let names: Vec<String> = match &wanted.key {
        Some(name) => vec![name.clone()],
        None => keys.names().map(str::to_owned).collect(),
    };
    let claims = claims(wanted, expires_at)?;
    let mut keys = names.into_iter().filter_map(|name| keys.key(&name));
    let token = keys.find_map(|key| auth::token(&key, &claims).ok()).ok_or_else(|| {
        let detail = "no key is configured that is good for this room";
        SessionError::new(ErrorCode::NoKeys, detail)
    })?;
    // Longer than any door would take it.
    if token.len() > crate::limits::TOKEN_BYTES_MAX {
        let detail = "the token would be over 8 KiB: its metadata is too long";
        return Err(SessionError::new(ErrorCode::Limit, detail).into());
    }
    Ok(HttpResponse::build(StatusCode::CREATED).json(MintedToken { token, expires_at }))
}

fn claims(wanted: NewToken, expires_at: u64) -> Result<Claims, Problem> {
    let sources = wanted.can_publish.as_ref().map(|names| {
        let sources = names.iter().map(|name| source_by_name(name).map(source_to_claim));
        sources.collect::<Option<Vec<_>>>().ok_or_else(|| Problem::malformed("an unknown source"))
    });
    let sources = sources.transpose()?;
    let video = VideoGrant {
        room: wanted.room,
        room_join: true,
        room_admin: wanted.room_admin,
        // No source at all is no leave to publish.
        can_publish: sources.as_ref().map(|sources| !sources.is_empty()),
        can_publish_sources: sources.into_iter().flatten().map(str::to_owned).collect(),
        can_subscribe: wanted.can_subscribe,
        can_publish_data: wanted.can_publish_data,
        can_update_own_metadata: wanted.can_update_own_metadata,
        hidden: wanted.hidden,
        ..VideoGrant::default()
    };
    let now = auth::unix_now();
    Ok(Claims {
        sub: wanted.identity,
        exp: expires_at,
        nbf: Some(now),
        iat: Some(now),
        name: wanted.name,
        metadata: wanted.metadata,
        video,
        ..Claims::default()
    })
}
