//! `/ws`: joining, leaving, and requests that need no media.

use serde_json::json;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, http::HeaderValue};

use crate::harness::{Client, TestServer};

#[tokio::test]
async fn hello_states_protocol_version_and_ping_interval() {
    let server = TestServer::start().await;
    let mut client = Client::open(&format!("ws://{}/ws", server.server.http_addr)).await;
    let hello = client.next().await;
    let want = json!({"type": "hello", "protocol": "sfu.v1", "ping_interval": 20,
                      "version": env!("CARGO_PKG_VERSION")});
    assert_eq!(hello, want);
    assert_eq!(client.request(json!({"type": "ping"})).await, json!({"re": 1, "type": "pong"}));
    server.server.stop().await;
}

#[tokio::test]
async fn participants_learn_of_each_other() {
    let server = TestServer::start().await;
    let (mut a, joined) = server.join("room ü", "Ana").await;
    let a_id = joined["participant"].clone();
    assert_eq!(joined["room"], "room ü");
    assert_eq!(joined["participants"], json!([]));

    let mut b = server.connect().await;
    let join = json!({"type": "join", "room": "room ü", "name": "Bo", "metadata": "{\"x\":1}"});
    let joined = b.request(join).await;
    let b_id = joined["participant"].clone();
    let ana = json!({"id": a_id, "name": "Ana", "metadata": "", "tracks": []});
    assert_eq!(joined["participants"], json!([ana]));
    let event = a.event("participant_joined").await;
    let bo = json!({"id": b_id, "name": "Bo", "metadata": "{\"x\":1}", "tracks": []});
    assert_eq!(event, json!({"type": "participant_joined", "participant": bo}));
    assert_ne!(a_id, b_id);
    for id in [&a_id, &b_id] {
        let id = id.as_str().unwrap();
        assert!(id.len() == 16 && id.bytes().all(|b| b.is_ascii_hexdigit()), "{id}");
    }

    let reply = b.request(json!({"type": "leave"})).await;
    assert_eq!(reply["type"], "ok");
    assert_eq!(b.closed().await, 1000);
    let left = a.event("participant_left").await;
    let want = json!({"type": "participant_left", "participant": b_id, "reason": "left"});
    assert_eq!(left, want);
    server.server.stop().await;
}

#[tokio::test]
async fn a_closed_socket_has_left_and_a_broken_one_is_lost() {
    let server = TestServer::start().await;
    let (mut a, _) = server.join("r", "a").await;
    let (mut b, _) = server.join("r", "b").await;
    b.socket.close(None).await.unwrap();
    assert_eq!(a.event("participant_left").await["reason"], "left");
    let (c, _) = server.join("r", "c").await;
    drop(c);
    assert_eq!(a.event("participant_left").await["reason"], "lost");
    server.server.stop().await;
}

#[tokio::test]
async fn rooms_do_not_hear_of_each_other() {
    let server = TestServer::start().await;
    let (mut a, _) = server.join("one", "a").await;
    let (_b, joined) = server.join("two", "b").await;
    assert_eq!(joined["participants"], json!([]));
    a.request(json!({"type": "ping"})).await;
    assert!(a.events.is_empty(), "{:?}", a.events);
    server.server.stop().await;
}

#[tokio::test]
async fn every_error_has_its_code() {
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    let long = "x".repeat(257);
    client.refused(json!({"type": "publish", "mid": "0", "source": "camera"}), "not_joined").await;
    client.refused(json!({"type": "leave"}), "not_joined").await;
    client.refused(json!({"type": "fly"}), "unknown_type").await;
    client.refused(json!({"type": "join", "room": "", "name": ""}), "invalid_name").await;
    client.refused(json!({"type": "join", "room": long, "name": ""}), "invalid_name").await;
    client.refused(json!({"type": "join", "room": "r", "name": long}), "invalid_name").await;
    client.refused(json!({"type": "join", "room": "r", "name": "\u{1b}[1m"}), "invalid_name").await;
    let metadata = "x".repeat(64 * 1024 + 1);
    let join = json!({"type": "join", "room": "r", "name": "n", "metadata": metadata});
    client.refused(join, "limit").await;
    assert_eq!(server.metric("sfu_rooms").await, 0.0, "no refused join leaves a room behind");

    let metadata = "x".repeat(64 * 1024);
    let name = "x".repeat(256);
    let join = json!({"type": "join", "room": name, "name": name, "metadata": metadata});
    assert_eq!(client.request(join.clone()).await["type"], "joined");
    client.refused(join, "already_joined").await;

    let (_other, joined) = server.join("other", "o").await;
    let elsewhere = &joined["participant"];
    let nobody = "0123456789abcdef";
    client.refused(json!({"type": "publish", "mid": "", "source": "camera"}), "malformed").await;
    client.refused(json!({"type": "publish", "mid": "0", "source": "tv"}), "malformed").await;
    client.refused(json!({"type": "mute", "track": nobody}), "no_such_track").await;
    client.refused(json!({"type": "unpublish", "track": "x"}), "no_such_track").await;
    client.refused(json!({"type": "subscribe", "track": nobody}), "no_such_track").await;
    let data = |to: &serde_json::Value| json!({"type": "data", "payload": "p", "to": [to]});
    client.refused(data(&json!(nobody)), "no_such_participant").await;
    client.refused(data(elsewhere), "no_such_participant").await;
    let payload = "x".repeat(64 * 1024 + 1);
    client.refused(json!({"type": "data", "payload": payload}), "limit").await;
    let to = vec![nobody; 65];
    client.refused(json!({"type": "data", "payload": "p", "to": to}), "limit").await;
    client.refused(json!({"type": "offer", "sdp": "x".repeat(65_537)}), "sdp_too_large").await;
    client.refused(json!({"type": "offer", "sdp": "hello"}), "sdp_malformed").await;

    let publish =
        |mid: usize| json!({"type": "publish", "mid": mid.to_string(), "source": "other"});
    for mid in 0..32 {
        assert_eq!(client.request(publish(mid)).await["type"], "ok");
    }
    assert_eq!(client.request(publish(31)).await["type"], "ok", "the same m-line again");
    client.refused(publish(32), "limit").await;
    server.server.stop().await;
}

