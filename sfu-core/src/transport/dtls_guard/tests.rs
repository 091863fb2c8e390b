use super::*;

/// A handshake fragment in a record of its own.
fn fragment(sequence: u16, kind: u8, message: &[u8], from: usize, to: usize) -> Vec<u8> {
    let number = |n: usize| (n as u32).to_be_bytes()[1..].to_vec();
    let mut body = vec![kind];
    body.extend(number(message.len()));
    body.extend_from_slice(&sequence.to_be_bytes());
    body.extend(number(from));
    body.extend(number(to - from));
    body.extend_from_slice(&message[from..to]);
    record(HANDSHAKE, 0, &body)
}

fn record(kind: u8, epoch: u16, body: &[u8]) -> Vec<u8> {
    let mut record = vec![kind, 0xfe, 0xfd];
    record.extend_from_slice(&epoch.to_be_bytes());
    record.extend_from_slice(&[0; 6]);
    record.extend_from_slice(&(body.len() as u16).to_be_bytes());
    record.extend_from_slice(body);
    record
}

fn whole(sequence: u16, kind: u8, message: &[u8]) -> Vec<u8> {
    fragment(sequence, kind, message, 0, message.len())
}

/// (record sequence, message sequence, body) of each handshake message handed in.
fn messages(fed: &Fed) -> Vec<(u64, u16, Vec<u8>)> {
    let mut rest = &fed.records[..];
    let mut found = vec![];
    while let Some((record, after)) = split_record(rest) {
        let number = u64::from_be_bytes(record[3..11].try_into().unwrap());
        let (message, none) = split_fragment(&record[RECORD_HEADER_BYTES..]).unwrap();
        assert!(none.is_empty() && message.body.len() == message.message_bytes);
        found.push((number, message.sequence, message.body.to_vec()));
        rest = after;
    }
    assert!(rest.is_empty());
    found
}

#[test]
fn fragments_in_any_order_and_cut_come_out_whole() {
    let message: Vec<u8> = (0..200).collect();
    let cuts = [(0, 90), (80, 120), (150, 200), (100, 160)];
    for start in 0..cuts.len() {
        let mut guard = Guard::new(false);
        let mut handed = vec![];
        for n in 0..cuts.len() {
            let (from, to) = cuts[(start + n) % cuts.len()];
            handed.extend(messages(&guard.feed(&fragment(0, 2, &message, from, to), false)));
        }
        assert_eq!(handed, [(0, 0, message.clone())]);
    }
}

#[test]
fn messages_are_handed_in_in_order_and_numbered_anew() {
    let mut guard = Guard::new(false);
    assert!(messages(&guard.feed(&whole(2, 14, b""), false)).is_empty());
    let both = [whole(1, 11, b"cert"), whole(0, 2, b"hello")].concat();
    let expected = [(0, 0, b"hello".to_vec()), (1, 1, b"cert".to_vec()), (2, 2, b"".to_vec())];
    assert_eq!(messages(&guard.feed(&both, false)), expected);
    // A repeat brings nothing, and is nothing bad.
    let fed = guard.feed(&both, false);
    assert!(fed.records.is_empty() && !fed.refused);
}

#[test]
fn several_fragments_in_one_record_are_all_read() {
    let mut guard = Guard::new(false);
    let joined: Vec<u8> = [whole(0, 2, b"hello"), whole(1, 11, b"cert")]
        .iter()
        .flat_map(|r| r[RECORD_HEADER_BYTES..].to_vec())
        .collect();
    assert_eq!(messages(&guard.feed(&record(HANDSHAKE, 0, &joined), false)).len(), 2);
}

#[test]
fn a_repeated_first_hello_passes_until_it_is_answered() {
    let mut guard = Guard::new(true);
    let hello = whole(0, CLIENT_HELLO, b"hello");
    for _ in 0..3 {
        assert_eq!(messages(&guard.feed(&hello, false)).len(), 1);
        guard.note_sent(&whole(0, HELLO_VERIFY_REQUEST, b"\xfe\xfd\x01c"));
    }
    guard.note_sent(&whole(1, 2, b"server hello"));
    assert!(guard.feed(&hello, false).records.is_empty());
}

