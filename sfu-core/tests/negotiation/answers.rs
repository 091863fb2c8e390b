//! The answer's text.

use sfu_core::negotiation::Offer;
use sfu_core::transport::DtlsRole;

use crate::fixtures::{self, agree, agree_from, answer, answer_to, offer, plain};

/// The lines of the m-line at `index`.
fn section(sdp: &str, index: usize) -> Vec<&str> {
    sdp.split("m=").nth(index + 1).unwrap().lines().skip(1).collect()
}

fn m_lines(sdp: &str) -> Vec<&str> {
    sdp.lines().filter(|line| line.starts_with("m=")).collect()
}

#[test]
fn a_whole_answer() {
    let offer = offer(fixtures::PLAIN);
    let mut answer = answer_to(&offer, agree(fixtures::PLAIN));
    answer.version = 3;
    let transport = "c=IN IP4 192.0.2.1\r\na=mid:MID\r\na=ice-ufrag:serv\r\n\
        a=ice-pwd:abcdefghijklmnopqrstuv\r\n\
        a=fingerprint:sha-256 A0:A1:A2:A3:A4:A5:A6:A7:A8:A9:AA:AB:AC:AD:AE:AF:\
        B0:B1:B2:B3:B4:B5:B6:B7:B8:B9:BA:BB:BC:BD:BE:BF\r\na=setup:passive\r\n";
    let session = answer.to_sdp().lines().nth(1).unwrap().split(' ').nth(1).unwrap().to_owned();
    let expected = [
        &format!("v=0\r\no=- {session} 3 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=ice-lite\r\n"),
        "a=ice-options:ice2\r\na=group:BUNDLE 0 1 2\r\na=msid-semantic: WMS *\r\n",
        "m=audio 7882 UDP/TLS/RTP/SAVPF 111\r\n",
        &transport.replace("MID", "0"),
        "a=candidate:1 1 udp 2130706431 192.0.2.1 7882 typ host\r\n",
        "a=candidate:2 1 udp 2130706175 2001:db8::1 7882 typ host\r\n",
        // RFC 6544 §4.2: type preference 90, direction preference 4, the third of its kind.
        "a=candidate:3 1 tcp 1520434687 192.0.2.1 443 typ host tcptype passive\r\n",
        "a=end-of-candidates\r\n",
        "a=sendrecv\r\na=rtcp-mux\r\na=rtcp-mux-only\r\na=rtpmap:111 opus/48000/2\r\n",
        "a=fmtp:111 minptime=10;useinbandfec=1\r\na=msid:stream track-0\r\na=ssrc:1 cname:cname\r\n",
        "m=video 7882 UDP/TLS/RTP/SAVPF 96 97\r\n",
        &transport.replace("MID", "1"),
        "a=sendrecv\r\na=rtcp-mux\r\na=rtcp-mux-only\r\na=rtpmap:96 VP8/90000\r\n",
        "a=rtcp-fb:96 nack\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n",
        "a=msid:stream track-1\r\na=ssrc-group:FID 2 3\r\na=ssrc:2 cname:cname\r\n",
        "a=ssrc:3 cname:cname\r\nm=application 7882 UDP/DTLS/SCTP webrtc-datachannel\r\n",
        &transport.replace("MID", "2"),
        "a=sctp-port:5000\r\na=max-message-size:65536\r\n",
    ];
    assert_eq!(answer.to_sdp(), expected.concat());
    // The session id is the same in every answer, and fits 63 bits.
    answer.version = 4;
    assert!(answer.to_sdp().contains(&format!("o=- {session} 4 ")));
    assert!(session.parse::<i64>().is_ok());
}

