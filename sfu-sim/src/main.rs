//! `sfu-sim [scenario] [--seeds N] [--seed S]`: runs scenarios and prints a table.
#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::time::Instant;

use sfu_sim::scenario::{Outcome, Scenario, catalogue, run, table};

const USAGE: &str = "usage: sfu-sim [SCENARIO] [--seeds N] [--seed S]
       sfu-sim lab …      (the congestion lab: sfu-sim lab --help)

Runs SCENARIO, or all of them, with the seeds S, S+1 … (N of them; 1 from 1 without), and prints
a Markdown table. With --list, prints the scenarios. Ends with 1 if a check does not hold.";

struct Arguments {
    scenarios: Vec<Scenario>,
    seeds: std::ops::Range<u64>,
}

fn main() -> ExitCode {
    if std::env::args().nth(1).is_some_and(|word| word == "lab") {
        return sfu_sim::lab::command::main(std::env::args().skip(2));
    }
    let Arguments { scenarios, seeds } = match parse(std::env::args().skip(1)) {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            for scenario in catalogue() {
                println!("{:16} {}", scenario.name, scenario.about);
            }
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("{error}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let mut outcomes: Vec<Outcome> = Vec::new();
    for scenario in &scenarios {
        for seed in seeds.clone() {
            let started = Instant::now();
            let outcome = run(scenario, seed);
            eprintln!(
                "{} seed {seed}: hash {:016x}, {} datagrams, {:.0} times real time",
                scenario.name,
                outcome.hash,
                outcome.datagrams,
                scenario.lasts.as_secs_f64() / started.elapsed().as_secs_f64(),
            );
            outcomes.push(outcome);
        }
    }
    print!("{}", table(&outcomes));
    if outcomes.iter().all(Outcome::holds) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// `None`: the scenarios are to be listed.
fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Arguments>, String> {
    let (mut scenarios, mut first, mut count) = (Vec::new(), 1u64, 1u64);
    while let Some(word) = words.next() {
        let mut number = || {
            let value = words.next().ok_or(format!("{word} needs a number"))?;
            value.parse().map_err(|_| format!("{word} {value}: not a number"))
        };
        match word.as_str() {
            "--seeds" => count = number()?,
            "--seed" => first = number()?,
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
    Ok(Some(Arguments { scenarios, seeds: first..end }))
}
