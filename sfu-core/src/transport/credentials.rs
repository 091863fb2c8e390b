//! ICE credentials, and how a local ufrag tells which worker owns the session.

use rand_core::Rng;

/// ICE username fragment and password (RFC 8445 §5.3).
#[derive(Clone, PartialEq, Eq)]
pub struct IceCredentials {
    /// Username fragment, 4..=256 characters.
    pub ufrag: Box<str>,
    /// Password, 22..=256 characters.
    pub password: Box<str>,
}

impl std::fmt::Debug for IceCredentials {
    /// Shows the name only: a password in a log is an open door.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IceCredentials").field("ufrag", &self.ufrag).finish_non_exhaustive()
    }
}

/// The ice-chars of RFC 8839 §5.4: 64 of them, so a character carries six bits.
const ICE_CHARS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// Random characters of a ufrag after the worker's two: 60 bits, never guessed, never repeated.
const UFRAG_RANDOM_CHARS: usize = 10;
/// Characters of a password: 144 bits (RFC 8445 §5.3 asks for 128).
const PASSWORD_CHARS: usize = 24;

impl IceCredentials {
    /// New local credentials. Their secrecy is that of `rng`.
    #[must_use]
    pub fn generate(rng: &mut impl Rng, worker: u8) -> Self {
        let mut ufrag = String::with_capacity(2 + UFRAG_RANDOM_CHARS);
        ufrag.push(ice_char(worker >> 6));
        ufrag.push(ice_char(worker));
        push_random(&mut ufrag, UFRAG_RANDOM_CHARS, rng);
        let mut password = String::with_capacity(PASSWORD_CHARS);
        push_random(&mut password, PASSWORD_CHARS, rng);
        Self { ufrag: ufrag.into(), password: password.into() }
    }

    /// The worker that made a local ufrag.
    #[must_use]
    pub fn worker_of_ufrag(ufrag: &str) -> Option<u8> {
        let &[high, low, ..] = ufrag.as_bytes() else { return None };
        let value = |c| ICE_CHARS.iter().position(|&other| other == c);
        u8::try_from(value(high)? << 6 | value(low)?).ok()
    }
}

fn push_random(text: &mut String, chars: usize, rng: &mut impl Rng) {
    let mut bytes = [0; PASSWORD_CHARS];
    rng.fill_bytes(&mut bytes[..chars]);
    text.extend(bytes[..chars].iter().map(|&byte| ice_char(byte)));
}

/// The character of the low six bits.
fn ice_char(bits: u8) -> char {
    char::from(ICE_CHARS[usize::from(bits & 63)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_pcg::rand_core::SeedableRng;

    #[test]
    fn every_worker_is_read_back_from_its_ufrags() {
        let mut rng = rand_pcg::Pcg64::seed_from_u64(1);
        for worker in 0..=255 {
            let credentials = IceCredentials::generate(&mut rng, worker);
            assert_eq!(IceCredentials::worker_of_ufrag(&credentials.ufrag), Some(worker));
            assert_eq!(credentials.ufrag.len(), 12);
            assert_eq!(credentials.password.len(), 24);
            let chars = credentials.ufrag.bytes().chain(credentials.password.bytes());
            assert!(chars.into_iter().all(|c| ICE_CHARS.contains(&c)));
        }
    }

    #[test]
    fn foreign_ufrags_name_no_worker() {
        for ufrag in ["", "A", "//x", "é", "-A"] {
            assert_eq!(IceCredentials::worker_of_ufrag(ufrag), None, "{ufrag:?}");
        }
    }

    #[test]
    fn passwords_stay_out_of_logs() {
        let credentials = IceCredentials { ufrag: "uuuu".into(), password: "secret".into() };
        assert!(!format!("{credentials:?}").contains("secret"));
    }
}
