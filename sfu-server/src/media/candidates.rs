//! Which addresses are put into answers as ICE host candidates.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use anyhow::{Context as _, bail};
use sfu_core::transport::{Candidate, Protocol};

use crate::config::Advertised;

/// Candidates read by clients are many enough at this number; a machine with hundreds of virtual
/// interfaces should use `--advertise`.
const CANDIDATES_MAX: usize = 32;

/// The ports that are open.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ports {
    pub(super) udp: u16,
    pub(super) tcp: Option<u16>,
    pub(super) has_ipv6: bool,
}

/// The `advertised` addresses, or else those of this machine's interfaces, all with the UDP port and
/// then with the TCP port: outside ones first, loopback last. Private addresses behind a NAT come
/// after the public ones.
pub(super) fn candidates(
    advertised: &[Advertised],
    ports: Ports,
) -> anyhow::Result<Vec<Candidate>> {
    let own = || if_addrs::get_if_addrs().context("cannot list this machine's addresses");
    let mut ips: Vec<IpAddr> = advertised.iter().map(|advertised| advertised.public).collect();
    for private in advertised.iter().filter_map(|advertised| advertised.private) {
        if !own()?.iter().any(|interface| interface.ip() == private) {
            bail!("media.advertise: {private} is no address of this machine");
        }
        ips.push(private);
    }
    if ips.iter().any(IpAddr::is_ipv6) && !ports.has_ipv6 {
        bail!("media.advertise: an IPv6 address, and this machine has no IPv6");
    }
    if ips.is_empty() {
        ips = own()?.iter().map(if_addrs::Interface::ip).collect();
        ips.retain(|&ip| is_offered(ip, ports.has_ipv6));
        ips.sort_by_key(|ip| (ip.is_loopback(), ip.is_ipv6()));
    }
    let mut seen = Vec::new();
    ips.retain(|ip| !seen.contains(ip) && (seen.push(*ip), true).1);
    ips.truncate(CANDIDATES_MAX);
    let of = |protocol, port| {
        let addr = move |&ip: &IpAddr| Candidate { addr: SocketAddr::new(ip, port), protocol };
        ips.iter().map(addr).collect::<Vec<_>>()
    };
    let mut candidates = of(Protocol::Udp, ports.udp);
    if let Some(tcp) = ports.tcp {
        candidates.extend(of(Protocol::Tcp, tcp));
    }
    Ok(candidates)
}

/// Whether an interface address is of use to a client. `::1` is left out: a client on this
/// machine has 127.0.0.1 already.
fn is_offered(ip: IpAddr, has_ipv6: bool) -> bool {
    match ip {
        IpAddr::V4(v4) => !v4.is_link_local() && !v4.is_unspecified(),
        IpAddr::V6(v6) => has_ipv6 && !v6.is_unicast_link_local() && v6 != Ipv6Addr::LOCALHOST,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    const PORTS: Ports = Ports { udp: 7882, tcp: None, has_ipv6: true };

    fn addrs(candidates: Vec<Candidate>) -> Vec<String> {
        candidates.iter().map(|c| format!("{:?} {}", c.protocol, c.addr)).collect()
    }

    #[test]
    fn advertised_addresses_replace_those_of_the_interfaces_and_keep_their_order() {
        let given = ["203.0.113.9", "127.0.0.1", "203.0.113.9", "2001:db8::1"];
        let given = given.map(|text| Advertised::from(ip(text)));
        let got = candidates(&given, Ports { tcp: Some(443), ..PORTS }).unwrap();
        let want = [
            "Udp 203.0.113.9:7882",
            "Udp 127.0.0.1:7882",
            "Udp [2001:db8::1]:7882",
            "Tcp 203.0.113.9:443",
            "Tcp 127.0.0.1:443",
            "Tcp [2001:db8::1]:443",
        ];
        assert_eq!(addrs(got), want);
        assert!(candidates(&given, Ports { has_ipv6: false, ..PORTS }).is_err());
    }

    #[test]
    fn behind_a_nat_the_public_addresses_come_first() {
        let given = ["203.0.113.9/127.0.0.1", "203.0.113.10"];
        let given = given.map(|text| text.parse().unwrap());
        let got = candidates(&given, PORTS).unwrap();
        let want = ["Udp 203.0.113.9:7882", "Udp 203.0.113.10:7882", "Udp 127.0.0.1:7882"];
        assert_eq!(addrs(got), want);
        let not_ours = ["203.0.113.9/192.0.2.77".parse().unwrap()];
        let error = candidates(&not_ours, PORTS).unwrap_err().to_string();
        assert!(error.contains("192.0.2.77 is no address of this machine"), "{error}");
    }

    #[test]
    fn loopback_is_offered_last_and_link_local_never() {
        let got = candidates(&[], PORTS).unwrap();
        assert_eq!(got.last().unwrap().addr, SocketAddr::from(([127, 0, 0, 1], 7882)));
        assert!(!is_offered(ip("169.254.3.4"), true));
        assert!(!is_offered(ip("fe80::1"), true));
        assert!(!is_offered(ip("2001:db8::1"), false));
        assert!(is_offered(ip("2001:db8::1"), true));
    }
}
