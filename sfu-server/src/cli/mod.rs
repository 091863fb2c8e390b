//! What the binary can be asked to do.

mod config;
mod dev;
mod doctor;
mod keys;
mod lines;
mod load;
mod log;
#[cfg(feature = "otlp")]
mod otlp;
mod ports;
mod serve;
mod token;
mod watch;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use sfu_server::config::{Flags, Loaded, Variables};

/// A WebRTC SFU: one UDP port for media; WebSocket, WHIP, WHEP and REST for everything else.
///
/// Without arguments it is a development server: the page at http://127.0.0.1:7880/, media on UDP
/// port 7882, reachable at every address of this machine.
#[derive(Parser)]
#[command(name = "sfu", version, args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    dev: Dev,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// A development server: anybody may join, the addresses are printed, nobody is contacted.
    /// This is what happens without a command too.
    Dev(Box<Dev>),
    /// A production server: does what is configured, and starts only if somebody decided who may
    /// join.
    Serve(Box<Serve>),
    /// The configuration: whether it is right, and what is in force.
    Config {
        #[command(subcommand)]
        command: config::ConfigCommand,
    },
    /// Keys that sign tokens.
    Keys {
        #[command(subcommand)]
        command: keys::KeysCommand,
    },
    /// A token that lets somebody into a room, signed with a key of the configuration.
    Token(Box<token::Token>),
    /// What to open in a firewall.
    Ports(Box<Flags>),
    /// Whether this machine is ready for the server as configured: sockets, buffers, file limits,
    /// addresses, clock, certificate. Exit code 1 if something will not work.
    Doctor(Box<Flags>),
    /// Make load for a server: publishers and subscribers, what arrives, how late, at which cost.
    ///
    /// Works with any server that speaks WHIP and WHEP. Exit code 1 means that a bound was not
    /// held, 2 that there was no measurement.
    Load(Box<load::Load>),
}

/// Flags of the development server.
#[derive(Args)]
struct Dev {
    #[command(flatten)]
    flags: Flags,
    /// For phones and others on this network: listen at all addresses, with HTTPS by a certificate
    /// made for them. Browsers warn once.
    #[arg(long)]
    lan: bool,
}

/// Flags of the production server.
#[derive(Args)]
struct Serve {
    #[command(flatten)]
    flags: Flags,
    /// Let anybody who reaches the HTTP port join and administer.
    #[arg(long)]
    open: bool,
}

/// Does what the command line says.
pub(crate) fn run() -> ExitCode {
    let cli = Cli::parse();
    match cli.command {
        None => dev::run(&cli.dev),
        Some(Command::Dev(dev)) => dev::run(&dev),
        Some(Command::Serve(serve)) => serve::run(serve),
        Some(Command::Config { command }) => config::run(&command),
        Some(Command::Keys { command }) => keys::run(&command),
        Some(Command::Token(token)) => token::run(&token),
        Some(Command::Ports(flags)) => with_settings(&flags, ports::run),
        Some(Command::Doctor(flags)) => with_settings(&flags, doctor::run),
        Some(Command::Load(load)) => load::run(&load),
    }
}

/// The configuration of this process, or a complaint on stderr.
fn settings(flags: &Flags) -> Option<Loaded> {
    match sfu_server::config::load(flags, &Variables::of_process()) {
        Ok(loaded) => Some(loaded),
        Err(faults) => {
            eprintln!("sfu: the configuration is wrong\n{faults}");
            None
        }
    }
}

fn with_settings(flags: &Flags, run: impl FnOnce(&Loaded) -> ExitCode) -> ExitCode {
    settings(flags).map_or(ExitCode::FAILURE, |loaded| run(&loaded))
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
        assert!(cli.command.is_none() && cli.dev.flags.udp_port == Some(1));
        let cli = Cli::try_parse_from(["sfu", "load", "--viewers", "3", "--json", "x"]).unwrap();
        assert!(matches!(cli.command, Some(Command::Load(_))));
        let cli = Cli::try_parse_from(["sfu", "serve", "--open", "--udp-port", "1"]).unwrap();
        assert!(matches!(cli.command, Some(Command::Serve(serve)) if serve.open));
        assert!(Cli::try_parse_from(["sfu", "--udp-port", "1", "load"]).is_err());
        assert!(Cli::try_parse_from(["sfu", "config"]).is_err());
    }
}
