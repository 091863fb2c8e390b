//! Rations for SCTP: what one peer may make rtc-sctp hold and do. The library opens a stream for
//! any id, goes on taking chunks that fill gaps once its receive window is shut, counts up to any
//! TSN it is told to forward to, and remembers every reset it cannot carry out yet.

use crate::limits::DATA_CHANNELS_MAX;

const COMMON_HEADER_BYTES: usize = 12;
const CHUNK_HEADER_BYTES: usize = 4;
const DATA: u8 = 0;
const INIT: u8 = 1;
const SACK: u8 = 3;
const RECONFIG: u8 = 130;
const FORWARD_TSN: u8 = 192;
/// Parameters of RECONFIG (RFC 6525 §4.1, §4.4).
const RESET_REQUEST: u16 = 13;
const RECONFIG_RESPONSE: u16 = 16;
const DATA_HEADER_BYTES: usize = 16;

/// The receive window announced. Several times the longest message, so that one lost packet does
/// not stop a fast sender.
pub(super) const RECEIVE_WINDOW_BYTES: u32 = 512 * 1024;
/// Bytes and chunks that may lie in incomplete messages before the association is given up: more
/// than an honest sender can have under way in [`RECEIVE_WINDOW_BYTES`].
const HELD_BYTES_MAX: usize = 1024 * 1024;
const HELD_CHUNKS_MAX: usize = 8192;
/// Associations a peer may begin: browsers repeat an INIT 8 times (RFC 9260 §16), and the library
/// makes an association of each.
const INITS_MAX: u32 = 32;

/// How far a FORWARD TSN may reach beyond what we acknowledged: more than a sender has under way.
const FORWARD_TSN_AHEAD_MAX: u32 = 16 * 1024;
/// Stream resets that may wait for data of before, or our own for an answer.
const RESETS_OPEN_MAX: u32 = 4 * DATA_CHANNELS_MAX as u32;

/// What a packet from the peer is allowed to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Hand it in.
    Pass,
    /// Hand it in; it begins an association.
    Init,
    /// It does not parse, or breaks a bound.
    Refuse,
    /// The peer makes us hold too much: end all associations.
    Abort,
}

#[derive(Debug, Default)]
pub(super) struct SctpGuard {
    /// Streams that have carried anything since they were last reset.
    streams: Vec<u16>,
    held_bytes: usize,
    held_chunks: usize,
    inits: u32,
}

impl SctpGuard {
    /// Judges a packet from the peer.
    pub(super) fn judge(&mut self, packet: &[u8]) -> Verdict {
        if packet.len() < COMMON_HEADER_BYTES + CHUNK_HEADER_BYTES {
            return Verdict::Refuse;
        }
        if packet[COMMON_HEADER_BYTES] == INIT {
            self.inits += 1;
            return if self.inits <= INITS_MAX { Verdict::Init } else { Verdict::Refuse };
        }
        for chunk in chunks(packet) {
            if chunk[0] != DATA {
                continue;
            }
            let Some(header) = chunk.get(..DATA_HEADER_BYTES) else { return Verdict::Refuse };
            let stream = u16::from_be_bytes([header[8], header[9]]);
            if !self.knows_or_admits(stream) {
                return Verdict::Refuse;
            }
            self.held_bytes += chunk.len() - DATA_HEADER_BYTES;
            self.held_chunks += 1;
        }
        if self.held_bytes > HELD_BYTES_MAX || self.held_chunks > HELD_CHUNKS_MAX {
            return Verdict::Abort;
        }
        Verdict::Pass
    }

    /// A whole message was taken out.
    pub(super) fn note_read(&mut self, bytes: usize, chunks: usize) {
        self.held_bytes = self.held_bytes.saturating_sub(bytes);
        self.held_chunks = self.held_chunks.saturating_sub(chunks);
    }

    /// Learns from what is announced to the peer how much is really held: repeated chunks were
    /// counted twice, abandoned ones never taken out.
    pub(super) fn note_sent(&mut self, packet: &[u8]) {
        for sack in chunks(packet).filter(|c| c[0] == SACK && c.len() >= 12) {
            let window = u32::from_be_bytes([sack[8], sack[9], sack[10], sack[11]]);
            if window > 0 {
                self.held_bytes = (RECEIVE_WINDOW_BYTES.saturating_sub(window)) as usize;
            }
            if window == RECEIVE_WINDOW_BYTES {
                self.held_chunks = 0;
            }
        }
    }

