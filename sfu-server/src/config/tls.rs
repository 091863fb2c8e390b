//! `[tls]`

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Encryption of the HTTP port.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsSettings {}
