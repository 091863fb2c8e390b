//! The API: every status once, preconditions, pages, permissions, the server itself, and that the
//! OpenAPI document says what is true.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::{TestServer, assert_problem, body};
use crate::tokens::{ADMIN, enter, granting, keyed_server, now, token};

/// A request of the administrator, or of whoever has `credential`.
async fn ask(
    server: &TestServer,
    method: &str,
    path: &str,
    credential: &str,
    headers: &[(&str, &str)],
    sent: Option<Value>,
) -> reqwest::Response {
    let mut request = server.request(method, path);
    if !credential.is_empty() {
        request = request.header("authorization", format!("Bearer {credential}"));
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if let Some(sent) = sent {
        request = request.header("content-type", "application/json").body(sent.to_string());
    }
    request.send().await.unwrap()
}

async fn admin(server: &TestServer, method: &str, path: &str, sent: Value) -> reqwest::Response {
    let sent = Some(sent).filter(|sent| !sent.is_null());
    ask(server, method, path, ADMIN, &[("if-match", "*")], sent).await
}

#[tokio::test]
async fn of_two_changes_with_one_tag_one_passes() {
    let server = TestServer::start().await;
    let made = server.post_json("/api/v1/rooms", &json!({"name": "r"})).await;
    let tag = made.headers()["etag"].to_str().unwrap().to_owned();
    let shown = server.get("/api/v1/rooms/r").await;
    assert_eq!(shown.headers()["etag"], *tag);
    let change = |tag: String, n: u64| {
        let request = server.request("PATCH", "/api/v1/rooms/r").header("if-match", tag);
        let request = request.header("content-type", "application/json");
        request.body(json!({"max_participants": n, "metadata": "m"}).to_string()).send()
    };
    let (one, other) = tokio::join!(change(tag.clone(), 1), change(tag.clone(), 2));
    let mut statuses = [one.unwrap().status().as_u16(), other.unwrap().status().as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412]);
    let shown = server.get("/api/v1/rooms/r").await;
    let next = shown.headers()["etag"].to_str().unwrap().to_owned();
    assert_ne!(next, tag);
    assert_eq!(body(shown).await["metadata"], "m");

    // The limit is the room's own.
    assert_eq!(change(next, 1).await.unwrap().status(), 200);
    let (_a, joined) = server.join("r", "a").await;
    assert_eq!((&joined["max_participants"], &joined["metadata"]), (&json!(1), &json!("m")));
    let mut b = server.connect().await;
    b.refused(json!({"type": "join", "room": "r"}), "room_full").await;
    server.server.stop().await;
}

