//! Logs go to stderr; stdout has the addresses only.

use std::io::IsTerminal as _;

use anyhow::Context as _;
use sfu_server::config::{LogFormat, LogSettings};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, Registry, reload};

/// What is logged, which may change.
pub(super) struct Logging(reload::Handle<EnvFilter, Registry>);

impl Logging {
    /// Starts to log.
    pub(super) fn start(settings: &LogSettings) -> anyhow::Result<Self> {
        let (filter, handle) = reload::Layer::new(filter(settings)?);
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal());
        let lines = match settings.format {
            LogFormat::Text => lines.boxed(),
            LogFormat::Json => lines.json().flatten_event(true).boxed(),
        };
        tracing_subscriber::registry().with(filter).with(lines).init();
        Ok(Self(handle))
    }

    /// Logs by another filter from now on.
    pub(super) fn reload(&self, settings: &LogSettings) -> anyhow::Result<()> {
        Ok(self.0.reload(filter(settings)?)?)
    }
}

fn filter(settings: &LogSettings) -> anyhow::Result<EnvFilter> {
    EnvFilter::try_new(&settings.filter).context("log.filter is no filter")
}
