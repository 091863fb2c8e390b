//! [`Metrics`]: the server's `/metrics`, as much of the Prometheus text format as it takes to read
//! gauges and counters.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};

use crate::client::ServerUrl;

/// What is still there when everybody has left, if it is not zero.
const POPULATION: [&str; 11] = [
    "rooms",
    "participants",
    "peers",
    "sessions",
    "tracks",
    "subscriptions",
    "websockets",
    "index_entries",
    "timers",
    "addresses",
    "history_pages",
];

/// One scrape.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// By name with labels, as printed.
    samples: BTreeMap<String, f64>,
    /// Names of gauges.
    gauges: Vec<String>,
}

impl Metrics {
    /// Scrapes a server.
    pub async fn scrape(server: &ServerUrl) -> anyhow::Result<Self> {
        Ok(Self::read(&server.get(&["metrics"]).await.context("scraping /metrics")?))
    }

    /// Reads the text format; lines it does not understand are left out.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let mut metrics = Self::default();
        for line in text.lines() {
            if let Some(kind) = line.strip_prefix("# TYPE ") {
                if let Some(name) = kind.strip_suffix(" gauge") {
                    metrics.gauges.push(name.to_owned());
                }
            } else if !line.starts_with('#')
                && let Some((name, value)) = line.rsplit_once(' ')
                && let Ok(value) = value.parse()
            {
                metrics.samples.insert(name.to_owned(), value);
            }
        }
        metrics
    }

    /// Everything above zero whose name holds `part`.
    #[must_use]
    pub fn above_zero(&self, part: &str) -> Vec<(String, f64)> {
        let found =
            self.samples.iter().filter(|(name, value)| name.contains(part) && **value > 0.0);
        found.map(|(name, value)| (name.clone(), *value)).collect()
    }

    /// The gauges that count rooms, participants, peers, sessions, tracks and subscriptions; an
    /// error if the server has none such, since then zero would mean nothing.
    pub fn population(&self) -> anyhow::Result<Vec<(String, f64)>> {
        let counted: Vec<_> = self
            .samples
            .iter()
            .filter(|(name, _)| {
                let bare = name.split('{').next().unwrap_or_default();
                self.gauges.iter().any(|gauge| gauge == bare)
                    && POPULATION.iter().any(|thing| bare.contains(thing))
            })
            .map(|(name, value)| (name.clone(), *value))
            .collect();
        for thing in ["rooms", "peers", "subscriptions"] {
            if !counted.iter().any(|(name, _)| name.contains(thing)) {
                bail!("/metrics has no gauge of {thing}");
            }
        }
        Ok(counted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# HELP x_peers Peers.\n# TYPE x_peers gauge\nx_peers{worker=\"0\"} 2\n\
        # TYPE x_rooms gauge\nx_rooms 0\n# TYPE x_subscriptions gauge\nx_subscriptions 0\n\
        # TYPE x_drops_total counter\nx_drops_total{reason=\"a b\"} 3\nx_drops_total{reason=\"c\"} 0\n";

    #[test]
    fn gauges_and_counters_are_read() {
        let metrics = Metrics::read(TEXT);
        let population = metrics.population().unwrap();
        assert_eq!(population.iter().map(|(_, value)| *value).collect::<Vec<_>>(), [2.0, 0.0, 0.0]);
        assert_eq!(
            metrics.above_zero("drops"),
            [("x_drops_total{reason=\"a b\"}".to_owned(), 3.0)]
        );
    }

    #[test]
    fn a_server_without_the_gauges_is_not_at_zero() {
        assert!(Metrics::read("# TYPE x_rooms gauge\nx_rooms 0\n").population().is_err());
    }
}
