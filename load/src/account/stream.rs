//! [`Stream`]: the account of one received SSRC: which numbers are missing, which came late or
//! twice, and what the stamps say of what never got a number.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::Sources;
use crate::wire::srtp::guess_index;
use crate::wire::stamp::Stamp;

/// Missing numbers that are waited for at a time; beyond it the oldest are lost.
const MISSING_MAX: usize = 1024;
/// A step further than this is another beginning, not a loss.
const JUMP_MAX: u64 = 3000;
/// After so long a missing packet is lost.
const PATIENCE: Duration = Duration::from_secs(3);
/// First wait before a missing packet is asked for: what is merely out of order comes by then.
const ASK_AFTER: Duration = Duration::from_millis(5);
/// Between two requests for one packet.
const ASK_AGAIN: Duration = Duration::from_millis(100);
/// Requests for one packet.
const ASKS_MAX: u8 = 10;

/// What a packet was to its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// Never seen before.
    New,
    /// It was missing.
    Recovered,
    /// It had come before, or is older than the stream.
    Old,
}

#[derive(Clone, Copy, Debug)]
struct Missing {
    index: u64,
    since: Instant,
    ask_at: Instant,
    asks: u8,
}

/// See the module. Counts are of the measured time, which [`Stream::measure`] begins anew.
#[derive(Debug)]
pub struct Stream {
    /// Its source.
    pub ssrc: u32,
    /// Whether missing packets are asked for.
    nack: bool,
    highest: Option<u64>,
    missing: VecDeque<Missing>,
    received: u64,
    lost: u64,
    jumps: u64,
    duplicates: u64,
    withheld: u64,
    /// The last stamp in order and the index that carried it.
    anchor: Option<(Stamp, u64)>,
    /// For reception reports: expected and received when the last was written.
    reported: (u64, u64),
    first: u64,
    ever_received: u64,
    last_sender_report: Option<(u32, Instant)>,
}

/// What is told of a stream in the end.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct StreamReport {
    /// Packets that came, each counted once.
    pub received: u64,
    /// Numbers that never came.
    pub lost: u64,
    /// Packets of a source that were sent behind the last that came.
    pub tail: u64,
    /// Packets of a source that the server gave no number: layers, or what it dropped itself.
    pub withheld: u64,
    /// Packets that came twice.
    pub duplicates: u64,
    /// New beginnings of the numbers.
    pub jumps: u64,
}

impl Stream {
    /// Nothing has come yet.
    #[must_use]
    pub fn new(ssrc: u32, nack: bool) -> Self {
        Self {
            ssrc,
            nack,
            highest: None,
            missing: VecDeque::new(),
            received: 0,
            lost: 0,
            jumps: 0,
            duplicates: 0,
            withheld: 0,
            anchor: None,
            reported: (0, 0),
            first: 0,
            ever_received: 0,
            last_sender_report: None,
        }
    }

    /// Where a packet stands (RFC 3711 §3.3.1); `None` if before the beginning.
    #[must_use]
    pub fn index_of(&self, sequence: u16) -> Option<u64> {
        guess_index(self.highest, sequence)
    }

    /// Whether missing packets are asked for: it is video.
    #[must_use]
    pub fn is_nacked(&self) -> bool {
        self.nack
    }

