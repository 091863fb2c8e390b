//! [`Machine`]: where and with what something was measured.

use std::path::Path;
use std::process::Command;

use serde::{Deserialize, Serialize};

/// Packages whose versions matter to the figures.
const PACKAGES: [&str; 6] = ["aws-lc-rs", "rtc-dtls", "rtc-srtp", "quinn-udp", "mio", "webrtc"];

/// Kernel, processor, load, versions, command.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Machine {
    /// The command, as somebody would type it.
    pub command: String,
    /// The date, UTC.
    pub date: String,
    /// The kernel's release.
    pub kernel: String,
    /// Processors and their model.
    pub processor: String,
    /// Load average over one minute when the command began, and when it ended.
    pub load_average: [f64; 2],
    /// The commit, with `+` for changes that are not committed.
    pub commit: String,
    /// The compiler.
    pub rustc: String,
    /// Versions of what the figures depend on.
    pub packages: Vec<String>,
    /// Offloads of the loopback interface, if `ethtool` is there to tell.
    pub offloads: Vec<String>,
}

impl Machine {
    /// Reads it; what cannot be read is empty.
    #[must_use]
    pub fn read() -> Self {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let cpuinfo = read("/proc/cpuinfo");
        let models: Vec<_> = cpuinfo
            .lines()
            .filter(|line| line.starts_with("model name"))
            .filter_map(|line| line.split_once(": "))
            .map(|(_, model)| model)
            .collect();
        let model = models.first().copied().unwrap_or("unknown processor");
        let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let top = top.to_string_lossy();
        let git = |args: &[&str]| output("git", &[["-C", &*top].as_slice(), args].concat());
        let changes = git(&["status", "--porcelain", "--untracked-files=no"]);
        let mark = if changes.is_empty() { "" } else { "+" };
        Self {
            command: format!("cargo xtask bench {}", arguments.join(" ")),
            date: output("date", &["--utc", "+%F %H:%M"]),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            processor: format!("{} x {model}", models.len()),
            load_average: [load_average(); 2],
            commit: format!("{}{mark}", git(&["rev-parse", "--short", "HEAD"])),
            rustc: output("rustc", &["--version"]),
            packages: versions(&read(&format!("{top}/Cargo.lock"))),
            offloads: output("ethtool", &["-k", "lo"])
                .lines()
                .map(str::trim)
                .filter(|line| line.contains("segmentation") || line.contains("gro"))
                .map(str::to_owned)
                .collect(),
        }
    }

    /// One paragraph.
    #[must_use]
    pub fn markdown(&self) -> String {
        let [before, after] = self.load_average;
        format!(
            "`{}`\n\n{} UTC, Linux {}, {}; load average {before:.1} before, {after:.1} after; \
             commit {}, {}; {}.\n",
            self.command,
            self.date,
            self.kernel,
            self.processor,
            self.commit,
            self.rustc,
            self.packages.join(", ")
        )
    }

    /// Notes the load at the end.
    pub fn end(&mut self) {
        self.load_average[1] = load_average();
    }
}

fn load_average() -> f64 {
    let text = read("/proc/loadavg");
    text.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(f64::NAN)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// What a program prints; nothing if it is not there.
fn output(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output();
    let output = output.ok().filter(|output| output.status.success());
    output.map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned()).unwrap_or_default()
}

/// The versions in a lock file of the packages that matter.
fn versions(lock: &str) -> Vec<String> {
    let lines: Vec<&str> = lock.lines().collect();
    lines
        .windows(2)
        .filter_map(|pair| {
            let name = pair[0].strip_prefix("name = \"")?.strip_suffix('"')?;
            let version = pair[1].strip_prefix("version = \"")?.strip_suffix('"')?;
            PACKAGES.contains(&name).then(|| format!("{name} {version}"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_come_from_the_lock_file() {
        let lock = "[[package]]\nname = \"mio\"\nversion = \"1.2.4\"\n\n\
            [[package]]\nname = \"other\"\nversion = \"1.0.0\"\n";
        assert_eq!(versions(lock), ["mio 1.2.4"]);
    }

    #[test]
    fn this_machine_says_who_it_is() {
        let machine = Machine::read();
        assert!(!machine.kernel.is_empty() && machine.load_average[0] >= 0.0);
        assert!(machine.packages.iter().any(|package| package.starts_with("aws-lc-rs ")));
    }
}
