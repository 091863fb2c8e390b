//! What was sent on one outgoing SSRC lately: enough to send it again, without a copy of it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::drops::DropReason;
use crate::forward::layer::Part;
use crate::forward::munge::Edit;
use crate::id::TrackId;
use crate::limits::{
    DATAGRAM_BYTES_MAX, RTX_BUDGET_FLOOR_BYTES, RTX_BUDGET_PERCENT, RTX_TRIES_MAX,
};

/// Packets remembered at most: a second at 5 Mbit/s; 24 KiB a video subscription. The memory starts
/// with [`SENT_PACKETS_MIN`] and doubles as long as they last for less than [`SENT_TIME`].
const SENT_PACKETS_MAX: usize = 512;
const SENT_PACKETS_MIN: usize = 64;
/// Requests come within a few round trips, or are of no use.
const SENT_TIME: Duration = Duration::from_secs(2);
const _: () = assert!(SENT_PACKETS_MIN.is_power_of_two() && SENT_PACKETS_MAX.is_power_of_two());
/// How far back padding goes: packets that may still be of use if they were lost.
const PADDING_PACKETS: u64 = 32;
/// Round-trip time assumed before one is known.
const RTT_UNKNOWN: Duration = Duration::from_millis(100);
/// Shortest time between two retransmissions of one packet, for paths with next to no delay.
const RESEND_INTERVAL_MIN: Duration = Duration::from_millis(10);

/// Where a sent packet came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SentPacket {
    /// Index on the outgoing line.
    pub index: u64,
    /// The track it came from.
    pub track: TrackId,
    /// The encoding of the track.
    pub encoding: u8,
    /// Of which of its layers.
    pub part: Part,
    /// The encoding's epoch.
    pub epoch: u32,
    /// Index on the encoding's line, the key into its history.
    pub source_index: u64,
    /// Outgoing timestamp.
    pub timestamp: u32,
    /// What was changed inside.
    pub edit: Edit,
}

/// As it is kept: 48 bytes, so that remembering costs less than a cache line.
#[derive(Clone, Copy, Debug, Default)]
struct Kept {
    /// The lower half of the index.
    index: u32,
    /// One more than the encoding; 0 if there is no packet.
    encoding: u8,
    part: Part,
    source_index: [u16; 3],
    track: [u32; 2],
    epoch: u32,
    timestamp: u32,
    edit: Edit,
}

const _: () = assert!(size_of::<Kept>() <= 48);

impl Kept {
    #[inline]
    fn new(packet: SentPacket) -> Self {
        let SentPacket { index, track, encoding, part, epoch, source_index, timestamp, edit } =
            packet;
        let word = |at: u32| (source_index >> (16 * at)) as u16;
        let track = track.to_wire();
        Self {
            index: index as u32,
            encoding: encoding + 1,
            part,
            source_index: [word(0), word(1), word(2)],
            track: [track as u32, (track >> 32) as u32],
            epoch,
            timestamp,
            edit,
        }
    }

    fn packet(&self, index: u64) -> SentPacket {
        let [a, b, c] = self.source_index.map(u64::from);
        let [low, high] = self.track.map(u64::from);
        SentPacket {
            index,
            track: TrackId::from_wire(high << 32 | low),
            encoding: self.encoding - 1,
            part: self.part,
            epoch: self.epoch,
            source_index: c << 32 | b << 16 | a,
            timestamp: self.timestamp,
            edit: self.edit,
        }
    }
}

/// How often a packet was sent again, and when last.
#[derive(Clone, Copy, Debug)]
struct Tries {
    index: u64,
    at: Instant,
    count: u8,
    /// The number on the retransmission SSRC it left with last; `None` before, and once that is
    /// known to be lost.
    sent_as: Option<u16>,
    /// Whether the last one was lost, so that another one may leave at once.
    is_lost: bool,
}

/// The memory of one outgoing SSRC.
#[derive(Debug, Default)]
pub struct Sent {
    /// A ring by line index, empty until something is sent.
    ring: Vec<Kept>,
    /// The index with which it will have gone round once more.
    due: u64,
    /// When it last had.
    turned: Option<Instant>,
    highest: u64,
    /// Where [`Sent::next_padding`] is: the last packet it gave.
    padding: u64,
    /// Of the packets that were asked for; at most as many as the ring has.
    tries: VecDeque<Tries>,
}

