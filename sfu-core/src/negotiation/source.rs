//! What a client announces of its sending: RIDs (RFC 8851, 8853) and SSRCs (RFC 5576).

use super::text::Attributes;
use super::{OfferError, ReceiveParameters};
use crate::id::{Rid, Ssrc};
use crate::limits::{ENCODINGS_MAX, SSRCS_PER_SECTION_MAX, TOKEN_BYTES_MAX};

/// `a=rid` lines of one m-line: encodings in one or two alternatives of format each, both ways.
const RID_LINES_MAX: usize = 4 * ENCODINGS_MAX;

/// Reads what the m-line announces.
pub(super) fn read(attributes: Attributes<'_>) -> Result<ReceiveParameters, OfferError> {
    Ok(ReceiveParameters { rids: simulcast(attributes)?, ssrcs: ssrcs(attributes)? })
}

/// The encodings of `a=simulcast:send`, in its order. Of alternatives the first counts; one that
/// starts paused (`~`) counts like the others, for it may start any time.
fn simulcast(attributes: Attributes<'_>) -> Result<Vec<Rid>, OfferError> {
    let sent = sent_rids(attributes)?;
    let mut rids: Vec<Rid> = Vec::new();
    for encoding in send_list(attributes).split(';').filter(|_| !sent.is_empty()) {
        // RFC 8853 §5.2: alternatives without an `a=rid` line do not exist.
        let mut known = encoding
            .split(',')
            .map(|rid| rid.trim().trim_start_matches('~'))
            .filter(|rid| sent.contains(rid));
        let Some(rid) = known.next().map(Rid::from).filter(|rid| !rids.contains(rid)) else {
            continue;
        };
        rids.push(rid);
        if rids.len() > ENCODINGS_MAX {
            return Err(OfferError::Unsupported("more than 4 simulcast encodings"));
        }
    }
    Ok(rids)
}

/// The list that follows `send` in `a=simulcast:send h;m;l recv x`, or "".
fn send_list(attributes: Attributes<'_>) -> &str {
    let mut words = attributes.value("simulcast").unwrap_or_default().split_whitespace();
    words.find(|&word| word == "send").and_then(|_| words.next()).unwrap_or_default()
}

/// The ids of the `a=rid:<id> send` lines.
fn sent_rids(attributes: Attributes<'_>) -> Result<Vec<&str>, OfferError> {
    let mut sent = Vec::new();
    for (index, value) in attributes.values("rid").enumerate() {
        if index >= RID_LINES_MAX {
            return Err(OfferError::Unsupported("more than 16 rids in an m-line"));
        }
        let mut words = value.split_whitespace();
        let id = words.next().unwrap_or_default();
        if !is_rid(id) {
            return Err(OfferError::Malformed("a rid that is not 1 to 16 of A-Z a-z 0-9 - _"));
        }
        if words.next() == Some("send") {
            sent.push(id);
        }
    }
    Ok(sent)
}

