//! Offers as small as browsers' are large, and the few lines of an answer that a client needs.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use anyhow::{Context as _, bail};

use crate::wire::Credentials;
use crate::wire::header::extension;

/// Payload type of Opus in our offers.
pub const OPUS: u8 = 111;
/// Payload type of VP8 in our offers.
pub const VP8: u8 = 96;
/// Payload type of VP8's retransmissions in our offers.
pub const RTX: u8 = 97;

/// One encoding of a sent video m-line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoding {
    /// Media.
    pub ssrc: u32,
    /// Retransmissions.
    pub rtx_ssrc: u32,
    /// Its name, with simulcast (RFC 8852).
    pub rid: Option<&'static str>,
}

/// One m-line of an offer. Its mid is its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// Opus goes out.
    SendAudio {
        /// Its source.
        ssrc: u32,
    },
    /// VP8 goes out.
    SendVideo {
        /// One, or several with simulcast.
        encodings: Vec<Encoding>,
    },
    /// Opus comes in.
    ReceiveAudio,
    /// VP8 comes in.
    ReceiveVideo,
}

impl Line {
    fn is_audio(&self) -> bool {
        matches!(self, Self::SendAudio { .. } | Self::ReceiveAudio)
    }

    fn sends(&self) -> bool {
        matches!(self, Self::SendAudio { .. } | Self::SendVideo { .. })
    }
}

/// Renders an offer. This side is the DTLS client, so that every server has the same role.
#[must_use]
pub fn offer(ice: &Credentials, fingerprint: &str, lines: &[Line]) -> String {
    let mut sdp = String::with_capacity(800 * lines.len());
    let mids: Vec<_> = (0..lines.len()).map(|mid| mid.to_string()).collect();
    let session: u64 = rand::random::<u64>() >> 2;
    write(&mut sdp, format_args!("v=0"));
    write(&mut sdp, format_args!("o=- {session} 1 IN IP4 127.0.0.1"));
    write(&mut sdp, format_args!("s=-"));
    write(&mut sdp, format_args!("t=0 0"));
    write(&mut sdp, format_args!("a=group:BUNDLE {}", mids.join(" ")));
    write(&mut sdp, format_args!("a=extmap-allow-mixed"));
    write(&mut sdp, format_args!("a=msid-semantic: WMS"));
    for (mid, line) in lines.iter().enumerate() {
        let formats = if line.is_audio() { OPUS.to_string() } else { format!("{VP8} {RTX}") };
        let kind = if line.is_audio() { "audio" } else { "video" };
        write(&mut sdp, format_args!("m={kind} 9 UDP/TLS/RTP/SAVPF {formats}"));
        write(&mut sdp, format_args!("c=IN IP4 0.0.0.0"));
        write(&mut sdp, format_args!("a=rtcp:9 IN IP4 0.0.0.0"));
        write(&mut sdp, format_args!("a=ice-ufrag:{}", ice.ufrag));
        write(&mut sdp, format_args!("a=ice-pwd:{}", ice.password));
        write(&mut sdp, format_args!("a=ice-options:trickle"));
        write(&mut sdp, format_args!("a=fingerprint:{fingerprint}"));
        write(&mut sdp, format_args!("a=setup:active"));
        write(&mut sdp, format_args!("a=mid:{mid}"));
        extensions(&mut sdp, line);
        let direction = if line.sends() { "sendonly" } else { "recvonly" };
        write(&mut sdp, format_args!("a={direction}"));
        if line.sends() {
            write(&mut sdp, format_args!("a=msid:load {kind}{mid}"));
        }
        write(&mut sdp, format_args!("a=rtcp-mux"));
        write(&mut sdp, format_args!("a=rtcp-rsize"));
        codecs(&mut sdp, line);
        sources(&mut sdp, line);
    }
    sdp
}

fn extensions(sdp: &mut String, line: &Line) {
    let mut extmap = |id: u8, uri: &str| write(sdp, format_args!("a=extmap:{id} {uri}"));
    extmap(extension::MID, "urn:ietf:params:rtp-hdrext:sdes:mid");
    extmap(
        extension::TRANSPORT,
        "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
    );
    if line.is_audio() {
        extmap(extension::AUDIO_LEVEL, "urn:ietf:params:rtp-hdrext:ssrc-audio-level");
    } else {
        extmap(extension::RID, "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id");
        extmap(extension::REPAIRED_RID, "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id");
    }
}

