//! Reading offers.

use sfu_core::limits::{
    CANDIDATES_MAX, EXTENSIONS_PER_SECTION_MAX, FINGERPRINTS_MAX, PAYLOAD_TYPES_PER_SECTION_MAX,
    SSRCS_PER_PEER_MAX, TOKEN_BYTES_MAX,
};
use sfu_core::negotiation::{
    Codec, Direction, MediaKind, Offer, OfferError, OfferedContent, OfferedData,
};
use sfu_core::rtp::extension::Extension;
use sfu_core::transport::DtlsRole;

use crate::fixtures::{self, media, offer, plain};

fn error(sdp: &str) -> OfferError {
    Offer::parse(sdp).unwrap_err()
}

fn malformed(sdp: &str) -> bool {
    matches!(Offer::parse(sdp), Err(OfferError::Malformed(_)))
}

fn unsupported(sdp: &str) -> bool {
    matches!(Offer::parse(sdp), Err(OfferError::Unsupported(_)))
}

/// Codec, payload type, RTX of each codec.
fn codecs(offer: &Offer, index: usize) -> Vec<(Codec, u8, Option<u8>)> {
    let codecs = media(offer, index).codecs.iter();
    codecs.map(|c| (c.codec, c.payload_type.0, c.rtx.map(|rtx| rtx.0))).collect()
}

fn extension_ids(offer: &Offer, index: usize) -> Vec<(Extension, u8, Direction)> {
    media(offer, index).extensions.iter().map(|e| (e.extension, e.id, e.direction)).collect()
}

#[test]
fn every_fixture_is_read() {
    for (name, sdp) in fixtures::ALL {
        let offer = Offer::parse(sdp).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(offer.sections.len(), sdp.matches("\nm=").count(), "{name}");
        let role = if *name == "ffmpeg.sdp" { DtlsRole::Client } else { DtlsRole::Server };
        assert_eq!(offer.role, role, "{name}");
        assert_eq!(offer.fingerprints.len(), 1, "{name}");
        assert_eq!(offer.fingerprints[0].bytes.len(), 32, "{name}");
    }
}

#[test]
fn chromium_simulcast() {
    let offer = offer(fixtures::CHROMIUM_SIMULCAST);
    assert_eq!((&*offer.ice.ufrag, offer.ice.password.len()), ("Ka/+", 24));
    assert_eq!(codecs(&offer, 0), [(Codec::Opus, 111, None), (Codec::Red, 63, None)]);
    assert_eq!(
        codecs(&offer, 1),
        [
            (Codec::Vp8, 96, Some(97)),
            (Codec::H264, 102, Some(103)),
            (Codec::H264, 104, Some(107)),
            (Codec::H264, 108, Some(109)),
            (Codec::H264, 114, Some(115)),
            (Codec::H264, 116, Some(117)),
            (Codec::H264, 39, Some(40)),
            (Codec::Av1, 45, Some(46)),
            (Codec::Vp9, 98, Some(99)),
            (Codec::Vp9, 100, Some(101)),
        ]
    );
    let video = media(&offer, 1);
    assert_eq!(video.direction, Direction::SendOnly);
    let rids: Vec<_> = video.receive.rids.iter().map(ToString::to_string).collect();
    assert_eq!(rids, ["h", "m", "l"]);
    assert!(video.extmap_allow_mixed && video.rtcp_reduced_size);
    assert!(video.codecs[0].feedback.nack && video.codecs[0].feedback.transport_cc);
    assert!(!media(&offer, 0).codecs[0].feedback.nack);
    let ids = extension_ids(&offer, 1);
    assert_eq!(ids.len(), 8);
    assert!(ids.contains(&(Extension::DependencyDescriptor, 12, Direction::SendRecv)));
    assert_eq!(media(&offer, 3).direction, Direction::RecvOnly);
    assert_eq!(media(&offer, 3).msid, None);
    assert!(media(&offer, 0).msid.is_some());
    let data = OfferedData { sctp_port: 5000, message_bytes_max: Some(262_144) };
    assert_eq!(offer.data(), Some(data));
}

