//! One direction of a path: what becomes of a datagram between two ends, drawn from a seed.

use std::time::Duration;

use crate::bottleneck::{Bottleneck, BottleneckId};
use crate::random::{self, Pcg64Mcg, chance, fraction};

/// How a link behaves. All times one-way; probabilities are 0.0 to 1.0, for each datagram.
#[derive(Clone, Debug, PartialEq)]
pub struct Conditions {
    /// Propagation delay.
    pub delay: Duration,
    /// Added delay, uniform between none and this. Order is kept, as in a queue.
    pub jitter: Duration,
    /// What is lost.
    pub loss: Loss,
    /// Probability of a second copy.
    pub duplicate: f64,
    /// Probability of being held back by `reorder_by`, so that others overtake.
    pub reorder: f64,
    /// See `reorder`.
    pub reorder_by: Duration,
    /// Capacity; unlimited without.
    pub rate: Option<Rate>,
}

/// A bottleneck with a drop-tail queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Capacity in bit/s.
    pub bits_per_second: u64,
    /// What the queue holds, as the time that it takes to send at this rate; what finds it full is
    /// dropped.
    pub queue: Duration,
}

impl Rate {
    /// A rate in kbit/s with a queue of so many milliseconds.
    #[must_use]
    pub const fn kbit(kbit_per_second: u64, queue_ms: u64) -> Self {
        Self { bits_per_second: kbit_per_second * 1000, queue: Duration::from_millis(queue_ms) }
    }
}

/// How losses are distributed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Loss {
    /// Nothing is lost.
    None,
    /// Each datagram with this probability, independently.
    Random(f64),
    /// Gilbert-Elliott: everything is lost in the bad state and nothing in the good one; the
    /// probabilities are those of a change of state before each datagram. The mean burst is
    /// `1 / to_good`, the mean loss `to_bad / (to_bad + to_good)`.
    Burst {
        /// From the good state.
        to_bad: f64,
        /// From the bad state.
        to_good: f64,
    },
    /// Everything is lost.
    Outage,
}

impl Conditions {
    /// Nothing but delay.
    #[must_use]
    pub fn clean(delay: Duration) -> Self {
        Self {
            delay,
            jitter: Duration::ZERO,
            loss: Loss::None,
            duplicate: 0.0,
            reorder: 0.0,
            reorder_by: Duration::ZERO,
            rate: None,
        }
    }

    /// The same with other losses.
    #[must_use]
    pub fn with_loss(self, loss: Loss) -> Self {
        Self { loss, ..self }
    }

    /// The same behind a bottleneck.
    #[must_use]
    pub fn with_rate(self, rate: Rate) -> Self {
        Self { rate: Some(rate), ..self }
    }

    /// The same with jitter.
    #[must_use]
    pub fn with_jitter(self, jitter: Duration) -> Self {
        Self { jitter, ..self }
    }
}

impl Default for Conditions {
    /// 20 ms and no faults.
    fn default() -> Self {
        Self::clean(Duration::from_millis(20))
    }
}

/// How a link behaves over time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LinkPlan {
    /// From the start of the world.
    pub at_first: Conditions,
    /// From each of these times on, in rising order.
    pub changes: Vec<(Duration, Conditions)>,
    /// The bottleneck that it shares with others, before its own.
    pub shared: Option<BottleneckId>,
}

impl From<Conditions> for LinkPlan {
    fn from(at_first: Conditions) -> Self {
        Self { at_first, changes: Vec::new(), shared: None }
    }
}

impl LinkPlan {
    /// The same, but other conditions from `from` until `until`.
    #[must_use]
    pub fn with_spell(mut self, from: Duration, until: Duration, conditions: Conditions) -> Self {
        self.changes.push((from, conditions));
        self.changes.push((until, self.at_first.clone()));
        self
    }

    /// The same, but other conditions from `from` on.
    #[must_use]
    pub fn then(mut self, from: Duration, conditions: Conditions) -> Self {
        self.changes.push((from, conditions));
        self
    }

    /// The same through a bottleneck that others use too.
    #[must_use]
    pub fn through(self, shared: BottleneckId) -> Self {
        Self { shared: Some(shared), ..self }
    }

