//! Going on where a WebSocket broke.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use crate::harness::{Client, TestServer};

/// What one who may go on has to remember.
struct Line {
    key: String,
    participant: Value,
    received: u64,
    last_id: u64,
}

impl Line {
    fn of(client: &Client, joined: &Value) -> Self {
        Self {
            key: joined["resume_key"].as_str().unwrap().to_owned(),
            participant: joined["participant"].clone(),
            received: client.received,
            last_id: client.last_id,
        }
    }

    fn request(&self) -> Value {
        json!({"type": "resume", "key": self.key, "received": self.received})
    }
}

/// A participant that may go on, and its `joined`.
async fn join(server: &TestServer, name: &str) -> (Client, Value) {
    let mut client = server.connect().await;
    let join = json!({"type": "join", "room": "r", "name": name, "resume": true});
    let joined = client.request(join).await;
    assert_eq!(joined["type"], "joined", "{joined}");
    (client, joined)
}

/// Goes on over another WebSocket.
async fn resume(server: &TestServer, line: &Line) -> (Client, Value) {
    let mut client = server.connect().await;
    // Ids go on as well.
    client.last_id = line.last_id;
    let resumed = client.request(line.request()).await;
    assert!(client.events.is_empty(), "the reply is first: {:?}", client.events);
    (client, resumed)
}

/// Messages to one's own and from `client`, in order, up to one with this payload.
async fn payloads(client: &mut Client, last: &str) -> Vec<String> {
    let mut heard = vec![];
    while heard.last().is_none_or(|payload| payload != last) {
        let event = client.event("data").await;
        heard.push(event["payload"].as_str().unwrap().to_owned());
    }
    heard
}

fn data(payload: &str) -> Value {
    json!({"type": "data", "payload": payload})
}

#[tokio::test]
async fn every_message_comes_once_and_nobody_notices() {
    let server = TestServer::start().await;
    let (mut a, joined) = join(&server, "a").await;
    let (mut b, _) = server.join("r", "b").await;
    b.request(data("1")).await;
    b.request(data("2")).await;
    a.event("participant_joined").await;
    assert_eq!(payloads(&mut a, "1").await, ["1"]);
    // "2" is under way and does not arrive; "3" comes while nobody listens.
    let line = Line::of(&a, &joined);
    assert_eq!(payloads(&mut a, "2").await, ["2"]);
    drop(a);
    b.request(data("3")).await;

    let (mut a, resumed) = resume(&server, &line).await;
    assert_eq!(resumed["type"], "resumed", "{resumed}");
    assert_eq!(resumed["last_request"], 1);
    b.request(data("4")).await;
    assert_eq!(payloads(&mut a, "4").await, ["2", "3", "4"]);
    a.request(data("from a")).await;
    let heard = b.event("data").await;
    assert_eq!((&heard["from"], &heard["payload"]), (&line.participant, &json!("from a")));
    assert!(b.events.is_empty(), "no word of it: {:?}", b.events);
    assert_eq!(server.metric("sfu_resumes_total").await, 1.0);
    server.server.stop().await;
}

#[tokio::test]
async fn a_reply_that_was_lost_comes_again_and_the_request_is_not_carried_out_twice() {
    let server = TestServer::start().await;
    let (mut a, joined) = join(&server, "a").await;
    let (mut b, _) = server.join("r", "b").await;
    a.event("participant_joined").await;
    let line = Line::of(&a, &joined);
    a.request(data("once")).await;
    drop(a);
    let (mut a, resumed) = resume(&server, &line).await;
    assert_eq!(resumed["last_request"], 2, "what was not answered, in the client's eyes");
    assert_eq!(a.next().await, json!({"re": 2, "type": "ok"}));
    a.last_id = 3;
    a.request(data("twice")).await;
    assert_eq!(payloads(&mut b, "twice").await, ["once", "twice"]);
    server.server.stop().await;
}

#[tokio::test]
async fn one_breaks_again_and_goes_on_again() {
    let server = TestServer::start().await;
    let (mut a, joined) = join(&server, "a").await;
    let (mut b, _) = server.join("r", "b").await;
    a.event("participant_joined").await;
    let mut line = Line::of(&a, &joined);
    for round in 0..5 {
        let payload = format!("round {round}");
        b.request(data(&payload)).await;
        drop(a);
        (a, _) = resume(&server, &line).await;
        assert_eq!(payloads(&mut a, &payload).await, [payload]);
        // Of this WebSocket, `hello` and the reply do not count.
        line.received += a.received - 2;
        line.last_id = a.last_id;
    }
    server.server.stop().await;
}

