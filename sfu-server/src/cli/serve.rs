//! `sfu serve`, and what it has in common with `sfu dev`: to start, to read the configuration
//! again, and to end.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use sd_notify::NotifyState;
use sfu_server::RunningServer;
use sfu_server::config::{Flags, Loaded, Variables, load};
use sfu_server::shutdown::{Signal, Signals};

use super::Serve;
use super::log::Logging;
use super::watch::Watch;

/// How often is looked whether the configuration's files have changed.
const WATCH_INTERVAL: Duration = Duration::from_secs(2);

/// How often a supervisor hears that a server which is to end is still at it.
const STOP_TICK: Duration = Duration::from_secs(5);
/// Silence after which the supervisor may take it for dead, in microseconds.
const STOP_SILENCE_USEC: u32 = 30_000_000;

/// How the configuration is read: by `serve` as it is, by `dev` with changes of its own.
pub(super) struct Recipe {
    pub(super) flags: Flags,
    pub(super) adapt: Box<dyn Fn(&mut Loaded)>,
    /// Whether all addresses are shown, and a code for phones.
    pub(super) is_dev: bool,
}

pub(super) fn run(serve: Box<Serve>) -> ExitCode {
    let open = serve.open;
    let adapt = Box::new(move |loaded: &mut Loaded| loaded.settings.auth.open |= open);
    be_server(&Recipe { flags: serve.flags, adapt, is_dev: false })
}

impl Recipe {
    fn load(&self) -> anyhow::Result<Loaded> {
        let mut loaded = load(&self.flags, &Variables::of_process())?;
        (self.adapt)(&mut loaded);
        anyhow::ensure!(
            self.is_dev || loaded.settings.auth.is_decided(),
            "nobody decided who may join: make a key with `sfu keys new`, or say with --open or \
             auth.open that anybody may"
        );
        Ok(loaded)
    }
}

pub(super) fn be_server(recipe: &Recipe) -> ExitCode {
    let ended = recipe.load().context("the configuration is wrong").and_then(|loaded| {
        let logging = Logging::start(&loaded.settings)?;
        let runtime = tokio::runtime::Runtime::new().context("cannot start threads")?;
        let ended = runtime.block_on(serve(recipe, loaded, &logging));
        // Connections that did not end in time are not waited for.
        runtime.shutdown_background();
        logging.end();
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

async fn serve(recipe: &Recipe, loaded: Loaded, logging: &Logging) -> anyhow::Result<()> {
    let mut signals = Signals::listen().context("cannot listen for signals")?;
    let mut watch = Watch::new(&loaded);
    let server = sfu_server::run(loaded.settings).await?;
    // Whoever started this may not want to hear it: a closed pipe is no reason to end.
    if let Err(error) = super::dev::announce(&server, recipe.is_dev) {
        tracing::warn!("the addresses could not be printed: {error}");
    }
    tell_supervisor(&[NotifyState::Ready]);
    let mut look = tokio::time::interval(WATCH_INTERVAL);
    let watchdog = sd_notify::watchdog_enabled();
    let mut alive = tokio::time::interval(watchdog.unwrap_or(Duration::from_secs(3600)) / 3);
    loop {
        let is_asked = tokio::select! {
            signal = signals.next() => match signal {
                Signal::Stop => break,
                Signal::Reload => true,
            },
            _ = look.tick() => watch.has_changed(),
            _ = alive.tick() => {
                if watchdog.is_some() && server.is_alive() {
                    tell_supervisor(&[NotifyState::Watchdog]);
                }
                false
            }
        };
        if is_asked {
            watch = reload(recipe, &server, logging).unwrap_or(watch);
        }
    }
    stop(server, &mut signals).await
}

/// Reads the configuration again. If anything is wrong with it nothing changes.
fn reload(recipe: &Recipe, server: &RunningServer, logging: &Logging) -> Option<Watch> {
    let since = NotifyState::monotonic_usec_now();
    tell_supervisor(&std::iter::once(NotifyState::Reloading).chain(since).collect::<Vec<_>>());
    let outcome = recipe.load().and_then(|loaded| {
        let reloaded = server.reload(&loaded.settings)?;
        logging.reload(&loaded.settings.log)?;
        Ok((loaded, reloaded))
    });
    tell_supervisor(&[NotifyState::Ready]);
    match outcome {
        Ok((loaded, reloaded)) => {
            let changed = reloaded.changed.join(", ");
            tracing::info!("the configuration was read again; changed: [{changed}]");
            for setting in &reloaded.waiting {
                tracing::warn!("{setting} cannot change while the server runs: restart it");
            }
            Some(Watch::new(&loaded))
        }
        Err(error) => {
            tracing::error!("the configuration is wrong and stays as it was: {error:#}");
            None
        }
    }
}

/// Refuses joins, waits for everybody to leave, and ends. Another signal ends at once.
async fn stop(server: RunningServer, signals: &mut Signals) -> anyhow::Result<()> {
    let patience = server.drain_timeout();
    tracing::info!("stopping within {} s; a second signal ends at once", patience.as_secs());
    tell_supervisor(&[NotifyState::Stopping]);
    tokio::select! {
        () = server.drain(patience) => {}
        () = signals.stop() => tracing::info!("a second signal: everybody is sent away"),
        () = keep_telling(&server) => {}
    }
    tokio::select! {
        () = server.stop() => Ok(()),
        () = signals.stop() => anyhow::bail!("ended by a further signal"),
    }
}

/// Tells systemd for ever that a drain goes on: its patience (`TimeoutStopSec`) may be shorter than
/// `drain.timeout_seconds`, and its watchdog does not know that the server is to end.
async fn keep_telling(server: &RunningServer) {
    let mut tick = tokio::time::interval(STOP_TICK);
    loop {
        tick.tick().await;
        if server.is_alive() {
            let more_time = NotifyState::ExtendTimeoutUsec(STOP_SILENCE_USEC);
            tell_supervisor(&[NotifyState::Watchdog, more_time]);
        }
    }
}

/// Tells systemd, if it started this.
fn tell_supervisor(state: &[NotifyState<'_>]) {
    if let Err(e) = sd_notify::notify(state) {
        tracing::debug!("nobody was told: {e}");
    }
}
