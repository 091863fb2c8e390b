//! Every bound of the control plane, each with its reason. The engine's are in
//! `sfu_core::limits`.

use std::time::Duration;

/// Rooms, unless configured: the engine's own bound.
pub const ROOMS_MAX: usize = sfu_core::limits::ROOMS_MAX;
/// Participants of a room, unless configured: the engine's own bound.
pub const PARTICIPANTS_PER_ROOM_MAX: usize = sfu_core::limits::PEERS_PER_ROOM_MAX;

/// Longest name of a room, a participant or a track, in bytes.
pub const NAME_BYTES_MAX: usize = 256;
/// Longest metadata of a participant. It is repeated to everybody who joins.
pub const METADATA_BYTES_MAX: usize = 64 * 1024;
/// Names and metadata of all participants of a room together: everybody who joins is sent them in
/// one message.
pub const ROOM_METADATA_BYTES_MAX: usize = 1024 * 1024;
/// `publish` requests that wait for their offer: as many as a peer may have tracks, twice.
pub const PUBLISH_REQUESTS_MAX: usize = 2 * sfu_core::limits::TRACKS_PER_PEER_MAX;

/// Preferences of one `prefer` request: as many as a participant may have subscriptions.
pub const PREFERENCES_MAX: usize = sfu_core::limits::SUBSCRIPTIONS_PER_PEER_MAX;
/// Largest `audio_last_n` and `video_last_n`: a room has no more participants.
pub const LAST_N_MAX: u16 = sfu_core::limits::PEERS_PER_ROOM_MAX as u16;

/// How long a room stays on a worker where it has no participants any more.
pub const EMPTY_PART_MAX: Duration = Duration::from_secs(5);
/// Names of ended mirrors kept for each part of a room: a flight recorder has no more records.
pub const ENDED_MIRRORS_MAX: usize = sfu_core::limits::RECORDS_PER_PEER_MAX;

/// Longest HTTP body other than SDP.
pub const BODY_BYTES_MAX: usize = 256 * 1024;
/// Longest time a client may take for the body of a request. With what timers and a busy machine
/// add, a connection that stalls is gone within ten seconds; so it is with those below.
pub const BODY_DEADLINE: Duration = Duration::from_secs(8);
/// Longest time a client may take for the head of a request.
pub const HEAD_DEADLINE: Duration = Duration::from_secs(5);
/// Idle time of a kept-alive HTTP connection.
pub const KEEP_ALIVE: Duration = Duration::from_secs(8);
/// TLS handshakes under way at a time and per HTTP thread: more than stall in [`HEAD_DEADLINE`], so
/// that others need not wait for them.
pub const HANDSHAKES_PER_THREAD_MAX: usize = 4_096;
/// HTTP connections at a time and per HTTP thread.
pub const CONNECTIONS_PER_THREAD_MAX: usize = 10_000;
/// Connections at a time where only metrics are served: a few that collect them, and a few more.
pub const METRICS_CONNECTIONS_MAX: usize = 64;
/// Time after which a connection whose peer acknowledges nothing, or never reads, is cut.
pub const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(20);

/// Longest WebSocket message, fragmented or not.
pub const FRAME_BYTES_MAX: usize = 256 * 1024;
/// From the upgrade to the `join`.
pub const JOIN_DEADLINE: Duration = Duration::from_secs(8);
/// Silence after which a WebSocket is closed. Three ping intervals.
pub const IDLE_MAX: Duration = Duration::from_secs(60);
/// Interval of WebSocket pings, and of the `ping` requests clients are asked for.
pub const PING_INTERVAL: Duration = Duration::from_secs(20);
/// Bytes waiting for one WebSocket; a reader to whom more is to be sent then is closed.
pub const OUTBOX_BYTES_MAX: usize = 1024 * 1024;
/// Messages waiting for one WebSocket. Two of each kind of event for a full room fit.
pub const OUTBOX_FRAMES_MAX: usize = 8 * 1024;
/// Share of the outbox above which what may be lost (lossy data, speakers) is.
pub const OUTBOX_LOSSY_BYTES_MAX: usize = OUTBOX_BYTES_MAX / 2;

/// How long a participant whose WebSocket broke stays, for another one to go on from it. Media goes on
/// meanwhile; longer, and a window that was closed in a crash would stand there.
pub const RESUME_WITHIN: Duration = Duration::from_secs(15);
/// How long a WebSocket may take to let go of a participant that another one goes on with: it ends
/// the request that it is at.
pub const TAKE_OVER_WITHIN: Duration = Duration::from_secs(5);
/// Messages kept for a WebSocket that may go on from one that breaks: those that may be under way.
pub const SENT_FRAMES_MAX: usize = 256;
/// The same in bytes; messages to many are kept once.
pub const SENT_BYTES_MAX: usize = 256 * 1024;

/// Requests per second on one WebSocket, unless configured. The burst is twice as many.
pub const MESSAGES_PER_SECOND: u32 = 50;
/// Offers per second of one participant: each costs a negotiation.
pub const OFFERS_PER_SECOND: u32 = 5;
/// Offers in a burst.
pub const OFFERS_BURST: u32 = 20;
/// `PATCH`es per second of one WHIP or WHEP session: candidates trickle in dozens at the beginning.
pub const PATCHES_PER_SECOND: u32 = 5;
/// `PATCH`es in a burst.
pub const PATCHES_BURST: u32 = 40;
/// Event streams of one WHEP session at a time: one is enough, a page that was loaded anew leaves one.
pub const EVENT_STREAMS_MAX: usize = 4;
/// How often is looked whether there is something new for an event stream.
pub const EVENTS_INTERVAL: Duration = Duration::from_millis(500);
/// Longest message between two who exchange media directly: an offer with six m-lines.
pub const DIRECT_SIGNAL_BYTES_MAX: usize = 32 * 1024;
/// Such messages per second of one participant, in the long run.
pub const DIRECT_SIGNALS_PER_SECOND: u32 = 8;
/// The same in a burst: a description and its candidates, twice. All of the longest fit the outbox of
/// whoever they are for.
pub const DIRECT_SIGNALS_BURST: u32 = 30;
/// Protocol errors (malformed, unknown or too many requests) forgiven at a time; beyond it the
/// WebSocket is closed.
pub const ERRORS_BURST: u32 = 20;
/// Protocol errors forgiven per second in the long run.
pub const ERRORS_PER_SECOND: u32 = 1;

