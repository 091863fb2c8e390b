//! What a subscriber wants of a track, and what a room grants at all.

/// What a subscriber wants of one track: quality in words and in pixels. The default is the best
/// that fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preference {
    /// A quality in words; an upper bound, not a promise.
    pub quality: Quality,
    /// The place where it is shown, width and height in physical pixels; layers beyond the
    /// smallest that fills it are not sent.
    pub max_size: Option<(u16, u16)>,
    /// Frames per second beyond which no layer is sent.
    pub max_frames_per_second: Option<u8>,
    /// Who comes first when not everything fits: 0 last, 255 first.
    pub priority: u8,
    /// Comes before everything that is not pinned, and gets the largest layer that fits.
    pub pinned: bool,
    /// False while it is scrolled away or behind something: paused, at no cost.
    pub visible: bool,
}

/// A quality in words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Quality {
    /// Nothing at all.
    Off,
    /// The lowest spatial layer or encoding.
    Low,
    /// A middle one, if there are three or more; else the lowest.
    Medium,
    /// The highest one, even if the place it is shown in is small.
    High,
    /// What size, visibility and bandwidth suggest.
    #[default]
    Auto,
}

/// [`Preference::priority`] of a subscription of which nothing was said.
pub const PRIORITY_DEFAULT: u8 = 100;

impl Preference {
    /// Whether anything is wanted at all.
    #[must_use]
    pub fn is_for_some(&self) -> bool {
        self.quality != Quality::Off && self.visible
    }
}

impl Default for Preference {
    fn default() -> Self {
        Self {
            quality: Quality::Auto,
            max_size: None,
            max_frames_per_second: None,
            priority: PRIORITY_DEFAULT,
            pinned: false,
            visible: true,
        }
    }
}

/// What a room forwards to each of its participants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoomPolicy {
    /// Only this many microphones, the loudest of late, are forwarded; the rest is silent anyway.
    pub audio_last_n: Option<u16>,
    /// Only the cameras of this many participants, the last speakers, are forwarded. Screens and
    /// pinned tracks come on top.
    pub video_last_n: Option<u16>,
    /// Nothing is forwarded: its participants exchange media among themselves. What they publish
    /// stays published, and who speaks is still heard.
    pub direct: bool,
}
