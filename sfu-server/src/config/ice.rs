//! `[ice]`

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Faults, Secret};
use crate::ice_servers;

/// What clients are told about ways to this server.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct IceSettings {
    /// STUN and TURN servers that clients are told of, such as
    /// `turn:turn.example.org:3478?transport=udp`.
    pub servers: Vec<String>,

    /// The secret shared with the TURN servers (coturn: `use-auth-secret`). Clients get credentials
    /// made with it, which end by themselves.
    pub turn_secret: Option<Secret>,

    /// How long credentials for TURN servers are valid: a long call needs them again whenever ICE
    /// restarts.
    pub turn_ttl_seconds: u32,
}

impl Default for IceSettings {
    fn default() -> Self {
        Self { servers: Vec::new(), turn_secret: None, turn_ttl_seconds: 12 * 3600 }
    }
}

impl IceSettings {
    pub(super) fn validate(&self, faults: &mut Faults) {
        let has_secret = self.turn_secret.as_ref().is_some_and(|s| !s.expose().is_empty());
        for url in &self.servers {
            if let Err(message) = ice_servers::check(url, has_secret) {
                faults.add("ice.servers", message);
            }
        }
        faults.require(self.turn_ttl_seconds > 0, "ice.turn_ttl_seconds", "must be at least 1");
    }

    pub(crate) fn turn_ttl(&self) -> Duration {
        Duration::from_secs(self.turn_ttl_seconds.into())
    }
}
