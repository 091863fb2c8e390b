//! The course of a run: what was sent, what became of it, and what the flows thought.

use std::time::Duration;

use super::flow::{Class, Reading, Shown};
use crate::trace::Trace;

/// Flows are asked what they think this often.
pub const READING_INTERVAL: Duration = Duration::from_millis(50);

/// One packet of a flow's data.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// When it was given to the bottleneck.
    pub at: Duration,
    /// Size at the IP level.
    pub bytes: u32,
    /// What it counts as.
    pub class: Class,
    /// What became of it.
    pub fate: Fate,
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It came through after this wait in the queue.
    Through(Duration),
    /// Lost behind the queue.
    Lost,
    /// The queue was full.
    Dropped,
}

/// What is known of one flow.
#[derive(Debug, Default)]
pub struct FlowCourse {
    /// Its data packets, in the order they were sent.
    pub sent: Vec<Sent>,
    /// Bytes that were of use to its receiver, and when.
    pub useful: Vec<(Duration, u32)>,
    /// What it thought, every [`READING_INTERVAL`].
    pub readings: Vec<Reading>,
    /// Probes begun, with their rates in bit/s.
    pub probes: Vec<(Duration, u64)>,
    /// Frames captured, when.
    pub captured: Vec<Duration>,
    /// Frames that became decodable, and when.
    pub shown: Vec<(Duration, Shown)>,
    /// One-way propagation to its receiver.
    pub one_way: Duration,
    /// Its data goes the way of the others' feedback.
    pub reversed: bool,
}

/// What happened in a run.
#[derive(Debug, Default)]
pub struct Course {
    /// Each flow.
    pub flows: Vec<FlowCourse>,
    /// How long a packet would have waited, every [`READING_INTERVAL`].
    pub waits: Vec<Duration>,
    /// How long it lasted.
    pub lasts: Duration,
    /// Equal for equal courses.
    pub hash: u64,
    pub(crate) trace: Trace,
}

/// From when until when; empty if the end is not behind the start.
pub type Window = std::ops::Range<Duration>;

/// Things with a time, in its order, within a window.
fn within<T>(items: &[T], window: &Window, at: impl Fn(&T) -> Duration) -> std::ops::Range<usize> {
    let begin = items.partition_point(|item| at(item) < window.start);
    let end = items.partition_point(|item| at(item) < window.end);
    begin..end.max(begin)
}

impl Course {
    /// How long a packet would have waited, with the time.
    pub fn waits_in(&self, window: &Window) -> impl Iterator<Item = (Duration, Duration)> {
        let times = (0u32..).map(|i| READING_INTERVAL * i);
        let window = window.clone();
        times.zip(self.waits.iter().copied()).filter(move |(at, _)| window.contains(at))
    }
}

impl FlowCourse {
    /// Its data packets of a window.
    #[must_use]
    pub fn sent_in(&self, window: &Window) -> &[Sent] {
        &self.sent[within(&self.sent, window, |sent| sent.at)]
    }

    /// Bytes sent in a window.
    #[must_use]
    pub fn bytes_sent(&self, window: &Window) -> u64 {
        self.sent_in(window).iter().map(|sent| u64::from(sent.bytes)).sum()
    }

    /// Bytes of use in a window.
    #[must_use]
    pub fn bytes_useful(&self, window: &Window) -> u64 {
        let range = within(&self.useful, window, |(at, _)| *at);
        self.useful[range].iter().map(|(_, bytes)| u64::from(*bytes)).sum()
    }

    /// Mean rate of use in a window, bit/s.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
    pub fn goodput_bps(&self, window: &Window) -> f64 {
        self.bytes_useful(window) as f64 * 8.0 / (window.end - window.start).as_secs_f64()
    }

    /// What it thought in a window, with the time.
    pub fn readings_in(&self, window: &Window) -> impl Iterator<Item = (Duration, &Reading)> {
        let times = (0u32..).map(|i| READING_INTERVAL * i);
        let window = window.clone();
        times.zip(&self.readings).filter(move |(at, _)| window.contains(at))
    }

    /// The time from a frame's capture until it can be decoded in which one frame in ten arrives:
    /// what a receiver takes for the path's own delay. Propagation if there was no frame.
    #[must_use]
    pub fn transit(&self) -> Duration {
        let mut transits: Vec<_> =
            self.shown.iter().map(|(decoded, shown)| *decoded - shown.captured).collect();
        if transits.is_empty() {
            return self.one_way;
        }
        let place = transits.len() / 10;
        *transits.select_nth_unstable(place).1
    }

    /// The decodable frames of a window: when each is due behind a jitter buffer of this length,
    /// counted from its [transit](Self::transit), and when it can be played.
    pub fn played_in(
        &self,
        window: &Window,
        buffer: Duration,
    ) -> impl Iterator<Item = (Duration, Duration)> {
        let window = window.clone();
        let delay = self.transit() + buffer;
        let shown = self.shown.iter().filter(move |(_, shown)| window.contains(&shown.captured));
        shown.map(move |(decoded, shown)| {
            let due = shown.captured + delay;
            (due, due.max(*decoded))
        })
    }

    /// Frames captured in a window.
    #[must_use]
    pub fn captured_in(&self, window: &Window) -> &[Duration] {
        &self.captured[within(&self.captured, window, |at| *at)]
    }
}