/// RFC 8851 §10; the length is what a header extension can carry.
fn is_rid(text: &str) -> bool {
    (1..=TOKEN_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// Media SSRCs with that of their retransmissions: those of `a=ssrc-group:SIM`, in its order, or
/// else those that have an `a=ssrc` line.
fn ssrcs(attributes: Attributes<'_>) -> Result<Vec<(Ssrc, Option<Ssrc>)>, OfferError> {
    let named = named_ssrcs(attributes)?;
    let groups: Vec<(&str, Vec<Ssrc>)> = groups(attributes, &named).collect();
    let of = |semantics: &'static str| {
        groups.iter().filter(move |(name, _)| *name == semantics).map(|(_, ssrcs)| &**ssrcs)
    };
    let repairs =
        |ssrc: Ssrc| of("FID").any(|group| group.get(1) == Some(&ssrc) && group[0] != ssrc);
    let corrects = |ssrc: Ssrc| {
        of("FEC-FR").any(|group| group.get(1..).is_some_and(|fec| fec.contains(&ssrc)))
    };
    let repair_of = |ssrc: Ssrc| {
        of("FID").find(|group| group[0] == ssrc).and_then(|group| group.get(1).copied())
    };

    // What a simulcast group leaves out repairs its members, or is none of theirs.
    let media = of("SIM").next().map_or_else(|| named.clone(), <[Ssrc]>::to_vec);
    let mut ssrcs: Vec<(Ssrc, Option<Ssrc>)> = Vec::new();
    for ssrc in media {
        let known = ssrcs.iter().any(|&(media, _)| media == ssrc);
        if !known && !repairs(ssrc) && !corrects(ssrc) {
            ssrcs.push((ssrc, repair_of(ssrc).filter(|&repair| repair != ssrc)));
        }
    }
    Ok(ssrcs)
}

/// The distinct SSRCs of the `a=ssrc` lines.
fn named_ssrcs(attributes: Attributes<'_>) -> Result<Vec<Ssrc>, OfferError> {
    let mut named: Vec<Ssrc> = Vec::new();
    for value in attributes.values("ssrc") {
        let ssrc = ssrc(value.split_whitespace().next().unwrap_or_default())?;
        if !named.contains(&ssrc) {
            if named.len() == SSRCS_PER_SECTION_MAX {
                return Err(OfferError::Malformed("more than 32 SSRCs in an m-line"));
            }
            named.push(ssrc);
        }
    }
    Ok(named)
}

/// The `a=ssrc-group` lines, reduced to SSRCs that have an `a=ssrc` line (RFC 5576 §4.2). There
/// cannot be sensible ones beyond one for each SSRC and semantics.
fn groups<'a>(
    attributes: Attributes<'a>,
    named: &[Ssrc],
) -> impl Iterator<Item = (&'a str, Vec<Ssrc>)> {
    attributes.values("ssrc-group").take(3 * SSRCS_PER_SECTION_MAX).filter_map(|value| {
        let mut words = value.split_whitespace();
        let semantics = words.next()?;
        let ssrcs: Vec<Ssrc> = words
            .map_while(|word| ssrc(word).ok().filter(|ssrc| named.contains(ssrc)))
            .take(SSRCS_PER_SECTION_MAX)
            .collect();
        (!ssrcs.is_empty()).then_some((semantics, ssrcs))
    })
}

fn ssrc(text: &str) -> Result<Ssrc, OfferError> {
    text.parse().map(Ssrc).map_err(|_| OfferError::Malformed("an SSRC that is not a 32-bit number"))
}

#[cfg(test)]
mod tests {
    use sdp::description::common::Attribute;

    use super::*;

    fn parse(lines: &[String]) -> Result<ReceiveParameters, OfferError> {
        let attributes: Vec<Attribute> = lines
            .iter()
            .map(|line| {
                let (key, value) = line.split_once(':').unwrap();
                Attribute::new(key.into(), Some(value.into()))
            })
            .collect();
        read(Attributes(&attributes))
    }

    fn rids(lines: &[&str]) -> Result<Vec<String>, OfferError> {
        let lines: Vec<_> = lines.iter().map(|&line| line.to_owned()).collect();
        Ok(parse(&lines)?.rids.iter().map(ToString::to_string).collect())
    }

    fn ssrcs_of(lines: &[&str]) -> Vec<(u32, Option<u32>)> {
        let lines: Vec<_> = lines.iter().map(|&line| line.to_owned()).collect();
        parse(&lines).unwrap().ssrcs.iter().map(|(m, r)| (m.0, r.map(|r| r.0))).collect()
    }

    #[test]
    fn encodings_keep_the_order_of_the_simulcast_line() {
        let lines = ["rid:l send", "rid:m send", "rid:h send", "simulcast:send h;m;l"];
        assert_eq!(rids(&lines).unwrap(), ["h", "m", "l"]);
        let lines = [
            "simulcast:recv x send ~lo;hi,hi2",
            "rid:x recv",
            "rid:hi2 send",
            "rid:lo send max-width=320",
        ];
        assert_eq!(rids(&lines).unwrap(), ["lo", "hi2"]);
    }

    #[test]
    fn rids_without_simulcast_or_without_a_line_do_not_count() {
        assert!(rids(&["rid:h send"]).unwrap().is_empty());
        assert_eq!(rids(&["rid:h send", "simulcast:send h;ghost;h"]).unwrap(), ["h"]);
        assert!(rids(&["rid:h recv", "simulcast:send h"]).unwrap().is_empty());
        assert!(rids(&["rid:h send", "simulcast:send"]).unwrap().is_empty());
    }