#[test]
fn firefox_simulcast() {
    let offer = offer(fixtures::FIREFOX_SIMULCAST);
    assert_eq!((&*offer.ice.ufrag, offer.ice.password.len()), ("13bfbaa3", 32));
    // fmtp precedes rtpmap there.
    let vp8 = (Codec::Vp8, 120, Some(124));
    assert_eq!(codecs(&offer, 1), [vp8, (Codec::Vp9, 121, Some(125)), (Codec::Av1, 99, Some(100))]);
    let video = media(&offer, 1);
    assert_eq!(video.receive.rids.len(), 3);
    let ssrcs: Vec<_> = video.receive.ssrcs.iter().map(|(m, r)| (m.0, r.unwrap().0)).collect();
    assert_eq!(
        ssrcs,
        [(3938800908, 1671600132), (620083873, 1974511400), (2066880872, 3281123380)]
    );
    let ids = extension_ids(&offer, 1);
    assert!(ids.contains(&(Extension::Rid, 9, Direction::SendOnly)));
    assert!(ids.contains(&(Extension::PlayoutDelay, 6, Direction::RecvOnly)));
    // Port 0 with bundle-only is no refusal.
    assert_eq!(media(&offer, 3).direction, Direction::RecvOnly);
    let data = OfferedData { sctp_port: 5000, message_bytes_max: Some(1_073_741_823) };
    assert_eq!(offer.data(), Some(data));
}

#[test]
fn stopped_m_lines_are_rejected_and_recycled_ones_are_not() {
    for (stopped, recycled) in [
        (fixtures::CHROMIUM_STOPPED, fixtures::CHROMIUM_RECYCLED),
        (fixtures::FIREFOX_STOPPED, fixtures::FIREFOX_RECYCLED),
    ] {
        let stopped = offer(stopped);
        assert_eq!(stopped.sections[0].content, OfferedContent::Rejected);
        assert_eq!(&*stopped.sections[0].line.media, "audio");
        let recycled = offer(recycled);
        let last = recycled.sections.iter().find(|section| &*section.mid.0 == "7").unwrap();
        assert!(matches!(&last.content, OfferedContent::Media(m) if m.kind == MediaKind::Video));
    }
}

#[test]
fn encoders() {
    let obs = offer(fixtures::OBS);
    assert_eq!(codecs(&obs, 0), [(Codec::Opus, 111, None)]);
    assert_eq!(codecs(&obs, 1), [(Codec::H264, 96, None)]);
    assert_eq!((&*obs.ice.ufrag, obs.fingerprints[0].bytes[0]), ("y9Ph", 0xf0));
    let gstreamer = offer(fixtures::GSTREAMER);
    assert_eq!(codecs(&gstreamer, 0), [(Codec::Opus, 96, None)]);
    assert_eq!(codecs(&gstreamer, 1), [(Codec::H264, 97, Some(98))]);
    assert_eq!(media(&gstreamer, 1).receive.ssrcs[0].1.unwrap().0, 3456789012);
    let ffmpeg = offer(fixtures::FFMPEG);
    assert_eq!(codecs(&ffmpeg, 1), [(Codec::H264, 106, Some(105))]);
}

#[test]
fn the_dtls_role_is_what_setup_leaves() {
    let role = |setup: &str| Offer::parse(&plain("a=setup:actpass\r\n", setup)).map(|o| o.role);
    assert_eq!(role("a=setup:actpass\r\n"), Ok(DtlsRole::Server));
    assert_eq!(role("a=setup:active\r\n"), Ok(DtlsRole::Server));
    assert_eq!(role("a=setup:passive\r\n"), Ok(DtlsRole::Client));
    assert_eq!(role(""), Ok(DtlsRole::Server));
    assert!(matches!(role("a=setup:holdconn\r\n"), Err(OfferError::Unsupported(_))));
    assert!(matches!(role("a=setup:x\r\n"), Err(OfferError::Malformed(_))));
}

