//! TLS of the HTTP port: by files, self-signed, or from an ACME authority. Certificates are looked
//! up for each handshake, so that a new one needs no new socket.

mod acme;
mod pem;
mod self_signed;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use parking_lot::RwLock;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::config::{TlsMode, TlsSettings};

/// What the doors speak beside TLS.
const HTTP_1_1: &[u8] = b"http/1.1";

/// TLS as configured.
pub(crate) struct Tls {
    pub(crate) config: ServerConfig,
    /// With files: where a new certificate is put.
    certificate: Option<Arc<Current>>,
}

/// The certificate in force.
#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read()))
    }
}

impl Tls {
    /// TLS as the settings say; `None` if there is to be none. With ACME, a task that gets and
    /// renews certificates is started.
    pub(crate) fn new(settings: &TlsSettings) -> anyhow::Result<Option<Self>> {
        let certificate = match settings.mode {
            TlsMode::Off => return Ok(None),
            TlsMode::Acme => {
                let config = acme::start(settings, provider())?;
                return Ok(Some(Self { config, certificate: None }));
            }
            TlsMode::SelfSigned => self_signed::make(&provider())?,
            TlsMode::Files => read_files(settings)?,
        };
        let certificate = Arc::new(Current(RwLock::new(Arc::new(certificate))));
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .context("the crypto library lacks TLS versions")?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&certificate) as _);
        config.alpn_protocols = vec![HTTP_1_1.to_vec()];
        Ok(Some(Self { config, certificate: Some(certificate) }))
    }

    /// Who is to get new certificates.
    pub(crate) fn renewal(&self) -> Renewal {
        Renewal(self.certificate.clone())
    }
}

/// The way a new certificate gets in force.
#[derive(Clone, Default)]
pub(crate) struct Renewal(Option<Arc<Current>>);

impl Renewal {
    /// Reads the files again. Connections that are open keep what they have. Returns whether the
    /// certificate is another one.
    pub(crate) fn reload(&self, settings: &TlsSettings) -> anyhow::Result<bool> {
        let (Some(current), TlsMode::Files) = (&self.0, settings.mode) else { return Ok(false) };
        let new = read_files(settings)?;
        let mut in_force = current.0.write();
        let is_another = in_force.cert != new.cert;
        *in_force = Arc::new(new);
        Ok(is_another)
    }
}

/// When the certificate of the files is no longer valid, if it can be used at all.
pub fn certificate_end(settings: &TlsSettings) -> anyhow::Result<SystemTime> {
    let certificate = read_files(settings)?;
    let (_, certificate) = x509_parser::parse_x509_certificate(&certificate.cert[0])?;
    let seconds = u64::try_from(certificate.validity().not_after.timestamp()).unwrap_or(0);
    Ok(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}

/// The certificate of the files, if it and the key are a pair.
fn read_files(settings: &TlsSettings) -> anyhow::Result<CertifiedKey> {
    let (Some(chain), Some(key)) = (&settings.cert_file, &settings.key_file) else {
        anyhow::bail!("tls.cert_file and tls.key_file are needed");
    };
    pem::read(chain, key, &provider())
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

#[cfg(test)]
mod tests;
