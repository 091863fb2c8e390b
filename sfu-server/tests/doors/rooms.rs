//! REST: rooms and participants.

use serde_json::json;

use crate::harness::{TestServer, assert_problem, body};

#[tokio::test]
async fn a_room_is_made_shown_and_deleted() {
    let server = TestServer::start().await;
    let created = server.post_json("/api/v1/rooms", &json!({"name": "café 1"})).await;
    assert_eq!(created.status(), 201);
    assert_eq!(created.headers()["location"], "/api/v1/rooms/caf%C3%A9%201");
    let room = body(created).await;
    let want = json!({"name": "café 1", "participants": 0, "viewers": 0, "tracks": 0,
                      "empty_timeout": 300, "locked": false});
    assert_eq!(room, want);

    let again = json!({"name": "café 1", "empty_timeout": 1});
    let again = server.post_json("/api/v1/rooms", &again).await;
    assert_eq!(again.status(), 200);
    assert_eq!(body(again).await, want, "an existing room stays as it is");
    assert_eq!(server.get_json("/api/v1/rooms/caf%C3%A9%201").await, want);
    assert_eq!(server.get_json("/api/v1/rooms").await, json!({"rooms": [want]}));

    let delete = || server.request("DELETE", "/api/v1/rooms/caf%C3%A9%201").send();
    assert_eq!(delete().await.unwrap().status(), 204);
    assert_problem(delete().await.unwrap(), 404, "no_such_room", "twice").await;
    assert_eq!(server.get_json("/api/v1/rooms").await, json!({"rooms": []}));
    server.until_metric("sfu_engine_rooms", 0.0).await;
    server.server.stop().await;
}

#[tokio::test]
async fn an_empty_room_goes_when_its_time_is_over_and_not_before() {
    let server = TestServer::start().await;
    server.post_json("/api/v1/rooms", &json!({"name": "short", "empty_timeout": 1})).await;
    server.post_json("/api/v1/rooms", &json!({"name": "long"})).await;
    let (mut client, _) = server.join("short", "a").await;
    assert_eq!(server.metric("sfu_rooms").await, 2.0);
    client.request(json!({"type": "leave"})).await;
    assert_eq!(client.closed().await, 1000);
    server.until_metric("sfu_rooms", 1.0).await;
    assert_eq!(server.get("/api/v1/rooms/long").await.status(), 200);
    server.until_metric("sfu_engine_rooms", 1.0).await;
    server.server.stop().await;
}

#[tokio::test]
async fn a_room_made_by_a_join_goes_with_the_last_participant() {
    let server = TestServer::start().await;
    let (mut a, _) = server.join("r", "a").await;
    let (b, _) = server.join("r", "b").await;
    server.until_metric("sfu_engine_rooms", 1.0).await;
    drop(b);
    assert_eq!(a.event("participant_left").await["reason"], "lost");
    a.request(json!({"type": "leave"})).await;
    for metric in ["sfu_rooms", "sfu_engine_rooms", "sfu_index_entries", "sfu_websockets"] {
        server.until_metric(metric, 0.0).await;
    }
    server.until_metric("sfu_joins_total", 2.0).await;
    server.until_metric("sfu_leaves_total", 2.0).await;
    server.server.stop().await;
}

#[tokio::test]
async fn participants_are_listed_shown_and_kicked() {
    let server = TestServer::start().await;
    let (mut a, joined) = server.join("r", "Ana").await;
    let (mut b, _) = server.join("r", "Bo").await;
    let id = joined["participant"].as_str().unwrap();
    let list = server.get_json("/api/v1/rooms/r/participants").await;
    assert_eq!(list["participants"].as_array().unwrap().len(), 2);
    let path = format!("/api/v1/rooms/r/participants/{id}");
    let shown = server.get_json(&path).await;
    assert_eq!(shown["id"], id);
    assert_eq!(shown["name"], "Ana");
    assert_eq!(shown["door"], "web_socket");
    assert_eq!(shown["tracks"], json!([]));

    let mute = json!({"track": "0123456789abcdef", "muted": true});
    let response = server.post_json(&format!("{path}/mute"), &mute).await;
    assert_problem(response, 404, "no_such_track", "mute of nothing").await;

    let kick = || server.request("DELETE", &path).send();
    assert_eq!(kick().await.unwrap().status(), 204);
    assert_eq!(a.closed().await, 4403);
    let left = b.event("participant_left").await;
    assert_eq!((&left["participant"], &left["reason"]), (&json!(id), &json!("kicked")));
    assert_problem(kick().await.unwrap(), 404, "no_such_participant", "twice").await;
    server.server.stop().await;
}

#[tokio::test]
async fn a_deleted_room_sends_everybody_away() {
    let server = TestServer::start().await;
    let (mut a, _) = server.join("r", "a").await;
    let (mut b, _) = server.join("r", "b").await;
    let deleted = server.request("DELETE", "/api/v1/rooms/r").send().await.unwrap();
    assert_eq!(deleted.status(), 204);
    assert_eq!(a.closed().await, 4410);
    assert_eq!(b.closed().await, 4410);
    // The name is free at once.
    let _c = server.join("r", "c").await;
    server.until_metric("sfu_engine_rooms", 1.0).await;
    server.server.stop().await;
}
