//! `/api/v1/rooms/{room}/participants/{id}/impairment`: a bad network on request, in development.

use actix_web::web::{self, Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};

use super::access::{self, Need};
use super::{Context, Problem, body};
use crate::media::Impairment;
use crate::session::participant_id;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    let path = "/api/v1/rooms/{room}/participants/{participant}/impairment";
    let impairment = web::resource(path)
        .route(web::get().to(get))
        .route(web::put().to(put))
        .route(web::delete().to(delete));
    config.service(impairment);
}

async fn get(
    context: Data<Context>,
    request: HttpRequest,
    path: Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    access::check(&context, &request, Need::Room(&path.0))?;
    let impairment = context.sessions.impairment(&path.0, participant_id(&path.1)?)?;
    Ok(HttpResponse::Ok().json(impairment))
}

async fn put(
    context: Data<Context>,
    request: HttpRequest,
    path: Path<(String, String)>,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    access::check(&context, &request, Need::Room(&path.0))?;
    let wish: Impairment = body::json(&request, payload).await?;
    context.sessions.impair(&path.0, participant_id(&path.1)?, wish)?;
    Ok(HttpResponse::NoContent().finish())
}

async fn delete(
    context: Data<Context>,
    request: HttpRequest,
    path: Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    access::check(&context, &request, Need::Room(&path.0))?;
    context.sessions.impair(&path.0, participant_id(&path.1)?, Impairment::default())?;
    Ok(HttpResponse::NoContent().finish())
}
