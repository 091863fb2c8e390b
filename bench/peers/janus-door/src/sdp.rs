//! [`Description`]: two offers of one call, Janus's and the watcher's, turned into the answers that
//! each of them waits for.
//!
//! The media keep the numbers that Janus chose, since it is what sends: payload types and extension
//! ids. The watcher must have offered the same ones; it is an error otherwise.

use anyhow::{Context as _, ensure};

/// A session description in lines.
#[derive(Debug)]
pub(crate) struct Description {
    session: Vec<String>,
    sections: Vec<Section>,
}

/// An m-line with what follows it.
#[derive(Debug)]
struct Section {
    kind: String,
    formats: String,
    lines: Vec<String>,
}

/// Attributes of the sending side that hold in an answer as in an offer.
const MEDIA: [&str; 3] = ["a=rtpmap:", "a=fmtp:", "a=rtcp-fb:"];
const TRANSPORT: [&str; 3] = ["a=ice-ufrag:", "a=ice-pwd:", "a=fingerprint:"];

impl Description {
    pub(crate) fn read(text: &str) -> Self {
        let mut description = Self { session: Vec::new(), sections: Vec::new() };
        for line in text.lines().map(str::trim_end).filter(|line| !line.is_empty()) {
            if let Some(media) = line.strip_prefix("m=") {
                let mut words = media.splitn(4, ' ');
                let kind = words.next().unwrap_or_default().to_owned();
                let formats = words.nth(2).unwrap_or_default().to_owned();
                description.sections.push(Section { kind, formats, lines: Vec::new() });
            } else if let Some(section) = description.sections.last_mut() {
                section.lines.push(line.to_owned());
            } else {
                description.session.push(line.to_owned());
            }
        }
        description
    }

    fn of_kind(&self, kind: &str) -> anyhow::Result<&Section> {
        let found = self.sections.iter().find(|section| section.kind == kind);
        found.with_context(|| format!("one side has no {kind}"))
    }

    /// A line of the section, or of the session where the section has none.
    fn line<'a>(&'a self, section: &'a Section, start: &str) -> anyhow::Result<&'a str> {
        let mut lines = section.lines.iter().chain(&self.session);
        let found = lines.find(|line| line.starts_with(start));
        found.map(String::as_str).with_context(|| format!("no {start} in the description"))
    }

    fn mids(&self) -> anyhow::Result<Vec<&str>> {
        let mid = |section| Ok(self.line(section, "a=mid:")?.trim_start_matches("a=mid:"));
        self.sections.iter().map(mid).collect()
    }
}

impl Section {
    fn starting(&self, starts: &[&str]) -> impl Iterator<Item = &String> {
        self.lines.iter().filter(|line| starts.iter().any(|start| line.starts_with(start)))
    }

    /// The codec behind the first format, as `VP8/90000`.
    fn codec(&self) -> anyhow::Result<(&str, &str)> {
        let format = self.formats.split(' ').next().unwrap_or_default();
        let map = format!("a=rtpmap:{format} ");
        let line = self.lines.iter().find_map(|line| line.strip_prefix(&map));
        Ok((format, line.with_context(|| format!("no codec for {format}"))?))
    }

    /// Header extensions that the other side knows too, by the ids given here.
    fn shared_extensions(&self, other: &Self) -> impl Iterator<Item = &String> {
        let uri = |line: &str| line.split(' ').nth(1).unwrap_or_default().to_owned();
        let known: Vec<String> = other.starting(&["a=extmap:"]).map(|line| uri(line)).collect();
        self.starting(&["a=extmap:"]).filter(move |line| known.contains(&uri(line)))
    }
}

/// Janus starts ICE at the first candidate of the other side, and a client need not name one to an
/// ICE-lite server: it comes from wherever it comes. Nothing is sent to this one (RFC 863's port).
const NO_CANDIDATE: &str = "a=candidate:1 1 udp 1 127.0.0.1 9 typ host";

/// A publisher's offer as Janus needs it. As DTLS client, which the publisher is at every other SFU
/// here, it also leaves the choice of the cipher to Janus.
pub(crate) fn offer_to_janus(offer: &str) -> String {
    let mut lines: Vec<String> = offer
        .lines()
        .map(|line| line.trim_end().replace("a=setup:actpass", "a=setup:active"))
        .filter(|line| !line.is_empty())
        .collect();
    if !lines.iter().any(|line| line.starts_with("a=candidate:")) {
        lines.push(NO_CANDIDATE.to_owned());
    }
    text(lines)
}

/// Answers Janus's offer in the watcher's name: its ICE, its DTLS, Janus's formats.
pub(crate) fn answer_to_janus(
    janus: &Description,
    watcher: &Description,
) -> anyhow::Result<String> {
    let mut lines = session(&janus.mids()?, &[]);
    for section in &janus.sections {
        let theirs = watcher.of_kind(&section.kind)?;
        ensure!(
            theirs.lines.iter().any(|line| {
                let (format, codec) = section.codec().unwrap_or_default();
                *line == format!("a=rtpmap:{format} {codec}")
            }),
            "the watcher does not offer {:?} as Janus does",
            section.codec()?
        );
        lines.push(format!("m={} 9 UDP/TLS/RTP/SAVPF {}", section.kind, section.formats));
        lines.push("c=IN IP4 0.0.0.0".to_owned());
        lines.push(janus.line(section, "a=mid:")?.to_owned());
        lines.extend(["a=recvonly", "a=rtcp-mux", "a=setup:active"].map(str::to_owned));
        for start in TRANSPORT {
            lines.push(watcher.line(theirs, start)?.to_owned());
        }
        lines.extend(section.starting(&MEDIA).cloned());
        lines.extend(section.shared_extensions(theirs).cloned());
        lines.extend(theirs.starting(&["a=candidate:"]).cloned());
    }
    if !lines.iter().any(|line| line.starts_with("a=candidate:")) {
        lines.push(NO_CANDIDATE.to_owned());
    }
    Ok(text(lines))
}

