//! Which addresses are put into answers as ICE host candidates.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Candidates read by clients are many enough at this number; a machine with hundreds of virtual
/// interfaces should use `--advertise`.
const CANDIDATES_MAX: usize = 32;

/// The `advertised` addresses, or else those of this machine's interfaces, all with `port`:
/// outside ones first, loopback last.
pub(super) fn candidates(
    advertised: &[IpAddr],
    port: u16,
    has_ipv6: bool,
) -> io::Result<Vec<SocketAddr>> {
    let mut ips: Vec<IpAddr> = advertised.to_vec();
    if ips.is_empty() {
        ips = if_addrs::get_if_addrs()?.iter().map(if_addrs::Interface::ip).collect();
        ips.retain(|&ip| is_offered(ip, has_ipv6));
        ips.sort_by_key(|ip| (ip.is_loopback(), ip.is_ipv6()));
    }
    let mut seen = Vec::new();
    ips.retain(|ip| !seen.contains(ip) && (seen.push(*ip), true).1);
    ips.truncate(CANDIDATES_MAX);
    Ok(ips.into_iter().map(|ip| SocketAddr::new(ip, port)).collect())
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

    #[test]
    fn advertised_addresses_replace_those_of_the_interfaces_and_keep_their_order() {
        let given = [ip("203.0.113.9"), ip("127.0.0.1"), ip("203.0.113.9"), ip("2001:db8::1")];
        let got = candidates(&given, 7882, true).unwrap();
        let want = ["203.0.113.9:7882", "127.0.0.1:7882", "[2001:db8::1]:7882"];
        assert_eq!(got, want.map(|a| a.parse::<SocketAddr>().unwrap()));
    }

    #[test]
    fn loopback_is_offered_last_and_link_local_never() {
        let got = candidates(&[], 1, true).unwrap();
        assert_eq!(got.last(), Some(&SocketAddr::from(([127, 0, 0, 1], 1))));
        assert!(!is_offered(ip("169.254.3.4"), true));
        assert!(!is_offered(ip("fe80::1"), true));
        assert!(!is_offered(ip("2001:db8::1"), false));
        assert!(is_offered(ip("2001:db8::1"), true));
    }
}
