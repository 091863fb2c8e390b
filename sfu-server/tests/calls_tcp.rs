//! Calls by other ways than UDP over IPv4: by TCP and nothing else, by IPv6 and nothing else. And TCP
//! connections that are something else.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[macro_use]
mod calls_common;

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use bench::client::{HttpSession, PeerOptions, Route, ServerUrl};
use bench::media::VideoPlan;
use calls_common::{Site, stream_until, watching};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

fn by_tcp(site: &Site) -> PeerOptions {
    PeerOptions { route: Route::tcp(site.tcp()), ..PeerOptions::default() }
}

on_one_worker_and_on_two!(a_call_by_tcp_only);
async fn a_call_by_tcp_only(site: Site) {
    let plan = Some(VideoPlan::camera(1_000_000, 30));
    let mut publisher =
        HttpSession::publish_by(by_tcp(&site), &site.url, "r", plan, true).await.unwrap();
    let viewer = HttpSession::watch_by(by_tcp(&site), &site.url, "r", None).await.unwrap();
    let beside = watching(&site, "r", None).await;
    for peer in [&viewer.peer, &beside.peer] {
        stream_until(peer, "90 frames", true, |s| (s.frames.decodable >= 90).then_some(())).await;
        stream_until(peer, "50 packets of sound", false, |s| (s.numbers.len() >= 50).then_some(()))
            .await;
        let ledger = peer.tap().ledger();
        for stream in ledger.streams.values() {
            assert_eq!(stream.numbers.missing(), 0);
        }
    }
    assert_eq!(site.metric("sfu_tcp_connections").await, 2);
    assert_eq!(site.metric("sfu_tcp_connections_total{result=\"accepted\"}").await, 2);
    assert_eq!(site.metric("sfu_tcp_datagrams_dropped_total").await, 0);
    for (transport, want) in [("tcp", 2), ("udp", 1), ("none", 0)] {
        let labels = format!("{{result=\"connected\",transport=\"{transport}\"}}");
        let connected = site.metric(&format!("sfu_ice_connections_total{labels}")).await;
        assert_eq!(connected, want, "{transport}");
    }
    publisher.stop();
    viewer.close().await.unwrap();
    publisher.close().await.unwrap();
    site.stop().await;
}

/// IPv4 is neither listened for nor offered to anybody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_by_ipv6_only() {
    let own = IpAddr::V6(Ipv6Addr::LOCALHOST);
    let site = Site::start(|settings| {
        settings.http.addr = (own, 0).into();
        settings.media.advertise = vec![own.into()];
    })
    .await;
    for route in [Route::default(), Route::tcp((own, site.tcp().port()).into())] {
        let options = || PeerOptions { address: own, route: Route::default() };
        let options_by = |route| PeerOptions { route, ..options() };
        let room = if site.metric("sfu_joins_total").await == 0 { "udp" } else { "tcp" };
        let plan = Some(VideoPlan::camera(300_000, 30));
        let publisher =
            HttpSession::publish_by(options_by(route), &site.url, room, plan, true).await.unwrap();
        let viewer = HttpSession::watch_by(options(), &site.url, room, None).await.unwrap();
        stream_until(&viewer.peer, "60 frames", true, |s| (s.frames.decodable >= 60).then_some(()))
            .await;
        let answer = viewer.peer.answer_text();
        assert!(answer.contains(" ::1 ") && !answer.contains(" 127.0.0.1 "), "{answer}");
        viewer.close().await.unwrap();
        publisher.close().await.unwrap();
    }
    site.stop().await;
}

/// The answer names the TCP port too, as a passive candidate below every one by UDP.
#[tokio::test]
async fn the_answer_offers_tcp_after_udp() {
    let site = Site::on_one_worker().await;
    let viewer = HttpSession::watch(&site.url, "r", None).await.unwrap();
    let answer = viewer.peer.answer_text();
    let candidates: Vec<Vec<&str>> = answer
        .lines()
        .filter_map(|line| line.strip_prefix("a=candidate:"))
        .map(|line| line.split(' ').collect())
        .collect();
    let protocols: Vec<&str> = candidates.iter().map(|fields| fields[2]).collect();
    assert_eq!(protocols, ["udp", "tcp"], "{answer}");
    assert_eq!(candidates[1][5], site.tcp().port().to_string());
    assert_eq!(candidates[1][6..], ["typ", "host", "tcptype", "passive"]);
    let priority = |n: usize| candidates[n][3].parse::<u32>().unwrap();
    assert!(priority(0) > priority(1));
    site.stop().await;
}

