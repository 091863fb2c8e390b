//! The binary: a server, or one of the commands around it.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test"))]

mod cli;

fn main() -> std::process::ExitCode {
    cli::run()
}
