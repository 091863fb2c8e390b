//! `/ws`: the protocol of `docs/protocol.md`.

mod connection;
mod preference;
mod request;

use actix_web::http::header;
use actix_web::web::{self, Data, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use tracing::Instrument as _;

use super::{Context, Problem, access, client};
use crate::limits;
use crate::session::SessionError;

/// The one subprotocol.
pub(super) const SUBPROTOCOL: &str = "sfu.v1";

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.service(web::resource("/ws").route(web::get().to(open)));
}

/// The query. Browsers cannot give a WebSocket headers.
#[derive(Deserialize)]
struct Presented {
    access_token: Option<String>,
}

async fn open(
    context: Data<Context>,
    request: HttpRequest,
    query: Query<Presented>,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    access::check_origin(&context, &request)?;
    check_subprotocol(&request)?;
    // One that was brought has to count. Without any, the join is to bring it.
    let caller = match access::credential(&request).or(query.into_inner().access_token) {
        Some(token) => Some(access::identify(&context, &request, Some(&token))?),
        None => None,
    };
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
    let run = connection::run(context, address, caller, session, stream);
    actix_web::rt::spawn(run.in_current_span());
    Ok(response)
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
