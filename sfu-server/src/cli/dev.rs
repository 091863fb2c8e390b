//! `sfu dev`: a server for trying things out, here or on phones beside this machine.

use std::io::{IsTerminal as _, Write as _};
use std::net::{IpAddr, Ipv4Addr};
use std::process::ExitCode;

use fast_qr::qr::QRBuilder;
use sfu_server::RunningServer;
use sfu_server::config::{Loaded, TlsMode};

use super::Dev;
use super::serve::{Recipe, be_server};

pub(super) fn run(dev: &Dev) -> ExitCode {
    let lan = dev.lan;
    let adapt = Box::new(move |loaded: &mut Loaded| adapt(loaded, lan));
    be_server(&Recipe { flags: dev.flags.clone(), adapt, is_dev: true })
}

/// What is not configured is made easy.
fn adapt(loaded: &mut Loaded, lan: bool) {
    let is_given = |setting: &str| loaded.sources.contains_key(setting);
    let (addr, tls) = (is_given("http.addr"), is_given("tls.mode"));
    let (open, drain) = (is_given("auth.open"), is_given("drain.timeout_seconds"));
    let impairments = is_given("media.impairments");
    let settings = &mut loaded.settings;
    if !impairments {
        settings.media.impairments = true;
    }
    // Whoever configures keys wants to see them work.
    if !open && settings.auth.keys.is_empty() {
        settings.auth.open = true;
    }
    if !drain {
        // Whoever presses Ctrl-C here wants it to end.
        settings.drain.timeout_seconds = 0;
    }
    if lan && !addr {
        settings.http.addr.set_ip(Ipv4Addr::UNSPECIFIED.into());
    }
    if lan && !tls {
        settings.tls.mode = TlsMode::SelfSigned;
    }
}

/// One line per address on stdout, for people and for programs that started this one; on a
/// terminal a code for phones too.
pub(super) fn announce(server: &RunningServer, is_dev: bool) -> std::io::Result<()> {
    let scheme = if server.is_https { "https" } else { "http" };
    let mut out = std::io::stdout().lock();
    writeln!(out, "{scheme}://{}", server.http_addr)?;
    for addr in &server.udp_addrs {
        writeln!(out, "udp {addr}")?;
    }
    if is_dev && server.http_addr.ip().is_unspecified() {
        let urls = lan_urls(scheme, server.http_addr.port());
        for url in &urls {
            writeln!(out, "on this network: {url}")?;
        }
        if let Some(url) = urls.first().filter(|_| out.is_terminal()) {
            writeln!(out, "{}", code(url))?;
        }
    }
    out.flush()
}

/// Where others on this network find the page, IPv4 first.
fn lan_urls(scheme: &str, port: u16) -> Vec<String> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let mut ips: Vec<IpAddr> = interfaces.iter().map(if_addrs::Interface::ip).collect();
    // A link-local IPv6 address needs a zone, which no URL of a browser has.
    ips.retain(|ip| match ip {
        IpAddr::V4(v4) => !v4.is_loopback() && !v4.is_link_local(),
        IpAddr::V6(_) => false,
    });
    ips.sort();
    ips.iter().map(|ip| format!("{scheme}://{ip}:{port}")).collect()
}

/// An URL as a code that a phone's camera reads.
fn code(url: &str) -> String {
    QRBuilder::new(url).build().map(|code| code.to_str()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sfu_server::config::{Flags, Variables, load};

    fn adapted(flags: Flags, lan: bool) -> Loaded {
        let mut loaded = load(&flags, &Variables::default()).unwrap();
        adapt(&mut loaded, lan);
        loaded
    }

    #[test]
    fn dev_is_open_and_ends_at_once_and_lan_is_reachable_and_encrypted() {
        let settings = adapted(Flags::default(), false).settings;
        assert!(settings.media.impairments);
        assert!(settings.auth.open && settings.drain.timeout_seconds == 0);
        assert!(settings.http.addr.ip().is_loopback() && settings.tls.mode == TlsMode::Off);
        let settings = adapted(Flags::default(), true).settings;
        assert!(settings.http.addr.ip().is_unspecified());
        assert_eq!((settings.http.addr.port(), settings.tls.mode), (7880, TlsMode::SelfSigned));
    }

    #[test]
    fn what_is_said_stays() {
        let flags = Flags {
            http_addr: Some("192.0.2.1:1".parse().unwrap()),
            drain_timeout: Some(5),
            set: vec!["auth.open=false".to_owned(), "tls.mode=off".to_owned()],
            ..Flags::default()
        };
        let settings = adapted(flags, true).settings;
        assert_eq!(settings.http.addr.to_string(), "192.0.2.1:1");
        assert_eq!((settings.drain.timeout_seconds, settings.auth.open), (5, false));
        assert_eq!(settings.tls.mode, TlsMode::Off);
    }

    #[test]
    fn a_code_is_a_square_of_blocks() {
        let code = code("https://192.0.2.1:7880");
        let widths: Vec<usize> = code.lines().map(|line| line.chars().count()).collect();
        assert!(widths.len() > 10 && widths.iter().all(|width| *width == widths[0]), "{widths:?}");
    }
}
