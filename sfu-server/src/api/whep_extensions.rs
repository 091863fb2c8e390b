//! WHEP's core extensions (webrtc-http-egress-events): server-sent events of a session, and the
//! choice of a video layer. Advertised by `Link` in the 201; nobody has to use them.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::Method;
use actix_web::http::header::{self, HeaderValue};
use actix_web::web::{self, Bytes, Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::{Stream, stream};
use tokio::time::{Instant, Interval, MissedTickBehavior};

use super::{Context, Problem, access, body, cors, negotiated};
use crate::limits;
use crate::session::{Door, LayerChoice, Sessions, ViewerEvent, Watcher};

const EVENTS: &str = "urn:ietf:params:whep:ext:core:server-sent-events";
const LAYER: &str = "urn:ietf:params:whep:ext:core:layer";

/// A comment this often keeps proxies from ending a quiet stream.
const COMMENT_INTERVAL: Duration = Duration::from_secs(15);

pub(super) fn routes(config: &mut web::ServiceConfig) {
    let of_lists = || options("POST, OPTIONS");
    config
        .service(
            web::resource("/whep/{room}/{session}/layer")
                .route(web::post().to(choose))
                .route(web::method(Method::OPTIONS).to(of_lists)),
        )
        .service(
            web::resource("/whep/{room}/{session}/events")
                .route(web::post().to(open))
                .route(web::method(Method::OPTIONS).to(of_lists)),
        )
        .service(
            web::resource("/whep/{room}/{session}/events/{stream}")
                .route(web::get().to(watch))
                .route(web::delete().to(close))
                .route(web::method(Method::OPTIONS).to(|| options("GET, DELETE, OPTIONS"))),
        );
}

async fn options(methods: &'static str) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    let response = cors::preflight(&mut response, methods);
    if methods.starts_with("POST") {
        response.insert_header(("Accept-Post", "application/json"));
    }
    response.finish()
}

/// Names the extensions in the answer that made a session.
pub(super) fn advertise(mut created: HttpResponse) -> HttpResponse {
    let location = created.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
    let Some(location) = location.map(str::to_owned) else { return created };
    let events = ViewerEvent::ALL.map(ViewerEvent::name).join(",");
    for link in [
        format!("<{location}/events>; rel=\"{EVENTS}\"; events=\"{events}\""),
        format!("<{location}/layer>; rel=\"{LAYER}\""),
    ] {
        let link = HeaderValue::try_from(link).expect("a location is a header's value already");
        created.headers_mut().append(header::LINK, link);
    }
    created
}

/// Makes a stream of the events that are listed; without a body, of all.
async fn open(
    context: Data<Context>,
    request: HttpRequest,
    path: Path<(String, String)>,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let (room, session) = path.into_inner();
    access::entry(&context, &request, &room)?;
    context.sessions.admit_patch(Door::Whep, &room, &session)?;
    let wanted = body::json_list(&request, payload).await?;
    let wanted = wanted.unwrap_or_else(|| ViewerEvent::ALL.to_vec());
    let stream = context.sessions.open_events(&room, &session, wanted)?;
    let location = negotiated::location(&request, request.path(), &stream);
    Ok(cors::expose(&mut HttpResponse::Created())
        .insert_header((header::LOCATION, location))
        .finish())
}

/// Reads a stream. Its name is the leave to: an EventSource sends no `Authorization`.
async fn watch(
    context: Data<Context>,
    path: Path<(String, String, String)>,
) -> Result<HttpResponse, Problem> {
    let (room, session, stream) = path.into_inner();
    let watcher = context.sessions.watch_events(room, session, stream)?;
    let told = told(Arc::clone(&context.sessions), watcher);
    Ok(cors::expose(&mut HttpResponse::Ok())
        .insert_header((header::CONTENT_TYPE, "text/event-stream"))
        .streaming(told))
}

async fn close(
    context: Data<Context>,
    request: HttpRequest,
    path: Path<(String, String, String)>,
) -> Result<HttpResponse, Problem> {
    let (room, session, stream) = path.into_inner();
    access::entry(&context, &request, &room)?;
    context.sessions.close_events(&room, &session, &stream)?;
    Ok(cors::expose(&mut HttpResponse::Ok()).finish())
}

async fn choose(
    context: Data<Context>,
    request: HttpRequest,
    path: Path<(String, String)>,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let (room, session) = path.into_inner();
    access::entry(&context, &request, &room)?;
    context.sessions.admit_patch(Door::Whep, &room, &session)?;
    let choice: LayerChoice = body::json(&request, payload).await?;
    context.sessions.choose_layer(&room, &session, choice).await?;
    Ok(cors::expose(&mut HttpResponse::Ok()).finish())
}

/// What a reader is sent, until the session or the stream ends. It is asked for what is new only
/// when the connection takes more, so nothing piles up.
fn told(
    sessions: Arc<Sessions>,
    watcher: Watcher,
) -> impl Stream<Item = Result<Bytes, actix_web::Error>> {
    let mut interval = tokio::time::interval(limits::EVENTS_INTERVAL);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // At once, so that the client knows the stream is there.
    let first = Some(Bytes::from_static(b": events\n\n"));
    stream::unfold(
        (sessions, watcher, interval, first),
        |(sessions, mut watcher, mut interval, first)| async move {
            let text = match first {
                Some(first) => first,
                None => next(&sessions, &mut watcher, &mut interval).await?,
            };
            Some((Ok(text), (sessions, watcher, interval, None)))
        },
    )
}

async fn next(
    sessions: &Sessions,
    watcher: &mut Watcher,
    interval: &mut Interval,
) -> Option<Bytes> {
    let since = Instant::now();
    loop {
        interval.tick().await;
        let events = sessions.next_events(watcher).await.ok()?;
        let text: String = events
            .iter()
            .map(|(event, data)| format!("event: {}\ndata: {data}\n\n", event.name()))
            .collect();
        if !text.is_empty() {
            return Some(text.into());
        }
        if since.elapsed() >= COMMENT_INTERVAL {
            return Some(Bytes::from_static(b":\n\n"));
        }
    }
}
