//! `[telemetry]`

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Faults;

/// What the server tells about itself.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetrySettings {
    /// Where `/metrics` is served, and nothing else, without TLS; it is not on the HTTP port then.
    /// Without it, it is there.
    #[schemars(with = "Option<String>")]
    pub metrics_addr: Option<SocketAddr>,

    /// Where traces are sent by OTLP over HTTP, protobuf, to `/v1/traces` below it:
    /// `http://127.0.0.1:4318`. Only in a binary that was built with the feature `otlp`. Headers,
    /// a collector's key for one, are taken from the variable `OTEL_EXPORTER_OTLP_HEADERS`.
    pub otlp_endpoint: Option<String>,

    /// Share of requests whose traces are sent, in per cent.
    pub otlp_percent: u8,
}

impl Default for TelemetrySettings {
    fn default() -> Self {
        Self { metrics_addr: None, otlp_endpoint: None, otlp_percent: 100 }
    }
}

impl TelemetrySettings {
    pub(super) fn validate(&self, faults: &mut Faults) {
        faults.require(self.otlp_percent <= 100, "telemetry.otlp_percent", "must be 0 to 100");
        let Some(endpoint) = &self.otlp_endpoint else { return };
        let url = endpoint.parse::<reqwest::Url>();
        let is_good =
            url.is_ok_and(|url| ["http", "https"].contains(&url.scheme()) && url.has_host());
        let path = "telemetry.otlp_endpoint";
        faults.require(is_good, path, "must be an http or https URL");
        let message = "this binary sends no traces: build it with --features otlp";
        faults.require(cfg!(feature = "otlp"), path, message);
    }
}
