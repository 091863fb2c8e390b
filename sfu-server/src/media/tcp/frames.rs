//! Reads frames: two bytes of length, then a datagram (RFC 4571 §2).

use std::io::{self, ErrorKind, Read};

use sfu_core::limits::DATAGRAM_BYTES_MAX;

/// Bytes of one read: some forty frames.
const READ_BYTES: usize = 64 * 1024;

/// A frame longer than any datagram: whoever sends it speaks another protocol, or has lost count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Oversize;

/// What was read of a connection and not yet taken. Never longer than a read and a frame.
#[derive(Debug, Default)]
pub(super) struct Frames {
    bytes: Vec<u8>,
    taken: usize,
}

impl Frames {
    /// Begins with what another one has read.
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, taken: 0 }
    }

    /// Reads once. Gives the number of bytes; 0 at the end of the stream.
    pub(super) fn read(&mut self, from: &mut impl Read) -> io::Result<usize> {
        self.bytes.drain(..self.taken);
        self.taken = 0;
        let before = self.bytes.len();
        self.bytes.resize(before + READ_BYTES, 0);
        let result = loop {
            match from.read(&mut self.bytes[before..]) {
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                result => break result,
            }
        };
        self.bytes.truncate(before + *result.as_ref().unwrap_or(&0));
        result
    }

    /// The next whole frame. Empty ones are passed over: some clients send them to keep the
    /// connection alive.
    pub(super) fn next(&mut self) -> Result<Option<&mut [u8]>, Oversize> {
        loop {
            let Some(&[high, low]) = self.bytes.get(self.taken..self.taken + 2) else {
                return Ok(None);
            };
            let length = usize::from(u16::from_be_bytes([high, low]));
            if length > DATAGRAM_BYTES_MAX {
                return Err(Oversize);
            }
            let (start, end) = (self.taken + 2, self.taken + 2 + length);
            if self.bytes.len() < end {
                return Ok(None);
            }
            self.taken = end;
            if length > 0 {
                return Ok(Some(&mut self.bytes[start..end]));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(datagrams: &[&[u8]]) -> Vec<u8> {
        let frame = |d: &&[u8]| [&(d.len() as u16).to_be_bytes()[..], d].concat();
        datagrams.iter().map(frame).collect::<Vec<_>>().concat()
    }

    fn taken(frames: &mut Frames) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| frames.next().unwrap().map(|frame| frame.to_vec())).collect()
    }

    #[test]
    fn frames_come_out_whole_however_the_stream_is_cut() {
        let long = [9; DATAGRAM_BYTES_MAX];
        let stream = framed(&[b"one", b"", b"two", &long, b"three"]);
        for cut in 0..stream.len() {
            let (mut first, mut second) = stream.split_at(cut);
            let mut frames = Frames::default();
            let mut got = Vec::new();
            frames.read(&mut first).unwrap();
            got.extend(taken(&mut frames));
            frames.read(&mut second).unwrap();
            got.extend(taken(&mut frames));
            assert_eq!(got, [&b"one"[..], b"two", &long, b"three"], "{cut}");
        }
    }

    #[test]
    fn what_no_datagram_can_be_is_refused() {
        for start in [&b"GET / HTTP/1.1"[..], &[0x16, 3, 1, 0, 1], &[0x05, 0xdd]] {
            let mut frames = Frames::new(start.to_vec());
            assert_eq!(frames.next(), Err(Oversize), "{start:?}");
        }
        assert_eq!(Frames::new(vec![0x05, 0xdc]).next(), Ok(None), "1500 bytes are awaited");
    }

    #[test]
    fn what_waits_is_never_more_than_a_read_and_a_frame() {
        let stream = framed(&[&[7; 1400][..]; 2000]);
        let mut rest = &stream[..];
        let mut frames = Frames::default();
        let mut count = 0;
        while frames.read(&mut rest).unwrap() > 0 {
            count += taken(&mut frames).len();
            assert!(frames.bytes.len() <= READ_BYTES + DATAGRAM_BYTES_MAX + 2);
        }
        assert_eq!(count, 2000);
    }
}
