//! What is agreed, on the first offer and on later ones.

use sfu_core::id::{PayloadType, Ssrc};
use sfu_core::negotiation::{
    Codec, MediaKind, MediaSection, NegotiationError, Section, SectionContent, negotiate,
};
use sfu_core::rtp::extension::Extension;

use crate::fixtures::{self, agree, agree_from, offer, plain};

fn media(section: &Section) -> &MediaSection {
    match &section.content {
        SectionContent::Media(media) => media,
        other => panic!("no media: {other:?}"),
    }
}

fn refused(sdp: &str, before: &[Section]) -> bool {
    negotiate(&offer(sdp), before, &mut || Ssrc(1)) == Err(NegotiationError::SectionChanged)
}

#[test]
fn a_plain_offer_is_accepted_as_a_whole() {
    let sections = agree(fixtures::PLAIN);
    let mids: Vec<_> = sections.iter().map(|section| &*section.mid.0).collect();
    assert_eq!(mids, ["0", "1", "2"]);
    let (audio, video) = (media(&sections[0]), media(&sections[1]));
    assert_eq!(audio.kind, MediaKind::Audio);
    assert!(audio.receive.is_some());
    assert_eq!(audio.send.as_ref().unwrap().ssrc, Ssrc(1));
    assert_eq!(audio.send.as_ref().unwrap().rtx_ssrc, None);
    assert_eq!(video.send.as_ref().unwrap().ssrc, Ssrc(2));
    assert_eq!(video.send.as_ref().unwrap().rtx_ssrc, Some(Ssrc(3)));
    assert_eq!(sections[2].content, SectionContent::Data);
    assert!(video.codec(PayloadType(97)).unwrap().1);
}

#[test]
fn directions_decide_who_sends() {
    let with = |direction: &str| {
        let sections = agree(&plain("a=mid:1\r\n", &format!("a=mid:1\r\na={direction}\r\n")));
        let video = media(&sections[1]);
        (video.receive.is_some(), video.send.is_some())
    };
    assert_eq!(with("sendrecv"), (true, true));
    assert_eq!(with("sendonly"), (true, false));
    assert_eq!(with("recvonly"), (false, true));
    assert_eq!(with("inactive"), (false, false));
}

#[test]
fn m_lines_without_a_common_codec_are_rejected() {
    let sections = agree(&plain("VP8", "H265"));
    assert_eq!(sections[1].content, SectionContent::Rejected);
    assert!(matches!(sections[0].content, SectionContent::Media(_)));
    // RED alone is none.
    let red = plain("opus/48000/2", "red/48000/2\r\na=fmtp:111 112/112");
    assert_eq!(agree(&red)[0].content, SectionContent::Rejected);
}

#[test]
fn chromium_gets_red_behind_its_opus() {
    let sections = agree(fixtures::CHROMIUM_SENDRECV);
    let codecs: Vec<_> = media(&sections[0]).codecs.iter().map(|c| c.codec).collect();
    assert_eq!(codecs, [Codec::Opus, Codec::Red]);
}

#[test]
fn a_second_association_is_rejected() {
    let second =
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:3\r\na=sctp-port:5000\r\n";
    let sdp = format!("{}{second}", plain("BUNDLE 0 1 2", "BUNDLE 0 1 2 3"));
    let sections = agree(&sdp);
    assert_eq!(sections[2].content, SectionContent::Data);
    assert_eq!(sections[3].content, SectionContent::Rejected);
}

#[test]
fn feedback_is_what_is_of_use() {
    let sections = agree(fixtures::CHROMIUM_SENDRECV);
    let audio = media(&sections[0]).codecs[0].feedback;
    assert!(audio.transport_cc && !audio.nack);
    let video = media(&sections[1]).codecs[0].feedback;
    assert!(
        video.transport_cc && video.nack && video.nack_pli && video.ccm_fir && !video.goog_remb
    );
    // Without transport-cc, what is left.
    let obs = agree(fixtures::OBS);
    assert!(media(&obs[1]).codecs[0].feedback.goog_remb);
    let gstreamer = agree(fixtures::GSTREAMER);
    assert!(!media(&gstreamer[0]).codecs[0].feedback.nack, "audio needs no NACK");
}

