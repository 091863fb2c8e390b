//! SRTP key derivation (RFC 3711 §4.3) and the sealing of outgoing RTP, in place.

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use rtc_crypto::{
    BlockCipherAlgorithm, CryptoError, HmacAlgorithm, Mac, RTCCrypto, StreamCipher,
    StreamCipherAlgorithm,
};

/// Labels of the session keys for SRTP (RFC 3711 §4.3.2).
const LABEL_ENCRYPTION: u8 = 0;
const LABEL_AUTHENTICATION: u8 = 1;
const LABEL_SALT: u8 = 2;

const KEY_BYTES: usize = 16;
const GCM_SALT_BYTES: usize = 12;
const CM_SALT_BYTES: usize = 14;
const CM_TAG_BYTES: usize = 10;
const SHA1_BYTES: usize = 20;

/// Seals RTP packets of one direction, where they lie.
pub(super) enum Sealer {
    /// AEAD_AES_128_GCM (RFC 7714).
    Gcm { key: LessSafeKey, salt: [u8; GCM_SALT_BYTES] },
    /// AES128_CM_HMAC_SHA1_80 (RFC 3711).
    Cm { cipher: Box<dyn StreamCipher>, mac: Box<dyn Mac>, salt: [u8; CM_SALT_BYTES] },
}

impl Sealer {
    pub(super) fn gcm(
        crypto: &dyn RTCCrypto,
        key: &[u8],
        salt: &[u8],
    ) -> Result<Self, CryptoError> {
        let session_key: [u8; KEY_BYTES] = derive(crypto, key, salt, LABEL_ENCRYPTION)?;
        let unbound = UnboundKey::new(&AES_128_GCM, &session_key)
            .map_err(|_| CryptoError::InvalidPrivateKey)?;
        let salt = derive(crypto, key, salt, LABEL_SALT)?;
        Ok(Self::Gcm { key: LessSafeKey::new(unbound), salt })
    }

    pub(super) fn cm(crypto: &dyn RTCCrypto, key: &[u8], salt: &[u8]) -> Result<Self, CryptoError> {
        let cipher_key: [u8; KEY_BYTES] = derive(crypto, key, salt, LABEL_ENCRYPTION)?;
        let mac_key: [u8; SHA1_BYTES] = derive(crypto, key, salt, LABEL_AUTHENTICATION)?;
        Ok(Self::Cm {
            cipher: crypto.new_stream_cipher(StreamCipherAlgorithm::Aes128Ctr, &cipher_key)?,
            mac: crypto.new_hmac(HmacAlgorithm::Sha1, &mac_key)?,
            salt: derive(crypto, key, salt, LABEL_SALT)?,
        })
    }

    /// Seals `arena[start..]`, whose RTP header has `header_bytes`, and appends the tag.
    /// `index` is ROC and sequence number (RFC 3711 §3.3.1), 48 bits.
    pub(super) fn seal(
        &mut self,
        arena: &mut Vec<u8>,
        start: usize,
        header_bytes: usize,
        ssrc: [u8; 4],
        index: u64,
    ) -> Result<(), CryptoError> {
        let (header, payload) = arena[start..].split_at_mut(header_bytes);
        match self {
            Self::Gcm { key, salt } => {
                let nonce = Nonce::assume_unique_for_key(gcm_nonce(salt, ssrc, index));
                let tag = key
                    .seal_in_place_separate_tag(nonce, Aad::from(header), payload)
                    .map_err(|_| CryptoError::AuthenticationFailed)?;
                arena.extend_from_slice(tag.as_ref());
            }
            Self::Cm { cipher, mac, salt } => {
                cipher.apply_keystream(&cm_counter(salt, ssrc, index), payload)?;
                let roc = ((index >> 16) as u32).to_be_bytes();
                let mut tag = [0; SHA1_BYTES];
                mac.sign(&[&arena[start..], &roc], &mut tag)?;
                arena.extend_from_slice(&tag[..CM_TAG_BYTES]);
            }
        }
        Ok(())
    }
}

/// 0 ‖ SSRC ‖ ROC ‖ SEQ, xor salt (RFC 7714 §8.1).
fn gcm_nonce(salt: &[u8; GCM_SALT_BYTES], ssrc: [u8; 4], index: u64) -> [u8; GCM_SALT_BYTES] {
    let mut nonce = *salt;
    xor(&mut nonce[2..6], &ssrc);
    xor(&mut nonce[6..12], &index.to_be_bytes()[2..]);
    nonce
}