/// Answers the watcher's offer in Janus's name.
pub(crate) fn answer_to_watcher(
    watcher: &Description,
    janus: &Description,
) -> anyhow::Result<String> {
    let lite = janus.session.iter().any(|line| line == "a=ice-lite");
    let mut lines = session(&watcher.mids()?, if lite { &["a=ice-lite"] } else { &[] });
    for section in &watcher.sections {
        let theirs = janus.of_kind(&section.kind)?;
        lines.push(format!("m={} 9 UDP/TLS/RTP/SAVPF {}", section.kind, theirs.formats));
        lines.push("c=IN IP4 0.0.0.0".to_owned());
        lines.push(watcher.line(section, "a=mid:")?.to_owned());
        lines.extend(["a=sendonly", "a=rtcp-mux", "a=setup:passive"].map(str::to_owned));
        for start in TRANSPORT {
            lines.push(janus.line(theirs, start)?.to_owned());
        }
        lines.extend(theirs.starting(&MEDIA).cloned());
        lines.extend(theirs.shared_extensions(section).cloned());
        let rest = ["a=ssrc:", "a=ssrc-group:", "a=msid:", "a=candidate:", "a=end-of-candidates"];
        lines.extend(theirs.starting(&rest).cloned());
    }
    Ok(text(lines))
}

fn session(mids: &[&str], attributes: &[&str]) -> Vec<String> {
    let mut lines = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0"].map(str::to_owned).to_vec();
    lines.push(format!("a=group:BUNDLE {}", mids.join(" ")));
    lines.extend(attributes.iter().map(|attribute| (*attribute).to_owned()));
    lines
}

fn text(lines: Vec<String>) -> String {
    lines.into_iter().fold(String::new(), |text, line| text + &line + "\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const WATCHER: &str = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n\
        a=fingerprint:sha-256 WW\r\na=group:BUNDLE 7 8\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:7\r\na=ice-ufrag:wu\r\na=ice-pwd:wp\r\n\
        a=setup:actpass\r\na=recvonly\r\na=rtpmap:111 opus/48000/2\r\n\
        m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\na=mid:8\r\na=ice-ufrag:wu\r\na=ice-pwd:wp\r\n\
        a=setup:actpass\r\na=recvonly\r\na=rtpmap:96 VP8/90000\r\na=rtpmap:97 rtx/90000\r\n\
        a=extmap:1 urn:mid\r\na=extmap:9 urn:only-the-watcher\r\n";
    const JANUS: &str = "v=0\r\no=- 2 2 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=ice-lite\r\n\
        a=group:BUNDLE a v\r\n\
        m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\na=mid:v\r\na=sendonly\r\na=ice-ufrag:ju\r\n\
        a=ice-pwd:jp\r\na=fingerprint:sha-256 JJ\r\na=setup:actpass\r\na=rtpmap:96 VP8/90000\r\n\
        a=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\na=rtcp-fb:96 nack\r\na=extmap:1 urn:mid\r\n\
        a=extmap:2 urn:only-janus\r\na=ssrc:5 cname:x\r\na=candidate:1 1 udp 9 198.18.0.1 9 typ host\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:a\r\na=sendonly\r\na=ice-ufrag:ju\r\n\
        a=ice-pwd:jp\r\na=fingerprint:sha-256 JJ\r\na=setup:actpass\r\na=rtpmap:111 opus/48000/2\r\n";

    #[test]
    fn each_side_gets_the_other_s_transport_under_its_own_names() {
        let (watcher, janus) = (Description::read(WATCHER), Description::read(JANUS));
        let to_watcher = answer_to_watcher(&watcher, &janus).expect("an answer");
        let lines: Vec<&str> = to_watcher.lines().collect();
        let position = |line: &str| lines.iter().position(|found| *found == line);
        assert!(position("a=ice-lite").is_some() && position("a=group:BUNDLE 7 8").is_some());
        assert!(position("a=mid:7") < position("a=mid:8"), "{to_watcher}");
        assert!(position("a=extmap:1 urn:mid").is_some());
        assert_eq!(position("a=extmap:2 urn:only-janus"), None);
        assert_eq!(to_watcher.matches("a=ice-ufrag:ju").count(), 2);
        assert_eq!(to_watcher.matches("a=setup:passive").count(), 2);

        let to_janus = answer_to_janus(&janus, &watcher).expect("an answer");
        assert!(to_janus.find("a=mid:v") < to_janus.find("a=mid:a"), "{to_janus}");
        assert_eq!(to_janus.matches("a=fingerprint:sha-256 WW").count(), 2);
        assert!(to_janus.contains("a=fmtp:97 apt=96") && !to_janus.contains("only-"));
    }

    #[test]
    fn janus_is_named_a_candidate_and_is_the_dtls_server() {
        let offer = offer_to_janus(WATCHER);
        assert_eq!(offer.matches("a=setup:active\r\n").count(), 2);
        assert!(!offer.contains("actpass") && offer.ends_with("typ host\r\n"), "{offer}");
        assert_eq!(offer_to_janus(&offer), offer);
    }

    #[test]
    fn other_payload_types_are_an_error() {
        let watcher = Description::read(&WATCHER.replace("96", "120"));
        let error =
            answer_to_janus(&Description::read(JANUS), &watcher).expect_err("120 is not 96");
        assert!(error.to_string().contains("VP8"), "{error}");
    }
}
