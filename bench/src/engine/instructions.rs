//! The gate: instructions the engine executes for a fixed script, counted by callgrind and held
//! against a committed record.
//!
//! Counted is what [`super::meter::counted_turn`] calls, function by function. Left out, so that
//! the count is the same on other machines: everything that is not Rust, which is the crypto library
//! in the program's own file and the C library beside it. Both choose their code by what the
//! processor offers, and valgrind offers less than most. A Rust function has a path for a name.
//! Keys and transaction ids are random, but only their values differ, not the work: counts of one
//! program differ by 0.1 %. They do depend on the compiler, whose version is recorded too.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use super::USUAL;
use super::call::{Call, Script};

/// Growth that is taken for noise or an accident of the compiler.
const GROWTH_MAX: f64 = 1.05;
/// Frames played under valgrind.
const FRAMES: usize = 60;
/// Subscribers of the script.
const SUBSCRIBERS: usize = 20;
const BATCH: u32 = 4;
/// Functions shown when the gate fails.
const SHOWN: usize = 20;

/// What is committed.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    /// The compiler it was counted with.
    rustc: String,
    /// Instructions per forwarded packet, those of the crypto and C libraries left out.
    instructions_per_packet: f64,
    /// The functions most of them are in, per forwarded packet.
    functions: BTreeMap<String, f64>,
}

/// Plays the script; to be run under callgrind.
pub fn play_script() -> Result<()> {
    let script =
        Script { subscribers: SUBSCRIBERS, batch: BATCH, payload_bytes: 1100, feedback: USUAL };
    let mut call = Call::new(script)?;
    let before = call.engine.stats().rtp_out;
    call.play(FRAMES, true)?;
    let forwarded = call.engine.stats().rtp_out - before;
    let expected = (FRAMES * BATCH as usize * SUBSCRIBERS) as u64;
    ensure!(forwarded == expected, "{forwarded} of {expected} packets went on");
    Ok(())
}

/// Counts, and compares with the record or replaces it; true if all is well.
#[allow(clippy::print_stdout, reason = "it is what the command is for")]
pub(super) fn gate(replace: bool) -> Result<bool> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("engine-instructions.json");
    let found = count()?;
    let now = found.instructions_per_packet;
    if replace {
        std::fs::write(&path, serde_json::to_string_pretty(&found)? + "\n")?;
        println!("recorded: {now:.0} instructions per forwarded packet");
        return Ok(true);
    }
    let text = std::fs::read_to_string(&path);
    let known: Record = serde_json::from_str(&text.context("no record: run with --record")?)?;
    let growth = now / known.instructions_per_packet;
    println!(
        "{now:.0} instructions per forwarded packet, {:.0} recorded: {:+.1} %",
        known.instructions_per_packet,
        (growth - 1.0) * 100.0
    );
    if known.rustc != found.rustc {
        println!("recorded with {}, counted with {}", known.rustc, found.rustc);
    }
    let ok = growth <= GROWTH_MAX;
    if !ok {
        println!("more than 5 % grown; what grew most, per packet:");
        for (name, more) in grown(&known, &found) {
            println!("{more:+9.1}  {name}");
        }
        println!("if it is worth it: `cargo xtask bench engine --record`");
    }
    Ok(ok)
}

fn grown(known: &Record, found: &Record) -> Vec<(String, f64)> {
    let more = |(name, count): (&String, &f64)| {
        (name.clone(), count - known.functions.get(name).unwrap_or(&0.0))
    };
    let mut grown: Vec<_> = found.functions.iter().map(more).collect();
    grown.sort_by(|a, b| b.1.total_cmp(&a.1));
    grown.truncate(SHOWN);
    grown
}

