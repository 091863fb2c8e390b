//! Of each picture that is complete: whether it is shown, whether it is the one to follow, and how
//! smoothly they come.

use std::time::Duration;

use sfu_core::limits::PACER_QUEUE_TIME_MAX;

use super::{Picture, Played, Playout};
use crate::client::judge::quality::{Quality, Violation};
use crate::client::judge::series::Shown;
use crate::wire::Stamp;

/// What arrives later than this after the quickest picture misses its time.
const JITTER_BUFFER: Duration = Duration::from_millis(200);
/// How far the timestamp may be off the time that passed: the path's jitter, not a jump.
const TIMESTAMP_TOLERANCE: Duration = Duration::from_millis(300);
/// Pictures after which temporal patterns repeat.
const CYCLE_MAX: u32 = 4;
const VIDEO_TICKS_PER_MS: i64 = 90;

impl Playout {
    /// Judges a picture that has come to its end.
    pub(super) fn judge(
        &mut self,
        now: Duration,
        index: u64,
        picture: Picture,
        quality: &mut Quality,
    ) -> Option<Duration> {
        let stamp = picture.stamp;
        if std::mem::take(&mut self.hollow) && !picture.decodable {
            // It was given up; what builds on it will show.
            self.picture = Some(picture);
            self.gap();
            return None;
        }
        quality.frames += 1;
        quality.keyframes += u64::from(stamp.keyframe);
        // Nothing is missing, and still it cannot be decoded.
        if !picture.decodable && self.contiguous && !self.broken {
            quality.violation(Violation::Switch { index });
        }
        let step = self.step.max(1);
        if let Some(last) = self.last {
            self.compare(now, index, last, &picture, quality);
        }
        // What was under way when the pause began does not end it.
        let resumed = self.interrupted.is_none_or(|since| stamp.sent >= since);
        self.broken = !picture.decodable;
        if picture.decodable {
            self.claims.settle();
        } else {
            self.withdraw(&picture);
        }
        let mut gap = None;
        if picture.decodable {
            let before = self.shown.take();
            gap = Some(before.map_or(Duration::ZERO, |shown| now - shown));
            self.show(now, &stamp, before.map(|shown| (shown, step)), quality);
            self.shown = resumed.then_some(now);
            self.playing = true;
        } else {
            quality.frames_undecodable += 1;
        }
        self.time(now - stamp.sent, quality);
        self.last = Some(Played { stamp, timestamp: picture.timestamp, at: now });
        self.contiguous = true;
        if resumed {
            self.interrupted = None;
        }
        gap
    }

    fn compare(
        &mut self,
        now: Duration,
        index: u64,
        last: Played,
        picture: &Picture,
        quality: &mut Quality,
    ) {
        let stamp = picture.stamp;
        let ticks = picture.timestamp.wrapping_sub(last.timestamp).cast_signed();
        let (same_source, same_encoding) =
            (stamp.source == last.stamp.source, stamp.encoding == last.stamp.encoding);
        if ticks <= 0 {
            quality.violation(Violation::TimestampBack { index, ticks });
        }
        let elapsed =
            if same_source { stamp.sent.saturating_sub(last.stamp.sent) } else { now - last.at };
        let elapsed_ms = i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX);
        let off = (i64::from(ticks) / VIDEO_TICKS_PER_MS - elapsed_ms).unsigned_abs();
        // What is not of one clock is measured by arrivals, each of which the pacer may delay.
        let paced = if same_source { Duration::ZERO } else { PACER_QUEUE_TIME_MAX };
        if ticks > 0 && u128::from(off) > (TIMESTAMP_TOLERANCE + paced).as_millis() {
            quality.violation(Violation::TimestampJump { index, ticks });
        }
        // A change of encoding may show one picture twice.
        let again = !same_encoding && stamp.frame == last.stamp.frame;
        if !same_source || again || self.interrupted.is_some() {
            return;
        }
        match stamp.frame.checked_sub(last.stamp.frame) {
            None | Some(0) => quality.violation(Violation::FrameOrder { index }),
            // Nothing is missing: what was left out was left out on purpose.
            Some(step) if self.contiguous && same_encoding && !stamp.keyframe => {
                self.step = step;
                self.settle_switch(step);
            }
            // So it is before a keyframe, as long as it is no more than a cycle of layers.
            Some(step) if self.contiguous && same_encoding && step <= CYCLE_MAX => {}
            Some(distance) => {
                quality.frames_missed += u64::from((distance - 1) / self.step.max(1));
            }
        }
    }

    /// Notes what is shown from now on.
    fn show(
        &mut self,
        now: Duration,
        stamp: &Stamp,
        before: Option<(Duration, u32)>,
        quality: &mut Quality,
    ) {
        if let Some((shown, _)) = before {
            note_gap(now - shown, quality);
        }
        let &Stamp { source, encoding, spatial, width, .. } = stamp;
        let showing = Shown { source, encoding, spatial, width };
        if self.showing == Some(showing) {
            return;
        }
        let same_source = self.showing.is_some_and(|was| was.source == source);
        if let Some((shown, step)) = before.filter(|_| same_source) {
            quality.switches += 1;
            self.settle_switch(1);
            self.switched = Some((now, now - shown, step));
        }
        self.showing = Some(showing);
        self.history.push((now, showing));
    }

    /// Notes a change of what is shown, now that it is known how pictures follow each other there.
    fn settle_switch(&mut self, step: u32) {
        if let Some((at, gap, before)) = self.switched.take() {
            self.switch_gaps.push((at, gap / before.max(step)));
        }
    }

    fn time(&mut self, delay: Duration, quality: &mut Quality) {
        let quickest = self.quickest.map_or(delay, |quickest| quickest.min(delay));
        self.quickest = Some(quickest);
        quality.frames_late += u64::from(delay > quickest + JITTER_BUFFER);
        quality.longest_delay = quality.longest_delay.max(delay);
    }

    /// The gap that is open at `now`, if pictures were shown at all.
    pub(crate) fn open_gap(&self, now: Duration) -> Option<Duration> {
        self.shown.map(|shown| now - shown)
    }
}

/// Counts a time without a frame to show.
pub(crate) fn note_gap(gap: Duration, quality: &mut Quality) {
    quality.freezes_200 += u64::from(gap > Duration::from_millis(200));
    quality.freezes_500 += u64::from(gap > Duration::from_millis(500));
    quality.longest_gap = quality.longest_gap.max(gap);
}
