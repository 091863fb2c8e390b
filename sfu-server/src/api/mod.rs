//! The doors: HTTP routes and the WebSocket. Reads requests, calls [`Sessions`], writes answers.
//! Nothing here names a socket or the engine's internals.

mod access;
mod body;
mod client;
mod cors;
mod decisions;
mod health;
mod impairment;
mod negotiated;
mod openapi;
mod origin;
mod page;
mod participants;
mod problem;
mod request_id;
mod rooms;
mod server;
#[cfg(test)]
mod tests;
mod whep;
mod whep_extensions;
mod whip;
mod ws;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use actix_web::dev::ServiceResponse;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{App, HttpServer, web};

use crate::auth::KeyRing;
use crate::config::Live;
use crate::media::Forward;
use crate::metrics::Metrics;
use crate::session::{AddressRates, Sessions};
use crate::tls::Tls;
use crate::{assets, limits};

pub(crate) use problem::Problem;

/// What every handler may use.
pub(crate) struct Context {
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) metrics: Metrics,
    pub(crate) settings: Live,
    pub(crate) keys: KeyRing,
    join_rates: AddressRates,
    /// Requests to the API.
    request_rates: AddressRates,
    /// Tokens that did not count.
    failures: AddressRates,
    /// Whose connections are that came by the TCP port of media.
    forward: Arc<Forward>,
    pub(crate) counters: HttpCounters,
    started: std::time::Instant,
}

/// Counters of this layer, for metrics.
#[derive(Default)]
pub(crate) struct HttpCounters {
    pub(crate) websockets: AtomicU64,
    pub(crate) rate_limited: AtomicU64,
    pub(crate) protocol_errors: AtomicU64,
    pub(crate) auth_failures: AtomicU64,
}

impl Context {
    /// The context of one server.
    pub(crate) fn new(
        settings: Live,
        keys: KeyRing,
        sessions: Arc<Sessions>,
        forward: Arc<Forward>,
    ) -> Self {
        Self {
            metrics: Metrics::new(),
            sessions,
            settings,
            keys,
            join_rates: AddressRates::default(),
            request_rates: AddressRates::default(),
            failures: AddressRates::default(),
            forward,
            counters: HttpCounters::default(),
            started: std::time::Instant::now(),
        }
    }
}

/// Binds the address and starts to serve. The caller awaits the server and stops it.
pub(crate) fn serve(
    addr: std::net::SocketAddr,
    tls: Option<Tls>,
    context: Arc<Context>,
) -> std::io::Result<(actix_web::dev::Server, Vec<std::net::SocketAddr>)> {
    let has_metrics = context.settings.now().telemetry.metrics_addr.is_none();
    let context = web::Data::from(context);
    let server = HttpServer::new(move || {
        let metrics = |config: &mut _| {
            if has_metrics {
                health::metrics_route(config);
            }
        };
        App::new()
            .app_data(context.clone())
            .configure(routes)
            .configure(metrics)
            .default_service(web::route().to(assets::serve))
            .wrap_fn(|request, service| request_id::name(request, service, finish))
    })
    .on_connect(crate::tcp::tune)
    .client_request_timeout(limits::HEAD_DEADLINE)
    .keep_alive(limits::KEEP_ALIVE)
    .max_connections(limits::CONNECTIONS_PER_THREAD_MAX)
    .max_connection_rate(limits::HANDSHAKES_PER_THREAD_MAX)
    .disable_signals()
    .tls_handshake_timeout(limits::HEAD_DEADLINE)
    .shutdown_timeout(1);
    let server = match tls {
        None => server.bind(addr)?,
        Some(tls) => server.bind_rustls_0_23(addr, tls.config)?,
    };
    let addrs = server.addrs();
    Ok((server.run(), addrs))
}

/// Serves `/metrics`, and nothing else. The caller awaits the server and stops it.
pub(crate) fn serve_metrics(
    addr: std::net::SocketAddr,
    context: Arc<Context>,
) -> std::io::Result<(actix_web::dev::Server, std::net::SocketAddr)> {
    let context = web::Data::from(context);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(context.clone())
            .configure(health::metrics_route)
            .wrap_fn(|request, service| request_id::name(request, service, finish))
    })
    .workers(1)
    .client_request_timeout(limits::HEAD_DEADLINE)
    .keep_alive(limits::KEEP_ALIVE)
    .max_connections(limits::METRICS_CONNECTIONS_MAX)
    .disable_signals()
    .shutdown_timeout(1)
    .bind(addr)?;
    let addr = server.addrs().first().copied().unwrap_or(addr);
    Ok((server.run(), addr))
}

fn routes(config: &mut web::ServiceConfig) {
    health::routes(config);
    rooms::routes(config);
    participants::routes(config);
    impairment::routes(config);
    decisions::routes(config);
    server::routes(config);
    openapi::routes(config);
    whip::routes(config);
    whep_extensions::routes(config);
    whep::routes(config);
    ws::routes(config);
}

/// What holds for every response: an error has a problem body, and nothing is sniffed.
fn finish<B: actix_web::body::MessageBody + 'static>(
    response: ServiceResponse<B>,
) -> ServiceResponse<actix_web::body::BoxBody> {
    let mut response = problem::complete(response);
    let path = response.request().path();
    let is_open = path.starts_with("/whip/") || path.starts_with("/whep/");
    if path.starts_with("/api/") {
        response = cors::of_api(response);
    }
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if is_open {
        // Errors as well: a page of another origin is to see what went wrong.
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}
