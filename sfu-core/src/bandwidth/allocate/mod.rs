//! Allocation: how the bandwidth of one subscriber is shared out among the videos it wants.
//!
//! # Why is this tile blurry?
//! Each run goes through these steps; the [`Reason`] of the grant names the one that stopped it.
//!
//! 1. **Audio, retransmissions and what else must flow** come off the estimate first
//!    ([`Budget::reserve_bps`]); video shares the rest.
//! 2. **The ladder** ([`ladder`]): the layers of the track that are worth forwarding to this
//!    subscriber, each better *and* dearer than the one below. It ends at what was asked for in
//!    words (`Wanted`), at the smallest layer that fills the place, or the frame rate (both
//!    `LargeEnough`), or at the best there is (`Best`). Nothing to climb at all: `Off`, `Hidden`,
//!    `Muted`, `LastN`, `NoSlot`, `Silent`.
//! 3. **The lowest step of everyone** ([`fill`]), pinned ones first, then by priority, then by
//!    order. Whoever's lowest step does not fit is paused. A pinned one grows to 360 lines before
//!    others get anything, once there is a wide margin for it.
//! 4. **Improvement**: what is left goes first to the pinned, then to each priority in turn; among
//!    equals to whoever gains most per bit. A step that does not fit is `Bandwidth`, or `Priority`
//!    if it would fit without what those of a higher rank have beyond their lowest step.
//! 5. **Hysteresis** ([`memory`]): down at once, but a slight excess is borne for a second, and so is
//!    any before a pause, unless the path is [`Budget::strained`]; up only with a margin, and only
//!    once that has held for a while (`Settling` until then) or a probe has shown that it passes.
//!
//! The whole is a function of its arguments: what must be remembered from run to run is in
//! [`Memory`], which travels with the demand and comes back with the grant. So a recorded input
//! gives the recorded grants again ([`crate::recorder`]).
//!
//! The shape of the problem (lowest for all, then greedy steps in order of importance) follows
//! Jitsi Videobridge's doc/allocation.md; margins and holds are ours.

mod fill;
mod ladder;
mod memory;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::time::Duration;

use crate::decision::{LayerOption, Reason};
use crate::forward::layer::LayerId;
use crate::id::TrackId;
use crate::preference::Preference;

use fill::{Fill, Limits};
use ladder::Ladder;
pub use memory::Memory;
use memory::Mood;
pub(crate) use memory::State;

/// What there is to share out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// What the path is thought to carry, bit/s on the wire.
    pub estimate_bps: u64,
    /// What of it is not for video layers: audio, retransmissions, feedback. Bit/s.
    pub reserve_bps: u64,
    /// What a probe has just shown to pass, bit/s in all; only for the run after the probe.
    pub probed_bps: Option<u64>,
    /// Whether the path shows at this moment that it carries too much: a queue, or loss that moves
    /// with the rate. Without that a low estimate alone pauses nobody at once.
    pub strained: bool,
    /// Age of the engine; what is less than a millisecond is ignored.
    pub now: Duration,
}

/// One video subscription and what it wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demand {
    /// The track.
    pub track: TrackId,
    /// A shared screen: legibility before frame rate. Else a camera: both.
    pub screen: bool,
    /// What the subscriber wants of it.
    pub preference: Preference,
    /// Why it gets nothing, whatever the bandwidth: muted, not among the last N, no slot.
    pub withheld: Option<Reason>,
    /// What it is granted at present.
    pub granted: Option<LayerId>,
    /// What the last run remembered of it; the default for a new subscription.
    pub memory: Memory,
    options: Range<usize>,
}

impl Demand {
    /// A demand for a camera that is visible, of default priority and not served yet.
    #[must_use]
    pub fn new(track: TrackId) -> Self {
        Self {
            track,
            screen: false,
            preference: Preference::default(),
            withheld: None,
            granted: None,
            memory: Memory::default(),
            options: 0..0,
        }
    }
}

