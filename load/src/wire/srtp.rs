//! SRTP where the packet lies: AEAD_AES_128_GCM (RFC 7714) by aws-lc-rs without a copy, the older
//! AES128_CM_HMAC_SHA1_80 by rtc-srtp, for servers that know nothing else. SRTCP by rtc-srtp.

use std::sync::Arc;

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use rtc_crypto::{BlockCipherAlgorithm, RTCCrypto, RTCCryptoProvider};
use srtp::context::Context;
use srtp::protection_profile::ProtectionProfile;

/// Labels of session keys (RFC 3711 §4.3.2).
const LABEL_ENCRYPTION: u8 = 0;
const LABEL_SALT: u8 = 2;
const SALT_BYTES: usize = 12;
const GCM_TAG_BYTES: usize = 16;
const CM_TAG_BYTES: usize = 10;

/// How media is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// AEAD_AES_128_GCM.
    Gcm,
    /// AES128_CM_HMAC_SHA1_80.
    Cm,
}

impl Profile {
    /// Length of the tag behind a packet, in bytes.
    #[must_use]
    pub fn tag_bytes(self) -> usize {
        match self {
            Self::Gcm => GCM_TAG_BYTES,
            Self::Cm => CM_TAG_BYTES,
        }
    }

    fn of_library(self) -> ProtectionProfile {
        match self {
            Self::Gcm => ProtectionProfile::AeadAes128Gcm,
            Self::Cm => ProtectionProfile::Aes128CmHmacSha1_80,
        }
    }
}

/// Master key and salt of one direction (RFC 5764 §4.2).
#[derive(Clone)]
pub struct MasterKey {
    /// 16 bytes.
    pub key: Vec<u8>,
    /// 12 bytes for GCM, 14 for CM.
    pub salt: Vec<u8>,
}

/// Keys of both directions, from which contexts are made.
#[derive(Clone)]
pub struct Keys {
    /// How media is protected.
    pub profile: Profile,
    /// What this side seals with.
    pub outgoing: MasterKey,
    /// What the other side seals with.
    pub incoming: MasterKey,
    /// Who computes.
    pub crypto: Arc<dyn RTCCryptoProvider>,
}

/// A key that is not one. Only foreign keying material can cause it.
#[derive(Clone, Copy, Debug)]
pub struct BadKey;

impl std::fmt::Display for BadKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("unusable SRTP keys")
    }
}

impl std::error::Error for BadKey {}

impl Keys {
    /// What seals outgoing RTP.
    pub fn sealer(&self) -> Result<Sealer, BadKey> {
        Ok(Sealer(self.media(&self.outgoing)?))
    }

    /// What opens incoming RTP.
    pub fn opener(&self) -> Result<Opener, BadKey> {
        Ok(Opener(self.media(&self.incoming)?))
    }

    /// What seals outgoing RTCP. Two of them must never write for the same SSRC: each counts by
    /// itself.
    pub fn rtcp_sealer(&self) -> Result<Context, BadKey> {
        self.context(&self.outgoing)
    }

    /// What opens incoming RTCP.
    pub fn rtcp_opener(&self) -> Result<Context, BadKey> {
        self.context(&self.incoming)
    }

    fn media(&self, master: &MasterKey) -> Result<Media, BadKey> {
        match self.profile {
            Profile::Gcm => Media::gcm(self.crypto.crypto(), master),
            Profile::Cm => Ok(Media::Cm(Box::new(self.context(master)?))),
        }
    }

    fn context(&self, master: &MasterKey) -> Result<Context, BadKey> {
        let (profile, crypto) = (self.profile.of_library(), self.crypto.crypto());
        Context::new(&master.key, &master.salt, profile, None, None, crypto).map_err(|_| BadKey)
    }
}

enum Media {
    Gcm { key: LessSafeKey, salt: [u8; SALT_BYTES] },
    Cm(Box<Context>),
}

impl Media {
    fn gcm(crypto: &dyn RTCCrypto, master: &MasterKey) -> Result<Self, BadKey> {
        let key: [u8; 16] = derive(crypto, master, LABEL_ENCRYPTION)?;
        let unbound = UnboundKey::new(&AES_128_GCM, &key).map_err(|_| BadKey)?;
        Ok(Self::Gcm { key: LessSafeKey::new(unbound), salt: derive(crypto, master, LABEL_SALT)? })
    }
}

/// Seals RTP packets. Meant for one direction of one transport.
pub struct Sealer(Media);

impl Sealer {
    /// Seals `packet`, whose header has `header_bytes`, where it lies and appends the tag. `index`
    /// is rollover counter and sequence number (RFC 3711 §3.3.1).
    pub fn seal(&mut self, packet: &mut Vec<u8>, header_bytes: usize, index: u64) {
        match &mut self.0 {
            Media::Gcm { key, salt } => {
                let (header, payload) = packet.split_at_mut(header_bytes);
                let nonce = nonce(salt, ssrc_of(header), index);
                let tag = key
                    .seal_in_place_separate_tag(nonce, Aad::from(header), payload)
                    .expect("a packet is shorter than what GCM can seal");
                packet.extend_from_slice(tag.as_ref());
            }
            Media::Cm(context) => {
                let sealed = context.encrypt_rtp(packet).expect("a packet written here is RTP");
                packet.clear();
                packet.extend_from_slice(&sealed);
            }
        }
    }
}

