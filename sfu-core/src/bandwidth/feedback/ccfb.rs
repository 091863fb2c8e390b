//! Congestion control feedback (RFC 8888 §3).

use std::time::Duration;

use rtcp::transport_feedbacks::cc_feedback_report::Ecn;

use super::{CLOCK_BASE_US, be16, be32, body};
use crate::id::Ssrc;
use crate::rtp::sequence::TimestampUnwrapper;

/// Arrival times are offsets back from the report, in units of 1/1024 s.
const OFFSETS_PER_SECOND: u64 = 1024;
/// Report timestamps are the middle of an NTP timestamp, in units of 1/65536 s.
const TIMESTAMPS_PER_SECOND: u64 = 65536;
/// The packet arrived after the report was made, or so long before that the offset has no room
/// for it: it arrived, and nobody knows when.
const OFFSETS_UNKNOWN: [u16; 2] = [0x1ffe, 0x1fff];
/// A receiver must ignore reports on more packets of one source (§3.1).
const REPORTS_PER_SOURCE_MAX: u16 = 16_384;

/// Reads the feedback of one receiver, whose clock it follows over the turns of the report
/// timestamp (18.2 hours).
///
/// The offsets alone run backwards within a report, and mean nothing beside those of another one;
/// taken from the report timestamp they are arrival times of one clock.
#[derive(Debug, Default)]
pub struct CcfbReader {
    clock: TimestampUnwrapper,
    start: Option<u64>,
}

/// One feedback message that holds together.
#[derive(Clone, Copy, Debug)]
pub struct CcfbReport<'a> {
    /// Microseconds on the receiver's clock, continued, at which the report was made.
    at: u64,
    sources: &'a [u8],
}

/// What is said of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its source.
    pub ssrc: Ssrc,
    /// Its RTP sequence number.
    pub sequence: u16,
    /// Whether it arrived.
    pub arrived: bool,
    /// When, on the receiver's clock, as far as that can be said.
    pub arrival: Option<Duration>,
    /// How it was marked on arrival.
    pub ecn: Ecn,
}

impl CcfbReader {
    /// Reads a whole RTCP block. `None` if it does not hold together; nothing has changed then.
    pub fn read<'a>(&mut self, block: &'a [u8]) -> Option<CcfbReport<'a>> {
        let sources = body(block)?.get(4..)?;
        let (sources, timestamp) = sources.split_last_chunk::<4>()?;
        let mut rest = sources;
        while !rest.is_empty() {
            rest = Source::split(rest)?.1;
        }
        let now = self.clock.unwrap(u32::from_be_bytes(*timestamp));
        let start = *self.start.get_or_insert(now);
        let elapsed = i64::try_from(now).ok()? - i64::try_from(start).ok()?;
        let micros = elapsed.saturating_mul(1_000_000) / TIMESTAMPS_PER_SECOND as i64;
        Some(CcfbReport { at: CLOCK_BASE_US.saturating_add_signed(micros), sources })
    }
}

impl CcfbReport<'_> {
    /// What is said of each packet, source by source, in the order of their sequence numbers.
    pub fn metrics(&self, mut f: impl FnMut(Metric)) {
        let mut rest = self.sources;
        while let Some((source, after)) = Source::split(rest) {
            let mut sequence = source.begin;
            for metric in source.metrics.chunks_exact(2) {
                f(self.metric(source.ssrc, sequence, u16::from_be_bytes([metric[0], metric[1]])));
                sequence = sequence.wrapping_add(1);
            }
            rest = after;
        }
    }

    fn metric(&self, ssrc: Ssrc, sequence: u16, word: u16) -> Metric {
        let arrived = word & 0x8000 != 0;
        let offset = word & 0x1fff;
        let known = arrived && !OFFSETS_UNKNOWN.contains(&offset);
        let arrival = known.then(|| {
            let back = u64::from(offset) * 1_000_000 / OFFSETS_PER_SECOND;
            Duration::from_micros(self.at.saturating_sub(back))
        });
        let ecn = match word >> 13 & 3 {
            1 => Ecn::Ect1,
            2 => Ecn::Ect0,
            3 => Ecn::Ce,
            _ => Ecn::NotEct,
        };
        Metric { ssrc, sequence, arrived, arrival, ecn }
    }
}

/// What is said of one source.
struct Source<'a> {
    ssrc: Ssrc,
    begin: u16,
    /// Two bytes for each packet.
    metrics: &'a [u8],
}

impl<'a> Source<'a> {
    fn split(data: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (head, rest) = data.split_first_chunk::<8>()?;
        let count = be16(head, 6)?;
        if count > REPORTS_PER_SOURCE_MAX {
            return None;
        }
        let bytes = 2 * usize::from(count);
        // An odd number of packets is padded to a word.
        let (metrics, after) = rest.split_at_checked(bytes.next_multiple_of(4))?;
        let source =
            Self { ssrc: Ssrc(be32(head, 0)?), begin: be16(head, 4)?, metrics: &metrics[..bytes] };
        Some((source, after))
    }
}

#[cfg(test)]
mod tests;
