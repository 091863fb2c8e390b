//! [`Contender`]: what is compared, how it is started and what it lacks.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use rustix::process::{Pid, Signal, kill_process};
use serde::Serialize;

use super::PeersArgs;
use super::namespace::ADDRESS;
use crate::client::{PATIENCE, ServerUrl};

/// Where the other SFUs' programs are built.
pub(super) const PROGRAMS: &str = "bench/peers/target/release";

/// An SFU of the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Contender {
    /// This one.
    Ours,
    /// Janus with its defaults: a thread for each connection.
    Janus,
    /// Janus with as many event loops as there are cores.
    JanusLoops,
    /// An SFU on str0m.
    Str0m,
    /// An SFU on Pion.
    Pion,
    /// An SFU on the async `webrtc` crate.
    Webrtc,
}

impl Contender {
    /// All there are, ours first.
    pub const ALL: [Self; 6] =
        [Self::Ours, Self::Janus, Self::JanusLoops, Self::Str0m, Self::Pion, Self::Webrtc];

    /// As it is called in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ours => "this server",
            Self::Janus => "Janus",
            Self::JanusLoops => "Janus, event_loops",
            Self::Str0m => "str0m SFU",
            Self::Pion => "Pion SFU",
            Self::Webrtc => "webrtc-crate SFU",
        }
    }

    /// How many times its packets per CPU-second ours are meant to be.
    #[must_use]
    pub fn goal(self) -> Option<f64> {
        match self {
            Self::Ours => None,
            Self::Janus | Self::JanusLoops => Some(6.0),
            Self::Str0m => Some(2.5),
            Self::Pion | Self::Webrtc => Some(5.0),
        }
    }

    /// The program that is started.
    fn program(self, args: &PeersArgs) -> PathBuf {
        let name = match self {
            Self::Ours => return args.sfu.clone(),
            Self::Janus | Self::JanusLoops => "janus-door",
            Self::Str0m => "str0m-sfu",
            Self::Pion => "pion-sfu",
            Self::Webrtc => "webrtc-sfu",
        };
        Path::new(PROGRAMS).join(name)
    }

    /// What is not there; `None` if it can be started.
    pub(super) fn lacks(self, args: &PeersArgs) -> Option<String> {
        let program = self.program(args);
        if !program.exists() {
            return Some(format!("{} is not built", program.display()));
        }
        let janus = matches!(self, Self::Janus | Self::JanusLoops);
        let found = || {
            std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
                .any(|folder| folder.join("janus").is_file())
        };
        (janus && !found()).then(|| "the package `janus` is not installed".to_owned())
    }

    /// Its version, as far as what is installed tells.
    #[must_use]
    pub fn version(self) -> String {
        let package = |name: &str| {
            let query = ["--show", "--showformat=${Version}", name];
            let output = Command::new("dpkg-query").args(query).output().ok();
            let output = output.filter(|output| output.status.success());
            output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        };
        let version = match self {
            Self::Ours => Some(env!("CARGO_PKG_VERSION").to_owned()),
            Self::Janus | Self::JanusLoops => package("janus"),
            Self::Pion => package("golang-github-pion-webrtc.v3-dev"),
            Self::Str0m => locked("str0m"),
            Self::Webrtc => locked("webrtc"),
        };
        version.unwrap_or_else(|| "?".to_owned())
    }
}

/// The version of a crate in the others' lock file.
fn locked(name: &str) -> Option<String> {
    let lock = std::fs::read_to_string("bench/peers/Cargo.lock").ok()?;
    let (_, after) = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?;
    Some(after.split('"').next()?.to_owned())
}

/// A contender that runs. Dropping it ends it.
pub(super) struct Running {
    pub(super) url: String,
    /// The process whose CPU time is the SFU's.
    pub(super) pid: u32,
    child: Child,
}

impl Running {
    pub(super) async fn start(contender: Contender, args: &PeersArgs) -> anyhow::Result<Self> {
        let http = free_port(Ipv4Addr::LOCALHOST.into())?;
        let media = UdpSocket::bind((ADDRESS, 0))?.local_addr()?.port();
        let program = contender.program(args);
        let mut command = Command::new(&program);
        command
            .args(["--http-addr", &http.to_string()])
            .args(["--udp-port", &media.to_string()])
            .args(["--advertise", &ADDRESS.to_string()])
            .env("SFU_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        if contender == Contender::JanusLoops {
            let cores = std::thread::available_parallelism()?;
            command.args(["--event-loops", &cores.to_string()]);
        }
        let child = command.spawn().with_context(|| format!("starting {}", program.display()))?;
        let url = format!("http://{http}");
        let mut running = Self { url, pid: child.id(), child };
        let server = ServerUrl::new(&running.url)?;
        running.ready(&server).await?;
        if contender != Contender::Ours {
            running.pid = server.get(&["pid"]).await?.trim().parse().context("reading /pid")?;
        }
        Ok(running)
    }

    async fn ready(&mut self, server: &ServerUrl) -> anyhow::Result<()> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while server.get(&["readyz"]).await.is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended while starting: {status}");
            }
            if tokio::time::Instant::now() >= deadline {
                bail!("it is not ready after {PATIENCE:?}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // SIGTERM first: Janus's door ends Janus. What does not listen is killed.
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid
            && kill_process(pid, Signal::TERM).is_ok()
        {
            for _ in 0..250 {
                if !matches!(self.child.try_wait(), Ok(None)) {
                    return;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        // It may have ended by itself; then both do nothing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port(address: IpAddr) -> std::io::Result<SocketAddr> {
    TcpListener::bind((address, 0))?.local_addr()
}
