//! What a client sends: cameras of any codec in one or more encodings and layers, and Opus
//! microphones.

mod camera;
mod encoder;
mod microphone;

use std::time::Duration;

use smallvec::SmallVec;

use sfu_core::rtp::extension::Extension;

pub(crate) use camera::Shape;
pub use camera::{Published, VideoPublisher};
#[cfg(test)]
pub(crate) use encoder::Encoder;
pub use microphone::AudioPublisher;

use super::numbering::Numbering;
use super::outbox::Outbox;
use super::uplink::Uplink;
use crate::random::{Pcg64Mcg, word};
use crate::wire::{self, RtpHeader};

/// Between sender reports.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// What packets of all a client's sources share: the transport.
pub(crate) struct Outlet<'a> {
    pub(crate) now: Duration,
    /// The client's wall clock at `now`, in NTP format.
    pub(crate) ntp: u64,
    pub(crate) numbering: &'a Numbering,
    pub(crate) uplink: &'a mut Uplink,
    pub(crate) transmit: &'a mut Outbox,
}

impl Outlet<'_> {
    /// Sends an RTP packet whose payload `write` appends.
    fn send(
        &mut self,
        header: &RtpHeader,
        extensions: &[(Extension, &[u8])],
        write: impl FnOnce(&mut Vec<u8>),
        padding: u8,
    ) {
        let sequence = self.uplink.next(self.now).to_be_bytes();
        let all: SmallVec<[(u8, &[u8]); 6]> =
            std::iter::once((Extension::TransportCc, &sequence[..]))
                .chain(extensions.iter().copied())
                .map(|(extension, value)| (self.numbering.extension(extension), value))
                .collect();
        self.transmit.write(|out| {
            wire::begin_rtp(out, header, &all, padding > 0);
            write(out);
            wire::end_rtp(out, padding);
        });
    }
}

/// Numbers of one SSRC.
#[derive(Clone, Debug)]
struct Source {
    ssrc: u32,
    sequence: u16,
    timestamp_base: u32,
    packets: u32,
    octets: u32,
}

impl Source {
    fn new(rng: &mut Pcg64Mcg, first_sequence: Option<u16>) -> Self {
        let random = word(rng);
        Self {
            ssrc: word(rng).max(1),
            sequence: first_sequence.unwrap_or((random >> 16) as u16),
            timestamp_base: word(rng),
            packets: 0,
            octets: 0,
        }
    }

    fn header(&mut self, payload_type: u8, timestamp: u32, marker: bool) -> RtpHeader {
        let sequence = self.sequence;
        self.sequence = sequence.wrapping_add(1);
        RtpHeader { payload_type, marker, sequence, timestamp, ssrc: self.ssrc }
    }

    fn count(&mut self, payload_bytes: usize) {
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(payload_bytes as u32);
    }
}
