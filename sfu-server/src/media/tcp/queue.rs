//! What waits to be written to one connection: bounded in bytes and in time. TCP delivers late
//! rather than never, and late media is worth less than no media; so what is old goes unsent, video
//! first. A frame that was begun is always finished.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, Write};
use std::time::{Duration, Instant};

use sfu_core::demux::{Kind, classify};

/// Video waits this long at most: more than the pacer's own longest queue behind one lost packet's
/// round trip.
const VIDEO_WAIT_MAX: Duration = Duration::from_millis(400);
/// Bytes of video that wait: the same at 5 Mbit/s.
const VIDEO_BYTES_MAX: usize = 256 * 1024;
/// Everything else waits this long at most: repeated by then, or of no use.
const REST_WAIT_MAX: Duration = Duration::from_secs(2);
/// Bytes of everything else that wait.
const REST_BYTES_MAX: usize = 64 * 1024;
/// A payload type that was seen in a packet of this size is video: no sound is that long.
const VIDEO_PACKET_BYTES: usize = 800;
/// Frames of one system call.
const SLICES: usize = 64;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// The frame that was begun, and how much of it is written.
    begun: Option<(Vec<u8>, usize)>,
    rest: Line,
    video: Line,
    /// Payload types that are video, one bit each.
    video_types: u128,
}

/// Frames of one class, the oldest first.
#[derive(Debug, Default)]
struct Line {
    frames: VecDeque<(Instant, Vec<u8>)>,
    bytes: usize,
}

impl Line {
    fn pop(&mut self) -> Option<Vec<u8>> {
        let (_, frame) = self.frames.pop_front()?;
        self.bytes -= frame.len();
        Some(frame)
    }

    /// Drops what waited too long, and the oldest of what is too much.
    fn trim(&mut self, now: Instant, wait_max: Duration, bytes_max: usize) -> u64 {
        let mut dropped = 0;
        while let Some((since, _)) = self.frames.front()
            && (self.bytes > bytes_max || now.saturating_duration_since(*since) > wait_max)
        {
            self.pop();
            dropped += 1;
        }
        dropped
    }
}

impl Queue {
    /// Adds a datagram. Gives how many older ones were dropped for it.
    pub(super) fn push(&mut self, now: Instant, datagram: &[u8]) -> u64 {
        let Ok(length) = u16::try_from(datagram.len()) else { return 1 };
        let mut frame = Vec::with_capacity(2 + datagram.len());
        frame.extend_from_slice(&length.to_be_bytes());
        frame.extend_from_slice(datagram);
        let line = if self.is_video(datagram) { &mut self.video } else { &mut self.rest };
        line.bytes += frame.len();
        line.frames.push_back((now, frame));
        self.trim(now)
    }

    /// Whether it is a packet of a payload type that is video.
    fn is_video(&mut self, datagram: &[u8]) -> bool {
        if classify(datagram) != Ok(Kind::Rtp) {
            return false;
        }
        let bit = 1_u128 << (datagram[1] & 0x7f);
        if datagram.len() >= VIDEO_PACKET_BYTES {
            self.video_types |= bit;
        }
        self.video_types & bit != 0
    }

    fn trim(&mut self, now: Instant) -> u64 {
        self.video.trim(now, VIDEO_WAIT_MAX, VIDEO_BYTES_MAX)
            + self.rest.trim(now, REST_WAIT_MAX, REST_BYTES_MAX)
    }