/// The demands of one subscriber, in the order in which they break ties (oldest subscription
/// first). Cleared and filled again for each run, so that nothing is allocated anew.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Demands {
    list: Vec<Demand>,
    options: Vec<LayerOption>,
}

impl Demands {
    /// Forgets all, keeps the memory.
    pub fn clear(&mut self) {
        self.list.clear();
        self.options.clear();
    }

    /// Adds a demand with the layers it may be served from, in any order. Layers without a
    /// bitrate are as good as absent.
    pub fn push(&mut self, mut demand: Demand, options: impl IntoIterator<Item = LayerOption>) {
        let start = self.options.len();
        self.options.extend(options);
        demand.options = start..self.options.len();
        self.list.push(demand);
    }

    /// The demands in order, each with its layers.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Demand, &[LayerOption])> {
        self.list.iter().map(|demand| (demand, self.options(demand)))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    fn options(&self, demand: &Demand) -> &[LayerOption] {
        &self.options[demand.options.clone()]
    }
}

/// What one demand gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The track.
    pub track: TrackId,
    /// The layer to forward; `None` is a pause.
    pub layer: Option<LayerId>,
    /// What it would get with bandwidth enough.
    pub wanted: Option<LayerId>,
    /// Why no more.
    pub reason: Reason,
    /// To be given back with the next run's demand.
    pub memory: Memory,
}

/// What a run comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// The granted layers and the reserve, bit/s.
    pub allocated_bps: u64,
    /// What would be granted with bandwidth enough, and the reserve, bit/s.
    pub wanted_bps: u64,
    /// The least estimate at which any one video would get its next step, margin included; `None`
    /// if all have what they want. A probe that reaches it is worth its bytes.
    pub next_step_bps: Option<u64>,
    /// Age of the engine at which a run is due even if nothing changes: somebody settles then.
    pub rerun_at: Option<Duration>,
}

/// One demand on its way through a run.
#[derive(Clone, Debug, Default)]
struct Entry {
    ladder: Ladder,
    /// Pinned and priority: equals share, unequals queue.
    rank: (bool, u8),
    /// Steps granted at present; 0 is none.
    present: usize,
    /// Steps it may have in this run of [`Fill`].
    cap: usize,
    /// Steps it has in this run of [`Fill`].
    level: usize,
    /// Steps it could have if nothing waited to settle.
    target: usize,
    /// Paused for want of bandwidth: comes back only with a margin.
    paused: bool,
    /// A little too much is borne for a moment before it goes down.
    patience: bool,
}

/// The run itself, with buffers that are used again.
#[derive(Debug, Default)]
pub struct Allocator {
    entries: Vec<Entry>,
    steps: Vec<ladder::Step>,
    fill: Fill,
}

impl Allocator {
    /// Shares out `budget` among `demands`. One grant for each demand, in the same order.
    /// Runs in O(n × layers × log n).
    pub fn allocate(
        &mut self,
        budget: &Budget,
        demands: &Demands,
        grants: &mut Vec<Grant>,
    ) -> Totals {
        // Times are remembered, and recorded, to the millisecond.
        let millis = u64::try_from(budget.now.as_millis()).unwrap_or(u64::MAX);
        let budget = &Budget { now: Duration::from_millis(millis), ..*budget };
        self.read(budget, demands);
        let present = self.entries.iter().fold(0u64, |sum, entry| {
            sum.saturating_add(entry.ladder.cost(&self.steps, entry.present))
        });
        let limits = Limits::new(budget, present);

        // First as if nothing had to settle: what each could have.
        for entry in &mut self.entries {
            entry.cap = entry.ladder.len();
        }
        let ideal = self.fill(&limits);
        for entry in &mut self.entries {
            entry.target = entry.level;
        }
        // Then in earnest: who has not settled stays where it is, and displaces nobody.
        let mut mood = Mood::new(budget.now, demands.list.iter().map(|demand| &demand.memory));
        mood.probed = limits.probed(ideal, mood.caution > 0);
        for (entry, demand) in self.entries.iter_mut().zip(&demands.list) {
            // Nor does anybody climb into the room that is held for another.
            let settled = demand.memory.settled(&mood);
            entry.cap = if settled { entry.target.max(entry.present) } else { entry.present };
        }
        let spent = self.fill(&limits);
        self.tell(budget.reserve_bps, demands, &limits, &mood, spent, grants)
    }