    /// Its rates: from each of these times on.
    fn rates(&self) -> Vec<(Duration, Option<Rate>)> {
        let changes = self.changes.iter().map(|(from, conditions)| (*from, conditions.rate));
        std::iter::once((Duration::ZERO, self.at_first.rate)).chain(changes).collect()
    }
}

/// A link at work.
#[derive(Debug)]
pub struct Link {
    plan: LinkPlan,
    rng: Pcg64Mcg,
    /// Gilbert-Elliott's state.
    bad: bool,
    /// Changes of the plan that have come to pass.
    changed: usize,
    /// When the last datagram that kept its place arrives.
    last_arrival: Duration,
    bottleneck: Bottleneck,
    /// What happened.
    pub counts: Counts,
}

/// What a link did, in datagrams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Given to it.
    pub offered: u64,
    /// Lost at random or in an outage.
    pub lost: u64,
    /// Dropped at a full queue.
    pub overflowed: u64,
    /// Delivered twice.
    pub duplicated: u64,
}

impl Link {
    /// A link that draws its faults from `rng`.
    #[must_use]
    pub fn new(plan: LinkPlan, rng: Pcg64Mcg) -> Self {
        Self {
            bottleneck: Bottleneck::new(plan.rates()),
            plan,
            rng,
            bad: false,
            changed: 0,
            last_arrival: Duration::ZERO,
            counts: Counts::default(),
        }
    }

    /// A link between generators of the same seed that never collides with another.
    #[must_use]
    pub fn seeded(plan: LinkPlan, seed: u64, lane: u64) -> Self {
        Self::new(plan, random::generator(seed, lane))
    }

    /// Replaces the plan; what is under way stays under way.
    pub fn set_plan(&mut self, plan: LinkPlan) {
        self.bottleneck.set_rates(plan.rates());
        self.plan = plan;
        self.changed = 0;
    }

    /// The bottleneck it shares with others.
    #[must_use]
    pub fn shared(&self) -> Option<BottleneckId> {
        self.plan.shared
    }

    /// Time that what is in its own queue now takes to leave it.
    #[must_use]
    pub fn queued(&self, now: Duration) -> Duration {
        self.bottleneck.wait(now)
    }

    /// Sends a datagram, through `shared` first. Gives the times since the start of the world at
    /// which it, and maybe a copy, arrive.
    pub fn send(
        &mut self,
        now: Duration,
        bytes: usize,
        shared: Option<&mut Bottleneck>,
    ) -> [Option<Duration>; 2] {
        self.counts.offered += 1;
        while self.plan.changes.get(self.changed).is_some_and(|(from, _)| *from <= now) {
            self.changed += 1;
        }
        let conditions = match self.changed.checked_sub(1) {
            None => &self.plan.at_first,
            Some(change) => &self.plan.changes[change].1,
        };
        let &Conditions { delay, jitter, loss, duplicate, reorder, reorder_by, .. } = conditions;
        if self.loses(loss) {
            self.counts.lost += 1;
            return [None, None];
        }
        let sent = match shared {
            None => Some(now),
            Some(shared) => shared.pass(now, bytes),
        };
        let Some(sent) = sent.and_then(|sent| self.bottleneck.pass(sent, bytes)) else {
            self.counts.overflowed += 1;
            return [None, None];
        };
        let mut arrival = sent + delay;
        if !jitter.is_zero() {
            arrival += jitter.mul_f64(fraction(&mut self.rng));
        }
        if chance(&mut self.rng, reorder) {
            arrival += reorder_by;
        } else {
            arrival = arrival.max(self.last_arrival);
            self.last_arrival = arrival;
        }
        let copy = chance(&mut self.rng, duplicate);
        self.counts.duplicated += u64::from(copy);
        [Some(arrival), copy.then_some(arrival)]
    }

