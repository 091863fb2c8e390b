//! One pass of sharing out: the pinned one's steps up to a size at which it is worth looking at and
//! the lowest step of everyone, then step by step to whoever gains most.

use std::collections::BinaryHeap;

use super::ladder::Step;
use super::{Budget, Entry};

/// What must be left over for a step up, in per cent of what would flow then: an estimate that is
/// this much too high does not take the step back.
const UP_MARGIN_PERCENT: u64 = 15;
/// The same for what a probe has shown to pass, …
const PROBED_MARGIN_PERCENT: u64 = 5;
/// … and for who is careful because such a step was taken back of late.
const CAREFUL_MARGIN_PERCENT: u64 = 25;
/// How much too much is borne for a moment before anything goes down, in per cent.
const SLACK_PERCENT: u64 = 10;
/// How much of the estimate the most important video may take to be shown at all, in per cent,
/// retransmissions beside it. A pause is sure to hurt; that the estimate is right is not, while nothing queues.
const OVERDRAFT_PERCENT: u64 = 150;
/// A pinned picture grows to this many pixels (360 lines) before anybody else is shown, as in Jitsi
/// Videobridge (doc/allocation.md, its on-stage participant), …
const LEAD_AREA_MAX: u32 = 640 * 360;
/// … if so much is left over then of what there is for video, in per cent: others are paused for it,
/// and noise in the estimate must not let them change places.
const LEAD_MARGIN_PERCENT: u64 = 40;
/// How much more a step counts that is granted already: near equals do not change places.
const INCUMBENT_FACTOR: u64 = 2;

/// How much may be spent, for which purpose. Video only, bit/s.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// On what is granted already, and on the lowest step of a new one.
    pub(super) all: u64,
    /// On steps up, and on coming back from a pause.
    up: u64,
    /// On steps up that are granted already, and the same for a moment.
    keep: u64,
    patience: u64,
    /// On not having to pause, for a moment.
    pause: u64,
    /// On not having to pause the first of all, for as long as nothing queues.
    first: u64,
    /// On steps up of a pinned one before others are shown.
    lead: u64,
    /// What a probe has shown to pass, with a small margin and with a wide one.
    probed: Option<(u64, u64)>,
}

impl Limits {
    /// `present`: what the grants cost that are in force.
    pub(super) fn new(budget: &Budget, present: u64) -> Self {
        let all = budget.estimate_bps.saturating_sub(budget.reserve_bps);
        // What flows already needs no margin: steps may change hands. Unless it is too much.
        let flows = if present <= all { present } else { 0 };
        let probed = budget.probed_bps.map(|probed| {
            let with = |percent| without(probed, percent).saturating_sub(budget.reserve_bps);
            (with(PROBED_MARGIN_PERCENT).min(all), with(CAREFUL_MARGIN_PERCENT).min(all))
        });
        let proven = flows.max(probed.map_or(0, |(passes, _)| passes));
        let room = without(budget.estimate_bps, UP_MARGIN_PERCENT);
        let overdraft = (budget.estimate_bps / 100).saturating_mul(OVERDRAFT_PERCENT);
        let patience = all.saturating_add(all / (100 / SLACK_PERCENT));
        Self {
            all,
            up: room.saturating_sub(budget.reserve_bps).max(proven),
            keep: all,
            patience,
            pause: if budget.strained { patience } else { u64::MAX },
            lead: without(all, LEAD_MARGIN_PERCENT),
            first: if budget.strained { 0 } else { overdraft },
            probed,
        }
    }

    /// The same where no excess is borne but before a pause.
    pub(super) fn without_excess(self) -> Self {
        Self { patience: self.all, ..self }
    }

    /// The same where no excess is borne.
    pub(super) fn without_patience(self) -> Self {
        Self { patience: self.all, pause: self.all, ..self }
    }

    /// The same where no step up is granted without the margin.
    pub(super) fn without_slack(self) -> Self {
        Self { keep: self.up, patience: self.up, ..self }
    }

