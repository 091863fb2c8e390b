//! What hosts do to their rooms from inside: lock them, and make networks bad in development.

use serde_json::{Value, json};

use crate::harness::{Client, TestServer, assert_problem, body};
use crate::tokens::{granting, keyed_server, keyed_server_with};
use crate::whip::{SDP, publisher, viewer};

async fn join_with(server: &TestServer, token: &str) -> (Client, Value) {
    let mut client = server.connect().await;
    let joined = client.request(json!({"type": "join", "room": "r", "token": token})).await;
    (client, joined)
}

/// Waits until `name` has left the room.
async fn until_gone(witness: &mut Client, id: &Value) {
    while witness.event("participant_left").await["participant"] != *id {}
}

#[tokio::test]
async fn a_locked_room_refuses_newcomers_at_every_door_and_tells_those_inside() {
    let server = keyed_server().await;
    let host = granting("host", json!({"roomAdmin": true}));
    let (mut host, joined) = join_with(&server, &host).await;
    assert_eq!(
        (&joined["locked"], &joined["permissions"]["room_admin"]),
        (&json!(false), &json!(true))
    );
    let (mut guest, joined) = join_with(&server, &granting("guest", json!({}))).await;
    assert_eq!(joined["permissions"]["room_admin"], false);
    let guest_id = joined["participant"].clone();

    guest.refused(json!({"type": "lock", "locked": true}), "forbidden").await;
    assert_eq!(host.request(json!({"type": "lock", "locked": true})).await["type"], "ok");
    for inside in [&mut host, &mut guest] {
        assert_eq!(inside.event("room_settings").await["locked"], true);
    }

    let late = granting("late", json!({}));
    let (mut refused, reply) = join_with(&server, &late).await;
    assert_eq!(reply["code"], "room_locked");
    assert_eq!(refused.closed().await, 4423);
    for (door, sdp) in [("/whip/r", publisher()), ("/whep/r", viewer())] {
        let request = server.request("POST", door).bearer_auth(&late);
        let response = request.header("content-type", SDP).body(sdp).send().await.unwrap();
        assert_problem(response, 409, "room_locked", door).await;
    }

    // Who was in comes back after a failure of its network, and takes its own place.
    drop(guest);
    until_gone(&mut host, &guest_id).await;
    let (_guest, joined) = join_with(&server, &granting("guest", json!({}))).await;
    assert_eq!(joined["type"], "joined", "{joined}");
    let (_guest, joined) = join_with(&server, &granting("guest", json!({}))).await;
    assert_eq!(joined["type"], "joined", "{joined}");
    // Who administers the room is let in.
    let (_other, joined) = join_with(&server, &granting("other", json!({"roomAdmin": true}))).await;
    assert_eq!(joined["locked"], true);

    assert_eq!(host.request(json!({"type": "lock", "locked": false})).await["type"], "ok");
    let (_late, joined) = join_with(&server, &late).await;
    assert_eq!(joined["type"], "joined");
    server.server.stop().await;
}

#[tokio::test]
async fn who_was_sent_away_does_not_come_back_to_a_locked_room() {
    let server = keyed_server().await;
    let host = granting("host", json!({"roomAdmin": true}));
    let (mut inside, _) = join_with(&server, &host).await;
    let (mut guest, joined) = join_with(&server, &granting("guest", json!({}))).await;
    let guest_id = joined["participant"].clone();
    inside.request(json!({"type": "lock", "locked": true})).await;
    guest.request(json!({"type": "leave"})).await;
    until_gone(&mut inside, &guest_id).await;
    let (_guest, reply) = join_with(&server, &granting("guest", json!({}))).await;
    assert_eq!(reply["code"], "room_locked", "it said that it left");
    server.server.stop().await;
}

