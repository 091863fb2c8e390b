//! Installs and builds what is compared, by ordinary package clients: apt for Janus, Go and Pion,
//! cargo for the rest.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};

use super::Contender;
use super::contender::PROGRAMS;

const MANIFEST: &str = "bench/peers/Cargo.toml";
const PION_SOURCE: &str = "bench/peers/pion-sfu";
/// Where Debian keeps the sources of Go packages.
const DEBIAN_GOPATH: &str = "/usr/share/gocode";

/// Installs these. An error names the first that failed; the others are tried all the same.
pub(super) fn all(contenders: &[Contender]) -> anyhow::Result<()> {
    let mut first = None;
    for contender in contenders {
        if let Err(error) = one(*contender) {
            println!("{} is not installed: {error:#}", contender.name());
            first.get_or_insert(error);
        }
    }
    first.map_or(Ok(()), Err)
}

fn one(contender: Contender) -> anyhow::Result<()> {
    match contender {
        Contender::Ours => cargo(&["--package", "sfu-server"]),
        Contender::Janus => {
            packages(&["janus"])?;
            cargo(&["--manifest-path", MANIFEST, "--package", "janus-door"])
        }
        // The same programs.
        Contender::JanusLoops => Ok(()),
        Contender::Str0m => cargo(&["--manifest-path", MANIFEST, "--package", "str0m-sfu"]),
        Contender::Webrtc => cargo(&["--manifest-path", MANIFEST, "--package", "webrtc-sfu"]),
        Contender::Pion => {
            packages(&["golang-go", "golang-github-pion-webrtc.v3-dev"])?;
            pion()
        }
    }
}

fn cargo(what: &[&str]) -> anyhow::Result<()> {
    succeed(Command::new("cargo").args(["build", "--release"]).args(what))
}

/// Builds from Debian's sources alone: no module is fetched. A folder of a GOPATH is needed for
/// that, in which imports with a major version are understood.
fn pion() -> anyhow::Result<()> {
    let here = std::env::current_dir()?;
    let gopath = here.join("bench/peers/target/gopath");
    let source = gopath.join("src/pion-sfu");
    fs::create_dir_all(gopath.join("src"))?;
    fs::create_dir_all(PROGRAMS)?;
    if fs::symlink_metadata(&source).is_err() {
        symlink(here.join(PION_SOURCE), &source)?;
    }
    let program = here.join(PROGRAMS).join("pion-sfu");
    // `PWD` keeps the link's own path; Go would resolve it to a place outside of the GOPATH.
    succeed(
        Command::new("go")
            .args(["build", "-o"])
            .arg(program)
            .arg(".")
            .current_dir(&source)
            .env("PWD", &source)
            .env("GO111MODULE", "off")
            .env("GOFLAGS", "")
            .env("GOPATH", format!("{}:{DEBIAN_GOPATH}", gopath.display())),
    )
}

/// Debian's packages, those that are missing.
fn packages(names: &[&str]) -> anyhow::Result<()> {
    let missing: Vec<&str> = names.iter().copied().filter(|name| !is_installed(name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    ensure!(Path::new("/usr/bin/apt-get").exists(), "please install {}", missing.join(", "));
    let apt = || {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").arg("--quiet");
        command
    };
    succeed(apt().arg("update"))?;
    succeed(apt().args(["install", "--yes", "--no-install-recommends"]).args(missing))
}

fn is_installed(package: &str) -> bool {
    let query = ["--show", "--showformat=${db:Status-Status}", package];
    let output = Command::new("dpkg-query").args(query).output();
    output.is_ok_and(|output| output.stdout == b"installed")
}

fn succeed(command: &mut Command) -> anyhow::Result<()> {
    println!("$ {command:?}");
    let status = command.status().with_context(|| format!("starting {command:?}"))?;
    ensure!(status.success(), "{command:?}: {status}");
    Ok(())
}
