//! RTCP (RFC 3550 §6, RFC 4585, RFC 5104): a bounded reader that allocates nothing, and builders.
//!
//! The reader is our own because what it reads is hostile: each block is checked as a whole before
//! any of it is told, no count on the wire becomes a list, and all arithmetic is on lengths already
//! known to fit. The builders use the `rtcp` crate; it is also the reader's oracle in tests.

mod write;

use crate::drops::DropReason;
use crate::id::Ssrc;

pub use write::{
    write_fir, write_nack, write_pli, write_receiver_report, write_sdes_cname, write_sender_report,
};

/// One thing that an RTCP packet says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "fields are named as in the RFCs")]
pub enum Rtcp<'a> {
    /// RFC 3550 §6.4.1, without its report blocks; `ntp` in NTP format, `rtp_time` in clock units.
    SenderReport { ssrc: Ssrc, ntp: u64, rtp_time: u32 },
    /// A report block of a sender or receiver report.
    ReceiverReport(ReportBlock),
    /// Generic NACK (RFC 4585 §6.2.1).
    Nack { media_ssrc: Ssrc, sequences: NackIter<'a> },
    /// Picture loss indication (RFC 4585 §6.3.1).
    Pli { media_ssrc: Ssrc },
    /// One entry of a full intra request (RFC 5104 §4.3.1).
    Fir { media_ssrc: Ssrc },
    /// Transport-wide feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01): the whole
    /// packet, of which only the fixed part is known to be there.
    Twcc(&'a [u8]),
    /// Congestion control feedback (RFC 8888 §3.1): the whole packet, of which only the fixed part
    /// is known to be there.
    Ccfb(&'a [u8]),
    /// Receiver estimated maximum bitrate (draft-alvestrand-rmcat-remb-03).
    Remb { bitrate_bps: u64 },
    /// RFC 3550 §6.6, once for each source.
    Bye { ssrc: Ssrc },
    /// A block that this engine has no use for: SDES, APP, XR, other feedback.
    Other,
}

/// What a receiver says of one source (RFC 3550 §6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportBlock {
    /// The source that this is about.
    pub ssrc: Ssrc,
    /// Share of packets lost since the last report, in 1/256.
    pub fraction_lost: u8,
    /// Packets lost in all, -2²³ to 2²³ - 1; negative with duplicates.
    pub cumulative_lost: i32,
    /// Sequence number turns in the high half, highest sequence number in the low half.
    pub highest_sequence: u32,
    /// Interarrival jitter in units of the codec's clock.
    pub jitter: u32,
    /// Middle 32 bits of the NTP timestamp of the last sender report; 0 if there was none.
    pub last_sender_report: u32,
    /// Time since that report, in 1/65536 s.
    pub delay_since_last_sender_report: u32,
}

/// The sequence numbers a NACK asks for, in the order of its entries; may repeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NackIter<'a> {
    entries: &'a [u8],
    base: u16,
    /// Bit 0 is `base` itself, bit n the n-th after it.
    pending: u32,
}

impl Iterator for NackIter<'_> {
    type Item = u16;

    fn next(&mut self) -> Option<u16> {
        if self.pending == 0 {
            let (entry, rest) = self.entries.split_first_chunk::<4>()?;
            self.entries = rest;
            self.base = u16::from_be_bytes([entry[0], entry[1]]);
            self.pending = 1 | u32::from(u16::from_be_bytes([entry[2], entry[3]])) << 1;
        }
        let offset = self.pending.trailing_zeros() as u16;
        self.pending &= self.pending - 1;
        Some(self.base.wrapping_add(offset))
    }
}

/// Packet types (RFC 3550 §12.1, RFC 4585 §6.1).
mod packet_type {
    pub(super) const SENDER_REPORT: u8 = 200;
    pub(super) const RECEIVER_REPORT: u8 = 201;
    pub(super) const BYE: u8 = 203;
    pub(super) const TRANSPORT_FEEDBACK: u8 = 205;
    pub(super) const PAYLOAD_FEEDBACK: u8 = 206;
}