#[tokio::test]
async fn what_cannot_be_read_is_answered_without_an_id() {
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    for frame in ["", "{", "null", "[1]", r#"{"type":"ping"}"#, r#"{"id":"x","type":"ping"}"#] {
        client.send(frame).await;
        let reply = client.next().await;
        assert_eq!(reply["re"], json!(null), "{frame}");
        assert_eq!(reply["code"], "malformed", "{frame}");
    }
    assert_eq!(client.request(json!({"type": "ping"})).await["type"], "pong");
    server.server.stop().await;
}

#[tokio::test]
async fn full_rooms_and_full_servers_refuse() {
    let server = TestServer::start_with(|settings| {
        settings.limits.max_rooms = 1;
        settings.limits.max_participants_per_room = 2;
    })
    .await;
    let (_a, _) = server.join("r", "a").await;
    let (_b, _) = server.join("r", "b").await;
    let mut c = server.connect().await;
    c.refused(json!({"type": "join", "room": "r", "name": "c"}), "room_full").await;
    c.refused(json!({"type": "join", "room": "s", "name": "c"}), "server_full").await;
    assert_eq!(c.closed().await, 1013);
    let response = server.post_json("/api/v1/rooms", &json!({"name": "s"})).await;
    assert_eq!(response.headers()["retry-after"], "1");
    crate::harness::assert_problem(response, 503, "server_full", "a room too many").await;
    server.server.stop().await;
}

#[tokio::test]
async fn only_own_local_and_allowed_pages_may_connect() {
    let good = || vec!["https://good.test".to_owned()];
    let server = TestServer::start_with(|settings| settings.http.allow_origin = good()).await;
    let own = format!("http://{}", server.server.http_addr);
    for (origin, is_allowed) in [
        (Some(&*own), true),
        (Some("http://localhost:5000"), true),
        (Some("https://good.test"), true),
        (None, true),
        (Some("https://good.test.evil"), false),
        (Some("https://evil.test"), false),
        (Some("null"), false),
    ] {
        let url = format!("ws://{}/ws", server.server.http_addr);
        let mut request = url.into_client_request().unwrap();
        if let Some(origin) = origin {
            request.headers_mut().insert("origin", HeaderValue::from_str(origin).unwrap());
        }
        match connect_async(request).await {
            Ok(_) => assert!(is_allowed, "{origin:?}"),
            Err(Error::Http(response)) => {
                assert_eq!((response.status().as_u16(), is_allowed), (403, false), "{origin:?}");
                let body = String::from_utf8(response.into_body().unwrap()).unwrap();
                assert!(body.contains("\"origin_refused\""), "{body}");
            }
            Err(e) => panic!("{origin:?}: {e}"),
        }
    }
    server.server.stop().await;
}

#[tokio::test]
async fn the_subprotocol_is_ours_or_none() {
    let server = TestServer::start().await;
    for (named, answered) in
        [("sfu.v1", Some("sfu.v1")), ("sfu.v2, sfu.v1", Some("sfu.v1")), ("sfu.v2", None)]
    {
        let url = format!("ws://{}/ws", server.server.http_addr);
        let mut request = url.into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(named));
        match (connect_async(request).await, answered) {
            (Ok((_, response)), Some(answered)) => {
                assert_eq!(response.headers()["sec-websocket-protocol"], answered);
                assert!(!response.headers().contains_key("sec-websocket-extensions"));
            }
            (Err(Error::Http(response)), None) => assert_eq!(response.status(), 400),
            (other, _) => panic!("{named}: {other:?}"),
        }
    }
    server.server.stop().await;
}
