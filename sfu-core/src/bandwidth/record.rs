//! What was sent to one transport, and what has become of it.
//!
//! A ring of a power of two of packets, indexed by the transport-wide number, which RFC 8888
//! feedback finds by SSRC and sequence number through chains that run through the ring itself.
//! Everything is found in constant time, and what is old is left behind without a scan.

use std::time::{Duration, Instant};

use super::send_side::{Departure, OVERHEAD_BYTES, ProbeId, SentKind};
use crate::elapsed::Elapsed;
use crate::id::Ssrc;
use crate::limits;
use crate::rtp::sequence::SEQUENCE_BASE;

/// A packet that left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Its place on the line of transport-wide numbers, whose lower 16 bits travel in the packet.
    pub index: u64,
    /// Its source.
    pub ssrc: Ssrc,
    /// Its RTP sequence number.
    pub sequence: u16,
    /// On the wire: UDP payload and [`OVERHEAD_BYTES`].
    pub bytes: u16,
    /// What it is.
    pub kind: SentKind,
    /// The probe it is part of.
    pub probe: Option<ProbeId>,
    /// When it left, since the epoch of the record and to the microsecond.
    pub departure: Duration,
    /// What is known of it.
    pub fate: Fate,
}

/// What is known of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Nothing yet.
    InFlight,
    /// The receiver has it.
    Arrived,
    /// The receiver says that it has not.
    Lost,
    /// Nothing was heard of it for [`limits::SENT_AGE_MAX`].
    Unreported,
}

/// A packet of which something new is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct News {
    /// The packet, with its new fate.
    pub sent: Sent,
    /// What was thought of it before.
    pub before: Fate,
}

/// As it is kept: 32 bytes, two to a cache line.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Microseconds since the epoch.
    departure: u64,
    /// The lower half of its index: the ring is too short for two with the same.
    index: u32,
    /// The packet sent before it whose SSRC and sequence number share its bucket.
    older: u32,
    ssrc: u32,
    /// [`NO_PROBE`] if it is part of none.
    probe: u32,
    sequence: u16,
    bytes: u16,
    kind: SentKind,
    fate: Fate,
}

const _: () = assert!(size_of::<Entry>() == 32);

/// Probes are not that many.
const NO_PROBE: u32 = u32::MAX;
/// Never written: the line starts above.
const EMPTY: Entry = Entry {
    departure: 0,
    index: 0,
    older: 0,
    ssrc: 0,
    probe: NO_PROBE,
    sequence: 0,
    bytes: 0,
    kind: SentKind::Padding,
    fate: Fate::Unreported,
};

const _: () = assert!(limits::SENT_PACKETS_MIN.is_power_of_two());
const _: () = assert!(limits::SENT_PACKETS_MAX.is_power_of_two());
// A transport-wide number names one packet of the ring at most.
const _: () = assert!(limits::SENT_PACKETS_MAX <= 1 << 16);

/// The packets of one transport.
#[derive(Debug)]
pub struct SendRecord {
    clock: Elapsed,
    /// Empty until the first packet.
    ring: Vec<Entry>,
    /// The newest packet of each bucket, by the lower half of its index; empty until somebody asks
    /// for one by its source.
    newest: Vec<u32>,
    next: u64,
    /// The oldest packet in flight, or the next one.
    settled: u64,
    in_flight_packets: usize,
    unreported: u64,
}

impl SendRecord {
    /// Nothing was sent before `epoch`.
    #[must_use]
    pub fn new(epoch: Instant) -> Self {
        Self {
            clock: Elapsed::since(epoch),
            ring: Vec::new(),
            newest: Vec::new(),
            next: SEQUENCE_BASE,
            settled: SEQUENCE_BASE,
            in_flight_packets: 0,
            unreported: 0,
        }
    }

    /// The number of the next packet on the line; its lower 16 bits are those on the wire.
    #[must_use]
    pub fn next_index(&self) -> u64 {
        self.next
    }

    /// Nothing older is remembered.
    #[must_use]
    pub fn oldest_index(&self) -> u64 {
        self.next.saturating_sub(self.ring.len() as u64).max(SEQUENCE_BASE)
    }

