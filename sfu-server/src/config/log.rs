//! `[log]`

use clap::ValueEnum;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

use super::Faults;

/// What is logged, to stderr.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSettings {
    /// A tracing filter: a level (`error`, `warn`, `info`, `debug`, `trace`), or target=level
    /// pairs separated by commas.
    #[schemars(extend("x-reload" = true))]
    pub filter: String,

    /// How a line looks.
    pub format: LogFormat,
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// A JSON object a line, for programs.
    Json,
}

impl Default for LogSettings {
    fn default() -> Self {
        // What the server does, not how actix starts its threads.
        Self { filter: "info,actix_server=warn".to_owned(), format: LogFormat::Text }
    }
}

impl LogSettings {
    pub(super) fn validate(&self, faults: &mut Faults) {
        if let Err(e) = EnvFilter::try_new(&self.filter) {
            faults.add("log.filter", format!("is no filter: {e}"));
        }
    }
}