#[tokio::test]
async fn who_is_still_served_is_taken_from_the_old_websocket() {
    let server = TestServer::start().await;
    let (mut old, joined) = join(&server, "a").await;
    let line = Line::of(&old, &joined);
    let (mut new, resumed) = resume(&server, &line).await;
    assert_eq!(resumed["type"], "resumed", "{resumed}");
    assert!(old.next_or_closed().await.is_none(), "the old one is closed");
    assert_eq!(new.request(json!({"type": "ping"})).await["type"], "pong");
    let room = server.get_json("/api/v1/rooms/r").await;
    assert_eq!(room["participants"], 1, "{room}");
    server.server.stop().await;
}

#[tokio::test]
async fn a_websocket_given_up_is_not_a_farewell_but_a_close_is() {
    let server = TestServer::start().await;
    for (code, goes_on) in [(4000, true), (1000, false), (1001, false)] {
        let (mut a, joined) = join(&server, "a").await;
        let line = Line::of(&a, &joined);
        let frame = CloseFrame { code: code.into(), reason: "".into() };
        a.socket.send(Message::Close(Some(frame))).await.unwrap();
        while a.socket.next().await.is_some_and(|message| message.is_ok()) {}
        let (_a, reply) = resume(&server, &line).await;
        assert_eq!(reply["type"] == "resumed", goes_on, "{code}: {reply}");
    }
    server.server.stop().await;
}

#[tokio::test]
async fn there_is_nothing_to_go_on_from_for_others() {
    let server = TestServer::start().await;
    let (mut witness, _) = server.join("r", "witness").await;
    let mut stranger = server.connect().await;
    let unknown = "0123456789abcdef0123456789abcdef";
    for key in ["", "x", unknown] {
        let resume = json!({"type": "resume", "key": key, "received": 0});
        stranger.refused(resume, "no_such_session").await;
    }
    stranger.refused(json!({"type": "resume", "key": unknown}), "malformed").await;

    // Who was removed while its WebSocket was broken.
    let (a, joined) = join(&server, "a").await;
    let line = Line::of(&a, &joined);
    drop(a);
    let path = format!("/api/v1/rooms/r/participants/{}", line.participant.as_str().unwrap());
    assert_eq!(server.request("DELETE", &path).send().await.unwrap().status(), 204);
    assert_eq!(witness.event("participant_left").await["reason"], "kicked");
    stranger.refused(line.request(), "no_such_session").await;

    // Who claims to have received what was never sent: it has left by that.
    let (a, joined) = join(&server, "b").await;
    let mut line = Line::of(&a, &joined);
    line.received += 1;
    stranger.refused(line.request(), "no_such_session").await;
    assert_eq!(witness.event("participant_left").await["reason"], "lost");
    line.received -= 1;
    stranger.refused(line.request(), "no_such_session").await;

    // Who did not ask for it is told no key.
    let (_c, joined) = server.join("r", "c").await;
    assert_eq!(joined.get("resume_key"), None);

    // And one WebSocket serves one participant.
    let (a, joined) = join(&server, "d").await;
    let line = Line::of(&a, &joined);
    drop(a);
    let (mut a, _) = resume(&server, &line).await;
    a.refused(line.request(), "already_joined").await;
    server.server.stop().await;
}

#[tokio::test]
async fn who_does_not_come_back_is_lost_in_the_end() {
    let server = TestServer::start().await;
    let (mut witness, _) = server.join("r", "witness").await;
    let (a, joined) = join(&server, "a").await;
    let line = Line::of(&a, &joined);
    let since = std::time::Instant::now();
    drop(a);
    witness.patience = Duration::from_secs(30);
    assert_eq!(witness.event("participant_left").await["reason"], "lost");
    assert!(since.elapsed() > Duration::from_secs(10), "{:?}", since.elapsed());
    let mut late = server.connect().await;
    late.refused(line.request(), "no_such_session").await;
    server.server.stop().await;
}