#[test]
fn rejected_m_lines_have_port_0_and_are_not_in_the_group() {
    let answer = answer(&plain("opus", "G729"));
    assert!(answer.contains("a=group:BUNDLE 1 2\r\n"));
    assert_eq!(m_lines(&answer)[0], "m=audio 0 UDP/TLS/RTP/SAVPF 111");
    assert_eq!(section(&answer, 0), ["c=IN IP4 0.0.0.0", "a=mid:0", "a=inactive"]);
    // The candidates stand in the first m-line that is accepted.
    assert!(section(&answer, 1).contains(&"a=end-of-candidates"));

    let nothing = answer_to(&offer(fixtures::PLAIN), agree(&plain("m=audio 9", "m=audio 0")));
    assert_eq!(nothing.to_sdp().matches("a=end-of-candidates").count(), 1);
}

#[test]
fn an_offer_of_nothing_useful_is_answered_all_the_same() {
    let sdp = fixtures::PLAIN.split("m=video").next().unwrap().replace("opus", "G729");
    let answer = answer(&sdp);
    assert!(!answer.contains("BUNDLE") && !answer.contains("candidate"));
    assert_eq!(m_lines(&answer), ["m=audio 0 UDP/TLS/RTP/SAVPF 111"]);
}

#[test]
fn candidates_belong_to_the_first_of_the_clients_group() {
    let answer = answer(&plain("BUNDLE 0 1 2", "BUNDLE 1 2 0"));
    assert!(answer.contains("a=group:BUNDLE 1 2 0\r\n"));
    assert!(section(&answer, 1).contains(&"a=end-of-candidates"));
    assert!(!section(&answer, 0).contains(&"a=end-of-candidates"));
}

#[test]
fn no_group_is_answered_if_none_was_offered() {
    let sdp =
        fixtures::PLAIN.split("m=video").next().unwrap().replace("a=group:BUNDLE 0 1 2\r\n", "");
    assert!(!answer(&sdp).contains("a=group"));
    assert!(answer(&sdp).contains("a=end-of-candidates"));
}

#[test]
fn setup_is_the_other_role() {
    let passive = plain("setup:actpass", "setup:passive");
    assert_eq!(offer(&passive).role, DtlsRole::Client);
    assert!(answer(&passive).contains("a=setup:active\r\n"));
    assert!(answer(fixtures::PLAIN).contains("a=setup:passive\r\n"));
}

#[test]
fn directions_are_mirrored() {
    for (offered, answered) in [
        ("sendrecv", "a=sendrecv"),
        ("sendonly", "a=recvonly"),
        ("recvonly", "a=sendonly"),
        ("inactive", "a=inactive"),
    ] {
        let answer = answer(&plain("a=mid:1\r\n", &format!("a=mid:1\r\na={offered}\r\n")));
        let video = section(&answer, 1);
        assert!(video.contains(&answered), "{offered}");
        let sends = offered == "sendrecv" || offered == "recvonly";
        assert_eq!(video.iter().any(|line| line.starts_with("a=ssrc")), sends, "{offered}");
        assert_eq!(video.iter().any(|line| line.starts_with("a=msid")), sends, "{offered}");
    }
}

#[test]
fn simulcast_is_answered_by_receiving_the_same_rids() {
    for sdp in [fixtures::CHROMIUM_SIMULCAST, fixtures::FIREFOX_SIMULCAST] {
        let answer = answer(sdp);
        let video = section(&answer, 1);
        for line in ["a=rid:h recv", "a=rid:m recv", "a=rid:l recv", "a=simulcast:recv h;m;l"] {
            assert!(video.contains(&line), "{line}");
        }
        assert!(
            !section(&answer, 3)
                .iter()
                .any(|line| line.contains("rid:") || line.contains("simulcast"))
        );
    }
}

#[test]
fn one_way_extensions_are_answered_the_other_way() {
    let answer = answer(&fixtures::FIREFOX_SIMULCAST.replace("a=sendonly", "a=sendrecv"));
    let video = section(&answer, 1);
    let line = |start: &str| video.iter().filter(|line| line.starts_with(start)).count();
    assert_eq!(line("a=extmap:6/sendonly "), 1);
    assert_eq!(line("a=extmap:9/recvonly "), 1);
    assert_eq!(line("a=extmap:3 urn:ietf:params:rtp-hdrext:sdes:mid"), 1);
    assert!(video.contains(&"a=extmap-allow-mixed"));
}