/// Feedback message types: of transport feedback, then of payload-specific feedback.
mod feedback {
    pub(super) const NACK: u8 = 1;
    pub(super) const CCFB: u8 = 11;
    pub(super) const TWCC: u8 = 15;
    pub(super) const PLI: u8 = 1;
    pub(super) const FIR: u8 = 4;
    pub(super) const APPLICATION: u8 = 15;
}

/// Reads a compound or reduced-size (RFC 5506) RTCP packet and tells `f` what it says.
///
/// # Errors
/// [`DropReason::RtcpMalformed`] at the first block that does not hold together; what the blocks
/// before it say has been told, nothing of that block or of those behind it is.
pub fn parse<'a>(data: &'a [u8], f: &mut dyn FnMut(Rtcp<'a>)) -> Result<(), DropReason> {
    let mut rest = data;
    loop {
        let (block, after) = Block::split(rest).ok_or(DropReason::RtcpMalformed)?;
        block.tell(f).ok_or(DropReason::RtcpMalformed)?;
        if after.is_empty() {
            return Ok(());
        }
        rest = after;
    }
}

/// One RTCP packet of a compound.
#[derive(Clone, Copy, Debug)]
struct Block<'a> {
    /// Report count, source count or feedback message type, by packet type.
    count: u8,
    packet_type: u8,
    /// With the header.
    whole: &'a [u8],
    /// Behind the header, without padding.
    body: &'a [u8],
}

impl<'a> Block<'a> {
    /// Takes the first block off `data`.
    fn split(data: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let &[head, packet_type, l0, l1, ..] = data else { return None };
        if head >> 6 != 2 {
            return None;
        }
        let bytes = 4 * (usize::from(u16::from_be_bytes([l0, l1])) + 1);
        let (whole, after) = data.split_at_checked(bytes)?;
        let mut body = &whole[4..];
        if head & 0x20 != 0 {
            let padding = usize::from(*body.last()?);
            let kept = body.len().checked_sub(padding).filter(|_| padding != 0)?;
            body = &body[..kept];
        }
        Some((Self { count: head & 0x1f, packet_type, whole, body }, after))
    }

