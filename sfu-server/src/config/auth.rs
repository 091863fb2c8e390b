//! `[auth]`

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Faults, Secret};
use crate::auth::Keys;

/// Longest life of a token that may be allowed.
const TOKEN_LIFETIME_SECONDS_MAX: u64 = 366 * 24 * 3600;
/// More difference between clocks than this is no difference but a wrong clock.
const LEEWAY_SECONDS_MAX: u64 = 300;

/// Who may do what. Without any key everybody may do everything.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthSettings {
    /// Whether whoever reaches the HTTP port may join and administer. `sfu serve` does not start
    /// unless this is said or there are keys.
    pub open: bool,

    /// Keys that sign tokens, by the name that tokens give as their issuer. 64 at most.
    #[schemars(extend("x-reload" = true))]
    pub keys: BTreeMap<String, KeySettings>,

    /// The administrator's key, 32 bytes at least: whoever presents it as a bearer token may use
    /// every route of the API. It lets nobody join.
    #[schemars(extend("x-reload" = true))]
    pub admin_key: Option<Secret>,

    /// Tokens that would be good for longer than this are refused, in seconds.
    #[schemars(extend("x-reload" = true))]
    pub token_lifetime_max_seconds: u64,

    /// How far the clocks of who signs tokens and of this server may differ, in seconds.
    #[schemars(extend("x-reload" = true))]
    pub leeway_seconds: u64,

    /// How long somebody who was removed from a room stays out with tokens issued before that, in
    /// seconds. A token issued later lets them in. 0: not at all.
    #[schemars(extend("x-reload" = true))]
    pub kick_seconds: u64,
}

/// One key.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub struct KeySettings {
    /// What tokens are signed with (HS256), 32 bytes at least.
    pub secret: Secret,

    /// The rooms it is good for: those whose names begin so. Empty: every room.
    #[serde(default)]
    pub room_prefix: String,
}

impl Default for AuthSettings {
    fn default() -> Self {
        Self {
            open: false,
            keys: BTreeMap::new(),
            admin_key: None,
            token_lifetime_max_seconds: 24 * 3600,
            leeway_seconds: 30,
            kick_seconds: 24 * 3600,
        }
    }
}

impl AuthSettings {
    pub(super) fn validate(&self, faults: &mut Faults) {
        if let Err(error) = Keys::new(self) {
            faults.add("auth", error.to_string());
        }
        let lifetime = (1..=TOKEN_LIFETIME_SECONDS_MAX).contains(&self.token_lifetime_max_seconds);
        faults.require(lifetime, "auth.token_lifetime_max_seconds", "must be 1 to a year");
        let leeway = self.leeway_seconds <= LEEWAY_SECONDS_MAX;
        faults.require(leeway, "auth.leeway_seconds", "must be at most 300");
        let kick = self.kick_seconds <= TOKEN_LIFETIME_SECONDS_MAX;
        faults.require(kick, "auth.kick_seconds", "must be at most a year");
    }

    /// How long a kick holds.
    pub fn kick(&self) -> Duration {
        Duration::from_secs(self.kick_seconds)
    }
}

impl AuthSettings {
    /// Whether somebody decided who may join.
    pub fn is_decided(&self) -> bool {
        self.open || !self.keys.is_empty() || self.admin_key.is_some()
    }
}
