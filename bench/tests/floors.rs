//! The floors, driven as a user drives them.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::process::Command;

use serde_json::Value;

#[test]
fn floors_deliver_every_packet_to_everybody_and_runs_cost_less() {
    let folder = std::env::temp_dir().join(format!("floors-{}", std::process::id()));
    let status = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(["floors", "--subscribers", "20", "--burst", "8", "--packets-per-second", "800"])
        .args(["--rounds", "2", "--round", "500ms", "--results"])
        .arg(&folder)
        .status()
        .unwrap();
    assert!(status.success());
    let text = std::fs::read_to_string(folder.join("floors-burst-8.json")).unwrap();
    let found: Value = serde_json::from_str(&text).unwrap();
    let rounds = |at: usize| found["raw"]["rounds"][at]["rounds"].as_array().unwrap().clone();
    for round in rounds(0).iter().chain(&rounds(1)) {
        assert_eq!(round["published"], 400);
        assert_eq!(round["delivered"], 400 * 20);
    }
    let cpu = |at: usize| rounds(at).iter().map(|r| r["cpu_s"].as_f64().unwrap()).sum::<f64>();
    assert!(cpu(1) < 0.8 * cpu(0), "a run of 8 is one walk through the kernel: {found}");
    assert!(std::fs::read_to_string(folder.join("floors-burst-8.md")).unwrap().contains("| F2 |"));
    std::fs::remove_dir_all(folder).unwrap();
}
