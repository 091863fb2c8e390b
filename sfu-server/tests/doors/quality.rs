//! Preferences, room settings, and what explains decisions.

use serde_json::{Value, json};

use crate::harness::{TestServer, assert_problem, body};

impl TestServer {
    async fn patch(&self, path: &str, change: &Value) -> reqwest::Response {
        let request = self.request("PATCH", path).header("content-type", "application/json");
        request.header("if-match", "*").body(change.to_string()).send().await.unwrap()
    }
}

#[tokio::test]
async fn preferences_are_answered_with_the_tracks_that_are_gone() {
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    let gone = ["0000000100000001", "0000000100000002"];
    let prefer = json!({"type": "prefer", "preferences": [
        {"track": gone[1], "quality": "low", "max_width": 320, "max_height": 180},
        {"track": gone[0], "visible": false},
        {"track": gone[1], "pinned": true},
    ]});
    client.refused(prefer.clone(), "not_joined").await;
    let join = json!({"type": "join", "room": "r"});
    assert_eq!(client.request(join).await["type"], "joined");
    let reply = client.request(prefer).await;
    assert_eq!(reply, json!({"re": 3, "type": "ok", "ignored": gone}), "each once");

    let entries: Vec<Value> =
        (0..251).map(|n| json!({"track": format!("{:016x}", n + 1)})).collect();
    let prefer = |entries: &[Value]| json!({"type": "prefer", "preferences": entries});
    let reply = client.request(prefer(&entries[..250])).await;
    assert_eq!(reply["ignored"].as_array().map(Vec::len), Some(250), "{reply}");
    client.refused(prefer(&entries), "limit").await;
    client.refused(prefer(&[]), "malformed").await;
    client.refused(prefer(&[json!({"track": "x"})]), "no_such_track").await;
    client.refused(prefer(&[json!({"track": gone[0], "priority": 256})]), "malformed").await;
    client.refused(prefer(&[json!([gone[0]])]), "malformed").await;
    client.refused(json!({"type": "prefer"}), "malformed").await;
    server.server.stop().await;
}

#[tokio::test]
async fn a_room_shows_its_settings_and_everybody_hears_of_a_change() {
    let server = TestServer::start().await;
    let path = "/api/v1/rooms/r";
    let new = json!({"name": "r", "video_last_n": 9, "audio_last_n": null});
    let created = server.post_json("/api/v1/rooms", &new).await;
    assert_eq!(created.status(), 201);
    let room = body(created).await;
    let want = json!({"name": "r", "participants": 0, "viewers": 0, "tracks": 0,
                      "empty_timeout": 300, "video_last_n": 9, "locked": false});
    assert_eq!(room, want);
    let again = json!({"name": "r", "video_last_n": 1});
    assert_eq!(body(server.post_json("/api/v1/rooms", &again).await).await, want, "left as it is");

    let (mut a, joined) = server.join("r", "a").await;
    assert_eq!(joined["video_last_n"], 9);
    assert_eq!(joined.get("audio_last_n"), None);

    let changed = server.patch(path, &json!({"audio_last_n": 3, "video_last_n": null})).await;
    assert_eq!(changed.status(), 200);
    let want = json!({"name": "r", "participants": 1, "viewers": 0, "tracks": 0,
                      "empty_timeout": 300, "audio_last_n": 3, "locked": false});
    assert_eq!(body(changed).await, want);
    assert_eq!(server.get_json(path).await, want);
    let event = a.event("room_settings").await;
    let want = json!({"type": "room_settings", "audio_last_n": 3, "locked": false});
    assert_eq!(event, want);

    let over = server.patch(path, &json!({"audio_last_n": 1, "video_last_n": 1001})).await;
    assert_problem(over, 422, "limit", "over the bound").await;
    assert_eq!(server.get_json(path).await, want, "neither of the two");

    // What changes nothing is no news.
    for same in [json!({}), json!({"audio_last_n": 3}), json!({"video_last_n": null})] {
        assert_eq!(body(server.patch(path, &same).await).await, want);
    }
    assert_eq!(
        body(server.patch(path, &json!({"video_last_n": 0})).await).await["video_last_n"],
        0
    );
    let event = a.event("room_settings").await;
    assert_eq!((&event["audio_last_n"], &event["video_last_n"]), (&json!(3), &json!(0)));
    server.server.stop().await;
}