#[test]
fn extensions_keep_the_clients_ids_and_are_the_useful_ones() {
    let sections = agree(fixtures::CHROMIUM_SIMULCAST);
    let audio: Vec<_> = media(&sections[0]).extensions.iter().collect();
    assert_eq!(
        audio,
        [
            (Extension::Mid, 4),
            (Extension::TransportCc, 3),
            (Extension::AbsSendTime, 2),
            (Extension::AudioLevel, 1),
        ]
    );
    let video: Vec<_> = media(&sections[1]).extensions.iter().collect();
    assert_eq!(
        video,
        [
            (Extension::Mid, 4),
            (Extension::Rid, 10),
            (Extension::RepairedRid, 11),
            (Extension::TransportCc, 3),
            (Extension::AbsSendTime, 2),
            (Extension::VideoOrientation, 13),
            (Extension::PlayoutDelay, 5),
            (Extension::DependencyDescriptor, 12),
        ]
    );
    let odd = plain(
        "a=mid:1\r\n",
        "a=mid:1\r\na=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\n",
    );
    assert_eq!(media(&agree(&odd)[1]).extensions.iter().count(), 0);
}

#[test]
fn extensions_for_one_way_are_used_that_way_only() {
    // Firefox: RIDs and the dependency descriptor it only sends, playout delay it only takes.
    let sections = agree(&fixtures::FIREFOX_SIMULCAST.replace("a=sendonly", "a=sendrecv"));
    let both = media(&sections[1]);
    assert_eq!(both.extensions.id(Extension::PlayoutDelay), Some(6));
    assert_eq!(both.extensions.id(Extension::DependencyDescriptor), Some(8));
    let to_send = both.extensions_to_send();
    assert_eq!(to_send.id(Extension::PlayoutDelay), Some(6));
    assert_eq!(to_send.id(Extension::DependencyDescriptor), None);
    assert_eq!(to_send.id(Extension::Mid), Some(3));

    let sections = agree(fixtures::FIREFOX_SIMULCAST);
    let (publishing, receiving) = (media(&sections[1]), media(&sections[3]));
    assert_eq!(publishing.extensions.id(Extension::Rid), Some(9));
    assert_eq!(publishing.extensions.id(Extension::PlayoutDelay), None);
    assert_eq!(receiving.extensions.id(Extension::DependencyDescriptor), None);
    assert_eq!(receiving.extensions.id(Extension::PlayoutDelay), Some(6));
}

#[test]
fn ssrcs_stay_while_an_m_line_sends() {
    let first = agree(fixtures::PLAIN);
    let again = agree_from(&offer(fixtures::PLAIN), &first, 100);
    assert_eq!(first, again);

    let sendonly = plain("a=mid:1\r\n", "a=mid:1\r\na=sendonly\r\n");
    let paused = agree_from(&offer(&sendonly), &again, 200);
    assert_eq!(media(&paused[1]).send, None);
    assert_eq!(media(&paused[0]).send, media(&first[0]).send);
    let resumed = agree_from(&offer(fixtures::PLAIN), &paused, 300);
    assert_eq!(media(&resumed[1]).send.as_ref().unwrap().ssrc, Ssrc(300));

    let without_rtx = agree_from(&offer(&plain("96 97", "96")), &first, 400);
    let send = media(&without_rtx[1]).send.as_ref().unwrap();
    assert_eq!((send.ssrc, send.rtx_ssrc), (Ssrc(2), None));
    let with_rtx = agree_from(&offer(fixtures::PLAIN), &without_rtx, 500);
    let send = media(&with_rtx[1]).send.as_ref().unwrap();
    assert_eq!((send.ssrc, send.rtx_ssrc), (Ssrc(2), Some(Ssrc(500))));
}

