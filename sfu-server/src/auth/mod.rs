//! Who is asking, and what they may do: tokens signed with room keys, one administrator's key, or
//! anybody where no key is configured.
//!
//! A token is a JWT in LiveKit's shape (`claims`), so that the tools which mint those mint ours.
//! Every token that does not pass is refused in the same words (`verify`): whoever guesses learns
//! nothing.

mod claims;
mod keys;
mod kicks;
mod mint;
mod verify;

pub use claims::{Claims, VideoGrant};
pub use keys::{ApiKey, KeyRing, Keys, KeysError};
pub use mint::{MintError, new_key, token};

pub(crate) use claims::source_to_claim;
pub(crate) use kicks::Kicks;
pub(crate) use verify::{Caller, Refused};

/// Now, as tokens count it: seconds since 1970 (RFC 7519 §2, NumericDate).
pub(crate) fn unix_now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