fn count() -> Result<Record> {
    let program = std::env::current_exe()?;
    let output = Output::new();
    let status = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no", "--toggle-collect=*counted_turn*"])
        .arg(format!("--callgrind-out-file={}", output.0.display()))
        .arg(&program)
        .arg("engine-script")
        .stderr(Stdio::null())
        .status()
        .context("valgrind is not installed")?;
    ensure!(status.success(), "the script failed under valgrind: {status}");
    let text = std::fs::read_to_string(&output.0)?;
    let counts = self_counts(&text, &program.to_string_lossy());
    let packets = (FRAMES * BATCH as usize * SUBSCRIBERS) as f64;
    let total = counts.values().sum::<u64>();
    if total == 0 {
        bail!("callgrind counted nothing");
    }
    let mut functions: Vec<_> =
        counts.into_iter().map(|(name, count)| (name, count as f64 / packets)).collect();
    functions.sort_by(|a, b| b.1.total_cmp(&a.1));
    functions.truncate(60);
    let round = |n: f64| (n * 10.0).round() / 10.0;
    let rustc = Command::new("rustc").arg("--version").output()?;
    Ok(Record {
        rustc: String::from_utf8_lossy(&rustc.stdout).trim().to_owned(),
        instructions_per_packet: round(total as f64 / packets),
        functions: functions.into_iter().map(|(name, count)| (name, round(count))).collect(),
    })
}

/// Callgrind's file, which is gone afterwards.
struct Output(PathBuf);

impl Output {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("engine-callgrind-{}", std::process::id())))
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // It need not exist.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Instructions in each function itself, of those that count. The format: `ob=`, `fn=` open a
/// section, `(7) name` names a number that stands alone afterwards; a line of two numbers is a
/// cost, but the one behind `calls=` is the callee's.
fn self_counts(text: &str, program: &str) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    let mut objects = HashMap::new();
    let mut functions = HashMap::new();
    let (mut object, mut function) = (String::new(), String::new());
    let mut is_callee = false;
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("ob=") {
            object = resolve(name, &mut objects);
        } else if let Some(name) = line.strip_prefix("cob=") {
            resolve(name, &mut objects);
        } else if let Some(name) = line.strip_prefix("fn=") {
            function = resolve(name, &mut functions);
        } else if let Some(name) = line.strip_prefix("cfn=") {
            resolve(name, &mut functions);
        } else if line.starts_with("calls=") {
            is_callee = true;
        } else if line.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '*')) {
            let cost = line.split(' ').nth(1).and_then(|cost| cost.parse::<u64>().ok());
            if let Some(cost) = cost.filter(|_| !is_callee)
                && object == program
                && function.contains("::")
            {
                *counts.entry(plain(&function).to_owned()).or_default() += cost;
            }
            is_callee = false;
        }
    }
    counts
}

/// Remembers or looks up a compressed name.
fn resolve(text: &str, known: &mut HashMap<String, String>) -> String {
    let Some((number, name)) = text.split_once(')') else { return text.to_owned() };
    let name = name.trim();
    if !name.is_empty() {
        known.insert(number.to_owned(), name.to_owned());
    }
    known.get(number).cloned().unwrap_or_default()
}

/// A function's name without the hash behind it and the recursion depth.
fn plain(name: &str) -> &str {
    let name = name.split('\'').next().unwrap_or(name);
    match name.rsplit_once("::h") {
        Some((before, hash)) if hash.len() == 16 => before,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "events: Ir\n\nob=(1) /bin/bench\nfl=(1) a.rs\nfn=(1) a::b::h0123456789abcdef\n\
        10 100\n+3 20\ncob=(2) /lib/libc.so\ncfn=(2) memcpy\ncalls=3 0\n* 999\n12 5\n\n\
        fn=(3) _aesni_ctr32_6x\n1 400\n\nob=(2)\nfn=(2)\n7 70\n\nob=(1)\nfn=(1)\n13 1\n";

    #[test]
    fn own_instructions_count_and_crypto_and_callees_do_not() {
        let counts = self_counts(FILE, "/bin/bench");
        assert_eq!(counts, BTreeMap::from([("a::b".to_owned(), 126)]));
    }

    #[test]
    fn what_grew_most_comes_first() {
        let record = |functions: &[(&str, f64)]| Record {
            rustc: String::new(),
            instructions_per_packet: 0.0,
            functions: functions.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect(),
        };
        let grown = grown(
            &record(&[("a", 5.0), ("b", 1.0)]),
            &record(&[("a", 6.0), ("b", 4.0), ("c", 2.0)]),
        );
        let names: Vec<_> = grown.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["b", "c", "a"]);
    }
}
