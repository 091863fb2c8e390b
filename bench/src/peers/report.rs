//! [`Comparison`]: medians with their extremes, and ratios taken within each round.

use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;

use super::measure::Sample;
use super::{Contender, PeersArgs};
use crate::run::Report;

/// A server that loses more is overloaded: what it batches then makes its packets cheap.
const LOST_PERCENT_MAX: f64 = 0.1;

/// All that was found.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// The load, in words.
    pub load: String,
    /// One for each number of viewers.
    pub tables: Vec<Table>,
    /// Versions of what was compared.
    pub versions: Vec<(Contender, String)>,
    /// Each run.
    pub samples: Vec<Sample>,
}

/// The contenders at one number of viewers.
#[derive(Clone, Debug, Serialize)]
pub struct Table {
    /// Viewers of the one publisher.
    pub viewers: u32,
    /// In the order of [`Contender::ALL`].
    pub rows: Vec<Row>,
}

/// A contender at one number of viewers.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Which.
    pub contender: Contender,
    /// CPU time for a delivered packet, in microseconds.
    pub us_per_packet: Spread,
    /// Packets per CPU-second of ours as a multiple of this one's, in each round.
    pub ours_is: Option<Spread>,
    /// Packets lost, in per cent.
    pub lost_percent: Spread,
    /// 99th percentile of the delay, in milliseconds.
    pub p99_ms: Spread,
    /// Resident memory at the end, in MiB.
    pub rss_mib: Spread,
}

/// Median, minimum and maximum.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[allow(missing_docs, reason = "named by themselves")]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Spread {
    /// `None` of nothing.
    #[must_use]
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let (low, high) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
        Some(Self { median: f64::midpoint(low, high), min, max })
    }

    fn told(self, digits: usize) -> String {
        let Self { median, min, max } = self;
        format!("{median:.digits$} ({min:.digits$}–{max:.digits$})")
    }
}

impl Comparison {
    pub(super) fn new(args: &PeersArgs, contenders: &[Contender], samples: Vec<Sample>) -> Self {
        let load = format!(
            "1 publisher, {} VP8 in packets of up to {} bytes with Opus, {} s a round, {} rounds",
            args.bitrate, args.packet_size, args.seconds, args.rounds,
        );
        let table = |viewers: &u32| {
            let of_load: Vec<&Sample> =
                samples.iter().filter(|sample| sample.viewers == *viewers).collect();
            let rows = contenders.iter().filter_map(|contender| Row::of(*contender, &of_load));
            let mut rows: Vec<Row> = rows.collect();
            rows.sort_by_key(|row| row.contender);
            Table { viewers: *viewers, rows }
        };
        let tables = args.viewers.iter().map(table).collect();
        let version = |contender: &Contender| (*contender, contender.version());
        Self { load, tables, versions: contenders.iter().map(version).collect(), samples }
    }

    /// Writes `peers.md` and `peers.json`.
    pub(super) fn write(&self, folder: &Path) -> anyhow::Result<()> {
        std::fs::create_dir_all(folder)?;
        std::fs::write(folder.join("peers.md"), self.markdown())?;
        std::fs::write(folder.join("peers.json"), serde_json::to_string_pretty(self)?)?;
        Ok(())
    }
}

impl Row {
    fn of(contender: Contender, samples: &[&Sample]) -> Option<Self> {
        let counts = |sample: &&&Sample| sample.round > 0 && sample.contender == contender;
        let mine = || samples.iter().filter(counts);
        let spread = |value: fn(&Sample) -> f64| Spread::of(mine().map(|sample| value(sample)));
        let ratios = mine().filter_map(|sample| {
            let ours = samples
                .iter()
                .find(|other| other.contender == Contender::Ours && other.round == sample.round)?;
            Some(sample.us_per_packet() / ours.us_per_packet())
        });
        let ours_is = (contender != Contender::Ours).then(|| Spread::of(ratios)).flatten();
        Some(Self {
            contender,
            us_per_packet: spread(Sample::us_per_packet)?,
            ours_is,
            lost_percent: spread(|sample| sample.lost_percent)?,
            p99_ms: spread(|sample| sample.delay_us[1] / 1e3)?,
            rss_mib: spread(|sample| sample.rss_bytes as f64 / 1_048_576.0)?,
        })
    }
}

impl Report for Comparison {
    fn markdown(&self) -> String {
        let mut out = String::new();
        self.tell(&mut out).expect("writing to a string");
        out
    }

    /// Goals that were missed, and what makes the figures doubtful.
    fn failures(&self) -> Vec<String> {
        let mut failures = Vec::new();
        for table in &self.tables {
            for row in &table.rows {
                let (name, viewers) = (row.contender.name(), table.viewers);
                let lost = row.lost_percent.median;
                if lost > LOST_PERCENT_MAX {
                    failures.push(format!(
                        "{viewers} viewers: {name} lost {lost:.2} %: no fair comparison"
                    ));
                }
                if let Some((found, goal)) = row.ours_is.zip(row.contender.goal())
                    && found.median < goal
                {
                    let found = found.median;
                    failures.push(format!("{viewers} viewers: {found:.2} × {name}, not {goal} ×"));
                }
            }
        }
        failures
    }
}

