//! VP8 payloads (RFC 7741 §4) as libwebrtc's sender writes and its receiver reads them.

use super::codec::{Claim, Seen, fill};
use super::{Rtp, Stamp};

/// What the packets of a frame say of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// Picture id, 15 bits.
    pub picture_id: u16,
    /// TL0PICIDX, TID and Y, if there are temporal layers.
    pub temporal: Option<(u8, u8, bool)>,
    /// N: nothing builds on it.
    pub discardable: bool,
    /// Width and height in pixels.
    pub size: (u16, u16),
}

/// Appends one packet's worth of a frame, `bytes` long with the stamp: descriptor, the frame's
/// header in the first part, filler.
pub fn write(out: &mut Vec<u8>, marks: &Marks, stamp: &Stamp, bytes: usize) {
    let start = out.len();
    let first = stamp.part == 0;
    let [high, low] = (marks.picture_id | 0x8000).to_be_bytes();
    let head = 0x80 | u8::from(marks.discardable) << 5 | u8::from(first) << 4;
    match marks.temporal {
        None => out.extend([head, 0x80, high, low]),
        Some((tl0, layer, sync)) => {
            out.extend([head, 0xe0, high, low, tl0, layer << 6 | u8::from(sync) << 5]);
        }
    }
    if first {
        // RFC 6386 §9.1: P is the inverse of "key frame"; show_frame is set.
        out.extend([0x10 | u8::from(!stamp.keyframe), 0, 0]);
        if stamp.keyframe {
            let ([w0, w1], [h0, h1]) = (marks.size.0.to_le_bytes(), marks.size.1.to_le_bytes());
            out.extend([0x9d, 0x01, 0x2a, w0, w1, h0, h1]);
        }
    }
    fill(out, start, stamp, bytes);
}

/// Reads a payload written by [`write()`], wherever it went in between.
#[must_use]
pub fn read(packet: &Rtp<'_>) -> Option<Seen> {
    let (&head, mut rest) = packet.payload.split_first()?;
    let mut next = || {
        let (&byte, after) = rest.split_first()?;
        rest = after;
        Some(byte)
    };
    let present = if head & 0x80 == 0 { 0 } else { next()? };
    let mut picture_id = None;
    if present & 0x80 != 0 {
        let high = next()?;
        picture_id = Some(match high & 0x80 {
            0 => u16::from(high),
            _ => u16::from_be_bytes([high & 0x7f, next()?]),
        });
    }
    let tl0 = if present & 0x40 == 0 { None } else { Some(next()?) };
    let layer = if present & 0x30 == 0 { None } else { Some(next()?) };
    let start = head & 0x17 == 0x10;
    let temporal = layer
        .filter(|_| present & 0x20 != 0)
        .and_then(|byte| Some((tl0?, byte >> 6, byte & 0x20 != 0)));
    Some(Seen {
        start,
        end: packet.header.marker,
        keyframe: start && rest.first()? & 1 == 0,
        claim: Claim::Vp8 { picture_id: picture_id?, temporal },
        ..Seen::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Datagram, RtpHeader, rtp};

    #[test]
    fn what_is_written_is_read() {
        for (temporal, part, keyframe) in
            [(None, 0, true), (Some((200, 2, false)), 0, false), (Some((7, 1, true)), 3, true)]
        {
            let marks = Marks { picture_id: 0x1234, temporal, discardable: true, size: (640, 360) };
            let stamp = Stamp { part, keyframe, ..Stamp::default() };
            let mut payload = Vec::new();
            write(&mut payload, &marks, &stamp, 100);
            assert_eq!(payload.len(), 100);
            let bytes = rtp(&RtpHeader::default(), &[], &payload, 0);
            let packet = Rtp::read(Datagram::whole(&bytes)).unwrap();
            let seen = read(&packet).unwrap();
            assert_eq!((seen.start, seen.keyframe), (part == 0, part == 0 && keyframe));
            assert_eq!(seen.claim, Claim::Vp8 { picture_id: 0x1234, temporal });
            assert_eq!(packet.stamp(), Some(stamp));
        }
    }
}
