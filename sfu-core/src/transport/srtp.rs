//! SRTP and SRTCP of one peer. Packets are opened by rtc-srtp, behind checks that it leaves out;
//! outgoing RTP is sealed in place.

use std::collections::HashSet;
use std::sync::Arc;

use ::rtp::header::Header;
use bytes::BytesMut;
use rtc_crypto::RTCCryptoProvider;
use shared::error::Error;
use srtp::context::Context;
use srtp::option::{srtcp_replay_protection, srtp_replay_protection};
use srtp::protection_profile::ProtectionProfile;

use super::srtp_keys::Sealer;
use crate::drops::DropReason;
use crate::limits::{REPLAY_WINDOW_PACKETS, SSRCS_PER_PEER_MAX};

/// The two profiles of RFC 8827 §6.5 and RFC 7714 that are offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Profile {
    /// AEAD_AES_128_GCM.
    AesGcm,
    /// AES128_CM_HMAC_SHA1_80.
    AesCm,
}

impl Profile {
    fn of_library(self) -> ProtectionProfile {
        match self {
            Self::AesGcm => ProtectionProfile::AeadAes128Gcm,
            Self::AesCm => ProtectionProfile::Aes128CmHmacSha1_80,
        }
    }

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
    provider: Arc<dyn RTCCryptoProvider>,
    incoming: MasterKey,
    opener: Context,
    /// Opens packets of SSRCs not admitted yet. It has no replay window, so a forgery leaves
    /// nothing in it that a genuine packet could trip over; it is thrown away now and then.
    probe: Context,
    probes: usize,
    rtp_ssrcs: HashSet<u32>,
    rtcp_ssrcs: HashSet<u32>,
    sealer: Sealer,
    rtcp_sealer: Context,
    /// Carries SSRC, sequence number and size of a header into the library. Kept for its memory.
    scratch: Header,
}

/// Packets with unknown SSRCs after which the probing context is replaced: each may have left an
/// entry in it.
const PROBES_MAX: usize = 64;

impl Srtp {
    pub(super) fn new(
        profile: Profile,
        outgoing: &MasterKey,
        incoming: MasterKey,
        provider: Arc<dyn RTCCryptoProvider>,
    ) -> Result<Self, SealError> {
        let window = REPLAY_WINDOW_PACKETS;
        let crypto = provider.crypto();
        let opener = Context::new(
            &incoming.key,
            &incoming.salt,
            profile.of_library(),
            Some(srtp_replay_protection(window)),
            Some(srtcp_replay_protection(window)),
            crypto,
        );
        let sealer = match profile {
            Profile::AesGcm => Sealer::gcm(crypto, &outgoing.key, &outgoing.salt),
            Profile::AesCm => Sealer::cm(crypto, &outgoing.key, &outgoing.salt),
        };
        Ok(Self {
            opener: opener.map_err(|_| SealError::Crypto)?,
            probe: plain_context(profile, &incoming, &*provider)?,
            probes: 0,
            rtp_ssrcs: HashSet::new(),
            rtcp_ssrcs: HashSet::new(),
            sealer: sealer.map_err(|_| SealError::Crypto)?,
            rtcp_sealer: plain_context(profile, outgoing, &*provider)?,
            scratch: Header::default(),
            profile,
            provider,
            incoming,
        })
    }

    /// Opens an SRTP packet: header and payload, without the tag.
    pub(super) fn open_rtp(&mut self, packet: &[u8]) -> Result<BytesMut, DropReason> {
        let header_bytes = rtp_header_bytes(packet).ok_or(DropReason::SrtpShort)?;
        if packet.len() < header_bytes + self.profile.tag_bytes() {
            return Err(DropReason::SrtpShort);
        }
        let ssrc = u32::from_be_bytes([packet[8], packet[9], packet[10], packet[11]]);
        self.scratch.ssrc = ssrc;
        self.scratch.sequence_number = u16::from_be_bytes([packet[2], packet[3]]);
        // The library takes the size of the header from the parsed one, which is wrong where
        // padding stands between extensions. A header of so many CSRCs has the right size.
        self.scratch.csrc.resize((header_bytes - 12) / 4, 0);

        if !self.rtp_ssrcs.contains(&ssrc) {
            if self.rtp_ssrcs.len() >= SSRCS_PER_PEER_MAX {
                return Err(DropReason::SsrcCap);
            }
            self.renew_probe()?;
            let probed = self.probe.decrypt_rtp_with_header(packet, &self.scratch);
            probed.map_err(|e| reason_of(&e))?;
            self.rtp_ssrcs.insert(ssrc);
        }
        self.opener.decrypt_rtp_with_header(packet, &self.scratch).map_err(|e| reason_of(&e))
    }