impl Comparison {
    fn tell(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "# This server and others under the same load\n")?;
        writeln!(
            out,
            "{}. Interleaved: each round takes all of them, the first round is not counted. \
             Median (minimum–maximum). CPU time is that of the server's process, kernel included; \
             everything runs on one machine, so times of the clock are worse than they would be.\n",
            self.load
        )?;
        for table in &self.tables {
            writeln!(out, "## {} viewers\n", table.viewers)?;
            writeln!(
                out,
                "| server | µs of CPU per packet | packets per CPU-second, thousands | \
                 ours is × | goal | lost, % | p99 of the delay, ms | memory, MiB |"
            )?;
            writeln!(out, "|---|---|---|---|---|---|---|---|")?;
            for row in &table.rows {
                let dash = || "–".to_owned();
                writeln!(
                    out,
                    "| {} | {} | {:.1} | {} | {} | {} | {} | {:.1} |",
                    row.contender.name(),
                    row.us_per_packet.told(2),
                    1e3 / row.us_per_packet.median,
                    row.ours_is.map_or_else(dash, |ratio| ratio.told(2)),
                    row.contender.goal().map_or_else(dash, |goal| format!("≥ {goal}")),
                    row.lost_percent.told(3),
                    row.p99_ms.told(1),
                    row.rss_mib.median,
                )?;
            }
            writeln!(out)?;
        }
        let versions = self.versions.iter();
        let versions =
            versions.map(|(contender, version)| format!("{} {version}", contender.name()));
        writeln!(out, "Versions: {}.", versions.collect::<Vec<_>>().join(", "))?;
        if let Some(load) = Spread::of(self.samples.iter().map(|sample| sample.load_average)) {
            writeln!(out, "Load average of the machine before each run: {}.", load.told(1))?;
        }
        let drops: u64 = self.samples.iter().map(|sample| sample.dropped_by_load).sum();
        if drops > 0 {
            writeln!(out, "Of the lost, {drops} datagrams were lost by the load generator.")?;
        }
        writeln!(out, "\nWhat is and is not comparable: `bench/peers/README.md`.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(contender: Contender, round: u32, cpu_s: f64) -> Sample {
        Sample {
            contender,
            viewers: 50,
            round,
            delivered: 1_000_000,
            seconds: 1.0,
            cpu_s,
            rss_bytes: 1 << 20,
            lost_percent: 0.0,
            recovered: 0,
            delay_us: [100.0, 1000.0],
            dropped_by_load: 0,
            load_busiest: 0.1,
            load_average: 0.5,
        }
    }

    #[test]
    fn ratios_are_taken_within_a_round_and_the_first_does_not_count() {
        let samples = [
            sample(Contender::Ours, 1, 2.0),
            sample(Contender::Janus, 1, 8.0),
            sample(Contender::Janus, 0, 99.0),
            sample(Contender::Ours, 0, 1.0),
            // A busy minute: both are slower, the ratio stays.
            sample(Contender::Janus, 2, 40.0),
            sample(Contender::Ours, 2, 10.0),
        ];
        let samples: Vec<&Sample> = samples.iter().collect();
        let row = Row::of(Contender::Janus, &samples).unwrap();
        assert_eq!(row.ours_is, Some(Spread { median: 4.0, min: 4.0, max: 4.0 }));
        assert_eq!(row.us_per_packet, Spread { median: 24.0, min: 8.0, max: 40.0 });
        assert_eq!(Row::of(Contender::Ours, &samples).unwrap().ours_is, None);
        assert!(Row::of(Contender::Pion, &samples).is_none());
    }

    #[test]
    fn a_goal_that_is_missed_and_losses_are_told() {
        let row = Row::of(
            Contender::Str0m,
            &[&sample(Contender::Ours, 1, 1.0), &sample(Contender::Str0m, 1, 2.0)],
        );
        let tables = vec![Table { viewers: 50, rows: vec![row.unwrap()] }];
        let mut comparison =
            Comparison { load: String::new(), tables, versions: Vec::new(), samples: Vec::new() };
        assert_eq!(comparison.failures().len(), 1);
        assert!(comparison.markdown().contains("| str0m SFU | 2.00 (2.00–2.00) | 500.0 | 2.00"));
        comparison.tables[0].rows[0].ours_is = Spread::of([2.5]);
        assert!(comparison.failures().is_empty());
        comparison.tables[0].rows[0].lost_percent.median = 1.0;
        assert_eq!(comparison.failures().len(), 1);
    }
}
