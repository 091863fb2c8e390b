//! [`Server`]: the server under test, spawned here or reached by URL, and what its process used.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use serde::Serialize;

use crate::client::{PATIENCE, ServerUrl};
use crate::drive::spawn_on;

/// Ticks of `/proc/<pid>/stat` per second (USER_HZ, fixed by Linux's ABI).
const TICKS_PER_SECOND: f64 = 100.0;

/// Which server to use.
#[derive(Clone, Debug, Args)]
pub struct ServerArgs {
    /// The server's base URL.
    #[arg(long, default_value = "http://127.0.0.1:7880")]
    pub url: String,
    /// Start this `sfu` program on free ports of the loopback instead, and measure it.
    #[arg(long, value_name = "PROGRAM")]
    pub spawn: Option<PathBuf>,
    /// Further arguments of the spawned program; may be repeated.
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    pub spawn_arg: Vec<String>,
}

impl ServerArgs {
    /// The program that `cargo build --release` has put beside this one, unless another is named.
    pub(crate) fn or_built(mut self) -> anyhow::Result<Self> {
        if self.spawn.is_none() {
            let program = std::env::current_exe()?.with_file_name("sfu");
            anyhow::ensure!(program.exists(), "build the server first: `cargo build --release`");
            self.spawn = Some(program);
        }
        Ok(self)
    }
}

/// A server, and its process if it is ours. Dropping it ends the process.
pub struct Server {
    /// Where it is.
    pub url: ServerUrl,
    child: Option<Child>,
}

impl Server {
    /// Connects to the server, starting it if asked to, and waits until it is ready.
    pub async fn start(args: &ServerArgs) -> anyhow::Result<Self> {
        Self::start_on(args, None).await
    }

    /// The same, on one processor if one is named.
    pub(crate) async fn start_on(args: &ServerArgs, core: Option<usize>) -> anyhow::Result<Self> {
        let Some(program) = &args.spawn else {
            return Ok(Self { url: ServerUrl::new(&args.url)?, child: None });
        };
        let http = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let media = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let mut command = Command::new(program);
        command
            .args(["--http-addr", &http.to_string()])
            .args(["--udp-port", &media.port().to_string()])
            .args(["--advertise", "127.0.0.1"])
            .args(&args.spawn_arg)
            .stdout(Stdio::null());
        let child =
            spawn_on(core, command).with_context(|| format!("starting {}", program.display()))?;
        let mut server =
            Self { url: ServerUrl::new(&format!("http://{http}"))?, child: Some(child) };
        server.ready().await?;
        Ok(server)
    }

    async fn ready(&mut self) -> anyhow::Result<()> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while self.url.get(&["readyz"]).await.is_err() {
            if let Some(child) = &mut self.child
                && let Some(status) = child.try_wait()?
            {
                bail!("the server ended while starting: {status}");
            }
            if tokio::time::Instant::now() >= deadline {
                bail!("the server is not ready after {PATIENCE:?}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// The spawned process; `None` for a server reached by URL.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// What the spawned process has used so far; `None` for a server reached by URL.
    pub fn used(&self) -> anyhow::Result<Option<ProcessUse>> {
        self.child.as_ref().map(|child| ProcessUse::of(&child.id().to_string())).transpose()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended by itself; then both do nothing.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// What a process has used.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct ProcessUse {
    /// CPU time in user mode, in seconds.
    pub user_s: f64,
    /// CPU time in the kernel, in seconds.
    pub system_s: f64,
    /// Resident memory, in KiB.
    pub rss_kib: u64,
    /// Open file descriptors.
    pub descriptors: u64,
    /// Threads.
    pub threads: u64,
}

impl ProcessUse {
    /// Reads `/proc/<pid>`; `self` is a pid too.
    pub fn of(pid: &str) -> anyhow::Result<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let mut used = Self::parse(&stat, &status).context("an unexpected form of /proc")?;
        used.descriptors = std::fs::read_dir(format!("/proc/{pid}/fd"))?.count() as u64;
        Ok(used)
    }

    fn parse(stat: &str, status: &str) -> Option<Self> {
        // The program's name may hold spaces and parentheses; fields count from behind it.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = |at: usize| Some(fields.get(at)?.parse::<f64>().ok()? / TICKS_PER_SECOND);
        let number = |key: &str| {
            let line = status.lines().find(|line| line.starts_with(key))?;
            line.split_whitespace().nth(1)?.parse().ok()
        };
        Some(Self {
            user_s: ticks(11)?,
            system_s: ticks(12)?,
            rss_kib: number("VmRSS:")?,
            descriptors: 0,
            threads: number("Threads:")?,
        })
    }

    /// CPU time since an earlier reading, in seconds.
    #[must_use]
    pub fn cpu_since(&self, earlier: &Self) -> f64 {
        self.user_s + self.system_s - earlier.user_s - earlier.system_s
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_is_understood() {
        let stat = "42 (a) b) S 1 42 42 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 3 0 100 1 1";
        let status = "Name:\ta) b\nVmRSS:\t    2048 kB\nThreads:\t3\n";
        let used = ProcessUse::parse(stat, status).unwrap();
        assert_eq!((used.user_s, used.system_s, used.rss_kib, used.threads), (1.5, 0.5, 2048, 3));
        assert!(ProcessUse::of("self").unwrap().rss_kib > 0);
    }
}
