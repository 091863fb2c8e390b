//! Every bound of the engine, each with its reason. Nothing keyed or sized by a wire value exists
//! without one. Sources: RFCs as named; other SFUs' published defaults; our own measurements.

use std::time::Duration;

/// Longest datagram looked at: an Ethernet MTU. Larger ones were fragmented by IP and are no
/// WebRTC traffic.
pub const DATAGRAM_BYTES_MAX: usize = 1500;

/// Longest mid or rid: RFC 8852 carries them in a one-byte header extension of 16 bytes at most.
pub const TOKEN_BYTES_MAX: usize = 16;

/// Peers of one engine: bounds memory at about 150 KiB a peer.
pub const PEERS_MAX: usize = 10_000;
/// Rooms of one engine.
pub const ROOMS_MAX: usize = 10_000;
/// Peers of one room.
pub const PEERS_PER_ROOM_MAX: usize = 1_000;
/// Tracks one peer may publish: cameras, screens and their sound, with room to spare.
pub const TRACKS_PER_PEER_MAX: usize = 16;
/// Subscriptions of one peer.
pub const SUBSCRIPTIONS_PER_PEER_MAX: usize = 250;
/// Simulcast encodings of one track (browsers send at most 3).
pub const ENCODINGS_MAX: usize = 4;
/// Spatial and temporal layers of one encoding of which the rate is measured: three by three are the
/// most that codecs' scalability modes name.
pub const LAYERS_PER_ENCODING_MAX: usize = 16;

/// SSRCs a peer may bring to life, signalled or not: each costs a replay window.
pub const SSRCS_PER_PEER_MAX: usize = 96;
/// SRTP replay window in packets (RFC 3711 §3.3.2 asks for 64 at least). Larger than any
/// reordering a pacer or RTX can produce.
pub const REPLAY_WINDOW_PACKETS: usize = 1024;

/// Longest SDP read. Measured: 11 camera and 11 microphone m-lines of Chromium 156 with all its
/// codecs, 26 and 26 of Firefox 153, 32 and 32 of either restricted to Opus and VP8.
pub const SDP_BYTES_MAX: usize = 64 * 1024;
/// Lines of one SDP; browsers' lines have 35 bytes on average, so the bytes run out first.
pub const SDP_LINES_MAX: usize = 8192;
/// Longest line of an SDP. A BUNDLE group of [`SECTIONS_MAX`] mids is the longest legitimate one.
pub const SDP_LINE_BYTES_MAX: usize = 4096;
/// m-lines of one session.
pub const SECTIONS_MAX: usize = 128;
/// Payload types of one m-line (there are 128 in all; browsers list about 40).
pub const PAYLOAD_TYPES_PER_SECTION_MAX: usize = 64;
/// Header extensions of one m-line.
pub const EXTENSIONS_PER_SECTION_MAX: usize = 64;
/// Certificate fingerprints of one offer (browsers give one).
pub const FINGERPRINTS_MAX: usize = 8;
/// SSRCs named in one m-line: four encodings with RTX and FEC are 12.
pub const SSRCS_PER_SECTION_MAX: usize = 32;
/// Candidates read from one m-line. An ICE-lite agent uses none of them.
pub const CANDIDATES_MAX: usize = 64;

/// From the offer to the first valid check.
pub const ICE_DEADLINE: Duration = Duration::from_secs(30);
/// From the first valid check to keys.
pub const DTLS_DEADLINE: Duration = Duration::from_secs(10);
/// Silence (no valid check, no authenticated media) after which a peer is shown as disconnected.
/// Firefox was seen to check only every 4 s.
pub const DISCONNECTED_AFTER: Duration = Duration::from_secs(8);
/// Silence after which consent is gone and nothing is sent any more (RFC 7675 §5.1).
pub const CONSENT_EXPIRY: Duration = Duration::from_secs(30);
/// Media packets of unknown addresses, a second, that are tried with the keys of peers: a NAT that
/// forgot an office, and no more work than that for strangers.
pub const STRANGERS_PER_SECOND_MAX: usize = 200;
/// Peers whose keys one such packet is tried with.
pub const STRANGERS_KEYS_MAX: usize = 8;
/// Checks of our own whose answers are awaited.
pub const CHALLENGES_MAX: usize = 256;
/// Addresses one peer may have validated at a time; the least recently used goes.
pub const PATHS_PER_PEER_MAX: usize = 32;
/// Nominations followed per second; a client that flaps stays where it is.
pub const NOMINATIONS_PER_SECOND_MAX: u32 = 5;

