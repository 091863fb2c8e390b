//! [`Outcome`]: what a run found, as a table for people and as JSON for machines.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use super::LoadArgs;
use super::plan::Plan;
use super::usage::ServerUse;
use crate::account::{Counters, Delays, StreamReport};
use crate::client::ClientReport;

/// A receiving thread that is busier than this may be what is measured.
const BUSY_MAX: f64 = 0.7;

/// Percentiles in microseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[allow(missing_docs, reason = "percentiles are named by themselves")]
pub struct Delay {
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
    /// How many were looked at.
    pub samples: u64,
}

impl Delay {
    pub(super) fn of(delays: &Delays) -> Self {
        let at = |quantile| delays.at_us(quantile);
        let (p50, p90, p99, p999) = (at(0.5), at(0.9), at(0.99), at(0.999));
        Self { p50, p90, p99, p999, max: delays.max_us(), samples: delays.count() }
    }

    fn ms(&self) -> String {
        let parts = [self.p50, self.p90, self.p99, self.p999, self.max];
        parts.map(|us| format!("{:.2}", us / 1e3)).join(" / ")
    }
}

/// How joins went, in milliseconds from their start.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Joins {
    /// How many were connected.
    pub connected: usize,
    /// Until ICE and DTLS were done: median and 95th percentile.
    pub connected_ms: [f64; 2],
    /// How many received media.
    pub with_media: usize,
    /// Until the first packet of media: median and 95th percentile.
    pub media_ms: [f64; 2],
}

impl Joins {
    pub(super) fn of(reports: &[&ClientReport]) -> Self {
        let sorted = |time: fn(&ClientReport) -> Option<Duration>| {
            let times = reports.iter().filter_map(|report| time(report));
            let mut times: Vec<f64> = times.map(|time| time.as_secs_f64() * 1e3).collect();
            times.sort_by(f64::total_cmp);
            times
        };
        let ends = |times: &[f64]| {
            let at = |quantile: f64| {
                let place = (times.len() as f64 * quantile).ceil() as usize;
                times.get(place.saturating_sub(1)).copied().unwrap_or(0.0)
            };
            [at(0.5), at(0.95)]
        };
        let connected = sorted(|report| report.connected);
        let media = sorted(|report| report.first_media);
        Self {
            connected: connected.len(),
            connected_ms: ends(&connected),
            with_media: media.len(),
            media_ms: ends(&media),
        }
    }
}

/// What became of the packets of the measured time.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Packets {
    /// Sent by all publishers.
    pub published: u64,
    /// Received by all who watch, each counted once, until the end of the account.
    pub received: u64,
    /// Numbers that never came.
    pub lost: u64,
    /// Never came and had no number to be missed by: dropped by the server, or at the very end.
    /// With simulcast or a layout this is a matter of choice, and told as such.
    pub withheld: u64,
    /// Of the received, those that came by retransmission.
    pub recovered: u64,
    /// Asked for again.
    pub nacked: u64,
    /// Came twice.
    pub duplicates: u64,
    /// Retransmission packets with nothing in them.
    pub padding: u64,
    /// Of those whose delay is known, those that were late.
    pub late: u64,
    /// SRTP and SRTCP that did not decrypt.
    pub undecryptable: u64,
    /// Not ours, or malformed.
    pub foreign: u64,
    /// Announced streams on which nothing came.
    pub silent_streams: usize,
    /// Streams on which something came.
    pub streams: usize,
}

impl Packets {
    fn add(&mut self, stream: &StreamReport) {
        self.received += stream.received;
        self.lost += stream.lost;
        self.withheld += stream.withheld + stream.tail;
        if stream.received == 0 {
            self.silent_streams += 1;
        } else {
            self.streams += 1;
        }
    }
}