    /// The stream was reset: its id is free.
    pub(super) fn forget_stream(&mut self, stream: u16) {
        self.streams.retain(|&s| s != stream);
    }

    /// Every association is gone, and with it all they held.
    pub(super) fn forget_all(&mut self) {
        self.streams.clear();
        (self.held_bytes, self.held_chunks) = (0, 0);
    }

    fn knows_or_admits(&mut self, stream: u16) -> bool {
        if self.streams.contains(&stream) {
            return true;
        }
        let admits = self.streams.len() < DATA_CHANNELS_MAX;
        if admits {
            self.streams.push(stream);
        }
        admits
    }
}

/// The part of the guard that follows one association.
#[derive(Debug)]
pub(super) struct AssociationGuard {
    /// Up to here we acknowledged.
    acknowledged: u32,
    /// Resets that came before the data they follow, and where that data ends.
    resets_ahead: u32,
    ahead_until: u32,
    /// Resets of ours the peer has not answered: each of its own brings one about.
    resets_unanswered: u32,
}

impl AssociationGuard {
    /// From the INIT that began it. `None` if that is too short.
    pub(super) fn new(init: &[u8]) -> Option<Self> {
        let initial_tsn = word(init, COMMON_HEADER_BYTES + 16)?;
        Some(Self {
            acknowledged: initial_tsn.wrapping_sub(1),
            resets_ahead: 0,
            ahead_until: 0,
            resets_unanswered: 0,
        })
    }

    /// Judges a packet from the peer.
    pub(super) fn allows(&mut self, packet: &[u8]) -> bool {
        chunks(packet).all(|chunk| match chunk[0] {
            FORWARD_TSN => word(chunk, 4).is_none_or(|tsn| {
                !is_after(tsn, self.acknowledged.wrapping_add(FORWARD_TSN_AHEAD_MAX))
            }),
            RECONFIG => self.allows_reconfig(chunk),
            _ => true,
        })
    }

    fn allows_reconfig(&mut self, chunk: &[u8]) -> bool {
        let mut rest = &chunk[CHUNK_HEADER_BYTES..];
        while let Some(header) = rest.get(..4) {
            let bytes = usize::from(u16::from_be_bytes([header[2], header[3]])).max(4);
            match u16::from_be_bytes([header[0], header[1]]) {
                RESET_REQUEST => self.count_reset(word(rest, 12).unwrap_or(0)),
                RECONFIG_RESPONSE => {
                    self.resets_unanswered = self.resets_unanswered.saturating_sub(1);
                }
                _ => {}
            }
            rest = rest.get(bytes.next_multiple_of(4)..).unwrap_or_default();
        }
        self.resets_ahead <= RESETS_OPEN_MAX && self.resets_unanswered <= RESETS_OPEN_MAX
    }

    fn count_reset(&mut self, last_tsn: u32) {
        self.resets_unanswered += 1;
        if is_after(last_tsn, self.acknowledged) {
            let first = self.resets_ahead == 0;
            self.resets_ahead += 1;
            if first || is_after(last_tsn, self.ahead_until) {
                self.ahead_until = last_tsn;
            }
        }
    }

    /// Learns what we acknowledge.
    pub(super) fn note_sent(&mut self, packet: &[u8]) {
        for sack in chunks(packet).filter(|c| c[0] == SACK) {
            self.acknowledged = word(sack, 4).unwrap_or(self.acknowledged);
            if !is_after(self.ahead_until, self.acknowledged) {
                self.resets_ahead = 0;
            }
        }
    }
}

/// Serial number arithmetic (RFC 1982).
fn is_after(a: u32, b: u32) -> bool {
    a != b && a.wrapping_sub(b) < 1 << 31
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes)
}

/// The chunks of a packet (RFC 9260 §3.2), each without its padding; ends at the first that does
/// not fit.
fn chunks(packet: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = packet.get(COMMON_HEADER_BYTES..).unwrap_or_default();
    std::iter::from_fn(move || {
        let header = rest.get(..CHUNK_HEADER_BYTES)?;
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let chunk = rest.get(..length.max(CHUNK_HEADER_BYTES))?;
        rest = rest.get(chunk.len().next_multiple_of(4)..).unwrap_or_default();
        Some(chunk)
    })
}
