//! `bench all`: every measurement, one after the other, each a program run of its own, then the
//! tables in `bench/RESULTS.md` and on the README. Takes about ten minutes; best with nothing else
//! running.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::Result;
use clap::Args;

use crate::results::refresh_summaries;

/// The measurements, by their arguments; what they need beside this program and `sfu`.
const STEPS: [(&str, Option<&str>); 14] = [
    ("engine", None),
    ("engine --check", Some("valgrind")),
    ("floors --rounds 3", None),
    ("floors --burst 8 --rounds 3", None),
    ("floors --burst 40 --rounds 3", None),
    ("fanout --strace", None),
    ("fanout --burst 8", None),
    ("fanout --burst 40", None),
    ("fanout --media audio --payload 100", None),
    ("fanout --idle-rooms 1000", None),
    ("scale --rounds 3", None),
    ("cores", Some("sfu --workers")),
    ("delay --rooms 20 --subscribers 200 --packets-per-second 200", None),
    ("delay", None),
];

/// Which of them.
#[derive(Debug, Args)]
pub struct AllArgs {
    /// Only those whose command begins with this; may be repeated.
    #[arg(long, value_name = "COMMAND")]
    only: Vec<String>,
}

/// Runs them. True if all could be run; figures that were missed are in the tables.
#[allow(clippy::print_stdout, reason = "it is what the command is for")]
pub fn run(args: &AllArgs, results: Option<&Path>) -> Result<bool> {
    let program = std::env::current_exe()?;
    let began = Instant::now();
    let mut report = Vec::new();
    let mut all_ran = true;
    for (step, needs) in STEPS {
        if !args.only.is_empty() && !args.only.iter().any(|only| step.starts_with(only.as_str())) {
            continue;
        }
        if let Some(missing) = needs.filter(|needed| !is_there(needed)) {
            report.push(format!("{step}: skipped, no {missing} here"));
            continue;
        }
        println!("\n== {step} ==\n");
        let step_began = Instant::now();
        let mut command = Command::new(&program);
        command.args(step.split(' '));
        if let Some(folder) = results {
            command.arg("--results").arg(folder);
        }
        let outcome = match command.status()?.code() {
            Some(0) => "done",
            Some(1) => "done, a goal was missed",
            _ => {
                all_ran = false;
                "FAILED"
            }
        };
        report.push(format!("{step}: {outcome}, {:.0} s", step_began.elapsed().as_secs_f64()));
    }
    if results.is_none() {
        refresh_summaries()?;
    }
    println!("\n== {:.0} s ==", began.elapsed().as_secs_f64());
    report.iter().for_each(|line| println!("{line}"));
    Ok(all_ran)
}

/// Whether a program is installed, or `sfu` knows an option.
fn is_there(needed: &str) -> bool {
    let (program, option) = needed.split_once(' ').unwrap_or((needed, "--version"));
    let built = std::env::current_exe().map(|own| own.with_file_name(program));
    let program = built.ok().filter(|path| path.exists()).unwrap_or_else(|| program.into());
    let output = Command::new(program).arg("--help").output();
    output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(option))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_known_to_be() {
        assert!(is_there("ls"));
        assert!(is_there("ls --all") && !is_there("ls --workers"));
        assert!(!is_there("no-such-program-anywhere"));
    }
}