    /// Opens an SRTCP packet: the compound packet in the clear.
    pub(super) fn open_rtcp(&mut self, packet: &[u8]) -> Result<BytesMut, DropReason> {
        if packet.len() < 8 + 4 + self.profile.tag_bytes() {
            return Err(DropReason::SrtpShort);
        }
        // The library lets a packet with the E flag cleared through without looking at its tag.
        // WebRTC has no use for unencrypted SRTCP (RFC 8827 §6.5).
        if packet[packet.len() - self.profile.rtcp_index_from_end()] & 0x80 == 0 {
            return Err(DropReason::SrtpAuthentication);
        }
        let ssrc = u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]]);
        if !self.rtcp_ssrcs.contains(&ssrc) {
            if self.rtcp_ssrcs.len() >= SSRCS_PER_PEER_MAX {
                return Err(DropReason::SsrcCap);
            }
            self.renew_probe()?;
            self.probe.decrypt_rtcp(packet).map_err(|e| reason_of(&e))?;
            self.rtcp_ssrcs.insert(ssrc);
        }
        self.opener.decrypt_rtcp(packet).map_err(|e| reason_of(&e))
    }

    fn renew_probe(&mut self) -> Result<(), DropReason> {
        self.probes += 1;
        if self.probes > PROBES_MAX {
            self.probe = plain_context(self.profile, &self.incoming, &*self.provider)
                .map_err(|_| DropReason::SrtpAuthentication)?;
            self.probes = 1;
        }
        Ok(())
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
        self.sealer.seal(arena, start, header_bytes, ssrc, index).map_err(|_| SealError::Crypto)
    }

    /// See [`super::Transport::seal_rtcp`].
    pub(super) fn seal_rtcp(&mut self, arena: &mut Vec<u8>, start: usize) -> Result<(), SealError> {
        let packet = arena.get(start..).ok_or(SealError::Malformed)?;
        let sealed = self.rtcp_sealer.encrypt_rtcp(packet).map_err(|_| SealError::Malformed)?;
        arena.truncate(start);
        arena.extend_from_slice(&sealed);
        Ok(())
    }
}

fn plain_context(
    profile: Profile,
    master: &MasterKey,
    provider: &dyn RTCCryptoProvider,
) -> Result<Context, SealError> {
    let profile = profile.of_library();
    Context::new(&master.key, &master.salt, profile, None, None, provider.crypto())
        .map_err(|_| SealError::Crypto)
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

fn reason_of(error: &Error) -> DropReason {
    match error {
        Error::SrtpSsrcDuplicated(..) | Error::SrtcpSsrcDuplicated(..) => DropReason::SrtpReplay,
        Error::ErrTooShortRtp
        | Error::ErrTooShortRtcp
        | Error::SrtpTooSmall(..)
        | Error::SrtcpTooSmall(..) => DropReason::SrtpShort,
        _ => DropReason::SrtpAuthentication,
    }
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
            let mut srtp = Srtp::new(profile, &master(), master(), provider).unwrap();
            for ssrc in 0..10_000u32 {
                let mut forged = vec![0x80, 96, 0, 1, 0, 0, 0, 0];
                forged.extend_from_slice(&ssrc.to_be_bytes());
                forged.resize(60, 7);
                assert_eq!(srtp.open_rtp(&forged), Err(DropReason::SrtpAuthentication));
                forged[4..8].copy_from_slice(&ssrc.to_be_bytes());
                let flag_at = forged.len() - profile.rtcp_index_from_end();
                forged[flag_at] = 0x80;
                assert_eq!(srtp.open_rtcp(&forged), Err(DropReason::SrtpAuthentication));
                assert!(srtp.probes <= PROBES_MAX);
            }
            assert_eq!((srtp.rtp_ssrcs.len(), srtp.rtcp_ssrcs.len()), (0, 0));
        }
    }
}
