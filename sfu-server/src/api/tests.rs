//! The rows of the table of routes and statuses that no client on this machine can reach: 429, for
//! loopback is never limited, and 503 of media that has stopped. The others are in `tests/doors`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::body::to_bytes;
use actix_web::dev::ServiceResponse;
use actix_web::http::StatusCode;
use actix_web::test::{TestRequest, call_service, init_service};
use actix_web::{App, web};
use serde_json::{Value, json};
use tokio::runtime::Handle;

use super::{Context, finish, openapi, request_id, routes};
use crate::auth::{KeyRing, Keys};
use crate::config::{Live, Settings};
use crate::ice_servers::IceServers;
use crate::limits;
use crate::media::Media;
use crate::session::{Grant, Sessions};

/// An address of the documentation's network (RFC 5737).
const SOMEWHERE: &str = "192.0.2.1:9";

/// A server without its port, and its threads.
fn site() -> (Arc<Context>, Vec<std::thread::JoinHandle<()>>) {
    let mut settings = Settings::default();
    settings.media.udp_port = 0;
    settings.media.tcp = false;
    settings.media.advertise = vec!["127.0.0.1".parse().unwrap()];
    settings.media.workers = Some(1);
    settings.media.impairments = true;
    let media = Media::start(&settings.media, Arc::default()).unwrap();
    let ice_servers = IceServers::new(&settings.ice).unwrap();
    let keys = KeyRing::new(Keys::new(&settings.auth).unwrap());
    let live = Live::new(settings);
    let sessions = Sessions::new(live.clone(), media.handle, ice_servers, Handle::current());
    sessions.follow(media.outputs);
    (Arc::new(Context::new(live, keys, sessions, Arc::default())), media.threads)
}

/// The API as it is served.
macro_rules! app {
    ($context:expr) => {{
        let app = App::new().app_data(web::Data::from(Arc::clone(&$context))).configure(routes);
        let app = app.wrap_fn(|request, service| request_id::name(request, service, finish));
        init_service(app).await
    }};
}

/// Method and path of each operation that has this status in the document.
fn operations_with(status: &str) -> Vec<(String, String)> {
    let document = openapi::document();
    let mut found = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            if operation["responses"].get(status).is_some() {
                found.push((method.to_uppercase(), path.clone()));
            }
        }
    }
    found
}

fn request(method: &str, path: &str, from: &str, body: &Value) -> TestRequest {
    TestRequest::with_uri(path)
        .method(method.parse().unwrap())
        .peer_addr(from.parse::<SocketAddr>().unwrap())
        .insert_header(("if-match", "*"))
        .set_json(body)
}

async fn assert_passing_problem(response: ServiceResponse, status: u16, code: &str, what: &str) {
    assert_eq!(response.status().as_u16(), status, "{what}");
    let headers = response.headers().clone();
    assert_eq!(headers["content-type"], "application/problem+json", "{what}");
    assert_ne!(headers["retry-after"].to_str().unwrap().parse(), Ok(0), "{what}");
    let body = to_bytes(response.into_body()).await.unwrap();
    let problem: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((&problem["status"], &problem["code"]), (&json!(status), &json!(code)), "{what}");
    assert_eq!(problem["request_id"].as_str(), headers["x-request-id"].to_str().ok(), "{what}");
}

#[actix_web::test]
async fn who_asks_too_often_has_to_wait_on_every_route() {
    let (context, threads) = site();
    let app = app!(context);
    let operations = operations_with("429");
    assert!(operations.len() > 15, "{operations:?}");
    for (at, (method, path)) in operations.into_iter().enumerate() {
        // Everybody has a bucket of their own.
        let from = format!("192.0.2.{}:9", at + 1);
        let mut passed = 0;
        let refused = loop {
            let response =
                call_service(&app, request(&method, &path, &from, &json!({})).to_request()).await;
            if response.status() == StatusCode::TOO_MANY_REQUESTS {
                break response;
            }
            passed += 1;
            assert!(passed < 10_000, "{method} {path} is not limited");
        };
        assert!(passed >= 2 * limits::API_REQUESTS_PER_SECOND, "{method} {path}: {passed}");
        assert_passing_problem(refused, 429, "rate_limited", &path).await;
    }
    context.sessions.media().stop();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[actix_web::test]
async fn nothing_hangs_or_breaks_when_media_has_stopped() {
    let (context, threads) = site();
    let app = app!(context);
    let sessions = &context.sessions;
    let offer = include_str!("tests_offer.sdp").replace('\n', "\r\n");
    let made = sessions.create_whip("r".into(), "obs".into(), Grant::everything(), offer).await;
    made.map_err(|error| error.detail).map(drop).unwrap();
    let publisher = async {
        loop {
            let there = sessions.participants("r").unwrap_or_default();
            if let Some(detail) = there.into_iter().find(|detail| !detail.view.tracks.is_empty()) {
                return detail;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let publisher = tokio::time::timeout(Duration::from_secs(20), publisher).await.unwrap();
    let (id, track) = (publisher.view.id.to_string(), publisher.view.tracks[0].track.to_string());
    sessions.media().stop();
    threads.into_iter().for_each(|thread| thread.join().unwrap());

    for (method, path) in operations_with("503") {
        let filled = path.replace("{room}", "r").replace("{participant}", &id);
        let body = match (method.as_str(), path.rsplit('/').next().unwrap()) {
            ("POST", "rooms") => json!({"name": "new"}),
            ("POST", "mute") => json!({"track": track, "muted": true}),
            ("POST", "data") => json!({"payload": "hi"}),
            ("PUT", "subscriptions") => json!({"tracks": []}),
            ("PUT", "impairment") => json!({"downlink": {"delay_ms": 1}}),
            ("PATCH", "{room}") => json!({"video_last_n": 1}),
            ("PATCH", _) => json!({"permissions": {"can_publish_data": false}}),
            ("DELETE", "drain") => {
                sessions.refuse_joins();
                json!({})
            }
            _ => json!({}),
        };
        let response =
            call_service(&app, request(&method, &filled, SOMEWHERE, &body).to_request()).await;
        // Impairments have a queue of their own, of which only that it takes no more is known.
        let code = if path.ends_with("/impairment") { "overloaded" } else { "draining" };
        assert_passing_problem(response, 503, code, &format!("{method} {path}")).await;
    }
}
