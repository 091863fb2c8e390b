//! `bench peers`: this server and other SFUs under the same load in interleaved rounds, compared by
//! the packets they deliver per second of CPU time.
//!
//! The others are in `bench/peers`, each behind WHIP and WHEP; see its README for what they are.
//! All of them, and the load, run in a network namespace of their own with an address that is not
//! of the loopback, since Janus takes no other.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use clap::Args;

use crate::run::print_report;

mod contender;
mod install;
mod measure;
mod namespace;
mod report;

pub use contender::Contender;
pub use measure::Sample;
pub use report::Comparison;

/// What to compare, and under which load.
#[derive(Clone, Debug, Args)]
pub struct PeersArgs {
    /// Install and build what is missing, and measure nothing.
    #[arg(long)]
    install: bool,
    /// Only these; may be repeated. All that are installed otherwise.
    #[arg(long, value_enum)]
    only: Vec<Contender>,
    /// Viewers of the one publisher; may be repeated.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000), default_values_t = [50, 100])]
    viewers: Vec<u32>,
    /// Rounds that count; one more goes before them that does not.
    #[arg(long, default_value_t = 6)]
    rounds: u32,
    /// The publisher's video, as `sfu load` takes it.
    #[arg(long, default_value = "2mbps")]
    bitrate: String,
    /// Longest video packet, in bytes.
    #[arg(long, default_value_t = 1200)]
    packet_size: u32,
    /// The measured time of a round, in seconds.
    #[arg(long, default_value_t = 8)]
    seconds: u32,
    /// Each viewer throws away one in N video packets and has to get them by NACK; 0: none.
    #[arg(long, default_value_t = 0)]
    lose_one_in: u32,
    /// Our server's program.
    #[arg(long, default_value = "target/release/sfu")]
    sfu: PathBuf,
    /// The program whose `load` makes the load; our server's if not given.
    #[arg(long)]
    load: Option<PathBuf>,
}

impl PeersArgs {
    fn load(&self) -> &PathBuf {
        self.load.as_ref().unwrap_or(&self.sfu)
    }

    fn wanted(&self) -> Vec<Contender> {
        if self.only.is_empty() { Contender::ALL.to_vec() } else { self.only.clone() }
    }
}

/// Where results go if nobody says otherwise.
const RESULTS: &str = "bench/results";

/// Installs, or measures, prints and writes `peers.md` and `peers.json` to the folder `results`;
/// true if nothing failed.
pub async fn run(args: &PeersArgs, results: Option<&Path>) -> anyhow::Result<bool> {
    if args.install {
        install::all(&args.wanted())?;
        return Ok(true);
    }
    ensure!(args.rounds > 0 && args.seconds > 0, "--rounds and --seconds must not be 0");
    if !namespace::entered() {
        return namespace::run_again_inside();
    }
    namespace::set_up()?;
    ensure!(args.load().exists(), "{} is not built", args.load().display());
    let mut contenders = Vec::new();
    for contender in args.wanted() {
        match contender.lacks(args) {
            None => contenders.push(contender),
            Some(what) => println!("skipping {}: {what}", contender.name()),
        }
    }
    ensure!(!contenders.is_empty(), "nothing is installed: `cargo xtask bench peers --install`");
    let samples = measure::all(args, &contenders).await?;
    let comparison = Comparison::new(args, &contenders, samples);
    let folder = results.unwrap_or(Path::new(RESULTS));
    comparison.write(folder).with_context(|| format!("writing to {}", folder.display()))?;
    print_report(&comparison, None)
}
