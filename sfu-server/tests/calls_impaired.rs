//! Networks that are bad on request: what a participant sends and is sent is held up, lost and cut,
//! and comes back when that ends.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[macro_use]
mod calls_common;

use bench::client::{Join, Participant, until};
use calls_common::{Site, small};
use serde_json::json;

async fn pair(site: &Site) -> (Participant, Participant) {
    let join = |name: &str, video| {
        let join = Join { room: "r".into(), name: name.into(), video, ..Join::default() };
        Participant::join(&site.url, join)
    };
    let ann = join("ann", small()).await.unwrap();
    let bob = join("bob", None).await.unwrap();
    (ann, bob)
}

/// Packets of `of`'s camera that `at` has.
fn received(at: &Participant, of: &Participant) -> u64 {
    let source = of.camera.as_ref().unwrap().source;
    let ledger = at.peer().tap().ledger();
    ledger.sources.get(&source).map_or(0, |source| source.delay_us.len())
}

async fn more(at: &Participant, of: &Participant, what: &str) {
    let before = received(at, of);
    until(what, || (received(at, of) >= before + 30).then_some(())).await.unwrap();
}

/// Sites whose server takes such requests; the one worker's, or everybody on another one.
async fn permissive(workers: u8) -> Site {
    Site::start(|settings| {
        settings.media.impairments = true;
        settings.media.workers = Some(workers);
        settings.media.placement = sfu_server::config::PlacementPolicy::Spread;
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delays_of_both_ways_add_up() {
    let site = permissive(2).await;
    let (ann, bob) = pair(&site).await;
    more(&bob, &ann, "media").await;
    let up = json!({"type": "impair", "uplink": {"delay_ms": 400}});
    ann.signalling().request(up).await.unwrap();
    let down = json!({"type": "impair", "downlink": {"delay_ms": 400}});
    bob.signalling().request(down).await.unwrap();
    let source = ann.camera.as_ref().unwrap().source;
    until("most packets 800 ms late", || {
        let ledger = bob.peer().tap().ledger();
        let late = ledger.sources[&source].delay_us.value_at_quantile(0.5);
        (late >= 800_000).then_some(())
    })
    .await
    .unwrap();
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_lost_and_cut_does_not_come_and_then_comes_again() {
    let site = permissive(1).await;
    let (ann, bob) = pair(&site).await;
    let path = ["api", "v1", "rooms", "r", "participants", &bob.id, "impairment"];
    let impairment = site.url.path(&path).unwrap();
    let http = site.url.http();
    more(&bob, &ann, "media").await;

    let lost = json!({"downlink": {"loss_percent": 100}});
    let put = http.put(impairment.clone()).header("content-type", "application/json");
    let answer = put.body(lost.to_string()).send().await.unwrap();
    assert_eq!(answer.status(), 204);
    let sent = || ann.camera.as_ref().unwrap().sent();
    // What was on its way has come by the time that so much more was sent.
    let mark = sent() + 30;
    until("ann sends on", || (sent() >= mark).then_some(())).await.unwrap();
    let (at_rest, mark) = (received(&bob, &ann), sent() + 30);
    until("ann sends on", || (sent() >= mark).then_some(())).await.unwrap();
    assert_eq!(received(&bob, &ann), at_rest, "all is lost");
    let answer = http.delete(impairment).send().await.unwrap();
    assert_eq!(answer.status(), 204);
    more(&bob, &ann, "media once more").await;

    let cut = json!({"type": "impair", "participant": ann.id, "uplink": {"cut_seconds": 2}});
    bob.signalling().request(cut).await.unwrap();
    let mark = sent() + 15;
    until("ann sends on", || (sent() >= mark).then_some(())).await.unwrap();
    let (at_rest, mark) = (received(&bob, &ann), sent() + 15);
    until("ann sends on", || (sent() >= mark).then_some(())).await.unwrap();
    assert_eq!(received(&bob, &ann), at_rest, "nothing passes");
    more(&bob, &ann, "media after the cut, which nobody lifts").await;
    site.stop().await;
}