#[tokio::test]
async fn of_two_changes_at_a_time_none_is_lost() {
    let server = TestServer::start().await;
    let path = "/api/v1/rooms/r";
    server.post_json("/api/v1/rooms", &json!({"name": "r"})).await;
    for round in 0..20 {
        let none = json!({"audio_last_n": null, "video_last_n": null});
        server.patch(path, &none).await;
        let (audio, video) = (json!({"audio_last_n": round}), json!({"video_last_n": round}));
        tokio::join!(server.patch(path, &audio), server.patch(path, &video));
        let room = server.get_json(path).await;
        assert_eq!((&room["audio_last_n"], &room["video_last_n"]), (&json!(round), &json!(round)));
    }
    server.server.stop().await;
}

#[tokio::test]
async fn the_engine_is_told_of_settings_when_there_are_some_and_when_they_change() {
    let server = TestServer::start().await;
    let commands = "sfu_commands_total";
    // One command makes a room.
    server.post_json("/api/v1/rooms", &json!({"name": "plain"})).await;
    server.until_metric(commands, 1.0).await;
    server.post_json("/api/v1/rooms", &json!({"name": "set", "audio_last_n": 0})).await;
    server.until_metric(commands, 3.0).await;
    server.patch("/api/v1/rooms/set", &json!({"audio_last_n": 0})).await;
    server.patch("/api/v1/rooms/plain", &json!({"video_last_n": null})).await;
    server.patch("/api/v1/rooms/plain", &json!({"video_last_n": 4})).await;
    server.until_metric(commands, 4.0).await;
    server.server.stop().await;
}

#[tokio::test]
async fn a_change_of_settings_keeps_no_room() {
    let server = TestServer::start().await;
    let (mut a, _) = server.join("r", "a").await;
    assert_eq!(server.patch("/api/v1/rooms/r", &json!({"audio_last_n": 1})).await.status(), 200);
    a.request(json!({"type": "leave"})).await;
    for metric in ["sfu_rooms", "sfu_engine_rooms", "sfu_index_entries"] {
        server.until_metric(metric, 0.0).await;
    }
    let gone = server.patch("/api/v1/rooms/r", &json!({"audio_last_n": 1})).await;
    assert_problem(gone, 404, "no_such_room", "gone").await;
    assert_eq!(server.metric("sfu_rooms").await, 0.0);
    server.server.stop().await;
}

#[tokio::test]
async fn decisions_are_a_document_and_records_are_lines() {
    let server = TestServer::start().await;
    let (_a, joined) = server.join("r é", "a").await;
    let id = joined["participant"].as_str().unwrap();
    let path = format!("/api/v1/rooms/r%20%C3%A9/participants/{id}/decisions");
    let response = server.get(&path).await;
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(response.headers()["vary"], "Accept");
    let document = body(response).await;
    assert!(document["now_ms"].as_f64().is_some_and(|now| now > 0.0), "{document}");
    assert!(document["estimate"]["target_bps"].is_u64(), "{document}");
    assert_eq!(document["subscriptions"], json!([]), "{document}");
    assert!(document["records"].is_array(), "{document}");
    for field in ["allocated_bps", "wanted_bps"] {
        assert!(document[field].is_u64(), "{document}");
    }

    let lines = "application/x-ndjson";
    for (path, accept, content_type) in [
        (path.clone(), lines, lines),
        (format!("{path}/records"), "*/*", lines),
        (path.clone(), "application/x-ndjson;q=0.5, application/json", "application/json"),
        (path.clone(), "application/x-ndjson, */*;q=0.1", lines),
    ] {
        let response = server.request("GET", &path).header("accept", accept).send().await.unwrap();
        assert_eq!(response.status(), 200, "{accept}");
        assert_eq!(response.headers()["content-type"], content_type, "{path} {accept}");
    }
    for accept in ["text/html", "\""] {
        let response = server.request("GET", &path).header("accept", accept).send().await.unwrap();
        assert_problem(response, 406, "not_acceptable", accept).await;
    }

    let nobody = path.replace(id, "0123456789abcdef");
    for (path, code) in [
        (nobody.clone(), "no_such_participant"),
        (path.replace(id, "x"), "no_such_participant"),
        (path.replace("r%20%C3%A9", "s"), "no_such_room"),
    ] {
        for path in [format!("{path}/records"), path] {
            assert_problem(server.get(&path).await, 404, code, &path).await;
        }
    }
    let posted = server.post_json(&path, &json!({})).await;
    assert_problem(posted, 405, "method_not_allowed", "POST").await;
    server.server.stop().await;
}