#[test]
fn the_first_usable_m_line_of_the_group_speaks_for_the_transport() {
    let own = "a=rtcp-mux\r\na=ice-ufrag:own1\r\na=ice-pwd:9999999999999999999999\r\na=setup:passive\r\n\
        a=rtpmap:111";
    let audio = plain("a=rtcp-mux\r\na=rtpmap:111", own);
    assert_eq!(&*offer(&audio).ice.ufrag, "own1");
    assert_eq!(offer(&audio).role, DtlsRole::Client);
    assert_eq!(&*offer(&audio.replace("BUNDLE 0 1 2", "BUNDLE 1 0 2")).ice.ufrag, "ufra");
    assert_eq!(&*offer(&audio.replace("opus", "G729")).ice.ufrag, "ufra");
}

#[test]
fn ice_credentials_are_required_and_well_formed() {
    let ufrag = |ufrag: &str| plain("ufrag:ufra", &format!("ufrag:{ufrag}"));
    assert!(malformed(&plain("a=ice-ufrag:ufra\r\n", "")));
    assert!(malformed(&plain("a=ice-pwd:0123456789012345678901\r\n", "")));
    assert!(malformed(&ufrag("abc")));
    assert!(!malformed(&ufrag("a+/4")));
    assert!(!malformed(&ufrag(&"u".repeat(256))));
    assert!(malformed(&ufrag(&"u".repeat(257))));
    assert!(malformed(&ufrag("ab:cd")));
    let password = |length| plain("0123456789012345678901", &"p".repeat(length));
    assert!(malformed(&password(21)));
    assert!(!malformed(&password(22)));
    assert!(!malformed(&password(256)));
    assert!(malformed(&password(257)));
}

#[test]
fn fingerprints_are_required_and_well_formed() {
    const LINE: &str =
        "a=fingerprint:sha-1 00:01:02:03:04:05:06:07:08:09:0a:0b:0c:0D:0E:0F:10:11:12:13\r\n";
    let parsed = offer(fixtures::PLAIN);
    assert_eq!(&*parsed.fingerprints[0].algorithm, "sha-1");
    assert_eq!(parsed.fingerprints[0].bytes, (0..20).collect::<Vec<u8>>());
    assert_eq!(error(&plain(LINE, "")), OfferError::Malformed("no certificate fingerprint"));
    assert!(malformed(&plain(":12:13", ":12")));
    assert!(malformed(&plain(":12:13", ":12:1")));
    assert!(malformed(&plain(":12:13", ":12:+3")));
    assert!(malformed(&plain("sha-1 ", "sha-256 ")));
    assert!(unsupported(&plain("sha-1 ", "md5 ")));
    let two = offer(&plain(
        LINE,
        &format!("a=fingerprint:md5 00:01\r\n{}", LINE.replace("sha-1", "SHA-1")),
    ));
    assert_eq!(two.fingerprints.len(), 1);
    let many = |n| Offer::parse(&plain(LINE, &LINE.repeat(n))).map(|o| o.fingerprints.len());
    assert_eq!(many(FINGERPRINTS_MAX - 1), Ok(FINGERPRINTS_MAX - 1));
    assert_eq!(many(FINGERPRINTS_MAX), Ok(FINGERPRINTS_MAX));
    assert!(matches!(many(FINGERPRINTS_MAX + 1), Err(OfferError::Malformed(_))));
}

