//! Life in a room: messages, mute, preferences, removal, coming and going.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[macro_use]
mod calls_common;

use bench::client::{HttpSession, Join, Participant, RtpCodecKind, ServerUrl, Signalling, until};
use bench::run::churn;
use calls_common::{Site, small, source_until, stream_until, watching};
use serde_json::{Value, json};

async fn join(url: &ServerUrl, name: &str) -> Participant {
    let join = Join { room: "r".to_owned(), name: name.to_owned(), ..Default::default() };
    Participant::join(url, join).await.unwrap()
}

on_one_worker_and_on_two!(messages_reach_those_they_are_for);
async fn messages_reach_those_they_are_for(site: Site) {
    let ann = join(&site.url, "ann").await;
    let bob = join(&site.url, "bob").await;
    let cat = join(&site.url, "cat").await;

    ann.say("reliable", "to all").await.unwrap();
    for other in [&bob, &cat] {
        let message = other.message("the broadcast", |m| m.payload == b"to all").await.unwrap();
        assert!(
            message.text && message.label == "reliable" && message.from == ann.id,
            "{message:?}"
        );
    }
    ann.send("reliable", &[&bob.id], b"to bob").await.unwrap();
    ann.send("reliable", &[], b"the end").await.unwrap();
    for other in [&bob, &cat] {
        let message = other.message("the end", |m| m.payload == b"the end").await.unwrap();
        assert!(!message.text && message.from == ann.id);
    }
    // The channel is ordered: what came before the end has come, or never will.
    let to_bob = |of: &Participant| of.messages().iter().filter(|m| m.payload == b"to bob").count();
    assert_eq!((to_bob(&bob), to_bob(&cat)), (1, 0));
    assert_eq!(ann.messages(), [], "one does not hear oneself");

    let from_socket = json!({"type": "data", "payload": "by socket", "to": [cat.id]});
    ann.signalling().request(from_socket).await.unwrap();
    let message = cat.message("a message by socket", |m| m.payload == b"by socket").await.unwrap();
    assert!(message.text && message.label == "reliable" && message.from == ann.id);
    assert!(bob.messages().iter().all(|m| m.payload != b"by socket"));
    site.stop().await;
}

on_one_worker_and_on_two!(lossy_messages_keep_to_their_channel);
async fn lossy_messages_keep_to_their_channel(site: Site) {
    let ann = join(&site.url, "ann").await;
    let bob = join(&site.url, "bob").await;
    // They may be lost, so one keeps sending.
    for n in 0..1000 {
        ann.send("lossy", &[&bob.id], format!("lossy {n}").as_bytes()).await.unwrap();
        if !bob.messages().is_empty() {
            break;
        }
        tokio::task::yield_now().await;
    }
    let message =
        bob.message("a lossy message", |m| m.payload.starts_with(b"lossy")).await.unwrap();
    assert_eq!((message.label.as_str(), message.from), ("lossy", ann.id.clone()));
    site.stop().await;
}

on_one_worker_and_on_two!(one_without_a_data_channel_gets_messages_by_socket);
async fn one_without_a_data_channel_gets_messages_by_socket(site: Site) {
    let listener = Signalling::connect(&site.url, None).await.unwrap();
    let request = json!({"type": "join", "room": "r", "name": "listener"});
    listener.request(request).await.unwrap();
    let ann = join(&site.url, "ann").await;
    ann.say("reliable", "hello").await.unwrap();
    let event = listener.event("the message", |event| event["type"] == "data").await.unwrap();
    assert_eq!(event["payload"], "hello");
    assert_eq!(event["from"], json!(ann.id));
    assert_eq!(event["reliable"], true);
    site.stop().await;
}

on_one_worker_and_on_two!(a_muted_track_is_silent_and_comes_back_with_a_key_frame);
async fn a_muted_track_is_silent_and_comes_back_with_a_key_frame(site: Site) {
    let request = Join { room: "r".to_owned(), video: small(), ..Default::default() };
    let ann = Participant::join(&site.url, request).await.unwrap();
    let viewer = watching(&site, "r", Some(&ann.id)).await;
    let camera = ann.camera.as_ref().unwrap();
    let track = ann.published(RtpCodecKind::Video).await.unwrap();

    ann.signalling().request(json!({"type": "mute", "track": track})).await.unwrap();
    let muted_at = camera.sent();
    until("a second of muted video", || (camera.sent() > muted_at + 60).then_some(()))
        .await
        .unwrap();
    let highest =
        source_until(&viewer.peer, "bounds", camera.source, |s| s.packets.bounds()).await.1;
    assert!(highest <= muted_at, "packet {highest} came, muted after {muted_at}");

    ann.signalling().request(json!({"type": "unmute", "track": track})).await.unwrap();
    stream_until(&viewer.peer, "more key frames", true, |stream| {
        (stream.frames.keyframes >= 2).then_some(())
    })
    .await;
    source_until(&viewer.peer, "packets again", camera.source, |source| {
        source.packets.bounds().filter(|(_, last)| *last > muted_at + 90).map(drop)
    })
    .await;
    stream_until(&viewer.peer, "no gap in the line", true, |stream| {
        assert_eq!(stream.numbers.missing(), 0);
        (stream.frames.decodable == stream.frames.complete).then_some(())
    })
    .await;
    site.stop().await;
}

