//! One spatial and temporal layer of one encoding: what its own packets amount to.

use std::time::{Duration, Instant};

/// Full intervals kept; the median of three is free of one outlier.
const INTERVALS: usize = 3;
/// Share of the way down that a rate falls in one interval.
const FALL: f32 = 0.25;
/// A first frame is worth about this long of its layer: keyframes of 5 to 8 times the mean frame
/// come at 15 to 30 frames/s.
const KEYFRAME_WORTH: Duration = Duration::from_millis(300);
/// The same of a frame of a higher temporal layer, which is none.
const FRAME_WORTH: Duration = Duration::from_millis(80);
/// Frames that began within less than this came in one batch: nothing can be said of their rate.
const MEASURABLE: Duration = Duration::from_millis(50);

/// It is silent after so many mean frame intervals of its own ...
const SILENT_FRAMES: f32 = 6.0;
/// ... but not sooner than this, and not later than ...
const SILENT_MIN: Duration = Duration::from_millis(600);
/// ... this, which is also how long a whole track may be quiet. Chromium sends one frame a second
/// of a screen that does not change.
const SILENT_MAX: Duration = Duration::from_secs(3);
/// How long a layer that was asked for may take to arrive: a round trip to a publisher far away and
/// the start of an encoder.
const START_PATIENCE: Duration = Duration::from_secs(3);
/// How long one that did not arrive then is not offered again.
const REFUSED_FOR: Duration = Duration::from_secs(30);

/// Whether a layer can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Supply {
    /// It arrives.
    Arrives,
    /// It will, if asked for.
    OnDemand,
    /// It does not.
    Silent,
}

/// What the publisher was asked to do with a layer or encoding.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Asked {
    /// Send it, from the beginning or since it has arrived.
    #[default]
    On,
    /// Do not send it.
    Off,
    /// The same, but it did not come when it was asked for at this time.
    Refused(Instant),
    /// Send it again, since then.
    Again(Instant),
}

#[derive(Clone, Debug)]
pub(super) struct Cell {
    pub(super) spatial: u8,
    pub(super) temporal: u8,
    /// The present interval.
    open: Count,
    /// Full intervals, newest first.
    full: arrayvec::ArrayVec<Rate, INTERVALS>,
    /// What is made of them, or was before the layer stopped.
    known: Option<Rate>,
    /// From the first packet until the first interval is full.
    start: Option<Start>,
    /// Start of the present interval.
    began: Option<Instant>,
    /// Last packet.
    last: Option<Instant>,
    pub(super) asked: Asked,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    bytes: u64,
    frames: u32,
}

#[derive(Clone, Copy, Debug)]
struct Rate {
    bps: u64,
    frames_per_second: f32,
}

/// The beginning of a layer: its first frame is counted apart, because it is a keyframe.
#[derive(Clone, Copy, Debug)]
struct Start {
    at: Instant,
    first_frame: u64,
    /// When the latest frame began.
    latest: Instant,
}

impl Asked {
    pub(super) fn set(&mut self, now: Instant, wanted: bool) {
        *self = match (*self, wanted) {
            (Self::On, false) => Self::Off,
            (Self::Again(since), false) => Self::Refused(since),
            (Self::Off, true) => Self::Again(now),
            // Asked for anew while it counts as refused: the first time is what counts.
            (Self::Refused(since), true) if !over(now, since) => Self::Again(since),
            (Self::Refused(_), true) => Self::Again(now),
            (same, _) => same,
        };
    }

    pub(super) fn arrived(&mut self) {
        if let Self::Again(_) | Self::Refused(_) = self {
            *self = Self::On;
        }
    }

    /// Whether what does not arrive would, if it were asked for.
    pub(super) fn may_ask(self, now: Instant) -> bool {
        match self {
            Self::On => false,
            Self::Off => true,
            Self::Again(since) | Self::Refused(since) => {
                now.saturating_duration_since(since) < START_PATIENCE || over(now, since)
            }
        }
    }
}

/// Whether a refusal is forgotten.
fn over(now: Instant, since: Instant) -> bool {
    now.saturating_duration_since(since) >= START_PATIENCE + REFUSED_FOR
}

impl Cell {
    pub(super) fn new(spatial: u8, temporal: u8, wanted: bool) -> Self {
        Self {
            spatial,
            temporal,
            open: Count::default(),
            full: arrayvec::ArrayVec::new(),
            known: None,
            start: None,
            began: None,
            last: None,
            asked: if wanted { Asked::On } else { Asked::Off },
        }
    }

    pub(super) fn note(&mut self, now: Instant, bytes: usize, frame_start: bool) {
        let bytes = bytes as u64;
        self.last = Some(now);
        self.asked.arrived();
        self.began.get_or_insert(now);
        if self.full.is_empty() {
            let start = self.start.get_or_insert(Start { at: now, first_frame: 0, latest: now });
            if frame_start {
                start.latest = now;
            }
            // What comes before any start is the rest of a frame that began unseen.
            if self.open.frames == 0 || (self.open.frames == 1 && !frame_start) {
                start.first_frame += bytes;
            } else {
                self.open.bytes += bytes;
            }
        } else {
            self.open.bytes += bytes;
        }
        self.open.frames += u32::from(frame_start);
    }

