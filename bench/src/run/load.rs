//! `bench load-full`: publishers through WHIP, viewers through WHEP, every packet accounted for.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::Args;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use hdrhistogram::Histogram;

use super::{Metrics, ProcessUse, Server, ServerArgs, bitrate, duration};
use crate::client::{HttpSession, Peer, ServerUrl, until};
use crate::media::VideoPlan;

mod outcome;

pub use outcome::{Delivered, LoadOutcome, ServerCost, ViewerOutcome};

/// After the last packet, how long stragglers and retransmissions may take.
const GRACE: Duration = Duration::from_secs(2);

/// Video packets sent after the measured time.
const AFTERMATH: u64 = 20;

/// What load to make.
#[derive(Clone, Debug, Args)]
pub struct LoadArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// The room; with several publishers, a prefix.
    #[arg(long, default_value = "bench")]
    room: String,
    /// Publishers, each in a room of its own.
    #[arg(long, default_value_t = 1)]
    publishers: usize,
    /// Viewers, shared out evenly.
    #[arg(long, default_value_t = 50)]
    viewers: usize,
    /// Video payload rate of a publisher, such as 1mbps.
    #[arg(long, value_parser = bitrate, default_value = "1mbps")]
    bitrate: u64,
    /// Frames per second.
    #[arg(long, default_value_t = 30)]
    fps: u32,
    /// No sound.
    #[arg(long)]
    no_audio: bool,
    /// How long to measure once all viewers see a picture, such as 60s.
    #[arg(long, value_parser = duration, default_value = "60s")]
    duration: Duration,
    /// Viewers that join at a time.
    #[arg(long, default_value_t = 8)]
    join_at_once: usize,
    /// Per cent of packets that each viewer must get.
    #[arg(long, default_value_t = 99.9)]
    require: f64,
    /// Each viewer throws away one in N video packets before it counts them, and has to recover
    /// them by NACK.
    #[arg(long, value_name = "N", default_value_t = 0)]
    lose_one_in: u32,
}

struct Viewer {
    session: HttpSession,
    publisher: usize,
    joined: Duration,
    first_picture: Duration,
    /// Datagrams that had come in vain when the first picture was there.
    before_keys: u64,
}

/// What each publisher had sent at an instant: video and audio packets.
type Sent = Vec<(u64, u64)>;

/// Runs the load.
pub async fn run(args: &LoadArgs) -> anyhow::Result<LoadOutcome> {
    ensure!(args.publishers > 0 && args.viewers > 0, "no publishers or no viewers");
    ensure!(args.fps > 0 && args.join_at_once > 0, "--fps and --join-at-once must not be 0");
    let server = Server::start(&args.server).await?;
    let mut publishers = publish(args, &server.url).await?;
    let viewers = join_viewers(args, &server.url, &publishers).await?;
    for viewer in &viewers {
        viewer.session.peer.tap().drop_one_in(args.lose_one_in);
    }

    let rtx_before = rtx_received(&viewers);
    let begun = sent(&publishers);
    let (server_begun, client_begun) = (server.used()?, ProcessUse::of("self")?);
    tokio::time::sleep(args.duration).await;
    let ended = sent(&publishers);
    let (server_ended, client_ended) = (server.used()?, ProcessUse::of("self")?);
    // A loss is seen by what follows it, so some must follow unharmed. Then silence: what is still
    // on its way must not read as lost or undecryptable.
    for viewer in &viewers {
        viewer.session.peer.tap().drop_one_in(0);
    }
    until("a little more video", || {
        let now = sent(&publishers);
        now.iter().zip(&ended).all(|(now, ended)| now.0 >= ended.0 + AFTERMATH).then_some(())
    })
    .await?;
    for publisher in &mut publishers {
        publisher.stop();
    }
    settle(&viewers, &publishers, &begun, &ended).await;

    let outcomes: Vec<_> = viewers
        .iter()
        .map(|viewer| {
            viewer_outcome(viewer, &publishers[viewer.publisher], viewer.range(&begun, &ended))
        })
        .collect();
    let delivered = outcomes.iter().map(|viewer| viewer.video.got + viewer.audio.got).sum::<u64>();
    let rtx = rtx_received(&viewers) - rtx_before;
    let server_cost = server_begun.zip(server_ended).map(|(begun, ended)| ServerCost {
        cpu_s: ended.cpu_since(&begun),
        cpu_us_per_packet: ended.cpu_since(&begun) * 1e6 / (delivered + rtx).max(1) as f64,
        rss_kib: ended.rss_kib,
        threads: ended.threads,
    });
    let drops = match Metrics::scrape(&server.url).await {
        Ok(metrics) => metrics.above_zero("drop"),
        Err(error) => vec![(format!("unknown: {error:#}"), f64::NAN)],
    };
    let outcome = LoadOutcome {
        publishers: args.publishers,
        bitrate_bps: args.bitrate,
        fps: args.fps,
        audio: !args.no_audio,
        seconds: args.duration.as_secs_f64(),
        required_percent: args.require,
        lose_one_in: args.lose_one_in,
        delay_us: outcome::Delay::of(&delays(&viewers)),
        viewers: outcomes,
        rtx,
        server: server_cost,
        client_cpu_s: client_ended.cpu_since(&client_begun),
        drops,
    };
    leave(viewers, publishers).await?;
    Ok(outcome)
}

