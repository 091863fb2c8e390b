//! [`Stream`]: RTP packets that look like a codec's, without one.

use super::client::Media;

/// The SSRC of everything published.
pub(crate) const SSRC: u32 = 0x1234_5678;
/// Where in the payload the frame's number stands: behind the VP8 payload descriptor and the first
/// byte of the frame.
pub(crate) const STAMP_AT: usize = 2;

/// A stream of frames of so many packets each, of equal size.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stream {
    pub(crate) media: Media,
    pub(crate) payload_bytes: usize,
    /// Packets of a frame.
    pub(crate) frame_packets: u32,
    /// One frame in so many is a keyframe, the first one included.
    pub(crate) keyframe_interval: u32,
    /// What the timestamp grows by from frame to frame.
    pub(crate) timestamp_step: u32,
}

impl Stream {
    /// The `number`th packet, before SRTP.
    pub(crate) fn packet(&self, number: u32) -> Vec<u8> {
        let part = number % self.frame_packets;
        let frame = number / self.frame_packets;
        let last = part == self.frame_packets - 1 && self.media == Media::Video;
        let mut packet = vec![0x80, 96 | if last { 0x80 } else { 0 }];
        #[allow(clippy::cast_possible_truncation, reason = "RTP sequence numbers wrap")]
        packet.extend((number as u16).to_be_bytes());
        packet.extend(frame.wrapping_mul(self.timestamp_step).to_be_bytes());
        packet.extend(SSRC.to_be_bytes());
        // VP8's payload descriptor (S bit at a frame's start), then the P bit: clear in a keyframe.
        packet.push(if part == 0 { 0x10 } else { 0 });
        packet.push(u8::from(!frame.is_multiple_of(self.keyframe_interval)));
        packet.extend(frame.to_be_bytes());
        packet.resize(12 + self.payload_bytes, 0);
        packet
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_have_their_size_and_say_their_number() {
        let stream = Stream {
            media: Media::Video,
            payload_bytes: 100,
            frame_packets: 3,
            keyframe_interval: 2,
            timestamp_step: 3000,
        };
        let markers: Vec<bool> = (0..6).map(|n| stream.packet(n)[1] & 0x80 != 0).collect();
        assert_eq!(markers, [false, false, true, false, false, true]);
        let starts: Vec<u8> = (0..6).map(|n| stream.packet(n)[12]).collect();
        assert_eq!(starts, [0x10, 0, 0, 0x10, 0, 0]);
        let seventh = stream.packet(7);
        assert_eq!(seventh.len(), 112);
        assert_eq!(seventh[13], 0, "the third frame is a keyframe again");
        assert_eq!(seventh[12 + STAMP_AT..][..4], 2_u32.to_be_bytes());
        assert_eq!(seventh[4..8], 6000_u32.to_be_bytes());
        assert_eq!(stream.packet(3)[13], 1);
    }
}
