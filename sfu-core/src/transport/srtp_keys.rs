//! SRTP key derivation (RFC 3711 §4.3), and sealing and opening of packets where they lie.

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use rtc_crypto::{
    BlockCipherAlgorithm, CryptoError, HmacAlgorithm, Mac, RTCCrypto, StreamCipher,
    StreamCipherAlgorithm,
};

/// What session keys are derived for (RFC 3711 §4.3.2).
#[derive(Clone, Copy)]
pub(super) enum Use {
    Srtp,
    Srtcp,
}

impl Use {
    /// The labels of the keys for encryption, for authentication, and of the salt.
    fn labels(self) -> [u8; 3] {
        match self {
            Self::Srtp => [0, 1, 2],
            Self::Srtcp => [3, 4, 5],
        }
    }
}

const KEY_BYTES: usize = 16;
const GCM_SALT_BYTES: usize = 12;
const CM_SALT_BYTES: usize = 14;
const CM_TAG_BYTES: usize = 10;
const SHA1_BYTES: usize = 20;
/// First header and sender's SSRC, which stay in the clear (RFC 3711 §3.4).
const RTCP_HEADER_BYTES: usize = 8;
/// The E flag and the index.
const RTCP_INDEX_BYTES: usize = 4;
/// The E flag: what follows the header is encrypted.
pub(super) const ENCRYPTED: u32 = 1 << 31;

/// The session keys of one direction, for SRTP or SRTCP.
pub(super) enum SessionKeys {
    /// AEAD_AES_128_GCM (RFC 7714).
    Gcm { key: LessSafeKey, salt: [u8; GCM_SALT_BYTES] },
    /// AES128_CM_HMAC_SHA1_80 (RFC 3711).
    Cm { cipher: Box<dyn StreamCipher>, mac: Box<dyn Mac>, salt: [u8; CM_SALT_BYTES] },
}

impl SessionKeys {
    pub(super) fn gcm(
        crypto: &dyn RTCCrypto,
        key: &[u8],
        salt: &[u8],
        used_for: Use,
    ) -> Result<Self, CryptoError> {
        let [encryption, _, salting] = used_for.labels();
        let session_key: [u8; KEY_BYTES] = derive(crypto, key, salt, encryption)?;
        let unbound = UnboundKey::new(&AES_128_GCM, &session_key)
            .map_err(|_| CryptoError::InvalidPrivateKey)?;
        let salt = derive(crypto, key, salt, salting)?;
        Ok(Self::Gcm { key: LessSafeKey::new(unbound), salt })
    }

    pub(super) fn cm(
        crypto: &dyn RTCCrypto,
        key: &[u8],
        salt: &[u8],
        used_for: Use,
    ) -> Result<Self, CryptoError> {
        let [encryption, authentication, salting] = used_for.labels();
        let cipher_key: [u8; KEY_BYTES] = derive(crypto, key, salt, encryption)?;
        let mac_key: [u8; SHA1_BYTES] = derive(crypto, key, salt, authentication)?;
        Ok(Self::Cm {
            cipher: crypto.new_stream_cipher(StreamCipherAlgorithm::Aes128Ctr, &cipher_key)?,
            mac: crypto.new_hmac(HmacAlgorithm::Sha1, &mac_key)?,
            salt: derive(crypto, key, salt, salting)?,
        })
    }

