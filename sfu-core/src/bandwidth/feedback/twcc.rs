//! Transport-wide feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1).

use std::time::Duration;

use super::{CLOCK_BASE_US, be16, be32, body};

/// Arrival times are in units of 250 µs (§3.1.5).
const MICROSECONDS_PER_TICK: i64 = 250;
/// The reference time is in units of 64 ms.
const TICKS_PER_REFERENCE: i64 = 256;
/// Sender and media SSRC, base, count, reference time and feedback number.
const FIXED_BYTES: usize = 16;

/// Reads the feedback of one receiver, whose clock it follows over the turns of its reference time
/// (24 bits of 64 ms: 12.4 days).
#[derive(Debug, Default)]
pub struct TwccReader {
    /// The latest reference time, continued.
    reference: Option<i64>,
}

/// One feedback message that holds together.
#[derive(Clone, Copy, Debug)]
pub struct TwccReport<'a> {
    /// The first packet reported on.
    pub base: u16,
    /// How many packets are reported on.
    pub count: u16,
    /// Numbers the messages of a receiver.
    pub feedback_count: u8,
    /// Ticks on the receiver's clock, continued, that the deltas start from.
    reference: i64,
    chunks: &'a [u8],
    deltas: &'a [u8],
}

/// What is said of a run of packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TwccStatus {
    /// So many did not arrive.
    Lost(u16),
    /// One arrived then, on the receiver's clock.
    Arrived(Duration),
}

impl TwccReader {
    /// Reads a whole RTCP block. `None` if it does not hold together; nothing has changed then.
    pub fn read<'a>(&mut self, block: &'a [u8]) -> Option<TwccReport<'a>> {
        let (head, rest) = body(block)?.split_first_chunk::<FIXED_BYTES>()?;
        let count = be16(head, 10)?;
        let word = be32(head, 12)?;
        let (chunks, delta_bytes) = measure(rest, count)?;
        let (chunks, deltas) = rest.split_at(chunks);
        if deltas.len() < delta_bytes {
            return None;
        }
        let reference = self.continue_reference(word >> 8);
        Some(TwccReport {
            base: be16(head, 8)?,
            count,
            feedback_count: word as u8,
            reference,
            chunks,
            deltas,
        })
    }

    /// Places a reference time within half a turn of the one before.
    fn continue_reference(&mut self, reference: u32) -> i64 {
        let continued = match self.reference {
            None => i64::from(reference),
            Some(last) => {
                let distance = reference.wrapping_sub(last as u32);
                // Sign-extends the lower 24 bits.
                last.saturating_add(i64::from((distance << 8).cast_signed() >> 8))
            }
        };
        self.reference = Some(continued);
        continued * TICKS_PER_REFERENCE
    }
}

impl TwccReport<'_> {
    /// What is said of each packet, by its distance from the base, in order.
    pub fn statuses(&self, mut f: impl FnMut(u16, TwccStatus)) {
        let mut ticks = self.reference;
        let mut deltas = self.deltas;
        let mut offset = 0;
        let chunks = Chunks { bytes: self.chunks, left: self.count };
        for chunk in chunks {
            for_each_symbol(chunk, |symbol, times| {
                if !is_received(symbol) {
                    f(offset, TwccStatus::Lost(times));
                    offset += times;
                    return;
                }
                for _ in 0..times {
                    ticks += take_delta(symbol, &mut deltas);
                    f(offset, TwccStatus::Arrived(on_clock(ticks)));
                    offset += 1;
                }
            });
        }
    }
}

/// Symbols of a chunk: what is repeated, or a vector of so many bits each.
#[derive(Clone, Copy, Debug)]
enum Chunk {
    /// §3.1.3.
    Run { symbol: u8, times: u16 },
    /// §3.1.4: the symbols from the top of 14 bits down.
    Vector { bits: u16, width: u8, symbols: u16 },
}

/// The chunks of a message, cut off at the number of packets it reports on.
struct Chunks<'a> {
    bytes: &'a [u8],
    left: u16,
}

impl Iterator for Chunks<'_> {
    type Item = Chunk;

    fn next(&mut self) -> Option<Chunk> {
        if self.left == 0 {
            return None;
        }
        let (&word, rest) = self.bytes.split_first_chunk()?;
        self.bytes = rest;
        let word = u16::from_be_bytes(word);
        let (chunk, symbols) = if word & 0x8000 == 0 {
            let times = (word & 0x1fff).min(self.left);
            (Chunk::Run { symbol: (word >> 13) as u8, times }, times)
        } else {
            let width = if word & 0x4000 == 0 { 1 } else { 2 };
            let symbols = (14 / u16::from(width)).min(self.left);
            (Chunk::Vector { bits: word & 0x3fff, width, symbols }, symbols)
        };
        self.left -= symbols;
        Some(chunk)
    }
}

/// Tells the symbols of a chunk; those not received of a run together, to be skipped at once.
fn for_each_symbol(chunk: Chunk, mut f: impl FnMut(u8, u16)) {
    match chunk {
        Chunk::Run { symbol, times } => f(symbol, times),
        Chunk::Vector { bits, width, symbols } => {
            let mask = (1 << width) - 1;
            for n in 1..=symbols {
                f((bits >> (14 - n * u16::from(width)) & mask) as u8, 1);
            }
        }
    }
}

/// Packet status symbols (§3.1.1). The fourth is reserved, and read as "without a delta".
fn is_received(symbol: u8) -> bool {
    symbol == 1 || symbol == 2
}

/// How many bytes of `rest` are chunks for `count` packets, and how many of delta must follow.
fn measure(rest: &[u8], count: u16) -> Option<(usize, usize)> {
    let mut chunks = Chunks { bytes: rest, left: count };
    let mut delta_bytes = 0;
    for chunk in &mut chunks {
        for_each_symbol(chunk, |symbol, times| {
            if is_received(symbol) {
                delta_bytes += usize::from(symbol) * usize::from(times);
            }
        });
        // A run of none would not come to an end of the packets, but of the bytes.
        if delta_bytes > rest.len() {
            return None;
        }
    }
    (chunks.left == 0).then(|| (rest.len() - chunks.bytes.len(), delta_bytes))
}

/// A small delta is unsigned and of one byte, a large one signed and of two (§3.1.5).
fn take_delta(symbol: u8, deltas: &mut &[u8]) -> i64 {
    let (taken, rest) = deltas.split_at_checked(usize::from(symbol)).unwrap_or_default();
    *deltas = rest;
    match *taken {
        [small] => i64::from(small),
        [high, low] => i64::from(i16::from_be_bytes([high, low])),
        _ => 0,
    }
}

fn on_clock(ticks: i64) -> Duration {
    let micros = ticks.saturating_mul(MICROSECONDS_PER_TICK);
    Duration::from_micros(CLOCK_BASE_US.saturating_add_signed(micros))
}

#[cfg(test)]
mod tests;