    #[test]
    fn encodings_are_bounded() {
        let encodings = |n: usize| {
            let mut lines: Vec<String> = (0..n).map(|i| format!("rid:r{i} send")).collect();
            let ids: Vec<_> = (0..n).map(|i| format!("r{i}")).collect();
            lines.push(format!("simulcast:send {}", ids.join(";")));
            parse(&lines).map(|parameters| parameters.rids.len())
        };
        assert_eq!(encodings(ENCODINGS_MAX - 1), Ok(ENCODINGS_MAX - 1));
        assert_eq!(encodings(ENCODINGS_MAX), Ok(ENCODINGS_MAX));
        assert!(matches!(encodings(ENCODINGS_MAX + 1), Err(OfferError::Unsupported(_))));
    }

    #[test]
    fn rid_lines_are_bounded() {
        let lines =
            |n: usize| -> Vec<String> { (0..n).map(|i| format!("rid:r{i} send")).collect() };
        assert!(parse(&lines(RID_LINES_MAX - 1)).is_ok());
        assert!(parse(&lines(RID_LINES_MAX)).is_ok());
        assert!(matches!(parse(&lines(RID_LINES_MAX + 1)), Err(OfferError::Unsupported(_))));
    }

    #[test]
    fn rids_are_short_and_plain() {
        let rid = |length: usize| rids(&[&format!("rid:{} send", "r".repeat(length))]);
        assert!(rid(TOKEN_BYTES_MAX - 1).is_ok());
        assert!(rid(TOKEN_BYTES_MAX).is_ok());
        assert!(matches!(rid(TOKEN_BYTES_MAX + 1), Err(OfferError::Malformed(_))));
        for evil in ["", "a/b send", "ä send", "a=b send"] {
            let error = rids(&[&format!("rid:{evil}")]);
            assert!(matches!(error, Err(OfferError::Malformed(_))), "{evil:?}");
        }
    }

    #[test]
    fn retransmissions_are_paired_by_fid() {
        let lines = ["ssrc-group:FID 1 2", "ssrc:1 cname:x", "ssrc:1 msid:a b", "ssrc:2 cname:x"];
        assert_eq!(ssrcs_of(&lines), [(1, Some(2))]);
    }

    #[test]
    fn ssrcs_follow_the_sim_group() {
        let lines = [
            "ssrc-group:SIM 3 1 2",
            "ssrc-group:FID 1 11",
            "ssrc-group:FID 3 13",
            "ssrc-group:FEC-FR 1 21",
            "ssrc:1 cname:x",
            "ssrc:2 cname:x",
            "ssrc:3 cname:x",
            "ssrc:11 cname:x",
            "ssrc:13 cname:x",
            "ssrc:21 cname:x",
        ];
        assert_eq!(ssrcs_of(&lines), [(3, Some(13)), (1, Some(11)), (2, None)]);
    }

    #[test]
    fn what_a_sim_group_leaves_out_is_no_encoding() {
        let lines = [
            "ssrc-group:SIM 1 2",
            "ssrc-group:FID 1 11",
            "ssrc:1 cname:x",
            "ssrc:2 cname:x",
            "ssrc:11 cname:x",
            "ssrc:77 cname:x",
        ];
        assert_eq!(ssrcs_of(&lines), [(1, Some(11)), (2, None)]);
    }

    #[test]
    fn odd_groups_do_no_harm() {
        let lines = [
            "ssrc:1 cname:x",
            "ssrc-group:FID 1 1",
            "ssrc-group:FID",
            "ssrc-group:SIM 9 1",
            "ssrc-group:FID 1 99999999999",
        ];
        assert_eq!(ssrcs_of(&lines), [(1, None)]);
    }

    #[test]
    fn ssrcs_are_bounded() {
        let lines =
            |n: usize| -> Vec<String> { (0..n).map(|i| format!("ssrc:{i} cname:x")).collect() };
        assert_eq!(
            parse(&lines(SSRCS_PER_SECTION_MAX - 1)).unwrap().ssrcs.len(),
            SSRCS_PER_SECTION_MAX - 1
        );
        assert_eq!(
            parse(&lines(SSRCS_PER_SECTION_MAX)).unwrap().ssrcs.len(),
            SSRCS_PER_SECTION_MAX
        );
        assert!(matches!(parse(&lines(SSRCS_PER_SECTION_MAX + 1)), Err(OfferError::Malformed(_))));
        for evil in ["ssrc:", "ssrc:-1 cname:x", "ssrc:4294967296 cname:x", "ssrc:x"] {
            assert!(matches!(parse(&[evil.to_owned()]), Err(OfferError::Malformed(_))), "{evil}");
        }
    }
}
