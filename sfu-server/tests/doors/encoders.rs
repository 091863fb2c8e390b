//! Offers of the shapes that encoders and players send, written after what these programs do: where
//! they put what, in which case, and what they leave out.

use crate::harness::TestServer;
use crate::whip::{post, session};

const FINGERPRINT: &str = "sha-256 AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:\
                           AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB";

/// OBS Studio, which uses libdatachannel: ICE attributes and DTLS for the whole session, lip sync
/// groups, codecs in capitals, every candidate inside.
fn obs(video: &str) -> String {
    format!(
        "v=0\r\no=rtc 3342019112 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n\
         a=group:LS 0 1\r\na=msid-semantic:WMS *\r\na=setup:actpass\r\na=ice-ufrag:XLE1\r\n\
         a=ice-pwd:4Qk2mJ0pHqyy9oDpfp8kHn\r\na=ice-options:ice2,trickle\r\n\
         a=fingerprint:{FINGERPRINT}\r\n\
         m=audio 58123 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 192.0.2.7\r\na=mid:0\r\na=sendonly\r\n\
         a=ssrc:1777 cname:pKrEP6BTK1mdJDi2\r\na=ssrc:1777 msid:pKrEP6BTK1mdJDi2 obs-audio\r\n\
         a=msid:pKrEP6BTK1mdJDi2 obs-audio\r\na=rtcp-mux\r\na=rtpmap:111 OPUS/48000/2\r\n\
         a=fmtp:111 minptime=10;maxaveragebitrate=96000;stereo=1;sprop-stereo=1;useinbandfec=1\r\n\
         a=candidate:1 1 UDP 2122317823 192.0.2.7 58123 typ host\r\na=end-of-candidates\r\n\
         m=video 58123 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 192.0.2.7\r\na=mid:1\r\na=sendonly\r\n\
         a=msid:pKrEP6BTK1mdJDi2 obs-video\r\na=rtcp-mux\r\na=rtpmap:96 H264/90000\r\n\
         a=rtcp-fb:96 nack\r\na=rtcp-fb:96 nack pli\r\na=rtcp-fb:96 goog-remb\r\n\
         a=fmtp:96 profile-level-id=42e01f;packetization-mode=1;level-asymmetry-allowed=1\r\n{video}"
    )
}

const OBS_ONE_LAYER: &str = "a=ssrc:1778 cname:pKrEP6BTK1mdJDi2\r\n\
                             a=ssrc:1778 msid:pKrEP6BTK1mdJDi2 obs-video\r\n";
/// As of 32.1.
const OBS_SIMULCAST: &str = "a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid\r\n\
                             a=extmap:2 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\r\n\
                             a=rid:0 send\r\na=rid:1 send\r\na=rid:2 send\r\n\
                             a=simulcast:send 0;1;2\r\n";

/// GStreamer's whipclientsink: credentials, roles and fingerprints for each m-line, mids with names,
/// candidates trickled, RTX and FEC in the list.
fn gstreamer() -> String {
    let section = |kind: &str, index: u8, formats: &str, codecs: &str| {
        format!(
            "m={kind} 9 UDP/TLS/RTP/SAVPF {formats}\r\nc=IN IP4 0.0.0.0\r\na=setup:actpass\r\n\
             a=ice-ufrag:yG8nFJ0oFSs2Bvzm\r\na=ice-pwd:ZqJX3Oy4lJ3k4Dj7OLOg2iVvwrGkbv6z\r\n\
             a=rtcp-mux\r\na=rtcp-rsize\r\na=sendonly\r\n{codecs}\
             a=ssrc:42{index} msid:user1183652711@host-ab12cd34 webrtctransceiver{index}\r\n\
             a=ssrc:42{index} cname:user1183652711@host-ab12cd34\r\n\
             a=mid:{kind}{index}\r\na=fingerprint:{FINGERPRINT}\r\n\
             a=rtcp-mux-only\r\n"
        )
    };
    let h264 = "a=rtpmap:96 H264/90000\r\na=rtcp-fb:96 nack\r\na=rtcp-fb:96 nack pli\r\n\
                a=rtcp-fb:96 ccm fir\r\na=rtcp-fb:96 transport-cc\r\na=framerate:30\r\n\
                a=fmtp:96 packetization-mode=1;profile-level-id=42c01f;\
                sprop-parameter-sets=Z0LAH9oB4AiflwFqAgICgAAAAwCAAAAeR4wZUA==,aM48gA==\r\n\
                a=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\na=rtpmap:98 red/90000\r\n\
                a=rtpmap:99 ulpfec/90000\r\n\
                a=extmap:1 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n";
    let opus = "a=rtpmap:100 OPUS/48000/2\r\na=rtcp-fb:100 transport-cc\r\n\
                a=fmtp:100 sprop-maxcapturerate=48000;sprop-stereo=1\r\n";
    format!(
        "v=0\r\no=- 4711230854328571213 0 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n\
         a=ice-options:trickle\r\na=group:BUNDLE video0 audio1\r\n{}{}",
        section("video", 0, "96 97 98 99", h264),
        section("audio", 1, "100", opus)
    )
}