fn codecs(sdp: &mut String, line: &Line) {
    if line.is_audio() {
        write(sdp, format_args!("a=rtpmap:{OPUS} opus/48000/2"));
        write(sdp, format_args!("a=rtcp-fb:{OPUS} transport-cc"));
        write(sdp, format_args!("a=fmtp:{OPUS} minptime=10;useinbandfec=1"));
        return;
    }
    write(sdp, format_args!("a=rtpmap:{VP8} VP8/90000"));
    for feedback in ["transport-cc", "ccm fir", "nack", "nack pli"] {
        write(sdp, format_args!("a=rtcp-fb:{VP8} {feedback}"));
    }
    write(sdp, format_args!("a=rtpmap:{RTX} rtx/90000"));
    write(sdp, format_args!("a=fmtp:{RTX} apt={VP8}"));
}

fn sources(sdp: &mut String, line: &Line) {
    match line {
        Line::SendAudio { ssrc } => write(sdp, format_args!("a=ssrc:{ssrc} cname:load")),
        Line::SendVideo { encodings } if encodings.iter().any(|e| e.rid.is_some()) => {
            let rids: Vec<_> = encodings.iter().filter_map(|e| e.rid).collect();
            for rid in &rids {
                write(sdp, format_args!("a=rid:{rid} send"));
            }
            write(sdp, format_args!("a=simulcast:send {}", rids.join(";")));
        }
        Line::SendVideo { encodings } => {
            for Encoding { ssrc, rtx_ssrc, .. } in encodings {
                write(sdp, format_args!("a=ssrc-group:FID {ssrc} {rtx_ssrc}"));
                write(sdp, format_args!("a=ssrc:{ssrc} cname:load"));
                write(sdp, format_args!("a=ssrc:{rtx_ssrc} cname:load"));
            }
        }
        Line::ReceiveAudio | Line::ReceiveVideo => {}
    }
}

fn write(sdp: &mut String, line: std::fmt::Arguments<'_>) {
    sdp.write_fmt(line).and_then(|()| sdp.write_str("\r\n")).expect("strings take everything");
}

/// One m-line of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnswerLine {
    /// `a=mid`.
    pub mid: String,
    /// Whether it is audio.
    pub audio: bool,
    /// Whether the port is 0.
    pub rejected: bool,
    /// The media SSRC it announces.
    pub ssrc: Option<u32>,
    /// Its retransmissions'.
    pub rtx_ssrc: Option<u32>,
    /// Id of transport-wide sequence numbers, if agreed.
    pub transport_id: Option<u8>,
    /// Whether NACKs are agreed.
    pub nack: bool,
}

/// What an answer says.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    /// The server's credentials.
    pub ice: Credentials,
    /// Where it can be reached by UDP.
    pub candidates: Vec<SocketAddr>,
    /// The m-lines, in order.
    pub lines: Vec<AnswerLine>,
}

impl Answer {
    /// Reads an answer.
    pub fn read(text: &str) -> anyhow::Result<Self> {
        let (mut ufrag, mut password) = (None, None);
        let mut candidates = Vec::new();
        let mut lines: Vec<AnswerLine> = Vec::new();
        for line in text.lines().map(str::trim_end) {
            if let Some(media) = line.strip_prefix("m=") {
                lines.push(AnswerLine {
                    audio: media.starts_with("audio"),
                    rejected: media.split(' ').nth(1) == Some("0"),
                    ..AnswerLine::default()
                });
            } else if let Some(value) = line.strip_prefix("a=ice-ufrag:") {
                ufrag.get_or_insert_with(|| value.to_owned());
            } else if let Some(value) = line.strip_prefix("a=ice-pwd:") {
                password.get_or_insert_with(|| value.to_owned());
            } else if let Some(value) = line.strip_prefix("a=candidate:") {
                candidates.extend(candidate(value).filter(|c| !candidates.contains(c)));
            } else if line == "a=setup:active" {
                bail!(
                    "the server wants to be the DTLS client, although it was offered to be the server"
                );
            } else if let Some(last) = lines.last_mut() {
                last.attribute(line);
            }
        }
        let ice = Credentials {
            ufrag: ufrag.context("an answer without a=ice-ufrag")?,
            password: password.context("an answer without a=ice-pwd")?,
        };
        Ok(Self { ice, candidates, lines })
    }
}