/// What the generator itself took: whether it may be what is measured.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct ClientCost {
    /// CPU time of receiving threads per received datagram, in nanoseconds.
    pub receive_ns: f64,
    /// Datagrams per receiving system call.
    pub datagrams_per_call: f64,
    /// Share of a core that the busiest receiving thread took.
    pub busiest: f64,
    /// CPU time of all threads, publishers' included, in seconds.
    pub cpu_s: f64,
    /// From due to sent: what the generator adds to delays, in microseconds.
    pub lag_us: Delay,
    /// Datagrams that the kernel would not send.
    pub send_errors: u64,
    /// Datagrams that the kernel dropped because they were not read in time.
    pub kernel_drops: u64,
}

/// What the server took.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct ServerCost {
    /// CPU time, in seconds.
    pub cpu_s: f64,
    /// CPU time per packet that was delivered, in microseconds.
    pub cpu_us_per_packet: f64,
    /// Resident memory at the end, in bytes.
    pub rss_bytes: u64,
}

/// What must hold.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Bounds {
    max_loss_percent: Option<f64>,
    max_p99_us: Option<f64>,
    max_join_ms: Option<f64>,
}

impl From<&LoadArgs> for Bounds {
    fn from(args: &LoadArgs) -> Self {
        Self {
            max_loss_percent: args.max_loss,
            max_p99_us: args.max_p99.map(|bound| bound.as_secs_f64() * 1e6),
            max_join_ms: args.max_join.map(|bound| bound.as_secs_f64() * 1e3),
        }
    }
}

/// All of it.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs, reason = "fields are told by their types")]
pub struct Outcome {
    pub plan: Plan,
    pub bounds: Bounds,
    /// The measured time.
    pub seconds: f64,
    /// Packets received in it, of all who watch: what the server's CPU time is divided by.
    pub delivered: u64,
    pub packets: Packets,
    pub delay_us: Delay,
    /// All counters of receiving threads in the measured time.
    pub counters: Counters,
    pub joins: Joins,
    pub storm: Option<Joins>,
    pub client: ClientCost,
    pub server: Option<ServerCost>,
    /// Clients that the server ended, or that fell silent.
    pub ended: usize,
    pub join_failures: Vec<String>,
    pub leave_failures: usize,
}

impl Outcome {
    /// Takes in the accounts of all clients.
    pub(super) fn add_streams(&mut self, reports: &[ClientReport]) {
        let streams = reports.iter().flat_map(|report| &report.streams);
        streams.for_each(|stream| self.packets.add(stream));
    }

    /// Takes in what the server used, if it was told before and after.
    pub(super) fn add_server(&mut self, before: Option<ServerUse>, after: Option<ServerUse>) {
        self.server = before.zip(after).map(|(before, after)| {
            let cpu_s = after.cpu_s - before.cpu_s;
            ServerCost {
                cpu_s,
                cpu_us_per_packet: cpu_s * 1e6 / self.delivered.max(1) as f64,
                rss_bytes: after.rss_bytes,
            }
        });
    }

    /// Packets that did not come though they should have.
    #[must_use]
    pub fn missing(&self) -> u64 {
        let packets = &self.packets;
        packets.lost + if self.plan.sends_everything() { packets.withheld } else { 0 }
    }

    /// They, in per cent of all that should have come.
    #[must_use]
    pub fn loss_percent(&self) -> f64 {
        let missing = self.missing();
        missing as f64 * 100.0 / (self.packets.received + missing).max(1) as f64
    }

    /// Why the run is a failure, one line each; empty if it is none.
    #[must_use]
    pub fn failures(&self) -> Vec<String> {
        let mut failures = Vec::new();
        if let Some(first) = self.join_failures.first() {
            failures.push(format!("{} joins failed; one: {first}", self.join_failures.len()));
        }
        if self.packets.received == 0 {
            failures.push("nothing was received".to_owned());
        }
        if self.plan.sends_everything() && self.packets.silent_streams > 0 {
            failures.push(format!("nothing came on {} streams", self.packets.silent_streams));
        }
        let mut hold = |what: &str, unit: &str, value: f64, bound: Option<f64>| {
            if let Some(bound) = bound.filter(|bound| value > *bound) {
                failures.push(format!("{what} is {value:.3} {unit}, above {bound} {unit}"));
            }
        };
        let bounds = &self.bounds;
        hold("loss", "%", self.loss_percent(), bounds.max_loss_percent);
        hold("p99 of the delay", "µs", self.delay_us.p99, bounds.max_p99_us);
        let joins = self.storm.as_ref().unwrap_or(&self.joins);
        hold("p95 of joins", "ms", joins.media_ms[1], bounds.max_join_ms);
        failures
    }