#[test]
fn format_parameters_name_the_format() {
    let answer_of_chromium = answer(fixtures::CHROMIUM_SENDRECV);
    let video = section(&answer_of_chromium, 1);
    for line in [
        "a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f",
        "a=fmtp:45 level-idx=5;profile=0;tier=0",
        "a=fmtp:100 profile-id=2",
    ] {
        assert!(video.contains(&line), "{line}");
    }
    assert!(section(&answer_of_chromium, 0).contains(&"a=fmtp:63 111/111"));
    // Stereo is welcome if the client will send it; its decoder's wishes are not repeated.
    assert!(answer(fixtures::OBS).contains("a=fmtp:111 minptime=10;useinbandfec=1;stereo=1\r\n"));
    assert!(
        answer(fixtures::FIREFOX_SENDRECV).contains("a=fmtp:109 minptime=10;useinbandfec=1\r\n")
    );
    assert!(!answer(fixtures::FIREFOX_SENDRECV).contains("max-fs"));
    let gstreamer = answer(fixtures::GSTREAMER);
    assert!(gstreamer.contains("packetization-mode=1;profile-level-id=42c01f\r\n"));
    assert!(!gstreamer.contains("sprop-parameter-sets"));
}

#[test]
fn ipv6_may_be_the_default_address() {
    let offer = offer(fixtures::PLAIN);
    let mut answer = answer_to(&offer, agree(fixtures::PLAIN));
    answer.candidates.remove(0);
    assert!(
        answer.to_sdp().contains("m=audio 7882 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP6 2001:db8::1\r\n")
    );
    answer.candidates.clear();
    assert!(answer.to_sdp().contains("m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\n"));
}

#[test]
fn a_fragment_has_credentials_and_candidates() {
    let answer = answer_to(&offer(fixtures::OBS), agree(fixtures::OBS));
    assert_eq!(
        answer.to_fragment(),
        "a=ice-lite\r\na=ice-options:ice2\r\na=group:BUNDLE 0 1\r\n\
         m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=ice-ufrag:serv\r\n\
         a=ice-pwd:abcdefghijklmnopqrstuv\r\n\
         a=candidate:1 1 udp 2130706431 192.0.2.1 7882 typ host\r\n\
         a=candidate:2 1 udp 2130706175 2001:db8::1 7882 typ host\r\n\
         a=candidate:3 1 tcp 1520434687 192.0.2.1 443 typ host tcptype passive\r\n\
         a=end-of-candidates\r\n"
    );
}

#[test]
fn a_stopped_m_line_of_firefox_is_answered() {
    let first = agree(fixtures::FIREFOX_SIMULCAST);
    let offer = Offer::parse(fixtures::FIREFOX_STOPPED).unwrap();
    let answer = answer_to(&offer, agree_from(&offer, &first, 100)).to_sdp();
    assert_eq!(m_lines(&answer)[0], "m=audio 0 UDP/TLS/RTP/SAVPF 0");
    assert!(answer.contains("a=group:BUNDLE 1 2 3 4 5 6\r\n"));
}

#[test]
fn congestion_control_feedback_is_answered_for_all_payload_types() {
    let offered = "a=mid:1\r\na=recvonly\r\na=rtcp-fb:* ack ccfb\r\n";
    let answer = answer(&plain("a=mid:1\r\n", offered));
    let about = |line: &&&str| line.contains("ccfb");
    assert_eq!(
        section(&answer, 1).iter().filter(about).collect::<Vec<_>>(),
        [&"a=rtcp-fb:* ack ccfb"]
    );
    assert!(!section(&answer, 0).iter().any(|line| line.contains("ccfb")));
}
