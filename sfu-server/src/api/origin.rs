//! Which web pages may open a WebSocket here. A browser tells the page's origin and lets any page
//! connect; refusing is up to the server (RFC 6455 §10.2).

use std::net::IpAddr;
use std::str::FromStr as _;

use actix_web::http::Uri;

/// Whether a connection with these `Origin` and `Host` headers is accepted: no page at all, a
/// page of this server, a page of this machine, or one that was allowed by name.
pub(super) fn is_allowed(origin: Option<&str>, host: Option<&str>, allowed: &[String]) -> bool {
    let Some(origin) = origin else { return true };
    if allowed.iter().any(|allowed| allowed.trim_end_matches('/').eq_ignore_ascii_case(origin)) {
        return true;
    }
    let Ok(uri) = Uri::from_str(origin) else { return false };
    let Some(authority) = uri.authority() else { return false };
    let Some(scheme) = uri.scheme_str().filter(|s| matches!(*s, "http" | "https")) else {
        return false;
    };
    let is_bare = matches!(uri.path(), "" | "/") && !authority.as_str().contains('@');
    is_bare && (is_loopback(authority.host()) || is_same(scheme, authority.as_str(), host))
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

/// Compares authorities; the scheme's own port may be left out on either side.
fn is_same(scheme: &str, authority: &str, host: Option<&str>) -> bool {
    let default_port = if scheme == "https" { ":443" } else { ":80" };
    let plain = |name: &str| name.strip_suffix(default_port).unwrap_or(name).to_ascii_lowercase();
    host.is_some_and(|host| plain(host) == plain(authority))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_local_and_named_origins_pass_and_others_do_not() {
        let allowed = ["https://good.com".to_owned()];
        let check = |origin: &str| is_allowed(Some(origin), Some("sfu.test:7880"), &allowed);
        for good in [
            "http://sfu.test:7880",
            "http://SFU.test:7880",
            "http://localhost:3000",
            "https://127.0.0.1",
            "http://127.8.9.10:1",
            "http://[::1]:8080",
            "https://good.com",
        ] {
            assert!(check(good), "{good}");
        }
        for bad in [
            "null",
            "",
            "https://evil.com",
            "https://good.com.evil",
            "https://good.com:8443",
            "http://good.com",
            "http://sfu.test",
            "http://sfu.test:7880@evil.com",
            "http://localhost.evil.com",
            "http://127.0.0.1.evil.com",
            "file:///x",
        ] {
            assert!(!check(bad), "{bad}");
        }
        assert!(is_allowed(None, None, &[]), "not a page");
        assert!(is_allowed(Some("http://a.test"), Some("a.test:80"), &[]));
        assert!(is_allowed(Some("https://a.test:443"), Some("a.test"), &[]));
        assert!(!is_allowed(Some("http://a.test"), None, &[]));
    }
}
