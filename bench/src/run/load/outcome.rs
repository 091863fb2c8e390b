//! [`LoadOutcome`]: what a load run found, and how it is told.

use std::fmt::Write as _;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::run::Report;

/// Packets of one kind in the measured time.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Delivered {
    /// Sent by the publisher.
    pub sent: u64,
    /// Received by the viewer, each counted once.
    pub got: u64,
}

impl Delivered {
    /// Packets that never came.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.sent.saturating_sub(self.got)
    }
}

/// One viewer.
#[derive(Clone, Debug, Serialize)]
pub struct ViewerOutcome {
    /// Video in the measured time.
    pub video: Delivered,
    /// Audio in the measured time.
    pub audio: Delivered,
    /// From the start of joining to ICE and DTLS done, in milliseconds.
    pub joined_ms: f64,
    /// From the start of joining to the first decodable frame, in milliseconds.
    pub first_picture_ms: f64,
    /// Sequence numbers missing, since joining.
    pub gaps: u64,
    /// Packets received twice, by number or by content, since joining.
    pub duplicates: u64,
    /// Packets that came by retransmission only.
    pub recovered: u64,
    /// Packets thrown away on purpose.
    pub thrown_away: u64,
    /// Sequence numbers asked for again.
    pub nacked: u64,
    /// Frames with all packets, since joining.
    pub frames_complete: u64,
    /// Frames a decoder could show, since joining.
    pub frames_decodable: u64,
    /// SRTP and SRTCP datagrams not decrypted until the first picture: a server may have its keys
    /// a moment before us, and the `webrtc` crate does not keep what comes in between.
    pub before_keys: u64,
    /// SRTP and SRTCP datagrams not decrypted since.
    pub undecryptable: u64,
}

impl ViewerOutcome {
    /// Per cent of the packets sent.
    #[must_use]
    pub fn percent(&self) -> f64 {
        let sent = self.video.sent + self.audio.sent;
        if sent == 0 {
            return 0.0;
        }
        (self.video.got + self.audio.got) as f64 * 100.0 / sent as f64
    }
}

/// What the server's process used in the measured time.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ServerCost {
    /// CPU time, in seconds.
    pub cpu_s: f64,
    /// CPU time per packet that reached a viewer, in microseconds; kernel included.
    pub cpu_us_per_packet: f64,
    /// Resident memory at the end, in KiB.
    pub rss_kib: u64,
    /// Threads at the end.
    pub threads: u64,
}

/// Delay from due to received, in microseconds, of all viewers since joining.
#[derive(Clone, Copy, Debug, Serialize)]
#[allow(missing_docs, reason = "percentiles are named by themselves")]
pub struct Delay {
    pub p50: u64,
    pub p90: u64,
    pub p99: u64,
    pub p999: u64,
    pub max: u64,
}

impl Delay {
    pub(super) fn of(histogram: &Histogram<u64>) -> Self {
        let at = |quantile| histogram.value_at_quantile(quantile);
        Self { p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999), max: histogram.max() }
    }
}

/// All of it.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "fields repeat the arguments or are told above")]
pub struct LoadOutcome {
    pub publishers: usize,
    pub bitrate_bps: u64,
    pub fps: u32,
    pub audio: bool,
    pub seconds: f64,
    pub required_percent: f64,
    pub lose_one_in: u32,
    pub delay_us: Delay,
    pub viewers: Vec<ViewerOutcome>,
    /// Retransmissions received in the measured time.
    pub rtx: u64,
    /// Absent if the server was not spawned here.
    pub server: Option<ServerCost>,
    /// CPU time of this program in the measured time, in seconds.
    pub client_cpu_s: f64,
    /// The server's drop counters that are not zero, since its start.
    pub drops: Vec<(String, f64)>,
}

impl Report for LoadOutcome {
    fn markdown(&self) -> String {
        self.told().expect("writing to a string")
    }

    fn failures(&self) -> Vec<String> {
        let short = |viewer: &&ViewerOutcome| viewer.percent() < self.required_percent;
        let count = self.viewers.iter().filter(short).count();
        if count == 0 {
            return Vec::new();
        }
        vec![format!("{count} viewers got less than {} %", self.required_percent)]
    }
}