    /// Reasons to doubt the figures: the generator was too slow for its own load.
    #[must_use]
    pub fn doubts(&self) -> Vec<String> {
        let mut doubts = Vec::new();
        if self.client.kernel_drops > 0 {
            let drops = self.client.kernel_drops;
            doubts.push(format!("{drops} datagrams were lost here, before they were read"));
        }
        if self.client.busiest > BUSY_MAX {
            let share = self.client.busiest * 100.0;
            doubts.push(format!("a receiving thread was {share:.0} % busy: try --threads"));
        }
        if self.client.lag_us.p99 > self.delay_us.p50 && self.client.lag_us.p99 > 1000.0 {
            let lag = self.client.lag_us.p99 / 1e3;
            doubts
                .push(format!("packets left up to {lag:.1} ms (p99) late, which is in all delays"));
        }
        doubts
    }

    /// For people.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut out = String::new();
        self.tell(&mut out).expect("writing to a string");
        out
    }

    fn tell(&self, out: &mut String) -> std::fmt::Result {
        let (plan, packets) = (&self.plan, &self.packets);
        writeln!(out, "# {}\n", plan.title())?;
        writeln!(out, "| figure | value |\n|---|---|")?;
        let mut row = |name: &str, value: String| writeln!(out, "| {name} | {value} |");
        let rate = self.delivered as f64 / self.seconds;
        let mbps = self.counters.bytes as f64 * 8e-6 / self.seconds;
        row("delivered", format!("{} ({rate:.0} packets/s, {mbps:.1} Mbit/s)", self.delivered))?;
        row("published", format!("{} packets", packets.published))?;
        row("lost", format!("{} ({:.4} %)", self.missing(), self.loss_percent()))?;
        if !plan.sends_everything() {
            row("not forwarded, by choice", packets.withheld.to_string())?;
        }
        let late = self.late_percent();
        row("late", format!("{late:.4} % of {} looked at", self.delay_us.samples))?;
        row("delay p50 / p90 / p99 / p99.9 / max, ms", self.delay_us.ms())?;
        row(
            "asked for again / recovered / came twice / padding",
            format!(
                "{} / {} / {} / {}",
                packets.nacked, packets.recovered, packets.duplicates, packets.padding
            ),
        )?;
        row("not decrypted / foreign", format!("{} / {}", packets.undecryptable, packets.foreign))?;
        row(
            "streams / without a packet",
            format!("{} / {}", packets.streams, packets.silent_streams),
        )?;
        row("joins", self.joins.told())?;
        if let Some(storm) = &self.storm {
            row("joins of the storm", storm.told())?;
        }
        row(
            "failed joins / ended by the server",
            format!("{} / {}", self.join_failures.len(), self.ended),
        )?;
        if let Some(server) = &self.server {
            let share = server.cpu_s * 100.0 / self.seconds;
            row(
                "server CPU",
                format!(
                    "{:.2} s ({share:.1} % of a core), {:.2} µs per delivered packet",
                    server.cpu_s, server.cpu_us_per_packet
                ),
            )?;
            row("server memory", format!("{:.1} MiB", server.rss_bytes as f64 / 1_048_576.0))?;
        }
        let client = &self.client;
        row(
            "this program",
            format!(
                "{:.2} s CPU, {:.0} ns per received packet, {:.1} packets per call, busiest thread \
                 {:.0} %",
                client.cpu_s,
                client.receive_ns,
                client.datagrams_per_call,
                client.busiest * 100.0
            ),
        )?;
        row("its lag p50 / p90 / p99 / p99.9 / max, ms", client.lag_us.ms())?;
        row(
            "its drops / send errors",
            format!("{} / {}", client.kernel_drops, client.send_errors),
        )?;
        for doubt in self.doubts() {
            writeln!(out, "\n**In doubt**: {doubt}.")?;
        }
        Ok(())
    }

    fn late_percent(&self) -> f64 {
        self.packets.late as f64 * 100.0 / self.delay_us.samples.max(1) as f64
    }
}