#[tokio::test]
async fn rest_locks_a_room_where_nobody_has_a_token_too() {
    let server = TestServer::start().await;
    let made = server.post_json("/api/v1/rooms", &json!({"name": "r", "locked": true})).await;
    assert_eq!(body(made).await["locked"], true);
    let mut client = server.connect().await;
    client.refused(json!({"type": "join", "room": "r"}), "room_locked").await;
    let unlock = server.request("PATCH", "/api/v1/rooms/r").header("if-match", "*");
    let unlock = unlock.header("content-type", "application/json").body(r#"{"locked":false}"#);
    assert_eq!(body(unlock.send().await.unwrap()).await["locked"], false);
    server.join("r", "a").await;
    server.server.stop().await;
}

async fn put(server: &TestServer, id: &str, wish: &Value) -> reqwest::Response {
    let path = format!("/api/v1/rooms/r/participants/{id}/impairment");
    let request = server.request("PUT", &path).header("content-type", "application/json");
    request.body(wish.to_string()).send().await.unwrap()
}

#[tokio::test]
async fn networks_are_made_bad_where_that_is_allowed_and_nowhere_else() {
    let server = TestServer::start().await;
    let (mut a, joined) = server.join("r", "a").await;
    assert!(joined.get("impairments").is_none());
    let id = joined["participant"].as_str().unwrap();
    assert_problem(put(&server, id, &json!({})).await, 403, "forbidden", "not allowed").await;
    a.refused(json!({"type": "impair"}), "forbidden").await;
    server.server.stop().await;

    let server = TestServer::start_with(|settings| settings.media.impairments = true).await;
    let (mut a, joined) = server.join("r", "a").await;
    assert_eq!(joined["impairments"], true);
    let id = joined["participant"].as_str().unwrap();
    let path = format!("/api/v1/rooms/r/participants/{id}/impairment");
    let none = json!({"loss_percent": 0.0, "delay_ms": 0, "rate_kbps": 0, "cut_seconds": 0});
    assert_eq!(server.get_json(&path).await, json!({"downlink": none, "uplink": none}));
    let leg = json!({"loss_percent": 12.5, "delay_ms": 80, "rate_kbps": 500, "cut_seconds": 0});
    assert_eq!(put(&server, id, &json!({"downlink": leg})).await.status(), 204);
    let told = a.event("impairment").await;
    assert_eq!((&told["downlink"], &told["uplink"]), (&leg, &none));
    assert_eq!(server.get_json(&path).await["downlink"], leg);
    for (wish, status, code) in [
        (json!({"downlink": {"loss_percent": 101}}), 422, "limit"),
        (json!({"uplink": {"delay_ms": 5001}}), 422, "limit"),
        (json!({"uplink": {"rate_kbps": 7}}), 422, "limit"),
        (json!({"uplink": {"cut_seconds": 121}}), 422, "limit"),
        (json!({"uplink": {"delay_ms": -1}}), 400, "malformed"),
        (json!({"sideways": {}}), 400, "malformed"),
    ] {
        let response = put(&server, id, &wish).await;
        assert_problem(response, status, code, &wish.to_string()).await;
    }
    assert_eq!(server.get_json(&path).await["downlink"], leg, "what is refused changes nothing");
    let absent = put(&server, "0000000000000001", &json!({})).await;
    assert_problem(absent, 404, "no_such_participant", "absent").await;
    let lifted = server.request("DELETE", &path).send().await.unwrap();
    assert_eq!(lifted.status(), 204);
    assert_eq!(server.get_json(&path).await["downlink"], none);

    let own = a.request(json!({"type": "impair", "uplink": {"loss_percent": 3}})).await;
    assert_eq!(own["type"], "ok", "{own}");
    assert_eq!(server.get_json(&path).await["uplink"]["loss_percent"], 3.0);
    server.server.stop().await;
}

#[tokio::test]
async fn only_hosts_make_the_networks_of_others_bad() {
    let server = keyed_server_with(|settings| settings.media.impairments = true).await;
    let (mut host, _) = join_with(&server, &granting("host", json!({"roomAdmin": true}))).await;
    let (mut guest, joined) = join_with(&server, &granting("guest", json!({}))).await;
    let (_, other) = join_with(&server, &granting("other", json!({}))).await;
    let impair = |whose: &Value| json!({"type": "impair", "participant": whose, "downlink": {"delay_ms": 10}});
    guest.refused(impair(&other["participant"]), "forbidden").await;
    assert_eq!(guest.request(impair(&joined["participant"])).await["type"], "ok");
    assert_eq!(host.request(impair(&joined["participant"])).await["type"], "ok");
    server.server.stop().await;
}