    /// Whether nothing has come yet.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.highest.is_none()
    }

    /// Notes a packet.
    pub fn on_packet(&mut self, now: Instant, index: u64) -> Arrival {
        let Some(highest) = self.highest else {
            self.highest = Some(index);
            self.first = index;
            return self.new_one(Arrival::New);
        };
        if index > highest {
            self.advance(now, highest, index);
            return self.new_one(Arrival::New);
        }
        let place = self.missing.binary_search_by_key(&index, |missing| missing.index);
        if let Ok(place) = place {
            self.missing.remove(place);
            return self.new_one(Arrival::Recovered);
        }
        self.duplicates += 1;
        Arrival::Old
    }

    fn new_one(&mut self, arrival: Arrival) -> Arrival {
        self.received += 1;
        self.ever_received += 1;
        arrival
    }

    fn advance(&mut self, now: Instant, highest: u64, index: u64) {
        self.highest = Some(index);
        if index - highest > JUMP_MAX {
            self.jumps += 1;
            self.lost += self.missing.len() as u64;
            self.missing.clear();
            self.first += index - highest - 1;
            return;
        }
        for index in highest + 1..index {
            if self.missing.len() == MISSING_MAX {
                self.missing.pop_front();
                self.lost += 1;
            }
            self.missing.push_back(Missing { index, since: now, ask_at: now + ASK_AFTER, asks: 0 });
        }
    }

    /// Notes what a packet's payload says of itself.
    pub fn on_stamp(&mut self, stamp: Stamp, index: u64) {
        match self.anchor {
            Some((last, at)) if last.source == stamp.source => {
                if index <= at {
                    return;
                }
                // What had no number here, though it was sent: more stamps went by than numbers.
                let sent = stamp.sequence.saturating_sub(last.sequence);
                self.withheld += sent.saturating_sub(index - at);
            }
            Some((_, at)) if index <= at => return,
            _ => {}
        }
        self.anchor = Some((stamp, index));
    }

    /// The place of a packet that a retransmission names by the low half of its number.
    #[must_use]
    pub fn retransmitted(&self, original: u16) -> Option<u64> {
        self.highest.and_then(|highest| guess_index(Some(highest), original))
    }

    /// Whether anything is missing.
    #[must_use]
    pub fn has_missing(&self) -> bool {
        !self.missing.is_empty()
    }

    /// Gives up what is overdue, and appends to `ask` what is to be asked for now.
    pub fn tick(&mut self, now: Instant, ask: &mut Vec<u16>) {
        while self.missing.front().is_some_and(|missing| now - missing.since > PATIENCE) {
            self.missing.pop_front();
            self.lost += 1;
        }
        if !self.nack {
            return;
        }
        for missing in &mut self.missing {
            if missing.ask_at <= now && missing.asks < ASKS_MAX {
                missing.asks += 1;
                missing.ask_at = now + ASK_AGAIN;
                ask.push(missing.index as u16);
            }
        }
    }

    /// Begins the measured time.
    pub fn measure(&mut self) {
        self.missing.clear();
        (self.received, self.lost, self.jumps, self.duplicates, self.withheld) = (0, 0, 0, 0, 0);
    }

    /// Notes a sender report, by the middle 32 bits of its NTP time.
    pub fn on_sender_report(&mut self, now: Instant, ntp_middle: u32) {
        self.last_sender_report = Some((ntp_middle, now));
    }

    /// A reception report block (RFC 3550 §6.4.1); `None` before the first packet.
    pub fn report_block(&mut self, now: Instant) -> Option<sfu_core::rtp::rtcp::ReportBlock> {
        let highest = self.highest?;
        let expected = highest + 1 - self.first;
        let (expected_before, received_before) = self.reported;
        let new = expected - expected_before;
        let new_lost = new.saturating_sub(self.ever_received - received_before);
        self.reported = (expected, self.ever_received);
        let lost = expected.cast_signed() - self.ever_received.cast_signed();
        let (last, delay) = self.last_sender_report.map_or((0, 0), |(last, at)| {
            (last, ((now - at).as_micros() * 65_536 / 1_000_000) as u32)
        });
        Some(sfu_core::rtp::rtcp::ReportBlock {
            ssrc: sfu_core::id::Ssrc(self.ssrc),
            fraction_lost: (new_lost * 256).checked_div(new).unwrap_or(0).min(255) as u8,
            cumulative_lost: lost.clamp(-0x80_0000, 0x7f_ffff) as i32,
            highest_sequence: highest as u32,
            jitter: 0,
            last_sender_report: last,
            delay_since_last_sender_report: delay,
        })
    }

    /// What there is to tell. Publishers have stopped, and `sources` knows how much they sent.
    #[must_use]
    pub fn report(&self, sources: &Sources) -> StreamReport {
        let tail = self.anchor.and_then(|(stamp, at)| {
            let sent = sources.get(stamp.source)?.sent();
            // Numbers behind the last stamp carried packets behind it.
            let behind = self.highest.unwrap_or(at).saturating_sub(at);
            Some(sent.saturating_sub(stamp.sequence + 1 + behind))
        });
        StreamReport {
            received: self.received,
            lost: self.lost + self.missing.len() as u64,
            tail: tail.unwrap_or(0),
            withheld: self.withheld,
            duplicates: self.duplicates,
            jumps: self.jumps,
        }
    }

    /// The source of the last stamp in order.
    #[must_use]
    pub fn source(&self) -> Option<u32> {
        self.anchor.map(|(stamp, _)| stamp.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(source: u32, sequence: u64) -> Stamp {
        Stamp { source, sequence, due_ns: 0 }
    }

    fn after(ms: u64, origin: Instant) -> Instant {
        origin + Duration::from_millis(ms)
    }

    #[test]
    fn losses_recoveries_and_duplicates_are_told_apart() {
        let now = Instant::now();
        let mut stream = Stream::new(1, true);
        assert_eq!(stream.on_packet(now, 100), Arrival::New);
        assert_eq!(stream.on_packet(now, 104), Arrival::New);
        assert_eq!(stream.on_packet(now, 102), Arrival::Recovered);
        assert_eq!(stream.on_packet(now, 102), Arrival::Old);
        assert_eq!(stream.on_packet(now, 99), Arrival::Old, "from before the beginning");
        let report = stream.report(&Sources::default());
        assert_eq!((report.received, report.lost, report.duplicates), (3, 2, 2));
    }

    #[test]
    fn the_missing_is_asked_for_and_given_up() {
        let origin = Instant::now();
        let mut stream = Stream::new(1, true);
        stream.on_packet(origin, 10);
        stream.on_packet(origin, 12);
        let ask = |stream: &mut Stream, ms| {
            let mut ask = Vec::new();
            stream.tick(after(ms, origin), &mut ask);
            ask
        };
        assert!(ask(&mut stream, 1).is_empty(), "it may be out of order");
        assert_eq!(ask(&mut stream, 6), [11]);
        assert!(ask(&mut stream, 50).is_empty(), "not again so soon");
        let asked = (1..40).filter(|n| !ask(&mut stream, 10 + n * 110).is_empty()).count();
        assert_eq!(asked + 1, usize::from(ASKS_MAX));
        assert!(!stream.has_missing(), "given up after three seconds");
        assert_eq!(stream.report(&Sources::default()).lost, 1);

        let mut silent = Stream::new(1, false);
        silent.on_packet(origin, 10);
        silent.on_packet(origin, 12);
        assert!(ask(&mut silent, 6).is_empty(), "audio is not asked for");
    }

    #[test]
    fn a_jump_is_a_new_beginning_and_memory_is_bounded() {
        let now = Instant::now();
        let mut stream = Stream::new(1, true);
        stream.on_packet(now, 0);
        stream.on_packet(now, 2500);
        assert_eq!(stream.missing.len(), MISSING_MAX);
        stream.on_packet(now, 2500 + JUMP_MAX + 1);
        let report = stream.report(&Sources::default());
        assert_eq!((report.jumps, report.lost, stream.missing.len()), (1, 2499, 0));
    }

    #[test]
    fn what_got_no_number_is_seen_by_the_stamps() {
        let now = Instant::now();
        let sources = Sources::default();
        let source = sources.add();
        (0..50).for_each(|_| _ = source.next());
        let mut stream = Stream::new(1, true);
        let mut packet = |index, sequence: u64| {
            stream.on_packet(now, index);
            stream.on_stamp(stamp(source.id, sequence), index);
        };
        packet(7, 20);
        packet(8, 21);
        // Five were sent that have no number.
        packet(9, 27);
        // A sample of every tenth tells the same.
        packet(19, 37);
        stream.on_packet(now, 20);
        let report = stream.report(&sources);
        assert_eq!((report.withheld, report.lost), (5, 9), "ten to eighteen never came");
        assert_eq!(report.tail, 50 - 39);

        // Another source on the same numbers is no gap.
        stream.on_packet(now, 21);
        stream.on_stamp(stamp(77, 5000), 21);
        assert_eq!(stream.report(&sources).withheld, 5);
        assert_eq!(stream.source(), Some(77));
    }

    #[test]
    fn the_measured_time_begins_anew() {
        let now = Instant::now();
        let mut stream = Stream::new(1, true);
        stream.on_packet(now, 1);
        stream.on_packet(now, 5);
        stream.measure();
        stream.on_packet(now, 6);
        let report = stream.report(&Sources::default());
        assert_eq!((report.received, report.lost), (1, 0));
    }

    #[test]
    fn report_blocks_count_what_is_lost_since_the_last() {
        let now = Instant::now();
        let mut stream = Stream::new(9, true);
        assert_eq!(stream.report_block(now), None);
        for index in [65_530, 65_531, 65_540] {
            stream.on_packet(now, index);
        }
        stream.on_sender_report(now, 0xabcd);
        let block = stream.report_block(now + Duration::from_secs(1)).unwrap();
        assert_eq!((block.ssrc.0, block.cumulative_lost, block.fraction_lost), (9, 8, 186));
        assert_eq!((block.highest_sequence, block.last_sender_report), (65_540, 0xabcd));
        assert_eq!(block.delay_since_last_sender_report, 65_536);
        stream.on_packet(now, 65_541);
        assert_eq!(stream.report_block(now).unwrap().fraction_lost, 0);
    }
}