#[test]
fn m_lines_keep_their_place_mid_and_kind() {
    let before = agree(fixtures::PLAIN);
    let fewer = fixtures::PLAIN.split("m=application").next().unwrap();
    assert!(refused(fewer, &before));
    assert!(refused(
        &plain("a=mid:1\r\n", "a=mid:9\r\n").replace("BUNDLE 0 1", "BUNDLE 0 9"),
        &before
    ));
    let swapped = plain("a=mid:0\r\n", "a=mid:x\r\n")
        .replace("a=mid:1\r\n", "a=mid:0\r\n")
        .replace("a=mid:x\r\n", "a=mid:1\r\n");
    assert!(refused(&swapped, &before));
    let kind = plain("m=audio 9 UDP/TLS/RTP/SAVPF 111", "m=video 9 UDP/TLS/RTP/SAVPF 96");
    assert!(refused(&kind.replacen("rtpmap:111 opus/48000/2", "rtpmap:96 VP8/90000", 1), &before));
    assert!(refused(&plain("m=audio 9", "m=text 0"), &before));
    let data =
        plain("m=application 9 UDP/DTLS/SCTP webrtc-datachannel", "m=audio 9 UDP/TLS/RTP/SAVPF 0");
    assert!(refused(&data, &before));
    assert!(!refused(&plain("m=audio 9", "m=audio 0"), &before));
}

#[test]
fn a_rejected_place_may_be_used_again() {
    for (first, stopped, recycled) in [
        (fixtures::CHROMIUM_SIMULCAST, fixtures::CHROMIUM_STOPPED, fixtures::CHROMIUM_RECYCLED),
        (fixtures::FIREFOX_SIMULCAST, fixtures::FIREFOX_STOPPED, fixtures::FIREFOX_RECYCLED),
    ] {
        let first = agree(first);
        let stopped = agree_from(&offer(stopped), &first, 100);
        assert_eq!(stopped[0].content, SectionContent::Rejected);
        assert_eq!(media(&stopped[3]).send, media(&first[3]).send);
        let recycled = agree_from(&offer(recycled), &stopped, 200);
        let new = recycled.iter().find(|section| &*section.mid.0 == "7").unwrap();
        assert!(media(new).send.as_ref().unwrap().ssrc.0 >= 200);
        assert_eq!(media(&recycled[3]).send, media(&first[3]).send);
    }
}

#[test]
fn one_feedback_for_congestion_control_is_agreed() {
    // Offered for video, the m-line's direction, and whether transport-cc, ccfb, REMB are agreed.
    let (cc, ccfb, remb) = ("96 transport-cc", "* ack ccfb", "96 goog-remb");
    type Agreed = (bool, bool, bool);
    let table: [(&[&str], &str, Agreed); 9] = [
        (&[cc, ccfb, remb], "recvonly", (true, false, false)),
        (&[ccfb, remb], "recvonly", (false, true, false)),
        (&[remb], "recvonly", (false, false, true)),
        (&[ccfb], "recvonly", (false, true, false)),
        // The server would have to send it too.
        (&[ccfb], "sendrecv", (false, false, false)),
        (&[ccfb, remb], "sendonly", (false, false, false)),
        (&["96 ack ccfb"], "recvonly", (false, false, false)),
        (&["* ack rpsi"], "recvonly", (false, false, false)),
        (&[], "recvonly", (false, false, false)),
    ];
    for (offered, direction, expected) in table {
        let lines: String = offered.iter().map(|line| format!("a=rtcp-fb:{line}\r\n")).collect();
        let sdp = plain("a=mid:1\r\n", &format!("a=mid:1\r\na={direction}\r\n{lines}"));
        let agreed = media(&agree(&sdp)[1]).codecs[0].feedback;
        let agreed = (agreed.transport_cc, agreed.ack_ccfb, agreed.goog_remb);
        assert_eq!(agreed, expected, "{offered:?} {direction}");
    }
}

#[test]
fn transport_wide_feedback_anywhere_rules_out_the_others() {
    let audio = "a=mid:0\r\na=recvonly\r\na=rtcp-fb:111 transport-cc\r\n";
    let video = "a=mid:1\r\na=recvonly\r\na=rtcp-fb:* ack ccfb\r\na=rtcp-fb:96 goog-remb\r\n";
    let sdp = plain("a=mid:0\r\n", audio).replace("a=mid:1\r\n", video);
    let video = media(&agree(&sdp)[1]).codecs[0].feedback;
    assert!(!video.ack_ccfb && !video.goog_remb);
}
