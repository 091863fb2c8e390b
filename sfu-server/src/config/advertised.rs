//! An address that clients can reach this server at.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// `PUBLIC`, or `PUBLIC/PRIVATE` where a NAT maps one to one: clients outside use the first, those
/// beside the server the second.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Advertised {
    /// What clients outside send to.
    pub public: IpAddr,
    /// The address of this machine that it is mapped to.
    pub private: Option<IpAddr>,
}

impl FromStr for Advertised {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (public, private) = match text.split_once('/') {
            Some((public, private)) => (public, Some(private)),
            None => (text, None),
        };
        let public = address(public)?;
        let private = private.map(address).transpose()?;
        if let Some(private) = private
            && private.is_ipv4() != public.is_ipv4()
        {
            return Err(format!("`{text}` pairs IPv4 with IPv6"));
        }
        Ok(Self { public, private })
    }
}

fn address(text: &str) -> Result<IpAddr, String> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    let ip: IpAddr = bare.parse().map_err(|_| {
        format!(
            "`{text}` is no IP address: host names are not looked up, for what they mean may \
             change; give PUBLIC, or PUBLIC/PRIVATE behind a NAT that maps one to one"
        )
    })?;
    if ip.is_unspecified() || ip.is_multicast() {
        return Err(format!("nobody can send to `{text}`"));
    }
    Ok(ip)
}

impl TryFrom<String> for Advertised {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Advertised> for String {
    fn from(advertised: Advertised) -> Self {
        advertised.to_string()
    }
}

impl From<IpAddr> for Advertised {
    fn from(public: IpAddr) -> Self {
        Self { public, private: None }
    }
}

impl From<Ipv4Addr> for Advertised {
    fn from(public: Ipv4Addr) -> Self {
        IpAddr::from(public).into()
    }
}

impl fmt::Display for Advertised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.public)?;
        self.private.map_or(Ok(()), |private| write!(f, "/{private}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_pairs_are_read_and_written() {
        for text in ["203.0.113.9", "2001:db8::1", "203.0.113.9/10.0.0.4", "2001:db8::1/fd00::4"] {
            assert_eq!(text.parse::<Advertised>().unwrap().to_string(), text);
        }
        assert_eq!("[2001:db8::1]".parse::<Advertised>().unwrap().to_string(), "2001:db8::1");
    }

    #[test]
    fn what_is_refused_says_what_to_give_instead() {
        for (text, part) in [
            ("sfu.example.org", "host names are not looked up"),
            ("", "no IP address"),
            ("203.0.113.9:7882", "no IP address"),
            ("203.0.113.9/", "no IP address"),
            ("203.0.113.9/sfu", "no IP address"),
            ("203.0.113.9/fd00::4", "pairs IPv4 with IPv6"),
            ("0.0.0.0", "nobody can send to"),
            ("224.0.0.1", "nobody can send to"),
        ] {
            let error = text.parse::<Advertised>().unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