#[tokio::test]
async fn pages_of_rooms_together_are_all_rooms() {
    let server = TestServer::start().await;
    for n in 0..5 {
        server.post_json("/api/v1/rooms", &json!({"name": format!("room {n}")})).await;
    }
    let (mut seen, mut query) = (Vec::new(), "?limit=2".to_owned());
    loop {
        let page = server.get_json(&format!("/api/v1/rooms{query}")).await;
        let rooms = page["rooms"].as_array().unwrap();
        seen.extend(rooms.iter().map(|room| room["name"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        query = format!("?limit=2&cursor={next}");
    }
    assert_eq!(seen, ["room 0", "room 1", "room 2", "room 3", "room 4"]);
    server.server.stop().await;
}

#[tokio::test]
async fn a_moderator_changes_what_a_participant_may_do_and_is_called() {
    let server = keyed_server().await;
    let (mut ann, joined) = enter(&server, &granting("ann", json!({}))).await;
    let (mut bob, _) = enter(&server, &granting("bob", json!({}))).await;
    let id = joined["participant"].as_str().unwrap();
    let path = format!("/api/v1/rooms/r/participants/{id}");
    ann.refused(json!({"type": "update", "name": "Queen"}), "forbidden").await;
    let change = json!({"name": "Ann", "metadata": "m",
                        "permissions": {"can_publish": ["microphone"], "can_publish_data": false,
                                        "can_update_own_metadata": true}});
    let changed = admin(&server, "PATCH", &path, change).await;
    assert_eq!(changed.status(), 200);
    let shown = body(changed).await;
    assert_eq!(shown["identity"], "ann");
    assert_eq!(shown["permissions"]["can_publish"], json!(["microphone"]));

    let told = ann.event("permissions").await;
    assert_eq!(told["can_publish"], json!(["microphone"]), "{told}");
    let updated = bob.event("participant_updated").await;
    assert_eq!((&updated["name"], &updated["metadata"]), (&json!("Ann"), &json!("m")));
    ann.refused(json!({"type": "publish", "mid": "0", "source": "camera"}), "forbidden").await;
    let microphone = json!({"type": "publish", "mid": "1", "source": "microphone"});
    assert_eq!(ann.request(microphone).await["type"], "ok");
    ann.refused(json!({"type": "data", "payload": "hi"}), "forbidden").await;
    assert_eq!(ann.request(json!({"type": "update", "name": "Queen"})).await["type"], "ok");
    assert_eq!(bob.event("participant_updated").await["name"], "Queen");

    // A moderator's token is for its room.
    let moderator = token(json!({"video": {"room": "r", "roomAdmin": true}}));
    let list = |room: &'static str| {
        let path = format!("/api/v1/rooms/{room}/participants");
        let server = &server;
        let moderator = &moderator;
        async move { ask(server, "GET", &path, moderator, &[], None).await }
    };
    assert_eq!(body(list("r").await).await["participants"].as_array().map(Vec::len), Some(2));
    assert_problem(list("s").await, 403, "forbidden", "another room").await;

    let data = json!({"payload": "news", "to": [id]});
    assert_eq!(admin(&server, "POST", "/api/v1/rooms/r/data", data).await.status(), 204);
    let told = ann.event("data").await;
    assert_eq!((&told["payload"], &told["from"]), (&json!("news"), &Value::Null));
    let gone = json!({"payload": "news", "to": ["0123456789abcdef"]});
    let refused = admin(&server, "POST", "/api/v1/rooms/r/data", gone).await;
    assert_problem(refused, 404, "no_such_participant", "data to nobody").await;
    let subscriptions = format!("{path}/subscriptions");
    let none = admin(&server, "PUT", &subscriptions, json!({"tracks": []})).await;
    assert_eq!(none.status(), 204);
    let unknown = json!({"tracks": ["0123456789abcdef"]});
    let refused = admin(&server, "PUT", &subscriptions, unknown).await;
    assert_problem(refused, 404, "no_such_track", "no such track").await;
    server.server.stop().await;
}

#[tokio::test]
async fn a_minted_token_lets_in_and_the_node_says_who_is_there() {
    let server = keyed_server().await;
    let wanted = json!({"room": "r", "identity": "ann", "name": "Ann", "ttl_seconds": 60,
                        "can_publish": ["screen"], "hidden": false});
    let minted = body(admin(&server, "POST", "/api/v1/tokens", wanted).await).await;
    let expires_at = minted["expires_at"].as_u64().unwrap();
    assert!((now() + 50..=now() + 60).contains(&expires_at));
    let (_ann, joined) = enter(&server, minted["token"].as_str().unwrap()).await;
    assert_eq!(joined["permissions"]["can_publish"], json!(["screen"]));
    let node = body(admin(&server, "GET", "/api/v1/node", Value::Null).await).await;
    assert_eq!((&node["rooms"], &node["participants"]), (&json!(1), &json!(1)));
    assert_eq!(node["version"], env!("CARGO_PKG_VERSION"));
    server.server.stop().await;

    let open = TestServer::start().await;
    let wanted = json!({"room": "r", "identity": "ann"});
    let refused = open.post_json("/api/v1/tokens", &wanted).await;
    assert_problem(refused, 409, "no_keys", "without keys").await;
    open.server.stop().await;
}

#[tokio::test]
async fn the_document_names_every_route_and_its_page_loads_nothing_from_elsewhere() {
    let server = TestServer::start().await;
    let document: Value = body(server.get("/api/v1/openapi.json").await).await;
    assert_eq!(document["openapi"], "3.1.0");
    let statuses: BTreeSet<&str> = document["paths"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|methods| methods.as_object().unwrap().values())
        .flat_map(|operation| operation["responses"].as_object().unwrap().keys())
        .map(String::as_str)
        .collect();
    for status in ["400", "401", "403", "404", "406", "408", "409", "412", "413", "415", "422"] {
        assert!(statuses.contains(status), "{status}");
    }
    for (path, content_type) in [
        ("/docs", "text/html; charset=utf-8"),
        ("/docs/page.js", "text/javascript; charset=utf-8"),
        ("/docs/page.css", "text/css; charset=utf-8"),
    ] {
        let response = server.get(path).await;
        assert_eq!(response.headers()["content-type"], content_type);
        let policy = response.headers()["content-security-policy"].to_str().unwrap().to_owned();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"));
        let text = response.text().await.unwrap();
        assert!(!text.contains("//cdn") && !text.contains("https://"), "{path}");
    }
    server.server.stop().await;
}
