//! SRTP and SRTCP of one peer, sealed and opened where it lies, without an allocation: rtc-srtp makes
//! one for each packet. It is the other opinion in the tests.

use rtc_crypto::RTCCryptoProvider;

use super::srtp_keys::{ENCRYPTED, SessionKeys, Use};
use super::srtp_window::Sources;
use crate::drops::DropReason;

/// The two profiles of RFC 8827 §6.5 and RFC 7714 that are offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Profile {
    /// AEAD_AES_128_GCM.
    AesGcm,
    /// AES128_CM_HMAC_SHA1_80.
    AesCm,
}

impl Profile {
    pub(super) fn key_bytes(self) -> usize {
        16
    }

    pub(super) fn salt_bytes(self) -> usize {
        match self {
            Self::AesGcm => 12,
            Self::AesCm => 14,
        }
    }

    fn tag_bytes(self) -> usize {
        match self {
            Self::AesGcm => 16,
            Self::AesCm => 10,
        }
    }

    /// Where the word with E flag and SRTCP index begins, counted from the end: before the tag
    /// in RFC 3711 §3.4, after it in RFC 7714 §9.
    fn rtcp_index_from_end(self) -> usize {
        match self {
            Self::AesGcm => 4,
            Self::AesCm => 4 + 10,
        }
    }
}

/// Master key and salt of one direction.
pub(super) struct MasterKey {
    pub(super) key: Vec<u8>,
    pub(super) salt: Vec<u8>,
}

/// An outgoing packet could not be sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// DTLS has not agreed on keys, or did not negotiate SRTP.
    #[error("no keys")]
    NoKeys,
    /// The packet is shorter than its header, or its sequence number is not that of the index.
    #[error("not an RTP or RTCP packet")]
    Malformed,
    /// The cipher refused.
    #[error("the cipher failed")]
    Crypto,
}

pub(super) struct Srtp {
    profile: Profile,
    opener: SessionKeys,
    rtcp_opener: SessionKeys,
    rtp_sources: Sources,
    rtcp_sources: Sources,
    sealer: SessionKeys,
    rtcp_sealer: SessionKeys,
    /// Of the last RTCP packet; counts for all SSRCs together.
    rtcp_index: u32,
}

impl Srtp {
    pub(super) fn new(
        profile: Profile,
        outgoing: &MasterKey,
        incoming: &MasterKey,
        provider: &dyn RTCCryptoProvider,
    ) -> Result<Self, SealError> {
        let keys = |master: &MasterKey, used_for| {
            let derived = match profile {
                Profile::AesGcm => SessionKeys::gcm,
                Profile::AesCm => SessionKeys::cm,
            };
            derived(provider.crypto(), &master.key, &master.salt, used_for)
                .map_err(|_| SealError::Crypto)
        };
        Ok(Self {
            opener: keys(incoming, Use::Srtp)?,
            rtcp_opener: keys(incoming, Use::Srtcp)?,
            rtp_sources: Sources::default(),
            rtcp_sources: Sources::default(),
            sealer: keys(outgoing, Use::Srtp)?,
            rtcp_sealer: keys(outgoing, Use::Srtcp)?,
            rtcp_index: 0,
            profile,
        })
    }

    /// Opens an SRTP packet where it lies, and gives the length of header and payload.
    pub(super) fn open_rtp(&mut self, packet: &mut [u8]) -> Result<usize, DropReason> {
        let header_bytes = rtp_header_bytes(packet).ok_or(DropReason::SrtpShort)?;
        if packet.len() < header_bytes + self.profile.tag_bytes() {
            return Err(DropReason::SrtpShort);
        }
        let ssrc = [packet[8], packet[9], packet[10], packet[11]];
        let source = u32::from_be_bytes(ssrc);
        let sequence = u16::from_be_bytes([packet[2], packet[3]]);
        let index = self.rtp_sources.index(source, sequence);
        self.rtp_sources.check(source, index)?;
        let length = self
            .opener
            .open_rtp(packet, header_bytes, ssrc, index)
            .map_err(|_| DropReason::SrtpAuthentication)?;
        self.rtp_sources.note(source, index);
        Ok(length)
    }

