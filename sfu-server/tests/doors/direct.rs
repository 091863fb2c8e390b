//! Person to person: whom the server introduces, what it passes on, and when it ends.

use serde_json::{Value, json};

use crate::harness::{Client, TestServer, body};

/// Somebody who can do it.
async fn join(server: &TestServer, room: &str) -> (Client, String) {
    let mut client = server.connect().await;
    let joined = client.request(json!({"type": "join", "room": room, "direct": true})).await;
    assert_eq!(joined["type"], "joined", "{joined}");
    (client, joined["participant"].as_str().unwrap().to_owned())
}

async fn make_room(server: &TestServer, settings: Value) {
    let made = server.post_json("/api/v1/rooms", &settings).await;
    assert_eq!(made.status(), 201, "{settings}");
}

/// Two who have been introduced, and the epoch.
struct Pair {
    server: TestServer,
    a: Client,
    b: Client,
    epoch: u64,
}

impl Pair {
    async fn new() -> Self {
        let server = TestServer::start().await;
        make_room(&server, json!({"name": "r", "direct": true})).await;
        let (mut a, a_id) = join(&server, "r").await;
        let (mut b, b_id) = join(&server, "r").await;
        let (to_a, to_b) = (a.event("direct").await, b.event("direct").await);
        assert_eq!((&to_a["participant"], &to_b["participant"]), (&json!(b_id), &json!(a_id)));
        assert_ne!(to_a["polite"], to_b["polite"], "one of them gives way");
        assert_eq!(to_a["epoch"], to_b["epoch"]);
        let epoch = to_a["epoch"].as_u64().unwrap();
        Self { server, a, b, epoch }
    }

    /// Both say that everything arrives.
    async fn connect(&mut self) {
        let state = json!({"type": "direct_state", "epoch": self.epoch, "state": "connected"});
        for client in [&mut self.a, &mut self.b] {
            assert_eq!(client.request(state.clone()).await["type"], "ok");
        }
        for client in [&mut self.a, &mut self.b] {
            assert_eq!(client.event("direct_on").await["epoch"], self.epoch);
        }
        self.server.until_metric("sfu_rooms_direct", 1.0).await;
    }

    /// Both hear that it is over.
    async fn ended(&mut self, reason: &str) {
        for client in [&mut self.a, &mut self.b] {
            let end = client.event("direct_end").await;
            assert_eq!((&end["epoch"], &end["reason"]), (&json!(self.epoch), &json!(reason)));
        }
        assert_eq!(self.server.metric("sfu_rooms_direct").await, 0.0);
    }
}

fn signal(epoch: u64, payload: impl Into<String>) -> Value {
    json!({"type": "direct_signal", "epoch": epoch, "payload": payload.into()})
}

#[tokio::test]
async fn two_are_introduced_hear_each_other_and_go_direct_when_both_say_so() {
    let mut pair = Pair::new().await;
    let epoch = pair.epoch;
    for (text, from_a) in [("offer", true), ("answer", false)] {
        let (from, to) =
            if from_a { (&mut pair.a, &mut pair.b) } else { (&mut pair.b, &mut pair.a) };
        assert_eq!(from.request(signal(epoch, text)).await["type"], "ok");
        let want = json!({"type": "direct_signal", "epoch": epoch, "payload": text});
        assert_eq!(to.event("direct_signal").await, want);
    }
    let state = json!({"type": "direct_state", "epoch": epoch, "state": "connected"});
    assert_eq!(pair.a.request(state.clone()).await["type"], "ok");
    assert_eq!(pair.a.request(state).await["type"], "ok", "said twice, meant once");
    assert_eq!(pair.server.metric("sfu_rooms_direct").await, 0.0, "b has not said so");
    assert!(pair.a.events.iter().all(|event| event["type"] != "direct_on"));
    pair.connect().await;
    pair.server.server.stop().await;
}

#[tokio::test]
async fn a_third_one_ends_it_and_may_begin_it_again_by_leaving() {
    let mut pair = Pair::new().await;
    pair.connect().await;
    let (mut c, _) = join(&pair.server, "r").await;
    pair.ended("participants").await;
    c.refused(signal(pair.epoch, "me too"), "no_direct").await;
    pair.a.refused(signal(pair.epoch, "still there?"), "no_direct").await;
    c.request(json!({"type": "leave"})).await;
    assert!(c.events.iter().all(|event| event["type"] != "direct_signal"));
    let again = pair.a.event("direct").await;
    assert_eq!(again["epoch"], pair.epoch + 1);
    pair.b.event("direct").await;
    pair.b.refused(signal(pair.epoch, "of before"), "no_direct").await;
    pair.server.server.stop().await;
}

