//! `sfu ports`

use std::net::{IpAddr, Ipv4Addr};
use std::process::ExitCode;

use sfu_server::config::{Loaded, Settings, TlsMode};

/// A port that the server listens on.
struct Port {
    protocol: &'static str,
    ip: IpAddr,
    port: u16,
    what: &'static str,
}

pub(super) fn run(loaded: &Loaded) -> ExitCode {
    print!("{}", describe(&ports(&loaded.settings)));
    ExitCode::SUCCESS
}

fn ports(settings: &Settings) -> Vec<Port> {
    let http = settings.http.addr;
    let what = match settings.tls.mode {
        TlsMode::Off => "HTTP and WebSocket: page, signalling, WHIP, WHEP, REST",
        TlsMode::Acme => "the same over TLS, and the proof for the certificate (from port 443)",
        TlsMode::SelfSigned | TlsMode::Files => "HTTPS and secure WebSocket: the same over TLS",
    };
    let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let media = &settings.media;
    let mut ports = vec![
        Port { protocol: "tcp", ip: http.ip(), port: http.port(), what },
        Port { protocol: "udp", ip: any, port: media.udp_port, what: "all media" },
    ];
    if media.tcp {
        let port = media.tcp_port.unwrap_or(media.udp_port);
        let what = match media.tcp_http {
            true => "media of networks without UDP, and the same as HTTP",
            false => "media of networks without UDP",
        };
        ports.push(Port { protocol: "tcp", ip: any, port, what });
    }
    ports
}

fn describe(ports: &[Port]) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    for Port { protocol, ip, port, what } in ports {
        let place = format!("{port}/{protocol}");
        let only = match ip {
            ip if ip.is_loopback() => " (this machine only: nothing to open)".to_owned(),
            ip if ip.is_unspecified() => String::new(),
            ip => format!(" (at {ip})"),
        };
        let _ = writeln!(text, "{place:<10} {what}{only}");
    }
    let open = ports.iter().filter(|port| !port.ip.is_loopback());
    let open: Vec<String> = open.map(|p| format!("{} dport {}", p.protocol, p.port)).collect();
    text.push_str("\nWith nftables:\n");
    for rule in open {
        let _ = writeln!(text, "  nft add rule inet filter input {rule} accept");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_not_opened_and_the_configured_ports_are() {
        let mut settings = Settings::default();
        let text = describe(&ports(&settings));
        assert!(text.contains("7880/tcp") && text.contains("nothing to open"), "{text}");
        assert!(
            text.contains("udp dport 7882")
                && text.contains("tcp dport 7882")
                && !text.contains("dport 7880"),
            "{text}"
        );
        settings.http.addr = "0.0.0.0:443".parse().unwrap();
        settings.media.udp_port = 3478;
        let text = describe(&ports(&settings));
        assert!(text.contains("tcp dport 443") && text.contains("udp dport 3478"), "{text}");
        assert!(text.contains("tcp dport 3478"), "{text}");
        settings.media.tcp = false;
        assert!(!describe(&ports(&settings)).contains("tcp dport 3478"));
    }
}
