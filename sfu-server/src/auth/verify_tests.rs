//! Times at their edges, keys as they come and go. What attackers send is in `tests/doors`.

use super::*;
use crate::auth::{ApiKey, VideoGrant, token};
use crate::config::{AuthSettings, KeySettings, Secret};

const NOW: u64 = 1_800_000_000;
const SECRET: &str = "a secret of thirty-two bytes ...";

fn settings(keys: &[(&str, &str)]) -> AuthSettings {
    let key =
        |prefix: &str| KeySettings { secret: Secret::new(SECRET), room_prefix: prefix.to_owned() };
    let keys = keys.iter().map(|(name, prefix)| ((*name).to_owned(), key(prefix))).collect();
    AuthSettings { keys, ..AuthSettings::default() }
}

fn ring(keys: &[(&str, &str)]) -> KeyRing {
    KeyRing::new(Keys::new(&settings(keys)).unwrap())
}

fn claims() -> Claims {
    let video = VideoGrant { room: "r".into(), room_join: true, ..VideoGrant::default() };
    Claims { sub: "ann".into(), exp: NOW + 600, video, ..Claims::default() }
}

fn signed(name: &str, claims: &Claims) -> String {
    let key =
        ApiKey { name: name.to_owned(), secret: Secret::new(SECRET), room_prefix: String::new() };
    token(&key, claims).unwrap()
}

fn passes(ring: &KeyRing, name: &str, claims: &Claims) -> bool {
    matches!(ring.identify(Some(&signed(name, claims)), NOW), Ok(Caller::Token(_)))
}

#[test]
fn a_token_counts_in_its_time_give_or_take_the_leeway() {
    let ring = ring(&[("k", "")]);
    let day = 24 * 3600;
    for (what, exp, nbf, iat, want) in [
        ("in its time", NOW + 1, Some(NOW), Some(NOW), true),
        ("neither nbf nor iat", NOW + 1, None, None, true),
        ("over, within the leeway", NOW - 29, None, None, true),
        ("over", NOW - 30, None, None, false),
        ("over for long", 1, None, None, false),
        ("begins within the leeway", NOW + 60, Some(NOW + 30), None, true),
        ("begins later", NOW + 60, Some(NOW + 31), None, false),
        ("issued within the leeway", NOW + 60, None, Some(NOW + 30), true),
        ("issued later", NOW + 60, None, Some(NOW + 31), false),
        ("as long as may be", NOW + day + 30, None, None, true),
        ("longer", NOW + day + 31, None, None, false),
        ("endless", u64::MAX, None, None, false),
    ] {
        assert_eq!(passes(&ring, "k", &Claims { exp, nbf, iat, ..claims() }), want, "{what}");
    }
}

#[test]
fn the_log_is_told_what_is_wrong_with_a_token() {
    let ring = ring(&[("k", "team-")]);
    let why = |name: &str, claims: &Claims| ring.identify(Some(&signed(name, claims)), NOW).err();
    let team = VideoGrant { room: "team-1".into(), ..VideoGrant::default() };
    let good = Claims { video: team, ..claims() };
    for (name, claims, want) in [
        ("k", good.clone(), None),
        ("x", good.clone(), Some("no key has the name of its issuer")),
        ("k", Claims { exp: NOW - 30, ..good.clone() }, Some("its time is over")),
        ("k", Claims { exp: NOW * 2, ..good.clone() }, Some("it would be good for too long")),
        (
            "k",
            Claims { iat: Some(NOW + 31), ..good },
            Some("its time has not begun: do the clocks agree?"),
        ),
        ("k", claims(), Some("its key is for other rooms")),
    ] {
        assert_eq!(why(name, &claims), want.map(Refused), "{want:?}");
    }
}

#[test]
fn a_key_is_good_for_its_rooms_and_while_it_is_there() {
    let ring = ring(&[("all", ""), ("some", "team-")]);
    let of = |room: &str| {
        let video = VideoGrant { room: room.to_owned(), ..VideoGrant::default() };
        Claims { video, ..claims() }
    };
    for (name, room, want) in [
        ("all", "r", true),
        ("some", "team-1", true),
        ("some", "tea", false),
        ("some", "", false),
        ("none", "r", false),
    ] {
        assert_eq!(passes(&ring, name, &of(room)), want, "{name} {room}");
    }
    ring.replace(Keys::new(&settings(&[("some", "")])).unwrap());
    assert!(!passes(&ring, "all", &of("r")), "gone");
    assert!(passes(&ring, "some", &of("r")), "its prefix has changed");
    ring.replace(Keys::new(&AuthSettings::default()).unwrap());
    assert!(matches!(ring.identify(None, NOW), Ok(Caller::Anybody)), "no keys: open");
}

#[test]
fn the_administrators_key_is_no_token_and_a_token_is_no_such_key() {
    let admin_key = Some(Secret::new("another secret of 32 bytes, or so"));
    let settings = AuthSettings { admin_key, ..settings(&[("k", "")]) };
    let ring = KeyRing::new(Keys::new(&settings).unwrap());
    let who = |credential| ring.identify(Some(credential), NOW);
    assert!(matches!(who("another secret of 32 bytes, or so"), Ok(Caller::Admin)));
    for wrong in ["another secret of 32 bytes, or s", "", SECRET, "k"] {
        assert!(who(wrong).is_err(), "{wrong}");
    }
    assert!(ring.identify(None, NOW).is_err());
    // Without such a key nothing is it, not even what has no bytes.
    let ring = self::ring(&[("k", "")]);
    assert!(ring.identify(Some(""), NOW).is_err());
}

#[test]
fn short_secrets_and_unprintable_names_are_refused() {
    let with = |name: &str, secret: &str| {
        let key = KeySettings { secret: Secret::new(secret), room_prefix: String::new() };
        let keys = [(name.to_owned(), key)].into();
        Keys::new(&AuthSettings { keys, ..AuthSettings::default() }).err()
    };
    use crate::auth::KeysError::{Name, TooShort};
    assert_eq!(with("k", SECRET), None);
    assert!(matches!(with("k", &SECRET[1..]), Some(TooShort(_))));
    assert_eq!(with("", SECRET), Some(Name));
    assert_eq!(with("a\nb", SECRET), Some(Name));
    assert!(format!("{:?}", with("k", "hush")).find("hush").is_none(), "not in the error");
}

#[test]
fn a_new_key_signs_what_passes() {
    let key = crate::auth::new_key();
    let keys = [(
        key.name.clone(),
        KeySettings { secret: key.secret.clone(), room_prefix: String::new() },
    )];
    let settings = AuthSettings { keys: keys.into(), ..AuthSettings::default() };
    let ring = KeyRing::new(Keys::new(&settings).unwrap());
    let token = token(&key, &claims()).unwrap();
    assert!(ring.identify(Some(&token), NOW).is_ok());
    let flipped =
        format!("{}{}", &token[..token.len() - 2], if token.ends_with('A') { "BB" } else { "AA" });
    assert!(ring.identify(Some(&flipped), NOW).is_err());
}
