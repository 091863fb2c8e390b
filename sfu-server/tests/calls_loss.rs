//! Loss on either side of the server is repaired, and the other side does not notice.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[macro_use]
mod calls_common;

use std::sync::atomic::Ordering;

use bench::client::{HttpSession, until};
use bench::media::VideoPlan;
use calls_common::{Site, stream_until, watching};

on_one_worker_and_on_two!(what_one_viewer_loses_comes_back_to_it_alone);
async fn what_one_viewer_loses_comes_back_to_it_alone(site: Site) {
    let plan = Some(VideoPlan::camera(1_000_000, 30));
    let _publisher = HttpSession::publish(&site.url, "r", plan, false).await.unwrap();
    let lossy = watching(&site, "r", None).await;
    let whole = watching(&site, "r", None).await;
    let tap = lossy.peer.tap();
    tap.drop_one_in(20);
    let dropped = || tap.counters.dropped.load(Ordering::Relaxed);
    until("losses", || (dropped() >= 20).then_some(())).await.unwrap();
    tap.drop_one_in(0);
    stream_until(&lossy.peer, "every hole filled", true, |stream| {
        (stream.recovered == dropped() && stream.numbers.missing() == 0).then_some(())
    })
    .await;
    stream_until(&lossy.peer, "every frame decodable", true, |stream| {
        (stream.frames.decodable == stream.frames.complete).then_some(())
    })
    .await;
    {
        let ledger = whole.peer.tap().ledger();
        let other = ledger.streams.values().next().unwrap();
        assert_eq!((other.rtx, other.numbers.missing(), other.duplicates), (0, 0, 0));
    }
    site.stop().await;
}

on_one_worker_and_on_two!(what_a_publisher_loses_on_the_way_is_asked_of_it);
async fn what_a_publisher_loses_on_the_way_is_asked_of_it(site: Site) {
    let plan = Some(VideoPlan::camera(1_000_000, 30));
    let publisher = HttpSession::publish(&site.url, "r", plan, false).await.unwrap();
    let viewer = watching(&site, "r", None).await;
    let tap = publisher.peer.tap();
    tap.drop_sent_one_in(20);
    let dropped = || tap.counters.dropped.load(Ordering::Relaxed);
    until("losses", || (dropped() >= 20).then_some(())).await.unwrap();
    tap.drop_sent_one_in(0);
    let sent = publisher.camera.as_ref().unwrap().sent();
    let source = publisher.camera.as_ref().unwrap().source;
    until("every packet at the viewer", || {
        let ledger = viewer.peer.tap().ledger();
        let packets = &ledger.sources.get(&source)?.packets;
        (packets.bounds()?.1 >= sent && packets.missing() == 0).then_some(())
    })
    .await
    .unwrap();
    let asked = tap.counters.nacked_by_remote.load(Ordering::Relaxed);
    assert!(asked >= dropped(), "asked for {asked} of {}", dropped());
    stream_until(&viewer.peer, "every frame decodable", true, |stream| {
        (stream.frames.decodable == stream.frames.complete).then_some(())
    })
    .await;
    site.stop().await;
}

on_one_worker_and_on_two!(reports_and_feedback_flow);
async fn reports_and_feedback_flow(site: Site) {
    let publisher =
        HttpSession::publish(&site.url, "r", calls_common::small(), true).await.unwrap();
    let viewer = watching(&site, "r", None).await;
    let sending = &publisher.peer.tap().counters;
    let receiving = &viewer.peer.tap().counters;
    for (what, counter) in [
        ("receiver reports at the publisher", &sending.receiver_reports),
        ("transport feedback at the publisher", &sending.transport_feedback),
        ("sender reports at the viewer", &receiving.sender_reports),
    ] {
        until(what, || (counter.load(Ordering::Relaxed) >= 2).then_some(())).await.unwrap();
    }
    site.stop().await;
}
