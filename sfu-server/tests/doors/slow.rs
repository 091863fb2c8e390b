//! Connections that do as little as they can are closed in time, and others do not notice them: at
//! HTTP, at HTTPS and at the port of ICE-TCP. `SFU_SLOW_CONNECTIONS` makes another number of them.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use sfu_server::config::TlsMode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::TestServer;

/// Closed after this long.
const CLOSED_WITHIN: Duration = Duration::from_secs(10);
/// What a machine that also does other things may add.
const BUSY_MACHINE: Duration = Duration::from_secs(5);
const CONNECTIONS: usize = 5000;
const JOINS: usize = 20;

/// What a connection does at first, and whether it goes on with a byte a second.
struct Slow {
    door: Door,
    beginning: &'static [u8],
    drips: bool,
}

#[derive(Clone, Copy)]
enum Door {
    Http,
    Https,
    Media,
}

const fn slow(door: Door, beginning: &'static [u8], drips: bool) -> Slow {
    Slow { door, beginning, drips }
}

const KINDS: [Slow; 9] = [
    slow(Door::Http, b"", false),
    // A head that does not end.
    slow(Door::Http, b"GET /api/v1/rooms HTTP/1.1\r\nHost: x\r\nX-Slow: ", true),
    // A body that does not.
    slow(
        Door::Http,
        b"POST /api/v1/rooms HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
          Content-Length: 1000\r\n\r\n{",
        true,
    ),
    // Half an upgrade.
    slow(
        Door::Http,
        b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
          Sec-WebSocket-Version: 13\r\n",
        true,
    ),
    // A WebSocket whose owner never joins.
    slow(
        Door::Http,
        b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
          Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        false,
    ),
    // No handshake, and one that is not gone on with: a record of 512 bytes is announced.
    slow(Door::Https, b"", false),
    slow(Door::Https, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", true),
    // No frame, and one that does not end.
    slow(Door::Media, b"", false),
    slow(Door::Media, b"\x00\x64\x00\x01", true),
];
/// One of them is a WebSocket.
const WEBSOCKETS_PER_ROUND: usize = 1;

/// How long the server put up with one of them.
async fn stall(addr: SocketAddr, slow: &Slow) -> Duration {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let begin = Instant::now();
    let _ = stream.write_all(slow.beginning).await;
    let (mut read, mut write) = stream.split();
    let drip = async {
        let mut interval = tokio::time::interval(Duration::from_secs(1));
        loop {
            interval.tick().await;
            if !slow.drips || write.write_all(b"x").await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    let closed = async {
        let mut answer = [0; 1024];
        while read.read(&mut answer).await.is_ok_and(|n| n > 0) {}
    };
    let end = tokio::time::timeout(Duration::from_secs(60), async {
        tokio::select! {
            () = drip => {}
            () = closed => {}
        }
    });
    end.await.unwrap_or_else(|_| panic!("never closed: {:?}", slow.beginning));
    begin.elapsed()
}

/// Both ends of all connections are in this process.
#[allow(unsafe_code, reason = "no safe library that is here already does it")]
fn allow_files(wanted: usize) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both calls are given a structure of their own that lives through them.
    unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit), 0);
        limit.rlim_cur = limit.rlim_cur.max(wanted as u64).min(limit.rlim_max);
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit), 0);
    }
    assert!(limit.rlim_cur >= wanted as u64, "{wanted} files are needed: ulimit -Hn");
}

/// The time that most joins take, of some that come one after the other.
async fn joins(server: &TestServer, room: &str) -> Duration {
    let mut took = Vec::new();
    for index in 0..JOINS {
        let begin = Instant::now();
        let (_client, _) = server.join(room, &format!("p{index}")).await;
        took.push(begin.elapsed());
    }
    took.sort();
    took[JOINS * 95 / 100 - 1]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_connections_are_closed_in_time_and_joins_do_not_wait_for_them() {
    let connections = std::env::var("SFU_SLOW_CONNECTIONS");
    let connections = connections.map_or(CONNECTIONS, |n| n.parse().unwrap());
    allow_files(2 * connections + 1000);
    let server = TestServer::start().await;
    let https = TestServer::start_with(|settings| settings.tls.mode = TlsMode::SelfSigned).await;
    let addr = |door| match door {
        Door::Http => server.server.http_addr,
        Door::Https => https.server.http_addr,
        Door::Media => ([127, 0, 0, 1], server.server.tcp_addrs[0].port()).into(),
    };
    let before = joins(&server, "before").await;

    let kinds = KINDS.iter().map(|kind| (kind, addr(kind.door))).cycle().enumerate();
    let stalled = tokio::spawn(join_all(
        kinds
            .take(connections)
            .map(|(n, (kind, addr))| {
                // So many at once fill the kernel's queue of those that wait to be accepted.
                let turn = Duration::from_micros(200 * n as u64);
                async move {
                    tokio::time::sleep(turn).await;
                    (n % KINDS.len(), stall(addr, kind).await)
                }
            })
            .collect::<Vec<_>>(),
    ));
    let metric = "sfu_websockets";
    let websockets = connections / KINDS.len() * WEBSOCKETS_PER_ROUND;
    while server.metric(metric).await < websockets as f64 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let beside = joins(&server, "beside").await;
    let mut longest = [Duration::ZERO; KINDS.len()];
    for (kind, took) in stalled.await.unwrap() {
        longest[kind] = longest[kind].max(took);
    }
    println!("{connections} slow connections, closed after {longest:?} at most");
    println!("joins, p95: {before:?} before, {beside:?} beside them");
    for (kind, took) in longest.into_iter().enumerate() {
        assert!(took < CLOSED_WITHIN + BUSY_MACHINE, "{:?}: {took:?}", KINDS[kind].beginning);
    }
    // The ratio is what counts; what other programs do to a single join is not.
    assert!(beside < 2 * before + Duration::from_millis(100), "{before:?}, {beside:?}");
    server.until_metric(metric, 0.0).await;
    server.server.stop().await;
    https.server.stop().await;
}
