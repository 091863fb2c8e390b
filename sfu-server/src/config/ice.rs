//! `[ice]`

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What clients are told about ways to this server.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct IceSettings {}
