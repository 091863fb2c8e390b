//! A certificate from files.

use std::path::Path;

use anyhow::Context as _;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

/// Reads a chain and its key, and checks that they belong together.
pub(super) fn read(
    chain: &Path,
    key: &Path,
    provider: &CryptoProvider,
) -> anyhow::Result<CertifiedKey> {
    let certificates = certificates(chain)?;
    let place = || format!("{} has no private key that can be read", key.display());
    let key = PrivateKeyDer::from_pem_file(key).with_context(place)?;
    CertifiedKey::from_der(certificates, key, provider)
        .with_context(|| format!("{} and its key do not belong together", chain.display()))
}

/// All certificates of a file, which has one at least.
pub(super) fn certificates(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let place = || format!("{} has no certificates that can be read", path.display());
    let all = CertificateDer::pem_file_iter(path).with_context(place)?;
    let all = all.collect::<Result<Vec<_>, _>>().with_context(place)?;
    anyhow::ensure!(!all.is_empty(), place());
    Ok(all)
}