#[tokio::test]
async fn it_ends_when_one_leaves_and_when_the_setting_does() {
    let mut pair = Pair::new().await;
    pair.connect().await;
    let path = "/api/v1/rooms/r";
    let change = |value: Value| {
        let request = pair.server.request("PATCH", path).header("if-match", "*");
        request.header("content-type", "application/json").body(value.to_string())
    };
    let (metadata, off, on) = (
        change(json!({"metadata": "m"})),
        change(json!({"direct": false})),
        change(json!({"direct": true})),
    );
    let kept = metadata.send().await.unwrap();
    assert_eq!(body(kept).await["direct"], true, "another setting is another matter");
    assert_eq!(pair.server.metric("sfu_rooms_direct").await, 1.0);
    let shown = body(off.send().await.unwrap()).await;
    assert!(shown.get("direct").is_none(), "{shown}");
    pair.ended("settings").await;
    on.send().await.unwrap();
    pair.epoch += 1;
    assert_eq!(pair.a.event("direct").await["epoch"], pair.epoch);
    pair.b.request(json!({"type": "leave"})).await;
    let end = pair.a.event("direct_end").await;
    assert_eq!((&end["epoch"], &end["reason"]), (&json!(pair.epoch), &json!("participants")));
    pair.server.server.stop().await;
}

#[tokio::test]
async fn either_may_say_that_it_does_not_work_before_or_after() {
    for works_first in [false, true] {
        let mut pair = Pair::new().await;
        if works_first {
            pair.connect().await;
        }
        let failed = json!({"type": "direct_state", "epoch": pair.epoch, "state": "failed"});
        assert_eq!(pair.b.request(failed.clone()).await["type"], "ok");
        pair.ended("failed").await;
        pair.a.refused(failed, "no_direct").await;
        pair.server.server.stop().await;
    }
}

#[tokio::test]
async fn what_is_said_is_bounded_in_length_and_rate_and_of_this_epoch() {
    let mut pair = Pair::new().await;
    let (epoch, longest) = (pair.epoch, "x".repeat(32 * 1024));
    assert_eq!(pair.a.request(signal(epoch, longest.clone())).await["type"], "ok");
    assert_eq!(pair.b.event("direct_signal").await["payload"], longest);
    pair.a.refused(signal(epoch, longest + "x"), "limit").await;
    for wrong in [0, epoch + 1, u64::MAX] {
        pair.a.refused(signal(wrong, "?"), "no_direct").await;
        let state = json!({"type": "direct_state", "epoch": wrong, "state": "failed"});
        pair.a.refused(state, "no_direct").await;
    }
    for malformed in [
        json!({"type": "direct_signal", "epoch": epoch}),
        json!({"type": "direct_signal", "epoch": -1, "payload": ""}),
        json!({"type": "direct_signal", "epoch": epoch, "payload": {}}),
        json!({"type": "direct_signal", "epoch": epoch, "payload": "", "to": "0"}),
        json!({"type": "direct_state", "epoch": epoch, "state": "on"}),
    ] {
        pair.a.refused(malformed, "malformed").await;
    }
    let mut replies = Vec::new();
    for _ in 0..40 {
        replies.push(pair.b.request(signal(epoch, "flood")).await);
    }
    assert!(replies.iter().any(|reply| reply["code"] == "rate_limited"), "40 at once");
    assert!(replies[..20].iter().all(|reply| reply["type"] == "ok"), "20 at once are no flood");
    // Nobody lost a connection by it.
    assert_eq!(pair.a.request(json!({"type": "ping"})).await["type"], "pong");
    pair.server.server.stop().await;
}

#[tokio::test]
async fn who_cannot_or_may_not_is_not_introduced() {
    let server = TestServer::start().await;
    let mut there = Vec::new();
    // Rooms that must not, and why.
    for (settings, able) in [
        (json!({"name": "off"}), [true, true]),
        (json!({"name": "old client", "direct": true}), [true, false]),
        (json!({"name": "codecs", "direct": true, "codecs": ["vp8", "opus"]}), [true, true]),
        (json!({"name": "last", "direct": true, "video_last_n": 1}), [true, true]),
    ] {
        make_room(&server, settings.clone()).await;
        let room = settings["name"].as_str().unwrap();
        for able in able {
            let mut client = server.connect().await;
            client.request(json!({"type": "join", "room": room, "direct": able})).await;
            there.push((room.to_owned(), client));
        }
    }
    make_room(&server, json!({"name": "three", "direct": true})).await;
    for _ in 0..3 {
        there.push(("three".to_owned(), join(&server, "three").await.0));
    }
    // One that may, and was there last: once they are introduced, the others would have been.
    make_room(&server, json!({"name": "on", "direct": true, "video_last_n": 2})).await;
    let (mut a, _) = join(&server, "on").await;
    let (_b, _) = join(&server, "on").await;
    a.event("direct").await;
    for (room, client) in &mut there {
        client.refused(signal(1, "?"), "no_direct").await;
        assert!(client.events.iter().all(|event| event["type"] != "direct"), "{room}");
    }
    server.server.stop().await;
}