    /// Whether a probe has shown that `total` passes; with a wide margin for who is careful.
    pub(super) fn probed(&self, total: u64, careful: bool) -> bool {
        self.probed.is_some_and(|(passes, easily)| total <= if careful { easily } else { passes })
    }

    /// The estimate at which `entry` could take its next step, if that makes `total` of video.
    pub(super) fn estimate_for(
        &self,
        entry: &Entry,
        steps: &[Step],
        total: u64,
        reserve: u64,
    ) -> u64 {
        let percent = match entry.level {
            0 if !entry.paused && entry.present == 0 => 0,
            _ => UP_MARGIN_PERCENT,
        };
        let with = |rate: u64, percent| rate.div_ceil(100).saturating_mul(100 + percent);
        let beside_all = with(total.saturating_add(reserve), percent);
        match lead(entry, steps) {
            Some(step) => {
                beside_all.min(with(step.cost, LEAD_MARGIN_PERCENT).saturating_add(reserve))
            }
            None => beside_all,
        }
    }
}

/// The part of `rate` that leaves a margin of `percent` of itself.
fn without(rate: u64, percent: u64) -> u64 {
    rate / (100 + percent) * 100
}

/// The passes, with buffers that are used again.
#[derive(Debug, Default)]
pub(super) struct Fill {
    /// Entries by rank, then by order.
    order: Vec<usize>,
    heap: BinaryHeap<Bid>,
    /// For each entry what those of higher rank have: all of it, and beyond their lowest step.
    above: Vec<(u64, u64)>,
}

/// A step somebody could take. Compared by gain per bit, then by order.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Bid {
    gain: u64,
    earlier: std::cmp::Reverse<usize>,
}

impl Fill {
    /// Gives each entry its level, within its cap. Returns what they cost in all, bit/s.
    pub(super) fn run(&mut self, limits: &Limits, steps: &[Step], entries: &mut [Entry]) -> u64 {
        self.order.clear();
        self.order.extend(0..entries.len());
        self.order.sort_by_key(|&i| (std::cmp::Reverse(entries[i].rank), i));
        let mut spent = self.lowest(limits, steps, entries);
        let mut from = 0;
        while from < self.order.len() {
            let rank = entries[self.order[from]].rank;
            let equals = self.order[from..].iter().take_while(|&&i| entries[i].rank == rank);
            let to = from + equals.count();
            spent = self.improve(from..to, spent, limits, steps, entries);
            from = to;
        }
        spent
    }

    /// The lowest step of everyone for whom there is room, in order; of who is pinned, more.
    fn lowest(&self, limits: &Limits, steps: &[Step], entries: &mut [Entry]) -> u64 {
        let mut spent = 0u64;
        let mut is_first = true;
        for &i in &self.order {
            let entry = &mut entries[i];
            entry.level = 0;
            if entry.cap == 0 || entry.ladder.len() == 0 {
                continue;
            }
            let with = spent.saturating_add(entry.ladder.cost(steps, 1));
            let overdraft = if std::mem::take(&mut is_first) { limits.first } else { 0 };
            let limit = match entry.present {
                0 if entry.paused => limits.up,
                0 => limits.all,
                _ if entry.patience => limits.pause.max(overdraft),
                _ => limits.all.max(overdraft),
            };
            if with <= limit {
                entry.level = 1;
                spent = grow(entry, with, limits, steps);
            }
        }
        spent
    }

    /// Steps up within one rank while anything fits. Returns what is spent in all then.
    fn improve(
        &mut self,
        equals: std::ops::Range<usize>,
        mut spent: u64,
        limits: &Limits,
        steps: &[Step],
        entries: &mut [Entry],
    ) -> u64 {
        self.heap.clear();
        let served = self.order[equals].iter().filter(|&&i| entries[i].level > 0);
        self.heap.extend(served.filter_map(|&i| bid(i, &entries[i], steps)));
        while let Some(Bid { earlier: std::cmp::Reverse(i), .. }) = self.heap.pop() {
            let entry = &mut entries[i];
            let Some(cost) = entry.ladder.next_cost(steps, entry.level) else { continue };
            let limit = match entry.level < entry.present {
                true if entry.patience => limits.patience,
                true => limits.keep,
                false => limits.up,
            };
            let with = spent.saturating_add(cost);
            // A ladder only gets dearer: what does not fit now never will.
            if with > limit {
                continue;
            }
            entry.level += 1;
            spent = with;
            self.heap.extend(bid(i, entry, steps));
        }
        spent
    }

