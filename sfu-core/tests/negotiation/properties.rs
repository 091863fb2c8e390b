//! Whatever the text, no panic; whatever is answered, it is SDP and within what was offered.

use std::collections::HashSet;
use std::io::Cursor;

use proptest::prelude::*;
use proptest::sample::Index;
use sdp::description::media::MediaDescription;
use sdp::description::session::SessionDescription;
use sfu_core::id::Ssrc;
use sfu_core::limits::SDP_BYTES_MAX;
use sfu_core::negotiation::{Offer, SdpFragment, negotiate};

use crate::fixtures::{self, answer_to};

/// A change to a text.
#[derive(Clone, Debug)]
enum Mutation {
    /// A piece becomes other bytes.
    Splice(Index, usize, String),
    /// A line moves to another place.
    Move(Index, Index),
    /// A line is there many times.
    Repeat(Index, usize),
    /// A line of another fixture comes in.
    Graft(Index, Index, Index),
    /// The rest is gone.
    Truncate(Index),
    /// A number becomes another.
    Renumber(Index, u64),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let index = any::<Index>;
    prop_oneof![
        (index(), 0..20_usize, "[ -~\r\n\u{0}é]{0,20}")
            .prop_map(|(at, n, s)| Mutation::Splice(at, n, s)),
        (index(), index()).prop_map(|(from, to)| Mutation::Move(from, to)),
        (index(), 2..300_usize).prop_map(|(line, n)| Mutation::Repeat(line, n)),
        (index(), index(), index()).prop_map(|(of, line, to)| Mutation::Graft(of, line, to)),
        index().prop_map(Mutation::Truncate),
        (index(), prop_oneof![0..300_u64, Just(65_536), any::<u64>()])
            .prop_map(|(at, number)| Mutation::Renumber(at, number)),
    ]
}

fn mutate(sdp: &str, mutation: &Mutation) -> String {
    let mut lines: Vec<&str> = sdp.split_inclusive('\n').collect();
    let boundary = |at: &Index| {
        let at = at.index(sdp.len() + 1);
        (0..=at).rev().find(|&at| sdp.is_char_boundary(at)).unwrap()
    };
    match mutation {
        Mutation::Splice(at, length, text) => {
            let at = boundary(at);
            let rest: String = sdp[at..].chars().skip(*length).collect();
            return format!("{}{text}{rest}", &sdp[..at]);
        }
        Mutation::Truncate(at) => return sdp[..boundary(at)].to_owned(),
        Mutation::Renumber(at, number) => {
            let at = boundary(at);
            let Some(digit) = sdp[at..].find(|c: char| c.is_ascii_digit()) else {
                return sdp.to_owned();
            };
            let (head, tail) = sdp.split_at(at + digit);
            return format!(
                "{head}{number}{}",
                tail.trim_start_matches(|c: char| c.is_ascii_digit())
            );
        }
        _ if lines.is_empty() => {}
        Mutation::Move(from, to) => {
            let line = lines.remove(from.index(lines.len()));
            lines.insert(to.index(lines.len() + 1), line);
        }
        Mutation::Repeat(line, times) => {
            let line = line.index(lines.len());
            let copies = vec![lines[line]; *times];
            lines.splice(line..line, copies);
        }
        Mutation::Graft(of, line, to) => {
            let donor: Vec<&str> = of.get(fixtures::ALL).1.split_inclusive('\n').collect();
            lines.insert(to.index(lines.len() + 1), donor[line.index(donor.len())]);
        }
    }
    lines.concat()
}

fn mutated() -> impl Strategy<Value = String> {
    (any::<Index>(), proptest::collection::vec(mutation(), 0..5)).prop_map(|(which, mutations)| {
        let start = which.get(fixtures::ALL).1.to_owned();
        mutations.iter().fold(start, |sdp, mutation| mutate(&sdp, mutation))
    })
}

fn unmarshal(sdp: &str) -> SessionDescription {
    SessionDescription::unmarshal(&mut Cursor::new(sdp.as_bytes())).unwrap()
}

/// `key:` values of an m-line, one per line.
fn values<'a>(media: &'a MediaDescription, key: &'a str) -> impl Iterator<Item = &'a str> {
    media.attributes.iter().filter(move |a| a.key == key).filter_map(|a| a.value.as_deref())
}

