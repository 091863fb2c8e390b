//! `sfu doctor`: what would go wrong with the server as configured, before it does.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use sfu_server::config::{Loaded, Settings, TlsMode};

/// What the server asks for each UDP socket.
const BUFFER_BYTES: u64 = sfu_server::KERNEL_BUFFER_BYTES as u64;
/// File descriptors: one for each connection, and some for the server itself.
const FILES_MIN: u64 = 65_536;
/// Connections that wait to be accepted: a storm of joins is this large.
const BACKLOG_MIN: u64 = 1024;
/// A certificate that ends sooner should have been renewed.
const CERTIFICATE_MIN: Duration = Duration::from_secs(14 * 24 * 3600);
/// When this was written. A clock that is behind it is wrong: certificates and tokens will be
/// refused.
const CLOCK_MIN: Duration = Duration::from_secs(1_790_000_000);

/// How one check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Fine,
    /// Works, but not as well as it could.
    Poor,
    /// Does not work.
    Broken,
}

/// What one check found.
#[derive(Debug)]
struct Finding(Verdict, &'static str, String);

pub(super) fn run(loaded: &Loaded) -> ExitCode {
    let findings = examine(&loaded.settings);
    for Finding(verdict, what, detail) in &findings {
        let word = match verdict {
            Verdict::Fine => "ok",
            Verdict::Poor => "warn",
            Verdict::Broken => "FAIL",
        };
        println!("{word:<5} {what}: {detail}");
    }
    let is_broken = findings.iter().any(|Finding(verdict, ..)| *verdict == Verdict::Broken);
    if is_broken { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn examine(settings: &Settings) -> Vec<Finding> {
    let http = settings.http.addr;
    let udp = SocketAddr::from((Ipv4Addr::UNSPECIFIED, settings.media.udp_port));
    let advertised: Vec<IpAddr> = settings.media.advertise.iter().map(|to| to.public).collect();
    let media_tcp = settings.media.tcp.then(|| {
        let number = settings.media.tcp_port.unwrap_or(settings.media.udp_port);
        let addr = SocketAddr::from((Ipv4Addr::UNSPECIFIED, number));
        port("media port, TCP", addr, TcpListener::bind(addr).map(drop))
    });
    let findings = vec![
        port("HTTP port", http, TcpListener::bind(http).map(drop)),
        port("media port", udp, UdpSocket::bind(udp).map(drop)),
        at_least("net.core.rmem_max", sysctl("core/rmem_max"), BUFFER_BYTES),
        at_least("net.core.wmem_max", sysctl("core/wmem_max"), BUFFER_BYTES),
        at_least("net.core.somaxconn", sysctl("core/somaxconn"), BACKLOG_MIN),
        at_least("open files", open_files(&read("/proc/self/limits")), FILES_MIN),
        addresses(&advertised, &own_addresses()),
        clock(SystemTime::now(), Path::new("/run/systemd/timesync/synchronized").exists()),
        certificate(settings),
    ];
    findings.into_iter().chain(media_tcp).collect()
}

fn port(what: &'static str, addr: SocketAddr, bound: std::io::Result<()>) -> Finding {
    match bound {
        Ok(()) => Finding(Verdict::Fine, what, format!("{addr} is free")),
        Err(e) if e.kind() == ErrorKind::AddrInUse => {
            let detail = format!("{addr} is in use: by another program, or this server runs");
            Finding(Verdict::Poor, what, detail)
        }
        Err(e) => Finding(Verdict::Broken, what, format!("{addr} cannot be used: {e}")),
    }
}

/// A limit of the kernel that is known, or not.
fn at_least(what: &'static str, found: Option<u64>, wanted: u64) -> Finding {
    match found {
        None => Finding(Verdict::Poor, what, "cannot be read here".to_owned()),
        Some(n) if n >= wanted => Finding(Verdict::Fine, what, n.to_string()),
        Some(n) => Finding(Verdict::Poor, what, format!("{n}, better {wanted} or more")),
    }
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn sysctl(name: &str) -> Option<u64> {
    read(&format!("/proc/sys/net/{name}")).trim().parse().ok()
}

/// The soft limit, from the text of `/proc/self/limits`.
fn open_files(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn own_addresses() -> Vec<IpAddr> {
    if_addrs::get_if_addrs().unwrap_or_default().iter().map(if_addrs::Interface::ip).collect()
}

fn addresses(advertised: &[IpAddr], own: &[IpAddr]) -> Finding {
    let what = "addresses";
    let list = |ips: &[IpAddr]| ips.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if !advertised.is_empty() {
        return Finding(Verdict::Fine, what, format!("clients are told {}", list(advertised)));
    }
    let outside: Vec<IpAddr> = own.iter().copied().filter(|ip| !ip.is_loopback()).collect();
    if outside.is_empty() {
        let detail = "this machine has only loopback: clients elsewhere need media.advertise";
        return Finding(Verdict::Poor, what, detail.to_owned());
    }
    if outside.iter().all(|ip| is_private(*ip)) {
        let detail = format!(
            "{}: none is public. Behind NAT, set media.advertise to the public one",
            list(&outside)
        );
        return Finding(Verdict::Poor, what, detail);
    }
    Finding(Verdict::Fine, what, list(&outside))
}

fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_private() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

fn clock(now: SystemTime, is_synchronised: bool) -> Finding {
    let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let what = "clock";
    if since < CLOCK_MIN {
        let detail = "is years behind: certificates and tokens will be refused";
        return Finding(Verdict::Broken, what, detail.to_owned());
    }
    if is_synchronised {
        return Finding(Verdict::Fine, what, "is synchronised".to_owned());
    }
    // Another program than systemd's may do it; containers have the host's clock.
    Finding(Verdict::Fine, what, "is plausible; whether it is synchronised is not known".to_owned())
}

fn certificate(settings: &Settings) -> Finding {
    let what = "certificate";
    match settings.tls.mode {
        TlsMode::Off if !settings.http.addr.ip().is_loopback() => {
            let detail = "none: browsers give cameras to https pages only, unless a proxy has it";
            Finding(Verdict::Poor, what, detail.to_owned())
        }
        TlsMode::Off => Finding(Verdict::Fine, what, "none needed on loopback".to_owned()),
        TlsMode::SelfSigned => {
            Finding(Verdict::Poor, what, "self-signed: browsers will warn".to_owned())
        }
        TlsMode::Acme => {
            Finding(Verdict::Fine, what, "will be asked of the authority at start".to_owned())
        }
        TlsMode::Files => match sfu_server::certificate_end(&settings.tls) {
            Err(e) => Finding(Verdict::Broken, what, format!("{e:#}")),
            Ok(end) => validity(end, SystemTime::now()),
        },
    }
}

fn validity(end: SystemTime, now: SystemTime) -> Finding {
    let what = "certificate";
    match end.duration_since(now) {
        Err(_) => Finding(Verdict::Broken, what, "is no longer valid".to_owned()),
        Ok(left) => {
            let days = left.as_secs() / (24 * 3600);
            let verdict = if left < CERTIFICATE_MIN { Verdict::Poor } else { Verdict::Fine };
            Finding(verdict, what, format!("valid for {days} days more"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ips(all: &[&str]) -> Vec<IpAddr> {
        all.iter().map(|ip| ip.parse().unwrap()).collect()
    }

    #[test]
    fn a_port_that_is_taken_is_told_from_one_that_may_not_be_used() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = taken.local_addr().unwrap();
        let finding = port("p", addr, TcpListener::bind(addr).map(drop));
        assert_eq!(finding.0, Verdict::Poor, "{finding:?}");
        let elsewhere = "192.0.2.1:1".parse().unwrap();
        let finding = port("p", elsewhere, TcpListener::bind(elsewhere).map(drop));
        assert_eq!(finding.0, Verdict::Broken, "{finding:?}");
    }

    #[test]
    fn limits_are_compared() {
        for (found, want) in
            [(None, Verdict::Poor), (Some(9), Verdict::Poor), (Some(10), Verdict::Fine)]
        {
            assert_eq!(at_least("l", found, 10).0, want);
        }
        let text = "Limit  Soft Limit  Hard Limit  Units\n\
                    Max open files            1024                 524288               files\n";
        assert_eq!(open_files(text), Some(1024));
        assert_eq!(open_files(""), None);
    }

    #[test]
    fn private_addresses_without_an_advertised_one_are_a_warning() {
        let public = ips(&["127.0.0.1", "10.0.0.1", "203.0.113.1"]);
        for (advertised, own, want) in [
            (vec![], ips(&["127.0.0.1", "::1"]), Verdict::Poor),
            (vec![], ips(&["127.0.0.1", "10.0.0.1", "fe80::1"]), Verdict::Poor),
            (vec![], public, Verdict::Fine),
            (ips(&["203.0.113.1"]), ips(&["10.0.0.1"]), Verdict::Fine),
        ] {
            let finding = addresses(&advertised, &own);
            assert_eq!(finding.0, want, "{finding:?}");
        }
    }

    #[test]
    fn clocks_and_certificates_have_an_end() {
        let now = SystemTime::UNIX_EPOCH + CLOCK_MIN + Duration::from_secs(1);
        assert_eq!(clock(now, true).0, Verdict::Fine);
        assert_eq!(clock(SystemTime::UNIX_EPOCH, true).0, Verdict::Broken);
        let day = Duration::from_secs(24 * 3600);
        assert_eq!(validity(now + 15 * day, now).0, Verdict::Fine);
        assert_eq!(validity(now + 13 * day, now).0, Verdict::Poor);
        assert_eq!(validity(now - day, now).0, Verdict::Broken);
        let mut settings = Settings::default();
        settings.tls.mode = TlsMode::Files;
        settings.tls.cert_file = Some("/nonexistent".into());
        settings.tls.key_file = Some("/nonexistent".into());
        assert_eq!(certificate(&settings).0, Verdict::Broken);
    }
}
