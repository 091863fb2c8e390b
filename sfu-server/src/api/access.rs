//! Who may come in by which door: finds the token of a request and asks what it is good for.
//!
//! A door that lets people into rooms calls [`entry`]; a route of the API calls [`check`].

use std::sync::atomic::Ordering;

use actix_web::HttpRequest;
use actix_web::http::header;
use tokio::time::Instant;

use super::{Context, Problem, client, origin};
use crate::auth::{self, Caller, Claims, Refused};
use crate::limits;
use crate::session::{ErrorCode, Grant, Identity, SessionError, check_name, forbidden};

/// Somebody who may enter a room.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) grant: Grant,
    /// What the token says of name and metadata.
    told: Option<(String, String)>,
}

/// What a route of the API is about.
#[derive(Clone, Copy, Debug)]
pub(super) enum Need<'a> {
    /// To list rooms.
    List,
    /// To make a room.
    Create(&'a str),
    /// To see a room.
    See(&'a str),
    /// To see and change who is in a room, and its settings.
    Room(&'a str),
    /// To end a room.
    Delete(&'a str),
    /// The server itself.
    Server,
}

impl Entry {
    /// The name it goes by: the token's, unless that lets it choose its own.
    pub(super) fn name(&self, own: String) -> String {
        match &self.told {
            Some((name, _)) if own.is_empty() || !self.grant.updates_itself => name.clone(),
            _ => own,
        }
    }

    /// The same for its metadata.
    pub(super) fn metadata(&self, own: String) -> String {
        match &self.told {
            Some((_, told)) if own.is_empty() || !self.grant.updates_itself => told.clone(),
            _ => own,
        }
    }
}

/// The token of a request: in its `Authorization`, or, for browsers' WebSockets, in the query.
pub(super) fn credential(request: &HttpRequest) -> Option<String> {
    let header = request.headers().get(header::AUTHORIZATION);
    if let Some(value) = header {
        // Another scheme, or bytes that are no text, is a credential that does not count.
        let value = value.to_str().unwrap_or_default();
        let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
        let is_bearer = scheme.eq_ignore_ascii_case("Bearer");
        return Some(if is_bearer { token.trim().to_owned() } else { String::new() });
    }
    None
}

/// Whether this request's token lets it into `room`; the door's own rules come on top. WHIP and
/// WHEP: `let entry = access::entry(&context, &request, &room)?;`.
pub(super) fn entry(
    context: &Context,
    request: &HttpRequest,
    room: &str,
) -> Result<Entry, Problem> {
    let caller = identify(context, request, credential(request).as_deref())?;
    Ok(enter(&caller, room)?)
}

/// Who presents `credential`. Too many that do not count, and the address has to wait.
pub(super) fn identify(
    context: &Context,
    request: &HttpRequest,
    credential: Option<&str>,
) -> Result<Caller, Problem> {
    identify_at(context, client::address(request), credential).map_err(|error| match error {
        Err(wait) => Problem::rate_limited(wait),
        Ok(error) => error.into(),
    })
}

/// The same by address. An inner `Err` says how long to wait.
pub(super) fn identify_at(
    context: &Context,
    address: Option<std::net::IpAddr>,
    credential: Option<&str>,
) -> Result<Caller, Result<SessionError, std::time::Duration>> {
    let now = Instant::now();
    if let Some(wait) = address.and_then(|address| context.failures.wait(address, now)) {
        context.counters.rate_limited.fetch_add(1, Ordering::Relaxed);
        return Err(Err(wait));
    }
    context.keys.identify(credential, auth::unix_now()).map_err(|Refused(why)| {
        tracing::debug!(why, "a token was refused");
        context.counters.auth_failures.fetch_add(1, Ordering::Relaxed);
        if let (Some(address), Some(_)) = (address, credential) {
            let (per_second, burst) =
                (limits::AUTH_FAILURES_PER_SECOND, limits::AUTH_FAILURES_BURST);
            // Whether there is one left shows at the next attempt.
            let _ = context.failures.take(address, per_second, burst, now);
        }
        Ok(SessionError::unauthorized())
    })
}

/// Whether a caller may enter `room`. A token for another room is as bad as none.
pub(super) fn enter(caller: &Caller, room: &str) -> Result<Entry, SessionError> {
    let claims = match caller {
        Caller::Anybody => return Ok(Entry { grant: Grant::everything(), told: None }),
        Caller::Admin => return Err(SessionError::unauthorized()),
        Caller::Token(token) => &token.claims,
    };
    let identity = claims.identity();
    let names_somebody = check_name("the identity", identity, 1).is_ok();
    if !claims.video.room_join || claims.video.room != room || room.is_empty() || !names_somebody {
        tracing::debug!(why = "it is not for this room", "a token was refused");
        return Err(SessionError::unauthorized());
    }
    let identity = Identity { name: identity.into(), issued_at: claims.issued_at() };
    let grant = Grant {
        identity: Some(identity),
        permissions: claims.video.permissions(),
        hidden: claims.video.hidden,
        updates_itself: claims.video.can_update_own_metadata,
        administers: claims.video.room_admin,
    };
    let name = if claims.name.is_empty() { claims.identity() } else { &claims.name };
    Ok(Entry { grant, told: Some((name.to_owned(), claims.metadata.clone())) })
}

/// Whether a request may use a route of the API. Comes before anything is looked up or read, so
/// that who may not learns nothing of what is there.
pub(super) fn check(
    context: &Context,
    request: &HttpRequest,
    need: Need<'_>,
) -> Result<Caller, Problem> {
    let caller = authenticate(context, request)?;
    authorize(&caller, need)?;
    Ok(caller)
}

/// Its first half: who is asking.
pub(super) fn authenticate(context: &Context, request: &HttpRequest) -> Result<Caller, Problem> {
    client::admit_request(context, request)?;
    check_origin(context, request)?;
    check_accept(request)?;
    identify(context, request, credential(request).as_deref())
}

/// Its second half: whether they may.
pub(super) fn authorize(caller: &Caller, need: Need<'_>) -> Result<(), Problem> {
    match caller {
        Caller::Token(token) if !allows(&token.claims, need) => {
            Err(forbidden("the token does not allow this").into())
        }
        Caller::Anybody | Caller::Admin | Caller::Token(_) => Ok(()),
    }
}

/// The one room that a caller is confined to, if it is.
pub(super) fn only_room(caller: &Caller) -> Option<&str> {
    match caller {
        Caller::Token(token) => Some(&*token.claims.video.room).filter(|room| !room.is_empty()),
        Caller::Anybody | Caller::Admin => None,
    }
}

fn allows(claims: &Claims, need: Need<'_>) -> bool {
    let grant = &claims.video;
    // A grant for a room is for that room; one without counts where no room is administered.
    let may_be = |room: &str| grant.room.is_empty() || grant.room == room;
    let administers = |room: &str| grant.room_admin && !room.is_empty() && grant.room == room;
    match need {
        Need::List => grant.room_list,
        Need::Create(room) => grant.room_create && may_be(room),
        Need::See(room) => administers(room) || grant.room_list && may_be(room),
        Need::Room(room) => administers(room),
        Need::Delete(room) => administers(room) || grant.room_create && may_be(room),
        Need::Server => false,
    }
}

/// Whether the client takes what the API has: JSON, or the recorder's lines.
fn check_accept(request: &HttpRequest) -> Result<(), Problem> {
    let given = request.headers().get_all(header::ACCEPT).filter_map(|value| value.to_str().ok());
    let mut ranges = given.flat_map(|value| value.split(',')).peekable();
    let is_absent = ranges.peek().is_none();
    let takes = |range: &str| {
        let mut parts = range.split(';').map(str::trim);
        let essence = parts.next().unwrap_or_default().to_ascii_lowercase();
        let essences = ["*/*", "application/*", "application/json", "application/x-ndjson"];
        let never = |part: &str| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000");
        essences.contains(&&*essence) && !parts.any(never)
    };
    if is_absent || ranges.any(takes) {
        return Ok(());
    }
    let detail = "this route answers in application/json";
    let status = actix_web::http::StatusCode::NOT_ACCEPTABLE;
    Err(Problem::new(status, ErrorCode::NotAcceptable, detail))
}

/// Refuses pages of origins that are not allowed: to them a browser on the same machine or network
/// would be a way in where no token is needed.
pub(super) fn check_origin(context: &Context, request: &HttpRequest) -> Result<(), Problem> {
    if is_origin_allowed(context, request) {
        return Ok(());
    }
    let detail = "pages of this origin have to be allowed: see http.allow_origin";
    let status = actix_web::http::StatusCode::FORBIDDEN;
    Err(Problem::new(status, ErrorCode::OriginRefused, detail))
}

/// Whether a request comes from no page, or from one of an origin that is allowed.
pub(super) fn is_origin_allowed(context: &Context, request: &HttpRequest) -> bool {
    let header = |name| request.headers().get(name).map(|v: &header::HeaderValue| v.to_str());
    let (origin, host) = (header(header::ORIGIN), header(header::HOST));
    // A header that is no text names no origin that was allowed.
    let allowed = &context.settings.now().http.allow_origin;
    match (origin.transpose(), host.transpose()) {
        (Ok(origin), Ok(host)) => origin::is_allowed(origin, host, allowed),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(grant: &str) -> Claims {
        let video = serde_json::from_str(grant).unwrap();
        Claims { sub: "ann".into(), video, ..Claims::default() }
    }

    #[test]
    fn every_need_is_met_by_its_grant_and_by_no_other() {
        let needs = [
            Need::List,
            Need::Create("r"),
            Need::See("r"),
            Need::Room("r"),
            Need::Delete("r"),
            Need::Server,
        ];
        for (grant, want) in [
            ("{}", [false; 6]),
            (r#"{"room":"r","roomJoin":true}"#, [false; 6]),
            (r#"{"roomAdmin":true}"#, [false; 6]),
            (r#"{"roomAdmin":true,"room":"s"}"#, [false; 6]),
            (r#"{"roomAdmin":true,"room":"r"}"#, [false, false, true, true, true, false]),
            (r#"{"roomList":true}"#, [true, false, true, false, false, false]),
            (r#"{"roomList":true,"room":"s"}"#, [true, false, false, false, false, false]),
            (r#"{"roomCreate":true}"#, [false, true, false, false, true, false]),
            (r#"{"roomCreate":true,"room":"s"}"#, [false; 6]),
        ] {
            let claims = claims(grant);
            assert_eq!(needs.map(|need| allows(&claims, need)), want, "{grant}");
        }
    }
}
