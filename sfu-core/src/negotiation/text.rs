//! SDP text, before it means anything: its bounds, the parser, looking up attributes.

use std::io::Cursor;

use sdp::description::common::Attribute;
use sdp::description::session::SessionDescription;

use super::OfferError;
use crate::limits::{SDP_BYTES_MAX, SDP_LINE_BYTES_MAX, SDP_LINES_MAX, SECTIONS_MAX};

/// Reads a whole session description, if it is within its bounds.
pub(super) fn read(sdp: &str) -> Result<SessionDescription, OfferError> {
    check_bounds(sdp)?;
    SessionDescription::unmarshal(&mut Cursor::new(sdp.as_bytes()))
        .map_err(|_| OfferError::Malformed("not a session description (RFC 8866)"))
}

/// One cheap pass that bounds what the parser allocates and how long it takes.
fn check_bounds(sdp: &str) -> Result<(), OfferError> {
    if sdp.len() > SDP_BYTES_MAX {
        return Err(OfferError::TooLarge);
    }
    let (mut lines, mut sections) = (0, 0);
    for line in sdp.lines() {
        lines += 1;
        sections += usize::from(line.starts_with("m="));
        if line.len() > SDP_LINE_BYTES_MAX {
            return Err(OfferError::Malformed("a line of more than 4096 bytes"));
        }
        if line.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t') {
            return Err(OfferError::Malformed("a control character"));
        }
    }
    if lines > SDP_LINES_MAX {
        return Err(OfferError::Malformed("more than 8192 lines"));
    }
    if sections > SECTIONS_MAX {
        return Err(OfferError::Malformed("more than 128 m-lines"));
    }
    Ok(())
}

/// The attributes of a session or of an m-line.
#[derive(Clone, Copy)]
pub(super) struct Attributes<'a>(pub(super) &'a [Attribute]);

impl<'a> Attributes<'a> {
    /// Every value of `key`, in order. A flag has the value "".
    pub(super) fn values(self, key: &'static str) -> impl Iterator<Item = &'a str> {
        self.iter().filter(move |&(name, _)| name == key).map(|(_, value)| value)
    }

    /// The first value of `key`.
    pub(super) fn value(self, key: &'static str) -> Option<&'a str> {
        self.values(key).next()
    }

    /// Whether `key` occurs.
    pub(super) fn has(self, key: &'static str) -> bool {
        self.value(key).is_some()
    }

    /// Every attribute with its value, in order.
    pub(super) fn iter(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0.iter().map(|a| (a.key.as_str(), a.value.as_deref().unwrap_or_default().trim_start()))
    }
}

/// Whether `text` is a token (RFC 8866 §9).
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`{|}~".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n";

    fn error(sdp: &str) -> Option<OfferError> {
        read(sdp).err()
    }

    #[test]
    fn bytes_are_bounded() {
        let padded = |bytes: usize| {
            let mut sdp = HEAD.to_owned();
            while sdp.len() < bytes {
                let line = (bytes - sdp.len()).min(1000);
                let line = if bytes - sdp.len() - line < 5 { bytes - sdp.len() } else { line };
                sdp.push_str(&format!("a={}\r\n", "x".repeat(line - 4)));
            }
            assert_eq!(sdp.len(), bytes);
            sdp
        };
        assert_eq!(error(&padded(SDP_BYTES_MAX - 1)), None);
        assert_eq!(error(&padded(SDP_BYTES_MAX)), None);
        assert_eq!(error(&padded(SDP_BYTES_MAX + 1)), Some(OfferError::TooLarge));
    }

    #[test]
    fn lines_are_bounded() {
        let lines = |n: usize| format!("{HEAD}{}", "a=\n".repeat(n - 4));
        assert_eq!(error(&lines(SDP_LINES_MAX - 1)), None);
        assert_eq!(error(&lines(SDP_LINES_MAX)), None);
        assert!(matches!(error(&lines(SDP_LINES_MAX + 1)), Some(OfferError::Malformed(_))));
    }

    #[test]
    fn the_length_of_a_line_is_bounded() {
        let line = |n: usize| format!("{HEAD}a={}\r\n", "x".repeat(n - 2));
        assert_eq!(error(&line(SDP_LINE_BYTES_MAX - 1)), None);
        assert_eq!(error(&line(SDP_LINE_BYTES_MAX)), None);
        assert!(matches!(error(&line(SDP_LINE_BYTES_MAX + 1)), Some(OfferError::Malformed(_))));
    }

    #[test]
    fn sections_are_bounded() {
        let sections = |n: usize| format!("{HEAD}{}", "m=image 0 udptl t38\r\n".repeat(n));
        assert_eq!(error(&sections(SECTIONS_MAX - 1)), None);
        assert_eq!(error(&sections(SECTIONS_MAX)), None);
        assert!(matches!(error(&sections(SECTIONS_MAX + 1)), Some(OfferError::Malformed(_))));
    }

    #[test]
    fn control_characters_are_refused() {
        for evil in ["\0", "\r", "\u{1b}[2J", "\u{7f}"] {
            let sdp = format!("{HEAD}a=msid:a{evil}b\r\n");
            assert_eq!(error(&sdp), Some(OfferError::Malformed("a control character")), "{evil:?}");
        }
    }

    #[test]
    fn other_text_is_refused() {
        for sdp in ["", "v=0", "hello", "{\"sdp\":1}", "v=1\r\n", "v=0\r\no=x\r\n", "m=\r\n"] {
            assert!(matches!(error(sdp), Some(OfferError::Malformed(_))), "{sdp:?}");
        }
    }

    #[test]
    fn lines_may_end_in_a_newline_alone() {
        assert_eq!(error(&HEAD.replace("\r\n", "\n")), None);
    }
}
