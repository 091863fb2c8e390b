//! `[telemetry]`

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the server tells about itself.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetrySettings {
    /// Where `/metrics` is served, and nothing else, without TLS; it is not on the HTTP port then.
    /// Without it, it is there.
    #[schemars(with = "Option<String>")]
    pub metrics_addr: Option<SocketAddr>,
}
