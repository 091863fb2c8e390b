//! `/livez`, `/readyz`, `/metrics`: for supervisors.

use actix_web::HttpResponse;
use actix_web::http::{StatusCode, header};
use actix_web::web::{self, Data};

use super::{Context, Problem};
use crate::limits;
use crate::session::{ErrorCode, SessionError};

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/livez").route(web::get().to(live)))
        .service(web::resource("/readyz").route(web::get().to(ready)));
}

/// On the HTTP port, or on one of its own: they tell strangers how busy a server is.
pub(super) fn metrics_route(config: &mut web::ServiceConfig) {
    config.service(web::resource("/metrics").route(web::get().to(metrics)));
}

/// Whether the process makes progress.
async fn live(context: Data<Context>) -> Result<HttpResponse, Problem> {
    check_alive(&context)?;
    Ok(HttpResponse::Ok().content_type("text/plain").body("ok\n"))
}

/// Whether new participants are accepted.
async fn ready(context: Data<Context>) -> Result<HttpResponse, Problem> {
    if context.sessions.is_draining() {
        return Err(SessionError::draining().into());
    }
    if context.sessions.is_overloaded() {
        return Err(SessionError::overloaded().into());
    }
    check_alive(&context)?;
    Ok(HttpResponse::Ok().content_type("text/plain").body("ok\n"))
}

fn check_alive(context: &Context) -> Result<(), Problem> {
    if context.sessions.media().is_alive(limits::TICK_AGE_MAX) {
        return Ok(());
    }
    let detail = "a media worker does not respond";
    Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Internal, detail))
}

async fn metrics(context: Data<Context>) -> Result<HttpResponse, Problem> {
    let text = context.metrics.render(&context).map_err(|e| {
        let detail = format!("metrics cannot be rendered: {e}");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, ErrorCode::Internal, detail)
    })?;
    let content_type = "text/plain; version=0.0.4; charset=utf-8";
    Ok(HttpResponse::Ok().insert_header((header::CONTENT_TYPE, content_type)).body(text))
}
