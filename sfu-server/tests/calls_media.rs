//! Media through the whole server, between clients of another stack: what goes in comes out, on the
//! right m-line, in one unbroken line of sequence numbers.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[macro_use]
mod calls_common;

use bench::client::{HttpSession, Join, Participant, until};
use bench::media::VideoPlan;
use calls_common::{
    AUDIO, Site, VIDEO, all_decrypted, small, source_until, stream_until, watching,
};

on_one_worker_and_on_two!(a_whep_viewer_receives_what_a_whip_publisher_sends);
async fn a_whep_viewer_receives_what_a_whip_publisher_sends(site: Site) {
    let plan = VideoPlan::camera(1_000_000, 30);
    let mut publisher = HttpSession::publish(&site.url, "r", Some(plan), true).await.unwrap();
    let viewer = watching(&site, "r", None).await;
    stream_until(&viewer.peer, "60 frames", true, |s| (s.frames.decodable >= 60).then_some(()))
        .await;

    let remote = viewer.peer.remote();
    for (kind, codec, source) in [
        ("video", "vp8", publisher.camera.as_ref().unwrap().source),
        ("audio", "opus", publisher.microphone.as_ref().unwrap().source),
    ] {
        let ssrc = viewer.announced_ssrc(kind).expect("the answer announces an SSRC");
        let ledger = viewer.peer.tap().ledger();
        let stream = ledger.streams.get(&ssrc).expect("media comes on the announced SSRC");
        let section = remote.section_of_ssrc(ssrc).unwrap();
        assert_eq!((section.kind.as_str(), section.direction.as_str()), (kind, "sendonly"));
        assert!(section.codecs.contains(&(stream.payload_type, codec.to_owned())), "{section:?}");
        if let Some(mid) = &stream.mid {
            assert_eq!(*mid, section.mid, "the MID extension names another m-line");
        }
        // A probe repeats what was sent of late.
        assert_eq!(stream.numbers.missing(), 0, "{kind}");
        assert!(stream.duplicates <= stream.rtx, "{kind}");
        let account = ledger.sources.get(&source).expect("packets of the publisher");
        assert_eq!(account.packets.len(), stream.numbers.len() - stream.padding, "{kind}");
        assert_eq!(account.packets.missing(), 0, "{kind}");
        assert!(account.duplicates <= stream.rtx, "{kind}");
    }
    {
        let ledger = viewer.peer.tap().ledger();
        assert_eq!(ledger.foreign, 0);
        let video = &ledger.streams[&viewer.announced_ssrc("video").unwrap()];
        assert!(video.first.unwrap().keyframe_start, "video begins with a key frame");
        assert_eq!(video.frames.decodable, video.frames.complete);
    }
    publisher.stop();
    all_decrypted(&viewer.peer).await;
    viewer.close().await.unwrap();
    publisher.close().await.unwrap();
    site.stop().await;
}

on_one_worker_and_on_two!(websocket_participants_whip_and_whep_share_a_room);
async fn websocket_participants_whip_and_whep_share_a_room(site: Site) {
    let whip = HttpSession::publish(&site.url, "r", small(), true).await.unwrap();
    let join = |name: &str| Join {
        room: "r".to_owned(),
        name: name.to_owned(),
        video: small(),
        audio: true,
        ..Default::default()
    };
    let ann = Participant::join(&site.url, join("ann")).await.unwrap();
    let bob = Participant::join(&site.url, join("bob")).await.unwrap();
    let viewer = watching(&site, "r", Some(&ann.id)).await;

    let sources = |camera: &Option<bench::client::Camera>,
                   microphone: &Option<bench::client::Microphone>| {
        [camera.as_ref().unwrap().source, microphone.as_ref().unwrap().source]
    };
    let of_whip = sources(&whip.camera, &whip.microphone);
    let of_ann = sources(&ann.camera, &ann.microphone);
    let of_bob = sources(&bob.camera, &bob.microphone);
    for (peer, expected) in [
        (ann.peer(), [of_whip, of_bob].concat()),
        (bob.peer(), [of_whip, of_ann].concat()),
        (&viewer.peer, of_ann.to_vec()),
    ] {
        for source in &expected {
            source_until(peer, "20 packets of each", *source, |s| {
                (s.packets.len() >= 20).then_some(())
            })
            .await;
        }
        let ledger = peer.tap().ledger();
        assert_eq!(ledger.sources.len(), expected.len(), "nobody hears oneself or a stranger");
        for stream in ledger.streams.values() {
            assert_eq!(stream.numbers.missing(), 0);
            assert!(stream.duplicates <= stream.rtx, "a probe repeats what was sent of late");
        }
    }

    // What the server says of m-lines is what they carry.
    let assigned = bob.assigned();
    assert_eq!(assigned.len(), 4, "{assigned:?}");
    let video_of_ann = ann.published(VIDEO).await.unwrap();
    let (mid, assignment) =
        assigned.iter().find(|(_, assignment)| assignment.track == video_of_ann).unwrap();
    assert_eq!(assignment.participant, ann.id);
    let ssrc = bob.peer().remote().section(mid).unwrap().media_ssrcs[0];
    let first = bob.peer().tap().ledger().streams[&ssrc].first.unwrap();
    assert_eq!(first.stamp.unwrap().source, ann.camera.as_ref().unwrap().source);
    assert!(first.keyframe_start);
    assert_ne!(ann.published(AUDIO).await.unwrap(), video_of_ann);

    assert_eq!(ann.leave().await.unwrap(), Some(1000));
    bob.signalling()
        .event("ann has left", |event| {
            event["type"] == "participant_left" && event["reason"] == "left"
        })
        .await
        .unwrap();
    site.stop().await;
}

