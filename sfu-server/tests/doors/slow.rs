//! Connections that do as little as they can are closed in time, and others do not notice them.
//! `SFU_SLOW_CONNECTIONS=5000 cargo test --release -p sfu-server --test doors slow -- --nocapture`
//! makes as many of them as an attacker would.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::TestServer;

/// Closed after this long, as promised, and a second for the timers' grain.
const CLOSED_WITHIN: Duration = Duration::from_secs(11);
/// What a machine that also does other things may add.
const BUSY_MACHINE: Duration = Duration::from_secs(9);
const CONNECTIONS: usize = 250;
const JOINS: usize = 20;

/// What a connection does, after which it sends a byte a second.
const BEGINNINGS: [&str; 5] = [
    // Nothing.
    "",
    // A head that does not end.
    "GET /api/v1/rooms HTTP/1.1\r\nHost: x\r\nX-Slow: ",
    // A body that does not.
    "POST /api/v1/rooms HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
     Content-Length: 1000\r\n\r\n{",
    // Half an upgrade.
    "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
     Sec-WebSocket-Version: 13\r\n",
    // A WebSocket whose owner never joins.
    "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
];
/// The one that must not send a byte more: it would be a broken frame.
const UPGRADED: usize = 4;
/// The one that sends nothing at all.
const SILENT: usize = 0;

/// How long the server put up with one of them.
async fn stall(addr: SocketAddr, kind: usize) -> Duration {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let begin = Instant::now();
    let _ = stream.write_all(BEGINNINGS[kind].as_bytes()).await;
    let (mut read, mut write) = stream.split();
    let drip = async {
        let mut interval = tokio::time::interval(Duration::from_secs(1));
        loop {
            interval.tick().await;
            if kind == SILENT || kind == UPGRADED || write.write_all(b"x").await.is_err() {
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
    end.await.unwrap_or_else(|_| panic!("never closed: {:?}", BEGINNINGS[kind]));
    begin.elapsed()
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
    let server = TestServer::start().await;
    let addr = server.server.http_addr;
    let before = joins(&server, "before").await;

    let stalled = tokio::spawn(join_all((0..connections).map(move |n| {
        // So many at once fill the kernel's queue of those that wait to be accepted.
        let turn = Duration::from_micros(200 * n as u64);
        async move {
            tokio::time::sleep(turn).await;
            (n % BEGINNINGS.len(), stall(addr, n % BEGINNINGS.len()).await)
        }
    })));
    let metric = "sfu_websockets";
    while server.metric(metric).await < (connections / BEGINNINGS.len()) as f64 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let beside = joins(&server, "beside").await;
    let mut longest = [Duration::ZERO; BEGINNINGS.len()];
    for (kind, took) in stalled.await.unwrap() {
        longest[kind] = longest[kind].max(took);
    }
    println!("{connections} slow connections, closed after {longest:?} at most");
    println!("joins, p95: {before:?} before, {beside:?} beside them");
    for (kind, took) in longest.into_iter().enumerate() {
        assert!(took < CLOSED_WITHIN + BUSY_MACHINE, "{:?}: {took:?}", BEGINNINGS[kind]);
    }
    // The ratio is what counts; what other programs do to a single join is not.
    assert!(beside < 2 * before + Duration::from_millis(100), "{before:?}, {beside:?}");
    server.until_metric(metric, 0.0).await;
    server.server.stop().await;
}
