//! `[drain]`

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Faults;

/// The longest drain: as long as other conference servers are given.
const TIMEOUT_SECONDS_MAX: u64 = 24 * 3600;

/// How the server ends.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct DrainSettings {
    /// How long participants may stay after SIGTERM. Joins are refused from the first moment on;
    /// the server ends when it is empty, or after this time. 0 sends everybody away at once. A
    /// second signal does so too. `sfu dev` does not wait unless it is told to.
    #[schemars(extend("x-reload" = true))]
    pub timeout_seconds: u64,
}

impl Default for DrainSettings {
    fn default() -> Self {
        Self { timeout_seconds: 60 }
    }
}

impl DrainSettings {
    pub(super) fn validate(&self, faults: &mut Faults) {
        let message = format!("must be at most {TIMEOUT_SECONDS_MAX}, a day");
        let in_range = self.timeout_seconds <= TIMEOUT_SECONDS_MAX;
        faults.require(in_range, "drain.timeout_seconds", message);
    }

    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds)
    }
}
