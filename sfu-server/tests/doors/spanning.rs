//! Rooms on several workers, without media: joins and ends that overtake each other.

use futures_util::future::join_all;
use serde_json::{Value, json};
use sfu_server::config::PlacementPolicy;

use crate::harness::{Client, TestServer};

async fn spread_over(workers: u8) -> TestServer {
    TestServer::start_with(|settings| {
        settings.media.placement = PlacementPolicy::Spread;
        settings.media.workers = Some(workers);
    })
    .await
}

/// Everything the server counts now is zero.
async fn is_empty(server: &TestServer) {
    for metric in ["sfu_rooms", "sfu_engine_rooms", "sfu_index_entries", "sfu_websockets"] {
        server.until_metric(metric, 0.0).await;
    }
    server.until_metric("sfu_peers{state=\"other\"}", 0.0).await;
    assert_eq!(server.metric("sfu_control_panics_total").await, 0.0);
    assert_eq!(server.metric("sfu_panics_total{where=\"engine\"}").await, 0.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn joins_at_once_make_one_room_of_all_workers() {
    let server = spread_over(4).await;
    let mut joined: Vec<(Client, Value)> = join_all((0..24).map(|_| server.join("r", "one"))).await;
    server.until_metric("sfu_engine_rooms", 4.0).await;
    assert_eq!(server.metric("sfu_rooms_spanning").await, 1.0);
    for worker in 0..4 {
        server.until_metric(&format!("sfu_worker_peers{{worker=\"{worker}\"}}"), 6.0).await;
    }
    // Everybody knows everybody, from the reply or by an event.
    for (client, reply) in &mut joined {
        let mut known = reply["participants"].as_array().unwrap().len();
        while known < 23 {
            client.event("participant_joined").await;
            known += 1;
        }
    }
    // A message reaches those on all workers, each once.
    let (mut first, mut others) = (joined.remove(0).0, joined);
    first.request(json!({"type": "data", "payload": "one"})).await;
    first.request(json!({"type": "data", "payload": "two"})).await;
    for (client, _) in &mut others {
        assert_eq!(client.event("data").await["payload"], "one");
        assert_eq!(client.event("data").await["payload"], "two");
    }
    drop((first, others));
    is_empty(&server).await;
    server.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_that_is_closed_while_it_comes_to_other_workers_leaves_nothing_behind() {
    let server = spread_over(4).await;
    for round in 0..30 {
        let joins = join_all((0..8).map(|_| async {
            let mut client = server.connect().await;
            // Refused, accepted, or closed before there was an answer.
            client.send(r#"{"id":1,"type":"join","room":"r","name":"one"}"#).await;
            client.next_or_closed().await
        }));
        let closes = join_all((0..4).map(|n| {
            let server = &server;
            async move {
                // At different moments of the joins.
                for _ in 0..n * (round % 7) {
                    tokio::task::yield_now().await;
                }
                server.request("DELETE", "/api/v1/rooms/r").send().await.unwrap().status().as_u16()
            }
        }));
        let (_, statuses) = tokio::join!(joins, closes);
        assert!(statuses.iter().all(|status| [204, 404].contains(status)), "{statuses:?}");
    }
    is_empty(&server).await;
    server.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_changed_while_parts_are_added_are_the_same_in_all() {
    let server = spread_over(3).await;
    let room = json!({"name": "r", "empty_timeout": 60});
    assert_eq!(server.post_json("/api/v1/rooms", &room).await.status(), 201);
    let change = |n: u64| {
        let request = server.request("PATCH", "/api/v1/rooms/r");
        let request = request.header("content-type", "application/json").header("if-match", "*");
        request.body(json!({"video_last_n": n}).to_string()).send()
    };
    let changes = join_all((1..=9).map(change));
    let joins = join_all((0..9).map(|_| server.join("r", "one")));
    let (changes, joined) = tokio::join!(changes, joins);
    assert!(changes.iter().all(|response| response.as_ref().unwrap().status() == 200));
    let last = server.get_json("/api/v1/rooms/r").await["video_last_n"].clone();
    for (mut client, reply) in joined {
        let mut known = reply["video_last_n"].clone();
        while known != last {
            known = client.event("room_settings").await["video_last_n"].clone();
        }
    }
    server.request("DELETE", "/api/v1/rooms/r").send().await.unwrap();
    is_empty(&server).await;
    server.server.stop().await;
}