/// Plaintext handshake fragments accepted in one DTLS handshake.
pub const DTLS_FRAGMENTS_MAX: u32 = 512;
/// Longest DTLS handshake message.
pub const DTLS_MESSAGE_BYTES_MAX: usize = 16 * 1024;
/// How far ahead of the next expected handshake message one is kept.
pub const DTLS_MESSAGES_AHEAD_MAX: u16 = 8;
/// Handshake records passed to a finished connection, for a peer that repeats its last flight.
pub const DTLS_RECORDS_AFTER_DONE_MAX: u32 = 16;
/// Retransmissions of a DTLS flight: 100 ms doubling, 7 times, ends within the deadline.
pub const DTLS_RETRANSMITS_MAX: u32 = 7;
/// First retransmission timeout of a DTLS flight.
pub const DTLS_RETRANSMIT_INITIAL: Duration = Duration::from_millis(100);

/// Data channels of one peer.
pub const DATA_CHANNELS_MAX: usize = 64;
/// Longest data message, also announced as `a=max-message-size` (RFC 8841).
pub const DATA_MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// Bytes queued for one data receiver; beyond it lossy messages are dropped.
pub const DATA_BUFFERED_BYTES_MAX: usize = 1024 * 1024;
/// Addressees of one data message.
pub const DATA_ADDRESSEES_MAX: usize = 64;

/// Packets kept per video encoding for retransmission: 1 s at 8 Mbit/s.
pub const HISTORY_VIDEO_PACKETS: usize = 1024;
/// Pages kept per video encoding: 1.5 MiB, as much as so many packets have.
pub const HISTORY_VIDEO_PAGES: usize = 96;
/// Packets kept per audio encoding: 2.5 s at 20 ms.
pub const HISTORY_AUDIO_PACKETS: usize = 128;
/// Pages kept per audio encoding: so many packets of 500 bytes.
pub const HISTORY_AUDIO_PAGES: usize = 4;
/// Age at which a page of payloads is given away: when receivers of our own kind have given up
/// ([`NACK_AGE_MAX`]).
pub const HISTORY_AGE: Duration = Duration::from_secs(3);
/// Bytes of a page. A payload does not cross its end, which wastes 4 % of it.
pub const HISTORY_PAGE_BYTES: usize = 16 * 1024;
/// Pages of one engine: 512 MiB, [`HISTORY_AGE`] of 1.4 Gbit/s published, more than one thread can
/// receive and forward. An encoding that gets no page overwrites its own oldest one early; if it has
/// none, its packet is dropped.
pub const HISTORY_PAGES_MAX: usize = 32 * 1024;
/// Of these, pages that only encodings with fewer than [`HISTORY_PAGES_FEW`] may take: those that
/// hold many must not keep others from having any.
pub const HISTORY_PAGES_RESERVED: usize = 4 * 1024;
/// See [`HISTORY_PAGES_RESERVED`]: 64 KiB, longer than any packet waits to be sent at 1 Mbit/s.
pub const HISTORY_PAGES_FEW: usize = 4;
/// Unused pages that are kept in any case: 1 MiB. Beyond it no more than are in use.
pub const HISTORY_PAGES_SPARE: usize = 64;

/// Missing packets of one SSRC asked for at a time; beyond it the stream is restarted by a PLI.
pub const NACK_OUTSTANDING_MAX: usize = 250;
/// Times one packet is asked for.
pub const NACK_TRIES_MAX: u8 = 10;
/// Age at which a missing packet is given up.
pub const NACK_AGE_MAX: Duration = Duration::from_secs(3);
/// A sequence jump larger than this restarts the receive state instead of filling the NACK list.
pub const SEQUENCE_JUMP_MAX: u64 = 500;

/// Share of a subscriber's media bytes that may be spent on retransmissions, in per cent. A loss of
/// p costs p / (1 - p): this is enough for every third packet. With less than a loss needs, packets
/// are given up, keyframes are asked for instead, and those cost more than they mend.
pub const RTX_BUDGET_PERCENT: u64 = 50;
/// Retransmission bytes always allowed, so that a quiet stream can recover at all.
pub const RTX_BUDGET_FLOOR_BYTES: u64 = 64 * 1024;
/// A packet that came in longer ago than this and a round trip is not retransmitted: players that
/// wait so long for a picture are better off with a keyframe, which ends the waiting for all before
/// it, and after an outage the path is not filled with what nobody will look at.
pub const RTX_AGE_MAX: Duration = Duration::from_secs(1);
/// Times one packet is retransmitted to one subscriber.
pub const RTX_TRIES_MAX: u8 = 10;