impl LoadOutcome {
    fn told(&self) -> Result<String, std::fmt::Error> {
        let mut out = String::new();
        let viewers = self.viewers.len();
        writeln!(
            out,
            "# {} publisher(s), {viewers} viewers, {} kbit/s VP8 at {} fps{}, {:.0} s\n",
            self.publishers,
            self.bitrate_bps / 1000,
            self.fps,
            if self.audio { " and Opus" } else { "" },
            self.seconds,
        )?;
        let mut percents: Vec<_> = self.viewers.iter().map(ViewerOutcome::percent).collect();
        percents.sort_by(f64::total_cmp);
        let lost: u64 = self.viewers.iter().map(|v| v.video.lost() + v.audio.lost()).sum();
        let sum = |f: fn(&ViewerOutcome) -> u64| self.viewers.iter().map(f).sum::<u64>();
        writeln!(out, "| figure | value |\n|---|---|")?;
        writeln!(out, "| delivered, worst viewer | {:.3} % |", percents[0])?;
        writeln!(out, "| delivered, median viewer | {:.3} % |", percents[viewers / 2])?;
        writeln!(
            out,
            "| packets sent / lost, all viewers | {} / {lost} |",
            sum(|v| v.video.sent + v.audio.sent)
        )?;
        writeln!(
            out,
            "| sequence gaps / duplicates | {} / {} |",
            sum(|v| v.gaps),
            sum(|v| v.duplicates)
        )?;
        writeln!(
            out,
            "| asked for again / retransmissions / recovered | {} / {} / {} |",
            sum(|v| v.nacked),
            self.rtx,
            sum(|v| v.recovered)
        )?;
        if self.lose_one_in > 0 {
            writeln!(
                out,
                "| thrown away on purpose (1 in {}) | {} |",
                self.lose_one_in,
                sum(|v| v.thrown_away)
            )?;
        }
        writeln!(
            out,
            "| frames whole / decodable | {} / {} |",
            sum(|v| v.frames_complete),
            sum(|v| v.frames_decodable)
        )?;
        writeln!(
            out,
            "| datagrams not decrypted, before / after the first picture | {} / {} |",
            sum(|v| v.before_keys),
            sum(|v| v.undecryptable)
        )?;
        let delay = &self.delay_us;
        writeln!(
            out,
            "| delay p50 / p90 / p99 / p99.9 / max, ms | {:.2} / {:.2} / {:.2} / {:.2} / {:.2} |",
            delay.p50 as f64 / 1e3,
            delay.p90 as f64 / 1e3,
            delay.p99 as f64 / 1e3,
            delay.p999 as f64 / 1e3,
            delay.max as f64 / 1e3
        )?;
        writeln!(
            out,
            "| joined / first picture, median ms | {:.0} / {:.0} |",
            median(self.viewers.iter().map(|v| v.joined_ms)),
            median(self.viewers.iter().map(|v| v.first_picture_ms))
        )?;
        if let Some(server) = &self.server {
            writeln!(
                out,
                "| server CPU | {:.2} s ({:.1} % of a core), {:.2} µs per delivered packet |",
                server.cpu_s,
                server.cpu_s * 100.0 / self.seconds,
                server.cpu_us_per_packet
            )?;
            writeln!(
                out,
                "| server memory, threads | {} KiB, {} |",
                server.rss_kib, server.threads
            )?;
        }
        writeln!(
            out,
            "| client CPU | {:.2} s ({:.1} % of a core) |",
            self.client_cpu_s,
            self.client_cpu_s * 100.0 / self.seconds
        )?;
        for (name, value) in &self.drops {
            writeln!(out, "| `{name}` | {value} |")?;
        }
        writeln!(
            out,
            "\n| viewer | delivered % | video lost | audio lost | gaps | recovered | joined ms | first picture ms |\n|---|---|---|---|---|---|---|---|"
        )?;
        for (at, v) in self.viewers.iter().enumerate() {
            writeln!(
                out,
                "| {at} | {:.3} | {} | {} | {} | {} | {:.0} | {:.0} |",
                v.percent(),
                v.video.lost(),
                v.audio.lost(),
                v.gaps,
                v.recovered,
                v.joined_ms,
                v.first_picture_ms
            )?;
        }
        Ok(out)
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
