//! `sfu load`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use sfu_load::scenario::{LoadArgs, Target, run_and_tell};

#[derive(Args)]
pub(super) struct Load {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    load: LoadArgs,
    /// Write the outcome as JSON too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

pub(super) fn run(args: &Load) -> ExitCode {
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