#[test]
fn only_who_knows_the_cookie_gets_further() {
    let hello = |cookie: &[u8]| {
        let mut body = vec![0xfe, 0xfd];
        body.extend_from_slice(&[1; 32]);
        body.extend_from_slice(&[0, cookie.len() as u8]);
        body.extend_from_slice(cookie);
        body
    };
    let mut guard = Guard::new(true);
    guard.feed(&whole(0, CLIENT_HELLO, &hello(b"")), false);
    assert!(!guard.peer_is_proven());
    guard.note_sent(&whole(0, HELLO_VERIFY_REQUEST, b"\xfe\xfd\x03abc"));
    for wrong in [&b""[..], b"abd", b"ab"] {
        let fed = guard.feed(&whole(1, CLIENT_HELLO, &hello(wrong)), false);
        assert!(fed.refused && fed.records.is_empty());
    }
    assert_eq!(messages(&guard.feed(&whole(1, CLIENT_HELLO, &hello(b"abc")), false)).len(), 1);
    assert!(guard.peer_is_proven());
}

#[test]
fn malformed_and_excessive_fragments_are_refused() {
    let mut guard = Guard::new(false);
    let mut overrun = whole(0, 2, b"hello");
    overrun[RECORD_HEADER_BYTES + 3] = 4;
    let empty = fragment(0, 2, b"hello", 2, 2);
    let mut endless = whole(0, 2, b"hello");
    endless[RECORD_HEADER_BYTES + 1] = 0xff;
    let ahead = whole(DTLS_MESSAGES_AHEAD_MAX, 2, b"hello");
    let short = record(HANDSHAKE, 0, &[1; HANDSHAKE_HEADER_BYTES - 1]);
    let alert = record(21, 0, &[2, 40]);
    let plaintext = record(23, 0, b"data");
    let truncated = whole(0, 2, b"hello")[..20].to_vec();
    let nothing = record(HANDSHAKE, 0, b"");
    let cases =
        [overrun, empty, endless, ahead, short, alert, plaintext, truncated, nothing, vec![22]];
    for (n, case) in cases.iter().enumerate() {
        let fed = guard.feed(case, false);
        assert!(fed.refused && fed.records.is_empty(), "{n}");
    }
}

#[test]
fn what_is_held_is_bounded() {
    let mut guard = Guard::new(false);
    let long = vec![1; DTLS_MESSAGE_BYTES_MAX];
    for sequence in 0..DTLS_MESSAGES_AHEAD_MAX {
        let fed = guard.feed(&fragment(sequence, 2, &long, 5, 6), false);
        assert_eq!(fed.refused, sequence >= 4, "{sequence}");
    }
    // A fragment of another length takes the place of the first.
    assert!(!guard.feed(&fragment(0, 2, b"hello", 0, 3), false).refused);
    assert_eq!(messages(&guard.feed(&fragment(0, 2, b"hello", 3, 5), false)).len(), 1);
}

#[test]
fn early_and_late_records_are_rationed() {
    let mut guard = Guard::new(false);
    let sealed = record(22, 1, b"sealed");
    let passed = (0..200).filter(|_| !guard.feed(&sealed, false).records.is_empty()).count();
    assert_eq!(passed, EARLY_RECORDS_MAX as usize);
    assert_eq!(guard.feed(&sealed, true).records, sealed);
    let late = whole(3, 20, b"finished");
    let passed = (0..200).filter(|_| !guard.feed(&late, true).records.is_empty()).count();
    assert_eq!(passed, DTLS_RECORDS_AFTER_DONE_MAX as usize);
    let change = record(CHANGE_CIPHER_SPEC, 0, &[1]);
    assert!(guard.feed(&change, true).refused);
    assert_eq!(guard.feed(&sealed, true).records, sealed);
}

#[test]
fn noise_does_no_harm() {
    let mut guard = Guard::new(true);
    let mut state = 1u32;
    for length in 0..2000 {
        let mut datagram = vec![0; length % 90];
        for byte in &mut datagram {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *byte = (state >> 24) as u8;
        }
        let head = [22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, (length % 77) as u8, 1, 0, 0];
        datagram.iter_mut().zip(head).for_each(|(b, h)| *b = h);
        guard.feed(&datagram, length % 2 == 0);
        hello_srtp_profiles(&datagram);
    }
}

#[test]
fn the_offered_profiles_are_found_among_other_extensions() {
    let mut hello = vec![0xfe, 0xfd];
    hello.extend_from_slice(&[1; 32]);
    hello.extend_from_slice(&[1, 9, 0, 0, 2, 0xc0, 0x2b, 1, 0]);
    let extensions = [0, 23, 0, 0, 0, 14, 0, 7, 0, 4, 0, 1, 0, 7, 0];
    hello.extend_from_slice(&[0, extensions.len() as u8]);
    hello.extend_from_slice(&extensions);
    assert_eq!(hello_srtp_profiles(&hello), [1, 7]);
    for length in 0..hello.len() {
        assert!(hello_srtp_profiles(&hello[..length]).is_empty());
    }
}