    /// Of all before it something is known, or too much time has passed: the oldest packet in flight,
    /// or the next one.
    #[must_use]
    pub fn settled_index(&self) -> u64 {
        self.settled
    }

    /// Packets of which nothing was heard yet.
    #[must_use]
    pub fn in_flight_packets(&self) -> usize {
        self.in_flight_packets
    }

    /// Packets given up because nothing was heard of them.
    #[must_use]
    pub fn unreported(&self) -> u64 {
        self.unreported
    }

    /// Remembers a packet and gives its place on the line.
    pub fn push(&mut self, now: Instant, departure: &Departure) -> u64 {
        self.make_room(now);
        let index = self.next;
        self.next += 1;
        let older = self.enchain(index, departure.ssrc.0, departure.sequence);
        let bytes = departure.bytes.saturating_add(OVERHEAD_BYTES);
        *self.entry_mut(index) = Entry {
            departure: self.clock.micros(now),
            index: index as u32,
            older,
            ssrc: departure.ssrc.0,
            probe: departure.probe.map_or(NO_PROBE, |probe| probe.0),
            sequence: departure.sequence,
            bytes: u16::try_from(bytes).unwrap_or(u16::MAX),
            kind: departure.kind,
            fate: Fate::InFlight,
        };
        self.in_flight_packets += 1;
        index
    }

    /// The place on the line of the latest packet sent with this number, or that of one not sent
    /// for lack of so many.
    #[must_use]
    pub fn index_of(&self, transport_sequence: u16) -> u64 {
        let last = self.next - 1;
        last.saturating_sub(u64::from((last as u16).wrapping_sub(transport_sequence)))
    }

    /// The place on the line of the packet with this SSRC and sequence number, if it is still
    /// remembered.
    pub fn find(&mut self, ssrc: Ssrc, sequence: u16) -> Option<u64> {
        if self.ring.is_empty() {
            return None;
        }
        if self.newest.is_empty() {
            self.rechain();
        }
        let mut candidate = self.newest[self.bucket(ssrc.0, sequence)];
        let mut above = self.next;
        for _ in 0..limits::SENT_BUCKET_STEPS_MAX {
            // The full index, which lies less than a turn of 32 bits below.
            let index = above.checked_sub(u64::from((above as u32).wrapping_sub(candidate)))?;
            let entry = self.entry(index)?;
            if entry.ssrc == ssrc.0 && entry.sequence == sequence {
                return Some(index);
            }
            (above, candidate) = (index, entry.older);
        }
        None
    }

    /// The packet at a place on the line.
    #[must_use]
    pub fn get(&self, index: u64) -> Option<Sent> {
        self.entry(index).map(|entry| self.sent(entry))
    }

    /// Notes what the receiver says of a packet. `None` if it is not remembered, or if that is no
    /// news: what has arrived stays arrived, what was lost may still arrive.
    pub fn settle(&mut self, index: u64, arrived: bool) -> Option<News> {
        let before = self.entry(index)?.fate;
        let fate = match (before, arrived) {
            (Fate::InFlight | Fate::Lost | Fate::Unreported, true) => Fate::Arrived,
            (Fate::InFlight | Fate::Unreported, false) => Fate::Lost,
            (Fate::Arrived, _) | (Fate::Lost, false) => return None,
        };
        self.entry_mut(index).fate = fate;
        if before == Fate::InFlight {
            self.in_flight_packets -= 1;
            self.pass_settled();
        }
        let sent = self.get(index).expect("it was there a moment ago");
        Some(News { sent, before })
    }

    /// Gives up what left too long ago. Each packet is looked at once, whatever it costs in a call.
    pub fn prune(&mut self, now: Instant) {
        let now = self.clock.micros(now);
        loop {
            self.pass_settled();
            let Some(entry) = self.entry(self.settled) else { return };
            let age = Duration::from_micros(now.saturating_sub(entry.departure));
            if age < limits::SENT_AGE_MAX {
                return;
            }
            self.give_up(self.settled);
        }
    }

