//! Who is asking, and whether they ask too often.

use std::net::IpAddr;
use std::sync::atomic::Ordering;

use actix_web::HttpRequest;
use tokio::time::Instant;

use super::{Context, Problem};
use crate::limits;

/// The address of the connection. Not taken from headers: those can be chosen.
pub(super) fn address(request: &HttpRequest) -> Option<IpAddr> {
    let addr = request.peer_addr()?;
    let context = request.app_data::<actix_web::web::Data<Context>>();
    // It may have come by the port of media.
    let client = context.and_then(|context| context.forward.client(addr));
    Some(client.unwrap_or(addr).ip())
}

/// Counts a request to the API of the request's address, or refuses it.
pub(super) fn admit_request(context: &Context, request: &HttpRequest) -> Result<(), Problem> {
    let Some(address) = address(request) else { return Ok(()) };
    let per_second = limits::API_REQUESTS_PER_SECOND;
    context.request_rates.admit(address, per_second, Instant::now()).map_err(|wait| {
        context.counters.rate_limited.fetch_add(1, Ordering::Relaxed);
        Problem::rate_limited(wait)
    })
}

/// Counts a join of the request's address, or refuses it.
pub(super) fn admit_join(context: &Context, request: &HttpRequest) -> Result<(), Problem> {
    let Some(address) = address(request) else { return Ok(()) };
    let per_second = context.settings.now().limits.join_rate_per_address;
    context.join_rates.admit(address, per_second, Instant::now()).map_err(|wait| {
        context.counters.rate_limited.fetch_add(1, Ordering::Relaxed);
        Problem::rate_limited(wait)
    })
}
