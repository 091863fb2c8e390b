//! The binary: reads the configuration, starts the server, and stops it at a signal.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use sfu_server::config::Config;
use sfu_server::shutdown::Signals;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let config = Config::parse();
    let ended = start_logging(&config.log).and_then(|()| {
        let runtime = tokio::runtime::Runtime::new().context("cannot start threads")?;
        let ended = runtime.block_on(serve(config));
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
fn start_logging(filter: &str) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter).context("--log is no filter")?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    Ok(())
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let mut signals = Signals::listen().context("cannot listen for signals")?;
    let server = sfu_server::run(config).await?;
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