on_one_worker_and_on_two!(what_one_prefers_is_taken_told_and_explained);
async fn what_one_prefers_is_taken_told_and_explained(site: Site) {
    let request = Join { room: "r".to_owned(), video: small(), ..Default::default() };
    let ann = Participant::join(&site.url, request).await.unwrap();
    let bob = join(&site.url, "bob").await;
    let track = ann.published(RtpCodecKind::Video).await.unwrap();
    let prefer = |quality| {
        json!({"type": "prefer", "preferences": [
            {"track": track, "quality": quality, "max_width": 320, "max_height": 180, "priority": 7},
        ]})
    };
    // Where, at `from` or later, Bob was told this of the track. Bandwidth may pause it as well.
    let told = async |from: usize, what: &str, field: &str, value: Value| {
        let is_told = |event: &Value| {
            event["type"] == what && event["track"] == json!(track) && event[field] == value
        };
        let events = || bob.signalling().events();
        let at = until(what, || Some(from + events().iter().skip(from).position(is_told)?));
        at.await.unwrap_or_else(|error| panic!("{error}: {:#?}", events()))
    };
    let subscription = async || {
        let path = ["api", "v1", "rooms", "r", "participants", &bob.id, "decisions"];
        let decisions: Value = serde_json::from_str(&site.url.get(&path).await.unwrap()).unwrap();
        decisions["subscriptions"][0].clone()
    };
    told(0, "layer", "encoding", json!(0)).await;

    let reply = ann.signalling().request(prefer("off")).await.unwrap();
    assert_eq!(reply["ignored"], json!([track]), "one's own");
    let reply = bob.signalling().request(prefer("off")).await.unwrap();
    assert_eq!(reply["ignored"], json!([]));
    let paused = told(0, "paused", "reason", json!("off")).await;
    let off = subscription().await;
    assert_eq!((&off["granted"], &off["reason"]), (&json!(null), &json!("off")), "{off}");
    assert_eq!(off["track"], json!(track), "by the name that everybody knows");
    let preference = json!({"quality": "off", "max_width": 320, "max_height": 180, "max_fps": null,
                            "priority": 7, "pinned": false, "visible": true});
    assert_eq!(off["preference"], preference);

    bob.signalling().request(prefer("auto")).await.unwrap();
    let resumed = told(paused, "resumed", "type", json!("resumed")).await;
    told(resumed, "layer", "encoding", json!(0)).await;
    assert_eq!(subscription().await["preference"]["quality"], "auto");

    ann.leave().await.unwrap();
    let reply = bob.signalling().request(prefer("auto")).await.unwrap();
    assert_eq!(reply["ignored"], json!([track]), "it is gone");
    site.stop().await;
}

on_one_worker_and_on_two!(one_who_is_removed_is_told_and_so_are_the_others);
async fn one_who_is_removed_is_told_and_so_are_the_others(site: Site) {
    let ann = join(&site.url, "ann").await;
    let bob = join(&site.url, "bob").await;
    let path = site.url.path(&["api", "v1", "rooms", "r", "participants", &bob.id]).unwrap();
    let response = site.url.http().delete(path).send().await.unwrap();
    assert!(response.status().is_success(), "{response:?}");
    assert_eq!(bob.signalling().closed().await.unwrap(), Some(4403));
    let left = |event: &serde_json::Value| event["type"] == "participant_left";
    let event = ann.signalling().event("bob is gone", left).await.unwrap();
    assert_eq!((&event["participant"], &event["reason"]), (&json!(bob.id), &json!("kicked")));
    site.stop().await;
}

on_one_worker_and_on_two!(a_goodbye_on_the_media_path_alone_ends_a_session);
async fn a_goodbye_on_the_media_path_alone_ends_a_session(site: Site) {
    let publisher = HttpSession::publish(&site.url, "r", small(), false).await.unwrap();
    let viewer = watching(&site, "r", None).await;
    viewer.peer.close().await.unwrap();
    publisher.peer.close().await.unwrap();
    assert_empty(&churn::emptied(&site.url).await.unwrap());
    site.stop().await;
}

on_one_worker_and_on_two!(a_hundred_joins_leave_nothing_behind);
async fn a_hundred_joins_leave_nothing_behind(site: Site) {
    let left = churn::come_and_go(&site.url, 100, 4).await.unwrap();
    assert_empty(&left);
    site.stop().await;
}

fn assert_empty(gauges: &[(String, f64)]) {
    assert!(gauges.len() >= 3, "the gauges are there: {gauges:?}");
    assert!(gauges.iter().all(|(_, value)| *value == 0.0), "{gauges:?}");
}
