//! WHIP and WHEP: what they ask of an offer (RFC 9725 §4.2, §4.4).

use sfu_core::negotiation::{OfferError, SectionContent};

use crate::fixtures::{self, agree_from, answer_to, offer, plain};

fn publish(sdp: &str) -> Result<String, OfferError> {
    let mut offer = offer(sdp);
    offer.publish_only()?;
    Ok(answer_to(&offer, agree_from(&offer, &[], 1)).to_sdp())
}

fn play(sdp: &str) -> Result<String, OfferError> {
    let mut offer = offer(sdp);
    offer.play_only()?;
    Ok(answer_to(&offer, agree_from(&offer, &[], 1)).to_sdp())
}

fn unsupported(result: Result<String, OfferError>) -> bool {
    matches!(result, Err(OfferError::Unsupported(_)))
}

#[test]
fn publishers_are_answered_recvonly() {
    for sdp in [fixtures::OBS, fixtures::GSTREAMER, fixtures::FFMPEG, fixtures::PLAIN] {
        let answer = publish(sdp).unwrap();
        assert_eq!(answer.matches("a=recvonly\r\n").count(), 2);
        assert!(!answer.contains("a=ssrc") && !answer.contains("a=msid:"));
    }
}

#[test]
fn players_are_answered_sendonly() {
    for sdp in [fixtures::CHROMIUM_RECVONLY, fixtures::FIREFOX_RECVONLY, fixtures::PLAIN] {
        let answer = play(sdp).unwrap();
        assert_eq!(answer.matches("a=sendonly\r\n").count(), 2);
        assert_eq!(answer.matches("a=msid:stream ").count(), 2);
    }
}

#[test]
fn the_other_direction_is_refused() {
    assert!(unsupported(publish(fixtures::CHROMIUM_RECVONLY)));
    assert!(unsupported(play(fixtures::OBS)));
    let inactive = plain("a=mid:0\r\n", "a=mid:0\r\na=inactive\r\n");
    assert!(unsupported(publish(&inactive)));
    assert!(unsupported(play(&inactive)));
}

#[test]
fn it_is_all_or_nothing() {
    assert!(unsupported(publish(&plain("VP8", "H265"))));
    assert!(unsupported(publish(&plain("m=video 9", "m=video 0"))));
    assert!(unsupported(publish(fixtures::CHROMIUM_DATA)));
    let mut data = offer(fixtures::PLAIN);
    data.publish_only().unwrap();
    assert_eq!(agree_from(&data, &[], 1)[2].content, SectionContent::Data);
}

#[test]
fn one_audio_one_video_one_stream() {
    let second =
        "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:3\r\na=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\n";
    let two = format!("{}{second}", plain("BUNDLE 0 1 2", "BUNDLE 0 1 2 3"));
    assert!(unsupported(publish(&two)));
    assert!(unsupported(play(&two)));
    let streams = fixtures::OBS
        .replace("a=msid:tzJGRgKyDhLOYrAe tzJGRgKyDhLOYrAe-video", "a=msid:other video");
    assert!(unsupported(publish(&streams)));
}
