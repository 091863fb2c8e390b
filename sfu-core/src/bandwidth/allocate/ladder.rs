//! The ladder of one demand: the layers worth forwarding to this subscriber, lowest first, each
//! better and dearer than the one before.
//!
//! A *level* is one picture size: an encoding, or a spatial layer of one. Within a level the
//! temporal layers follow. For both kinds of content a larger picture is better than a faster one;
//! they differ in how far that goes:
//! - a **screen** takes the larger picture at any frame rate: text must be legible first;
//! - a **camera** leaves out layers that stutter, where its own level can do better: 720p at
//!   7 frames per second is no improvement over 360p at 30.

use std::ops::Range;

use crate::decision::{LayerOption, Reason};
use crate::forward::layer::LayerId;
use crate::preference::Quality;

use super::Demand;

/// A camera layer below this, in frames per second, stutters.
const STUTTER_FPS: u8 = 12;
/// ... and is left out if its level has layers with more than this many times its frame rate: the
/// lowest of three temporal layers has a quarter, the lowest of two has half.
const STUTTER_TENTHS: u32 = 25;
/// A layer fills a place if it lacks no more than this, in per cent: scaling 640 pixels up to 700
/// is invisible, sending 1280 costs three times as much.
const FILL_SLACK_PERCENT: u32 = 10;
/// Gain of twice the frame rate, where twice the picture's area gains [`GAIN_AREA`].
const GAIN_CAMERA_FPS: u32 = 100;
/// The same for a screen.
const GAIN_SCREEN_FPS: u32 = 25;
const GAIN_AREA: u32 = 100;
/// A screen's gain counts twice: at low sizes a face is recognised, text is not.
const GAIN_SCREEN: u32 = 2;

/// One step of a ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) layer: LayerId,
    /// Bit/s in all (not the difference to the step below).
    pub(super) cost: u64,
    /// How good it is; only comparisons and differences mean anything.
    pub(super) utility: u32,
    /// Pixels of its picture; 0 if that is unknown.
    pub(super) area: u32,
    /// Place in the order of quality among all options of the demand.
    rung: Rung,
}

/// Order of quality: level (by size, or by order of encodings), then temporal layer.
type Rung = (u32, LayerId);

/// A range of the run's steps, and why it ends where it ends.
#[derive(Clone, Debug, Default)]
pub(super) struct Ladder {
    range: Range<usize>,
    pub(super) end: Reason,
}

impl Ladder {
    /// Appends the steps of a demand to `steps`.
    pub(super) fn build(demand: &Demand, options: &[LayerOption], steps: &mut Vec<Step>) -> Self {
        let start = steps.len();
        let none = |end| Self { range: start..start, end };
        if let Some(reason) = demand.withheld {
            return none(reason);
        }
        if demand.preference.quality == Quality::Off {
            return none(Reason::Off);
        }
        if !demand.preference.visible {
            return none(Reason::Hidden);
        }
        let sized = sizes_known(options);
        let (top, mut end) = top_level(demand, options, sized);
        for option in options.iter().filter(|option| option.bitrate_bps > 0) {
            if level(option, sized) > top {
                continue;
            }
            if too_fast(demand, option, options) {
                if end == Reason::Best {
                    end = Reason::LargeEnough;
                }
            } else if demand.screen || !stutters(demand, option, options) {
                steps.push(Step {
                    layer: option.layer,
                    cost: option.bitrate_bps,
                    utility: utility(demand.screen, option),
                    area: u32::from(option.width) * u32::from(option.height),
                    rung: (level(option, sized).0, option.layer),
                });
            }
        }
        if steps.len() == start {
            return none(Reason::Silent);
        }
        keep_rising(steps, start);
        Self { range: start..steps.len(), end }
    }

    pub(super) fn len(&self) -> usize {
        self.range.len()
    }

    pub(super) fn steps<'a>(&self, steps: &'a [Step]) -> &'a [Step] {
        &steps[self.range.clone()]
    }

    /// What the first `level` steps cost in all, bit/s.
    pub(super) fn cost(&self, steps: &[Step], level: usize) -> u64 {
        level.checked_sub(1).map_or(0, |at| self.steps(steps)[at].cost)
    }

    /// What the step above `level` costs more, bit/s.
    pub(super) fn next_cost(&self, steps: &[Step], level: usize) -> Option<u64> {
        let next = self.steps(steps).get(level)?;
        Some(next.cost - self.cost(steps, level))
    }

    /// How many steps lead to `layer`, or to the best that is no better than it; if all are better,
    /// or cost no more anyway, the first such.
    pub(super) fn find(&self, steps: &[Step], layer: LayerId, options: &[LayerOption]) -> usize {
        let own = self.steps(steps);
        let sized = sizes_known(options);
        let Some(option) = options.iter().find(|option| option.layer == layer) else {
            // It is gone. Levels cannot be compared by size any more, only by order.
            return own.iter().filter(|step| step.layer <= layer).count().max(1).min(own.len());
        };
        let rung = (level(option, sized).0, layer);
        own.iter()
            .filter(|step| step.rung <= rung || step.cost <= option.bitrate_bps)
            .count()
            .max(1)
            .min(own.len())
    }
}

/// Leaves only steps that are better and dearer than those before: a better one that costs no more
/// makes a step superfluous.
fn keep_rising(steps: &mut Vec<Step>, start: usize) {
    steps[start..].sort_unstable_by_key(|step| (step.rung, step.cost));
    let mut cheapest = u64::MAX;
    let mut write = steps.len();
    for read in (start..steps.len()).rev() {
        if steps[read].cost < cheapest {
            cheapest = steps[read].cost;
            write -= 1;
            steps[write] = steps[read];
        }
    }
    steps.drain(start..write);
}

