//! Preferences.

use serde_json::{Value, json};

use crate::harness::TestServer;

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
