//! `/ws`: the protocol of `docs/protocol.md`.

mod connection;
mod preference;
mod request;

use actix_web::http::{StatusCode, header};
use actix_web::web::{self, Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

use super::{Context, Problem, client, origin};
use crate::limits;
use crate::session::{ErrorCode, SessionError};

/// The one subprotocol.
pub(super) const SUBPROTOCOL: &str = "sfu.v1";

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.service(web::resource("/ws").route(web::get().to(open)));
}

async fn open(
    context: Data<Context>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    check_origin(&context, &request)?;
    check_subprotocol(&request)?;
    if context.sessions.is_draining() {
        return Err(SessionError::draining().into());
    }
    let (response, session, stream) =
        actix_ws::handle_with_protocols(&request, payload, &[SUBPROTOCOL])
            .map_err(|e| Problem::malformed(format!("no WebSocket handshake: {e}")))?;
    let stream = stream
        .max_frame_size(limits::FRAME_BYTES_MAX)
        .aggregate_continuations()
        .max_continuation_size(limits::FRAME_BYTES_MAX);
    let address = client::address(&request);
    actix_web::rt::spawn(connection::run(context, address, session, stream));
    Ok(response)
}

fn check_origin(context: &Context, request: &HttpRequest) -> Result<(), Problem> {
    let header = |name| request.headers().get(name).map(|v: &header::HeaderValue| v.to_str());
    let (origin, host) = (header(header::ORIGIN), header(header::HOST));
    // A header that is no text names no origin that was allowed.
    let allowed = &context.settings.now().http.allow_origin;
    let is_allowed = match (origin.transpose(), host.transpose()) {
        (Ok(origin), Ok(host)) => origin::is_allowed(origin, host, allowed),
        _ => false,
    };
    if is_allowed {
        return Ok(());
    }
    let detail = "start the server with --allow-origin to accept pages of this origin";
    Err(Problem::new(StatusCode::FORBIDDEN, ErrorCode::OriginRefused, detail))
}

/// A client that names subprotocols must name ours.
fn check_subprotocol(request: &HttpRequest) -> Result<(), Problem> {
    let mut named = request.headers().get_all(header::SEC_WEBSOCKET_PROTOCOL).peekable();
    let names_none = named.peek().is_none();
    let names_ours = named
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|name| name.trim() == SUBPROTOCOL);
    if names_none || names_ours {
        return Ok(());
    }
    Err(Problem::malformed(format!("the only subprotocol here is {SUBPROTOCOL}")))
}
