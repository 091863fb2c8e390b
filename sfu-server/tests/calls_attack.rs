//! A call goes on undisturbed while strangers throw at the server what they can: each attack has
//! its counter or its answer, and the call beside it loses nothing.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[macro_use]
mod calls_common;

use std::time::Duration;

use bench::client::{HttpSession, Signalling};
use bench::media::VideoPlan;
use calls_common::{Site, all_decrypted, stream_until, watching};
use serde_json::json;
use tokio::net::UdpSocket;

/// Datagrams of each kind.
const SHOTS: u64 = 600;
/// Datagrams on their way at a time: what a socket's buffer holds beside the call's own. Losing
/// packets there would say nothing of the server.
const VOLLEY: u64 = 100;
/// Counters are published several times a second.
const COUNTED_WITHIN: Duration = Duration::from_secs(10);

on_one_worker_and_on_two!(strangers_datagrams_are_counted_and_nothing_else);
/// An SFU that reads anything but STUN from an address it does not know can be talked into
/// anything (RFC 8445 §7.3, and the ClientHello races of several media servers).
async fn strangers_datagrams_are_counted_and_nothing_else(site: Site) {
    let plan = Some(VideoPlan::camera(1_000_000, 30));
    let mut publisher = HttpSession::publish(&site.url, "r", plan, false).await.unwrap();
    let viewer = watching(&site, "r", None).await;

    let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for (name, head) in [
        ("dtls_from_unvalidated", &[22, 0xfe, 0xfd, 0, 0, 0, 0][..]),
        ("rtp_from_unvalidated", &[0x80, 96, 0, 1, 0, 0, 0, 0]),
        ("rtp_from_unvalidated", &[0x80, 200, 0, 6, 0, 0, 0, 0]),
        ("stun_unknown_ufrag", &check_of_nobody()),
        ("unclassified", &[0xff, 0xff]),
    ] {
        let series = format!("sfu_rtp_dropped_packets_total{{reason=\"{name}\"}}");
        let before = site.metric(&series).await;
        let mut sent = 0;
        while sent < SHOTS {
            for shot in sent..sent + VOLLEY {
                let mut datagram = head.to_vec();
                // All lengths up to a hundred; a STUN message must stay whole.
                if name != "stun_unknown_ufrag" {
                    datagram.resize(head.len().max((shot % 100) as usize), shot as u8);
                }
                stranger.send_to(&datagram, site.udp()).await.unwrap();
            }
            sent += VOLLEY;
            let counted = async {
                while site.metric(&series).await < before + sent {
                    tokio::task::yield_now().await;
                }
            };
            let counted = tokio::time::timeout(COUNTED_WITHIN, counted).await;
            assert!(counted.is_ok(), "{name} is {} after {sent} shots", site.metric(&series).await);
        }
        assert_eq!(site.metric(&series).await, before + SHOTS, "{name}");
    }
    let mut answer = [0; 1500];
    assert!(stranger.try_recv(&mut answer).is_err(), "strangers are not answered");

    goes_on(&site, &mut publisher, &viewer).await;
    site.stop().await;
}

on_one_worker_and_on_two!(hostile_signalling_is_answered_and_the_call_goes_on);
async fn hostile_signalling_is_answered_and_the_call_goes_on(site: Site) {
    let plan = Some(VideoPlan::camera(1_000_000, 30));
    let mut publisher = HttpSession::publish(&site.url, "r", plan, false).await.unwrap();
    let viewer = watching(&site, "r", None).await;

    let whip = site.url.path(&["whip", "r"]).unwrap();
    let offer = |body: String| {
        site.url.http().post(whip.clone()).header("content-type", "application/sdp").body(body)
    };
    let attributes = "a=ssrc:1 cname:x\r\n".repeat(4000);
    for (body, expected) in [
        ("v".repeat(64 * 1024 + 1), 413),
        (format!("v=0\r\n{attributes}"), 413),
        ("v=0\r\n".repeat(9000), 400),
        ("m=video 9 X 96\r\n".repeat(3000), 400),
        ("\0".repeat(1000), 400),
        (String::new(), 400),
    ] {
        let status = offer(body.clone()).send().await.unwrap().status();
        assert_eq!(status, expected, "{:.20}… of {} bytes", body, body.len());
    }

    let signalling = Signalling::connect(&site.url, None).await.unwrap();
    let bad = ["", "{", "[]", "null", "{\"id\":-1,\"type\":\"join\"}", "\u{0}"];
    for (count, text) in (1..).zip(bad) {
        signalling.send_raw(text).unwrap();
        bench::client::until("an error for each", || {
            let errors = signalling.events().iter().filter(|e| e["type"] == "error").count();
            (errors >= count || signalling.is_closed()).then_some(())
        })
        .await
        .unwrap();
    }
    assert!(signalling.request(json!({ "type": "nonsense" })).await.is_err());
    for _ in 0..200 {
        let _ = signalling.send_raw("{");
    }
    assert_eq!(signalling.closed().await.unwrap(), Some(1008));

    goes_on(&site, &mut publisher, &viewer).await;
    site.stop().await;
}

/// Sixty more frames arrive, and none has been lost since the beginning.
async fn goes_on(site: &Site, publisher: &mut HttpSession, viewer: &HttpSession) {
    let mut first = None;
    stream_until(&viewer.peer, "60 more frames", true, |stream| {
        let frames = stream.frames.decodable;
        (frames >= *first.get_or_insert(frames) + 60).then_some(())
    })
    .await;
    publisher.stop();
    all_decrypted(&viewer.peer).await;
    {
        let ledger = viewer.peer.tap().ledger();
        for stream in ledger.streams.values() {
            assert_eq!(stream.numbers.missing(), 0);
            // A probe repeats what was sent of late.
            assert!(stream.duplicates <= stream.rtx, "{}, {}", stream.duplicates, stream.rtx);
            assert_eq!(stream.frames.decodable, stream.frames.complete);
        }
    }
    assert_eq!(site.metric("sfu_panics_total").await, 0);
}

/// A connectivity check for a ufrag that nobody has: a STUN Binding request with a USERNAME.
fn check_of_nobody() -> Vec<u8> {
    let username = b"0000nobody:me234"; // 16 bytes: no padding
    let mut message = vec![0, 1, 0, 20, 0x21, 0x12, 0xa4, 0x42];
    message.extend([7; 12]);
    message.extend([0, 6, 0, 16]);
    message.extend(username);
    message
}