async fn publish(args: &LoadArgs, server: &ServerUrl) -> anyhow::Result<Vec<HttpSession>> {
    let plan = VideoPlan::camera(args.bitrate, args.fps);
    let mut publishers = Vec::new();
    for publisher in 0..args.publishers {
        let room = room_name(args, publisher);
        let session = HttpSession::publish(server, &room, Some(plan), !args.no_audio).await;
        publishers.push(session.with_context(|| format!("publisher {publisher}"))?);
    }
    Ok(publishers)
}

fn room_name(args: &LoadArgs, publisher: usize) -> String {
    if args.publishers == 1 { args.room.clone() } else { format!("{}-{publisher}", args.room) }
}

async fn join_viewers(
    args: &LoadArgs,
    server: &ServerUrl,
    publishers: &[HttpSession],
) -> anyhow::Result<Vec<Viewer>> {
    stream::iter(0..args.viewers)
        .map(|viewer| async move {
            let publisher = viewer % args.publishers;
            let source = publishers[publisher].camera.as_ref().map(|camera| camera.source);
            join(server, &room_name(args, publisher), publisher, source)
                .await
                .with_context(|| format!("viewer {viewer}"))
        })
        .buffered(args.join_at_once)
        .try_collect()
        .await
}

async fn join(
    server: &ServerUrl,
    room: &str,
    publisher: usize,
    source: Option<u32>,
) -> anyhow::Result<Viewer> {
    let start = Instant::now();
    let session = HttpSession::watch(server, room, None).await?;
    let joined = start.elapsed();
    until("a first whole picture", || {
        let ledger = session.peer.tap().ledger();
        let pictures = ledger.streams.values().any(|stream| stream.frames.decodable > 0);
        (pictures && source.is_none_or(|source| ledger.sources.contains_key(&source))).then_some(())
    })
    .await?;
    let before_keys = not_decrypted(&session.peer);
    Ok(Viewer { session, publisher, joined, first_picture: start.elapsed(), before_keys })
}

fn sent(publishers: &[HttpSession]) -> Sent {
    let count = |session: &HttpSession| {
        let video = session.camera.as_ref().map_or(0, |camera| camera.sent());
        (video, session.microphone.as_ref().map_or(0, |microphone| microphone.sent()))
    };
    publishers.iter().map(count).collect()
}