#[test]
fn everything_shares_one_transport() {
    assert!(unsupported(&plain("BUNDLE 0 1 2", "BUNDLE 0 1")));
    assert!(unsupported(&plain("a=group:BUNDLE 0 1 2\r\n", "")));
    assert!(unsupported(&plain("a=group:BUNDLE 0 1 2", "a=group:BUNDLE 0 1\r\na=group:BUNDLE 2")));
    assert!(unsupported(&plain("a=rtcp-mux\r\n", "")));
    assert!(Offer::parse(&plain("a=group:", "a=group:LS 0 1\r\na=group:")).is_ok());
    // What is not used need not share it.
    assert!(Offer::parse(&plain("BUNDLE 0 1 2", "BUNDLE 0 1").replace("webrtc-data", "x")).is_ok());
    let alone = fixtures::PLAIN.split("m=video").next().unwrap();
    assert!(Offer::parse(&alone.replace("a=group:BUNDLE 0 1 2\r\n", "")).is_ok());
}

#[test]
fn mids_are_unique_short_tokens() {
    let mid = |mid: &str| {
        let sdp = plain("a=mid:1\r\n", &format!("a=mid:{mid}\r\n"));
        sdp.replace("BUNDLE 0 1", &format!("BUNDLE 0 {mid}"))
    };
    assert!(Offer::parse(&mid(&"m".repeat(TOKEN_BYTES_MAX - 1))).is_ok());
    assert!(Offer::parse(&mid(&"m".repeat(TOKEN_BYTES_MAX))).is_ok());
    assert!(malformed(&mid(&"m".repeat(TOKEN_BYTES_MAX + 1))));
    assert!(malformed(&mid("0")));
    assert!(malformed(&mid("a b")));
    assert!(malformed(&mid("")));
    assert!(malformed(&plain("a=mid:1\r\n", "")));
}

#[test]
fn payload_types_are_bounded() {
    let formats = |n: usize| {
        let formats: Vec<_> = (0..n).map(|i| (i % 128).to_string()).collect();
        plain("SAVPF 111", &format!("SAVPF {}", formats.join(" ")))
    };
    assert!(Offer::parse(&formats(PAYLOAD_TYPES_PER_SECTION_MAX - 1)).is_ok());
    assert!(Offer::parse(&formats(PAYLOAD_TYPES_PER_SECTION_MAX)).is_ok());
    assert!(malformed(&formats(PAYLOAD_TYPES_PER_SECTION_MAX + 1)));
    assert!(Offer::parse(&plain("SAVPF 111", "SAVPF 111 127")).is_ok());
    assert!(malformed(&plain("SAVPF 111", "SAVPF 111 128")));
    assert!(malformed(&plain("SAVPF 111", "SAVPF 111 -1")));
    assert!(malformed(&plain("rtpmap:111", "rtpmap:300")));
    assert!(malformed(&plain("fmtp:97", "fmtp:x")));
}

#[test]
fn candidates_are_bounded() {
    let candidates = |n| {
        let line = "a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n".repeat(n);
        plain("a=mid:0\r\n", &format!("a=mid:0\r\n{line}"))
    };
    assert!(Offer::parse(&candidates(CANDIDATES_MAX - 1)).is_ok());
    assert!(Offer::parse(&candidates(CANDIDATES_MAX)).is_ok());
    assert!(malformed(&candidates(CANDIDATES_MAX + 1)));
}

#[test]
fn all_ssrcs_together_are_bounded() {
    // 31 in video, the rest in audio and a third media m-line.
    let lines = |range: std::ops::Range<usize>| -> String {
        range.map(|i| format!("a=ssrc:{} cname:x\r\n", i + 1)).collect()
    };
    let third =
        "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:3\r\na=rtcp-mux\r\na=rtpmap:96 VP8/90000\r\n";
    let ssrcs = |n: usize| {
        let sdp = plain("a=mid:0\r\n", &format!("a=mid:0\r\n{}", lines(0..32)))
            .replace("a=mid:1\r\n", &format!("a=mid:1\r\n{}", lines(32..64)))
            .replace("BUNDLE 0 1 2", "BUNDLE 0 1 2 3 4");
        let fourth = third.replace("mid:3", "mid:4");
        format!("{sdp}{third}{}{fourth}a=ssrc:1000 cname:x\r\n", lines(64..n - 1))
    };
    assert!(Offer::parse(&ssrcs(SSRCS_PER_PEER_MAX - 1)).is_ok());
    assert!(Offer::parse(&ssrcs(SSRCS_PER_PEER_MAX)).is_ok());
    assert!(unsupported(&ssrcs(SSRCS_PER_PEER_MAX + 1)));
    // An m-line that does not send needs none of them.
    let receiving =
        ssrcs(SSRCS_PER_PEER_MAX + 1).replace("a=mid:0\r\n", "a=mid:0\r\na=recvonly\r\n");
    assert!(Offer::parse(&receiving).is_ok());
}

