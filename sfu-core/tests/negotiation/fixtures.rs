//! Offers, and the shortest way from them to sections and answers.

use std::net::SocketAddr;

use sfu_core::id::Ssrc;
use sfu_core::negotiation::{
    Answer, Msid, Offer, OfferedContent, OfferedMedia, Section, SectionContent, negotiate,
};
use sfu_core::transport::{Candidate, Fingerprint, IceCredentials, Protocol};

macro_rules! fixtures {
    ($($name:ident = $file:literal,)*) => {
        $(pub(crate) const $name: &str = include_str!(concat!("../fixtures/sdp/", $file));)*
        /// Every fixture with its name.
        pub(crate) const ALL: &[(&str, &str)] = &[$(($file, $name),)*];
    };
}

fixtures! {
    CHROMIUM_DATA = "chromium-data.sdp",
    CHROMIUM_RECVONLY = "chromium-recvonly.sdp",
    CHROMIUM_SENDRECV = "chromium-sendrecv.sdp",
    CHROMIUM_SIMULCAST = "chromium-simulcast.sdp",
    CHROMIUM_STOPPED = "chromium-stopped.sdp",
    CHROMIUM_RECYCLED = "chromium-recycled.sdp",
    FIREFOX_DATA = "firefox-data.sdp",
    FIREFOX_RECVONLY = "firefox-recvonly.sdp",
    FIREFOX_SENDRECV = "firefox-sendrecv.sdp",
    FIREFOX_SIMULCAST = "firefox-simulcast.sdp",
    FIREFOX_STOPPED = "firefox-stopped.sdp",
    FIREFOX_RECYCLED = "firefox-recycled.sdp",
    OBS = "obs.sdp",
    GSTREAMER = "gstreamer.sdp",
    FFMPEG = "ffmpeg.sdp",
}

/// A small offer to be changed by `replace`: Opus and VP8 with RTX both ways, data.
pub(crate) const PLAIN: &str = "v=0\r\n\
    o=- 1 1 IN IP4 0.0.0.0\r\n\
    s=-\r\n\
    t=0 0\r\n\
    a=group:BUNDLE 0 1 2\r\n\
    a=ice-ufrag:ufra\r\n\
    a=ice-pwd:0123456789012345678901\r\n\
    a=fingerprint:sha-1 00:01:02:03:04:05:06:07:08:09:0a:0b:0c:0D:0E:0F:10:11:12:13\r\n\
    a=setup:actpass\r\n\
    m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n\
    c=IN IP4 0.0.0.0\r\n\
    a=mid:0\r\n\
    a=rtcp-mux\r\n\
    a=rtpmap:111 opus/48000/2\r\n\
    m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\n\
    c=IN IP4 0.0.0.0\r\n\
    a=mid:1\r\n\
    a=rtcp-mux\r\n\
    a=rtpmap:96 VP8/90000\r\n\
    a=rtcp-fb:96 nack\r\n\
    a=rtpmap:97 rtx/90000\r\n\
    a=fmtp:97 apt=96\r\n\
    m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n\
    c=IN IP4 0.0.0.0\r\n\
    a=mid:2\r\n\
    a=sctp-port:5000\r\n";

/// [`PLAIN`] with one thing replaced.
pub(crate) fn plain(from: &str, to: &str) -> String {
    assert!(PLAIN.contains(from), "{from:?}");
    PLAIN.replacen(from, to, 1)
}

pub(crate) fn offer(sdp: &str) -> Offer {
    Offer::parse(sdp).unwrap()
}

/// The media of the m-line at `index`.
pub(crate) fn media(offer: &Offer, index: usize) -> &OfferedMedia {
    match &offer.sections[index].content {
        OfferedContent::Media(media) => media,
        other => panic!("no media: {other:?}"),
    }
}

/// Agrees with SSRCs that count from `first`.
pub(crate) fn agree_from(offer: &Offer, before: &[Section], first: u32) -> Vec<Section> {
    let mut ssrc = first;
    let mut next = || {
        ssrc += 1;
        Ssrc(ssrc - 1)
    };
    negotiate(offer, before, &mut next).unwrap()
}

/// The sections agreed on for a first offer.
pub(crate) fn agree(sdp: &str) -> Vec<Section> {
    agree_from(&offer(sdp), &[], 1)
}

/// The answer to `offer`, as the engine would put it together.
pub(crate) fn answer_to(offer: &Offer, sections: Vec<Section>) -> Answer {
    let msid = |section: &Section| match &section.content {
        SectionContent::Media(media) if media.send.is_some() => {
            Some(Msid { stream: "stream".into(), track: format!("track-{}", section.mid).into() })
        }
        _ => None,
    };
    Answer {
        ice: IceCredentials { ufrag: "serv".into(), password: "abcdefghijklmnopqrstuv".into() },
        fingerprint: Fingerprint { algorithm: "sha-256".into(), bytes: (0xa0..0xc0).collect() },
        role: offer.role,
        candidates: vec![
            Candidate::udp("192.0.2.1:7882".parse::<SocketAddr>().unwrap()),
            Candidate::udp("[2001:db8::1]:7882".parse::<SocketAddr>().unwrap()),
            Candidate { addr: "192.0.2.1:443".parse().unwrap(), protocol: Protocol::Tcp },
        ],
        cname: "cname".into(),
        version: 0,
        sections: sections.into_iter().map(|section| (section.clone(), msid(&section))).collect(),
    }
}

/// The text of the answer to a first offer.
pub(crate) fn answer(sdp: &str) -> String {
    answer_to(&offer(sdp), agree(sdp)).to_sdp()
}
