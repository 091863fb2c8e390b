//! How one m-line fared over time.

use std::time::Duration;

/// What happened on one m-line in one second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Second {
    /// Media packets, each counted once.
    pub packets: u32,
    /// Bytes of all packets, retransmissions and padding too, with RTP headers.
    pub bytes: u32,
    /// Of the packets, those that came as retransmissions.
    pub repaired: u32,
    /// Pictures shown.
    pub frames: u32,
    /// Width of the last of them in pixels.
    pub width: u16,
    /// Longest gap between two of them that ended in this second, in ms.
    pub gap_ms: u32,
}

/// By second since the start of the world.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Series(Vec<Second>);

impl Series {
    pub(crate) fn at(&mut self, now: Duration) -> &mut Second {
        let second = usize::try_from(now.as_secs()).expect("worlds do not last that long");
        if self.0.len() <= second {
            self.0.resize(second + 1, Second::default());
        }
        &mut self.0[second]
    }

    pub(crate) fn seconds(&self) -> &[Second] {
        &self.0
    }
}

/// What a receiver shows from some time on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The publisher's number for its source.
    pub source: u32,
    /// Simulcast encoding.
    pub encoding: u8,
    /// Spatial layer.
    pub spatial: u8,
    /// Width in pixels; 0 from a pause on.
    pub width: u16,
}
