//! A certificate from an authority that speaks ACME (RFC 8555), proved by TLS-ALPN-01 (RFC 8737)
//! on the HTTP port itself.

use std::sync::Arc;

use anyhow::Context as _;
use futures_util::StreamExt as _;
use rustls::crypto::CryptoProvider;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_acme::AcmeConfig;
use rustls_acme::caches::DirCache;

use super::{HTTP_1_1, pem};
use crate::config::TlsSettings;

/// The protocol in which an authority asks for the proof (RFC 8737 §6.2).
const ACME_TLS_1: &[u8] = b"acme-tls/1";

/// Starts to get and renew certificates. Until the first is there, handshakes fail.
pub(super) fn start(
    settings: &TlsSettings,
    provider: Arc<CryptoProvider>,
) -> anyhow::Result<ServerConfig> {
    let domains = &settings.acme_domains;
    let mut acme = match &settings.acme_roots_file {
        None => AcmeConfig::new_with_provider(domains, Arc::clone(&provider)),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in pem::certificates(path)? {
                roots.add(certificate)?;
            }
            let client = ClientConfig::builder_with_provider(Arc::clone(&provider))
                .with_safe_default_protocol_versions()?
                .with_root_certificates(roots)
                .with_no_client_auth();
            AcmeConfig::new_with_client_config(domains, Arc::new(client))
        }
    };
    acme = acme.directory(&settings.acme_directory);
    if let Some(email) = &settings.acme_email {
        acme = acme.contact_push(format!("mailto:{email}"));
    }
    std::fs::create_dir_all(&settings.acme_cache)
        .with_context(|| format!("cannot make {}", settings.acme_cache.display()))?;
    let mut state = acme.cache(DirCache::new(settings.acme_cache.clone())).state();
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(state.resolver());
    config.alpn_protocols = vec![HTTP_1_1.to_vec(), ACME_TLS_1.to_vec()];
    tokio::spawn(async move {
        // It waits between attempts by itself.
        while let Some(event) = state.next().await {
            match event {
                Ok(event) => tracing::info!("certificate: {event:?}"),
                Err(error) => tracing::error!("no certificate: {error:?}"),
            }
        }
    });
    Ok(config)
}