    /// Writes until the connection takes no more; what is not video first. Gives how many datagrams
    /// were too old to be sent.
    pub(super) fn write(&mut self, now: Instant, to: &mut impl Write) -> io::Result<u64> {
        let dropped = self.trim(now);
        while !self.is_empty() {
            let written = match self.write_some(to) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => written,
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            };
            self.wrote(written);
        }
        Ok(dropped)
    }

    fn write_some(&self, to: &mut impl Write) -> io::Result<usize> {
        let begun = self.begun.iter().map(|(frame, written)| &frame[*written..]);
        let waiting = self.rest.frames.iter().chain(&self.video.frames);
        let all = begun.chain(waiting.map(|(_, frame)| &frame[..]));
        let mut slices = [IoSlice::new(&[]); SLICES];
        let mut count = 0;
        for (slice, bytes) in slices.iter_mut().zip(all) {
            *slice = IoSlice::new(bytes);
            count += 1;
        }
        to.write_vectored(&slices[..count])
    }

    /// Takes out what was written.
    fn wrote(&mut self, mut bytes: usize) {
        while bytes > 0 {
            let next = || self.rest.pop().or_else(|| self.video.pop()).map(|frame| (frame, 0));
            let begun = self.begun.take().or_else(next);
            let (frame, written) = begun.expect("no more is written than there is");
            if written + bytes < frame.len() {
                self.begun = Some((frame, written + bytes));
                return;
            }
            bytes -= frame.len() - written;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.begun.is_none() && self.rest.frames.is_empty() && self.video.frames.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes so many bytes and then blocks.
    struct Pipe {
        room: usize,
        got: Vec<u8>,
    }

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(self.room);
            if taken == 0 {
                return Err(ErrorKind::WouldBlock.into());
            }
            self.room -= taken;
            self.got.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn rtp(payload_type: u8, bytes: usize, mark: u8) -> Vec<u8> {
        let mut packet = vec![0x80, payload_type];
        packet.resize(bytes, mark);
        packet
    }

    fn frames(bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut frames = super::super::frames::Frames::new(bytes.to_vec());
        std::iter::from_fn(|| frames.next().unwrap().map(|frame| frame.to_vec())).collect()
    }

    #[test]
    fn a_frame_that_was_begun_is_finished_before_any_other() {
        let now = Instant::now();
        let mut queue = Queue::default();
        let mut pipe = Pipe { room: 500, got: Vec::new() };
        queue.push(now, &rtp(96, 1000, 1));
        queue.write(now, &mut pipe).unwrap();
        assert_eq!(pipe.got.len(), 500);
        queue.push(now, &rtp(96, 1000, 2));
        queue.push(now, &rtp(111, 80, 3));
        // Ten seconds later only the rest of the first is worth anything.
        let later = now + Duration::from_secs(10);
        pipe.room = 10_000;
        assert_eq!(queue.write(later, &mut pipe).unwrap(), 2);
        assert_eq!(frames(&pipe.got), [rtp(96, 1000, 1)]);
        assert!(queue.is_empty());
    }

    #[test]
    fn sound_passes_video_and_video_is_dropped_first_and_oldest_first() {
        let now = Instant::now();
        let mut queue = Queue::default();
        let mut dropped = 0;
        for mark in 0..=255 {
            dropped += queue.push(now, &rtp(96, 1200, mark));
            dropped += queue.push(now, &rtp(111, 100, mark));
        }
        assert!(queue.video.bytes <= VIDEO_BYTES_MAX && queue.rest.bytes <= REST_BYTES_MAX);
        let mut pipe = Pipe { room: usize::MAX, got: Vec::new() };
        queue.write(now, &mut pipe).unwrap();
        let got = frames(&pipe.got);
        assert!((0..256).all(|n| got[n] == rtp(111, 100, n as u8)), "all sound, in order");
        assert_eq!(got.len() as u64, 512 - dropped);
        assert_eq!(got.last(), Some(&rtp(96, 1200, 255)));
        assert_eq!(got[256], rtp(96, 1200, dropped as u8), "the oldest went");
    }

    #[test]
    fn small_packets_of_a_video_stay_behind_its_large_ones() {
        let now = Instant::now();
        let mut queue = Queue::default();
        queue.push(now, &rtp(96, 1200, 1));
        queue.push(now, &rtp(96, 50, 2));
        queue.push(now, &[22; 1300]);
        let mut pipe = Pipe { room: usize::MAX, got: Vec::new() };
        queue.write(now, &mut pipe).unwrap();
        assert_eq!(frames(&pipe.got), [vec![22; 1300], rtp(96, 1200, 1), rtp(96, 50, 2)]);
    }

    #[test]
    fn a_connection_that_takes_nothing_holds_a_bounded_amount() {
        let mut now = Instant::now();
        let mut queue = Queue::default();
        for n in 0..100_000_u32 {
            now += Duration::from_micros(100);
            queue.push(now, &rtp(96, 1200, n as u8));
            queue.push(now, &[20; 200]);
        }
        assert!(queue.video.bytes <= VIDEO_BYTES_MAX && queue.rest.bytes <= REST_BYTES_MAX);
    }
}
