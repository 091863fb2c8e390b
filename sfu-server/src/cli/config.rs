//! `sfu config check`, `sfu config print`

use std::process::ExitCode;

use clap::Subcommand;
use sfu_server::config::{Flags, print};

#[derive(Subcommand)]
pub(super) enum ConfigCommand {
    /// Say what is wrong with the configuration: nothing, or everything at once.
    Check(Box<Flags>),
    /// Print the settings in force as a configuration file, each with where it comes from. Secrets
    /// are masked.
    Print(Box<Flags>),
}

pub(super) fn run(command: &ConfigCommand) -> ExitCode {
    let (ConfigCommand::Check(flags) | ConfigCommand::Print(flags)) = command;
    super::with_settings(flags, |loaded| {
        match command {
            ConfigCommand::Check(_) => println!("the configuration is right"),
            ConfigCommand::Print(_) => print!("{}", print(loaded)),
        }
        ExitCode::SUCCESS
    })
}
