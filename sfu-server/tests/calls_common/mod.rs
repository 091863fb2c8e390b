//! What the call tests share: a server of their own on free loopback ports, and questions about a
//! viewer's account.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::net::Ipv4Addr;

use bench::account::{SourceAccount, StreamAccount};
use bench::client::{HttpSession, Peer, RtpCodecKind, ServerUrl, until};
use bench::media::VideoPlan;
use sfu_server::config::{PlacementPolicy, Settings};

/// A camera that costs little: 300 kbit/s, 30 frames a second.
pub(crate) fn small() -> Option<VideoPlan> {
    Some(VideoPlan::camera(300_000, 30))
}

/// Makes two tests of a function that takes a [`Site`]: one whose server has one media worker, and
/// one whose server has two, with every participant on another one than the participant before.
#[allow(unused_macros, reason = "a test program may do without")]
macro_rules! on_one_worker_and_on_two {
    ($name:ident) => {
        mod $name {
            use crate::calls_common::Site;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_one_worker() {
                super::$name(Site::on_one_worker().await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn spread_over_two() {
                super::$name(Site::spread_over(2).await).await;
            }
        }
    };
}

/// A server in this process.
pub(crate) struct Site {
    pub(crate) url: ServerUrl,
    server: sfu_server::RunningServer,
}

impl Site {
    pub(crate) async fn on_one_worker() -> Self {
        Self::start(|settings| settings.media.workers = Some(1)).await
    }

    /// Every participant is on another worker than the participant before.
    pub(crate) async fn spread_over(workers: u8) -> Self {
        Self::start(|settings| {
            settings.media.placement = PlacementPolicy::Spread;
            settings.media.workers = Some(workers);
        })
        .await
    }

    /// Starts with what `change` makes of the default settings, on free ports of loopback.
    pub(crate) async fn start(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings::default();
        settings.http.addr = (Ipv4Addr::LOCALHOST, 0).into();
        settings.media.udp_port = 0;
        settings.media.advertise = vec![Ipv4Addr::LOCALHOST.into()];
        change(&mut settings);
        let server = sfu_server::run(settings).await.unwrap();
        let url = ServerUrl::new(&format!("http://{}", server.http_addr)).unwrap();
        Self { url, server }
    }

    /// Where media goes.
    pub(crate) fn udp(&self) -> std::net::SocketAddr {
        let port = self.server.udp_addrs[0].port();
        (Ipv4Addr::LOCALHOST, port).into()
    }

    /// Where media goes by TCP.
    pub(crate) fn tcp(&self) -> std::net::SocketAddr {
        (Ipv4Addr::LOCALHOST, self.server.tcp_addrs[0].port()).into()
    }

    /// Waits until `/metrics` says so of one series.
    pub(crate) async fn until_metric(&self, series: &str, value: u64) {
        let wait = async {
            while self.metric(series).await != value {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        };
        let waited = tokio::time::timeout(std::time::Duration::from_secs(20), wait).await;
        assert!(waited.is_ok(), "{series} is {} and not {value}", self.metric(series).await);
    }

    /// What `/metrics` says of one series, labels included; 0 if it is not there.
    pub(crate) async fn metric(&self, series: &str) -> u64 {
        let text = self.url.get(&["metrics"]).await.unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map_or(0, |value| value.parse().unwrap())
    }

    pub(crate) async fn stop(self) {
        self.server.stop().await;
    }
}

/// Waits until `condition` holds of the one stream of a kind that a peer receives.
pub(crate) async fn stream_until<T>(
    peer: &Peer,
    what: &str,
    video: bool,
    mut condition: impl FnMut(&StreamAccount) -> Option<T>,
) -> T {
    let found = until(what, || {
        let ledger = peer.tap().ledger();
        let mut streams = ledger.streams.values();
        streams.find(|stream| (stream.payload_type == 96) == video).and_then(&mut condition)
    });
    match found.await {
        Ok(value) => value,
        Err(error) => panic!("{error}; the account is {:#?}", peer.tap().ledger().streams),
    }
}

/// Waits until `condition` holds of what a peer received of a source, whatever carried it.
pub(crate) async fn source_until<T>(
    peer: &Peer,
    what: &str,
    source: u32,
    mut condition: impl FnMut(&SourceAccount) -> Option<T>,
) -> T {
    let found = until(what, || peer.tap().ledger().sources.get(&source).and_then(&mut condition));
    match found.await {
        Ok(value) => value,
        Err(error) => panic!("{error}; the account is {:#?}", peer.tap().ledger().streams),
    }
}

/// A viewer that sees a picture.
pub(crate) async fn watching(site: &Site, room: &str, participant: Option<&str>) -> HttpSession {
    let viewer = HttpSession::watch(&site.url, room, participant).await.unwrap();
    stream_until(&viewer.peer, "a picture", true, |stream| {
        (stream.frames.decodable > 0).then_some(())
    })
    .await;
    viewer
}

/// Probes that are nothing but padding, of which the client's crate tells nobody.
const PADDING_ONLY_MAX: u64 = 16;

/// Waits until every SRTP and SRTCP datagram that came has decrypted; nothing may be on its way.
pub(crate) async fn all_decrypted(peer: &Peer) {
    use std::sync::atomic::Ordering::Relaxed;
    let counters = &peer.tap().counters;
    let found = until("every datagram decrypted", || {
        let came = peer.sockets().srtp.load(Relaxed);
        let known = counters.rtp.load(Relaxed) + counters.rtcp.load(Relaxed);
        (came.saturating_sub(known) <= PADDING_ONLY_MAX).then_some(())
    });
    assert!(found.await.is_ok(), "{:?}, {counters:?}", peer.sockets());
}

pub(crate) const VIDEO: RtpCodecKind = RtpCodecKind::Video;
pub(crate) const AUDIO: RtpCodecKind = RtpCodecKind::Audio;
