//! Through the whole server, in this process: what is published reaches every subscriber.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use reqwest::Url;
use sfu_load::publish::{AudioPlan, Camera, Layer, Microphone, Publisher, VideoPlan};
use sfu_load::sdp::{Encoding, Line};
use sfu_load::signal::Http;
use sfu_load::{Fleet, FleetConfig};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_subscriber_receives_every_packet() {
    let config = sfu_server::config::Config {
        http_addr: (Ipv4Addr::LOCALHOST, 0).into(),
        udp_port: 0,
        advertise: vec![Ipv4Addr::LOCALHOST.into()],
        ..Default::default()
    };
    let server = sfu_server::run(config).await.unwrap();
    let base = Url::parse(&format!("http://{}", server.http_addr)).unwrap();
    let fleet = Fleet::start(FleetConfig { open_one_in: 1, ..Default::default() }).unwrap();
    let http = Http::new(None).unwrap();

    let encoding = Encoding { ssrc: 1000, rtx_ssrc: 1001, rid: None };
    let lines =
        vec![Line::SendAudio { ssrc: 999 }, Line::SendVideo { encodings: vec![encoding.clone()] }];
    let setup = fleet.client(lines, Instant::now()).unwrap();
    let mut publisher = http.join(&fleet, &base.join("whip/r").unwrap(), setup).await.unwrap();
    let port = publisher.member.port.take().unwrap();
    let plan =
        VideoPlan { fps: 30.0, layers: vec![Layer::of_bitrate(1e6, 30.0, 1200, (1280, 720))] };
    let (tag, start) = (port.tag_bytes(), Instant::now());
    let sources = [fleet.sources.add(), fleet.sources.add()];
    let [voice, picture] = sources.clone();
    let audio = AudioPlan { packet_bytes: 136, turn: None };
    fleet.publish(Publisher {
        port,
        camera: Some(Camera::new(&plan, "1", &[encoding], vec![picture], tag, start)),
        microphone: Some(Microphone::new(audio, 999, voice, tag, start)),
    });

    let mut viewers = Vec::new();
    for _ in 0..10 {
        let lines = vec![Line::ReceiveAudio, Line::ReceiveVideo];
        let setup = fleet.client(lines, Instant::now()).unwrap();
        viewers.push(http.join(&fleet, &base.join("whep/r").unwrap(), setup).await.unwrap());
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    fleet.stage.stop_all();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (reports, delays) = fleet.collect().await.unwrap();
    let counters = fleet.used().counters;
    assert_eq!(counters.undecryptable + counters.foreign, 0, "{counters:?}");
    let (voice, picture) = (sources[0].sent(), sources[1].sent());
    assert!(voice >= 95 && picture >= 200, "{voice} {picture}");
    assert_eq!(reports.len(), 11);
    for report in &reports[1..] {
        assert_eq!(report.streams.len(), 2, "{report:?}");
        for stream in &report.streams {
            // All of them joined later than the publisher.
            assert!(stream.received >= 90, "{report:?}");
            assert_eq!((stream.lost, stream.tail, stream.withheld), (0, 0, 0), "{report:?}");
        }
    }
    assert_eq!(delays.count(), counters.delivered, "each packet has a stamp of ours");
    for viewer in viewers {
        viewer.leave().await.unwrap();
    }
    publisher.leave().await.unwrap();
    server.stop().await;
}
