//! `[webhooks]`

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Faults, Secret};
use crate::limits::WEBHOOK_ENDPOINTS_MAX;
use crate::webhooks::WebhookSecret;

/// Who is told of what happens in rooms.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebhookSettings {
    /// Where to. Each gets everything, in order; 16 at most.
    #[schemars(extend("x-reload" = true))]
    pub endpoints: Vec<WebhookEndpoint>,
}

/// One endpoint.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookEndpoint {
    /// An `https` URL.
    pub url: String,

    /// What messages are signed with: `whsec_` and 24 to 64 bytes in base64.
    pub secret: Secret,

    /// The secret before, which messages are signed with as well while receivers change over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_secret: Option<Secret>,

    /// Whether it may be `http`, and at an address that is private, of this machine or link-local.
    #[serde(default)]
    pub allow_private: bool,
}

impl WebhookSettings {
    pub(super) fn validate(&self, faults: &mut Faults) {
        let few = self.endpoints.len() <= WEBHOOK_ENDPOINTS_MAX;
        faults.require(few, "webhooks.endpoints", format!("more than {WEBHOOK_ENDPOINTS_MAX}"));
        for (at, endpoint) in self.endpoints.iter().enumerate() {
            let path = |name: &str| format!("webhooks.endpoints.{at}.{name}");
            let scheme = endpoint.url.parse::<reqwest::Url>();
            let is_good = scheme.is_ok_and(|url| {
                let may_be_http = endpoint.allow_private && url.scheme() == "http";
                (url.scheme() == "https" || may_be_http) && url.has_host()
            });
            faults.require(is_good, &path("url"), "must be an https URL");
            let is_secret = |secret: &Secret| WebhookSecret::parse(secret.expose()).is_some();
            let message = "must be whsec_ and 24 to 64 bytes in base64";
            faults.require(is_secret(&endpoint.secret), &path("secret"), message);
            let previous = endpoint.previous_secret.as_ref().is_none_or(is_secret);
            faults.require(previous, &path("previous_secret"), message);
        }
    }
}
