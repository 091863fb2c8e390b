//! [`Port`]: where a publisher's packets leave: socket, keys, and the transport-wide numbers that
//! all its streams share.

use std::net::UdpSocket;
use std::sync::Arc;

use sfu_core::id::Ssrc;
use sfu_core::rtp::rtcp::{write_sdes_cname, write_sender_report};
use srtp::context::Context as Rtcp;

use crate::client::ClientId;
use crate::wire::header::Template;
use crate::wire::{Profile, Sealer};

/// See the module.
pub struct Port {
    /// Whose it is.
    pub client: ClientId,
    socket: Arc<UdpSocket>,
    sealer: Sealer,
    rtcp: Rtcp,
    profile: Profile,
    transport_sequence: u16,
    scratch: Vec<u8>,
    /// Packets and bytes that left.
    pub sent: (u64, u64),
    /// Datagrams that the kernel did not take.
    pub errors: u64,
}

/// One packet's header.
#[derive(Clone, Copy, Debug)]
pub struct Numbers {
    /// Rollover counter and sequence number.
    pub index: u64,
    /// RTP timestamp.
    pub timestamp: u32,
    /// Marker bit.
    pub marker: bool,
}

impl Port {
    pub(crate) fn new(
        client: ClientId,
        socket: Arc<UdpSocket>,
        sealer: Sealer,
        rtcp: Rtcp,
        profile: Profile,
    ) -> Self {
        Self {
            client,
            socket,
            sealer,
            rtcp,
            profile,
            transport_sequence: 0,
            scratch: Vec::with_capacity(2048),
            sent: (0, 0),
            errors: 0,
        }
    }

    /// Length of the tag behind each packet, in bytes.
    #[must_use]
    pub fn tag_bytes(&self) -> usize {
        self.profile.tag_bytes()
    }

    /// Sends one packet; `payload` writes what follows the header.
    pub fn send(
        &mut self,
        template: &Template,
        numbers: Numbers,
        payload: impl FnOnce(&mut Vec<u8>),
    ) {
        self.scratch.clear();
        let (sequence, transport) = (numbers.index as u16, self.transport_sequence);
        template.write(&mut self.scratch, sequence, numbers.timestamp, numbers.marker, transport);
        self.transport_sequence = self.transport_sequence.wrapping_add(1);
        payload(&mut self.scratch);
        self.sealer.seal(&mut self.scratch, template.len(), numbers.index);
        match self.socket.send(&self.scratch) {
            Ok(bytes) => {
                self.sent.0 += 1;
                self.sent.1 += bytes as u64;
            }
            Err(_) => self.errors += 1,
        }
    }

    /// Sends a sender report. `packets` and `octets` as of RFC 3550 §6.4.1.
    pub fn report(&mut self, ssrc: u32, wall_ns: u64, timestamp: u32, packets: u64, octets: u64) {
        let mut out = Vec::with_capacity(64);
        let ntp = ntp(wall_ns);
        write_sender_report(&mut out, Ssrc(ssrc), ntp, timestamp, packets as u32, octets as u32);
        write_sdes_cname(&mut out, Ssrc(ssrc), "load");
        if let Ok(sealed) = self.rtcp.encrypt_rtcp(&out)
            && self.socket.send(&sealed).is_err()
        {
            self.errors += 1;
        }
    }
}

/// NTP format (RFC 3550 §4): seconds since 1900 and their fraction.
fn ntp(wall_ns: u64) -> u64 {
    const FROM_1900_TO_1970_S: u64 = 2_208_988_800;
    let (seconds, rest) = (wall_ns / 1_000_000_000, wall_ns % 1_000_000_000);
    let fraction = (rest << 32) / 1_000_000_000;
    (seconds + FROM_1900_TO_1970_S) << 32 | fraction
}

#[cfg(test)]
mod tests {
    #[test]
    fn ntp_time_is_of_1900() {
        assert_eq!(super::ntp(500_000_000), 2_208_988_800 << 32 | 1 << 31);
    }
}