#[test]
fn header_extensions_are_bounded_and_the_first_of_each_counts() {
    const MID: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";
    const RID: &str = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id";
    let with = |lines: &str| plain("a=mid:1\r\n", &format!("a=mid:1\r\n{lines}"));
    let many =
        |n: usize| -> String { (1..=n).map(|i| format!("a=extmap:{i} urn:x{i}\r\n")).collect() };
    assert!(Offer::parse(&with(&many(EXTENSIONS_PER_SECTION_MAX - 1))).is_ok());
    assert!(Offer::parse(&with(&many(EXTENSIONS_PER_SECTION_MAX))).is_ok());
    assert!(malformed(&with(&many(EXTENSIONS_PER_SECTION_MAX + 1))));

    let ids = |lines: &str| extension_ids(&offer(&with(lines)), 1);
    assert_eq!(ids(&format!("a=extmap:1 {MID}\r\n")), [(Extension::Mid, 1, Direction::SendRecv)]);
    assert_eq!(
        ids(&format!("a=extmap:255/sendonly {MID} x\r\n")),
        [(Extension::Mid, 255, Direction::SendOnly)]
    );
    assert_eq!(ids(&format!("a=extmap:4096 {MID}\r\n")), []);
    let twice = ids(&format!("a=extmap:3 {MID}\r\na=extmap:4 {MID}\r\na=extmap:3 {RID}\r\n"));
    assert_eq!(twice, [(Extension::Mid, 3, Direction::SendRecv)]);
    // An unknown extension keeps its id.
    assert_eq!(ids(&format!("a=extmap:3 urn:unknown\r\na=extmap:3 {MID}\r\n")), []);
    for evil in ["0 urn:x", "256 urn:x", "65536 urn:x", "x urn:x", "1", "1/sideways urn:x", ""] {
        assert!(malformed(&with(&format!("a=extmap:{evil}\r\n"))), "{evil:?}");
    }
}

#[test]
fn only_known_codecs_remain() {
    let audio = |rtpmap: &str| codecs(&offer(&plain("opus/48000/2", rtpmap)), 0).len();
    assert_eq!(audio("OPUS/48000/2"), 1);
    assert_eq!(audio("opus/48000"), 0);
    assert_eq!(audio("opus/16000/2"), 0);
    assert_eq!(audio("VP8/90000"), 0);
    assert_eq!(audio("opus"), 0);
    let video = |from: &str, to: &str| codecs(&offer(&plain(from, to)), 1);
    assert_eq!(video("", ""), [(Codec::Vp8, 96, Some(97))]);
    assert_eq!(video("VP8", "H265"), []);
    assert_eq!(video("VP8/90000", "H264/90000\r\na=fmtp:96 packetization-mode=2"), []);
    assert_eq!(
        video("VP8/90000", "H264/90000\r\na=fmtp:96 packetization-mode=0"),
        [(Codec::H264, 96, Some(97))]
    );
    // Told from RTCP only by luck (RFC 5761 §4).
    assert_eq!(video("96 97", "96 97 72\r\na=rtpmap:72 VP9/90000"), [(Codec::Vp8, 96, Some(97))]);
    // A payload type that is not on the m= line.
    assert_eq!(video("96 97", "96"), [(Codec::Vp8, 96, None)]);
    assert_eq!(video("SAVPF 96 97", "SAVPF 97 96 96"), [(Codec::Vp8, 96, Some(97))]);
}