impl Joins {
    fn told(&self) -> String {
        let ([connected, connected_95], [media, media_95]) = (self.connected_ms, self.media_ms);
        format!(
            "{} connected in {connected:.1} ms, p95 {connected_95:.1}; {} with media in \
             {media:.1} ms, p95 {media_95:.1}",
            self.connected, self.with_media
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::ClientId;
    use crate::scenario::args::tests::parse;

    fn outcome(words: &str, streams: &[StreamReport]) -> Outcome {
        let args = parse(words).unwrap();
        let mut outcome = Outcome {
            plan: Plan::of(&args).unwrap(),
            bounds: (&args).into(),
            seconds: 1.0,
            delivered: 100,
            packets: Packets::default(),
            delay_us: Delay::default(),
            counters: Counters::default(),
            joins: Joins::default(),
            storm: None,
            client: ClientCost::default(),
            server: None,
            ended: 0,
            join_failures: Vec::new(),
            leave_failures: 0,
        };
        let report = ClientReport {
            id: ClientId(0),
            connected: Some(Duration::from_millis(3)),
            first_media: Some(Duration::from_millis(500)),
            ended: false,
            streams: streams.to_vec(),
            port: 1,
        };
        outcome.joins = Joins::of(&[&report]);
        outcome.add_streams(&[report]);
        outcome
    }

    fn stream(received: u64, lost: u64, withheld: u64) -> StreamReport {
        StreamReport { received, lost, withheld, ..StreamReport::default() }
    }

    #[test]
    fn bounds_are_held() {
        let words = "--max-loss 1 --max-join 100ms";
        let fine = outcome("--max-loss 1", &[stream(99, 1, 0)]);
        assert_eq!(fine.failures(), Vec::<String>::new());
        let lossy = outcome(words, &[stream(97, 1, 2)]);
        assert_eq!(lossy.failures().len(), 2, "{:?}", lossy.failures());
        assert!((lossy.loss_percent() - 3.0).abs() < 1e-9);
        assert_eq!(outcome("", &[stream(97, 1, 2)]).failures(), Vec::<String>::new());
        assert_eq!(outcome("", &[stream(9, 0, 0), stream(0, 0, 0)]).failures().len(), 1);
    }

    #[test]
    fn what_is_a_matter_of_choice_is_no_loss() {
        let chosen = outcome("--simulcast --max-loss 0", &[stream(98, 0, 50), stream(0, 0, 0)]);
        assert_eq!(chosen.failures(), Vec::<String>::new());
        assert!(chosen.markdown().contains("by choice | 50 |"));
    }

    #[test]
    fn the_cpu_time_is_divided_by_what_was_delivered() {
        let mut outcome = outcome("", &[]);
        let used = |cpu_s| Some(ServerUse { cpu_s, rss_bytes: 1 << 20 });
        outcome.add_server(used(1.0), used(1.5));
        assert!((outcome.server.unwrap().cpu_us_per_packet - 5000.0).abs() < 1e-6);
        outcome.add_server(None, used(1.5));
        assert!(outcome.server.is_none());
    }

    #[test]
    fn percentiles_of_joins() {
        let report = |ms| ClientReport {
            id: ClientId(0),
            connected: Some(Duration::from_millis(ms)),
            first_media: None,
            ended: false,
            streams: Vec::new(),
            port: 0,
        };
        let reports: Vec<_> = (1..=100).map(report).collect();
        let joins = Joins::of(&reports.iter().collect::<Vec<_>>());
        assert_eq!((joins.connected, joins.connected_ms), (100, [50.0, 95.0]));
        assert_eq!((joins.with_media, joins.media_ms), (0, [0.0, 0.0]));
    }
}
