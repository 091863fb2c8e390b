//! The client proves itself: two peers in a call with each other, no server between them.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use bench::client::{Camera, Microphone, Peer, PeerOptions, until};
use bench::media::VideoPlan;

struct Call {
    sender: Peer,
    receiver: Peer,
    camera: Camera,
    microphone: Microphone,
}

async fn call(plan: VideoPlan) -> Call {
    let sender = Peer::new(PeerOptions::default()).await.unwrap();
    let mut microphone = Microphone::new(&sender).await.unwrap();
    let mut camera = Camera::new(&sender, plan).await.unwrap();
    let receiver = Peer::new(PeerOptions::default()).await.unwrap();
    let answer = receiver.answer(&sender.offer(true).await.unwrap()).await.unwrap();
    sender.answered(&answer).await.unwrap();
    sender.connected().await.unwrap();
    receiver.connected().await.unwrap();
    camera.start(&sender);
    microphone.start();
    Call { sender, receiver, camera, microphone }
}

fn assert_whole(call: &Call, video: u64, audio: u64) {
    let ledger = call.receiver.tap().ledger();
    let stream = &ledger.streams[&call.camera.track.ssrc];
    assert_eq!(stream.payload_type, 96);
    assert!(stream.first.unwrap().keyframe_start);
    assert_eq!((stream.numbers.missing(), stream.duplicates, stream.rtx), (0, 0, 0));
    assert_eq!(stream.frames.keyframes, 1);
    assert_eq!(stream.frames.decodable, stream.frames.complete);
    assert_eq!(ledger.sources[&call.camera.source].packets.count_in(0..video), video);
    assert_eq!(ledger.sources[&call.microphone.source].packets.count_in(0..audio), audio);
    assert_eq!(ledger.foreign, 0);
    assert!(ledger.sources[&call.camera.source].delay_us.value_at_quantile(0.5) < 50_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_packet_of_both_kinds_arrives_and_is_accounted_for() {
    let mut call = call(VideoPlan::camera(1_000_000, 30)).await;
    until("a second of video", || (call.camera.sent() >= 120).then_some(())).await.unwrap();
    call.camera.stop();
    call.microphone.stop();
    let (video, audio) = (call.camera.sent(), call.microphone.sent());
    until("all packets", || {
        let ledger = call.receiver.tap().ledger();
        (ledger.packets() == video + audio).then_some(())
    })
    .await
    .unwrap();
    assert_whole(&call, video, audio);
    call.sender.close().await.unwrap();
    call.receiver.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_packets_are_asked_for_and_come_back_as_rtx() {
    let mut call = call(VideoPlan::camera(1_000_000, 30)).await;
    let tap = call.receiver.tap();
    until("the first frames", || {
        let ledger = tap.ledger();
        let stream = ledger.streams.get(&call.camera.track.ssrc)?;
        (stream.frames.decodable > 2).then_some(())
    })
    .await
    .unwrap();
    tap.drop_one_in(10);
    let dropped = || tap.counters.dropped.load(std::sync::atomic::Ordering::Relaxed);
    until("losses", || (dropped() >= 20).then_some(())).await.unwrap();
    tap.drop_one_in(0);
    until("recovery", || {
        let ledger = tap.ledger();
        let stream = &ledger.streams[&call.camera.track.ssrc];
        (stream.recovered > 0 && stream.numbers.missing() == 0).then_some(())
    })
    .await
    .unwrap();
    call.camera.stop();
    let ledger = tap.ledger();
    let stream = &ledger.streams[&call.camera.track.ssrc];
    assert!(stream.recovered >= 19, "the newest may still be missing: {stream:?}");
    let asked = tap.counters.nacked_by_us.load(std::sync::atomic::Ordering::Relaxed);
    assert!(asked < stream.recovered * 4, "{asked} asked for, {} recovered", stream.recovered);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_loss_indication_brings_a_key_frame() {
    let call = call(VideoPlan::camera(500_000, 30)).await;
    let keyframes = || {
        let ledger = call.receiver.tap().ledger();
        ledger.streams.get(&call.camera.track.ssrc).map_or(0, |stream| stream.frames.keyframes)
    };
    until("the first key frame", || (keyframes() == 1).then_some(())).await.unwrap();
    call.receiver.request_keyframe(call.camera.track.ssrc).await.unwrap();
    until("another key frame", || (keyframes() == 2).then_some(())).await.unwrap();
    assert_eq!(call.camera.keyframes(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seventy_thousand_packets_take_seconds() {
    let mut call = call(VideoPlan::raw(10_000)).await;
    until("70,000 packets sent", || (call.camera.sent() >= 70_000).then_some(())).await.unwrap();
    call.camera.stop();
    let sent = call.camera.sent();
    until("the last one received", || {
        let ledger = call.receiver.tap().ledger();
        let source = ledger.sources.get(&call.camera.source)?;
        source.packets.bounds().filter(|(_, highest)| highest + 1 >= sent).map(drop)
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packets_lost_on_the_way_out_can_be_recovered_too() {
    let call = call(VideoPlan::camera(1_000_000, 30)).await;
    call.sender.tap().drop_sent_one_in(10);
    let dropped = &call.sender.tap().counters.dropped;
    until("losses and recoveries", || {
        let ledger = call.receiver.tap().ledger();
        let stream = ledger.streams.get(&call.camera.track.ssrc)?;
        let enough = dropped.load(std::sync::atomic::Ordering::Relaxed) >= 20;
        (enough && stream.recovered >= 10).then_some(())
    })
    .await
    .unwrap();
}
