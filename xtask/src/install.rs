//! Installs what the tests need and a fresh Debian machine lacks: browsers, npm packages and
//! valgrind.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Result, bail, ensure};

use crate::job::Job;

/// Programs and Debian's packages of them: the browsers, and what makes thin links.
const PROGRAMS: [(&str, &str); 3] =
    [("chromium", "chromium"), ("firefox-esr", "firefox-esr"), ("tc", "iproute2")];
const NODE_MAJOR_MIN: u32 = 20;

/// Installs what the browser tests need and is not on the path.
pub(crate) fn browsers() -> Result<()> {
    programs(&PROGRAMS)
}

/// Installs what counts instructions.
pub(crate) fn valgrind() -> Result<()> {
    programs(&[("valgrind", "valgrind")])
}

/// Installs an authority that gives certificates to this machine only.
pub(crate) fn acme_authority() -> Result<()> {
    programs(&[("pebble", "pebble"), ("openssl", "openssl")])
}

/// Installs what reads systemd's units.
pub(crate) fn systemd() -> Result<()> {
    programs(&[("systemd-analyze", "systemd")])
}

/// Installs Python packages for `purpose`, unless that has been done, and returns the Python that
/// has them.
pub(crate) fn python_packages(purpose: &str, requirements: &Path) -> Result<String> {
    programs(&[("python3", "python3")])?;
    let folder = PathBuf::from(format!("target/{purpose}-python"));
    let python = folder.join("bin/python").display().to_string();
    let stamp = folder.join("installed");
    if is_newer(&stamp, requirements) {
        return Ok(python);
    }
    let folder_name = folder.display().to_string();
    let make = || Job::new("python3").args(["-m", "venv", folder_name.as_str()]).run();
    if !make()?.success {
        // Debian has this part of Python in a package of its own.
        apt(&["update"])?;
        apt(&["install", "--yes", "--no-install-recommends", "python3-venv"])?;
        ensure!(make()?.success, "python3 -m venv failed");
    }
    let list = requirements.display().to_string();
    let install = ["-m", "pip", "install", "--quiet", "--requirement", list.as_str()];
    ensure!(Job::new(&python).args(install).run()?.success, "pip install failed");
    fs::write(stamp, "")?;
    Ok(python)
}

/// Installs the packages of those programs that are not on the path.
fn programs(wanted: &[(&str, &str)]) -> Result<()> {
    let missing = wanted.iter().copied().filter(|(program, _)| on_path(program).is_none());
    let missing: Vec<&str> = missing.map(|(_, package)| package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    ensure!(on_path("apt-get").is_some(), "please install {}: no apt-get here", missing.join(", "));
    apt(&["update"])?;
    apt(&[["install", "--yes", "--no-install-recommends"].as_slice(), &missing].concat())
}

/// Installs a folder's npm packages from its lock file, unless that has been done.
pub(crate) fn npm_packages(folder: &Path) -> Result<()> {
    let lock = folder.join("package-lock.json");
    ensure!(lock.exists(), "{} is missing", lock.display());
    if is_newer(&folder.join("node_modules/.package-lock.json"), &lock) {
        return Ok(());
    }
    let done = Job::new("npm").args(["ci", "--no-audit", "--no-fund"]).dir(folder).run()?;
    ensure!(done.success, "npm ci failed in {}", folder.display());
    Ok(())
}

/// Says what is missing of the tools that are expected to be there already.
pub(crate) fn expect_tools() -> Result<()> {
    for component in ["fmt", "clippy"] {
        let found = quiet("cargo", &[component, "--version"]).is_some();
        ensure!(found, "cargo {component} is missing: `rustup component add rustfmt clippy`");
    }
    ensure!(on_path("npm").is_some(), "npm is missing: install Node {NODE_MAJOR_MIN} or later");
    let version = quiet("node", &["--version"]).unwrap_or_default();
    let major: Option<u32> =
        version.trim_start_matches('v').split('.').next().and_then(|n| n.parse().ok());
    match major {
        Some(major) if major >= NODE_MAJOR_MIN => Ok(()),
        _ => bail!("Node {NODE_MAJOR_MIN} or later is needed, found {:?}", version.trim()),
    }
}

fn apt(args: &[&str]) -> Result<()> {
    let root = quiet("id", &["-u"]).is_some_and(|id| id.trim() == "0");
    // `env` carries the variable through sudo, which clears the environment.
    let apt_get = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet"];
    let command: Vec<&str> = if root { vec![] } else { vec!["sudo", "--non-interactive"] };
    let command = [command.as_slice(), &apt_get, args].concat();
    let done = Job::new(command[0]).args(command[1..].iter().copied()).run()?;
    ensure!(done.success, "apt-get {} failed", args.join(" "));
    Ok(())
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

fn is_newer(file: &Path, than: &Path) -> bool {
    let modified = |path: &Path| fs::metadata(path).and_then(|meta| meta.modified()).ok();
    matches!((modified(file), modified(than)), (Some(file), Some(than)) if file >= than)
}

/// What a program prints; `None` when it fails or is not there.
fn quiet(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}
