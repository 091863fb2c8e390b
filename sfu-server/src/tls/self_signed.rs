//! A certificate that nobody vouches for: for phones on one's own network.

use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use rcgen::{CertificateParams, DnType, KeyPair, SanType};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::CertifiedKey;

/// Clocks of phones may be behind by as much.
const BACKDATED: Duration = Duration::from_secs(24 * 3600);
/// Apple's systems accept no certificate that is valid longer than 825 days.
const VALID_FOR: Duration = Duration::from_secs(365 * 24 * 3600);

/// Makes a certificate for all of this machine's addresses.
pub(super) fn make(provider: &CryptoProvider) -> anyhow::Result<CertifiedKey> {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()])?;
    let addresses = if_addrs::get_if_addrs().context("cannot list this machine's addresses")?;
    let names = addresses.iter().map(|interface| SanType::IpAddress(interface.ip()));
    params.subject_alt_names.extend(names);
    params.distinguished_name.push(DnType::CommonName, "sfu, self-signed");
    let now = SystemTime::now();
    params.not_before = (now - BACKDATED).into();
    params.not_after = (now + VALID_FOR).into();
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(anyhow::Error::msg)?;
    Ok(CertifiedKey::from_der(vec![certificate.der().clone()], key, provider)?)
}
