//! VP9 payload descriptor (RFC 9628 §4.2), as far as layers and keyframes go.

use crate::rtp::codec_view::PayloadInfo;

/// The payload descriptor of one VP9 packet, without reference indices and scalability structure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Descriptor {
    /// P: the frame is predicted from an earlier one.
    pub inter_predicted: bool,
    /// B: a layer frame begins with this packet.
    pub layer_frame_start: bool,
    /// E: a layer frame ends with this packet.
    pub layer_frame_end: bool,
    /// Picture id, 7 or 15 bits, and whether it is the long one.
    pub picture_id: Option<(u16, bool)>,
    /// The layer, if the stream has layers.
    pub layer: Option<Layer>,
}

/// The layer indices of a packet (RFC 9628 §4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layer {
    /// TID: the temporal layer.
    pub temporal: u8,
    /// U: the temporal layer may be switched up to here.
    pub switching_up: bool,
    /// SID: the spatial layer.
    pub spatial: u8,
    /// D: predicted from the spatial layer below.
    pub inter_layer: bool,
}

impl Descriptor {
    /// Reads a payload's descriptor; `None` if it is cut short.
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let mut bytes = payload.iter().copied();
        let mut next = || bytes.next();
        let head = next()?;
        let picture_id = if head & 0x80 == 0 {
            None
        } else {
            let high = next()?;
            Some(if high & 0x80 == 0 {
                (u16::from(high), false)
            } else {
                (u16::from_be_bytes([high & 0x7f, next()?]), true)
            })
        };
        let layer = if head & 0x20 == 0 {
            None
        } else {
            let byte = next()?;
            Some(Layer {
                temporal: byte >> 5,
                switching_up: byte & 0x10 != 0,
                spatial: byte >> 1 & 0x07,
                inter_layer: byte & 0x01 != 0,
            })
        };
        Some(Self {
            inter_predicted: head & 0x40 != 0,
            layer_frame_start: head & 0x08 != 0,
            layer_frame_end: head & 0x04 != 0,
            picture_id,
            layer,
        })
    }
}

/// What a VP9 payload says. A picture begins with its lowest spatial layer; there, a frame that is
/// not predicted from earlier ones is a keyframe.
pub(super) fn inspect(payload: &[u8]) -> Option<PayloadInfo> {
    let descriptor = Descriptor::parse(payload)?;
    let lowest = descriptor.layer.is_none_or(|layer| layer.spatial == 0);
    let frame_start = descriptor.layer_frame_start && lowest;
    Some(PayloadInfo {
        keyframe_start: frame_start && !descriptor.inter_predicted,
        frame_start,
        temporal: descriptor.layer.map(|layer| layer.temporal),
        spatial: descriptor.layer.map(|layer| layer.spatial),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keyframes_start_at_the_lowest_spatial_layer() {
        type Case = (&'static [u8], bool, bool, Option<u8>, Option<u8>);
        let table: [Case; 8] = [
            (&[0x08, 0xff], true, true, None, None),
            (&[0x48, 0xff], false, true, None, None),
            (&[0x00, 0xff], false, false, None, None),
            (&[0x88, 0x05], true, true, None, None),
            (&[0xa8, 0x81, 0x02, 0x00, 0x09], true, true, Some(0), Some(0)),
            (&[0xa8, 0x81, 0x02, 0x03, 0x09], false, false, Some(0), Some(1)),
            (&[0xe8, 0x81, 0x02, 0x50, 0x09], false, true, Some(2), Some(0)),
            (&[0xb8, 0x01, 0x40], true, true, Some(2), Some(0)),
        ];
        for (payload, keyframe_start, frame_start, temporal, spatial) in table {
            let want = PayloadInfo { keyframe_start, frame_start, temporal, spatial };
            assert_eq!(inspect(payload), Some(want), "{payload:02x?}");
        }
    }

    #[test]
    fn the_descriptor_is_read_in_full() {
        let payload = [0xec, 0xff, 0xfe, 0xb5];
        let want = Descriptor {
            inter_predicted: true,
            layer_frame_start: true,
            layer_frame_end: true,
            picture_id: Some((0x7ffe, true)),
            layer: Some(Layer { temporal: 5, switching_up: true, spatial: 2, inter_layer: true }),
        };
        assert_eq!(Descriptor::parse(&payload), Some(want));
        for cut in 0..payload.len() {
            assert_eq!(Descriptor::parse(&payload[..cut]), None, "{cut}");
        }
    }
}
