//! What WHIP and WHEP have in common: a resource made by an offer, patched and deleted.

use std::future::Future;
use std::sync::atomic::Ordering;

use actix_web::body::MessageBody;
use actix_web::http::{Method, header};
use actix_web::web::{self, Data, Path, Payload};
use actix_web::{Handler, HttpRequest, HttpResponse, Resource, Responder};

use super::{Context, Problem, access, body, client, cors};
use crate::session::{Door, ErrorCode, HttpSession, IfMatch, PatchOutcome, SessionError};

const SDP: &str = "application/sdp";
const FRAGMENT: &str = "application/trickle-ice-sdpfrag";

/// An endpoint's resource but for its `POST`.
pub(super) fn endpoint<H, R>(path: &str, look: H) -> Resource
where
    H: Handler<(), Output = R> + Clone,
    R: Responder + 'static,
    R::Body: MessageBody,
{
    web::resource(path)
        .route(web::get().to(look.clone()))
        .route(web::head().to(look))
        .route(web::method(Method::OPTIONS).to(endpoint_options))
}

/// A session's resource.
pub(super) fn session(path: &str, door: Door) -> Resource {
    let look = move |context: Data<Context>, path: Path<(String, String)>| async move {
        look(&context, door, &path.0, &path.1)
    };
    let patch = move |context, request, path: Path<(String, String)>, payload| async move {
        patch(&context, &request, payload, door, &path.0, &path.1).await
    };
    let delete = move |context: Data<Context>, request, path: Path<(String, String)>| async move {
        delete(&context, &request, door, &path.0, &path.1)
    };
    web::resource(path)
        .route(web::patch().to(patch))
        .route(web::delete().to(delete))
        .route(web::get().to(look))
        .route(web::head().to(look))
        .route(web::method(Method::OPTIONS).to(session_options))
}

/// `POST`: reads the offer, lets `create` make the session, and answers 201. `base` is the path
/// of the room's sessions.
pub(super) async fn create<F>(
    context: &Data<Context>,
    request: &HttpRequest,
    payload: Payload,
    base: &str,
    create: impl FnOnce(String) -> F,
) -> Result<HttpResponse, Problem>
where
    F: Future<Output = Result<HttpSession, SessionError>> + Send + 'static,
{
    if context.sessions.is_draining() {
        return Err(SessionError::draining().into());
    }
    let sdp = body::text(request, payload, SDP).await?;
    if sdp.trim().is_empty() {
        return Err(Problem::malformed("the body must be an SDP offer"));
    }
    client::admit_join(context, request)?;
    let session = finish_detached(context, create(sdp)).await?;
    let location = location(request, base, &session.token);
    let mut response = HttpResponse::Created();
    cors::expose(&mut response)
        .insert_header((header::CONTENT_TYPE, SDP))
        .insert_header((header::LOCATION, location))
        .insert_header((header::ETAG, session.etag.quoted()))
        .insert_header(("Accept-Patch", FRAGMENT));
    // A TURN server need not know whose session it is, and the session's own name is a secret.
    for server in context.sessions.ice_servers(&format!("{:016x}", rand::random::<u64>())) {
        response.append_header((header::LINK, server.to_link()));
    }
    Ok(response.body(session.sdp))
}

/// `PATCH`: candidates, or an ICE restart (RFC 9725 §4.3).
async fn patch(
    context: &Data<Context>,
    request: &HttpRequest,
    payload: Payload,
    door: Door,
    room: &str,
    token: &str,
) -> Result<HttpResponse, Problem> {
    access::entry(context, request, room)?;
    context.sessions.admit_patch(door, room, token).inspect_err(|error| {
        if error.code == ErrorCode::RateLimited {
            context.counters.rate_limited.fetch_add(1, Ordering::Relaxed);
        }
    })?;
    if door == Door::Whep && body::is_type(request.headers(), SDP) {
        // Understood, but only in answer to a counter-offer, of which there was none (draft §4.3.2).
        let detail = "the session was answered already; an answer changes nothing";
        return Err(SessionError::new(ErrorCode::SdpUnsupported, detail).into());
    }
    let text = body::text(request, payload, FRAGMENT).await?;
    let if_match = request.headers().get(header::IF_MATCH).and_then(|value| value.to_str().ok());
    let if_match = IfMatch::parse(if_match);
    match context.sessions.patch_http(door, room, token, &if_match, &text).await? {
        PatchOutcome::Trickled => Ok(cors::expose(&mut HttpResponse::NoContent()).finish()),
        PatchOutcome::Restarted { fragment, etag } => Ok(cors::expose(&mut HttpResponse::Ok())
            .insert_header((header::CONTENT_TYPE, FRAGMENT))
            .insert_header((header::ETAG, etag.quoted()))
            .body(fragment)),
    }
}

/// `DELETE`, whatever its `If-Match`.
fn delete(
    context: &Context,
    request: &HttpRequest,
    door: Door,
    room: &str,
    token: &str,
) -> Result<HttpResponse, Problem> {
    access::entry(context, request, room)?;
    context.sessions.delete_http(door, room, token)?;
    Ok(cors::expose(&mut HttpResponse::Ok()).finish())
}

/// `GET` of a session: there is nothing to see, but it is there (RFC 9725 §4.1).
fn look(context: &Context, door: Door, room: &str, token: &str) -> Result<HttpResponse, Problem> {
    context.sessions.check_http(door, room, token)?;
    Ok(cors::expose(&mut HttpResponse::NoContent()).finish())
}

/// `OPTIONS` of an endpoint.
async fn endpoint_options() -> HttpResponse {
    cors::preflight(&mut HttpResponse::Ok(), "GET, HEAD, POST, OPTIONS")
        .insert_header(("Accept-Post", SDP))
        .finish()
}

/// `OPTIONS` of a session.
async fn session_options() -> HttpResponse {
    cors::preflight(&mut HttpResponse::Ok(), "GET, HEAD, PATCH, DELETE, OPTIONS")
        .insert_header(("Accept-Patch", FRAGMENT))
        .finish()
}

/// Runs `create` to its end even if the client hangs up meanwhile. A session nobody will learn
/// the URL of is ended again.
async fn finish_detached<F>(context: &Data<Context>, create: F) -> Result<HttpSession, SessionError>
where
    F: Future<Output = Result<HttpSession, SessionError>> + Send + 'static,
{
    let (done, result) = tokio::sync::oneshot::channel();
    let sessions = context.sessions.clone();
    context.sessions.runtime().spawn(async move {
        if let Err(Ok(session)) = done.send(create.await) {
            sessions.abandon_http(&session.token);
        }
    });
    result.await.unwrap_or_else(|_| Err(SessionError::draining()))
}

/// The URL of what was made below `base`, absolute when the client said what host it speaks to: some clients cannot
/// resolve a relative one.
pub(super) fn location(request: &HttpRequest, base: &str, token: &str) -> String {
    let info = request.connection_info();
    match request.headers().get(header::HOST) {
        Some(_) => format!("{}://{}{base}/{token}", info.scheme(), info.host()),
        None => format!("{base}/{token}"),
    }
}
