//! Replays what fuzzing has found worth keeping, and what broke something once.

use std::fs;
use std::path::Path;

#[path = "../../fuzz/targets.rs"]
mod targets;

fn replay(name: &str, target: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(name);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .map(|entry| entry.expect("the folder can be read").path())
        .collect();
    files.sort();
    assert!(!files.is_empty(), "an empty corpus tests nothing");
    for file in files {
        println!("{}", file.display());
        target(&fs::read(&file).expect("the file can be read"));
    }
}

#[test]
fn offers() {
    replay("offer", targets::offer);
}

#[test]
fn packets() {
    replay("packet", targets::packet);
}

#[test]
fn payloads() {
    replay("payload", targets::payload);
}

#[test]
fn rtcp() {
    replay("rtcp", targets::rtcp);
}

#[test]
fn calls() {
    replay("call", targets::call);
}
