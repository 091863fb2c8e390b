//! SDP fragments: ICE by HTTP PATCH in WHIP and WHEP (RFC 8840 §9, RFC 9725 §4.3).

use super::OfferError;
use super::offer::ice_credentials;
use super::text::{self, Attributes};
use crate::limits::CANDIDATES_MAX;
use crate::transport::IceCredentials;

/// What a session description needs before its first attribute and a fragment leaves out.
const HEAD: &str = "v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n";

/// A client's fragment: more candidates, or with new credentials an ICE restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SdpFragment {
    /// The credentials the fragment belongs to; new ones are an ICE restart. Some clients leave
    /// them out when they only add candidates.
    pub ice: Option<IceCredentials>,
    /// How many candidates it has. They are counted, not read: an ICE-lite agent learns the
    /// client's addresses from its checks.
    pub candidates: usize,
    /// Whether there will be no more candidates.
    pub end_of_candidates: bool,
}

impl SdpFragment {
    /// Reads a fragment.
    pub fn parse(fragment: &str) -> Result<Self, OfferError> {
        let description = text::read(&format!("{HEAD}{fragment}"))?;
        let levels: Vec<Attributes<'_>> = std::iter::once(&description.attributes)
            .chain(description.media_descriptions.iter().map(|media| &media.attributes))
            .map(|attributes| Attributes(attributes))
            .collect();
        if levels.iter().all(|level| level.0.is_empty()) {
            return Err(OfferError::Malformed("an empty fragment"));
        }
        let candidates = levels.iter().map(|level| level.values("candidate").count()).sum();
        if candidates > CANDIDATES_MAX {
            return Err(OfferError::Malformed("more than 64 candidates"));
        }
        Ok(Self {
            ice: ice(&levels)?,
            candidates,
            end_of_candidates: levels.iter().any(|level| level.has("end-of-candidates")),
        })
    }
}

/// The credentials; all m-lines share one transport, so there is one pair.
fn ice(levels: &[Attributes<'_>]) -> Result<Option<IceCredentials>, OfferError> {
    let first = |key| levels.iter().find_map(|level| level.value(key));
    match (first("ice-ufrag"), first("ice-pwd")) {
        (Some(ufrag), Some(password)) => ice_credentials(ufrag, password).map(Some),
        (None, None) => Ok(None),
        _ => Err(OfferError::Malformed("half of the ICE credentials")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The shape of RFC 9725 §4.3.2's example.
    const TRICKLE: &str = "a=group:BUNDLE 0 1\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n\
        a=mid:0\r\n\
        a=ice-ufrag:EsAw\r\n\
        a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n\
        a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0 ufrag EsAw\r\n\
        a=candidate:3471623853 1 udp 2122194687 nonsense.invalid x typ nothing\r\n\
        a=end-of-candidates\r\n";

    fn error(fragment: &str) -> OfferError {
        SdpFragment::parse(fragment).unwrap_err()
    }

    #[test]
    fn candidates_are_counted_and_not_read() {
        let fragment = SdpFragment::parse(TRICKLE).unwrap();
        assert_eq!(fragment.candidates, 2);
        assert!(fragment.end_of_candidates);
        let ice = fragment.ice.unwrap();
        assert_eq!((&*ice.ufrag, &*ice.password), ("EsAw", "P2uYro0UCOQ4zxjKXaWCBui1"));
    }

    #[test]
    fn credentials_may_stand_above_the_m_line() {
        let fragment = "a=ice-ufrag:EsAw\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\n";
        assert!(SdpFragment::parse(fragment).unwrap().ice.is_some());
    }

    #[test]
    fn credentials_may_be_left_out_but_not_halved() {
        let without =
            "m=audio 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n";
        assert_eq!(SdpFragment::parse(without).unwrap().ice, None);
        assert_eq!(
            error("a=ice-ufrag:EsAw\r\n"),
            OfferError::Malformed("half of the ICE credentials")
        );
        assert!(matches!(error("a=ice-ufrag:E\r\na=ice-pwd:x\r\n"), OfferError::Malformed(_)));
    }

    #[test]
    fn what_is_no_fragment_is_refused() {
        for evil in
            ["", "\r\n", "v=0\r\n", "hello", "{}", "m=audio 9 RTP/AVP 0\r\n", "a=\0\r\n", "=\r\n"]
        {
            assert!(matches!(error(evil), OfferError::Malformed(_)), "{evil:?}");
        }
        assert_eq!(error(&"a=x\r\n".repeat(100_000)), OfferError::TooLarge);
    }

    #[test]
    fn candidates_are_bounded() {
        let fragment = |n: usize| "a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n".repeat(n);
        let parse = |n| SdpFragment::parse(&fragment(n)).map(|fragment| fragment.candidates);
        assert_eq!(parse(CANDIDATES_MAX - 1), Ok(CANDIDATES_MAX - 1));
        assert_eq!(parse(CANDIDATES_MAX), Ok(CANDIDATES_MAX));
        assert!(matches!(parse(CANDIDATES_MAX + 1), Err(OfferError::Malformed(_))));
    }
}
