//! System calls of a process, counted from outside.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::Rig;

/// Time for the tracer to take hold of all threads.
const ATTACHING: Duration = Duration::from_millis(500);
/// How long is traced. Tracing slows calls down, so that a few seconds tell no more than one.
const TRACED: Duration = Duration::from_secs(2);

/// What strace saw.
pub(crate) struct Calls {
    /// System calls per delivered packet.
    pub(crate) per_packet: f64,
    /// How many of each name.
    pub(crate) by_name: Vec<(String, u64)>,
}

/// Traces a target in a round of its own. `None` where `strace` is not installed.
pub(crate) fn trace_calls(rig: &mut Rig) -> Result<Option<Calls>> {
    let file = std::env::temp_dir().join(format!("calls-{}", std::process::id()));
    let tracer = Command::new("strace")
        .args(["--follow-forks", "--summary-only", "--attach"])
        .arg(rig.target.pid().to_string())
        .arg("--output")
        .arg(&file)
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut tracer) = tracer else { return Ok(None) };
    std::thread::sleep(ATTACHING);
    let before = rig.delivered();
    rig.publish(f64::from(rig.setup.packets_per_second), TRACED)?;
    rig.settle()?;
    let delivered = rig.delivered() - before;
    // An interrupt makes it let go and write its table.
    let pid = libc::pid_t::try_from(tracer.id()).context("a process id")?;
    // SAFETY: the call sends a signal to a child that has not been waited for, so the id is its.
    unsafe { libc::kill(pid, libc::SIGINT) };
    tracer.wait()?;
    let text = std::fs::read_to_string(&file).context("strace wrote nothing")?;
    std::fs::remove_file(&file)?;
    let by_name = parse(&text);
    ensure!(!by_name.is_empty() && delivered > 0, "strace saw nothing: {text}");
    let all: u64 = by_name.iter().map(|(_, count)| count).sum();
    Ok(Some(Calls { per_packet: all as f64 / delivered as f64, by_name }))
}

/// Reads `% time, seconds, usecs/call, calls, errors (may be missing), syscall`.
fn parse(table: &str) -> Vec<(String, u64)> {
    table
        .lines()
        .filter_map(|line| {
            let cells: Vec<&str> = line.split_whitespace().collect();
            let (name, count) = (cells.last()?, cells.get(3)?.parse().ok()?);
            (*name != "total" && cells[0].parse::<f64>().is_ok())
                .then(|| ((*name).to_owned(), count))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn straces_table_is_read() {
        let table = "% time     seconds  usecs/call     calls    errors syscall\n\
            ------ ----------- ----------- --------- --------- ----------------\n\
            98.20    0.100000          10     10000           sendmmsg\n\
            \x20 1.80    0.001000           1       200        12 recvmsg\n\
            ------ ----------- ----------- --------- --------- ----------------\n\
            100.00    0.101000                 10200        12 total\n";
        assert_eq!(parse(table), [("sendmmsg".to_owned(), 10_000), ("recvmsg".to_owned(), 200)]);
    }
}