/// Waits until everything has arrived, or [`GRACE`] is over.
async fn settle(viewers: &[Viewer], publishers: &[HttpSession], begun: &Sent, ended: &Sent) {
    let deadline = Instant::now() + GRACE;
    let whole = |viewer: &Viewer| {
        let range = viewer.range(begun, ended);
        let outcome = viewer_outcome(viewer, &publishers[viewer.publisher], range);
        outcome.video.lost() + outcome.audio.lost() + outcome.undecryptable == 0
    };
    while Instant::now() < deadline && !viewers.iter().all(whole) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

impl Viewer {
    fn range(&self, begun: &Sent, ended: &Sent) -> [std::ops::Range<u64>; 2] {
        let (begun, ended) = (begun[self.publisher], ended[self.publisher]);
        [begun.0..ended.0, begun.1..ended.1]
    }
}

fn viewer_outcome(
    viewer: &Viewer,
    publisher: &HttpSession,
    [video, audio]: [std::ops::Range<u64>; 2],
) -> ViewerOutcome {
    let peer = &viewer.session.peer;
    let counters = &peer.tap().counters;
    let ledger = peer.tap().ledger();
    let delivered = |source: Option<u32>, range: std::ops::Range<u64>| Delivered {
        sent: range.end - range.start,
        got: source
            .and_then(|source| ledger.sources.get(&source))
            .map_or(0, |source| source.packets.count_in(range)),
    };
    let streams = || ledger.streams.values();
    let frames = || streams().map(|stream| &stream.frames);
    ViewerOutcome {
        video: delivered(publisher.camera.as_ref().map(|camera| camera.source), video),
        audio: delivered(publisher.microphone.as_ref().map(|mic| mic.source), audio),
        joined_ms: viewer.joined.as_secs_f64() * 1e3,
        first_picture_ms: viewer.first_picture.as_secs_f64() * 1e3,
        gaps: streams().map(|stream| stream.numbers.missing()).sum(),
        duplicates: streams().map(|stream| stream.duplicates).sum::<u64>()
            + ledger.sources.values().map(|source| source.duplicates).sum::<u64>(),
        recovered: streams().map(|stream| stream.recovered).sum(),
        thrown_away: counters.dropped.load(Ordering::Relaxed),
        nacked: counters.nacked_by_us.load(Ordering::Relaxed),
        frames_complete: frames().map(|frames| frames.complete).sum(),
        frames_decodable: frames().map(|frames| frames.decodable).sum(),
        before_keys: viewer.before_keys,
        undecryptable: not_decrypted(peer).saturating_sub(viewer.before_keys),
    }
}

/// SRTP and SRTCP datagrams that came and did not reach the tap, so far.
fn not_decrypted(peer: &Peer) -> u64 {
    let counters = &peer.tap().counters;
    let decrypted = counters.rtp.load(Ordering::Relaxed) + counters.rtcp.load(Ordering::Relaxed);
    peer.sockets().srtp.load(Ordering::Relaxed).saturating_sub(decrypted)
}

fn rtx_received(viewers: &[Viewer]) -> u64 {
    let of = |viewer: &Viewer| {
        let ledger = viewer.session.peer.tap().ledger();
        ledger.streams.values().map(|stream| stream.rtx).sum::<u64>()
    };
    viewers.iter().map(of).sum()
}

fn delays(viewers: &[Viewer]) -> Histogram<u64> {
    let mut all = crate::account::SourceAccount::default().delay_us;
    for viewer in viewers {
        for source in viewer.session.peer.tap().ledger().sources.values() {
            all.add(&source.delay_us).expect("histograms of one shape");
        }
    }
    all
}

async fn leave(viewers: Vec<Viewer>, publishers: Vec<HttpSession>) -> anyhow::Result<()> {
    let sessions = viewers.into_iter().map(|viewer| viewer.session).chain(publishers);
    let errors = Arc::new(std::sync::Mutex::new(Vec::new()));
    stream::iter(sessions)
        .for_each_concurrent(8, |session| async {
            if let Err(error) = session.close().await {
                errors.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(error);
            }
        })
        .await;
    let mut errors = errors.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    errors.pop().map_or(Ok(()), |error| Err(error.context("leaving")))
}
