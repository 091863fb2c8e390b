//! `sfu-sim [scenario] [--seeds N] [--seed S] [--encrypted] [--series FILE]`: runs scenarios and
//! prints a table. `sfu-sim speed`: how fast the world turns.
#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use sfu_core::transport::Security;
use sfu_sim::scenario::{Manner, Outcome, Scenario, catalogue, csv, run_all, table};
use sfu_sim::speed;

const USAGE: &str =
    "usage: sfu-sim [SCENARIO] [--seeds N] [--seed S] [--encrypted] [--series FILE]
               [--decisions] | speed
       sfu-sim lab …      (the congestion lab: sfu-sim lab --help)

Runs SCENARIO, or all of them, with the seeds S, S+1 … (N of them; 1 from 1 without) on all
processors, and prints a Markdown table: of each check the median and the worst figure of all seeds.
With --encrypted, media is really encrypted. With --series, writes what happened every 100 ms as
CSV; with --decisions, prints what the engine says of each participant in the end. With --list, prints the scenarios. Ends with 1 if a check does not hold of a scenario that is
not marked as not passed yet.

speed prints how fast the world turns.";

struct Arguments {
    scenarios: Vec<Scenario>,
    manners: Vec<Manner>,
    series: Option<String>,
    decisions: bool,
}

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("speed") => {
            print!("{}", speed::table(Duration::from_secs(20)));
            return ExitCode::SUCCESS;
        }
        Some("lab") => return sfu_sim::lab::command::main(std::env::args().skip(2)),
        _ => {}
    }
    let Arguments { scenarios, manners, series, decisions } = match parse(std::env::args().skip(1))
    {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            catalogue().iter().for_each(|scenario| println!("{}", scenario.summary()));
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("{error}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let mut outcomes: Vec<Outcome> = Vec::new();
    for scenario in &scenarios {
        let started = Instant::now();
        let runs = run_all(scenario, &manners);
        let virtual_time = scenario.lasts.as_secs_f64() * manners.len() as f64;
        eprintln!(
            "{}: {} seeds, {:.0} times real time",
            scenario.name,
            manners.len(),
            virtual_time / started.elapsed().as_secs_f64(),
        );
        for run in &runs {
            eprintln!("  seed {}: hash {:016x}, {} datagrams", run.seed, run.hash, run.datagrams);
        }
        outcomes.extend(runs);
    }
    for outcome in outcomes.iter().filter(|_| decisions) {
        for (who, why) in &outcome.decisions {
            println!("{} seed {}: {who}\n{why:#?}", outcome.name, outcome.seed);
        }
    }
    print!("{}", table(&outcomes));
    if let Some(file) = series
        && let Err(error) = std::fs::write(&file, csv(&outcomes))
    {
        eprintln!("{file}: {error}");
        return ExitCode::from(2);
    }
    let holds = |outcome: &Outcome| outcome.pending || outcome.holds();
    if outcomes.iter().all(holds) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// `None`: the scenarios are to be listed.
fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Arguments>, String> {
    let (mut scenarios, mut first, mut count) = (Vec::new(), 1u64, 1u64);
    let (mut security, mut series, mut decisions) = (Security::Plain, None, false);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        let number = |value: String| value.parse().map_err(|_| format!("{value}: not a number"));
        match word.as_str() {
            "--seeds" => count = number(value()?)?,
            "--seed" => first = number(value()?)?,
            "--encrypted" => security = Security::Full,
            "--series" => series = Some(value()?),
            "--decisions" => decisions = true,
            "--list" => return Ok(None),
            name => {
                let known = catalogue().into_iter().find(|scenario| scenario.name == name);
                scenarios.push(known.ok_or(format!("no scenario {name}; --list shows them"))?);
            }
        }
    }
    if scenarios.is_empty() {
        scenarios = catalogue();
    }
    let end = first.checked_add(count).ok_or("too many seeds")?;
    let manner = |seed| Manner { seed, security, sampled: series.is_some() || decisions };
    let manners = (first..end).map(manner).collect();
    Ok(Some(Arguments { scenarios, manners, series, decisions }))
}
