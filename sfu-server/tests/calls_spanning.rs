//! One room on several workers: what is special about it. That everything else is the same there,
//! the other call tests show, each of which runs on one worker and spread over two.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod calls_common;

use std::time::Duration;

use bench::client::{HttpSession, Join, Participant};
use calls_common::{Site, VIDEO, small, source_until, watching};
use reqwest::Method;
use serde_json::{Value, json};

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

async fn join(site: &Site, name: &str) -> Participant {
    let (video, room, name) = (small(), "r".to_owned(), name.to_owned());
    Participant::join(&site.url, Join { room, name, video, ..Default::default() }).await.unwrap()
}

async fn ask(site: &Site, method: Method, path: &[&str], body: Value) {
    let url = site.url.path(path).unwrap();
    let request = site.url.http().request(method, url).header("content-type", "application/json");
    let response = request.header("if-match", "*").body(body.to_string()).send().await.unwrap();
    assert!(response.status().is_success(), "{response:?}");
}

/// Waits until a series of `/metrics` has a value.
async fn until_metric(site: &Site, series: &str, value: u64) {
    let wait = async {
        while site.metric(series).await != value {
            tokio::task::yield_now().await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, wait).await;
    assert!(waited.is_ok(), "{series} is {} and not {value}", site.metric(series).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_packet_crosses_once_for_any_number_of_viewers_and_not_for_none() {
    let site = Site::spread_over(2).await;
    // The publisher is on worker 0, and so is every other viewer.
    let mut publisher = HttpSession::publish(&site.url, "r", small(), false).await.unwrap();
    let mut viewers = Vec::new();
    for _ in 0..6 {
        viewers.push(watching(&site, "r", None).await);
    }
    assert_eq!(site.metric("sfu_rooms_spanning").await, 1);
    assert_eq!(site.metric("sfu_worker_peers{worker=\"0\"}").await, 4);
    assert_eq!(site.metric("sfu_worker_peers{worker=\"1\"}").await, 3);
    let source = publisher.camera.as_ref().unwrap().source;
    for viewer in &viewers {
        source_until(&viewer.peer, "packets", source, |s| (s.packets.len() > 60).then_some(()))
            .await;
    }
    publisher.stop();
    let sent = publisher.camera.as_ref().unwrap().sent();
    // Each worker publishes its counters in its own time.
    let counters = async {
        loop {
            let out = site.metric("sfu_relay_packets_total{dir=\"out\"}").await;
            let taken = site.metric("sfu_relay_packets_total{dir=\"in\"}").await;
            if out == taken {
                return out;
            }
        }
    };
    let crossed = tokio::time::timeout(PATIENCE, counters).await.expect("all come that left");
    assert!(crossed > 60 && crossed <= sent, "{crossed} of {sent}");

    // What another worker read came to its owner, from the first handshake on.
    assert!(site.metric("sfu_strays_total{result=\"passed_on\"}").await > 0);
    assert_eq!(site.metric("sfu_strays_total{result=\"dropped\"}").await, 0);
    assert_eq!(
        site.metric("sfu_rtp_dropped_packets_total{reason=\"dtls_from_unvalidated\"}").await,
        0
    );
    assert_eq!(
        site.metric("sfu_rtp_dropped_packets_total{reason=\"rtp_from_unvalidated\"}").await,
        0
    );

    // Viewers 0, 2 and 4 are on worker 1. Without them nothing crosses.
    for at in [4, 2, 0] {
        viewers.remove(at).close().await.unwrap();
    }
    until_metric(&site, "sfu_worker_peers{worker=\"1\"}", 0).await;
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_all_have_left_is_left_by_the_room_which_may_come_back() {
    let site = Site::spread_over(2).await;
    let ann = join(&site, "ann").await;
    let bob = join(&site, "bob").await;
    until_metric(&site, "sfu_engine_mirrors", 2).await;
    bob.leave().await.unwrap();
    until_metric(&site, "sfu_rooms_spanning", 0).await;
    until_metric(&site, "sfu_engine_rooms", 1).await;
    until_metric(&site, "sfu_engine_mirrors", 0).await;

    // The next goes to worker 0, the one after that to worker 1 again.
    let cat = join(&site, "cat").await;
    assert_eq!(site.metric("sfu_rooms_spanning").await, 0);
    let dan = join(&site, "dan").await;
    assert_eq!(site.metric("sfu_rooms_spanning").await, 1);
    let source = |of: &Participant| of.camera.as_ref().unwrap().source;
    for (of, other) in [(&dan, &ann), (&dan, &cat), (&ann, &dan), (&cat, &dan)] {
        source_until(of.peer(), "packets", source(other), |s| {
            (s.packets.len() >= 20).then_some(())
        })
        .await;
    }
    ask(&site, Method::DELETE, &["api", "v1", "rooms", "r"], json!(null)).await;
    for series in ["sfu_engine_rooms", "sfu_engine_tracks", "sfu_engine_mirrors", "sfu_addresses"] {
        until_metric(&site, series, 0).await;
    }
    for worker in 0..2 {
        until_metric(&site, &format!("sfu_worker_others_paths{{worker=\"{worker}\"}}"), 0).await;
    }
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_hold_on_every_worker_and_on_those_that_come_later() {
    let site = Site::spread_over(3).await;
    let ann = join(&site, "ann").await;
    let bob = join(&site, "bob").await;
    let room = ["api", "v1", "rooms", "r"];
    let camera = json!(ann.published(VIDEO).await.unwrap());
    ask(&site, Method::PATCH, &room, json!({"video_last_n": 0})).await;
    let is_paused = |event: &Value| {
        event["type"] == "paused" && event["track"] == camera && event["reason"] == "last_n"
    };
    bob.signalling().event("no camera", is_paused).await.unwrap();
    let cat = join(&site, "cat").await;
    assert_eq!(cat.joined["video_last_n"], 0);
    cat.signalling().event("no camera", is_paused).await.unwrap();
    ask(&site, Method::PATCH, &room, json!({"video_last_n": null})).await;
    for other in [&bob, &cat] {
        let source = ann.camera.as_ref().unwrap().source;
        source_until(other.peer(), "a camera", source, |s| (s.packets.len() > 9).then_some(()))
            .await;
    }
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mute_by_the_server_and_speakers_are_told_once_to_everybody() {
    let site = Site::spread_over(2).await;
    let ann = join(&site, "ann").await;
    let join = Join { room: "r".to_owned(), audio: true, ..Default::default() };
    let bob = Participant::join(&site.url, join).await.unwrap();
    let cat = self::join(&site, "cat").await;
    let is_bob = |event: &Value| {
        event["type"] == "speakers" && event["speakers"][0]["participant"] == json!(bob.id)
    };
    // Ann and Cat are on worker 0, Bob on worker 1.
    for of in [&ann, &bob, &cat] {
        of.signalling().event("Bob speaks", is_bob).await.unwrap();
    }
    let track = bob.published(bench::client::RtpCodecKind::Audio).await.unwrap();
    let path = ["api", "v1", "rooms", "r", "participants", &bob.id, "mute"];
    ask(&site, Method::POST, &path, json!({"track": track, "muted": true})).await;
    let is_muted = |event: &Value| {
        event["type"] == "track_muted" && event["track"] == json!(track) && event["muted"] == true
    };
    for of in [&ann, &bob, &cat] {
        of.signalling().event("muted", is_muted).await.unwrap();
    }
    let is_silent = |event: &Value| event["type"] == "speakers" && event["speakers"] == json!([]);
    for of in [&ann, &bob, &cat] {
        of.signalling().event("silence", is_silent).await.unwrap();
        let events = of.signalling().events();
        let count = |is: &dyn Fn(&Value) -> bool| events.iter().filter(|event| is(event)).count();
        assert_eq!(count(&is_muted), 1);
        // Each list differs from the one before: both engines' would come in pairs.
        let lists: Vec<_> = events.iter().filter(|event| event["type"] == "speakers").collect();
        assert!(lists.windows(2).all(|pair| pair[0] != pair[1]), "{lists:?}");
    }
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_subscribes_by_hand_to_a_track_of_another_worker() {
    let site = Site::spread_over(2).await;
    let ann = join(&site, "ann").await;
    let join = Join { room: "r".to_owned(), manual: true, ..Default::default() };
    let bob = Participant::join(&site.url, join).await.unwrap();
    let track = ann.published(VIDEO).await.unwrap();
    // Told in `joined` or afterwards, but not before one may subscribe to it.
    let is_told = |tracks: &Value| tracks.as_array().unwrap().iter().any(|t| t["track"] == track);
    if !is_told(&bob.joined["participants"][0]["tracks"]) {
        let is_published = |event: &Value| {
            event["type"] == "track_published" && event["track"]["track"] == json!(track)
        };
        bob.signalling().event("the track", is_published).await.unwrap();
    }
    bob.signalling().request(json!({"type": "subscribe", "track": track})).await.unwrap();
    let source = ann.camera.as_ref().unwrap().source;
    source_until(bob.peer(), "packets", source, |s| (s.packets.len() >= 20).then_some(())).await;
    bob.signalling().request(json!({"type": "unsubscribe", "track": track})).await.unwrap();
    let of_nobody = json!({"type": "subscribe", "track": "00000001ff000001"});
    assert!(bob.signalling().request(of_nobody).await.is_err());
    ann.signalling().request(json!({"type": "unpublish", "track": track})).await.unwrap();
    let is_over =
        |event: &Value| event["type"] == "track_unpublished" && event["track"] == json!(track);
    bob.signalling().event("its end", is_over).await.unwrap();
    until_metric(&site, "sfu_engine_mirrors", 0).await;
    site.stop().await;
}
