//! Trickle ICE SDP fragments (RFC 8840), as WHIP and WHEP send them in `PATCH`.

use std::fmt::Write as _;
use std::net::SocketAddr;

use sfu_core::transport::IceCredentials;

use super::Problem;

/// Longest line; a candidate with extensions is a tenth of it.
const LINE_BYTES_MAX: usize = 2048;

/// Reads the ICE credentials of a fragment, if it has any. Candidates are checked for being lines
/// of SDP and otherwise passed over: an ICE-lite agent learns addresses from checks.
pub(super) fn parse(text: &str) -> Result<Option<IceCredentials>, Problem> {
    let (mut ufrag, mut password) = (None, None);
    let mut is_empty = true;
    for line in text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)) {
        if line.is_empty() {
            continue;
        }
        is_empty = false;
        let is_line = line.len() <= LINE_BYTES_MAX
            && line.as_bytes()[0].is_ascii_lowercase()
            && line.as_bytes().get(1) == Some(&b'=');
        if !is_line {
            return Err(Problem::malformed("the fragment has a line that is no SDP"));
        }
        if let Some(value) = line.strip_prefix("a=ice-ufrag:") {
            merge(&mut ufrag, value, 4)?;
        } else if let Some(value) = line.strip_prefix("a=ice-pwd:") {
            merge(&mut password, value, 22)?;
        }
    }
    match (ufrag, password) {
        _ if is_empty => Err(Problem::malformed("the fragment is empty")),
        (Some(ufrag), Some(password)) => Ok(Some(IceCredentials { ufrag, password })),
        (None, None) => Ok(None),
        _ => Err(Problem::malformed("ice-ufrag and ice-pwd belong together")),
    }
}

/// Bundled m-lines share one ICE session, so each may repeat the same value (RFC 8445 §5.3 has
/// the lengths).
fn merge(slot: &mut Option<Box<str>>, value: &str, bytes_min: usize) -> Result<(), Problem> {
    let is_ice_char = |b: u8| b.is_ascii_alphanumeric() || b == b'+' || b == b'/';
    if !(bytes_min..=256).contains(&value.len()) || !value.bytes().all(is_ice_char) {
        return Err(Problem::malformed("ice-ufrag or ice-pwd is not what RFC 8445 allows"));
    }
    match slot {
        Some(before) if **before != *value => {
            Err(Problem::malformed("all m-lines must have the same ice-ufrag and ice-pwd"))
        }
        _ => {
            *slot = Some(value.into());
            Ok(())
        }
    }
}

/// The server's side after an ICE restart: new credentials, all candidates.
pub(super) fn render(ice: &IceCredentials, candidates: &[SocketAddr]) -> String {
    let mut text = String::from("a=ice-lite\r\na=ice-options:trickle ice2\r\n");
    let IceCredentials { ufrag, password } = ice;
    // Writing to a String cannot fail.
    let _ = write!(text, "a=ice-ufrag:{ufrag}\r\na=ice-pwd:{password}\r\n");
    for (index, candidate) in candidates.iter().enumerate() {
        let (ip, port) = (candidate.ip(), candidate.port());
        let priority = 2_130_706_431 - (u32::try_from(index).unwrap_or(u32::MAX).min(65_535) << 8);
        let _ = write!(text, "a=candidate:{} 1 udp {priority} {ip} {port} typ host\r\n", index + 1);
    }
    text.push_str("a=end-of-candidates\r\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWORD: &str = "0123456789012345678901";

    #[test]
    fn credentials_are_read_and_candidates_passed_over() {
        let text = format!(
            "a=ice-ufrag:abcd\r\na=ice-pwd:{PASSWORD}\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\n\
             a=mid:0\r\na=candidate:1 1 sctp 1 no.such.name 9 typ host\r\na=end-of-candidates\r\n"
        );
        let ice = parse(&text).unwrap().unwrap();
        assert_eq!((&*ice.ufrag, &*ice.password), ("abcd", PASSWORD));
        assert!(parse("a=mid:0\r\na=end-of-candidates\r\n").unwrap().is_none());
    }

    #[test]
    fn malformed_fragments_are_refused() {
        for text in [
            String::new(),
            "\r\n".into(),
            "hello".into(),
            "a=ice-ufrag:abcd\r\n".into(),
            format!("a=ice-ufrag:abc\r\na=ice-pwd:{PASSWORD}\r\n"),
            format!("a=ice-ufrag:ab d\r\na=ice-pwd:{PASSWORD}\r\n"),
            format!("a=ice-ufrag:abcd\r\na=ice-ufrag:efgh\r\na=ice-pwd:{PASSWORD}\r\n"),
            format!("a=x{}\r\n", "y".repeat(LINE_BYTES_MAX)),
        ] {
            assert!(parse(&text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn what_is_rendered_can_be_read() {
        let ice = IceCredentials { ufrag: "abcd".into(), password: PASSWORD.into() };
        let text = render(&ice, &["192.0.2.1:7882".parse().unwrap()]);
        assert_eq!(parse(&text).unwrap(), Some(ice));
        assert!(text.contains("a=candidate:1 1 udp 2130706431 192.0.2.1 7882 typ host\r\n"));
    }
}
