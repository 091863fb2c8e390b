//! A client's offer as SDP text (JSEP, RFC 8829), as small as browsers' are large.

use std::fmt::Write;

use sfu_core::negotiation::{Codec, MediaKind};
use sfu_core::rtp::extension::Extension;
use sfu_core::transport::IceCredentials;

use super::numbering::Numbering;
use super::publisher::{AudioPublisher, VideoPublisher};
use super::{MediaLine, Work};

/// What the whole session shares.
pub(super) struct Session<'a> {
    pub(super) version: u64,
    pub(super) ice: &'a IceCredentials,
    pub(super) fingerprint: &'a [u8; 32],
    pub(super) numbering: &'a Numbering,
    pub(super) video_codecs: &'a [Codec],
    /// RTCP feedback of video codecs.
    pub(super) feedback: &'a [&'static str],
}

/// Renders an offer.
pub(super) fn text(session: &Session<'_>, lines: &[MediaLine]) -> String {
    let mids: Vec<_> = lines.iter().map(|line| &*line.mid.0).collect();
    let mut sdp = String::new();
    line(&mut sdp, "v=0");
    line(&mut sdp, &format!("o=- 4611731400430051336 {} IN IP4 127.0.0.1", session.version));
    line(&mut sdp, "s=-");
    line(&mut sdp, "t=0 0");
    line(&mut sdp, &format!("a=group:BUNDLE {}", mids.join(" ")));
    line(&mut sdp, "a=extmap-allow-mixed");
    line(&mut sdp, "a=msid-semantic: WMS");
    for media in lines {
        match media.kind {
            MediaKind::Audio => audio(&mut sdp, session, media),
            MediaKind::Video => video(&mut sdp, session, media),
        }
    }
    sdp
}

fn audio(sdp: &mut String, session: &Session<'_>, media: &MediaLine) {
    let opus = session.numbering.opus;
    line(sdp, &format!("m=audio 9 UDP/TLS/RTP/SAVPF {opus}"));
    common(sdp, session, media, &[Extension::Mid, Extension::TransportCc, Extension::AudioLevel]);
    line(sdp, &format!("a=rtpmap:{opus} opus/48000/2"));
    for feedback in session.feedback.iter().filter(|f| ["transport-cc", "ack ccfb"].contains(f)) {
        line(sdp, &format!("a=rtcp-fb:{opus} {feedback}"));
    }
    line(sdp, &format!("a=fmtp:{opus} minptime=10;useinbandfec=1"));
    if let Work::Audio(publisher) = &media.work {
        signal(sdp, publisher);
    }
}

fn signal(sdp: &mut String, publisher: &AudioPublisher) {
    line(sdp, &format!("a=ssrc:{} cname:client", publisher.ssrc()));
}

fn video(sdp: &mut String, session: &Session<'_>, media: &MediaLine) {
    let publisher = match &media.work {
        Work::Video(publisher) => Some(&**publisher),
        _ => None,
    };
    // A camera offers what it sends and nothing else.
    let codecs = publisher.map_or(session.video_codecs.to_vec(), |camera| vec![camera.codec()]);
    let numbered = || codecs.iter().map(|&codec| (codec, session.numbering.of(codec)));
    let formats: String = numbered().map(|(_, (pt, rtx))| format!(" {pt} {rtx}")).collect();
    line(sdp, &format!("m=video 9 UDP/TLS/RTP/SAVPF{formats}"));
    let mut extensions = vec![
        Extension::Mid,
        Extension::Rid,
        Extension::RepairedRid,
        Extension::TransportCc,
        Extension::AbsSendTime,
    ];
    if publisher.is_none_or(VideoPublisher::describes_dependencies) {
        extensions.push(Extension::DependencyDescriptor);
    }
    common(sdp, session, media, &extensions);
    for (codec, (pt, rtx)) in numbered() {
        let (name, parameters) = match codec {
            Codec::H264 => {
                ("H264", "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f")
            }
            Codec::Vp9 => ("VP9", "profile-id=0"),
            Codec::Av1 => ("AV1", "level-idx=5;profile=0;tier=0"),
            Codec::Vp8 | Codec::Opus | Codec::Red => ("VP8", ""),
        };
        line(sdp, &format!("a=rtpmap:{pt} {name}/90000"));
        for feedback in session.feedback {
            line(sdp, &format!("a=rtcp-fb:{pt} {feedback}"));
        }
        if !parameters.is_empty() {
            line(sdp, &format!("a=fmtp:{pt} {parameters}"));
        }
        line(sdp, &format!("a=rtpmap:{rtx} rtx/90000"));
        line(sdp, &format!("a=fmtp:{rtx} apt={pt}"));
    }
    if let Work::Video(publisher) = &media.work {
        encodings(sdp, publisher);
    }
}

fn encodings(sdp: &mut String, publisher: &VideoPublisher) {
    let signalled = publisher.signalled();
    if let [_, _, ..] = &signalled[..] {
        let media: Vec<_> = signalled.iter().map(|(ssrc, _)| ssrc.to_string()).collect();
        line(sdp, &format!("a=ssrc-group:SIM {}", media.join(" ")));
    }
    for (ssrc, rtx) in &signalled {
        line(sdp, &format!("a=ssrc-group:FID {ssrc} {rtx}"));
        line(sdp, &format!("a=ssrc:{ssrc} cname:client"));
        line(sdp, &format!("a=ssrc:{rtx} cname:client"));
    }
    if !signalled.is_empty() {
        return;
    }
    let rids: Vec<_> = publisher.rids().collect();
    for rid in &rids {
        line(sdp, &format!("a=rid:{rid} send"));
    }
    line(sdp, &format!("a=simulcast:send {}", rids.join(";")));
}

/// What every m-line says, transport included: all are bundled on the first one's.
fn common(sdp: &mut String, session: &Session<'_>, media: &MediaLine, extensions: &[Extension]) {
    line(sdp, "c=IN IP4 0.0.0.0");
    line(sdp, "a=rtcp:9 IN IP4 0.0.0.0");
    line(sdp, &format!("a=ice-ufrag:{}", session.ice.ufrag));
    line(sdp, &format!("a=ice-pwd:{}", session.ice.password));
    let hash: Vec<_> = session.fingerprint.iter().map(|byte| format!("{byte:02X}")).collect();
    line(sdp, &format!("a=fingerprint:sha-256 {}", hash.join(":")));
    line(sdp, "a=setup:actpass");
    line(sdp, &format!("a=mid:{}", media.mid));
    for &extension in extensions {
        let id = session.numbering.extension(extension);
        line(sdp, &format!("a=extmap:{id} {}", extension.uri()));
    }
    line(sdp, media.work.direction());
    if media.work.sends() {
        line(sdp, &format!("a=msid:client {}", media.mid));
    }
    line(sdp, "a=rtcp-mux");
    line(sdp, "a=rtcp-rsize");
}

fn line(sdp: &mut String, text: &str) {
    write!(sdp, "{text}\r\n").expect("strings take everything");
}