/// Payload types, feedback and extension ids of the answer are among those of the offer.
fn is_within(answered: &MediaDescription, offered: &MediaDescription) {
    assert_eq!(answered.media_name.media, offered.media_name.media);
    assert_eq!(answered.media_name.protos, offered.media_name.protos);
    let formats: HashSet<_> = offered.media_name.formats.iter().collect();
    let unsigned = |format: &String| format.trim_start_matches(['+', '0']).to_owned();
    let numbers: HashSet<_> = offered.media_name.formats.iter().map(unsigned).collect();
    for format in &answered.media_name.formats {
        assert!(formats.contains(format) || numbers.contains(&unsigned(format)), "{format}");
    }
    if answered.media_name.port.value == 0 {
        return;
    }
    for key in ["rtpmap", "fmtp", "rtcp-fb"] {
        for value in values(answered, key) {
            let format = value.split(' ').next().unwrap();
            assert!(answered.media_name.formats.iter().any(|f| f == format), "{key}:{value}");
        }
    }
    let offered_feedback: Vec<&str> = values(offered, "rtcp-fb")
        .filter_map(|value| value.split_once(' '))
        .map(|(_, f)| f)
        .collect();
    for value in values(answered, "rtcp-fb") {
        let feedback: Vec<&str> = value.split(' ').skip(1).collect();
        let same = |offered: &&str| offered.split_whitespace().eq(feedback.iter().copied());
        assert!(offered_feedback.iter().any(same), "{value}");
    }
    let uris: HashSet<&str> =
        values(offered, "extmap").filter_map(|value| value.split_whitespace().nth(1)).collect();
    for value in values(answered, "extmap") {
        assert!(uris.contains(value.split(' ').nth(1).unwrap()), "{value}");
    }
}

/// Answers `sdp` if it can be, and checks the answer.
fn check(sdp: &str) -> bool {
    let Ok(offer) = Offer::parse(sdp) else {
        return false;
    };
    let mut ssrc = 0;
    let mut next = || {
        ssrc += 1;
        Ssrc(ssrc)
    };
    let sections = negotiate(&offer, &[], &mut next).unwrap();
    let again = negotiate(&offer, &sections, &mut || panic!("a new SSRC without need")).unwrap();
    assert_eq!(sections, again);
    let text = answer_to(&offer, sections).to_sdp();
    let (answered, offered) = (unmarshal(&text), unmarshal(sdp));
    assert_eq!(answered.media_descriptions.len(), offered.media_descriptions.len());
    answered
        .media_descriptions
        .iter()
        .zip(&offered.media_descriptions)
        .for_each(|(a, o)| is_within(a, o));
    true
}

#[test]
fn every_fixture_is_answered_within_its_offer() {
    for (name, sdp) in fixtures::ALL {
        assert!(check(sdp), "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn mutated_offers_never_panic_and_are_answered_within_themselves(sdp in mutated()) {
        check(&sdp);
        let _ = SdpFragment::parse(&sdp);
    }

    #[test]
    fn re_offers_never_panic(first in mutated(), second in mutated()) {
        let (Ok(first), Ok(second)) = (Offer::parse(&first), Offer::parse(&second)) else {
            return Ok(());
        };
        let before = negotiate(&first, &[], &mut || Ssrc(1)).unwrap();
        let _ = negotiate(&second, &before, &mut || Ssrc(2));
    }

    #[test]
    fn any_text_is_survived(text in "(v=0\r\n)?(o=- 1 1 IN IP4 0\r\n)?(s=-\r\n)?(t=0 0\r\n)?([a-z]=[ -~é]{0,40}\r?\n){0,40}") {
        let _ = Offer::parse(&text);
        let _ = SdpFragment::parse(&text);
    }
}

#[test]
fn mutations_leave_enough_offers_valid_to_mean_something() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let strategy = mutated();
    let valid =
        (0..300).filter(|_| check(&strategy.new_tree(&mut runner).unwrap().current())).count();
    assert!((60..280).contains(&valid), "{valid} of 300");
}

#[test]
fn text_at_its_bound_is_read_or_refused() {
    for line in
        ["a=\n", "a=ssrc:1 cname:x\r\n", "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n", "a=candidate:1\r\n"]
    {
        for sdp in [fixtures::PLAIN, fixtures::CHROMIUM_SIMULCAST] {
            let room = SDP_BYTES_MAX - sdp.len();
            let padded = format!("{sdp}{}", line.repeat(room / line.len()));
            assert!(padded.len() <= SDP_BYTES_MAX);
            check(&padded);
        }
    }
}
