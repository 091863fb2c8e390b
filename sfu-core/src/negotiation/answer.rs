//! The answer's text (JSEP, RFC 8829 §5.3).

use std::fmt::{self, Display};
use std::net::{IpAddr, SocketAddr};

use super::codec::parameter;
use super::{
    Answer, Codec, CodecParameters, Direction, MediaKind, MediaSection, Msid, Section,
    SectionContent,
};
use crate::limits::DATA_MESSAGE_BYTES_MAX;
use crate::transport::{DtlsRole, Fingerprint, Protocol};

/// The SCTP port of this side; any would do, for the association runs inside DTLS (RFC 8841 §4).
const SCTP_PORT: u16 = 5000;

/// Of host candidates by TCP (RFC 6544 §4.2 asks for less than UDP's 126).
const TYPE_PREFERENCE_TCP: u32 = 90;

impl Answer {
    /// Renders the answer.
    #[must_use]
    pub fn to_sdp(&self) -> String {
        self.to_string()
    }

    /// Renders what an ICE restart without SDP is answered with (RFC 8840 §9; RFC 9725 §4.3.3):
    /// credentials and all candidates. Put new credentials into `ice` first.
    #[must_use]
    pub fn to_fragment(&self) -> String {
        Fragment(self).to_string()
    }

    fn accepted(&self) -> impl Iterator<Item = &Section> {
        self.sections.iter().map(|(section, _)| section).filter(|section| section.is_accepted())
    }

    /// The accepted m-lines of the BUNDLE group, in its order: all, or none if the client has only
    /// one and no group.
    fn bundled(&self) -> Vec<&Section> {
        let mut bundled: Vec<_> =
            self.accepted().filter(|section| section.line.bundle.is_some()).collect();
        bundled.sort_by_key(|section| section.line.bundle);
        bundled
    }

    /// The m-line that stands for the transport all share.
    fn tagged(&self) -> Option<&Section> {
        self.bundled().first().copied().or_else(|| self.accepted().next())
    }

    fn write_session(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        line(f, "v=0")?;
        line(f, format_args!("o=- {} {} IN IP4 127.0.0.1", self.session_id(), self.version))?;
        line(f, "s=-")?;
        line(f, "t=0 0")?;
        self.write_ice_session(f)?;
        line(f, "a=msid-semantic: WMS *")
    }

    /// What an answer and a fragment both say of ICE for the whole session. No
    /// `ice-options:trickle`: an ICE-lite agent has all its candidates at once and uses none of
    /// the client's.
    fn write_ice_session(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        line(f, "a=ice-lite")?;
        line(f, "a=ice-options:ice2")?;
        let bundled = self.bundled();
        if bundled.is_empty() {
            return Ok(());
        }
        f.write_str("a=group:BUNDLE")?;
        bundled.iter().try_for_each(|section| write!(f, " {}", section.mid))?;
        f.write_str("\r\n")
    }

    /// A number that is the same in every answer of a session (RFC 8866 §5.2): the CNAME, which
    /// is random and as long-lived, hashed by FNV-1a, 63 bits of it.
    fn session_id(&self) -> u64 {
        let hash = self.cname.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        hash >> 1
    }

    fn write_section(
        &self,
        f: &mut fmt::Formatter<'_>,
        section: &Section,
        msid: Option<&Msid>,
        tagged: bool,
    ) -> fmt::Result {
        match &section.content {
            SectionContent::Rejected => section.write_rejected(f),
            SectionContent::Data => {
                self.write_head(f, section, &[&section.line.format], tagged)?;
                line(f, format_args!("a=sctp-port:{SCTP_PORT}"))?;
                line(f, format_args!("a=max-message-size:{DATA_MESSAGE_BYTES_MAX}"))
            }
            SectionContent::Media(media) => {
                let formats = media
                    .codecs
                    .iter()
                    .flat_map(|codec| [Some(codec.payload_type), codec.rtx].into_iter().flatten());
                let formats: Vec<_> = formats.map(|payload_type| payload_type.0).collect();
                let formats: Vec<&dyn Display> =
                    formats.iter().map(|f| f as &dyn Display).collect();
                self.write_head(f, section, &formats, tagged)?;
                media.write_rtp(f)?;
                media.codecs.iter().try_for_each(|codec| codec.write(f))?;
                if media.codecs.iter().any(|codec| codec.feedback.ack_ccfb) {
                    // RFC 8888 §6: for all payload types or none.
                    line(f, "a=rtcp-fb:* ack ccfb")?;
                }
                media.write_receiving(f)?;
                media.write_sending(f, msid, &self.cname)
            }
        }
    }

