//! Who is sent away while still on the way in: the kick, or the end of the room, may come between
//! any two steps of a join, and nothing of the participant may stay behind.

use serde_json::json;

use crate::harness::{Client, TestServer};

/// Joins by WebSocket that meet a kick, each at another moment.
const JOINS: usize = 40;

/// What came of a join that was not waited for: the reply's type if there was one, and the code the
/// WebSocket was closed with.
async fn outcome(client: &mut Client) -> (Option<String>, u16) {
    let reply = loop {
        match client.next_or_closed().await {
            Some(message) if message["re"] == 1 => {
                break message["type"].as_str().map(str::to_owned);
            }
            Some(_) => {}
            // Closed before an answer; the code is gone with the message.
            None => return (None, 4403),
        }
    };
    (reply, client.closed().await)
}

#[tokio::test]
async fn a_kick_in_the_middle_of_a_join_leaves_nothing_behind() {
    let server = TestServer::start().await;
    for _ in 0..JOINS {
        let mut client = server.connect().await;
        client.send(json!({"id": 1, "type": "join", "room": "r", "name": "n"}).to_string()).await;
        // The earliest that anybody can know of it: the answer to the join is not waited for.
        let id = loop {
            let response = server.get("/api/v1/rooms/r/participants").await;
            if response.status() == 200
                && let Some(id) =
                    crate::harness::body(response).await["participants"][0]["id"].as_str()
            {
                break id.to_owned();
            }
        };
        let kick = server.request("DELETE", &format!("/api/v1/rooms/r/participants/{id}"));
        assert_eq!(kick.send().await.unwrap().status(), 204);
        let (reply, code) = outcome(&mut client).await;
        assert!(reply.is_none_or(|reply| reply == "joined"), "it was in, or it was not told");
        assert_eq!(code, 4403);
    }
    for gauge in ["sfu_index_entries", "sfu_engine_rooms", "sfu_peers{state=\"other\"}"] {
        server.until_metric(gauge, 0.0).await;
    }
    server.until_metric("sfu_leaves_total", JOINS as f64).await;
    assert_eq!(server.metric("sfu_control_panics_total").await, 0.0);
    server.server.stop().await;
}

#[tokio::test]
async fn a_room_that_is_deleted_in_the_middle_of_a_join_leaves_nothing_behind() {
    let server = TestServer::start().await;
    for _ in 0..JOINS {
        let mut client = server.connect().await;
        client.send(json!({"id": 1, "type": "join", "room": "r", "name": "n"}).to_string()).await;
        while server.request("DELETE", "/api/v1/rooms/r").send().await.unwrap().status() != 204 {}
        // Either it was in the room and is told that it ended, or it makes a new one.
        let reply = client.next_or_closed().await;
        drop((reply, client));
    }
    for gauge in ["sfu_index_entries", "sfu_websockets", "sfu_peers{state=\"other\"}"] {
        server.until_metric(gauge, 0.0).await;
    }
    assert_eq!(server.metric("sfu_control_panics_total").await, 0.0);
    server.server.stop().await;
}
