//! What clients see when the server stops.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::TestServer;

#[tokio::test]
async fn clients_are_told_and_everything_ends_in_a_few_seconds() {
    let server = TestServer::start().await;
    let (mut a, _) = server.join("r", "a").await;
    let (mut b, _) = server.join("s", "b").await;
    let mut waiting = server.connect().await;
    let addr = server.server.http_addr;
    let start = Instant::now();
    let stopping = tokio::spawn(server.server.stop());
    for client in [&mut a, &mut b] {
        assert_eq!(client.event("draining").await, json!({"type": "draining"}));
        assert_eq!(client.closed().await, 1001);
    }
    assert_eq!(waiting.closed().await, 1001, "one that has not joined is told as well");
    stopping.await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    let refused = tokio::net::TcpStream::connect(addr).await;
    assert!(refused.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn c32_while_draining_nothing_new_is_accepted() {
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    server.server.refuse_joins();
    let ready = server.get("/readyz").await;
    assert_eq!(ready.headers()["retry-after"], "1");
    crate::harness::assert_problem(ready, 503, "draining", "readyz").await;
    assert_eq!(server.get("/livez").await.status(), 200);
    assert_eq!(server.metric("sfu_draining").await, 1.0);
    let post = server.post_json("/api/v1/rooms", &json!({"name": "r"})).await;
    crate::harness::assert_problem(post, 503, "draining", "a room").await;
    for path in ["/whip/r", "/whep/r"] {
        let request = server.request("POST", path).header("content-type", "application/sdp");
        let response = request.body("v=0").send().await.unwrap();
        assert_eq!(response.headers()["retry-after"], "1");
        crate::harness::assert_problem(response, 503, "draining", path).await;
    }
    client.refused(json!({"type": "join", "room": "r", "name": "n"}), "draining").await;
    assert_eq!(client.closed().await, 1001);
    server.server.stop().await;
}

#[tokio::test]
async fn a_drain_tells_everybody_once_and_waits_until_they_have_left() {
    let server = TestServer::start().await;
    let (mut a, _) = server.join("r", "a").await;
    let (mut b, _) = server.join("s", "b").await;
    let start = Instant::now();
    let drain = server.server.drain(Duration::from_secs(60));
    let course = async {
        for client in [&mut a, &mut b] {
            assert_eq!(client.event("draining").await, json!({"type": "draining"}));
        }
        assert_eq!(server.get("/readyz").await.status(), 503);
        // Who is in goes on.
        assert_eq!(a.request(json!({"type": "ping"})).await["type"], "pong");
        drop((a, b));
    };
    tokio::join!(drain, course);
    assert!(start.elapsed() < Duration::from_secs(30), "it did not wait for the deadline");
    server.server.stop().await;
}

#[tokio::test]
async fn a_server_that_is_to_end_takes_nobody_again() {
    let server = TestServer::start().await;
    let undrain = || server.request("DELETE", "/api/v1/drain").send();
    for _ in 0..2 {
        let drained = server.request("POST", "/api/v1/drain").send().await.unwrap();
        assert_eq!(crate::harness::body(drained).await["draining"], true);
        assert_eq!(undrain().await.unwrap().status(), 200, "by request it drains and drains not");
        assert_eq!(server.get("/readyz").await.status(), 200);
    }
    // As SIGTERM does it.
    server.server.drain(Duration::ZERO).await;
    let refused = undrain().await.unwrap();
    assert_eq!(refused.headers()["retry-after"], "1");
    crate::harness::assert_problem(refused, 503, "draining", "to undrain").await;
    assert_eq!(server.get("/readyz").await.status(), 503);
    server.server.stop().await;
}

#[tokio::test]
async fn a_drain_ends_at_its_deadline() {
    let server = TestServer::start().await;
    let (mut a, _) = server.join("r", "a").await;
    server.server.drain(Duration::from_millis(300)).await;
    assert_eq!(a.request(json!({"type": "ping"})).await["type"], "pong", "nobody was cut off yet");
    let stopping = tokio::spawn(server.server.stop());
    assert_eq!(a.closed().await, 1001);
    stopping.await.unwrap();
}

#[tokio::test]
async fn a_full_server_refuses_joins_and_keeps_who_is_in() {
    let server = TestServer::start().await;
    let (mut a, _) = server.join("r", "a").await;
    let mut late = server.connect().await;
    let mut settings = sfu_server::config::Settings::default();
    settings.limits.max_load = 0;
    server.server.reload(&settings).unwrap();
    while server.get("/readyz").await.status() == 200 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let ready = server.get("/readyz").await;
    crate::harness::assert_problem(ready, 503, "overloaded", "readyz").await;
    let request = server.request("POST", "/whip/r").header("content-type", "application/sdp");
    let response = request.body("v=0").send().await.unwrap();
    assert_eq!(response.headers()["retry-after"], "1");
    crate::harness::assert_problem(response, 503, "overloaded", "whip").await;
    late.refused(json!({"type": "join", "room": "r", "name": "n"}), "overloaded").await;
    assert!(server.metric("sfu_refused_total{reason=\"overload\"}").await >= 2.0);
    assert_eq!(a.request(json!({"type": "ping"})).await["type"], "pong");

    settings.limits.max_load = 100;
    server.server.reload(&settings).unwrap();
    while server.get("/readyz").await.status() != 200 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    server.server.stop().await;
}
