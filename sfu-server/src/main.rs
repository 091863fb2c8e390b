//! The binary: reads the configuration, starts the server, and stops it at a signal. `sfu load`
//! makes load for a server instead.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test"))]

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use sfu_load::scenario::{LoadArgs, Target, run_and_tell};
use sfu_server::config::{Flags, LogFormat, LogSettings, Settings, Variables, load};
use sfu_server::shutdown::Signals;
use tracing_subscriber::EnvFilter;

/// A WebRTC SFU: one UDP port for media; WebSocket, WHIP, WHEP and REST for everything else.
///
/// Without arguments it is a development server: the page at http://127.0.0.1:7880/, media on UDP
/// port 7882, reachable at every address of this machine.
#[derive(Parser)]
#[command(name = "sfu", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(flatten)]
    flags: Flags,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Make load for a server: publishers and subscribers, what arrives, how late, at which cost.
    ///
    /// Works with any server that speaks WHIP and WHEP. Exit code 1 means that a bound was not
    /// held, 2 that there was no measurement.
    Load(Box<Load>),
}

#[derive(Args)]
struct Load {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    load: LoadArgs,
    /// Write the outcome as JSON too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.command {
        Some(Command::Load(load)) => make_load(&load),
        None => be_server(&cli.flags),
    }
}

fn make_load(args: &Load) -> ExitCode {
    let ended =
        tokio::runtime::Runtime::new().context("cannot start threads").and_then(|runtime| {
            runtime.block_on(run_and_tell(&args.load, &args.target, args.json.as_deref()))
        });
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("sfu load: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn be_server(flags: &Flags) -> ExitCode {
    let loaded = match load(flags, &Variables::of_process()) {
        Ok(loaded) => loaded,
        Err(faults) => {
            eprintln!("sfu: the configuration is wrong\n{faults}");
            return ExitCode::FAILURE;
        }
    };
    let settings = loaded.settings;
    let ended = start_logging(&settings.log).and_then(|()| {
        let runtime = tokio::runtime::Runtime::new().context("cannot start threads")?;
        let ended = runtime.block_on(serve(settings));
        // Connections that did not end in time are not waited for.
        runtime.shutdown_background();
        ended
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sfu: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Logs go to stderr; stdout has the addresses only.
fn start_logging(settings: &LogSettings) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&settings.filter).context("log.filter is no filter")?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match settings.format {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().init(),
    }
    Ok(())
}

async fn serve(settings: Settings) -> anyhow::Result<()> {
    let mut signals = Signals::listen().context("cannot listen for signals")?;
    let server = sfu_server::run(settings).await?;
    announce(&server)?;
    signals.next().await;
    tracing::info!("stopping; a second signal ends at once");
    tokio::select! {
        () = server.stop() => Ok(()),
        () = signals.next() => anyhow::bail!("ended by a second signal"),
    }
}

/// One line per address, for people and for programs that started this one.
fn announce(server: &sfu_server::RunningServer) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "http://{}", server.http_addr)?;
    for addr in &server.udp_addrs {
        writeln!(out, "udp {addr}")?;
    }
    out.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn load_is_a_command_and_everything_else_the_server() {
        let cli = Cli::try_parse_from(["sfu", "--udp-port", "1"]).unwrap();
        assert!(cli.command.is_none() && cli.flags.udp_port == Some(1));
        let cli = Cli::try_parse_from(["sfu", "load", "--viewers", "3", "--json", "x"]).unwrap();
        let Some(Command::Load(load)) = cli.command else { panic!() };
        assert_eq!(
            (load.load.subscribers, load.target.url.as_str()),
            (Some(3), "http://127.0.0.1:7880")
        );
        assert!(Cli::try_parse_from(["sfu", "--udp-port", "1", "load"]).is_err());
    }
}