impl Sent {
    /// Remembers a packet that leaves at `now`.
    // Inlined, so that it is put together where it will stay.
    #[inline]
    pub fn remember(&mut self, now: Instant, packet: SentPacket) {
        if packet.index >= self.due {
            self.turn(now);
            self.due = packet.index + self.ring.len() as u64;
        }
        self.highest = self.highest.max(packet.index);
        // One that is later than all that is remembered is not worth the place of a newer one.
        if self.highest - packet.index < self.ring.len() as u64 {
            let slot = self.slot(packet.index);
            self.ring[slot] = Kept::new(packet);
        }
    }

    /// The ring has come round: if that was too soon, it gets twice as long.
    #[cold]
    fn turn(&mut self, now: Instant) {
        let lasted = self.turned.replace(now).map(|at| now.saturating_duration_since(at));
        let places = match lasted {
            None => SENT_PACKETS_MIN,
            Some(lasted) if lasted < SENT_TIME => 2 * self.ring.len(),
            Some(_) => return,
        };
        if places > SENT_PACKETS_MAX {
            return;
        }
        let before = std::mem::replace(&mut self.ring, vec![Kept::default(); places]);
        for kept in before.into_iter().filter(|kept| kept.encoding > 0) {
            let slot = self.slot(u64::from(kept.index));
            self.ring[slot] = kept;
        }
    }

    /// The packet behind a NACKed sequence number, if it may be sent again now. `rtt` is the
    /// subscriber's round-trip time: a repetition is already under way for that long.
    pub fn recall(
        &mut self,
        now: Instant,
        sequence: u16,
        rtt: Option<Duration>,
    ) -> Result<SentPacket, DropReason> {
        let index = self.index_of(sequence).ok_or(DropReason::NackMiss)?;
        let packet = self.at(index).ok_or(DropReason::NackMiss)?;
        let wait = rtt.unwrap_or(RTT_UNKNOWN).max(RESEND_INTERVAL_MIN);
        if let Some(tries) = self.tries.iter_mut().rev().find(|tries| tries.index == index) {
            let too_soon = !tries.is_lost && now.saturating_duration_since(tries.at) < wait;
            if too_soon || tries.count >= RTX_TRIES_MAX {
                return Err(DropReason::RtxBudget);
            }
            (tries.at, tries.is_lost) = (now, false);
            tries.count += 1;
            return Ok(packet);
        }
        let oldest = self.highest.saturating_sub(self.ring.len() as u64);
        self.tries.retain(|tries| tries.index > oldest);
        let tries = Tries { index, at: now, count: 1, sent_as: None, is_lost: false };
        self.tries.push_back(tries);
        Ok(packet)
    }

    /// Whether a packet has been recalled more than once.
    #[must_use]
    pub fn is_asked_again(&self, index: u64) -> bool {
        let tries = self.tries.iter().rev().find(|tries| tries.index == index);
        tries.is_some_and(|tries| tries.count > 1)
    }

    /// What was recalled leaves, with this number on the retransmission SSRC.
    pub fn repeated(&mut self, index: u64, sent_as: u16) {
        if let Some(tries) = self.tries.iter_mut().rev().find(|tries| tries.index == index) {
            tries.sent_as = Some(sent_as);
        }
    }

    /// A retransmission is lost: gives the sequence number of the packet that was in it, which may
    /// be recalled again at once.
    pub fn lost(&mut self, sent_as: u16) -> Option<u16> {
        let tries = self.tries.iter_mut().rev().find(|tries| tries.sent_as == Some(sent_as))?;
        (tries.sent_as, tries.is_lost) = (None, true);
        Some(tries.index as u16)
    }

    /// The packets that were asked for since then and are still remembered.
    pub fn asked(&self, since: Instant) -> impl Iterator<Item = SentPacket> {
        let tries = self.tries.iter().filter(move |tries| tries.at >= since);
        tries.filter_map(|tries| self.at(tries.index))
    }

