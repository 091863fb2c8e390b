//! STUN and TURN servers that clients are told of, for networks that let nothing else through.
//!
//! A TURN server is let known one secret (coturn: `use-auth-secret`); credentials made with it end
//! by themselves: the user name is the time they end at and whose they are, the password its
//! HMAC-SHA1 (draft-uberti-behave-turn-rest). Nothing is stored and nobody is asked.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use crate::config::{IceSettings, Secret};

/// What the operator says of STUN and TURN servers.
#[derive(Default)]
pub(crate) struct IceServers {
    urls: Vec<String>,
    key: Option<hmac::Key>,
    valid_for: Duration,
}

/// A server as browsers' `RTCIceServer` has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct IceServer {
    pub(crate) urls: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) username: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) credential: Option<String>,
}

impl IceServers {
    pub(crate) fn new(settings: &IceSettings) -> anyhow::Result<Self> {
        let secret = settings.turn_secret.as_ref().map(Secret::expose);
        for url in &settings.servers {
            check(url, secret.is_some_and(|secret| !secret.is_empty()))
                .map_err(anyhow::Error::msg)?;
        }
        let algorithm = hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY;
        let key = secret.map(|secret| hmac::Key::new(algorithm, secret.as_bytes()));
        Ok(Self { urls: settings.servers.clone(), key, valid_for: settings.turn_ttl() })
    }

    /// What `user` is told at `now`. `user` has no colon.
    pub(crate) fn tell(&self, user: &str, now: SystemTime) -> Vec<IceServer> {
        let ends = now.duration_since(UNIX_EPOCH).unwrap_or_default() + self.valid_for;
        let username = format!("{}:{user}", ends.as_secs());
        let credential =
            self.key.as_ref().map(|key| STANDARD.encode(hmac::sign(key, username.as_bytes())));
        let server = |url: &String| {
            let credential = credential.clone().filter(|_| check_url(url) == Some(true));
            let username = credential.is_some().then(|| username.clone());
            IceServer { urls: url.clone(), username, credential }
        };
        self.urls.iter().map(server).collect()
    }
}

impl IceServer {
    /// As the value of a `Link` header (RFC 9725 §4.6). The URL is not percent-escaped: `?transport`
    /// was seen lost that way.
    pub(crate) fn to_link(&self) -> String {
        let mut link = format!("<{}>; rel=\"ice-server\"", self.urls);
        if let (Some(username), Some(credential)) = (&self.username, &self.credential) {
            link += &format!(
                "; username=\"{username}\"; credential=\"{credential}\"; \
                 credential-type=\"password\""
            );
        }
        link
    }
}

/// Checks a URL (RFC 7064, RFC 7065). TURN servers need a secret that they share with this one.
pub(crate) fn check(url: &str, has_secret: bool) -> Result<(), String> {
    match check_url(url) {
        None => Err(format!(
            "`{url}` is no STUN or TURN server: \
             stun:host[:port] or turn[s]:host[:port][?transport=udp|tcp]"
        )),
        Some(true) if !has_secret => Err(format!("`{url}` needs ice.turn_secret")),
        Some(_) => Ok(()),
    }
}

/// Whether it is a TURN server; `None` if it is neither that nor a STUN server.
fn check_url(url: &str) -> Option<bool> {
    let (scheme, rest) = url.split_once(':')?;
    let is_turn = match scheme {
        "stun" | "stuns" => false,
        "turn" | "turns" => true,
        _ => return None,
    };
    let (authority, query) = rest.split_once('?').map_or((rest, None), |(a, q)| (a, Some(q)));
    let is_query_known = match query {
        None => true,
        Some(query) => is_turn && matches!(query, "transport=udp" | "transport=tcp"),
    };
    let host = match authority.strip_prefix('[') {
        // An IPv6 address with or without a port.
        Some(rest) => {
            let (host, after) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (after.is_empty() || is_port(after.strip_prefix(':')?)).then_some(host)?
        }
        None => match authority.split_once(':') {
            Some((host, port)) => is_port(port).then_some(host)?,
            None => authority,
        },
    };
    let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    (is_query_known && !host.is_empty() && host.chars().all(named)).then_some(is_turn)
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok_and(|port| port > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(urls: &[&str], secret: Option<&str>) -> anyhow::Result<IceServers> {
        IceServers::new(&IceSettings {
            servers: urls.iter().map(|&url| url.to_owned()).collect(),
            turn_secret: secret.map(Secret::new),
            turn_ttl_seconds: 3600,
        })
    }

    /// What `printf 1700003600:ann | openssl dgst -sha1 -hmac north -binary | base64` says.
    #[test]
    fn credentials_are_those_that_coturn_expects() {
        let servers = servers(&["stun:s.test", "turn:t.test:3478?transport=udp"], Some("north"));
        let told = servers.unwrap().tell("ann", UNIX_EPOCH + Duration::from_secs(1_700_000_000));
        assert_eq!(told[0].to_link(), "<stun:s.test>; rel=\"ice-server\"");
        assert_eq!(told[1].username.as_deref(), Some("1700003600:ann"));
        assert_eq!(told[1].credential.as_deref(), Some("TwqKCcbzejRFa1sgGqGS7SEzCGg="));
        assert_eq!(
            told[1].to_link(),
            "<turn:t.test:3478?transport=udp>; rel=\"ice-server\"; username=\"1700003600:ann\"; \
             credential=\"TwqKCcbzejRFa1sgGqGS7SEzCGg=\"; credential-type=\"password\""
        );
    }

    #[test]
    fn what_is_no_server_is_refused_by_name() {
        for good in ["stun:a", "stuns:a.b:5349", "turn:a", "turns:[2001:db8::1]:443?transport=tcp"]
        {
            assert!(servers(&[good], Some("s")).is_ok(), "{good}");
        }
        for bad in [
            "",
            "turn",
            "turn:",
            "turn:a:0",
            "turn:a:x",
            "turn:a b",
            "turn:a>b",
            "turn:a?x=y",
            "stun:a?transport=udp",
            "http://a",
            "turn:[::1",
            "turn:[x]",
            "turn:[::1]x",
            "turn://a",
        ] {
            let error = servers(&[bad], Some("s")).err().expect(bad).to_string();
            assert!(error.contains(&format!("`{bad}`")), "{error}");
        }
        assert!(servers(&["turn:a"], None).is_err(), "a TURN server needs a secret");
        assert!(servers(&["stun:a"], None).is_ok());
    }
}
