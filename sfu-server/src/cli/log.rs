//! Logs go to stderr; stdout has the addresses only. Where traces are sent, they begin here too.

use std::io::IsTerminal as _;

use anyhow::Context as _;
use sfu_server::config::{LogFormat, LogSettings, Settings};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, Registry, reload};

use super::lines::Lines;

/// What is logged, which may change, and what sends traces.
pub(super) struct Logging {
    filter: reload::Handle<EnvFilter, Registry>,
    lines: Lines,
    #[cfg(feature = "otlp")]
    traces: Option<super::otlp::Traces>,
}

impl Logging {
    /// Starts to log.
    pub(super) fn start(settings: &Settings) -> anyhow::Result<Self> {
        let (filter, handle) = reload::Layer::new(filter(&settings.log)?);
        let out = Lines::to(std::io::stderr())?;
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(out.clone())
            .with_ansi(std::io::stderr().is_terminal());
        let lines = match settings.log.format {
            LogFormat::Text => lines.boxed(),
            LogFormat::Json => lines.json().flatten_event(true).boxed(),
        };
        let registry = tracing_subscriber::registry().with(filter).with(lines);
        #[cfg(feature = "otlp")]
        let (registry, traces) = {
            let (layer, traces) = super::otlp::start(&settings.telemetry)?.unzip();
            (registry.with(layer), traces)
        };
        registry.init();
        Ok(Self {
            filter: handle,
            lines: out,
            #[cfg(feature = "otlp")]
            traces,
        })
    }

    /// Logs by another filter from now on.
    pub(super) fn reload(&self, settings: &LogSettings) -> anyhow::Result<()> {
        Ok(self.filter.reload(filter(settings)?)?)
    }

    /// Sends what traces are left, and writes what lines are.
    pub(super) fn end(self) {
        #[cfg(feature = "otlp")]
        if let Some(traces) = self.traces {
            traces.end();
        }
        self.lines.end();
    }
}

fn filter(settings: &LogSettings) -> anyhow::Result<EnvFilter> {
    EnvFilter::try_new(&settings.filter).context("log.filter is no filter")
}
