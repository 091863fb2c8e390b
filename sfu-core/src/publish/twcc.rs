//! Transport-wide feedback to one publisher: which packets arrived, and when
//! (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1).

use std::time::Instant;

use crate::id::Ssrc;
use crate::limits;
use crate::rtp::sequence::Unwrapper;

/// Longest message, so that with SRTCP and IP it stays under the smallest MTU in use.
const MESSAGE_BYTES_MAX: usize = 1100;
/// Everything before the packet chunks.
const FIXED_BYTES: usize = 20;
/// Statuses of a two-bit status vector, the shortest chunk (§3.1.4).
const VECTOR_STATUSES: usize = 7;
/// Statuses of a one-bit status vector.
const ONE_BIT_VECTOR_STATUSES: usize = 14;
/// Statuses of a run length chunk at most (§3.1.3).
const RUN_STATUSES_MAX: usize = 0x1fff;
/// Arrival times are in units of 250 µs (§3.1.5).
const MICROSECONDS_PER_TICK: u128 = 250;
/// The reference time is in units of 64 ms.
const TICKS_PER_REFERENCE: i64 = 256;
/// A time that stands for "not received".
const NEVER: i64 = i64::MIN;

/// Packet status symbols (§3.1.1).
mod symbol {
    pub(super) const NOT_RECEIVED: u8 = 0;
    pub(super) const SMALL_DELTA: u8 = 1;
    pub(super) const LARGE_DELTA: u8 = 2;
}

/// Records the arrivals of one transport and reports each of them, losses in between included.
///
/// A packet that arrives after it was reported lost is reported again, with what followed it.
#[derive(Debug, Default)]
pub struct TwccRecorder {
    unwrapper: Unwrapper,
    /// The time that arrivals are measured from.
    epoch: Option<Instant>,
    /// Arrival in ticks since the epoch, by index modulo the length; covers the last
    /// [`limits::TWCC_PACKETS_MAX`] indices up to `end`. Empty until the first packet, for a peer
    /// that only watches.
    arrivals: Vec<i64>,
    /// The first index not yet reported, and the one behind the highest received.
    begin: u64,
    end: u64,
    due: Option<Instant>,
    built: Option<Instant>,
    feedback_count: u8,
    /// Scratch: the statuses and deltas of the message being built.
    symbols: Vec<u8>,
    deltas: Vec<u8>,
}

const _: () = assert!(limits::TWCC_PACKETS_MAX.is_power_of_two());

impl TwccRecorder {
    /// Notes the arrival of a packet with this transport-wide sequence number.
    pub fn on_packet(&mut self, now: Instant, transport_sequence: u16) {
        let index = self.unwrapper.unwrap(transport_sequence);
        let epoch = *self.epoch.get_or_insert_with(|| {
            self.arrivals = vec![NEVER; limits::TWCC_PACKETS_MAX];
            self.begin = index;
            self.end = index;
            now
        });
        let window = self.arrivals.len() as u64;
        if index >= self.end {
            // What is skipped has not been received, and has left its traces of a turn ago.
            for skipped in self.end.max((index + 1).saturating_sub(window))..index {
                *self.arrival_mut(skipped) = NEVER;
            }
            self.end = index + 1;
            self.begin = self.begin.max(self.end.saturating_sub(window));
        } else if self.end - index > window || *self.arrival_mut(index) != NEVER {
            return;
        }
        let elapsed = now.saturating_duration_since(epoch).as_micros();
        *self.arrival_mut(index) = i64::try_from(elapsed / MICROSECONDS_PER_TICK).unwrap_or(0);
        self.begin = self.begin.min(index);
        if self.due.is_none() {
            self.due = Some(self.built.unwrap_or(now) + limits::TWCC_INTERVAL);
        }
    }

