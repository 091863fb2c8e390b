//! [`Ledger`]: everything one participant received, by SSRC as it came and by source as it was
//! published.

use std::collections::HashMap;
use std::time::Instant;

use hdrhistogram::Histogram;
use rtc::rtp::Packet;

use super::frames::{FrameAccount, FramePacket};
use super::numbers::{NumberSet, Unwrapper};
use crate::media::{AudioSource, Stamp, Vp8View};

/// Sources one ledger keeps apart; packets of further ones are counted as foreign.
const SOURCES_MAX: usize = 256;
/// Delays are recorded up to a minute.
const DELAY_US_MAX: u64 = 60_000_000;

/// How a packet reached the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// On its own SSRC.
    Media,
    /// Unpacked from a retransmission (RFC 4588).
    Rtx,
}

/// One received packet, with the header it was or would have been sent with.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// The packet.
    pub packet: &'a Packet,
    /// How it came.
    pub via: Via,
    /// Whether its payload is video (else audio).
    pub video: bool,
    /// Its MID header extension, if it has one.
    pub mid: Option<&'a [u8]>,
    /// When.
    pub at: Instant,
    /// When, by [`crate::media::wall_clock_us`].
    pub at_us: u64,
}

/// The packet a stream began with.
#[derive(Clone, Copy, Debug)]
pub struct FirstPacket {
    /// When it came.
    pub at: Instant,
    /// Whether it was the first packet of a key frame.
    pub keyframe_start: bool,
    /// Its place in its source.
    pub stamp: Option<Stamp>,
}

/// What came on one SSRC.
#[derive(Debug, Default)]
pub struct StreamAccount {
    /// The payload type of the latest packet.
    pub payload_type: u8,
    /// The latest MID header extension; absent if none came.
    pub mid: Option<String>,
    /// Distinct sequence numbers.
    pub numbers: NumberSet,
    /// Packets whose sequence number had come before.
    pub duplicates: u64,
    /// Retransmissions received, useful or not.
    pub rtx: u64,
    /// Retransmissions that filled a hole.
    pub recovered: u64,
    /// Packets without payload.
    pub padding: u64,
    /// Where it began.
    pub first: Option<FirstPacket>,
    /// Its frames, if it is video.
    pub frames: FrameAccount,
    unwrapper: Unwrapper,
}

/// What came of one publishing track, whatever SSRC carried it.
#[derive(Debug)]
pub struct SourceAccount {
    /// Distinct packets, by [`Stamp::sequence`].
    pub packets: NumberSet,
    /// Packets received more than once.
    pub duplicates: u64,
    /// From due to received, in microseconds; first arrivals on the media SSRC only.
    pub delay_us: Histogram<u64>,
}

impl Default for SourceAccount {
    fn default() -> Self {
        let delay_us = Histogram::new_with_max(DELAY_US_MAX, 3).expect("3 digits up to a minute");
        Self { packets: NumberSet::default(), duplicates: 0, delay_us }
    }
}

/// All of it.
#[derive(Debug, Default)]
pub struct Ledger {
    /// By SSRC.
    pub streams: HashMap<u32, StreamAccount>,
    /// By [`Stamp::source`].
    pub sources: HashMap<u32, SourceAccount>,
    /// Payloads without a stamp.
    pub foreign: u64,
}