on_one_worker_and_on_two!(strangers_connections_end_and_are_counted);
async fn strangers_connections_end_and_are_counted(site: Site) {
    let result = |name: &str| format!("sfu_tcp_connections_total{{result=\"{name}\"}}");
    // TLS, HTTP, a frame that is no check, a check of nobody's worker.
    let check = [0, 1, 0, 12, 0x21, 0x12, 0xa4, 0x42, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7];
    let of_nobody = [&[0, 32][..], &check, &[0, 6, 0, 6], b"zz:abc\0\0"].concat();
    for (count, bytes) in (1..).zip([
        &[0x16, 3, 1, 0, 200, 1][..],
        b"GET / HTTP/1.1\r\nhost: x\r\n\r\n",
        &[0, 4, 0x80, 96, 0, 0],
        &[0, 0, 0, 0],
        &of_nobody,
    ]) {
        let mut stranger = TcpStream::connect(site.tcp()).await.unwrap();
        stranger.write_all(bytes).await.unwrap();
        let mut rest = Vec::new();
        // A reset is as good an end as a close.
        let ended = tokio::time::timeout(Duration::from_secs(5), stranger.read_to_end(&mut rest));
        _ = ended.await.expect("the server hangs up");
        assert_eq!(rest, b"", "strangers are not answered");
        site.until_metric(&result("stranger"), count).await;
    }
    // A check with a ufrag that nobody has: there is a worker for it, and the connection may stay
    // no longer than a check may take.
    let of_worker_0 = [&[0, 36][..], &check[..2], &[0, 16], &check[4..], &[0, 6, 0, 12]].concat();
    let of_worker_0 = [&of_worker_0[..], b"AAnobody:abc"].concat();
    let mut stranger = TcpStream::connect(site.tcp()).await.unwrap();
    stranger.write_all(&of_worker_0).await.unwrap();
    site.until_metric("sfu_rtp_dropped_packets_total{reason=\"stun_unknown_ufrag\"}", 1).await;
    assert_eq!(site.metric("sfu_tcp_connections").await, 1);
    let start = std::time::Instant::now();
    let mut rest = Vec::new();
    let deadline = sfu_server::limits::TCP_CHECK_DEADLINE;
    let ended =
        tokio::time::timeout(deadline + Duration::from_secs(5), stranger.read_to_end(&mut rest));
    _ = ended.await.expect("the server hangs up");
    assert!(start.elapsed() + Duration::from_secs(1) >= deadline, "{:?}", start.elapsed());
    site.until_metric("sfu_tcp_connections", 0).await;
    site.stop().await;
}

/// One port for everything: the first bytes tell what speaks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_and_media_share_the_tcp_port() {
    let site = Site::start(|settings| settings.media.tcp_http = true).await;
    let url = ServerUrl::new(&format!("http://{}", site.tcp())).unwrap();
    let session = HttpSession::watch_by(by_tcp(&site), &url, "r", None).await.unwrap();
    assert_eq!(session.location.port(), Some(site.tcp().port()), "{}", session.location);
    assert!(site.metric("sfu_tcp_connections_total{result=\"forwarded\"}").await >= 1);
    session.close().await.unwrap();
    site.stop().await;
}

/// Nobody who says nothing takes the places of those who come to speak.
#[tokio::test]
async fn silent_connections_of_one_address_are_limited() {
    let site = Site::on_one_worker().await;
    let most = sfu_server::limits::TCP_WAITING_PER_ADDRESS_MAX;
    let mut silent = Vec::new();
    for _ in 0..most + 5 {
        silent.push(TcpStream::connect(site.tcp()).await.unwrap());
    }
    site.until_metric("sfu_tcp_connections_total{result=\"refused\"}", 5).await;
    site.until_metric("sfu_tcp_connections", most as u64).await;
    drop(silent);
    site.until_metric("sfu_tcp_connections", 0).await;
    let viewer = HttpSession::watch_by(by_tcp(&site), &site.url, "r", None).await.unwrap();
    viewer.close().await.unwrap();
    site.stop().await;
}