    /// When feedback wants to be built next.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        self.due
    }

    /// Whether feedback should be built now.
    #[must_use]
    pub fn is_due(&self, now: Instant) -> bool {
        self.due.is_some_and(|due| due <= now)
    }

    /// Appends one feedback message to `out`, at most [`MESSAGE_BYTES_MAX`] bytes. False, and
    /// nothing appended, if there is nothing to report; to be called again until then, with a
    /// datagram for each message.
    pub fn build(
        &mut self,
        now: Instant,
        sender_ssrc: Ssrc,
        media_ssrc: Ssrc,
        out: &mut Vec<u8>,
    ) -> bool {
        let Some(reference) = self.collect() else {
            self.due = None;
            return false;
        };
        let start = out.len();
        out.extend_from_slice(&[0x8f, 205, 0, 0]);
        out.extend_from_slice(&sender_ssrc.0.to_be_bytes());
        out.extend_from_slice(&media_ssrc.0.to_be_bytes());
        out.extend_from_slice(&(self.begin as u16).to_be_bytes());
        out.extend_from_slice(&(self.symbols.len() as u16).to_be_bytes());
        out.extend_from_slice(
            &((reference as u32) << 8 | u32::from(self.feedback_count)).to_be_bytes(),
        );
        write_chunks(out, &self.symbols);
        out.extend_from_slice(&self.deltas);
        finish(out, start);

        self.feedback_count = self.feedback_count.wrapping_add(1);
        self.begin += self.symbols.len() as u64;
        self.built = Some(now);
        self.due = (self.begin < self.end).then_some(now);
        true
    }

    /// Fills the scratch with statuses and deltas from `begin` on, as many as one message holds,
    /// and gives the reference time. `None` if there is nothing to report.
    fn collect(&mut self) -> Option<i64> {
        self.symbols.clear();
        self.deltas.clear();
        let mut last = None;
        let mut reference = None;
        for index in self.begin..self.end {
            let chunks = 2 * (self.symbols.len() + 1).div_ceil(VECTOR_STATUSES);
            // Two for the delta, three for padding.
            if FIXED_BYTES + chunks + self.deltas.len() + 5 > MESSAGE_BYTES_MAX {
                break;
            }
            let arrival = *self.arrival_mut(index);
            if arrival == NEVER {
                self.symbols.push(symbol::NOT_RECEIVED);
                continue;
            }
            let first = *reference.get_or_insert(arrival / TICKS_PER_REFERENCE);
            let delta = arrival - last.unwrap_or(first * TICKS_PER_REFERENCE);
            if let Ok(small) = u8::try_from(delta) {
                self.symbols.push(symbol::SMALL_DELTA);
                self.deltas.push(small);
            } else if let Ok(large) = i16::try_from(delta) {
                self.symbols.push(symbol::LARGE_DELTA);
                self.deltas.extend_from_slice(&large.to_be_bytes());
            } else {
                // More than 8 s apart: the next message has its own reference time.
                break;
            }
            last = Some(arrival);
        }
        // The highest is always a received one, and all losses before it fit one message.
        reference
    }

    fn arrival_mut(&mut self, index: u64) -> &mut i64 {
        let window = self.arrivals.len() as u64;
        &mut self.arrivals[(index % window) as usize]
    }
}

/// Appends packet chunks that say `symbols`, in at most two bytes for seven of them.
fn write_chunks(out: &mut Vec<u8>, symbols: &[u8]) {
    let mut rest = symbols;
    while let Some(&first) = rest.first() {
        let run = rest.iter().take(RUN_STATUSES_MAX).take_while(|&&s| s == first).count();
        let one_bit_fits =
            rest.iter().take(ONE_BIT_VECTOR_STATUSES).all(|&s| s != symbol::LARGE_DELTA);
        let vector = if one_bit_fits { ONE_BIT_VECTOR_STATUSES } else { VECTOR_STATUSES };
        let (chunk, said) = if run >= vector || run == rest.len() {
            (u16::from(first) << 13 | run as u16, run)
        } else if one_bit_fits {
            (0x8000 | pack(rest, ONE_BIT_VECTOR_STATUSES, 1), vector)
        } else {
            (0xc000 | pack(rest, VECTOR_STATUSES, 2), vector)
        };
        out.extend_from_slice(&chunk.to_be_bytes());
        rest = rest.get(said..).unwrap_or_default();
    }
}

/// Packs the first `count` symbols into 14 bits, first one highest; missing ones become zero.
fn pack(symbols: &[u8], count: usize, bits: u16) -> u16 {
    let padded = symbols.iter().copied().chain(std::iter::repeat(symbol::NOT_RECEIVED));
    padded.take(count).fold(0, |packed, symbol| packed << bits | u16::from(symbol))
}

/// Pads the message that begins at `start` to 32 bits (RFC 3550 §6.4.1) and writes its length.
fn finish(out: &mut Vec<u8>, start: usize) {
    let padding = (out.len() - start).next_multiple_of(4) - (out.len() - start);
    if padding > 0 {
        out[start] |= 0x20;
        out.resize(out.len() + padding - 1, 0);
        out.push(padding as u8);
    }
    let words = (out.len() - start) / 4 - 1;
    out[start + 2..start + 4].copy_from_slice(&(words as u16).to_be_bytes());
}

#[cfg(test)]
mod tests;
