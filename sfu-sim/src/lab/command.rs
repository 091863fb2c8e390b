//! `sfu-sim lab …`: runs cases and prints their tables.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use super::case::{Case, Kind};
use super::catalogue::catalogue;
use super::report::{Figures, Row, head};
use crate::plot;

const BEGIN: &str = "<!-- lab -->";
const END: &str = "<!-- end of lab -->";

const USAGE: &str =
    "usage: sfu-sim lab [CASE …] [--seeds N] [--seed S] [--controller ours|stock|str0m|all]
                   [--plot DIR] [--markdown] [--results FILE]

Runs the cases of the congestion lab whose names begin with CASE, or all, with the seeds S, S+1 …
(N of them; 20 from 1 without), and prints a Markdown table of median and worst. --plot draws the
first seed of each run; --markdown prints what the cells mean, too; --results puts that and the table
in FILE, between its two marks. With --list, prints the cases. Ends with 1
if a goal is missed by our own controller.";

#[derive(Debug)]
struct Arguments {
    cases: Vec<Case>,
    kinds: Vec<Kind>,
    seeds: std::ops::Range<u64>,
    plots: Option<PathBuf>,
    markdown: bool,
    results: Option<PathBuf>,
}

/// Runs the command with the words behind `lab`.
#[must_use]
pub fn main(words: impl Iterator<Item = String>) -> ExitCode {
    let words: Vec<String> = words.collect();
    if words.iter().any(|word| word == "--help") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let arguments = match parse(words.into_iter()) {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            for case in catalogue() {
                println!("{:18} {}", case.name, case.about);
            }
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("{error}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let mut page = String::new();
    if arguments.markdown || arguments.results.is_some() {
        page.push_str(&preface(&arguments));
    }
    page.push_str(&head(&arguments.kinds));
    let mut holds = true;
    for case in &arguments.cases {
        let row = run(case, &arguments);
        holds &= row.holds();
        page.push_str(&row.lines());
        if let Some(folder) = &arguments.plots
            && let Err(error) = draw(case, &arguments, folder)
        {
            eprintln!("{}: {error}", folder.display());
            return ExitCode::from(2);
        }
    }
    if let Some(file) = &arguments.results
        && let Err(error) = replace(file, &page)
    {
        eprintln!("{}: {error}", file.display());
        return ExitCode::from(2);
    }
    print!("{page}");
    if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run(case: &Case, arguments: &Arguments) -> Row {
    let figures = arguments.kinds.iter().map(|&kind| {
        let started = Instant::now();
        let figures = Figures::of(case, kind, arguments.seeds.clone());
        let runs = u32::try_from(figures.by_check.first().map_or(0, Vec::len)).unwrap_or(0);
        let speed = (case.lasts * runs).as_secs_f64() / started.elapsed().as_secs_f64();
        match figures.excuse {
            Some(excuse) => eprintln!("{} {}: not run: {excuse}", case.name, kind.name()),
            None => eprintln!("{} {}: {speed:.0} times real time", case.name, kind.name()),
        }
        figures
    });
    Row { case: case.clone(), figures: figures.collect() }
}

fn draw(case: &Case, arguments: &Arguments, folder: &Path) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    for &kind in arguments.kinds.iter().filter(|&&kind| case.excuse(kind).is_none()) {
        let seed = arguments.seeds.start;
        let course = case.run(kind, seed);
        let name = format!("{}-{}-{seed}.svg", case.name, kind.name());
        fs::write(folder.join(name), plot::course(case, kind, seed, &course))?;
    }
    Ok(())
}

/// Puts a page between the marks of a file.
fn replace(file: &Path, page: &str) -> std::io::Result<()> {
    let text = fs::read_to_string(file)?;
    let missing = || std::io::Error::other(format!("it lacks {BEGIN} … {END}"));
    let (before, rest) = text.split_once(BEGIN).ok_or_else(missing)?;
    let (_, behind) = rest.split_once(END).ok_or_else(missing)?;
    fs::write(file, format!("{before}{BEGIN}\n{page}{END}{behind}"))
}

fn preface(arguments: &Arguments) -> String {
    let seeds = arguments.seeds.end - arguments.seeds.start;
    format!(
        "Each cell: median / worst of {seeds} seeds; ✗ the worst misses the goal, ✗✗ the median \
         too; `n/a` cannot be run.\n\n"
    )
}

/// `None`: the cases are to be listed.
fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Arguments>, String> {
    let mut cases: Vec<Case> = Vec::new();
    let (mut first, mut count, mut kinds) = (1u64, 20u64, vec![Kind::Ours]);
    let (mut plots, mut markdown, mut results) = (None, false, None);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        match word.as_str() {
            "--seeds" => count = number(&value()?)?,
            "--seed" => first = number(&value()?)?,
            "--controller" => kinds = controllers(&value()?)?,
            "--plot" => plots = Some(PathBuf::from(value()?)),
            "--markdown" => markdown = true,
            "--results" => results = Some(PathBuf::from(value()?)),
            "--list" => return Ok(None),
            name => {
                let before = cases.len();
                cases.extend(catalogue().into_iter().filter(|case| case.name.starts_with(name)));
                if cases.len() == before {
                    return Err(format!("no case {name}; --list shows them"));
                }
            }
        }
    }
    if cases.is_empty() {
        cases = catalogue();
    }
    let end = first.checked_add(count.max(1)).ok_or("too many seeds")?;
    Ok(Some(Arguments { cases, kinds, seeds: first..end, plots, markdown, results }))
}

fn number(value: &str) -> Result<u64, String> {
    value.parse().map_err(|_| format!("{value}: not a number"))
}

fn controllers(value: &str) -> Result<Vec<Kind>, String> {
    match value {
        "ours" => Ok(vec![Kind::Ours]),
        "stock" => Ok(vec![Kind::Stock]),
        "str0m" => Ok(vec![Kind::Str0m]),
        "all" => Ok(vec![Kind::Ours, Kind::Stock, Kind::Str0m]),
        other => Err(format!("{other}: not a controller")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Option<Arguments>, String> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn words_choose_cases_seeds_and_controllers() {
        let arguments = parsed("5.3 idle --seeds 3 --seed 7 --controller all").expect("valid");
        let arguments = arguments.expect("no list was asked for");
        let names: Vec<_> = arguments.cases.iter().map(|case| case.name).collect();
        assert_eq!(names, ["5.3", "idle", "idle-layers"]);
        assert_eq!(arguments.seeds, 7..10);
        assert_eq!(arguments.kinds, [Kind::Ours, Kind::Stock, Kind::Str0m]);
        assert!(parsed("--list").expect("valid").is_none());
    }

    #[test]
    fn what_is_not_understood_is_told() {
        for line in ["5.9", "--seeds", "--seeds many", "--controller theirs"] {
            assert!(parsed(line).is_err(), "{line}");
        }
    }
}