    /// When the oldest packet in flight left.
    #[must_use]
    pub fn oldest_in_flight(&self) -> Option<Instant> {
        let departure = self.entry(self.settled)?.departure;
        Some(self.clock.epoch() + Duration::from_micros(departure))
    }

    /// Moves on to the oldest packet in flight.
    fn pass_settled(&mut self) {
        while self.settled < self.next
            && self.entry(self.settled).is_none_or(|entry| entry.fate != Fate::InFlight)
        {
            self.settled += 1;
        }
    }

    fn give_up(&mut self, index: u64) {
        self.entry_mut(index).fate = Fate::Unreported;
        self.in_flight_packets -= 1;
        self.unreported += 1;
        self.pass_settled();
    }

    /// Sees to it that the next packet overwrites none that is in flight, as far as may be.
    fn make_room(&mut self, now: Instant) {
        if self.ring.is_empty() {
            self.resize(limits::SENT_PACKETS_MIN);
        }
        let overwritten = self.next.wrapping_sub(self.ring.len() as u64);
        // Told without a look at the place itself, which is not in the cache any more.
        if overwritten < self.settled {
            return;
        }
        let wanted = |entry: &Entry| entry.fate == Fate::InFlight;
        if !self.entry(overwritten).is_some_and(wanted) {
            return;
        }
        self.prune(now);
        if !self.entry(overwritten).is_some_and(wanted) {
            return;
        }
        if self.ring.len() < limits::SENT_PACKETS_MAX {
            self.resize(2 * self.ring.len());
        } else {
            self.give_up(overwritten);
        }
    }

    fn resize(&mut self, packets: usize) {
        let first = self.oldest_index();
        let before = std::mem::replace(&mut self.ring, vec![EMPTY; packets]);
        for index in first..self.next {
            *self.entry_mut(index) = before[(index as usize) & (before.len() - 1)];
        }
        if !self.newest.is_empty() {
            self.rechain();
        }
    }

    /// Puts all that is remembered into buckets.
    fn rechain(&mut self) {
        self.newest = vec![0; self.ring.len()];
        for index in self.oldest_index()..self.next {
            let Some(&Entry { ssrc, sequence, .. }) = self.entry(index) else { continue };
            self.entry_mut(index).older = self.enchain(index, ssrc, sequence);
        }
    }

    /// Makes a packet the newest of its bucket, and gives the one before it.
    #[inline]
    fn enchain(&mut self, index: u64, ssrc: u32, sequence: u16) -> u32 {
        if self.newest.is_empty() {
            return 0;
        }
        let bucket = self.bucket(ssrc, sequence);
        std::mem::replace(&mut self.newest[bucket], index as u32)
    }

    fn entry(&self, index: u64) -> Option<&Entry> {
        if !(self.oldest_index()..self.next).contains(&index) {
            return None;
        }
        let at = (index as usize) & self.ring.len().checked_sub(1)?;
        self.ring.get(at).filter(|entry| entry.index == index as u32)
    }

    fn entry_mut(&mut self, index: u64) -> &mut Entry {
        let at = (index as usize) & (self.ring.len() - 1);
        &mut self.ring[at]
    }

    /// Consecutive packets of one source go to different buckets.
    fn bucket(&self, ssrc: u32, sequence: u16) -> usize {
        let start = ssrc.wrapping_mul(0x9e37_79b1) >> 16;
        (start.wrapping_add(u32::from(sequence)) as usize) & (self.newest.len() - 1)
    }

    /// The whole index of a packet that is remembered.
    fn index_of_half(&self, half: u32) -> u64 {
        self.next - u64::from((self.next as u32).wrapping_sub(half))
    }

    fn sent(&self, entry: &Entry) -> Sent {
        Sent {
            index: self.index_of_half(entry.index),
            ssrc: Ssrc(entry.ssrc),
            sequence: entry.sequence,
            bytes: entry.bytes,
            kind: entry.kind,
            probe: (entry.probe != NO_PROBE).then_some(ProbeId(entry.probe)),
            departure: Duration::from_micros(entry.departure),
            fate: entry.fate,
        }
    }
}

#[cfg(test)]
mod tests;
