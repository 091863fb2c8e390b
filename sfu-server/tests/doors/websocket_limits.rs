//! `/ws`: what ends a connection, and with which code.

use std::time::Duration;

use futures_util::SinkExt as _;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio_tungstenite::MaybeTlsStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use crate::harness::{Client, TestServer};

#[tokio::test]
async fn binary_frames_close_with_1003() {
    let server = TestServer::start().await;
    let (mut client, _) = server.join("r", "a").await;
    client.socket.send(Message::binary(vec![1, 2, 3])).await.unwrap();
    assert_eq!(client.closed().await, 1003);
    server.until_metric("sfu_rooms", 0.0).await;
    server.server.stop().await;
}

#[tokio::test]
async fn text_that_is_not_utf8_closes_with_1007() {
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    let frame = Frame::message(vec![0xff, 0xfe], OpCode::Data(Data::Text), true);
    client.socket.send(Message::Frame(frame)).await.unwrap();
    assert_eq!(client.closed().await, 1007);
    server.server.stop().await;
}

#[tokio::test]
async fn a_frame_at_the_bound_is_read_and_one_over_it_closes_with_1009() {
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    let ping = r#"{"id":1,"type":"ping"}"#;
    let padding = 256 * 1024 - ping.len();
    client.send(format!("{ping}{}", " ".repeat(padding))).await;
    assert_eq!(client.next().await["type"], "pong");
    client.send(format!("{ping}{}", " ".repeat(padding + 1))).await;
    assert_eq!(client.closed().await, 1009);
    server.server.stop().await;
}

#[tokio::test]
async fn a_fragmented_message_counts_as_a_whole() {
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    let part = vec![b' '; 100 * 1024];
    let first = Frame::message(part.clone(), OpCode::Data(Data::Text), false);
    let second = Frame::message(part, OpCode::Data(Data::Continue), false);
    for frame in [first, second.clone(), second] {
        client.socket.send(Message::Frame(frame)).await.unwrap();
    }
    assert_eq!(client.closed().await, 1009);
    server.server.stop().await;
}

#[tokio::test]
async fn frames_that_break_the_websocket_protocol_close_with_1002() {
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    let MaybeTlsStream::Plain(stream) = client.socket.get_mut() else { panic!("no TLS here") };
    // A text frame without the mask that clients must apply (RFC 6455 §5.1).
    stream.write_all(&[0x81, 0x02, b'{', b'}']).await.unwrap();
    assert_eq!(client.closed().await, 1002);
    server.server.stop().await;
}

#[tokio::test]
async fn a_connection_without_a_join_is_closed_with_4408_after_eight_seconds() {
    let server = TestServer::start().await;
    let start = tokio::time::Instant::now();
    let mut client = server.connect().await;
    // Requests do not put it off.
    client.request(json!({"type": "ping"})).await;
    assert_eq!(client.closed().await, 4408);
    assert!(start.elapsed() >= Duration::from_secs(7), "{:?}", start.elapsed());
    server.server.stop().await;
}

#[tokio::test]
async fn too_many_protocol_errors_close_with_1008() {
    let server = TestServer::start().await;
    let (mut client, _) = server.join("r", "a").await;
    for _ in 0..20 {
        client.send("nonsense").await;
        assert_eq!(client.next().await["code"], "malformed");
    }
    for _ in 0..20 {
        // The server may have closed already.
        let _ = client.socket.send(Message::text("nonsense")).await;
    }
    assert_eq!(client.closed().await, 1008);
    server.until_metric("sfu_rooms", 0.0).await;
    server.server.stop().await;
}

#[tokio::test]
async fn requests_over_the_rate_are_refused_and_then_closed_with_1008() {
    let server = TestServer::start_with(|settings| settings.limits.message_rate = 1).await;
    let (mut client, _) = server.join("r", "a").await;
    assert_eq!(client.request(json!({"type": "ping"})).await["type"], "pong");
    client.refused(json!({"type": "ping"}), "rate_limited").await;
    for _ in 0..60 {
        let _ = client.socket.send(Message::text(r#"{"id":9,"type":"ping"}"#)).await;
    }
    assert_eq!(client.closed().await, 1008);
    server.server.stop().await;
}

#[tokio::test]
async fn offers_have_a_rate_of_their_own() {
    let server = TestServer::start().await;
    let (mut client, _) = server.join("r", "a").await;
    let mut codes = Vec::new();
    for _ in 0..22 {
        let reply = client.request(json!({"type": "offer", "sdp": "x"})).await;
        codes.push(reply["code"].as_str().unwrap().to_owned());
    }
    assert_eq!(codes.iter().position(|code| code == "rate_limited"), Some(20), "{codes:?}");
    server.server.stop().await;
}

#[tokio::test]
async fn pings_are_answered_and_a_flood_of_them_closes_with_1008() {
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    for _ in 0..200 {
        let _ = client.socket.send(Message::Ping(vec![7].into())).await;
    }
    assert_eq!(client.closed().await, 1008);
    server.server.stop().await;
}

#[tokio::test]
async fn a_client_that_never_reads_is_closed_and_the_others_go_on() {
    let server = TestServer::start_with(|settings| settings.limits.message_rate = 10_000).await;
    let (_deaf, joined) = server.join("r", "deaf").await;
    let deaf = joined["participant"].clone();
    let (mut other, _) = server.join("r", "other").await;
    let slow = "sfu_refused_total{reason=\"slow_consumer\"}";

    // Everybody who comes and goes is announced with 60 KiB of metadata.
    let join = json!({"type": "join", "room": "r", "name": "x", "metadata": "x".repeat(60 * 1024)});
    let mut visits = 0;
    while server.metric(slow).await == 0.0 {
        let mut visitor = server.connect().await;
        visitor.request(join.clone()).await;
        visitor.request(json!({"type": "leave"})).await;
        other.event("participant_joined").await;
        visits += 1;
        assert!(visits < 1000, "60 MB wait for a client that does not read");
    }
    loop {
        let left = other.event("participant_left").await;
        if left["participant"] == deaf {
            assert_eq!(left["reason"], "lost");
            break;
        }
    }
    assert_eq!(other.request(json!({"type": "ping"})).await["type"], "pong");
    server.server.stop().await;
}

#[tokio::test]
async fn a_thousand_connections_leave_nothing_behind() {
    let server = TestServer::start().await;
    for round in 0..20 {
        let mut clients: Vec<Client> = Vec::new();
        for _ in 0..50 {
            let (client, _) = server.join(&format!("r{}", round % 3), "x").await;
            clients.push(client);
        }
        for (index, mut client) in clients.into_iter().enumerate() {
            if index % 2 == 0 {
                client.send(r#"{"id":1000,"type":"leave"}"#).await;
            }
        }
    }
    for metric in ["sfu_rooms", "sfu_engine_rooms", "sfu_index_entries", "sfu_websockets"] {
        server.until_metric(metric, 0.0).await;
    }
    server.until_metric("sfu_peers{state=\"other\"}", 0.0).await;
    server.until_metric("sfu_joins_total", 1000.0).await;
    server.until_metric("sfu_leaves_total", 1000.0).await;
    server.server.stop().await;
}
