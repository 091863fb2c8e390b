//! `[http]`

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Faults;

/// Where HTTP and WebSocket listen, and who may come.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpSettings {
    /// Where HTTP and WebSocket listen. Port 0 takes any free one; the line printed at start says
    /// which.
    #[schemars(with = "String")]
    pub addr: SocketAddr,

    /// A web origin whose pages may open WebSockets and use the API here, beside this server's own
    /// and loopback ones (`https://example.org`).
    #[schemars(extend("x-reload" = true))]
    pub allow_origin: Vec<String>,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self { addr: SocketAddr::from(([127, 0, 0, 1], 7880)), allow_origin: Vec::new() }
    }
}

impl HttpSettings {
    pub(super) fn validate(&self, faults: &mut Faults) {
        for origin in &self.allow_origin {
            let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
            let is_origin = host.is_some_and(|host| {
                let host = host.trim_end_matches('/');
                !host.is_empty() && !host.contains(['/', '?', '#', '@', '*', ' '])
            });
            let message =
                format!("`{origin}` is no origin: it is a scheme and a host, like https://a.test");
            faults.require(is_origin, "http.allow_origin", message);
        }
    }
}
