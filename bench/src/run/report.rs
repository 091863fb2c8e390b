//! [`Report`]: the outcome of a run as Markdown for people and JSON for machines.

use std::path::Path;

use serde::Serialize;
use serde_json::Value;

/// What a sub-command found.
pub trait Report: Serialize {
    /// For people.
    fn markdown(&self) -> String;
    /// Why the run is a failure, one line each.
    fn failures(&self) -> Vec<String>;
}

/// Prints the report, writes its JSON if a path is given; true if nothing failed.
pub fn print_report(report: &impl Report, json: Option<&Path>) -> anyhow::Result<bool> {
    println!("{}", report.markdown());
    let failures = report.failures();
    for failure in &failures {
        println!("**FAILED**: {failure}");
    }
    if let Some(path) = json {
        let mut value = serde_json::to_value(report)?;
        value["command"] = Value::from(std::env::args().collect::<Vec<_>>().join(" "));
        value["machine"] = Value::from(machine());
        value["failures"] = Value::from(failures.clone());
        std::fs::write(path, serde_json::to_string_pretty(&value)?)?;
    }
    Ok(failures.is_empty())
}

/// Kernel and processor, as far as `/proc` tells.
fn machine() -> String {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let models: Vec<_> = cpuinfo
        .lines()
        .filter(|line| line.starts_with("model name"))
        .filter_map(|line| line.split_once(": "))
        .map(|(_, model)| model)
        .collect();
    let model = models.first().copied().unwrap_or("unknown processor");
    format!("Linux {}, {} x {model}", kernel.trim(), models.len())
}
