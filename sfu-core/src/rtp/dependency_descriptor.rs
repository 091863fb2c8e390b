//! The AV1 RTP dependency descriptor (RTP Payload Format For AV1, appendix A), which other codecs
//! may carry too. Only its fixed part is read; templates are the receiver's.

/// The mandatory fields of a dependency descriptor (RTP Payload Format For AV1, appendix A.8.2), and
/// whether a template structure follows, which a keyframe brings along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameMarks {
    /// The first packet of a frame.
    pub start_of_frame: bool,
    /// The last packet of a frame.
    pub end_of_frame: bool,
    /// Counts frames.
    pub frame_number: u16,
    /// The template structure is attached: a new coded video sequence.
    pub has_structure: bool,
}

impl FrameMarks {
    /// Reads the data of the header extension element; `None` if it is cut short.
    #[must_use]
    pub fn parse(descriptor: &[u8]) -> Option<Self> {
        let &[head, n0, n1, ref extended @ ..] = descriptor else { return None };
        Some(Self {
            start_of_frame: head & 0x80 != 0,
            end_of_frame: head & 0x40 != 0,
            frame_number: u16::from_be_bytes([n0, n1]),
            has_structure: extended.first().is_some_and(|flags| flags & 0x80 != 0),
        })
    }
}