    fn loses(&mut self, loss: Loss) -> bool {
        match loss {
            Loss::None => false,
            Loss::Random(probability) => chance(&mut self.rng, probability),
            Loss::Burst { to_bad, to_good } => {
                let change = if self.bad { to_good } else { to_bad };
                self.bad ^= chance(&mut self.rng, change);
                self.bad
            }
            Loss::Outage => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAY: Duration = Duration::from_millis(20);

    fn arrivals(conditions: Conditions, count: u32) -> (Vec<Duration>, Counts) {
        let mut link = Link::seeded(conditions.into(), 1, 1);
        let mut arrivals = Vec::new();
        for i in 0..count {
            arrivals
                .extend(link.send(Duration::from_millis(1) * i, 1000, None).into_iter().flatten());
        }
        (arrivals, link.counts)
    }

    #[test]
    fn a_clean_link_only_delays() {
        let (arrivals, counts) = arrivals(Conditions::clean(DELAY), 100);
        let expected: Vec<_> = (0..100).map(|i| DELAY + Duration::from_millis(1) * i).collect();
        assert_eq!(arrivals, expected);
        assert_eq!(counts, Counts { offered: 100, ..Counts::default() });
    }

    #[test]
    fn random_loss_is_as_frequent_as_asked() {
        let lossy = Conditions::clean(DELAY).with_loss(Loss::Random(0.1));
        let (_, counts) = arrivals(lossy, 20_000);
        assert!((1_800..2_200).contains(&counts.lost), "{counts:?}");
    }

    #[test]
    fn bursts_have_the_mean_length_and_share_asked_for() {
        let burst = Loss::Burst { to_bad: 0.02, to_good: 0.25 };
        let mut link = Link::seeded(Conditions::clean(DELAY).with_loss(burst).into(), 1, 1);
        let (mut lost, mut bursts, mut before) = (0, 0, false);
        for i in 0..50_000 {
            let gone = link.send(Duration::from_millis(1) * i, 100, None)[0].is_none();
            lost += u32::from(gone);
            bursts += u32::from(gone && !before);
            before = gone;
        }
        let (mean, share) = (f64::from(lost) / f64::from(bursts), f64::from(lost) / 50_000.0);
        assert!((3.5..4.5).contains(&mean), "mean burst {mean}");
        assert!((0.064..0.084).contains(&share), "loss {share}");
    }

    #[test]
    fn jitter_keeps_the_order_and_reordering_does_not() {
        let jittery = Conditions::clean(DELAY).with_jitter(Duration::from_millis(30));
        let (arrivals_in_order, _) = arrivals(jittery, 1000);
        assert!(arrivals_in_order.is_sorted());
        let reorder_by = Duration::from_millis(10);
        let reordering = Conditions { reorder: 0.1, reorder_by, ..Conditions::clean(DELAY) };
        let (arrivals, _) = arrivals(reordering, 1000);
        let held = arrivals.iter().enumerate().filter(|&(i, &at)| {
            at == DELAY + reorder_by + Duration::from_millis(1) * u32::try_from(i).unwrap_or(0)
        });
        assert!((70..130).contains(&held.count()));
    }

    #[test]
    fn duplicates_arrive_twice() {
        let doubling = Conditions { duplicate: 0.5, ..Conditions::clean(DELAY) };
        let (arrivals, counts) = arrivals(doubling, 1000);
        assert_eq!(arrivals.len() as u64, 1000 + counts.duplicated);
        assert!((400..600).contains(&counts.duplicated));
    }

    #[test]
    fn a_bottleneck_spreads_a_burst_and_drops_what_its_queue_cannot_hold() {
        let rate = Rate { bits_per_second: 8_000_000, queue: Duration::from_millis(10) };
        let mut link =
            Link::seeded(Conditions { rate: Some(rate), ..Conditions::clean(DELAY) }.into(), 1, 1);
        // 972 bytes and headers are 1 ms at 8 Mbit/s.
        let burst: Vec<_> =
            (0..20).filter_map(|_| link.send(Duration::ZERO, 972, None)[0]).collect();
        let expected: Vec<_> = (1..=11).map(|i| DELAY + Duration::from_millis(1) * i).collect();
        assert_eq!(burst, expected);
        assert_eq!(link.counts.overflowed, 9);
    }

    #[test]
    fn conditions_change_when_the_plan_says() {
        let ms = Duration::from_millis;
        let plan = LinkPlan::from(Conditions::clean(DELAY)).with_spell(
            ms(10),
            ms(20),
            Conditions::clean(DELAY).with_loss(Loss::Outage),
        );
        let mut link = Link::seeded(plan, 1, 1);
        let kept: Vec<_> = (0..30).filter(|&i| link.send(ms(i), 1, None)[0].is_some()).collect();
        let expected: Vec<_> = (0..10).chain(20..30).collect();
        assert_eq!(kept, expected);
    }
}
