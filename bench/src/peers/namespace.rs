//! A network namespace for the comparison. Its address is on one end of a veth pair, since Janus
//! leaves loopback interfaces out; as it is a local address, the kernel takes all packets over the
//! loopback's path, the same for all contenders.

use std::net::Ipv4Addr;
use std::process::Command;

use anyhow::{Context as _, bail, ensure};

/// Where servers and clients are bound: of the range for tests of networks (RFC 2544).
pub(super) const ADDRESS: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);

/// Set for the program that runs inside.
const VARIABLE: &str = "SFU_BENCH_NAMESPACE";

/// The steps that give the namespace its address.
const STEPS: [&str; 5] = [
    "link set lo up",
    "link add peers0 type veth peer name peers1",
    "address add 198.18.0.1/32 dev peers0",
    "link set peers0 up",
    "link set peers1 up",
];

pub(super) fn entered() -> bool {
    std::env::var_os(VARIABLE).is_some()
}

/// Runs this program again in a new namespace, which ends with it; true if nothing failed there.
pub(super) fn run_again_inside() -> anyhow::Result<bool> {
    let unshare = || {
        let mut command = Command::new("unshare");
        command.arg("--net");
        command
    };
    let can = unshare().arg("true").status().context("starting unshare (of util-linux)")?;
    ensure!(can.success(), "a network namespace of its own needs root");
    let status = unshare()
        .arg(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .env(VARIABLE, "1")
        .status()?;
    match status.code() {
        Some(0) => Ok(true),
        Some(1) => Ok(false),
        _ => bail!("the run in the namespace ended by {status}"),
    }
}

/// Gives the new namespace its address.
pub(super) fn set_up() -> anyhow::Result<()> {
    // A loopback that is up already is a sign of a namespace that is not new.
    let loopback = std::fs::read_to_string("/proc/net/fib_trie").unwrap_or_default();
    if !loopback.trim().is_empty() && loopback.contains("127.0.0.1") {
        bail!("{VARIABLE} is set, but this is no new network namespace");
    }
    for step in STEPS {
        let words = step.split(' ');
        let status = Command::new("ip").args(words).status().context("ip (of iproute2)")?;
        ensure!(status.success(), "ip {step}: {status}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_given_is_the_one_that_is_used() {
        assert!(STEPS.iter().any(|step| step.contains(&format!(" {ADDRESS}/32 "))));
    }
}