    /// Checks the block and tells `f` what it says.
    fn tell(self, f: &mut dyn FnMut(Rtcp<'a>)) -> Option<()> {
        match self.packet_type {
            packet_type::SENDER_REPORT => self.tell_sender_report(f),
            packet_type::RECEIVER_REPORT => self.tell_reports(self.body.get(4..)?, f),
            packet_type::BYE => self.tell_bye(f),
            packet_type::TRANSPORT_FEEDBACK => self.tell_transport_feedback(f),
            packet_type::PAYLOAD_FEEDBACK => self.tell_payload_feedback(f),
            _ => {
                f(Rtcp::Other);
                Some(())
            }
        }
    }

    fn tell_sender_report(self, f: &mut dyn FnMut(Rtcp<'a>)) -> Option<()> {
        let (info, reports) = self.body.split_first_chunk::<24>()?;
        if reports.len() < usize::from(self.count) * REPORT_BLOCK_BYTES {
            return None;
        }
        let ntp = u64::from(be32(info, 4)?) << 32 | u64::from(be32(info, 8)?);
        f(Rtcp::SenderReport { ssrc: Ssrc(be32(info, 0)?), ntp, rtp_time: be32(info, 12)? });
        self.tell_reports(reports, f)
    }

    /// Tells the `count` report blocks at the start of `reports`.
    fn tell_reports(self, reports: &[u8], f: &mut dyn FnMut(Rtcp<'a>)) -> Option<()> {
        let blocks = reports.get(..usize::from(self.count) * REPORT_BLOCK_BYTES)?;
        for block in blocks.chunks_exact(REPORT_BLOCK_BYTES) {
            f(Rtcp::ReceiverReport(ReportBlock::read(block)?));
        }
        Some(())
    }

    fn tell_bye(self, f: &mut dyn FnMut(Rtcp<'a>)) -> Option<()> {
        let (sources, reason) = self.body.split_at_checked(4 * usize::from(self.count))?;
        if let Some((&length, text)) = reason.split_first()
            && usize::from(length) > text.len()
        {
            return None;
        }
        for source in sources.chunks_exact(4) {
            f(Rtcp::Bye { ssrc: Ssrc(be32(source, 0)?) });
        }
        Some(())
    }

    fn tell_transport_feedback(self, f: &mut dyn FnMut(Rtcp<'a>)) -> Option<()> {
        let (head, control) = self.body.split_first_chunk::<8>()?;
        let said = match self.count {
            feedback::NACK if control.is_empty() || control.len() % 4 != 0 => return None,
            feedback::NACK => {
                let sequences = NackIter { entries: control, base: 0, pending: 0 };
                Rtcp::Nack { media_ssrc: Ssrc(be32(head, 4)?), sequences }
            }
            // Base, count, reference time and feedback number are there, and a chunk.
            feedback::TWCC if control.len() < 10 => return None,
            feedback::TWCC => Rtcp::Twcc(self.whole),
            // There is no media SSRC; the sender's and the report timestamp are the eight bytes.
            feedback::CCFB => Rtcp::Ccfb(self.whole),
            _ => Rtcp::Other,
        };
        f(said);
        Some(())
    }

    fn tell_payload_feedback(self, f: &mut dyn FnMut(Rtcp<'a>)) -> Option<()> {
        let (head, control) = self.body.split_first_chunk::<8>()?;
        match self.count {
            feedback::PLI => f(Rtcp::Pli { media_ssrc: Ssrc(be32(head, 4)?) }),
            feedback::FIR => {
                if control.is_empty() || control.len() % 8 != 0 {
                    return None;
                }
                for entry in control.chunks_exact(8) {
                    f(Rtcp::Fir { media_ssrc: Ssrc(be32(entry, 0)?) });
                }
            }
            feedback::APPLICATION if control.starts_with(b"REMB") => {
                f(Rtcp::Remb { bitrate_bps: remb_bitrate(&control[4..])? });
            }
            _ => f(Rtcp::Other),
        }
        Some(())
    }
}

/// Length of a report block (RFC 3550 §6.4.1).
const REPORT_BLOCK_BYTES: usize = 24;

impl ReportBlock {
    fn read(block: &[u8]) -> Option<Self> {
        let loss = be32(block, 4)?;
        Some(Self {
            ssrc: Ssrc(be32(block, 0)?),
            fraction_lost: (loss >> 24) as u8,
            // Sign-extends the lower 24 bits.
            cumulative_lost: (loss << 8).cast_signed() >> 8,
            highest_sequence: be32(block, 8)?,
            jitter: be32(block, 12)?,
            last_sender_report: be32(block, 16)?,
            delay_since_last_sender_report: be32(block, 20)?,
        })
    }
}

/// The bitrate of a REMB in bit/s, given what follows its identifier: 6 bits of exponent and 18 of
/// mantissa. What does not fit 64 bits becomes their maximum.
fn remb_bitrate(fields: &[u8]) -> Option<u64> {
    let (head, sources) = fields.split_first_chunk::<4>()?;
    if sources.len() < 4 * usize::from(head[0]) {
        return None;
    }
    let word = u32::from_be_bytes([0, head[1], head[2], head[3]]);
    let bitrate = u128::from(word & 0x3_ffff) << (word >> 18);
    Some(u64::try_from(bitrate).unwrap_or(u64::MAX))
}

/// The big-endian word at `at`.
fn be32(data: &[u8], at: usize) -> Option<u32> {
    data.get(at..)?.first_chunk().copied().map(u32::from_be_bytes)
}

#[cfg(test)]
mod tests;
