//! Why a packet went no further. Each reason has one counter; none is ever logged per packet.

macro_rules! drop_reasons {
    ($($(#[$doc:meta])* $variant:ident => $name:literal,)*) => {
        /// Why a datagram or packet was dropped.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum DropReason { $($(#[$doc])* $variant,)* }

        impl DropReason {
            /// Every reason, in declaration order.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The reason as a metric label.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

drop_reasons! {
    /// Longer than [`crate::limits::DATAGRAM_BYTES_MAX`].
    Oversize => "oversize",
    /// Neither STUN, DTLS, RTP nor RTCP by its first byte (RFC 7983).
    Unclassified => "unclassified",
    /// STUN that does not parse, or fails FINGERPRINT or MESSAGE-INTEGRITY.
    StunMalformed => "stun_malformed",
    /// STUN whose USERNAME names no live peer.
    StunUnknownUfrag => "stun_unknown_ufrag",
    /// STUN with the right name and the wrong password.
    StunUnauthenticated => "stun_unauthenticated",
    /// STUN of a class or method an ICE-lite agent does not answer.
    StunUnexpected => "stun_unexpected",
    /// STUN of one peer over the address that another one is heard on.
    StunPathTaken => "stun_path_taken",
    /// DTLS from an address ICE has not validated.
    DtlsUnvalidated => "dtls_from_unvalidated",
    /// RTP or RTCP from an address ICE has not validated.
    RtpUnvalidated => "rtp_from_unvalidated",
    /// A DTLS record or fragment outside the guard's budget.
    DtlsGuard => "dtls_guard",
    /// The peer's certificate does not match its fingerprint.
    DtlsFingerprintMismatch => "dtls_fp_mismatch",
    /// DTLS that broke the handshake or could not be read.
    DtlsError => "dtls_error",
    /// RTP or RTCP before the keys are known.
    SrtpBeforeKeys => "srtp_before_keys",
    /// Too short to be SRTP or SRTCP.
    SrtpShort => "srtp_short",
    /// The authentication tag does not verify.
    SrtpAuthentication => "srtp_auth_fail",
    /// Seen before, or older than the replay window.
    SrtpReplay => "srtp_replay",
    /// More SSRCs than [`crate::limits::SSRCS_PER_PEER_MAX`].
    SsrcCap => "ssrc_cap",
    /// An RTP header that does not parse.
    RtpMalformed => "rtp_malformed",
    /// Padding longer than the packet, or of length zero (RFC 3550 §5.1).
    RtpBadPadding => "rtp_bad_padding",
    /// A header extension that runs past its block.
    ExtensionMalformed => "ext_malformed",
    /// A payload type that was not negotiated for the m-line.
    PayloadTypeUnknown => "payload_type_unknown",
    /// An SSRC that belongs to no negotiated m-line.
    SsrcUnknown => "ssrc_unknown",
    /// A RID that was not negotiated, or that would move to another SSRC.
    RidUnknown => "rid_unknown",
    /// RTX too short for its original sequence number, or of no known stream.
    RtxMalformed => "rtx_malformed",
    /// RTCP that does not parse; what preceded the bad block was used.
    RtcpMalformed => "rtcp_malformed",
    /// A NACK for a packet never sent or no longer kept.
    NackMiss => "nack_miss",
    /// A retransmission refused by its budget, or asked again within a round-trip time.
    RtxBudget => "rtx_budget",
    /// A NACK for a packet on which nothing builds any more: its layer was left for want of bandwidth.
    NackSpent => "nack_spent",
    /// A NACK for a packet so old that a keyframe is asked for instead.
    NackOld => "nack_old",
    /// A packet of a muted track.
    Muted => "muted",
    /// A packet seen before at the RTP level (already recovered).
    Duplicate => "duplicate",
    /// Too old to be placed in the history.
    TooOld => "too_old",
    /// No page is left to keep its payload in ([`crate::limits::HISTORY_PAGES_MAX`]).
    HistoryFull => "history_full",
    /// Too much media waited for another engine.
    RelayFull => "relay_full",
    /// What another engine sent names nothing that is here: it came late, or is wrong.
    RelayUnknown => "relay_unknown",
    /// What another engine announced is more than a room may have.
    RelayLimit => "relay_limit",
    /// The subscriber's egress queue was full.
    EgressFull => "egress_full",
    /// A data message over its size limit.
    DataOversize => "dc_oversize",
    /// A data message that does not parse.
    DataMalformed => "dc_malformed",
    /// From a peer that may not send messages.
    DataNotPermitted => "dc_not_permitted",
    /// A data message for a receiver that is too slow.
    DataSlowReceiver => "dc_slow_receiver",
    /// SCTP that does not parse or breaks a bound.
    SctpError => "sctp_error",
}

/// One counter per [`DropReason`].
#[derive(Clone, Debug)]
pub struct DropCounters([u64; DropReason::ALL.len()]);

impl Default for DropCounters {
    fn default() -> Self {
        Self([0; DropReason::ALL.len()])
    }
}

impl DropCounters {
    /// Counts one drop.
    pub fn count(&mut self, reason: DropReason) {
        self.add(reason, 1);
    }

    /// Counts `n` drops.
    pub fn add(&mut self, reason: DropReason, n: u64) {
        let slot = &mut self.0[reason as usize];
        *slot = slot.saturating_add(n);
    }

    /// How often `reason` was counted.
    #[must_use]
    pub fn get(&self, reason: DropReason) -> u64 {
        self.0[reason as usize]
    }

    /// Every reason with its count.
    pub fn iter(&self) -> impl Iterator<Item = (DropReason, u64)> + '_ {
        DropReason::ALL.iter().map(|&reason| (reason, self.get(reason)))
    }
}