on_one_worker_and_on_two!(one_who_joins_after_70_000_packets_sees_video);
/// Sequence numbers go around once in 65,536 packets, and SRTP counts the rounds; a receiver that
/// joins later must start at round 0 (RFC 3711 §3.3.1).
async fn one_who_joins_after_70_000_packets_sees_video(site: Site) {
    let plan = VideoPlan::raw(10_000);
    let mut publisher = HttpSession::publish(&site.url, "r", Some(plan), false).await.unwrap();
    let _early = watching(&site, "r", None).await;
    let camera = publisher.camera.as_ref().unwrap();
    until("70,000 packets", || (camera.sent() >= 70_000).then_some(())).await.unwrap();

    let late = HttpSession::watch(&site.url, "r", None).await.unwrap();
    stream_until(&late.peer, "100 frames", true, |s| (s.frames.decodable >= 100).then_some(()))
        .await;
    let first = stream_until(&late.peer, "the first packet", true, |stream| stream.first).await;
    assert!(first.keyframe_start, "it begins with a key frame");
    assert!(first.stamp.unwrap().sequence >= 70_000);
    publisher.stop();
    all_decrypted(&late.peer).await;
    site.stop().await;
}

on_one_worker_and_on_two!(a_keyframe_request_of_a_late_viewer_reaches_the_publisher);
async fn a_keyframe_request_of_a_late_viewer_reaches_the_publisher(site: Site) {
    let publisher = HttpSession::publish(&site.url, "r", small(), false).await.unwrap();
    let camera = publisher.camera.as_ref().unwrap();
    let _early = watching(&site, "r", None).await;
    until("frames between", || (camera.sent() > 60).then_some(())).await.unwrap();
    let before = camera.keyframes();
    let late = watching(&site, "r", None).await;
    assert!(camera.keyframes() > before, "the join itself brings a key frame");

    let before = camera.keyframes();
    let ssrc = late.announced_ssrc("video").unwrap();
    late.peer.request_keyframe(ssrc).await.unwrap();
    until("a key frame by request", || (camera.keyframes() > before).then_some(())).await.unwrap();
    site.stop().await;
}

on_one_worker_and_on_two!(a_viewer_outlives_its_publisher_and_sees_the_next);
async fn a_viewer_outlives_its_publisher_and_sees_the_next(site: Site) {
    let first = HttpSession::publish(&site.url, "r", small(), true).await.unwrap();
    let viewer = watching(&site, "r", None).await;
    let ssrc = viewer.announced_ssrc("video").unwrap();
    first.close().await.unwrap();

    let second = HttpSession::publish(&site.url, "r", small(), true).await.unwrap();
    for source in
        [second.camera.as_ref().unwrap().source, second.microphone.as_ref().unwrap().source]
    {
        source_until(&viewer.peer, "30 packets of the second publisher", source, |source| {
            (source.packets.len() >= 30).then_some(())
        })
        .await;
    }
    {
        let ledger = viewer.peer.tap().ledger();
        assert_eq!(ledger.streams.len(), 2, "the m-lines keep their SSRCs");
        for (ssrc_seen, stream) in &ledger.streams {
            assert_eq!(stream.numbers.missing(), 0, "one unbroken line");
            if *ssrc_seen == ssrc {
                assert_eq!(
                    stream.frames.decodable, stream.frames.complete,
                    "it starts with a key frame"
                );
                assert!(stream.frames.keyframes >= 2);
            }
        }
    }
    site.stop().await;
}