    /// What every accepted m-line says: addresses, ICE and DTLS. All share one transport, but not
    /// every client looks for its attributes in the first m-line only; candidates are looked for
    /// there by all.
    fn write_head(
        &self,
        f: &mut fmt::Formatter<'_>,
        section: &Section,
        formats: &[&dyn Display],
        tagged: bool,
    ) -> fmt::Result {
        // RFC 8839 §4.2.1.2: the default destination is one of the candidates.
        let default = self.candidates.first().map(|candidate| candidate.addr);
        let default = default.unwrap_or(SocketAddr::from(([0, 0, 0, 0], 9)));
        write!(f, "m={} {} {}", section.line.media, default.port(), section.line.protocol)?;
        formats.iter().try_for_each(|format| write!(f, " {format}"))?;
        f.write_str("\r\n")?;
        match default.ip() {
            IpAddr::V4(ip) => line(f, format_args!("c=IN IP4 {ip}"))?,
            IpAddr::V6(ip) => line(f, format_args!("c=IN IP6 {ip}"))?,
        }
        line(f, format_args!("a=mid:{}", section.mid))?;
        line(f, format_args!("a=ice-ufrag:{}", self.ice.ufrag))?;
        line(f, format_args!("a=ice-pwd:{}", self.ice.password))?;
        line(f, format_args!("a=fingerprint:{}", UpperCase(&self.fingerprint)))?;
        let setup = match self.role {
            DtlsRole::Client => "active",
            DtlsRole::Server => "passive",
        };
        line(f, format_args!("a=setup:{setup}"))?;
        if tagged {
            self.write_candidates(f)?;
        }
        Ok(())
    }

    /// RFC 8839 §5.1: host candidates, the earlier the better, and any by UDP better than all by TCP.
    fn write_candidates(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, candidate) in (0_u16..).zip(&self.candidates) {
            let (ip, port) = (candidate.addr.ip(), candidate.addr.port());
            let foundation = index + 1;
            // RFC 8445 §5.1.2.1: type preference, local preference, component 1.
            match candidate.protocol {
                Protocol::Udp => {
                    let priority = (126 << 24) | (u32::from(u16::MAX - index) << 8) | 255;
                    write!(f, "a=candidate:{foundation} 1 udp {priority} {ip} {port} typ host")?;
                }
                Protocol::Tcp => {
                    // RFC 6544 §4.2: direction preference 4 for passive.
                    let local = (4 << 13) | (0x1fff - u32::from(index.min(0x1fff)));
                    let priority = (TYPE_PREFERENCE_TCP << 24) | (local << 8) | 255;
                    write!(f, "a=candidate:{foundation} 1 tcp {priority} {ip} {port} typ host")?;
                    f.write_str(" tcptype passive")?;
                }
            }
            line(f, "")?;
        }
        line(f, "a=end-of-candidates")
    }
}

impl Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_session(f)?;
        let tagged = self.tagged();
        self.sections.iter().try_for_each(|(section, msid)| {
            let tagged = tagged.is_some_and(|tagged| std::ptr::eq(tagged, section));
            self.write_section(f, section, msid.as_ref(), tagged)
        })
    }
}

/// An answer reduced to what a fragment may hold.
struct Fragment<'a>(&'a Answer);

impl Display for Fragment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let answer = self.0;
        answer.write_ice_session(f)?;
        let Some(section) = answer.tagged() else {
            return Ok(());
        };
        let of = &section.line;
        line(f, format_args!("m={} 9 {} {}", of.media, of.protocol, of.format))?;
        line(f, format_args!("a=mid:{}", section.mid))?;
        line(f, format_args!("a=ice-ufrag:{}", answer.ice.ufrag))?;
        line(f, format_args!("a=ice-pwd:{}", answer.ice.password))?;
        answer.write_candidates(f)
    }
}

impl Section {
    fn is_accepted(&self) -> bool {
        !matches!(self.content, SectionContent::Rejected)
    }

    fn write_rejected(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (media, protocol) = (&self.line.media, &self.line.protocol);
        line(f, format_args!("m={media} 0 {protocol} {}", self.line.format))?;
        line(f, "c=IN IP4 0.0.0.0")?;
        if !self.mid.0.is_empty() {
            line(f, format_args!("a=mid:{}", self.mid))?;
        }
        line(f, "a=inactive")
    }
}

impl MediaSection {
    /// The direction, as the server sees it.
    fn direction(&self) -> Direction {
        Direction::new(self.send.is_some(), self.receive.is_some())
    }

    fn write_rtp(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        line(f, format_args!("a={}", self.direction().token()))?;
        line(f, "a=rtcp-mux")?;
        // RFC 9725 §4.4.1 asks for it in WHIP answers, RFC 8858 §4 has it in offers only;
        // whoever does not expect it ignores it.
        line(f, "a=rtcp-mux-only")?;
        if self.rtcp_reduced_size {
            line(f, "a=rtcp-rsize")?;
        }
        if self.extmap_allow_mixed {
            line(f, "a=extmap-allow-mixed")?;
        }
        for (extension, id) in self.extensions.iter() {
            write!(f, "a=extmap:{id}")?;
            if let Some((_, direction)) =
                self.one_way.iter().find(|(limited, _)| *limited == extension)
            {
                write!(f, "/{}", direction.reversed().token())?;
            }
            line(f, format_args!(" {}", extension.uri()))?;
        }
        Ok(())
    }