    /// Notes what those of higher rank have, for [`Fill::crowded_out`].
    pub(super) fn note_ranks(&mut self, steps: &[Step], entries: &[Entry]) {
        self.above.clear();
        self.above.resize(entries.len(), (0, 0));
        let (mut above, mut equal) = ((0u64, 0u64), (0u64, 0u64));
        let mut rank = None;
        for &i in &self.order {
            let entry = &entries[i];
            if rank != Some(entry.rank) {
                above = equal;
                rank = Some(entry.rank);
            }
            self.above[i] = above;
            let all = entry.ladder.cost(steps, entry.level);
            let lowest = entry.ladder.cost(steps, entry.level.min(1));
            equal = (equal.0.saturating_add(all), equal.1.saturating_add(all - lowest));
        }
    }

    /// Whether entry `i`, which lacks a step of `cost`, would have it if those of a higher rank had
    /// no more than their lowest; or nothing, if it is paused itself.
    pub(super) fn crowded_out(
        &self,
        i: usize,
        paused: bool,
        spent: u64,
        cost: u64,
        limits: &Limits,
    ) -> bool {
        let (all, extra) = self.above[i];
        let theirs = if paused { all } else { extra };
        theirs > 0 && spent.saturating_sub(theirs).saturating_add(cost) <= limits.all
    }
}

/// Whether a pinned entry takes this step before others are shown: its picture is larger than the
/// smallest. They are not paused for more frames of that.
fn leads(entry: &Entry, steps: &[Step], step: &Step) -> bool {
    let (is_pinned, _) = entry.rank;
    let smallest = entry.ladder.steps(steps).first().map_or(0, |step| step.area);
    is_pinned && smallest > 0 && step.area > smallest && step.area <= LEAD_AREA_MAX
}

/// The least step that a pinned entry could take before others are shown, if it has none of these.
fn lead<'a>(entry: &Entry, steps: &'a [Step]) -> Option<&'a Step> {
    let above = entry.ladder.steps(steps).get(entry.level..)?;
    above.iter().find(|step| entry.level > 0 && leads(entry, steps, step))
}

/// Gives a pinned entry what it takes before others are shown, beside so much that is spent. Returns
/// what is spent in all then.
fn grow(entry: &mut Entry, spent: u64, limits: &Limits, steps: &[Step]) -> u64 {
    let own = entry.ladder.steps(steps);
    let before = spent - own[0].cost;
    let fits = |&level: &usize| {
        let limit = match level <= entry.present {
            true if entry.patience => limits.patience.max(limits.all),
            true => limits.all,
            false => limits.lead,
        };
        let step = &own[level - 1];
        leads(entry, steps, step) && before.saturating_add(step.cost) <= limit
    };
    let Some(level) = (2..=entry.cap.min(own.len())).rev().find(fits) else { return spent };
    entry.level = level;
    before.saturating_add(own[level - 1].cost)
}

/// The next step of an entry, if it may have it.
fn bid(i: usize, entry: &Entry, steps: &[Step]) -> Option<Bid> {
    if entry.level >= entry.cap {
        return None;
    }
    let own = entry.ladder.steps(steps);
    let (below, next) = (own.get(entry.level.checked_sub(1)?)?, own.get(entry.level)?);
    let more = u64::from(next.utility.saturating_sub(below.utility)).max(1);
    let factor = if entry.level < entry.present { INCUMBENT_FACTOR } else { 1 };
    // Per Mbit/s, so that the division keeps its digits.
    let gain = (more * factor).saturating_mul(1_000_000) / (next.cost - below.cost).max(1);
    Some(Bid { gain, earlier: std::cmp::Reverse(i) })
}