    /// A packet leaves otherwise than was meant.
    pub fn edited(&mut self, index: u64, edit: Edit) {
        if self.at(index).is_some() {
            let slot = self.slot(index);
            self.ring[slot].edit = edit;
        }
    }

    /// A packet worth sending once more when a probe needs bytes: the newest first, then ever
    /// older ones, and round again.
    pub fn next_padding(&mut self) -> Option<SentPacket> {
        let oldest = self.highest.saturating_sub(PADDING_PACKETS);
        let in_range = self.padding > oldest && self.padding <= self.highest;
        let older = in_range.then(|| self.padding - 1).and_then(|index| self.at(index));
        let packet = older.or_else(|| self.at(self.highest))?;
        self.padding = packet.index;
        Some(packet)
    }

    fn at(&self, index: u64) -> Option<SentPacket> {
        let age = self.highest.checked_sub(index)?;
        let near = age < self.ring.len() as u64;
        let kept = self.ring.get(self.slot(index)).filter(|_| near)?;
        (kept.encoding > 0 && kept.index == index as u32).then(|| kept.packet(index))
    }

    /// The line index at or below the highest sent that ends in `sequence`.
    fn index_of(&self, sequence: u16) -> Option<u64> {
        let back = (self.highest as u16).wrapping_sub(sequence);
        self.highest.checked_sub(u64::from(back))
    }

    /// The place of a packet in the ring, whose length is a power of two.
    fn slot(&self, index: u64) -> usize {
        index as usize & self.ring.len().wrapping_sub(1)
    }
}

/// Bytes a subscriber may cost in retransmissions: a share of what it is sent, and a floor.
#[derive(Debug)]
pub struct RtxBudget {
    bytes: u64,
}

impl Default for RtxBudget {
    fn default() -> Self {
        Self { bytes: RTX_BUDGET_FLOOR_BYTES }
    }
}

impl RtxBudget {
    /// Media was sent.
    pub fn earn(&mut self, bytes: usize) {
        let share = bytes as u64 * RTX_BUDGET_PERCENT / 100;
        self.bytes = (self.bytes + share).min(RTX_BUDGET_FLOOR_BYTES);
    }

    /// Whether there is enough left for any one packet.
    #[must_use]
    pub fn allows_a_packet(&self) -> bool {
        self.bytes >= DATAGRAM_BYTES_MAX as u64
    }

