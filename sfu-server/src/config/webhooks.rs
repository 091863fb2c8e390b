//! `[webhooks]`

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who is told of what happens in rooms.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebhookSettings {}
