//! Feedback as it comes from the wire: which packets arrived, and when on the receiver's clock.
//!
//! Both readers check a block as a whole before any of it is told, allocate nothing, and work in
//! proportion to its bytes and to the packets asked about that are still remembered, never to a
//! count on the wire.

mod ccfb;
mod twcc;

pub use ccfb::{CcfbReader, CcfbReport, Metric};
pub use twcc::{TwccReader, TwccReport, TwccStatus};

/// Where the line of a receiver's clock begins, so that what arrived before the first report has
/// room below.
const CLOCK_BASE_US: u64 = 1 << 32;

/// The big-endian half-word at `at`.
fn be16(data: &[u8], at: usize) -> Option<u16> {
    data.get(at..)?.first_chunk().copied().map(u16::from_be_bytes)
}

/// The big-endian word at `at`.
fn be32(data: &[u8], at: usize) -> Option<u32> {
    data.get(at..)?.first_chunk().copied().map(u32::from_be_bytes)
}

/// An RTCP block behind its header, without padding (RFC 3550 §6.4.1).
fn body(block: &[u8]) -> Option<&[u8]> {
    let (&[head, _, l0, l1], body) = block.split_first_chunk()?;
    if 4 * usize::from(u16::from_be_bytes([l0, l1])) != body.len() || head >> 6 != 2 {
        return None;
    }
    if head & 0x20 == 0 {
        return Some(body);
    }
    let padding = usize::from(*body.last()?);
    body.get(..body.len().checked_sub(padding)?)
}
