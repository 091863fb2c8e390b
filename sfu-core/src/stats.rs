//! Plain snapshots for metrics and people.

use crate::drops::DropCounters;

/// Counters of one engine since its start, and its present size.
#[derive(Clone, Debug, Default)]
pub struct EngineStats {
    /// Rooms now.
    pub rooms: u64,
    /// Peers now.
    pub peers: u64,
    /// Peers whose transport is connected now.
    pub peers_connected: u64,
    /// Published tracks now.
    pub tracks: u64,
    /// Of these, mirrors of tracks that are published in other engines.
    pub mirrors: u64,
    /// Subscriptions now.
    pub subscriptions: u64,
    /// Peers that are sent video, by what their path is thought to carry: up to each of
    /// [`ESTIMATE_BOUNDS_BPS`], and more, or all they want.
    pub estimates: [u64; ESTIMATE_BOUNDS_BPS.len() + 1],
    /// Deadlines set now.
    pub timers: u64,
    /// Addresses and ufrags known to the demultiplexer now.
    pub addresses: u64,
    /// Pages of published payloads held now, of [`crate::limits::HISTORY_PAGE_BYTES`] each.
    pub history_pages: u64,
    /// How often an encoding got no further page, and overwrote its oldest or lost a packet.
    pub history_pages_refused: u64,
    /// Datagrams received.
    pub datagrams_in: u64,
    /// Bytes of datagrams received.
    pub bytes_in: u64,
    /// Datagrams sent.
    pub datagrams_out: u64,
    /// Bytes of datagrams sent.
    pub bytes_out: u64,
    /// RTP packets accepted from publishers (retransmissions not counted).
    pub rtp_in: u64,
    /// RTP packets forwarded to subscribers (retransmissions not counted).
    pub rtp_out: u64,
    /// Payload bytes of the packets accepted.
    pub rtp_bytes_in: u64,
    /// Payload bytes of the packets forwarded.
    pub rtp_bytes_out: u64,
    /// Packets handed to other engines.
    pub relayed_out: u64,
    /// Packets taken from other engines.
    pub relayed_in: u64,
    /// Retransmissions sent to subscribers.
    pub rtx_out: u64,
    /// Packets asked for again from publishers.
    pub nacks_out: u64,
    /// Packets asked for again by subscribers.
    pub nacks_in: u64,
    /// Keyframe requests sent to publishers.
    pub keyframe_requests_out: u64,
    /// Keyframe requests received from subscribers.
    pub keyframe_requests_in: u64,
    /// Of these, by FIR (RFC 5104 §4.3.1) and not by PLI.
    pub firs_in: u64,
    /// Transports that connected and that failed.
    pub transports: TransportOutcomes,
    /// Contained panics.
    pub panics: u64,
    /// Datagrams and packets dropped, by reason.
    pub drops: DropCounters,
}

/// What became of transports, by what carried them: UDP, TCP, and nothing yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TransportOutcomes {
    /// Times one connected, the first or again after a silence.
    pub connected: [u64; 3],
    /// Times one failed.
    pub failed: [u64; 3],
}

/// What estimates are told apart by, in bit/s: sound only, a small picture, a middling one, a large
/// one, several.
pub const ESTIMATE_BOUNDS_BPS: [u64; 5] = [150_000, 500_000, 1_500_000, 5_000_000, 15_000_000];

/// One peer's state.
#[derive(Clone, Debug, Default)]
pub struct PeerStats {
    /// Round-trip time in milliseconds, from receiver reports, if known.
    pub rtt_ms: Option<u32>,
    /// RTP packets accepted from it.
    pub rtp_in: u64,
    /// RTP packets forwarded to it.
    pub rtp_out: u64,
    /// Retransmissions sent to it.
    pub rtx_out: u64,
    /// Packets it reported lost, in 1/256 of the last report interval (worst m-line).
    pub fraction_lost: u8,
}
