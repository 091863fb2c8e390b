//! What the server takes before anybody joins: bytes on disk, memory, and time from start to ready.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::job::Job;
use crate::steps::{self, SERVER};
use crate::tally::Tally;

/// Without symbols, as in the image.
const BINARY_BYTES_MAX: u64 = 25 * 1024 * 1024;
/// Resident, a second after the start.
const RESIDENT_BYTES_MAX: u64 = 40 * 1024 * 1024;
/// From the start of the process to `/readyz`, the best of several: others use the machine too.
const READY_MAX: Duration = Duration::from_millis(300);
const STARTS: u32 = 5;
/// After this long a server has done what it does at the start.
const SETTLED: Duration = Duration::from_secs(1);

/// Measures, prints, and compares.
pub(crate) fn check() -> Result<Tally> {
    steps::build_server()?;
    let mut ready = Vec::new();
    let mut resident = 0;
    for start in 0..STARTS {
        let server = Server::start()?;
        ready.push(server.ready);
        if start == 0 {
            std::thread::sleep(SETTLED);
            resident = server.resident()?;
        }
    }
    let best = ready.iter().min().copied().unwrap_or(Duration::MAX);
    println!("starts took {ready:?}");
    let mut tally = Tally::default();
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let size = stripped_size()?;
    let of_mib = |found: u64, most: u64| format!("{:.1} of {:.0} MiB", mib(found), mib(most));
    for (what, text, holds) in [
        ("binary, stripped", of_mib(size, BINARY_BYTES_MAX), size <= BINARY_BYTES_MAX),
        ("memory, idle", of_mib(resident, RESIDENT_BYTES_MAX), resident <= RESIDENT_BYTES_MAX),
        (
            "start to ready",
            format!("{} of {} ms", best.as_millis(), READY_MAX.as_millis()),
            best <= READY_MAX,
        ),
    ] {
        println!("{what:<18} {text:<20} {}", if holds { "ok" } else { "TOO MUCH" });
        tally += if holds { Tally::ONE_PASSED } else { Tally::ONE_FAILED };
    }
    Ok(tally)
}

fn stripped_size() -> Result<u64> {
    let stripped = format!("{SERVER}-stripped");
    let done = Job::new("strip").args(["--strip-all", "-o", &stripped, SERVER]).run()?;
    ensure!(done.success, "strip failed");
    let size = std::fs::metadata(&stripped)?.len();
    std::fs::remove_file(&stripped)?;
    Ok(size)
}

/// A server on free ports, ready.
struct Server {
    child: Child,
    ready: Duration,
}

impl Server {
    fn start() -> Result<Self> {
        let began = Instant::now();
        let mut child = Command::new(SERVER)
            .args(["serve", "--open", "--http-addr", "127.0.0.1:0", "--udp-port", "0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("the server does not start")?;
        let stdout = child.stdout.take().context("its output was asked for as a pipe")?;
        let mut server = Self { child, ready: Duration::MAX };
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let addr = line.trim().strip_prefix("http://").context("it printed no address")?;
        let mut stream = TcpStream::connect(addr)?;
        write!(stream, "GET /readyz HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        ensure!(answer.starts_with("HTTP/1.1 200"), "it is not ready: {answer}");
        server.ready = began.elapsed();
        Ok(server)
    }

    fn resident(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
        Ok(1024 * kib.context("no VmRSS")?.trim().parse::<u64>()?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