    /// Seals the RTP packet `arena[start..]`, whose header has `header_bytes`, and appends the tag.
    /// `index` is ROC and sequence number (RFC 3711 §3.3.1), 48 bits.
    pub(super) fn seal_rtp(
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

    /// Seals the RTCP compound packet `arena[start..]`, a header at least, and appends trailer and
    /// tag. `index` has 31 bits and is used once for each SSRC (RFC 3711 §3.4).
    pub(super) fn seal_rtcp(
        &mut self,
        arena: &mut Vec<u8>,
        start: usize,
        ssrc: [u8; 4],
        index: u32,
    ) -> Result<(), CryptoError> {
        let word = (ENCRYPTED | index).to_be_bytes();
        let (header, content) = arena[start..].split_at_mut(RTCP_HEADER_BYTES);
        match self {
            Self::Gcm { key, salt } => {
                let nonce = gcm_nonce(salt, ssrc, u64::from(index));
                let nonce = Nonce::assume_unique_for_key(nonce);
                let tag = key
                    .seal_in_place_separate_tag(nonce, authenticated(header, &word), content)
                    .map_err(|_| CryptoError::AuthenticationFailed)?;
                arena.extend_from_slice(tag.as_ref());
                arena.extend_from_slice(&word);
            }
            Self::Cm { cipher, mac, salt } => {
                let counter = cm_counter(salt, ssrc, u64::from(index));
                cipher.apply_keystream(&counter, content)?;
                arena.extend_from_slice(&word);
                let mut tag = [0; SHA1_BYTES];
                mac.sign(&[&arena[start..]], &mut tag)?;
                arena.extend_from_slice(&tag[..CM_TAG_BYTES]);
            }
        }
        Ok(())
    }

    /// Opens an SRTP packet that is as long as header and tag at least, and gives the length of
    /// what is left of it. What is in it after a failure is of no use.
    pub(super) fn open_rtp(
        &mut self,
        packet: &mut [u8],
        header_bytes: usize,
        ssrc: [u8; 4],
        index: u64,
    ) -> Result<usize, CryptoError> {
        match self {
            Self::Gcm { key, salt } => {
                let (header, sealed) = packet.split_at_mut(header_bytes);
                let nonce = gcm_nonce(salt, ssrc, index);
                Ok(header_bytes + open_gcm(key, nonce, Aad::from(&*header), sealed)?)
            }
            Self::Cm { cipher, mac, salt } => {
                let (content, tag) = packet.split_at_mut(packet.len() - CM_TAG_BYTES);
                let roc = ((index >> 16) as u32).to_be_bytes();
                verify_cm(&mut **mac, &[content, &roc], tag)?;
                let counter = cm_counter(salt, ssrc, index);
                cipher.apply_keystream(&counter, &mut content[header_bytes..])?;
                Ok(content.len())
            }
        }
    }

    /// Opens an SRTCP packet that is as long as header, index and tag at least, and gives the
    /// length of what is left of it. `index` is that in the packet, 31 bits.
    pub(super) fn open_rtcp(
        &mut self,
        packet: &mut [u8],
        ssrc: [u8; 4],
        index: u32,
    ) -> Result<usize, CryptoError> {
        match self {
            Self::Gcm { key, salt } => {
                let (packet, word) = packet.split_at_mut(packet.len() - RTCP_INDEX_BYTES);
                let (header, sealed) = packet.split_at_mut(RTCP_HEADER_BYTES);
                let nonce = gcm_nonce(salt, ssrc, u64::from(index));
                Ok(RTCP_HEADER_BYTES + open_gcm(key, nonce, authenticated(header, word), sealed)?)
            }
            Self::Cm { cipher, mac, salt } => {
                let (content, tag) = packet.split_at_mut(packet.len() - CM_TAG_BYTES);
                verify_cm(&mut **mac, &[content], tag)?;
                let length = content.len() - RTCP_INDEX_BYTES;
                let counter = cm_counter(salt, ssrc, u64::from(index));
                cipher.apply_keystream(&counter, &mut content[RTCP_HEADER_BYTES..length])?;
                Ok(length)
            }
        }
    }
}

/// What of an SRTCP packet is authenticated beside its content: the header, and the word with the
/// index, which stands last on the wire (RFC 7714 §9.2).
fn authenticated(header: &[u8], word: &[u8]) -> Aad<[u8; RTCP_HEADER_BYTES + RTCP_INDEX_BYTES]> {
    let mut both = [0; RTCP_HEADER_BYTES + RTCP_INDEX_BYTES];
    both[..RTCP_HEADER_BYTES].copy_from_slice(header);
    both[RTCP_HEADER_BYTES..].copy_from_slice(word);
    Aad::from(both)
}

fn open_gcm(
    key: &LessSafeKey,
    nonce: [u8; GCM_SALT_BYTES],
    authenticated: Aad<impl AsRef<[u8]>>,
    sealed: &mut [u8],
) -> Result<usize, CryptoError> {
    let nonce = Nonce::assume_unique_for_key(nonce);
    let plain = key.open_in_place(nonce, authenticated, sealed);
    plain.map(|plain| plain.len()).map_err(|_| CryptoError::AuthenticationFailed)
}

fn verify_cm(mac: &mut dyn Mac, content: &[&[u8]], tag: &[u8]) -> Result<(), CryptoError> {
    let mut expected = [0; SHA1_BYTES];
    mac.sign(content, &mut expected)?;
    verify_slices_are_equal(&expected[..CM_TAG_BYTES], tag)
        .map_err(|_| CryptoError::AuthenticationFailed)
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
        let mut keys = SessionKeys::Gcm { key, salt };
        keys.seal_rtp(&mut packet, 0, 12, [0x55, 0x01, 0xa0, 0xb2], 0xf17b).unwrap();
        let expected = hex("8040f17b 8041f8d3 5501a0b2
             f24de3a3fb34de6cacba861c9d7e4bca be633bd50d294e6f42a5f47a51c7d19b
             36de3adf8833899d7f27beb16a9152cf 765ee4390cce");
        assert_eq!(packet, expected);
        let length = keys.open_rtp(&mut packet, 12, [0x55, 0x01, 0xa0, 0xb2], 0xf17b).unwrap();
        assert_eq!(&packet[12..length], b"Gallia est omnis divisa in partes tres");
    }
}
