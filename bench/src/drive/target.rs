//! [`Target`]: the process under test.

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, SocketAddrV4};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::floor::Kind;
use crate::run::{ProcessUse, Server, ServerArgs};
use crate::sys;

/// A floor or a server.
pub(crate) enum Target {
    Floor { child: Child, addr: SocketAddrV4 },
    Server { server: Server, pid: u32 },
}

impl Target {
    /// Starts a floor.
    pub(crate) fn floor(kind: Kind, core: Option<usize>) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["floor", &kind.to_string().to_lowercase()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = spawn_on(core, command)?;
        let output = child.stdout.take().context("its output was asked for as a pipe")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let addr = line.trim().parse().with_context(|| format!("the floor said {line:?}"))?;
        Ok(Self::Floor { child, addr })
    }

    /// Starts the `sfu` program.
    pub(crate) async fn server(args: &ServerArgs, core: Option<usize>) -> Result<Self> {
        let server = Server::start_on(args, core).await?;
        let pid = server.pid().context("only a server started here can be measured")?;
        Ok(Self::Server { server, pid })
    }

    pub(crate) fn pid(&self) -> u32 {
        match self {
            Self::Floor { child, .. } => child.id(),
            Self::Server { pid, .. } => *pid,
        }
    }

    /// CPU time of all its threads so far.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        sys::process_cpu(self.pid()).context("the process is gone")
    }

    /// The same by ticks, with what only the kernel's files tell.
    pub(crate) fn used(&self) -> Result<ProcessUse> {
        ProcessUse::of(&self.pid().to_string())
    }

    /// CPU time so far of each thread whose name starts with `prefix`, in seconds.
    pub(crate) fn threads(&self, prefix: &str) -> Result<Vec<f64>> {
        let mut found = Vec::new();
        for task in std::fs::read_dir(format!("/proc/{}/task", self.pid()))? {
            let task = task?.path();
            let name = std::fs::read_to_string(task.join("comm"))?;
            if !name.starts_with(prefix) {
                continue;
            }
            let time = std::fs::read_to_string(task.join("schedstat"))?;
            let nanos: f64 = time.split_whitespace().next().context("empty schedstat")?.parse()?;
            found.push((name, nanos / 1e9));
        }
        found.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(found.into_iter().map(|(_, seconds)| seconds).collect())
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if let Self::Floor { child, .. } = self {
            // It may have ended by itself; then both do nothing.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Starts a program, on one processor if one is named.
pub(crate) fn spawn_on(core: Option<usize>, mut command: Command) -> Result<Child> {
    // What a thread starts runs where the thread may; this one's own place must not change.
    let spawn = move || {
        if let Some(core) = core {
            sys::pin_to(core)?;
        }
        command.spawn()
    };
    match std::thread::spawn(spawn).join() {
        Ok(child) => child.context("starting a program"),
        Err(_) => bail!("starting a program panicked"),
    }
}

/// The first UDP candidate of an answer.
pub(crate) fn candidate(answer: &str) -> Option<SocketAddr> {
    answer.lines().find_map(|line| {
        let words: Vec<&str> = line.strip_prefix("a=candidate:")?.split(' ').collect();
        let [_, _, protocol, _, ip, port, ..] = words.as_slice() else { return None };
        let addr = SocketAddr::new(ip.parse().ok()?, port.parse().ok()?);
        protocol.eq_ignore_ascii_case("udp").then_some(addr)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_candidate_is_found() {
        let answer = "v=0\r\na=candidate:1 1 tcp 1 192.0.2.1 9 typ host\r\n\
            a=candidate:1 1 UDP 2130706431 127.0.0.1 7882 typ host\r\n";
        assert_eq!(candidate(answer), Some(([127, 0, 0, 1], 7882).into()));
        assert_eq!(candidate("v=0\r\n"), None);
    }
}
