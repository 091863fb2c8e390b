//! The server's certificate, and the fingerprints by which peers are known.

use std::fmt;

use super::dtls::Identity;

/// A certificate fingerprint (RFC 8122).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// The hash function, lower case (`sha-256`).
    pub algorithm: Box<str>,
    /// The hash.
    pub bytes: Vec<u8>,
}

impl Fingerprint {
    /// Reads the value of an `a=fingerprint` attribute, `sha-256 AA:BB:…`, in either case.
    /// `None` unless it is well formed; an unknown hash function is well formed and matches
    /// no certificate.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        let (algorithm, hex) = value.trim().split_once(' ')?;
        let bytes = hex.trim().split(':').map(hex_byte).collect::<Option<Vec<u8>>>()?;
        let algorithm = algorithm.to_ascii_lowercase();
        match hash_of(&algorithm) {
            Some(hash) if hash.output_len() != bytes.len() => None,
            _ if algorithm.is_empty() || bytes.len() > aws_lc_rs::digest::MAX_OUTPUT_LEN => None,
            _ => Some(Self { algorithm: algorithm.into(), bytes }),
        }
    }

    /// Whether this is a fingerprint of the certificate `der`.
    #[must_use]
    pub fn matches(&self, der: &[u8]) -> bool {
        hash_of(&self.algorithm)
            .is_some_and(|hash| aws_lc_rs::digest::digest(hash, der).as_ref() == self.bytes)
    }
}

impl fmt::Display for Fingerprint {
    /// The form of SDP. The hexadecimal digits are upper case: RFC 8122 §5 demands it and
    /// Firefox refuses others.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.algorithm)?;
        for (i, byte) in self.bytes.iter().enumerate() {
            write!(f, "{}{byte:02X}", if i == 0 { "" } else { ":" })?;
        }
        Ok(())
    }
}

fn hex_byte(text: &str) -> Option<u8> {
    let digits = text.len() == 2 && text.bytes().all(|b| b.is_ascii_hexdigit());
    digits.then(|| u8::from_str_radix(text, 16).ok())?
}

/// The hash functions of RFC 8122 §5 but MD2 and MD5, which prove nothing. SHA-1 is let in
/// because the fingerprint arrived over an authenticated channel and a second preimage is needed.
fn hash_of(algorithm: &str) -> Option<&'static aws_lc_rs::digest::Algorithm> {
    use aws_lc_rs::digest;
    Some(match algorithm {
        "sha-1" => &digest::SHA1_FOR_LEGACY_USE_ONLY,
        "sha-224" => &digest::SHA224,
        "sha-256" => &digest::SHA256,
        "sha-384" => &digest::SHA384,
        "sha-512" => &digest::SHA512,
        _ => return None,
    })
}

/// The certificate of this server, one for all peers.
pub struct Certificate {
    fingerprint: Fingerprint,
    identity: Identity,
}

impl Certificate {
    /// A new self-signed P-256 certificate.
    pub fn generate() -> Result<Self, CertificateError> {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)
            .map_err(|_| CertificateError)?;
        let mut params =
            rcgen::CertificateParams::new(Vec::<String>::new()).map_err(|_| CertificateError)?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, "sfu");
        let certificate = params.self_signed(&key).map_err(|_| CertificateError)?;
        let identity = Identity::new(certificate.der().clone(), &key)?;
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, certificate.der());
        let fingerprint =
            Fingerprint { algorithm: "sha-256".into(), bytes: hash.as_ref().to_vec() };
        Ok(Self { fingerprint, identity })
    }

    /// Its SHA-256 fingerprint, for `a=fingerprint`.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint.clone()
    }

    pub(super) fn identity(&self) -> &Identity {
        &self.identity
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({})", self.fingerprint)
    }
}

/// A certificate could not be made.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the certificate could not be generated")]
pub struct CertificateError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_rendered_in_upper_case_and_read_back() {
        let fingerprint = Certificate::generate().unwrap().fingerprint();
        let text = fingerprint.to_string();
        let (algorithm, hex) = text.split_once(' ').unwrap();
        assert_eq!(algorithm, "sha-256");
        assert_eq!(hex.len(), 32 * 3 - 1);
        assert_eq!(hex, hex.to_uppercase());
        assert_eq!(Fingerprint::parse(&text), Some(fingerprint.clone()));
        assert_eq!(Fingerprint::parse(&text.to_lowercase()), Some(fingerprint));
    }

    #[test]
    fn malformed_fingerprints_are_refused() {
        for text in [
            "",
            "sha-256",
            "sha-256 ",
            "sha-256 A",
            "sha-256 AA:BB",
            "sha-256 GG:11",
            " AA",
            "sha-1 AA:BB:+C",
            &format!("x-new {}", ["+1"; 3].join(":")),
            &format!("x-new {}", ["1"; 3].join(":")),
        ] {
            assert_eq!(Fingerprint::parse(text), None, "{text:?}");
        }
        assert_eq!(Fingerprint::parse(&format!("x-new {}", ["00"; 65].join(":"))), None);
    }

    #[test]
    fn each_hash_function_matches_its_certificate_only() {
        let cases = [
            ("sha-1", "A9:99:3E:36:47:06:81:6A:BA:3E:25:71:78:50:C2:6C:9C:D0:D8:9D"),
            (
                "sha-224",
                "23:09:7D:22:34:05:D8:22:86:42:A4:77:BD:A2:55:B3:2A:AD:BC:E4:BD:A0:B3:F7:E3:6C:9D:A7",
            ),
        ];
        for (algorithm, hex) in cases {
            let fingerprint = Fingerprint::parse(&format!("{algorithm} {hex}")).unwrap();
            assert!(fingerprint.matches(b"abc"), "{algorithm}");
            assert!(!fingerprint.matches(b"abd"), "{algorithm}");
        }
        for algorithm in ["sha-256", "sha-384", "sha-512"] {
            let hash = aws_lc_rs::digest::digest(hash_of(algorithm).unwrap(), b"abc");
            let fingerprint =
                Fingerprint { algorithm: algorithm.into(), bytes: hash.as_ref().to_vec() };
            assert!(fingerprint.matches(b"abc") && !fingerprint.matches(b"abd"), "{algorithm}");
        }
        assert!(!Fingerprint { algorithm: "md5".into(), bytes: vec![] }.matches(b"abc"));
    }
}