/// salt·2^16 xor SSRC·2^64 xor index·2^16 (RFC 3711 §4.1.1); the last 16 bits count blocks.
fn cm_counter(salt: &[u8; CM_SALT_BYTES], ssrc: [u8; 4], index: u64) -> [u8; 16] {
    let mut counter = [0; 16];
    counter[..CM_SALT_BYTES].copy_from_slice(salt);
    xor(&mut counter[4..8], &ssrc);
    xor(&mut counter[8..14], &index.to_be_bytes()[2..]);
    counter
}

fn xor(target: &mut [u8], with: &[u8]) {
    target.iter_mut().zip(with).for_each(|(t, w)| *t ^= w);
}

/// A session key from the master key and salt (RFC 3711 §4.3.1 with the PRF of §4.3.3; the key
/// derivation rate is 0, RFC 5764 §4.1.2). A 96-bit salt counts as padded with zeros on the right
/// (RFC 7714 §11).
fn derive<const N: usize>(
    crypto: &dyn RTCCrypto,
    master_key: &[u8],
    master_salt: &[u8],
    label: u8,
) -> Result<[u8; N], CryptoError> {
    let mut x = [0; 16];
    let salt_bytes = master_salt.len().min(CM_SALT_BYTES);
    x[..salt_bytes].copy_from_slice(&master_salt[..salt_bytes]);
    x[7] ^= label;
    let mut key = [0; N];
    for (block_number, out) in (0u16..).zip(key.chunks_mut(16)) {
        x[14..].copy_from_slice(&block_number.to_be_bytes());
        let mut block = x;
        crypto.block_encrypt(BlockCipherAlgorithm::Aes128, master_key, &mut block)?;
        out.copy_from_slice(&block[..out.len()]);
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16);
        digits.chunks(2).map(|pair| byte(pair).unwrap()).collect()
    }

    #[test]
    fn keys_derive_as_in_rfc_3711_appendix_b_3() {
        let provider = rtc_crypto::default_provider().unwrap();
        let key = hex("E1F97A0D3E018BE0D64FA32C06DE4139");
        let salt = hex("0EC675AD498AFEEBB6960B3AABE6");
        let derived = |label| derive::<94>(provider.crypto(), &key, &salt, label).unwrap();
        assert_eq!(derived(0)[..16], hex("C61E7A93744F39EE10734AFE3FF7A087"));
        assert_eq!(derived(2)[..14], hex("30CBBC08863D8C85D49DB34A9AE1"));
        let auth = hex("CEBE321F6FF7716B6FD4AB49AF256A15 6D38BAA48F0A0ACF3C34E2359E6CDBCE
             E049646C43D9327AD175578EF7227098 6371C10C9A369AC2F94A8C5FBCDDDC25
             6D6E919A48B610EF17C2041E47403576 6B68642C59BBFC2F34DB60DBDFB2");
        assert_eq!(derived(1), auth[..]);
    }

    #[test]
    fn the_counter_starts_as_in_rfc_3711_appendix_b_2() {
        let salt = hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD").try_into().unwrap();
        assert_eq!(cm_counter(&salt, [0; 4], 0)[..], hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD0000"));
    }

    #[test]
    fn gcm_seals_as_in_rfc_7714_section_16_1_1() {
        // The vector gives session keys, so the derivation is left out.
        let key = hex("000102030405060708090a0b0c0d0e0f");
        let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key).unwrap());
        let salt = hex("517569642070726f2071756f").try_into().unwrap();
        let mut packet = hex("8040f17b 8041f8d3 5501a0b2");
        packet.extend_from_slice(b"Gallia est omnis divisa in partes tres");
        let mut sealer = Sealer::Gcm { key, salt };
        sealer.seal(&mut packet, 0, 12, [0x55, 0x01, 0xa0, 0xb2], 0xf17b).unwrap();
        let expected = hex("8040f17b 8041f8d3 5501a0b2
             f24de3a3fb34de6cacba861c9d7e4bca be633bd50d294e6f42a5f47a51c7d19b
             36de3adf8833899d7f27beb16a9152cf 765ee4390cce");
        assert_eq!(packet, expected);
    }
}