/// Keys that sign tokens.
pub const API_KEYS_MAX: usize = 64;
/// Shortest secret: as long as what HMAC-SHA256 makes (RFC 2104 §3).
pub const SECRET_BYTES_MIN: usize = 32;
/// Longest token: what many servers take for a line of a request's head.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// Kicks remembered at a time.
pub const KICKS_MAX: usize = 16 * 1024;

/// Tokens that do not count, per second and address (20 a minute): then the address has to wait.
pub const AUTH_FAILURES_PER_SECOND: f64 = 20.0 / 60.0;
/// The same in a burst.
pub const AUTH_FAILURES_BURST: f64 = 20.0;
/// Requests to the API per second and address; twice as many in a burst.
pub const API_REQUESTS_PER_SECOND: u32 = 50;

/// Webhook endpoints.
pub const WEBHOOK_ENDPOINTS_MAX: usize = 16;
/// Messages waiting for one webhook endpoint, of less than 20 kB each: what a busy server has to
/// tell in a minute.
pub const WEBHOOK_QUEUE_MAX: usize = 1024;

/// Joins per second and address, unless configured. The burst is twice as many.
pub const JOINS_PER_SECOND: u32 = 10;
/// Addresses whose joins are counted at a time. When all of them have joined lately, new
/// addresses are refused.
pub const JOIN_ADDRESSES_MAX: usize = 16 * 1024;

/// How long a room made by request stays while nobody is in it, unless asked otherwise.
pub const EMPTY_TIMEOUT: Duration = Duration::from_secs(300);
/// The longest such time that may be asked for.
pub const EMPTY_TIMEOUT_MAX: Duration = Duration::from_secs(24 * 3600);

/// Media workers: as many as one room may be on.
pub const WORKERS_MAX: u8 = sfu_core::limits::LINKS_PER_ROOM_MAX as u8;
/// TCP connections of media at a time: as many as an engine has peers.
pub const TCP_CONNECTIONS_MAX: usize = sfu_core::limits::PEERS_MAX;
/// Identities that may come back to a locked room: more than lose their network in a minute.
pub const LOST_IDENTITIES_MAX: usize = 256;
/// Peers of one media worker whose network is bad on request; each holds 8 MiB at most.
pub const IMPAIRED_PEERS_MAX: usize = 32;
/// Wishes for bad networks on their way to one media worker, which takes them at each turn.
pub const IMPAIRMENTS_WAITING_MAX: usize = 64;
/// TCP connections whose first frame is awaited, at a time: each costs a descriptor and a buffer, and
/// nobody has shown who they are.
pub const TCP_WAITING_MAX: usize = 1024;
/// Of these, those of one address: an office behind a NAT that begins a meeting.
pub const TCP_WAITING_PER_ADDRESS_MAX: usize = 64;
/// From the connection to its first valid check.
pub const TCP_CHECK_DEADLINE: Duration = Duration::from_secs(8);
/// TCP connections on their way to one media worker.
pub const TCP_NEWCOMERS_MAX: usize = 256;
/// Messages of the relay waiting for one media worker. What finds no room waits in the engine that
/// sends it, and becomes one message of more.
pub const RELAY_MESSAGES_MAX: usize = 64;
/// Batches of strays waiting for one media worker, of 64 KiB each: longer than it may stand still.
pub const STRAY_BATCHES_MAX: usize = 256;
/// News of others' paths waiting for one media worker, which takes them in a quarter of a second at
/// most: so many clients do not connect in that time.
pub const PATH_NEWS_MAX: usize = 16 * 1024;
/// DTLS datagrams put aside by one media worker: the flights of 200 joins at once, and what comes by
/// data channels meanwhile.
pub const HANDSHAKES_WAITING_MAX: usize = 2048;
/// Commands waiting for one media worker.
pub const COMMANDS_MAX: usize = 1024;
/// Longest wait for a place in that queue; then the request is refused as overload.
pub const COMMAND_WAIT: Duration = Duration::from_secs(2);
/// Events and replies on their way from a media worker to the session layer.
pub const OUTPUTS_MAX: usize = 4096;

/// SDP longer than this is read on a thread that may block, not on one that serves others.
pub const SDP_INLINE_BYTES_MAX: usize = 16 * 1024;

/// Longest time from the signal to stop to the end of the process.
pub const SHUTDOWN_MAX: Duration = Duration::from_secs(5);
/// Load of every worker, in per cent, above which joins are refused, unless configured: packets
/// wait longer and longer when nothing is left.
pub const LOAD_MAX: u8 = 97;
/// Load of a worker, in per cent, above which it forwards fewer layers, unless configured: joins are
/// refused before, at the latest when there is no worker but this one.
pub const SHED_LOAD: u8 = 98;
/// How often is looked whether everybody has left a server that is to end.
pub const DRAIN_LOOK: Duration = Duration::from_millis(100);
/// A media worker turns its loop four times a second at least; one that has not for this long is
/// stuck.
pub const TICK_AGE_MAX: Duration = Duration::from_secs(1);
