//! Ends what a browser run left behind.
//!
//! The harness closes its servers and browsers itself; but a test process that is killed for
//! running too long cannot. All of them inherit one environment variable with a value of this run,
//! so they can be told from every other process of the machine.

use std::fs;

use crate::job::Job;

pub(crate) const VARIABLE: &str = "SFU_TEST_RUN";

/// A value that no other run on this machine uses at the same time.
pub(crate) fn run_id() -> String {
    std::process::id().to_string()
}

/// Ends all processes of the run; returns how many there were.
pub(crate) fn end(run_id: &str) -> usize {
    let found = pids_of(run_id);
    let pids = found.iter().map(String::as_str);
    if !found.is_empty() {
        // A process may end by itself meanwhile; kill(1) then complains, and that is all right.
        let _ended_already = Job::new("kill").args(["-KILL"]).args(pids).run();
    }
    found.len()
}

/// Reads `/proc`; where there is none, nothing is found.
fn pids_of(run_id: &str) -> Vec<String> {
    let marker = format!("{VARIABLE}={run_id}");
    let has_marker = |pid: &String| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|entry| entry == marker.as_bytes())
    };
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let pids = names.filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
    pids.filter(has_marker).collect()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn only_processes_of_the_run_are_ended() {
        let run = format!("test-{}", run_id());
        let sleeper = |value: &str| {
            let mut command = Command::new("sleep");
            command.arg("60").env(VARIABLE, value).stdin(Stdio::null()).spawn().expect("sleep")
        };
        let (mut ours, mut other) = (sleeper(&run), sleeper("another run"));

        assert_eq!(end(&run), 1);

        assert!(!ours.wait().expect("was started").success());
        assert!(other.try_wait().expect("was started").is_none(), "the other one still runs");
        other.kill().expect("still runs");
        other.wait().expect("was killed");
        assert_eq!(end(&run), 0);
    }
}
