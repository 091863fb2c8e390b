//! `/api/v1/rooms/{room}/participants/{id}/decisions`: why a participant receives what it
//! receives, as one document or as the flight recorder's lines.

use actix_web::http::header::{self, Accept, ContentType, Header as _};
use actix_web::web::{self, Data, Path};
use actix_web::{HttpRequest, HttpResponse};

use super::access::{self, Need};
use super::{Context, Problem};
use crate::session::{DecisionsView, RecordView, participant_id};

/// One JSON text per line.
const LINES: &str = "application/x-ndjson";

pub(super) fn routes(config: &mut web::ServiceConfig) {
    const DECISIONS: &str = "/api/v1/rooms/{room}/participants/{participant}/decisions";
    config
        .service(web::resource(DECISIONS).route(web::get().to(get)))
        .service(web::resource(format!("{DECISIONS}/records")).route(web::get().to(records)));
}

async fn get(
    context: Data<Context>,
    request: HttpRequest,
    path: Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    if prefers_lines(&request) {
        return records(context, request, path).await;
    }
    check(&context, &request, &path)?;
    let decisions = context.sessions.decisions(&path.0, participant_id(&path.1)?).await?;
    let vary = (header::VARY, "Accept");
    Ok(HttpResponse::Ok().insert_header(vary).json(DecisionsView::from(&decisions)))
}

/// Oldest first.
async fn records(
    context: Data<Context>,
    request: HttpRequest,
    path: Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    check(&context, &request, &path)?;
    let decisions = context.sessions.decisions(&path.0, participant_id(&path.1)?).await?;
    let mut lines = Vec::new();
    for record in &decisions.records {
        serde_json::to_writer(&mut lines, &RecordView::from(record))
            .expect("records hold only strings and numbers");
        lines.push(b'\n');
    }
    let vary = (header::VARY, "Accept");
    Ok(HttpResponse::Ok().insert_header(vary).content_type(LINES).body(lines))
}

/// A participant may see why it receives what it receives itself.
fn check(
    context: &Context,
    request: &HttpRequest,
    (room, id): &(String, String),
) -> Result<(), Problem> {
    let caller = access::authenticate(context, request)?;
    let own = access::enter(&caller, room).ok().and_then(|entry| entry.grant.identity);
    let of = participant_id(id).ok().and_then(|id| context.sessions.identity(room, id));
    let is_own = own.zip(of).is_some_and(|(own, of)| own.name == of);
    if is_own { Ok(()) } else { access::authorize(&caller, Need::Room(room)) }
}

/// Whether a client names lines before it names JSON, or anything.
fn prefers_lines(request: &HttpRequest) -> bool {
    let Ok(accept) = Accept::parse(request) else { return false };
    let json = ContentType::json().0;
    let first = accept.ranked().into_iter().find_map(|range| match range.essence_str() {
        LINES => Some(true),
        "*/*" | "application/*" => Some(false),
        essence if essence == json.essence_str() => Some(false),
        _ => None,
    });
    first == Some(true)
}
