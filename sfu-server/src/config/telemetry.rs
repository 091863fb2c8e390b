//! `[telemetry]`

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the server tells about itself.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetrySettings {}