    /// Ends an interval, unless it may be that the layer has just stopped: then it is either as it
    /// was, once it has gone on, or nothing.
    pub(super) fn roll(&mut self, now: Instant) {
        let (Some(last), Some(began)) = (self.last, self.began) else { return };
        let quiet = now.saturating_duration_since(last);
        if quiet >= self.patience() {
            // It begins anew with its next packet. What it cost is remembered.
            self.full.clear();
            self.open = Count::default();
            (self.began, self.start) = (None, None);
            return;
        }
        if quiet >= self.patience() / 2 {
            return;
        }
        let rate = self.measure(now, began);
        if self.full.is_full() {
            self.full.pop();
        }
        self.full.insert(0, rate);
        self.open = Count::default();
        (self.began, self.start) = (Some(now), None);
        let median = median(&self.full);
        self.known = Some(match self.known {
            Some(known) if median.bps < known.bps => known.towards(median),
            _ => median,
        });
    }

    /// Bit/s and frames/s of this layer alone.
    pub(super) fn rate(&self, now: Instant) -> (u64, f32) {
        let beginning = || self.start.map(|start| self.measure(now, start.at));
        let rate = self.known.or_else(beginning);
        rate.map_or((0, 0.0), |rate| (rate.bps, rate.frames_per_second))
    }

    /// Whether it can be had; `hush`: how long nothing has come of the whole track.
    pub(super) fn supply(&self, now: Instant, hush: Duration) -> Supply {
        let arrives = hush < SILENT_MAX
            && self.last.is_some_and(|last| quiet(now, last, hush) < self.patience());
        if arrives {
            Supply::Arrives
        } else if self.asked.may_ask(now) {
            Supply::OnDemand
        } else {
            Supply::Silent
        }
    }

    /// How long it may be quiet.
    fn patience(&self) -> Duration {
        patience(self.frames())
    }

    /// Frames/s that are known, of this layer alone.
    pub(super) fn frames(&self) -> f32 {
        self.known.map_or(0.0, |rate| rate.frames_per_second)
    }

    /// The rate of the interval that has been open since `began`.
    fn measure(&self, now: Instant, began: Instant) -> Rate {
        let Some(start) = self.start else {
            return Rate::of(self.open, now.saturating_duration_since(began));
        };
        // From one beginning of a frame to another: so many frames, so much time.
        let rest = Count { bytes: self.open.bytes, frames: self.open.frames.saturating_sub(1) };
        let span = start.latest.saturating_duration_since(start.at);
        if span >= MEASURABLE {
            return Rate::of(rest, span);
        }
        let worth = if self.temporal == 0 { KEYFRAME_WORTH } else { FRAME_WORTH };
        Rate::of(Count { bytes: start.first_frame, frames: 0 }, worth)
    }
}

/// How long what has that many frames/s may be quiet.
pub(super) fn patience(frames_per_second: f32) -> Duration {
    // Nothing known: as if it were slow.
    let frames = if frames_per_second > 0.0 { frames_per_second } else { 1.0 };
    Duration::from_secs_f32((SILENT_FRAMES / frames).min(60.0)).clamp(SILENT_MIN, SILENT_MAX)
}

/// How long something had been quiet when the whole track fell quiet: what counts is silence while
/// others go on.
pub(super) fn quiet(now: Instant, last: Instant, hush: Duration) -> Duration {
    now.saturating_duration_since(last).saturating_sub(hush)
}

impl Rate {
    fn of(count: Count, time: Duration) -> Self {
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
        #[allow(clippy::cast_precision_loss, reason = "a count of half a second")]
        Self {
            bps: count.bytes.saturating_mul(8_000) / millis,
            frames_per_second: count.frames as f32 * 1_000.0 / millis as f32,
        }
    }

    fn towards(self, lower: Self) -> Self {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a share of a difference is smaller than it"
        )]
        let fall = ((self.bps - lower.bps) as f32 * FALL) as u64;
        Self { bps: self.bps - fall, frames_per_second: lower.frames_per_second }
    }
}

/// Rate and frame rate are each the median on their own.
fn median(rates: &[Rate]) -> Rate {
    let mut bps: arrayvec::ArrayVec<u64, INTERVALS> = rates.iter().map(|rate| rate.bps).collect();
    bps.sort_unstable();
    #[allow(clippy::cast_precision_loss, reason = "at most three")]
    let frames = rates.iter().map(|rate| rate.frames_per_second).sum::<f32>() / rates.len() as f32;
    // Of two the lower: the other is more likely to hold a keyframe.
    Rate { bps: bps[(bps.len() - 1) / 2], frames_per_second: frames }
}