/// FFmpeg's WHIP muxer (8.0): H.264 baseline and Opus, no trickle, no candidates; the DTLS role is
/// its choice. `setup` is `passive`, or `active` where the user asked for it.
fn ffmpeg(setup: &str) -> String {
    let head = |mid: u8| {
        format!(
            "c=IN IP4 0.0.0.0\r\na=ice-ufrag:6b1c3f0d\r\n\
             a=ice-pwd:9ab0b1c2d3e4f5061728394a5b6c7d8e\r\na=fingerprint:{FINGERPRINT}\r\n\
             a=setup:{setup}\r\na=mid:{mid}\r\na=sendonly\r\n"
        )
    };
    let (audio, video) = (head(0), head(1));
    format!(
        "v=0\r\no=FFmpeg 4489045141692799359 2 IN IP4 127.0.0.1\r\ns=FFmpegPublishSession\r\n\
         t=0 0\r\na=group:BUNDLE 0 1\r\na=extmap-allow-mixed\r\na=msid-semantic: WMS\r\n\
         m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n{audio}a=msid:FFmpeg audio\r\na=rtcp-mux\r\n\
         a=rtpmap:111 opus/48000/2\r\na=ssrc:3184 cname:FFmpeg\r\na=ssrc:3184 msid:FFmpeg audio\r\n\
         m=video 9 UDP/TLS/RTP/SAVPF 106 105\r\n{video}a=msid:FFmpeg video\r\na=rtcp-mux\r\n\
         a=rtcp-rsize\r\na=rtpmap:106 H264/90000\r\n\
         a=fmtp:106 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n\
         a=ssrc:3185 cname:FFmpeg\r\na=ssrc:3185 msid:FFmpeg video\r\n\
         a=rtcp-fb:106 nack\r\na=rtpmap:105 rtx/90000\r\na=fmtp:105 apt=106\r\n\
         a=ssrc-group:FID 3185 3186\r\na=ssrc:3186 cname:FFmpeg\r\na=ssrc:3186 msid:FFmpeg video\r\n"
    )
}

/// GStreamer's whepsrc: receives H.264 and Opus, both with a MediaStream of its own.
fn whepsrc() -> String {
    gstreamer()
        .replace("a=sendonly", "a=recvonly")
        .lines()
        .filter(|line| !line.starts_with("a=ssrc:"))
        .map(|line| format!("{line}\r\n"))
        .collect()
}

#[tokio::test]
async fn i05_encoders_offers_are_answered_whole() {
    let server = TestServer::start().await;
    for (who, sdp, codecs, setup) in [
        ("OBS", obs(OBS_ONE_LAYER), ["111 opus/48000/2", "96 H264/90000"], "passive"),
        ("OBS, simulcast", obs(OBS_SIMULCAST), ["111 opus/48000/2", "96 H264/90000"], "passive"),
        ("GStreamer", gstreamer(), ["100 opus/48000/2", "96 H264/90000"], "passive"),
        ("FFmpeg", ffmpeg("passive"), ["111 opus/48000/2", "106 H264/90000"], "active"),
        ("FFmpeg, active", ffmpeg("active"), ["111 opus/48000/2", "106 H264/90000"], "passive"),
    ] {
        let response = post(&server, "/whip/r", sdp).await;
        let status = response.status();
        let answer = response.text().await.unwrap();
        assert_eq!(status, 201, "{who}: {answer}");
        assert_eq!(answer.matches("a=recvonly\r\n").count(), 2, "{who}: {answer}");
        for codec in codecs {
            assert!(answer.contains(&format!("a=rtpmap:{codec}\r\n")), "{who}: {codec}: {answer}");
        }
        assert_eq!(answer.matches(&format!("a=setup:{setup}\r\n")).count(), 2, "{who}: {answer}");
        // FFmpeg reads `udp PRIORITY ADDRESS PORT typ host` and takes the first.
        let first = answer.lines().find(|line| line.starts_with("a=candidate:")).unwrap();
        let fields: Vec<&str> = first.split(' ').collect();
        assert_eq!((fields[2], &fields[6..]), ("udp", &["typ", "host"][..]), "{who}: {first}");
        assert!(fields[4].parse::<std::net::Ipv4Addr>().is_ok(), "{who}: {first}");
    }
    server.until_metric("sfu_participants{door=\"whip\"}", 5.0).await;
    server.server.stop().await;
}

#[tokio::test]
async fn i05_e01_a_player_gets_what_an_encoder_sends() {
    let server = TestServer::start().await;
    session(&server, "/whip/r", obs(OBS_ONE_LAYER)).await;
    let response = post(&server, "/whep/r", whepsrc()).await;
    let status = response.status();
    let answer = response.text().await.unwrap();
    assert_eq!(status, 201, "{answer}");
    assert_eq!(answer.matches("a=sendonly\r\n").count(), 2, "{answer}");
    assert!(answer.contains("a=rtpmap:96 H264/90000"), "{answer}");
    server.server.stop().await;
}