#[test]
fn odd_retransmission_formats_do_no_harm() {
    let video = |apt: &str| codecs(&offer(&plain("apt=96", apt)), 1);
    for apt in ["apt=97", "apt=98", "apt=x", "apt", "", "rtx-time=3000"] {
        assert_eq!(video(apt), [(Codec::Vp8, 96, None)], "{apt}");
    }
    assert_eq!(video("rtx-time=3000; APT=96"), [(Codec::Vp8, 96, Some(97))]);
    let audio = plain("SAVPF 111", "SAVPF 111 112")
        .replace("opus/48000/2", "opus/48000/2\r\na=rtpmap:112 rtx/48000\r\na=fmtp:112 apt=111");
    assert_eq!(codecs(&offer(&audio), 0), [(Codec::Opus, 111, None)]);
}

#[test]
fn feedback_may_be_for_all_payload_types() {
    let feedback =
        |line: &str| media(&offer(&plain("rtcp-fb:96 nack", line)), 1).codecs[0].feedback;
    assert!(feedback("rtcp-fb:* ccm fir").ccm_fir);
    let all = feedback(
        "rtcp-fb:* nack\r\na=rtcp-fb:96 nack pli\r\na=rtcp-fb:96 nack sli\r\na=rtcp-fb:96 trr-int 100",
    );
    assert!(all.nack && all.nack_pli && !all.ccm_fir && !all.goog_remb);
}

#[test]
fn unknown_m_lines_are_rejected_and_the_others_live() {
    for line in [
        "m=text 9 UDP/TLS/RTP/SAVPF 98\r\na=mid:9\r\n",
        "m=image 9 udptl t38\r\na=mid:9\r\n",
        "m=audio 9 RTP/AVP 0\r\na=mid:9\r\n",
        "m=application 9 DTLS/SCTP 5000\r\na=mid:9\r\n",
        "m=application 9 UDP/DTLS/SCTP t38\r\na=mid:9\r\n",
        "m=video 0 UDP/TLS/RTP/SAVPF 96\r\n",
        "m=video 0 UDP/TLS/RTP/SAVPF 96\r\na=bundle-only\r\na=mid:9\r\n",
    ] {
        let offer = offer(&format!("{}{line}", fixtures::PLAIN));
        assert_eq!(offer.sections[3].content, OfferedContent::Rejected, "{line}");
        assert_eq!(codecs(&offer, 0).len(), 1);
    }
}

#[test]
fn data_channels_have_a_port_and_a_size() {
    let data =
        |line: &str| Offer::parse(&plain("a=sctp-port:5000\r\n", line)).map(|o| o.data().unwrap());
    let size = |line: &str| {
        data(&format!("a=sctp-port:5001\r\n{line}")).map(|data| data.message_bytes_max)
    };
    assert_eq!(size(""), Ok(Some(65_536)));
    assert_eq!(size("a=max-message-size:0\r\n"), Ok(None));
    assert_eq!(size("a=max-message-size:262144\r\n"), Ok(Some(262_144)));
    for evil in [
        "",
        "a=sctp-port:0\r\n",
        "a=sctp-port:65536\r\n",
        "a=sctp-port:5000\r\na=max-message-size:-1\r\n",
    ] {
        assert!(matches!(data(evil), Err(OfferError::Malformed(_))), "{evil}");
    }
}

#[test]
fn directions_have_a_default() {
    let direction = |sdp: &str| media(&offer(sdp), 0).direction;
    assert_eq!(direction(fixtures::PLAIN), Direction::SendRecv);
    assert_eq!(direction(&plain("a=mid:0\r\n", "a=mid:0\r\na=inactive\r\n")), Direction::Inactive);
    assert_eq!(direction(&plain("t=0 0\r\n", "t=0 0\r\na=recvonly\r\n")), Direction::RecvOnly);
}
