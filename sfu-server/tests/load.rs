//! The load generator through the whole server, in this process: what is published reaches
//! everybody, by each of the doors, and the account says so.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use clap::Parser;
use sfu_load::scenario::{LoadArgs, Outcome, Target, run};

#[derive(Parser)]
#[command(args_override_self = true)]
struct Cli {
    #[command(flatten)]
    load: LoadArgs,
}

/// A server on free ports of loopback, and where it is.
async fn start() -> (sfu_server::RunningServer, Target) {
    let mut settings = sfu_server::config::Settings::default();
    settings.http.addr = (Ipv4Addr::LOCALHOST, 0).into();
    settings.media.udp_port = 0;
    settings.media.advertise = vec![Ipv4Addr::LOCALHOST.into()];
    let server = sfu_server::run(settings).await.unwrap();
    let target = Target { url: format!("http://{}", server.http_addr), pid: None };
    (server, target)
}

/// Makes the load that `flags` ask for, for a server of its own, and holds what always holds.
async fn load(flags: &str) -> Outcome {
    let (server, target) = start().await;
    let always =
        ["load", "--quiet", "--duration", "2s", "--warm-up", "500ms", "--join-rate", "100"];
    let words = always.into_iter().chain(flags.split_whitespace());
    let outcome = run(&Cli::parse_from(words).load, &target).await.unwrap();
    server.stop().await;

    assert_eq!(outcome.failures(), Vec::<String>::new(), "{}", outcome.markdown());
    assert_eq!(outcome.packets.undecryptable + outcome.packets.foreign, 0, "{outcome:#?}");
    assert_eq!((outcome.ended, outcome.leave_failures), (0, 0));
    outcome
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_publisher_reaches_ten_subscribers_by_whip_and_whep() {
    let outcome = load("--subscribers 10 --decrypt 1 --max-loss 0").await;
    assert_eq!((outcome.packets.streams, outcome.joins.with_media), (20, 10));
    // 50 packets of sound and 120 of video a second, times ten; what was under way when the
    // measured time began or ended counts on one side only.
    let expected = 10.0 * outcome.packets.published as f64;
    assert!((outcome.delivered as f64 / expected - 1.0).abs() < 0.1, "{outcome:#?}");
    assert!(outcome.delay_us.samples >= outcome.packets.received, "all were decrypted");
    assert!(outcome.delay_us.p50 > 0.0 && outcome.delay_us.p50 < 1e6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_participants_meet_by_websocket() {
    let four = "--preset meeting --video-publishers 4 --audio-publishers 4";
    // Little enough that the server need not find out first what the path carries.
    let plain =
        load(&format!("{four} --simulcast false --bitrate 300k --warm-up 2s --max-loss 0")).await;
    assert_eq!((plain.packets.streams, plain.packets.silent_streams), (4 * 6, 0));
    assert_eq!((plain.packets.lost, plain.packets.withheld), (0, 0));

    let simulcast = load(&format!("{four} --max-loss 0")).await;
    assert_eq!((simulcast.packets.streams, simulcast.packets.silent_streams), (4 * 6, 0));
    let small = load(&format!("{four} --layout 5x5 --max-loss 0")).await;
    assert_eq!((small.packets.streams, small.packets.silent_streams), (4 * 6, 0));
    assert!(
        2 * small.counters.bytes < simulcast.counters.bytes,
        "small tiles need small pictures: {} of {} bytes",
        small.counters.bytes,
        simulcast.counters.bytes
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_join_at_once_and_nobody_loses_anything() {
    let outcome =
        load("--preset storm --subscribers 5 --storm 50 --duration 4s --max-loss 0").await;
    let storm = outcome.storm.unwrap();
    assert_eq!((storm.connected, storm.with_media, outcome.joins.with_media), (50, 50, 5));
    assert_eq!(outcome.packets.streams, 2 * 55);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_thrown_away_comes_by_nack() {
    let outcome = load("--subscribers 5 --no-audio --lose-one-in 10 --max-loss 0").await;
    let thrown_away = outcome.counters.thrown_away;
    assert!(thrown_away > 50, "{outcome:#?}");
    // What is under way when the measured time begins is counted on one side only.
    assert!(outcome.packets.recovered + 5 >= thrown_away, "{outcome:#?}");
    let without = "--subscribers 5 --no-audio --lose-one-in 10 --no-nack";
    let lossy = load(without).await;
    assert_eq!(lossy.packets.recovered, 0);
    let percent = lossy.loss_percent();
    assert!((7.0..11.0).contains(&percent), "{percent}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn audio_rooms_and_the_older_cipher() {
    let audio = "--preset audio --audio-publishers 3 --subscribers 4 --simulate-speakers";
    let outcome = load(&format!("{audio} --rooms 2 --aes-cm --decrypt 1 --max-loss 0")).await;
    assert_eq!(outcome.packets.streams, 2 * 4 * 3);
    assert!(outcome.delay_us.samples >= outcome.packets.received);
}

/// The status of `/readyz`, and how long it took.
async fn ready(target: &Target) -> (u16, Duration) {
    let asked = Instant::now();
    let status = reqwest::get(format!("{}/readyz", target.url)).await.unwrap().status();
    (status.as_u16(), asked.elapsed())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_in_calls_lose_nothing_while_the_server_drains() {
    let (server, target) = start().await;
    let flags = "load --quiet --preset meeting --rooms 5 --video-publishers 4 --audio-publishers 4 \
                 --simulcast false --bitrate 150k --join-rate 100 --warm-up 2s --duration 4s \
                 --max-loss 0";
    let cli = Cli::parse_from(flags.split_whitespace());
    let calls = run(&cli.load, &target);
    let drain = async {
        let in_calls = "sfu_participants{door=\"web_socket\"} 20";
        let metrics = format!("{}/metrics", target.url);
        while !reqwest::get(&metrics).await.unwrap().text().await.unwrap().contains(in_calls) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(ready(&target).await.0, 200);
        let (drained, (status, took)) = tokio::join!(
            async {
                let since = Instant::now();
                server.drain(Duration::from_secs(60)).await;
                since.elapsed()
            },
            ready(&target)
        );
        assert_eq!(status, 503);
        println!("/readyz said so within {took:?}");
        assert!(took < Duration::from_secs(1), "{took:?}");
        drained
    };
    let (outcome, drained) = tokio::join!(calls, drain);
    let outcome = outcome.unwrap();
    assert_eq!(outcome.failures(), Vec::<String>::new(), "{}", outcome.markdown());
    assert_eq!((outcome.packets.streams, outcome.packets.silent_streams), (5 * 4 * 6, 0));
    assert_eq!((outcome.packets.lost, outcome.ended), (0, 0), "{}", outcome.markdown());
    assert!(drained > Duration::from_secs(3), "it waited for the calls: {drained:?}");
    assert!(drained < Duration::from_secs(50), "and not for its deadline: {drained:?}");
    server.stop().await;
}