/// Shortest time between two keyframe requests to one source.
pub const KEYFRAME_INTERVAL_MIN: Duration = Duration::from_millis(500);
/// Keyframe requests one subscriber may cause in [`KEYFRAME_REQUEST_WINDOW`].
pub const KEYFRAME_REQUESTS_PER_WINDOW: u32 = 10;
/// See [`KEYFRAME_REQUESTS_PER_WINDOW`].
pub const KEYFRAME_REQUEST_WINDOW: Duration = Duration::from_secs(10);

/// Interval of TWCC feedback to a publisher that is sending.
pub const TWCC_INTERVAL: Duration = Duration::from_millis(100);
/// Packets one TWCC feedback message reports on at most.
pub const TWCC_PACKETS_MAX: usize = 2048;
/// Interval of sender and receiver reports (RFC 3550 §6.2 allows less; 1 s is what browsers do).
pub const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// Packets waiting for one subscriber: a second at 10 Mbit/s. Beyond it the newest is dropped.
pub const PACER_PACKETS_MAX: usize = 1024;
/// Time a packet waits in the pacer at most: a queue that would take longer is sent faster. Late
/// frames are worth less than the congestion they cause, and the payload waits in a history that
/// forgets.
pub const PACER_QUEUE_TIME_MAX: Duration = Duration::from_millis(250);
/// Events waiting to be polled; the shell polls after each batch, so this is never reached unless
/// it stopped polling. Beyond it speaker updates are dropped first.
pub const EVENTS_MAX: usize = 65_536;

/// Interval at which active speakers are computed.
pub const SPEAKERS_INTERVAL: Duration = Duration::from_millis(200);
/// Speakers reported.
pub const SPEAKERS_MAX: usize = 8;

/// Packets sent to one subscriber whose fate is remembered: two seconds at 40 Mbit/s. The record
/// starts with [`SENT_PACKETS_MIN`] and doubles as far as the rate asks for it.
pub const SENT_PACKETS_MAX: usize = 8192;
/// See [`SENT_PACKETS_MAX`].
pub const SENT_PACKETS_MIN: usize = 256;
/// Age at which a sent packet of which nothing was ever heard is given up: longer than any round
/// trip that media can be used over.
pub const SENT_AGE_MAX: Duration = Duration::from_secs(2);
/// Packets of one bucket of the record's index that are looked at; they are of our own numbering,
/// so that more than two are rare.
pub const SENT_BUCKET_STEPS_MAX: u32 = 16;
/// Bins of arrived bytes that the acknowledged rate is computed from: of 2 ms at least, over 1 s.
pub const ACKNOWLEDGED_BINS_MAX: usize = 512;
/// Packets held back until it is clear whether they waited in a queue or for a reader: 3 s of
/// 2 Mbit/s, or less of more.
pub const LATE_PACKETS_MAX: usize = 1024;
/// Probes under way or waiting for their feedback.
pub const PROBES_MAX: usize = 8;
/// Results of probes that nobody has fetched yet; the oldest go first.
pub const PROBE_RESULTS_MAX: usize = 16;
/// Highest estimate, whatever is configured: above it the record would be too short for the round
/// trips of continents (0.8 s of it). A path that has come so far is held back no more.
pub const ESTIMATE_BPS_MAX: u64 = 100_000_000;

/// Records kept in one peer's flight recorder: at a few a second in bad times, some minutes.
pub const RECORDS_PER_PEER_MAX: usize = 256;
/// Grants in all those records (16 bytes each).
pub const RECORDED_GRANTS_PER_PEER_MAX: usize = 2_048;
/// Bytes of recorded inputs of the allocation of one peer: some 30 runs with nine tiles.
pub const TRACE_BYTES_PER_PEER_MAX: usize = 32 * 1024;

/// Other engines that a room goes on in.
pub const LINKS_PER_ROOM_MAX: usize = 64;
/// Tracks of other engines in one room: four of each of [`PEERS_PER_ROOM_MAX`] participants.
pub const MIRRORS_PER_ROOM_MAX: usize = 4_000;
/// Packets that wait to be fetched for one other engine: those of four full receive batches of a
/// worker. Beyond it the newest is dropped.
pub const RELAY_PACKETS_MAX: usize = 4096;
/// Bytes of those packets.
pub const RELAY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// What is not media and waits likewise. None of it may be lost, so beyond it the link is over.
pub const RELAY_NOTES_MAX: usize = 65_536;
/// Payload bytes of the data messages among it.
pub const RELAY_DATA_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Empty messages kept for their buffers: some on the way there, some on the way back.
pub const RELAY_SPARE_MAX: usize = 32;
/// Highest extended sequence number taken from another engine: no line of packets is that long.
pub const RELAY_INDEX_MAX: u64 = 1 << 48;