impl Ledger {
    /// Takes one packet.
    pub fn arrival(&mut self, arrival: Arrival<'_>) {
        let header = &arrival.packet.header;
        let payload = &arrival.packet.payload;
        let stream = self.streams.entry(header.ssrc).or_default();
        stream.payload_type = header.payload_type;
        if let Some(mid) = arrival.mid {
            stream.mid = Some(String::from_utf8_lossy(mid).into_owned());
        }
        stream.rtx += u64::from(arrival.via == Via::Rtx);
        let sequence = stream.unwrapper.unwrap(header.sequence_number);
        if !stream.numbers.insert(sequence) {
            stream.duplicates += 1;
            return;
        }
        stream.recovered += u64::from(arrival.via == Via::Rtx);
        stream.padding += u64::from(payload.is_empty());
        let view = if arrival.video { Vp8View::read(payload) } else { None };
        let stamp = match view {
            Some(view) => Stamp::read(view.body),
            None => AudioSource::stamp(payload),
        };
        if !payload.is_empty() {
            stream.first.get_or_insert(FirstPacket {
                at: arrival.at,
                keyframe_start: view.is_some_and(|view| view.keyframe),
                stamp,
            });
        }
        if arrival.video {
            stream.frames.packet(FramePacket {
                sequence,
                timestamp: header.timestamp,
                starts: view.is_some_and(|view| view.starts_frame),
                keyframe: view.is_some_and(|view| view.keyframe),
                ends: header.marker,
                filler: payload.is_empty(),
            });
        }
        match stamp {
            Some(stamp) => self.stamped(&arrival, stamp),
            None => self.foreign += u64::from(!payload.is_empty()),
        }
    }

    fn stamped(&mut self, arrival: &Arrival<'_>, stamp: Stamp) {
        if self.sources.len() >= SOURCES_MAX && !self.sources.contains_key(&stamp.source) {
            self.foreign += 1;
            return;
        }
        let source = self.sources.entry(stamp.source).or_default();
        if !source.packets.insert(stamp.sequence) {
            source.duplicates += 1;
        } else if arrival.via == Via::Media {
            // A clock stepped backwards reads as no delay; one beyond a minute as a minute.
            source.delay_us.saturating_record(arrival.at_us.saturating_sub(stamp.due_us));
        }
    }

    /// Distinct packets of all streams.
    #[must_use]
    pub fn packets(&self) -> u64 {
        self.streams.values().map(|stream| stream.numbers.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::{VideoPlan, VideoSource};

    fn take(ledger: &mut Ledger, packet: &Packet, via: Via, at_us: u64) {
        ledger.arrival(Arrival { packet, via, video: true, mid: None, at: Instant::now(), at_us });
    }

    #[test]
    fn a_hole_is_seen_and_a_retransmission_closes_it() {
        let mut source = VideoSource::new(VideoPlan::camera(1_000_000, 30), 1, 96, 0xffff_fe00);
        let packets: Vec<_> = (0..10).flat_map(|n| source.frame(1000, n == 0)).collect();
        let mut ledger = Ledger::default();
        for (at, packet) in packets.iter().enumerate() {
            if at != 20 {
                take(&mut ledger, packet, Via::Media, 3000);
            }
        }
        let stream = &ledger.streams[&1];
        assert_eq!((stream.numbers.missing(), stream.frames.decodable), (1, 1));
        assert!(stream.first.unwrap().keyframe_start);
        take(&mut ledger, &packets[20], Via::Rtx, 9000);
        take(&mut ledger, &packets[20], Via::Rtx, 9000);
        let stream = &ledger.streams[&1];
        assert_eq!((stream.numbers.missing(), stream.frames.decodable), (0, 10));
        assert_eq!((stream.rtx, stream.recovered, stream.duplicates), (2, 1, 1));
        let account = &ledger.sources[&source.id()];
        assert_eq!(account.packets.len(), packets.len() as u64);
        assert_eq!(account.delay_us.len(), packets.len() as u64 - 1);
        assert!((1990..2010).contains(&account.delay_us.max()));
    }

    #[test]
    fn the_same_packet_under_a_new_number_is_a_duplicate_of_its_source() {
        let mut source = VideoSource::new(VideoPlan::raw(100), 1, 96, 5);
        let mut packet = source.frame(0, true).remove(0);
        let mut ledger = Ledger::default();
        take(&mut ledger, &packet, Via::Media, 1);
        packet.header.sequence_number += 1;
        take(&mut ledger, &packet, Via::Media, 1);
        assert_eq!(ledger.streams[&1].duplicates, 0);
        assert_eq!(ledger.sources[&source.id()].duplicates, 1);
    }
}