/// Opens RTP packets.
pub struct Opener(Media);

impl Opener {
    /// Opens `packet` where it lies. The payload's length in bytes, padding included; `None` if the
    /// tag is wrong. Replays are not looked for: who counts packets does that.
    pub fn open(&mut self, packet: &mut [u8], header_bytes: usize, index: u64) -> Option<usize> {
        match &mut self.0 {
            Media::Gcm { key, salt } => {
                let (header, payload) = packet.split_at_mut(header_bytes);
                let nonce = nonce(salt, ssrc_of(header), index);
                let plain = key.open_in_place(nonce, Aad::from(&*header), payload).ok()?;
                Some(plain.len())
            }
            Media::Cm(context) => {
                let plain = context.decrypt_rtp(packet).ok()?;
                let payload = plain.get(header_bytes..)?;
                packet[header_bytes..header_bytes + payload.len()].copy_from_slice(payload);
                Some(payload.len())
            }
        }
    }
}

fn ssrc_of(header: &[u8]) -> [u8; 4] {
    [header[8], header[9], header[10], header[11]]
}

/// 0 ‖ SSRC ‖ ROC ‖ SEQ, xor salt (RFC 7714 §8.1).
fn nonce(salt: &[u8; SALT_BYTES], ssrc: [u8; 4], index: u64) -> Nonce {
    let mut nonce = *salt;
    nonce[2..6].iter_mut().zip(ssrc).for_each(|(byte, with)| *byte ^= with);
    let index = index.to_be_bytes();
    nonce[6..].iter_mut().zip(&index[2..]).for_each(|(byte, with)| *byte ^= with);
    Nonce::assume_unique_for_key(nonce)
}

/// A session key of at most one block (RFC 3711 §4.3.1, the PRF of §4.3.3 and the salt of
/// RFC 7714 §11).
fn derive<const N: usize>(
    crypto: &dyn RTCCrypto,
    master: &MasterKey,
    label: u8,
) -> Result<[u8; N], BadKey> {
    let mut block = [0; 16];
    block.get_mut(..master.salt.len()).ok_or(BadKey)?.copy_from_slice(&master.salt);
    block[7] ^= label;
    crypto
        .block_encrypt(BlockCipherAlgorithm::Aes128, &master.key, &mut block)
        .map_err(|_| BadKey)?;
    let mut key = [0; N];
    key.copy_from_slice(&block[..N]);
    Ok(key)
}

/// Follows the rollover counter of one received SSRC (RFC 3711 §3.3.1). `highest` is the highest
/// index so far; `None` if the packet is from before the counter began.
#[must_use]
pub fn guess_index(highest: Option<u64>, sequence: u16) -> Option<u64> {
    let Some(highest) = highest else { return Some(u64::from(sequence)) };
    let distance = sequence.wrapping_sub(highest as u16).cast_signed();
    highest.checked_add_signed(i64::from(distance))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(profile: Profile) -> [Keys; 2] {
        let crypto = rtc_crypto::default_provider().unwrap();
        let salt = if profile == Profile::Gcm { 12 } else { 14 };
        let master = |byte| MasterKey { key: vec![byte; 16], salt: vec![byte ^ 0x55; salt] };
        let (a, b) = (master(1), master(2));
        [
            Keys { profile, outgoing: a.clone(), incoming: b.clone(), crypto: crypto.clone() },
            Keys { profile, outgoing: b, incoming: a, crypto },
        ]
    }

    fn packet(sequence: u16) -> Vec<u8> {
        let mut packet = vec![0x80, 96];
        packet.extend_from_slice(&sequence.to_be_bytes());
        packet.extend_from_slice(&[0, 0, 0, 1, 9, 9, 9, 9]);
        packet.extend_from_slice(b"some payload");
        packet
    }

    #[test]
    fn what_is_sealed_opens_and_another_implementation_agrees() {
        for profile in [Profile::Gcm, Profile::Cm] {
            let [us, them] = keys(profile);
            let (mut sealer, mut opener) = (us.sealer().unwrap(), them.opener().unwrap());
            let mut library = them.rtcp_opener().unwrap();
            for sequence in 65_530..65_545u64 {
                let plain = packet(sequence as u16);
                let mut sealed = plain.clone();
                sealer.seal(&mut sealed, 12, sequence);
                assert_eq!(sealed.len(), plain.len() + profile.tag_bytes());
                assert_eq!(library.decrypt_rtp(&sealed).unwrap()[..], plain[..], "{profile:?}");
                let mut forged = sealed.clone();
                *forged.last_mut().unwrap() ^= 1;
                let bytes = opener.open(&mut sealed, 12, sequence).unwrap();
                assert_eq!(sealed[..12 + bytes], plain[..]);
                if profile == Profile::Gcm {
                    assert_eq!(opener.open(&mut forged, 12, sequence), None);
                }
            }
        }
    }

    #[test]
    fn indices_follow_the_wrap_both_ways() {
        assert_eq!(guess_index(None, 65_000), Some(65_000));
        assert_eq!(guess_index(Some(65_535), 0), Some(65_536));
        assert_eq!(guess_index(Some(65_536), 65_535), Some(65_535));
        assert_eq!(guess_index(Some(3), 65_535), None);
    }
}
