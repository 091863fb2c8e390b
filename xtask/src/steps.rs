//! The steps of `cargo xtask test`, in the order in which they run.

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, ensure};
use clap::ValueEnum;

use crate::job::Job;
use crate::tally::Tally;
use crate::{footprint, install, leftovers};

/// Cheap and likely to fail first, browsers last: they need everything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Step {
    /// rustfmt changes nothing.
    Fmt,
    /// clippy has no warning.
    Clippy,
    /// Unit, engine and integration tests.
    Test,
    /// The engine takes no more instructions for a packet than is on record.
    Bench,
    /// The documentation builds without warnings.
    Doc,
    /// Types and unit tests of the page and the client library.
    Web,
    /// Page and client library keep their size budgets.
    Sizes,
    /// What `deploy/` has is understood by Helm, Kubernetes' schemas, systemd and the server, which
    /// gets a certificate from a local authority.
    Deploy,
    /// What the server answers is what its OpenAPI document says, whatever it is asked.
    Schema,
    /// The server is small, starts quickly and needs little memory.
    Footprint,
    /// Chromium and Firefox meet in the server that was built.
    Browser,
}

impl Step {
    pub(crate) fn selected(only: &[Self], skip: &[Self]) -> Vec<Self> {
        let wanted = |step: &Self| (only.is_empty() || only.contains(step)) && !skip.contains(step);
        Self::value_variants().iter().copied().filter(wanted).collect()
    }

    fn name(self) -> String {
        let value = self.to_possible_value().expect("no step is hidden");
        value.get_name().to_owned()
    }

    fn run(self) -> Result<Tally> {
        match self {
            Self::Fmt => check(cargo("fmt --all --check")),
            Self::Clippy => {
                check(cargo("clippy --release --workspace --all-targets -- -D warnings"))
            }
            Self::Test => tests(cargo("test --release --workspace --no-fail-fast")),
            Self::Bench => bench(),
            Self::Doc => {
                let doc = cargo("doc --release --workspace --no-deps --document-private-items");
                // Private items are documented here, so links to them lead somewhere.
                let flags = "-D warnings -A rustdoc::private-intra-doc-links";
                check(doc.env("RUSTDOCFLAGS", flags))
            }
            Self::Web => web(),
            Self::Sizes => sizes(),
            Self::Deploy => deploy(),
            Self::Schema => schema(),
            Self::Footprint => footprint::check(),
            Self::Browser => browser(),
        }
    }
}

/// Runs the steps, each with its duration, and prints the summary line.
pub(crate) fn run(steps: &[Step]) -> ExitCode {
    let began = Instant::now();
    let mut total = Tally::default();
    let mut report = Vec::new();

    if let Err(error) = install::expect_tools() {
        println!("{error:#}");
        return summary(Tally::ONE_FAILED);
    }
    for step in steps {
        println!("\n== {} ==", step.name());
        let step_began = Instant::now();
        let tally = step.run().unwrap_or_else(|error| {
            println!("{error:#}");
            Tally::ONE_FAILED
        });
        let seconds = step_began.elapsed().as_secs_f64();
        let verdict = if tally.failed == 0 { "ok" } else { "FAILED" };
        let (name, Tally { passed, failed }) = (step.name(), tally);
        let line =
            format!("{name:<8} {seconds:>7.1} s  {verdict}  {passed} passed, {failed} failed");
        println!("{line}");
        report.push(line);
        total += tally;
    }
    println!("\n== all steps, {:.1} s ==", began.elapsed().as_secs_f64());
    report.iter().for_each(|line| println!("{line}"));
    summary(total)
}

fn summary(total: Tally) -> ExitCode {
    println!("{} passed, {} failed", total.passed, total.failed);
    // A run that tested nothing has proven nothing.
    if total.failed == 0 && total.passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs under valgrind, so it is the count that is judged and not the time.
fn bench() -> Result<Tally> {
    install::valgrind()?;
    // All targets, as for the browsers below.
    let built = cargo("build --release --workspace --all-targets").run()?;
    ensure!(built.success, "the benchmark did not build");
    check(Job::new("target/release/bench").args(["engine", "--check"]))
}

fn web() -> Result<Tally> {
    let folder = Path::new("web-demo");
    install::npm_packages(folder)?;
    install::npm_packages(&folder.join("e2e"))?;
    let mut tally = check(npm("run check").dir(folder))?;
    tally += check(npm("run check").dir(&folder.join("e2e")))?;
    tally += tests(npm("test").dir(folder))?;
    Ok(tally)
}

fn sizes() -> Result<Tally> {
    let folder = Path::new("web-demo");
    install::npm_packages(folder)?;
    check(npm("run size").dir(folder))
}

fn deploy() -> Result<Tally> {
    install::systemd()?;
    let python = install::python_packages("deploy", Path::new("deploy/requirements.txt"))?;
    build_server()?;
    let mut tally = check(Job::new(&python).args(["deploy/check.py", SERVER]))?;
    install::acme_authority()?;
    tally += check(Job::new(&python).args(["deploy/acme_check.py", SERVER]))?;
    Ok(tally)
}

/// A minute and a half at most: runs of 65 s, and what they take to begin.
fn schema() -> Result<Tally> {
    let folder = Path::new("sfu-server/tests/schema");
    let python = install::python_packages("schema", &folder.join("requirements.txt"))?;
    build_server()?;
    let script = folder.join("check.py").display().to_string();
    check(Job::new(&python).args([script.as_str(), SERVER]))
}

/// All targets, for then cargo chooses the same features as for the tests and builds nothing anew
/// after them.
pub(crate) fn build_server() -> Result<()> {
    let built = cargo("build --release --workspace --all-targets").run()?;
    ensure!(built.success, "the server did not build");
    Ok(())
}

/// Where that is.
pub(crate) const SERVER: &str = "target/release/sfu";

fn browser() -> Result<Tally> {
    let folder = Path::new("web-demo/e2e");
    install::browsers()?;
    install::npm_packages(folder)?;
    build_server()?;
    let run_id = leftovers::run_id();
    let tally = tests(npm("test").dir(folder).env(leftovers::VARIABLE, &run_id));
    let left = leftovers::end(&run_id);
    if left > 0 {
        println!("ended {left} processes which the browser tests had left behind");
    }
    tally
}

/// A command whose success is one check.
fn check(job: Job) -> Result<Tally> {
    let success = job.run()?.success;
    Ok(if success { Tally::ONE_PASSED } else { Tally::ONE_FAILED })
}

/// A test runner: counts come from its output, its exit code has the last word.
fn tests(job: Job) -> Result<Tally> {
    let done = job.run()?;
    let mut tally = done.tally;
    if !done.success && tally.failed == 0 {
        tally.failed = 1;
    }
    ensure!(!tally.is_empty(), "the test runner reported no test");
    Ok(tally)
}

fn cargo(args: &str) -> Job {
    Job::new("cargo").args(args.split(' '))
}

fn npm(args: &str) -> Job {
    Job::new("npm").args(args.split(' '))
}
