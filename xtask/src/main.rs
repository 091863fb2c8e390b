//! Developer commands: `cargo xtask test`, `browsers`, `sizes`, `sim`, `bench`.
//!
//! `test` is what CI runs: it installs what a fresh machine lacks, runs every check, and ends with
//! one line that says how many passed. A failing check does not hide the ones after it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail, ensure};
use clap::{Parser, Subcommand};

mod footprint;
mod install;
mod job;
mod leftovers;
mod steps;
mod tally;

use job::Job;
use steps::Step;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Developer commands of this workspace")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what is missing, run all checks and tests, print one summary line.
    Test {
        /// Run only these steps; may be repeated.
        #[arg(long, value_name = "STEP")]
        only: Vec<Step>,
        /// Run all but these steps; may be repeated.
        #[arg(long, value_name = "STEP", conflicts_with = "only")]
        skip: Vec<Step>,
    },
    /// Install the browsers and npm packages which the tests need.
    Browsers,
    /// Print what the server takes before anybody joins (size, memory, time to start), and hold it
    /// to its budgets.
    Footprint,
    /// Print the gzip sizes of the page and the client library, and hold them to their budgets.
    Sizes,
    /// Run the simulator: `cargo xtask sim …` is `cargo run --release -p sfu-sim -- …`.
    #[command(disable_help_flag = true)]
    Sim {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Run the benchmarks: `cargo xtask bench …` is `cargo run --release -p bench -- …`, with the
    /// server built first if it is measured.
    #[command(disable_help_flag = true)]
    Bench {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
}

fn main() -> Result<ExitCode> {
    std::env::set_current_dir(root())?;
    match Args::parse().command {
        Command::Test { only, skip } => {
            return Ok(steps::run(&Step::selected(&only, &skip)));
        }
        Command::Browsers => {
            install::browsers()?;
            install::npm_packages(Path::new("web-demo/e2e"))?;
        }
        Command::Footprint => return Ok(steps::run(&[Step::Footprint])),
        Command::Sizes => return Ok(steps::run(&[Step::Sizes])),
        Command::Sim { args } => pass_through("sfu-sim", lab_features(&args), &args)?,
        Command::Bench { args } => {
            if args.first().is_some_and(|command| BENCHES_OF_SERVER.contains(&command.as_str())) {
                let build = ["build", "--quiet", "--release", "--package", "sfu-server"];
                ensure!(Job::new("cargo").args(build).run()?.success, "the server did not build");
            }
            pass_through("bench", &[], &args)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Benchmarks that start the server which stands beside them.
const BENCHES_OF_SERVER: [&str; 5] = ["all", "cores", "delay", "fanout", "scale"];

/// The top of the workspace: paths in this program are relative to it.
fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().expect("xtask is a folder of the workspace").to_path_buf()
}

/// str0m is built only when the lab is asked to run it.
fn lab_features(args: &[String]) -> &'static [&'static str] {
    let mut words = args.iter().skip_while(|word| *word != "--controller").skip(1);
    let wanted = words.next().is_some_and(|kind| kind == "str0m" || kind == "all");
    if wanted { &["--features", "str0m"] } else { &[] }
}

fn pass_through(package: &str, features: &[&str], args: &[String]) -> Result<()> {
    let run = ["run", "--quiet", "--release", "--package", package];
    let run = run.into_iter().chain(features.iter().copied()).chain(["--"]);
    let done = Job::new("cargo").args(run).args(args.iter().map(String::as_str)).run()?;
    if !done.success {
        bail!("{package} failed");
    }
    Ok(())
}
