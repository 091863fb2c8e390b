//! `bench`: load for an SFU by real WebRTC clients. Exit code 1 means that a figure was missed, 2
//! that the run itself went wrong.

use std::path::PathBuf;
use std::process::ExitCode;

use bench::run::{churn, lean, load, print_report, publish};
use bench::{all, cores, delay, engine, fanout, floor, peers, scale};
use clap::{Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: bench::alloc::Counting = bench::alloc::Counting;

#[derive(Parser)]
#[command(version, about)]
struct Cli {
    /// Write the outcome as JSON too (`load`, `publish`, `churn`).
    #[arg(long, global = true, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Where the others write their tables, instead of `bench/results`.
    #[arg(long, global = true, value_name = "FOLDER")]
    results: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Publishers and subscribers, thousands of them: what arrives, how late, and at which cost to
    /// the server.
    Load(Box<lean::LeanArgs>),
    /// The same with full WebRTC clients of another stack: some tens of them.
    LoadFull(load::LoadArgs),
    /// One WHIP publisher and nothing else.
    Publish(publish::PublishArgs),
    /// Participants that join and leave: what stays behind.
    Churn(churn::ChurnArgs),
    /// The engine alone: CPU time, allocations and memory without a socket; with `--check` the
    /// instructions, held against the record.
    Engine(engine::EngineArgs),
    /// All measurements against floors, and the tables in RESULTS.md and README.md.
    All(all::AllArgs),
    /// What `engine --check` runs under valgrind.
    #[command(hide = true)]
    EngineScript,
    /// The least that forwarding costs on this machine.
    Floors(floor::FloorsArgs),
    /// Be a floor: a program that forwards to whoever asks, and does nothing else.
    Floor(floor::FloorArgs),
    /// What a forwarded packet costs the server, against the floors.
    Fanout(fanout::FanoutArgs),
    /// The same, for few and for many subscribers.
    Scale(scale::ScaleArgs),
    /// How long a packet takes through the server at given loads.
    Delay(delay::DelayArgs),
    /// What a second worker gains.
    Cores(cores::CoresArgs),
    /// This server and others under the same load: packets per second of CPU time.
    Peers(peers::PeersArgs),
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Cli::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::from(2)
        }
    }
}

async fn run(cli: Cli) -> anyhow::Result<bool> {
    let json = cli.json.as_deref();
    match cli.command {
        Command::Load(args) => print_report(&lean::run(&args).await?, json),
        Command::LoadFull(args) => print_report(&load::run(&args).await?, json),
        Command::Publish(args) => print_report(&publish::run(&args).await?, json),
        Command::Churn(args) => print_report(&churn::run(&args).await?, json),
        Command::Floors(args) => floor::run(&args, cli.results.as_deref()).await,
        Command::Floor(args) => floor::serve(&args).map(|()| true),
        Command::Fanout(args) => fanout::run(&args, cli.results.as_deref()).await,
        Command::Scale(args) => scale::run(&args, cli.results.as_deref()).await,
        Command::Delay(args) => delay::run(&args, cli.results.as_deref()).await,
        Command::Cores(args) => cores::run(&args, cli.results.as_deref()).await,
        Command::Engine(args) => engine::run(&args, cli.results.as_deref()),
        Command::All(args) => all::run(&args, cli.results.as_deref()),
        Command::EngineScript => engine::play_script().map(|()| true),
        Command::Peers(args) => peers::run(&args, cli.results.as_deref()).await,
    }
}