    /// Gives each entry its level, within its cap. Returns what they cost in all, bit/s.
    fn fill(&mut self, limits: &Limits) -> u64 {
        let mut limits = *limits;
        let mut spent = self.fill.run(&limits, &self.steps, &mut self.entries);
        if self.entries.iter().any(|entry| entry.level > 0 && entry.level < entry.present) {
            // An excess is borne to stay as it is. Who goes down anyway goes as far as it takes: half
            // way would only mean to go twice, and behind a queue that is still full.
            limits = limits.without_excess();
            spent = self.fill.run(&limits, &self.steps, &mut self.entries);
        }
        if self.entries.iter().any(|entry| entry.level > entry.present) {
            // Who comes or goes up does not make the excess that is borne with.
            limits = limits.without_patience();
            spent = self.fill.run(&limits, &self.steps, &mut self.entries);
        }
        if self.entries.iter().any(|entry| entry.level > entry.present.max(1)) {
            // Who goes up does so for all: others do not keep what then leaves no margin, for they
            // would lose it at the next breath of wind.
            limits = limits.without_slack();
            spent = self.fill.run(&limits, &self.steps, &mut self.entries);
        }
        spent
    }

    /// Demands to entries with ladders.
    fn read(&mut self, budget: &Budget, demands: &Demands) {
        self.entries.clear();
        self.steps.clear();
        for (demand, options) in demands.iter() {
            let ladder = Ladder::build(demand, options, &mut self.steps);
            let present = match demand.granted {
                Some(layer) => ladder.find(&self.steps, layer, options),
                None => 0,
            };
            self.entries.push(Entry {
                present,
                rank: (demand.preference.pinned, demand.preference.priority),
                paused: present == 0 && demand.memory.paused(),
                patience: demand.memory.patient(budget.now),
                ladder,
                ..Entry::default()
            });
        }
    }

    /// Entries to grants, with reasons.
    fn tell(
        &mut self,
        reserve: u64,
        demands: &Demands,
        limits: &Limits,
        mood: &Mood,
        spent: u64,
        grants: &mut Vec<Grant>,
    ) -> Totals {
        let mut totals = Totals {
            allocated_bps: reserve.saturating_add(spent),
            wanted_bps: reserve,
            ..Totals::default()
        };
        grants.clear();
        self.fill.note_ranks(&self.steps, &self.entries);
        for (i, (demand, _)) in demands.iter().enumerate() {
            let entry = &self.entries[i];
            let steps = entry.ladder.steps(&self.steps);
            let layer = entry.level.checked_sub(1).map(|at| steps[at].layer);
            let top = steps.last();
            totals.wanted_bps = totals.wanted_bps.saturating_add(top.map_or(0, |step| step.cost));
            let reason = match entry.ladder.next_cost(&self.steps, entry.level) {
                None => entry.ladder.end,
                Some(_) if entry.target > entry.level => Reason::Settling,
                Some(cost) if self.fill.crowded_out(i, entry.level == 0, spent, cost, limits) => {
                    Reason::Priority
                }
                Some(_) => Reason::Bandwidth,
            };
            if let Some(cost) = entry.ladder.next_cost(&self.steps, entry.level) {
                let needs =
                    limits.estimate_for(entry, &self.steps, spent.saturating_add(cost), reserve);
                totals.next_step_bps = Some(totals.next_step_bps.map_or(needs, |n| n.min(needs)));
            }
            let tight = spent > limits.all && entry.level > 0;
            let memory = demand.memory.after(mood, entry, tight);
            totals.rerun_at = match (totals.rerun_at, memory.due(mood)) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
            let wanted = top.map(|step| step.layer);
            grants.push(Grant { track: demand.track, layer, wanted, reason, memory });
        }
        totals
    }
}
