//! Addresses that change during a call: what a NAT does that forgot, or a phone that changes networks.
//! Nobody tells the client; media must go on within a second, and no handshake may be needed. And
//! addresses that somebody else claims.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[macro_use]
mod calls_common;

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use bench::client::{HttpSession, Join, Participant, Peer, Route, until};
use bench::media::VideoPlan;
use calls_common::{Site, small, source_until, watching};

const PORT_GAP_MAX: Duration = Duration::from_secs(1);
const ADDRESS_GAP_MAX: Duration = Duration::from_secs(2);
/// Longer than any gap that passes.
const WATCHED: Duration = Duration::from_secs(3);

on_one_worker_and_on_two!(a_call_goes_on_from_another_port_and_another_address);
async fn a_call_goes_on_from_another_port_and_another_address(site: Site) {
    let route = Route::default();
    let join = |name: &str, route: Route| Join {
        room: "r".to_owned(),
        name: name.to_owned(),
        video: small(),
        audio: true,
        route,
        ..Default::default()
    };
    let ann = Participant::join(&site.url, join("ann", route.clone())).await.unwrap();
    let bob = Participant::join(&site.url, join("bob", Route::default())).await.unwrap();
    let of_ann = ann.camera.as_ref().unwrap().source;
    let of_bob = bob.camera.as_ref().unwrap().source;
    for (peer, source) in [(ann.peer(), of_bob), (bob.peer(), of_ann)] {
        source_until(peer, "100 packets", source, |s| (s.packets.len() >= 100).then_some(())).await;
    }
    let connected =
        site.metric("sfu_ice_connections_total{result=\"connected\",transport=\"udp\"}").await;
    for (what, address, most) in [
        ("another port", [127, 0, 0, 1], PORT_GAP_MAX),
        ("another address", [127, 0, 0, 2], ADDRESS_GAP_MAX),
        ("and back", [127, 0, 0, 1], ADDRESS_GAP_MAX),
    ] {
        route.rebind(IpAddr::V4(Ipv4Addr::from(address))).unwrap();
        let (up, down) =
            tokio::join!(longest_gap(bob.peer(), of_ann), longest_gap(ann.peer(), of_bob));
        println!("{what}: {up:?} of what ann sends, {down:?} of what she receives");
        assert!(up <= most && down <= most, "{what}: {up:?}, {down:?}");
    }
    let after =
        site.metric("sfu_ice_connections_total{result=\"connected\",transport=\"udp\"}").await;
    assert_eq!(after, connected, "nobody had to connect anew");
    assert_eq!(ann.leave().await.unwrap(), Some(1000));
    assert_eq!(bob.leave().await.unwrap(), Some(1000));
    site.stop().await;
}

on_one_worker_and_on_two!(an_address_in_use_is_not_given_to_who_claims_it);
/// Mallory is in the room by right and writes Ann's address into all that she sends: checks with her
/// own password, and media.
async fn an_address_in_use_is_not_given_to_who_claims_it(site: Site) {
    let (of_ann, of_mallory) = (Route::default(), Route::default());
    let join = |name: &str, route: &Route| Join {
        room: "r".to_owned(),
        name: name.to_owned(),
        video: small(),
        route: route.clone(),
        ..Default::default()
    };
    let ann = Participant::join(&site.url, join("ann", &of_ann)).await.unwrap();
    let bob = Participant::join(&site.url, join("bob", &Route::default())).await.unwrap();
    let mallory = Participant::join(&site.url, join("mallory", &of_mallory)).await.unwrap();
    let (ann_source, bob_source) =
        (ann.camera.as_ref().unwrap().source, bob.camera.as_ref().unwrap().source);
    for (peer, source) in [(ann.peer(), bob_source), (bob.peer(), ann_source)] {
        source_until(peer, "50 packets", source, |s| (s.packets.len() >= 50).then_some(())).await;
    }
    of_mallory.claim(&of_ann);
    for _ in 0..3 {
        let (up, down) =
            tokio::join!(longest_gap(bob.peer(), ann_source), longest_gap(ann.peer(), bob_source));
        println!("under attack: {up:?} of what ann sends, {down:?} of what she receives");
        assert!(up <= PORT_GAP_MAX && down <= PORT_GAP_MAX, "{up:?}, {down:?}");
    }
    drop(mallory);
    assert_eq!(ann.leave().await.unwrap(), Some(1000));
    site.stop().await;
}

/// The longest time in which nothing of a source came, from now on.
async fn longest_gap(peer: &Peer, source: u32) -> Duration {
    let count = || peer.tap().ledger().sources.get(&source).map_or(0, |s| s.packets.len());
    let start = Instant::now();
    let (mut longest, mut last, mut changed) = (Duration::ZERO, count(), start);
    while start.elapsed() < WATCHED {
        tokio::time::sleep(Duration::from_millis(5)).await;
        let now = count();
        longest = longest.max(changed.elapsed());
        if now != last {
            (last, changed) = (now, Instant::now());
        }
    }
    longest
}

/// A peer that says goodbye by DTLS and not by DELETE: its session ends at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c35_a_peer_that_goes_without_delete_is_gone() {
    let site = Site::on_one_worker().await;
    let publisher = HttpSession::publish(&site.url, "r", small(), false).await.unwrap();
    let viewer = watching(&site, "r", None).await;
    for session in [publisher, viewer] {
        let get = site.url.http().get(session.location.clone());
        assert!(get.send().await.unwrap().status().is_success());
        let start = Instant::now();
        session.peer.close().await.unwrap();
        loop {
            let get = site.url.http().get(session.location.clone());
            if get.send().await.unwrap().status() == 404 {
                break;
            }
            assert!(start.elapsed() < Duration::from_secs(10), "the session is still there");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    site.until_metric("sfu_index_entries", 0).await;
    site.stop().await;
}

/// The viewer keeps its session and sees who publishes next.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e08_the_publisher_leaves_and_returns() {
    let site = Site::on_one_worker().await;
    let first = HttpSession::publish(&site.url, "r", small(), false).await.unwrap();
    let viewer = watching(&site, "r", None).await;
    first.close().await.unwrap();
    let second = HttpSession::publish(&site.url, "r", small(), false).await.unwrap();
    let source = second.camera.as_ref().unwrap().source;
    source_until(&viewer.peer, "the next publisher", source, |s| {
        (s.packets.len() >= 30).then_some(())
    })
    .await;
    viewer.close().await.unwrap();
    second.close().await.unwrap();
    site.stop().await;
}

/// A restart that is refused, while media flows: it goes on by the old ICE session.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c21_media_goes_on_after_a_refused_restart() {
    let site = Site::on_one_worker().await;
    let plan = Some(VideoPlan::camera(300_000, 30));
    let publisher = HttpSession::publish(&site.url, "r", plan, false).await.unwrap();
    let viewer = watching(&site, "r", None).await;
    let refused = site.url.http().patch(publisher.location.clone());
    let refused = refused
        .header("content-type", "application/trickle-ice-sdpfrag")
        .header("if-match", "*")
        .body("a=ice-ufrag:ab\r\na=ice-pwd:short\r\n");
    assert_eq!(refused.send().await.unwrap().status(), 400);
    let source = publisher.camera.as_ref().unwrap().source;
    let count = || viewer.peer.tap().ledger().sources[&source].packets.len();
    let before = count();
    until("100 more packets", || (count() >= before + 100).then_some(())).await.unwrap();
    viewer.close().await.unwrap();
    publisher.close().await.unwrap();
    site.stop().await;
}