    fn write_receiving(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(receive) = self.receive.as_ref().filter(|receive| !receive.rids.is_empty()) else {
            return Ok(());
        };
        receive.rids.iter().try_for_each(|rid| line(f, format_args!("a=rid:{rid} recv")))?;
        f.write_str("a=simulcast:recv ")?;
        for (index, rid) in receive.rids.iter().enumerate() {
            write!(f, "{}{rid}", if index == 0 { "" } else { ";" })?;
        }
        f.write_str("\r\n")
    }

    fn write_sending(
        &self,
        f: &mut fmt::Formatter<'_>,
        msid: Option<&Msid>,
        cname: &str,
    ) -> fmt::Result {
        let Some(send) = &self.send else {
            return Ok(());
        };
        if let Some(Msid { stream, track }) = msid {
            line(f, format_args!("a=msid:{stream} {track}"))?;
        }
        if let Some(rtx) = send.rtx_ssrc {
            line(f, format_args!("a=ssrc-group:FID {} {}", send.ssrc.0, rtx.0))?;
        }
        for ssrc in [Some(send.ssrc), send.rtx_ssrc].into_iter().flatten() {
            line(f, format_args!("a=ssrc:{} cname:{cname}", ssrc.0))?;
        }
        Ok(())
    }
}

impl CodecParameters {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (payload_type, clock_rate) = (self.payload_type.0, self.clock_rate);
        write!(f, "a=rtpmap:{payload_type} {}/{clock_rate}", self.codec.name())?;
        match self.codec.kind() {
            MediaKind::Audio => line(f, format_args!("/{}", self.codec.channels()))?,
            MediaKind::Video => line(f, "")?,
        }
        for feedback in self.feedback.names() {
            line(f, format_args!("a=rtcp-fb:{payload_type} {feedback}"))?;
        }
        let fmtp = self.answered_fmtp();
        if !fmtp.is_empty() {
            line(f, format_args!("a=fmtp:{payload_type} {fmtp}"))?;
        }
        if let Some(rtx) = self.rtx {
            line(f, format_args!("a=rtpmap:{} rtx/{clock_rate}", rtx.0))?;
            line(f, format_args!("a=fmtp:{} apt={payload_type}", rtx.0))?;
        }
        Ok(())
    }

    /// The format parameters of the answer: those that name the very format are repeated, for the
    /// server takes whatever the client sends; what describes the client's decoder is not.
    fn answered_fmtp(&self) -> String {
        let repeated: &[&str] = match self.codec {
            Codec::Opus => {
                let stereo = parameter(&self.fmtp, "sprop-stereo") == Some("1");
                let stereo = if stereo { ";stereo=1" } else { "" };
                return format!("minptime=10;useinbandfec=1{stereo}");
            }
            Codec::Red => return self.fmtp.to_string(),
            Codec::Vp8 => &[],
            Codec::Vp9 => &["profile-id"],
            Codec::H264 => &["level-asymmetry-allowed", "packetization-mode", "profile-level-id"],
            Codec::Av1 => &["level-idx", "profile", "tier"],
        };
        let values = repeated.iter().filter_map(|&name| {
            let value = parameter(&self.fmtp, name)?;
            value.bytes().all(|b| b.is_ascii_alphanumeric()).then(|| format!("{name}={value}"))
        });
        values.collect::<Vec<_>>().join(";")
    }
}

impl super::Feedback {
    /// The values of `a=rtcp-fb` for one payload type.
    fn names(self) -> impl Iterator<Item = &'static str> {
        [
            (self.nack, "nack"),
            (self.nack_pli, "nack pli"),
            (self.ccm_fir, "ccm fir"),
            (self.transport_cc, "transport-cc"),
            (self.goog_remb, "goog-remb"),
        ]
        .into_iter()
        .filter_map(|(used, name)| used.then_some(name))
    }
}

/// A fingerprint in the upper case that RFC 8122 §5 asks for and Firefox insists on.
struct UpperCase<'a>(&'a Fingerprint);

impl Display for UpperCase<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.algorithm)?;
        for (index, byte) in self.0.bytes.iter().enumerate() {
            write!(f, "{}{byte:02X}", if index == 0 { ' ' } else { ':' })?;
        }
        Ok(())
    }
}

fn line(f: &mut fmt::Formatter<'_>, content: impl Display) -> fmt::Result {
    write!(f, "{content}\r\n")
}