    /// Opens an SRTCP packet where it lies, and gives the length of the compound packet.
    pub(super) fn open_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, DropReason> {
        if packet.len() < 8 + 4 + self.profile.tag_bytes() {
            return Err(DropReason::SrtpShort);
        }
        let at = packet.len() - self.profile.rtcp_index_from_end();
        let word = u32::from_be_bytes([packet[at], packet[at + 1], packet[at + 2], packet[at + 3]]);
        // WebRTC has no use for unencrypted SRTCP (RFC 8827 §6.5).
        if word & ENCRYPTED == 0 {
            return Err(DropReason::SrtpAuthentication);
        }
        let index = word & !ENCRYPTED;
        let ssrc = [packet[4], packet[5], packet[6], packet[7]];
        let source = u32::from_be_bytes(ssrc);
        self.rtcp_sources.check(source, u64::from(index))?;
        let length = self
            .rtcp_opener
            .open_rtcp(packet, ssrc, index)
            .map_err(|_| DropReason::SrtpAuthentication)?;
        self.rtcp_sources.note(source, u64::from(index));
        Ok(length)
    }

    /// See [`super::Transport::seal_rtp`].
    pub(super) fn seal_rtp(
        &mut self,
        arena: &mut Vec<u8>,
        start: usize,
        header_bytes: usize,
        index: u64,
    ) -> Result<(), SealError> {
        let packet = arena.get(start..).ok_or(SealError::Malformed)?;
        let consistent = header_bytes >= 12
            && packet.len() >= header_bytes
            && packet[2..4] == (index as u16).to_be_bytes()
            && index >> 48 == 0;
        if !consistent {
            return Err(SealError::Malformed);
        }
        let ssrc = [packet[8], packet[9], packet[10], packet[11]];
        self.sealer.seal_rtp(arena, start, header_bytes, ssrc, index).map_err(|_| SealError::Crypto)
    }

    /// See [`super::Transport::seal_rtcp`].
    pub(super) fn seal_rtcp(&mut self, arena: &mut Vec<u8>, start: usize) -> Result<(), SealError> {
        let header = arena.get(start..).and_then(|packet| packet.get(..8));
        let &[.., a, b, c, d] = header.ok_or(SealError::Malformed)? else {
            return Err(SealError::Malformed);
        };
        // An index must not come again (RFC 3711 §3.4); at a thousand packets a second that takes
        // 24 days, and the keys are used up then.
        let index = self.rtcp_index + 1;
        if index >= ENCRYPTED {
            return Err(SealError::Crypto);
        }
        self.rtcp_index = index;
        self.rtcp_sealer.seal_rtcp(arena, start, [a, b, c, d], index).map_err(|_| SealError::Crypto)
    }
}

/// Bytes of an RTP header with CSRCs and extension block (RFC 3550 §5.1, §5.3.1).
/// `None` if the packet is shorter.
fn rtp_header_bytes(packet: &[u8]) -> Option<usize> {
    let first = *packet.first()?;
    let mut bytes = 12 + 4 * usize::from(first & 0x0f);
    if first & 0x10 != 0 {
        let words = packet.get(bytes + 2..bytes + 4)?;
        bytes += 4 + 4 * usize::from(u16::from_be_bytes([words[0], words[1]]));
    }
    (bytes <= packet.len()).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forged_ssrcs_leave_no_state() {
        for profile in [Profile::AesGcm, Profile::AesCm] {
            let provider = rtc_crypto::default_provider().unwrap();
            let master = || MasterKey {
                key: vec![1; profile.key_bytes()],
                salt: vec![2; profile.salt_bytes()],
            };
            let mut srtp = Srtp::new(profile, &master(), &master(), &*provider).unwrap();
            for ssrc in 0..10_000u32 {
                let mut forged = vec![0x80, 96, 0, 1, 0, 0, 0, 0];
                forged.extend_from_slice(&ssrc.to_be_bytes());
                forged.resize(60, 7);
                let mut report = forged.clone();
                assert_eq!(srtp.open_rtp(&mut forged), Err(DropReason::SrtpAuthentication));
                report[4..8].copy_from_slice(&ssrc.to_be_bytes());
                let flag_at = report.len() - profile.rtcp_index_from_end();
                report[flag_at] = 0x80;
                assert_eq!(srtp.open_rtcp(&mut report), Err(DropReason::SrtpAuthentication));
            }
            assert_eq!((srtp.rtp_sources.len(), srtp.rtcp_sources.len()), (0, 0));
        }
    }
}