/// Order of levels: by size if all sizes are known, else by order of encodings.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Level(u32);

fn level(option: &LayerOption, sized: bool) -> Level {
    if sized {
        Level(u32::from(option.width) * u32::from(option.height))
    } else {
        Level(u32::from(option.layer.encoding) << 8 | u32::from(option.layer.spatial))
    }
}

fn sizes_known(options: &[LayerOption]) -> bool {
    options.iter().all(|option| option.width > 0 && option.height > 0)
}

/// The highest level this subscriber wants, and why none above it.
fn top_level(demand: &Demand, options: &[LayerOption], sized: bool) -> (Level, Reason) {
    let arriving = || options.iter().filter(|option| option.bitrate_bps > 0);
    let Some(highest) = arriving().map(|option| level(option, sized)).max() else {
        return (Level(u32::MAX), Reason::Best);
    };
    let in_words = match demand.preference.quality {
        Quality::Low => nth_level(options, sized, 0),
        Quality::Medium => {
            let levels = (0..).take_while(|&n| nth_level(options, sized, n).is_some()).count();
            nth_level(options, sized, if levels >= 3 { (levels - 1) / 2 } else { 0 })
        }
        Quality::High | Quality::Auto | Quality::Off => None,
    };
    let in_words = in_words.unwrap_or(highest);
    // Asked for in words: even where the place is small.
    let place = demand.preference.max_size.filter(|_| demand.preference.quality != Quality::High);
    let in_place = place.and_then(|place| {
        arriving().filter(|o| fills(o, place)).map(|option| level(option, sized)).min()
    });
    let in_place = in_place.unwrap_or(highest);
    let top = in_words.min(in_place);
    let reason = if top == highest {
        Reason::Best
    } else if top == in_words {
        Reason::Wanted
    } else {
        Reason::LargeEnough
    };
    (top, reason)
}

/// The n-th level from below.
fn nth_level(options: &[LayerOption], sized: bool, n: usize) -> Option<Level> {
    let arriving = options.iter().filter(|option| option.bitrate_bps > 0);
    let mut found = arriving.clone().map(|option| level(option, sized)).min()?;
    for _ in 0..n {
        let above = arriving.clone().map(|option| level(option, sized));
        found = above.filter(|&level| level > found).min()?;
    }
    Some(found)
}

/// Whether the picture, shown whole in `place`, is hardly scaled up. One side is enough: the other
/// has a margin then. A picture of unknown size fills nothing.
fn fills(option: &LayerOption, place: (u16, u16)) -> bool {
    let reaches = |has: u16, needs: u16| {
        has > 0 && u32::from(has) * 100 >= u32::from(needs) * (100 - FILL_SLACK_PERCENT)
    };
    reaches(option.width, place.0) || reaches(option.height, place.1)
}

/// Whether a layer has more frames than wanted, and there is one of its level that has fewer.
/// Frame rates are measured: an eighth more, and one more, is not more.
fn too_fast(demand: &Demand, option: &LayerOption, options: &[LayerOption]) -> bool {
    let Some(max) = demand.preference.max_frames_per_second else { return false };
    let slack = u32::from(max) + u32::from(max) / 8 + 1;
    u32::from(option.frames_per_second) > slack
        && options.iter().any(|other| {
            same_level(option, other)
                && other.bitrate_bps > 0
                && other.layer.temporal < option.layer.temporal
        })
}

/// Whether a layer stutters where its own level has one that does not, and that is not unwanted.
/// The lowest of all may: it is better than nothing.
fn stutters(demand: &Demand, option: &LayerOption, options: &[LayerOption]) -> bool {
    let fps = option.frames_per_second;
    let fastest = options
        .iter()
        .filter(|other| same_level(option, other) && other.bitrate_bps > 0)
        .filter(|other| !too_fast(demand, other, options))
        .map(|other| other.frames_per_second)
        .max();
    let lowest = options
        .iter()
        .filter(|other| other.bitrate_bps > 0)
        .all(|other| other.bitrate_bps >= option.bitrate_bps);
    !lowest
        && fps > 0
        && fps < STUTTER_FPS
        && fastest.is_some_and(|fastest| u32::from(fastest) * 10 > u32::from(fps) * STUTTER_TENTHS)
}

fn same_level(a: &LayerOption, b: &LayerOption) -> bool {
    (a.layer.encoding, a.layer.spatial) == (b.layer.encoding, b.layer.spatial)
}

/// Grows with the logarithm of area and frame rate: twice as much is the same gain again.
fn utility(screen: bool, option: &LayerOption) -> u32 {
    let LayerOption { layer, width, height, frames_per_second, .. } = *option;
    let area = match u32::from(width) * u32::from(height) {
        // Unknown: each level four times the one below.
        0 => 1 << (2 * (u32::from(layer.encoding) + u32::from(layer.spatial)).min(14)),
        area => area,
    };
    let rate = match u32::from(frames_per_second) {
        0 => 1 << u32::from(layer.temporal).min(8),
        rate => rate,
    };
    let (weight, fps) = if screen { (GAIN_SCREEN, GAIN_SCREEN_FPS) } else { (1, GAIN_CAMERA_FPS) };
    weight * (log2(area) * GAIN_AREA + log2(rate) * fps)
}

/// Logarithm to base 2 in 1/64, linear between powers: integers give the same on every machine.
fn log2(value: u32) -> u32 {
    let value = u64::from(value.max(1));
    let whole = value.ilog2();
    #[allow(clippy::cast_possible_truncation, reason = "below 64")]
    let part = ((value << 6 >> whole) - 64) as u32;
    whole * 64 + part
}
