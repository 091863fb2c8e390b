//! Traces for a collector (OTLP over HTTP), where the binary was built with the feature `otlp`: the
//! spans that lines of the log have too, each request and the WebSocket it became.
//!
//! The exporter has a thread and a bounded queue of its own: a collector that is slow or gone costs
//! spans, and nobody waits for it.

use std::time::Duration;

use anyhow::Context as _;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider};
use sfu_server::config::TelemetrySettings;
use tracing::Subscriber;
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::registry::LookupSpan;

/// The path of traces below the endpoint (OTLP specification, "OTLP/HTTP Request").
const PATH: &str = "/v1/traces";
/// How long the collector may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What sends spans; ends with what it still has.
pub(super) struct Traces(SdkTracerProvider);

/// Starts to send, if the settings say where to. Not inside a runtime: the HTTP client has its own.
pub(super) fn start<S>(
    settings: &TelemetrySettings,
) -> anyhow::Result<Option<(OpenTelemetryLayer<S, SdkTracer>, Traces)>>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let Some(endpoint) = &settings.otlp_endpoint else { return Ok(None) };
    let exporter = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{}{PATH}", endpoint.trim_end_matches('/')))
        .with_timeout(TIMEOUT)
        .build()
        .context("telemetry.otlp_endpoint cannot be used")?;
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let resource = Resource::builder().with_service_name("sfu").with_attribute(version).build();
    let share = f64::from(settings.otlp_percent) / 100.0;
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_sampler(Sampler::TraceIdRatioBased(share))
        .with_resource(resource)
        .build();
    // Lines of code and threads tell whoever reads a trace nothing.
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("sfu"))
        .with_location(false)
        .with_threads(false);
    Ok(Some((layer, Traces(provider))))
}

impl Traces {
    /// Sends what is left. Not inside a runtime either.
    pub(super) fn end(self) {
        if let Err(error) = self.0.shutdown_with_timeout(TIMEOUT) {
            tracing::warn!("the last traces were not sent: {error}");
        }
    }
}
