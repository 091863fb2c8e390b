//! `bench load`: the lean generator of `sfu-load` against a server that is spawned here or reached
//! by URL.

use clap::Args;
use sfu_load::scenario::{LoadArgs, Outcome, Target};

use super::{Report, Server, ServerArgs};

/// What load to make, and for which server.
#[derive(Clone, Debug, Args)]
pub struct LeanArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// The server's process on this machine, if it is not spawned here.
    #[arg(long, conflicts_with = "spawn")]
    pid: Option<u32>,
    #[command(flatten)]
    load: LoadArgs,
}

/// Makes the load.
pub async fn run(args: &LeanArgs) -> anyhow::Result<Outcome> {
    let server = Server::start(&args.server).await?;
    let pid = server.pid().or(args.pid);
    let target = Target { url: server.url.path(&[])?.to_string(), pid };
    sfu_load::scenario::run(&args.load, &target).await
}

impl Report for Outcome {
    fn markdown(&self) -> String {
        self.markdown()
    }

    fn failures(&self) -> Vec<String> {
        self.failures()
    }
}
