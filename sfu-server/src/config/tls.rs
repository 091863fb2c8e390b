//! `[tls]`

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Faults;

/// Where certificates come from unless said otherwise.
const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// Encryption of the HTTP port: pages, WebSocket, WHIP, WHEP and REST. Media is always encrypted.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsSettings {
    /// Where the certificate comes from.
    pub mode: TlsMode,

    /// With `files`: the certificate chain, PEM, the server's own first. Read again at every
    /// reload, and when the file changes.
    #[schemars(extend("x-reload" = true))]
    pub cert_file: Option<PathBuf>,

    /// With `files`: the private key, PEM. Read again together with the chain.
    #[schemars(extend("x-reload" = true))]
    pub key_file: Option<PathBuf>,

    /// With `acme`: the names to get a certificate for. Port 443 of each must lead to the HTTP
    /// port (TLS-ALPN-01).
    pub acme_domains: Vec<String>,

    /// With `acme`: whom the authority may write to.
    pub acme_email: Option<String>,

    /// With `acme`: the authority's directory.
    pub acme_directory: String,

    /// With `acme`: a folder for the account and the certificates, which must survive a restart:
    /// authorities limit how many they give.
    pub acme_cache: PathBuf,

    /// With `acme`: certificates (PEM) to trust when talking to the authority, in place of the
    /// public ones: for an authority of one's own.
    pub acme_roots_file: Option<PathBuf>,
}

/// Where the certificate comes from.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TlsMode {
    /// No TLS: plain HTTP, for loopback or behind a proxy.
    Off,
    /// Made at every start for this machine's addresses. Browsers warn once.
    SelfSigned,
    /// From `cert_file` and `key_file`.
    Files,
    /// From an authority like Let's Encrypt, and renewed in time.
    Acme,
}

impl Default for TlsSettings {
    fn default() -> Self {
        Self {
            mode: TlsMode::Off,
            cert_file: None,
            key_file: None,
            acme_domains: Vec::new(),
            acme_email: None,
            acme_directory: LETS_ENCRYPT.to_owned(),
            acme_cache: PathBuf::from("acme"),
            acme_roots_file: None,
        }
    }
}

impl TlsSettings {
    pub(super) fn validate(&self, faults: &mut Faults) {
        if self.mode == TlsMode::Files {
            let needed = "is needed when tls.mode is \"files\"";
            faults.require(self.cert_file.is_some(), "tls.cert_file", needed);
            faults.require(self.key_file.is_some(), "tls.key_file", needed);
        }
        if self.mode == TlsMode::Acme {
            let needed = "is needed when tls.mode is \"acme\"";
            faults.require(!self.acme_domains.is_empty(), "tls.acme_domains", needed);
        }
        let is_https = self.acme_directory.starts_with("https://");
        faults.require(is_https, "tls.acme_directory", "must begin with https://");
    }

    /// Whether the HTTP port speaks HTTPS.
    pub fn is_on(&self) -> bool {
        self.mode != TlsMode::Off
    }
}