    /// Takes the bytes of one packet.
    pub fn spend(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(index: u64) -> SentPacket {
        SentPacket {
            index,
            track: TrackId::default(),
            encoding: 0,
            part: Part::default(),
            epoch: 0,
            source_index: index + 7,
            timestamp: 0,
            edit: Edit::default(),
        }
    }

    fn start() -> Instant {
        #[allow(clippy::disallowed_methods, reason = "any instant will do as an origin")]
        Instant::now()
    }

    #[test]
    fn a_packet_is_resent_once_per_round_trip_and_not_for_ever() {
        let now = start();
        let rtt = Some(Duration::from_millis(50));
        let mut sent = Sent::default();
        sent.remember(now, packet(5));
        assert_eq!(sent.recall(now, 5, rtt), Ok(packet(5)));
        assert!(!sent.is_asked_again(5));
        let soon = now + Duration::from_millis(49);
        assert_eq!(sent.recall(soon, 5, rtt), Err(DropReason::RtxBudget));
        let mut resent = 1;
        for round in 1..100 {
            let at = now + Duration::from_millis(50) * round;
            resent += u32::from(sent.recall(at, 5, rtt).is_ok());
        }
        assert_eq!(resent, u32::from(RTX_TRIES_MAX));
        assert!(sent.is_asked_again(5) && !sent.is_asked_again(4));
    }

    #[test]
    fn a_repetition_that_is_lost_is_repeated_without_waiting() {
        let now = start();
        let rtt = Some(Duration::from_millis(50));
        let mut sent = Sent::default();
        sent.remember(now, packet(5));
        assert_eq!(sent.lost(900), None, "nothing was sent again");
        assert_eq!(sent.recall(now, 5, rtt), Ok(packet(5)));
        sent.repeated(5, 900);
        assert_eq!(sent.lost(899), None, "of another one");
        assert_eq!(sent.lost(900), Some(5));
        assert_eq!(sent.lost(900), None, "told once");
        assert_eq!(sent.recall(now, 5, rtt), Ok(packet(5)));
        assert_eq!(sent.recall(now, 5, rtt), Err(DropReason::RtxBudget), "the next one waits");
        assert_eq!(sent.asked(now).count(), 1);
        assert_eq!(sent.asked(now + Duration::from_millis(1)).count(), 0);
    }

    #[test]
    fn what_was_never_sent_or_is_forgotten_is_a_miss() {
        let now = start();
        let mut sent = Sent::default();
        assert_eq!(sent.recall(now, 0, None), Err(DropReason::NackMiss));
        for index in 65_000..67_000 {
            sent.remember(now, packet(index));
        }
        assert_eq!(sent.recall(now, 66_999_u64 as u16, None), Ok(packet(66_999)));
        assert_eq!(sent.recall(now, 65_000, None), Err(DropReason::NackMiss), "overwritten");
        assert_eq!(sent.recall(now, 67_000_u64 as u16, None), Err(DropReason::NackMiss), "ahead");
        assert_eq!(sent.recall(now, 66_490_u64 as u16, None), Ok(packet(66_490)));
    }

    #[test]
    fn the_memory_grows_until_it_lasts() {
        let now = start();
        for (per_second, places) in [(20, 64), (100, 256), (2_000, SENT_PACKETS_MAX)] {
            let mut sent = Sent::default();
            for n in 0..20 * per_second {
                // Some never come this far.
                if n % 64 != 0 {
                    let at = now + Duration::from_secs(1) * n as u32 / per_second as u32;
                    sent.remember(at, packet(1_000 + n));
                }
            }
            assert_eq!(sent.ring.len(), places, "{per_second} packets a second");
            let highest = 1_000 + 20 * per_second - 1;
            let oldest = highest + 1 - places as u64;
            for index in oldest..=highest {
                let expected = (index - 1_000) % 64 != 0;
                assert_eq!(sent.at(index), expected.then(|| packet(index)), "{index}");
            }
            assert_eq!(sent.at(oldest - 1), None);
        }
        // What was remembered before it grew is still there.
        let mut sent = Sent::default();
        (0..65).for_each(|index| sent.remember(now, packet(index)));
        assert!((0..65).all(|index| sent.at(index) == Some(packet(index))));
    }

    #[test]
    fn what_left_otherwise_than_was_meant_is_repeated_as_it_left() {
        let mut sent = Sent::default();
        sent.remember(start(), packet(5));
        sent.edited(4, Edit::fill());
        assert_eq!(sent.recall(start(), 5, None), Ok(packet(5)));
        sent.edited(5, Edit::fill());
        let later = start() + Duration::from_secs(1);
        assert_eq!(sent.recall(later, 5, None).unwrap().edit, Edit::fill());
    }

    #[test]
    fn padding_repeats_the_newest_first_and_then_older_ones() {
        let mut sent = Sent::default();
        assert_eq!(sent.next_padding(), None);
        for index in 5..9 {
            sent.remember(start(), packet(index));
        }
        let mut next = || sent.next_padding().map(|packet| packet.index);
        assert_eq!([next(), next(), next(), next(), next()].map(Option::unwrap), [8, 7, 6, 5, 8]);
        sent.remember(start(), packet(9));
        let taken = sent.next_padding().unwrap();
        assert_eq!(taken.index, 7, "goes on where it was");
    }

    #[test]
    fn the_budget_is_a_share_of_what_is_sent() {
        let mut budget = RtxBudget::default();
        while budget.allows_a_packet() {
            budget.spend(DATAGRAM_BYTES_MAX);
        }
        // What is left is less than a packet; the share of so much media makes up for it.
        let media = DATAGRAM_BYTES_MAX * 100 / usize::try_from(RTX_BUDGET_PERCENT).unwrap();
        budget.earn(media);
        assert!(budget.allows_a_packet());
        budget.spend(DATAGRAM_BYTES_MAX);
        assert!(!budget.allows_a_packet());
        budget.earn(1_000_000_000);
        assert_eq!(budget.bytes, RTX_BUDGET_FLOOR_BYTES, "nothing is saved up beyond the floor");
    }
}
