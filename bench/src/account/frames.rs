//! [`FrameAccount`]: which video frames a decoder could show. A frame counts when all its packets
//! are there and a key frame opens the unbroken chain it stands in.

use std::collections::{BTreeMap, VecDeque};

/// Frames under assembly; the oldest is given up beyond it.
const ASSEMBLING_MAX: usize = 256;
/// Whole frames waiting for an earlier one; the chain breaks beyond it.
const WAITING_MAX: usize = 1024;

/// One packet as the account needs it.
#[derive(Clone, Copy, Debug)]
pub struct FramePacket {
    /// Endless sequence number.
    pub sequence: u64,
    /// RTP timestamp: the frame's name.
    pub timestamp: u32,
    /// Whether it begins a frame.
    pub starts: bool,
    /// Whether it begins a key frame.
    pub keyframe: bool,
    /// Whether it ends a frame.
    pub ends: bool,
    /// Padding only: it fills a sequence number and belongs to no frame.
    pub filler: bool,
}

#[derive(Debug, Default)]
struct Assembly {
    first: Option<u64>,
    last: Option<u64>,
    packets: u64,
    keyframe: bool,
}

impl Assembly {
    fn whole(&self) -> Option<(u64, u64)> {
        let (first, last) = (self.first?, self.last?);
        (last >= first && last - first + 1 == self.packets).then_some((first, last))
    }
}

#[derive(Debug)]
struct Whole {
    last: u64,
    keyframe: bool,
    filler: bool,
}

/// Counts whole and decodable frames of one stream. Takes each packet once, in any order.
#[derive(Debug, Default)]
pub struct FrameAccount {
    assembling: BTreeMap<u32, Assembly>,
    /// Timestamps in order of appearance, to know the oldest across wrap-around.
    order: VecDeque<u32>,
    waiting: BTreeMap<u64, Whole>,
    /// The sequence number that continues the decodable chain.
    next: Option<u64>,
    /// Frames with all packets.
    pub complete: u64,
    /// Those of them that are key frames.
    pub keyframes: u64,
    /// Frames of which a decoder has everything.
    pub decodable: u64,
    /// Frames given up while packets were missing.
    pub abandoned: u64,
}

impl FrameAccount {
    /// Takes one packet.
    pub fn packet(&mut self, packet: FramePacket) {
        if packet.filler {
            self.whole(
                packet.sequence,
                Whole { last: packet.sequence, keyframe: false, filler: true },
            );
            return;
        }
        let frame = self.assembling.entry(packet.timestamp).or_insert_with(|| {
            self.order.push_back(packet.timestamp);
            Assembly::default()
        });
        frame.packets += 1;
        frame.keyframe |= packet.keyframe;
        if packet.starts {
            frame.first = Some(packet.sequence);
        }
        if packet.ends {
            frame.last = Some(packet.sequence);
        }
        if let Some((first, last)) = frame.whole() {
            let keyframe = frame.keyframe;
            self.assembling.remove(&packet.timestamp);
            self.order.retain(|timestamp| *timestamp != packet.timestamp);
            self.complete += 1;
            self.keyframes += u64::from(keyframe);
            self.whole(first, Whole { last, keyframe, filler: false });
        } else if self.order.len() > ASSEMBLING_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.assembling.remove(&oldest);
            self.abandoned += 1;
        }
    }

    fn whole(&mut self, first: u64, frame: Whole) {
        if self.next.is_some_and(|next| first < next) {
            return;
        }
        self.waiting.insert(first, frame);
        while let Some((first, frame)) = self.waiting.pop_first() {
            if self.next == Some(first) || frame.keyframe {
                self.decodable += u64::from(!frame.filler);
                self.next = Some(frame.last + 1);
            } else if self.waiting.len() < WAITING_MAX
                && !self.waiting.values().any(|later| later.keyframe)
            {
                // It may yet be continued to, when what is missing arrives.
                self.waiting.insert(first, frame);
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames of three packets each; frame `n` holds sequence numbers 3n to 3n + 2.
    fn packet(sequence: u64, keyframe: bool) -> FramePacket {
        FramePacket {
            sequence,
            timestamp: (sequence / 3) as u32 * 3000,
            starts: sequence.is_multiple_of(3),
            keyframe: keyframe && sequence.is_multiple_of(3),
            ends: sequence % 3 == 2,
            filler: false,
        }
    }

    #[test]
    fn order_does_not_matter_and_the_first_key_frame_opens() {
        let mut account = FrameAccount::default();
        for sequence in [0, 2, 1, 5, 3, 4, 8, 7, 6] {
            account.packet(packet(sequence, (3..6).contains(&sequence)));
        }
        assert_eq!((account.complete, account.keyframes, account.decodable), (3, 1, 2));
    }

    #[test]
    fn a_lost_packet_breaks_the_chain_until_it_is_recovered() {
        let mut account = FrameAccount::default();
        for sequence in (0..12).filter(|sequence| *sequence != 4) {
            account.packet(packet(sequence, sequence < 3));
        }
        assert_eq!((account.complete, account.decodable), (3, 1));
        account.packet(packet(4, false));
        assert_eq!((account.complete, account.decodable), (4, 4));
    }

    #[test]
    fn a_key_frame_heals_the_chain_without_what_was_lost() {
        let mut account = FrameAccount::default();
        for sequence in (0..12).filter(|sequence| *sequence != 4) {
            account.packet(packet(sequence, sequence < 3 || (9..12).contains(&sequence)));
        }
        assert_eq!((account.complete, account.decodable), (3, 2));
    }

    #[test]
    fn padding_between_frames_is_no_gap() {
        let mut account = FrameAccount::default();
        for sequence in 0..3 {
            account.packet(packet(sequence, true));
        }
        account.packet(FramePacket { filler: true, ..packet(3, false) });
        for sequence in 4..7 {
            account.packet(FramePacket {
                timestamp: 3000,
                starts: sequence == 4,
                ends: sequence == 6,
                ..packet(sequence, false)
            });
        }
        assert_eq!(account.decodable, 2);
    }

    #[test]
    fn frames_without_end_are_bounded() {
        let mut account = FrameAccount::default();
        for sequence in 0..10_000 {
            account.packet(packet(sequence * 3, true));
        }
        assert!(account.assembling.len() <= ASSEMBLING_MAX);
        assert!(account.abandoned >= 10_000 - ASSEMBLING_MAX as u64 - 1);
    }
}
