//! [`ServerUse`]: what the server's process has used, by `/proc` or by its `/metrics`; and the
//! datagrams that the kernel dropped because this program did not read them in time.

use std::collections::BTreeSet;

use anyhow::Context as _;
use reqwest::Url;

use crate::signal::Http;

/// Ticks of `/proc/<pid>/stat` per second (USER_HZ, fixed by Linux's ABI).
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU time and memory of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct ServerUse {
    /// CPU time, in seconds, kernel included.
    pub(super) cpu_s: f64,
    /// Resident memory, in bytes.
    pub(super) rss_bytes: u64,
}

/// Where to ask.
pub(super) enum Gauge {
    Process(u32),
    Metrics { http: Http, url: Url },
}

impl Gauge {
    /// `None` if the server does not tell.
    pub(super) async fn read(&self) -> Option<ServerUse> {
        match self {
            Self::Process(pid) => of_process(*pid).ok(),
            Self::Metrics { http, url } => of_metrics(&http.get(url).await.ok()?),
        }
    }
}

fn of_process(pid: u32) -> anyhow::Result<ServerUse> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    of_proc(&stat, &status).context("an unexpected form of /proc")
}

fn of_proc(stat: &str, status: &str) -> Option<ServerUse> {
    // The program's name may hold spaces and parentheses; fields count from behind it.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(ServerUse { cpu_s: (ticks(11)? + ticks(12)?) / TICKS_PER_SECOND, rss_bytes: kib * 1024 })
}

/// The series that Prometheus's client libraries give a process.
fn of_metrics(text: &str) -> Option<ServerUse> {
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
        line.trim().parse::<f64>().ok()
    };
    Some(ServerUse {
        cpu_s: value("process_cpu_seconds_total")?,
        rss_bytes: value("process_resident_memory_bytes")? as u64,
    })
}

/// Datagrams dropped at the sockets of these local ports: this program was too slow for them.
pub(super) fn kernel_drops(ports: &BTreeSet<u16>) -> u64 {
    let tables = ["/proc/net/udp", "/proc/net/udp6"];
    let texts = tables.iter().filter_map(|table| std::fs::read_to_string(table).ok());
    texts.map(|text| drops_in(&text, ports)).sum()
}

fn drops_in(table: &str, ports: &BTreeSet<u16>) -> u64 {
    let drops = |line: &str| {
        let mut fields = line.split_whitespace();
        let port = u16::from_str_radix(fields.nth(1)?.rsplit_once(':')?.1, 16).ok()?;
        if !ports.contains(&port) {
            return None;
        }
        fields.last()?.parse::<u64>().ok()
    };
    table.lines().skip(1).filter_map(drops).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_and_metrics_are_understood() {
        let stat = "42 (a) b) S 1 42 42 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 3 0 100 1 1";
        let used = of_proc(stat, "Name:\ta) b\nVmRSS:\t    2048 kB\n").unwrap();
        assert_eq!(used, ServerUse { cpu_s: 2.0, rss_bytes: 2 << 20 });
        let text = "# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total 1.5\n\
            process_resident_memory_bytes 4096\n";
        assert_eq!(of_metrics(text), Some(ServerUse { cpu_s: 1.5, rss_bytes: 4096 }));
        assert_eq!(of_metrics("process_cpu_seconds_total 1.5\n"), None);
    }

    #[test]
    fn drops_of_our_ports_only() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n\
            10: 00000000:1ECA 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 1 2 0 7\n\
            11: 0100007F:C351 0100007F:1ECA 01 00000000:00000000 00:00000000 00000000     0        0 1 2 0 5\n";
        assert_eq!(drops_in(table, &BTreeSet::from([0xc351])), 5);
        assert_eq!(drops_in(table, &BTreeSet::new()), 0);
    }
}
