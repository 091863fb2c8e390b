//! What a worker that is overloaded gives up: layers of its videos, one step after the other; when
//! it is at ease again they come back the same way. Sound is never touched, and joins are refused
//! before ([`super::overload`]).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use sfu_core::command::Command;

use super::Sessions;
use crate::media::WorkerId;

/// A second in which a worker was busy counts; so many in a row are a step down. More than it takes
/// until joins are refused.
const STEP_DOWN_AFTER: u32 = 8;
/// Seconds at ease before a step is given back.
const STEP_UP_AFTER: u32 = 10;
/// The same where giving back was followed by a step down again: it is doubled each time, up to this.
const STEP_UP_AFTER_MAX: u32 = 320;
/// How far load must have fallen, in per cent of the limit, before a step is given back: it may double
/// what videos cost.
const AT_EASE: f32 = 60.0;
/// So many steps there are.
const LEVEL_MAX: u8 = 4;

/// One worker's course.
#[derive(Clone, Debug)]
pub(super) struct Shedder {
    level: u8,
    busy_for: u32,
    at_ease_for: u32,
    /// Seconds since a step was given back; none was, if `None`.
    since_step_up: Option<u32>,
    step_up_after: u32,
}

impl Default for Shedder {
    fn default() -> Self {
        let step_up_after = STEP_UP_AFTER;
        Self { level: 0, busy_for: 0, at_ease_for: 0, since_step_up: None, step_up_after }
    }
}

impl Shedder {
    /// The level after a second of this load, in per cent. `max_load` 0: nothing is ever shed.
    pub(super) fn sample(&mut self, load: f32, max_load: u8) -> u8 {
        let max = f32::from(max_load);
        if max_load == 0 {
            *self = Self::default();
            return 0;
        }
        let is_busy = load >= max;
        let is_at_ease = load < max * AT_EASE / 100.0;
        self.busy_for = if is_busy { self.busy_for + 1 } else { 0 };
        self.at_ease_for = if is_at_ease { self.at_ease_for + 1 } else { 0 };
        self.since_step_up = self.since_step_up.map(|seconds| seconds.saturating_add(1));
        if self.busy_for >= STEP_DOWN_AFTER && self.level < LEVEL_MAX {
            self.busy_for = 0;
            self.level += 1;
            // Too early, last time?
            let was_early = self.since_step_up.take().is_some_and(|s| s <= 2 * STEP_UP_AFTER);
            self.step_up_after = match was_early {
                true => (self.step_up_after * 2).min(STEP_UP_AFTER_MAX),
                false => STEP_UP_AFTER,
            };
        } else if self.at_ease_for >= self.step_up_after && self.level > 0 {
            self.at_ease_for = 0;
            self.level -= 1;
            self.since_step_up = Some(0);
        }
        self.level
    }
}

impl Sessions {
    /// Looks at every worker's load of the last second, and has layers shed or given back.
    pub(super) fn shed_video(self: &Arc<Self>, shedders: &mut Vec<Shedder>, loads: &[f32]) {
        shedders.resize(loads.len(), Shedder::default());
        let max_load = self.settings.now().limits.shed_load;
        for ((number, shedder), load) in (0u8..).zip(shedders.iter_mut()).zip(loads) {
            let before = shedder.level;
            let level = shedder.sample(100.0 * load, max_load);
            if level == before {
                continue;
            }
            tracing::warn!(
                worker = number,
                level,
                "video layers: the load is {:.0} %",
                100.0 * load
            );
            let media = self.media.clone();
            let command = Command::ShedVideo { level };
            self.runtime.spawn(async move {
                if let Err(e) = media.call_patiently(WorkerId(number), command).await {
                    tracing::warn!("video layers are not shed: {e}");
                }
            });
        }
        let worst = shedders.iter().map(|shedder| shedder.level).max().unwrap_or(0);
        self.counters.shed_level.store(worst, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The seconds, counted from 1, after which the level changes, and what to.
    fn course(loads: impl IntoIterator<Item = (f32, u32)>) -> Vec<(u32, u8)> {
        let mut shedder = Shedder::default();
        let loads = loads.into_iter().flat_map(|(load, seconds)| vec![load; seconds as usize]);
        let mut changes = vec![(0, 0)];
        for (second, load) in (1..).zip(loads) {
            let level = shedder.sample(load, 98);
            if changes.last().is_some_and(|(_, last)| *last != level) {
                changes.push((second, level));
            }
        }
        changes.split_off(1)
    }

    #[test]
    fn layers_go_step_by_step_while_load_lasts_and_no_further_than_there_are() {
        let steps = [(8, 1), (16, 2), (24, 3), (32, 4)];
        assert_eq!(course([(99.0, 100)]), steps);
        assert_eq!(course([(99.0, 7), (97.0, 1), (99.0, 7)]), [], "a burst is none");
    }

    #[test]
    fn layers_come_back_at_ease_only_and_later_where_that_was_too_early() {
        assert_eq!(course([(99.0, 8), (60.0, 500)]), [(8, 1)], "neither busy nor at ease");
        assert_eq!(course([(99.0, 16), (50.0, 30)]), [(8, 1), (16, 2), (26, 1), (36, 0)]);
        // Busy again at once, each time: the waits double.
        let rounds = [(99.0, 8), (50.0, 10), (99.0, 8), (50.0, 20), (99.0, 8), (50.0, 39)];
        assert_eq!(course(rounds), [(8, 1), (18, 0), (26, 1), (46, 0), (54, 1)]);
        // Long after it, the wait is the first one again.
        let rounds = [(99.0, 8), (50.0, 60), (99.0, 8), (50.0, 10)];
        assert_eq!(course(rounds), [(8, 1), (18, 0), (76, 1), (86, 0)]);
    }

    #[test]
    fn nothing_is_shed_where_that_is_not_wanted() {
        let mut shedder = Shedder::default();
        assert!((0..20).all(|_| shedder.sample(100.0, 98) < 3));
        assert_eq!(shedder.sample(100.0, 0), 0);
    }
}
