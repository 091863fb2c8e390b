//! [`Sdp`]: the few lines of a session description that the account needs. Not a validator.

/// One m-line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SdpSection {
    /// `audio`, `video` or `application`.
    pub kind: String,
    /// `a=mid`.
    pub mid: String,
    /// `sendrecv`, `sendonly`, `recvonly` or `inactive`.
    pub direction: String,
    /// Whether the port is 0.
    pub rejected: bool,
    /// SSRCs of media, not of repair.
    pub media_ssrcs: Vec<u32>,
    /// Payload type and codec name in lower case, in order.
    pub codecs: Vec<(u8, String)>,
}

/// A session description.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sdp {
    /// Its m-lines.
    pub sections: Vec<SdpSection>,
}

impl Sdp {
    /// Reads a description.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let mut sdp = Self::default();
        let mut repair = Vec::new();
        for line in text.lines().map(str::trim_end) {
            if let Some(media) = line.strip_prefix("m=") {
                let mut words = media.split(' ');
                sdp.sections.push(SdpSection {
                    kind: words.next().unwrap_or_default().to_owned(),
                    rejected: words.next() == Some("0"),
                    direction: "sendrecv".to_owned(),
                    ..Default::default()
                });
                repair.clear();
            }
            let (Some(section), Some(attribute)) =
                (sdp.sections.last_mut(), line.strip_prefix("a="))
            else {
                continue;
            };
            section.attribute(attribute, &mut repair);
        }
        sdp
    }

    /// The m-line that announces this SSRC.
    #[must_use]
    pub fn section_of_ssrc(&self, ssrc: u32) -> Option<&SdpSection> {
        self.sections.iter().find(|section| section.media_ssrcs.contains(&ssrc))
    }

    /// The m-line with this mid.
    #[must_use]
    pub fn section(&self, mid: &str) -> Option<&SdpSection> {
        self.sections.iter().find(|section| section.mid == mid)
    }
}

impl SdpSection {
    fn attribute(&mut self, attribute: &str, repair: &mut Vec<u32>) {
        if matches!(attribute, "sendrecv" | "sendonly" | "recvonly" | "inactive") {
            attribute.clone_into(&mut self.direction);
        } else if let Some(mid) = attribute.strip_prefix("mid:") {
            mid.clone_into(&mut self.mid);
        } else if let Some(group) = attribute.strip_prefix("ssrc-group:FID ") {
            repair.extend(group.split(' ').skip(1).filter_map(|ssrc| ssrc.parse::<u32>().ok()));
            self.media_ssrcs.retain(|ssrc| !repair.contains(ssrc));
        } else if let Some(ssrc) = attribute.strip_prefix("ssrc:")
            && let Some(ssrc) = ssrc.split(' ').next().and_then(|ssrc| ssrc.parse().ok())
            && !repair.contains(&ssrc)
            && !self.media_ssrcs.contains(&ssrc)
        {
            self.media_ssrcs.push(ssrc);
        } else if let Some(map) = attribute.strip_prefix("rtpmap:")
            && let Some((payload_type, codec)) = map.split_once(' ')
            && let Ok(payload_type) = payload_type.parse()
        {
            let name = codec.split('/').next().unwrap_or_default().to_ascii_lowercase();
            self.codecs.push((payload_type, name));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_ssrcs_are_told_from_repair_in_either_order() {
        let text = "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96 97\r\na=mid:1\r\na=sendonly\r\n\
            a=rtpmap:96 VP8/90000\r\na=rtpmap:97 rtx/90000\r\na=ssrc:5 cname:x\r\n\
            a=ssrc:6 cname:x\r\na=ssrc-group:FID 5 6\r\na=ssrc:6 msid:a b\r\n\
            m=audio 0 UDP/TLS/RTP/SAVPF 111\r\na=inactive\r\na=mid:2\r\n";
        let sdp = Sdp::read(text);
        assert_eq!(sdp.section_of_ssrc(5).unwrap().mid, "1");
        assert_eq!(sdp.section_of_ssrc(6), None);
        assert_eq!(sdp.sections[0].codecs, [(96, "vp8".to_owned()), (97, "rtx".to_owned())]);
        let audio = sdp.section("2").unwrap();
        assert!(audio.rejected && audio.direction == "inactive" && audio.kind == "audio");
    }
}
