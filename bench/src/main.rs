//! `bench`: load for an SFU by real WebRTC clients. Exit code 1 means that a figure was missed, 2
//! that the run itself went wrong.

use std::path::PathBuf;
use std::process::ExitCode;

use bench::engine;
use bench::peers;
use bench::run::{churn, load, print_report, publish};
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(version, about)]
struct Cli {
    /// Write the outcome as JSON too.
    #[arg(long, global = true, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Publishers and viewers: what arrives, how late, and at which cost to the server.
    Load(load::LoadArgs),
    /// One WHIP publisher and nothing else.
    Publish(publish::PublishArgs),
    /// Participants that join and leave: what stays behind.
    Churn(churn::ChurnArgs),
    /// The engine alone: CPU time per forwarded packet, without a socket.
    Engine(engine::EngineArgs),
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
        Command::Load(args) => print_report(&load::run(&args).await?, json),
        Command::Publish(args) => print_report(&publish::run(&args).await?, json),
        Command::Churn(args) => print_report(&churn::run(&args).await?, json),
        Command::Peers(args) => peers::run(&args, json).await,
        Command::Engine(args) => {
            let costs = engine::run(&args)?;
            engine::print(&costs);
            if let Some(path) = json {
                std::fs::write(path, serde_json::to_vec_pretty(&costs)?)?;
            }
            Ok(true)
        }
    }
}
