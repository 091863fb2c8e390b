//! `[auth]`

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who may do what.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthSettings {
    /// Whether whoever reaches the HTTP port may join and administer. `sfu serve` does not start
    /// unless this is said or there are keys.
    pub open: bool,
}

impl AuthSettings {
    /// Whether somebody decided who may join.
    pub fn is_decided(&self) -> bool {
        self.open
    }
}