impl AnswerLine {
    fn attribute(&mut self, line: &str) {
        if let Some(mid) = line.strip_prefix("a=mid:") {
            mid.clone_into(&mut self.mid);
        } else if let Some(group) = line.strip_prefix("a=ssrc-group:FID ") {
            let mut ssrcs = group.split(' ').filter_map(|ssrc| ssrc.parse().ok());
            (self.ssrc, self.rtx_ssrc) = (ssrcs.next(), ssrcs.next());
        } else if let Some(ssrc) = line.strip_prefix("a=ssrc:") {
            let ssrc = ssrc.split(' ').next().and_then(|ssrc| ssrc.parse().ok());
            self.ssrc = self.ssrc.or(ssrc);
        } else if let Some(map) = line.strip_prefix("a=extmap:")
            && let Some((id, uri)) = map.split_once(' ')
            && uri.contains("transport-wide-cc-extensions-01")
        {
            self.transport_id = id.split('/').next().and_then(|id| id.parse().ok());
        } else if let Some(feedback) = line.strip_prefix("a=rtcp-fb:") {
            self.nack |= feedback.split_once(' ').is_some_and(|(_, kind)| kind == "nack");
        }
    }
}

/// The address of a UDP candidate of the first component (RFC 8839 §5.1); names are not resolved.
fn candidate(value: &str) -> Option<SocketAddr> {
    let mut words = value.split_whitespace();
    let (_, component, transport) = (words.next()?, words.next()?, words.next()?);
    let (_, ip, port) = (words.next()?, words.next()?, words.next()?);
    let udp = component == "1" && transport.eq_ignore_ascii_case("udp");
    let ip: IpAddr = ip.parse().ok()?;
    let port: u16 = port.parse().ok()?;
    udp.then(|| SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sfu_core::negotiation::{Offer, OfferedContent};

    #[test]
    fn the_server_understands_the_offer() {
        let encodings =
            ["l", "m", "h"].map(|rid| Encoding { ssrc: 1, rtx_ssrc: 2, rid: Some(rid) });
        let lines = [
            Line::SendAudio { ssrc: 5 },
            Line::SendVideo { encodings: vec![Encoding { ssrc: 7, rtx_ssrc: 8, rid: None }] },
            Line::SendVideo { encodings: encodings.to_vec() },
            Line::ReceiveAudio,
            Line::ReceiveVideo,
        ];
        let ice = Credentials::generate();
        let fingerprint = format!("sha-256 {}", ["AA"; 32].join(":"));
        let parsed = Offer::parse(&offer(&ice, &fingerprint, &lines)).unwrap();
        assert_eq!(*parsed.ice.ufrag, *ice.ufrag);
        assert_eq!(parsed.sections.len(), 5);
        for section in &parsed.sections {
            let OfferedContent::Media(media) = &section.content else { panic!() };
            assert_eq!(media.codecs.len(), 1);
            assert!(media.codecs[0].feedback.transport_cc);
        }
    }

    #[test]
    fn answers_are_read() {
        let text = "v=0\r\na=ice-lite\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=ice-ufrag:u\r\n\
            a=ice-pwd:p\r\na=candidate:1 1 udp 2130706431 127.0.0.1 7882 typ host\r\n\
            a=candidate:1 2 udp 2130706431 127.0.0.1 7883 typ host\r\n\
            a=candidate:2 1 tcp 1 127.0.0.1 9 typ host tcptype passive\r\na=setup:passive\r\n\
            a=mid:0\r\na=ssrc:5 cname:x\r\n\
            m=video 0 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\na=rtcp-fb:96 nack pli\r\n\
            m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\na=mid:2\r\na=rtcp-fb:96 nack\r\n\
            a=extmap:4/sendonly http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n\
            a=ssrc-group:FID 6 7\r\na=ssrc:6 cname:x\r\na=ssrc:7 cname:x\r\n";
        let answer = Answer::read(text).unwrap();
        assert_eq!(answer.candidates, [SocketAddr::from(([127, 0, 0, 1], 7882))]);
        assert_eq!((&*answer.ice.ufrag, &*answer.ice.password), ("u", "p"));
        let [audio, rejected, video] = &answer.lines[..] else { panic!() };
        assert!(audio.audio && audio.ssrc == Some(5) && audio.rtx_ssrc.is_none() && !audio.nack);
        assert!(rejected.rejected && !rejected.nack);
        assert_eq!((video.ssrc, video.rtx_ssrc, video.transport_id), (Some(6), Some(7), Some(4)));
        assert!(video.nack && video.mid == "2");
        assert!(Answer::read("v=0\r\n").is_err());
        assert!(Answer::read(&text.replace("passive\r\na=mid", "active\r\na=mid")).is_err());
    }
}
