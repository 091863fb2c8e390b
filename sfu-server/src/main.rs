//! The binary: a server, or one of the commands around it.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test"))]

mod cli;

/// Everybody's state in few, large pages: with a thousand subscribers a third of the time per packet
/// goes into finding pages otherwise (`bench engine`, ARCHITECTURE.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    cli::run()
}
