//! The pacer of one subscriber: what is owed to it leaves at the rate its path carries, audio and
//! retransmissions first, in short bursts.
//!
//! A leaky bucket that opens and closes: while it is open, packets leave until a burst's worth is
//! out; then it stays closed until all of that has drained at the pacing rate. So there is one
//! wake-up per burst, and a burst is a run of packets that the kernel can send in one call. Audio
//! never waits, but what it takes is paid for by the rest.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::elapsed::Elapsed;
use crate::limits::{PACER_PACKETS_MAX, PACER_QUEUE_TIME_MAX};

/// How a pacer behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacerConfig {
    /// Pacing rate in per cent of the estimate. More than 100, so that a frame that is larger than
    /// others does not delay those behind it.
    pub factor_percent: u64,
    /// How much may leave at once, in time at the pacing rate, until [`Pacer::set_burst`] says
    /// otherwise.
    pub burst: Duration,
}

impl Default for PacerConfig {
    fn default() -> Self {
        Self { factor_percent: 110, burst: Duration::from_millis(5) }
    }
}

/// What kind of packet waits, the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Never waits.
    Audio,
    /// A packet that the subscriber misses.
    Retransmission,
    /// Everything else.
    Video,
}

impl Class {
    /// The most urgent first.
    const ALL: [Self; 3] = [Self::Audio, Self::Retransmission, Self::Video];
}

/// What leaves now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release<T, P> {
    /// A packet that waited; `probe` if it is part of one.
    Packet {
        /// The packet.
        item: T,
        /// Its kind.
        class: Class,
        /// The probe it is part of.
        probe: Option<P>,
    },
    /// Nothing waits, but a probe needs a packet of about this many bytes. Whatever is made of it
    /// has to be told to [`Pacer::padded`].
    Padding {
        /// The probe.
        probe: P,
    },
}

/// A cluster of packets at a rate of its own, to find out what the path carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cluster<P> {
    /// What it is known by.
    pub id: P,
    /// Its rate, in bit/s.
    pub bitrate_bps: u64,
    /// Bytes it has at least.
    pub bytes_min: u64,
    /// Packets it has at least.
    pub packets_min: u32,
}

/// The packets that wait for one subscriber. `T` is what a packet is, `P` what a probe is known by.
#[derive(Debug)]
pub struct Pacer<T, P> {
    config: PacerConfig,
    /// Audio, retransmissions, video.
    queues: [VecDeque<Waiting<T>>; 3],
    queued_bytes: u64,
    /// Bit/s; `None`: nothing is known of the path, nothing is held back.
    rate_bps: Option<u64>,
    /// Bits that have left and are not paid for yet, in millionths: exact at any rate and step.
    debt: u64,
    paid_until: Option<Instant>,
    /// When the first packet was pushed; waiting is counted from there.
    since: Option<Elapsed>,
    open: bool,
    /// How much may leave at once.
    burst: Duration,
    /// Bits, in millionths, that may still leave beyond the rate, for a keyframe somebody waits for.
    haste: u64,
    /// When there was last haste.
    hurried: Option<Instant>,
    probe: Option<Probing<P>>,
    next_cluster: Option<Cluster<P>>,
}

#[derive(Debug)]
struct Waiting<T> {
    /// When it was pushed, in milliseconds.
    at_ms: u32,
    bytes: u32,
    item: T,
}

#[derive(Debug)]
struct Probing<P> {
    cluster: Cluster<P>,
    bytes: u64,
    packets: u32,
    next: Instant,
}

/// Debt is counted in bits times this.
const FRACTION: u64 = 1_000_000;
/// [`PACER_QUEUE_TIME_MAX`] in microseconds.
const QUEUE_TIME_MAX_US: u64 = PACER_QUEUE_TIME_MAX.as_micros() as u64;
/// A path is never thought to be slower than this when packets are spread, so that a queue moves.
const RATE_MIN_BPS: u64 = 30_000;
/// How much of the path's time a keyframe may take beyond its own, and how fast it leaves then, in
/// per cent of the rate.
const HASTE: Duration = Duration::from_millis(60);
const HASTE_PERCENT: u64 = 300;

impl<T, P: Copy> Pacer<T, P> {
    /// A pacer that holds nothing back until it is given a rate.
    #[must_use]
    pub fn new(config: PacerConfig) -> Self {
        Self {
            config,
            queues: [VecDeque::new(), VecDeque::new(), VecDeque::new()],
            queued_bytes: 0,
            rate_bps: None,
            debt: 0,
            paid_until: None,
            since: None,
            open: true,
            burst: config.burst,
            haste: 0,
            hurried: None,
            probe: None,
            next_cluster: None,
        }
    }

    /// Sets the estimate in bit/s; `None` stops pacing.
    pub fn set_estimate(&mut self, now: Instant, estimate_bps: Option<u64>) {
        let rate = estimate_bps
            .map(|bps| (bps.saturating_mul(self.config.factor_percent) / 100).max(RATE_MIN_BPS));
        if rate != self.rate_bps {
            self.pay(now);
            self.rate_bps = rate;
        }
        if rate.is_none() {
            (self.probe, self.next_cluster) = (None, None);
        }
    }

    /// Sets how much may leave at once, in time at the pacing rate; `None`: as in the config.
    pub fn set_burst(&mut self, burst: Option<Duration>) {
        self.burst = burst.unwrap_or(self.config.burst);
    }

    /// Adds a packet of `bytes` on the wire.
    ///
    /// # Errors
    /// Gives the packet back if too many wait.
    #[inline]
    pub fn push(&mut self, now: Instant, class: Class, bytes: usize, item: T) -> Result<(), T> {
        if self.waiting() >= PACER_PACKETS_MAX {
            return Err(item);
        }
        let since = self.since.get_or_insert_with(|| Elapsed::since(now));
        let at_ms = millis(since.micros(now));
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.queued_bytes += u64::from(bytes);
        self.queues[class as usize].push_back(Waiting { at_ms, bytes, item });
        Ok(())
    }

    /// What was pushed last is part of a keyframe that somebody waits for: what waits leaves faster
    /// until [`HASTE`] of the path's time is used up. So much of a queue on the path it may make, if
    /// the path carries no more than is known, and no more: it is earned again at a tenth of the
    /// time that passes.
    pub fn hurry(&mut self, now: Instant) {
        let Some(rate) = self.rate_bps else { return };
        let rest = self.hurried.map_or(HASTE, |at| now.saturating_duration_since(at) / 10);
        self.pay(now);
        self.haste = self.haste.max(rate.saturating_mul(micros(rest.min(HASTE))));
        self.hurried = Some(now);
    }

    /// Sends a probe as soon as the one before is through; at the pacing rate if that is more, since
    /// media is part of it and must not wait for it. Not at all where nothing is held back: nobody
    /// says there what has arrived.
    pub fn probe(&mut self, now: Instant, mut cluster: Cluster<P>) {
        if self.rate_bps.is_none() {
            return;
        }
        cluster.bitrate_bps = cluster.bitrate_bps.max(self.steady_rate());
        if self.probe.is_some() {
            self.next_cluster = Some(cluster);
        } else {
            self.probe = Some(Probing { cluster, bytes: 0, packets: 0, next: now });
        }
    }

    /// Takes the next packet that may leave now.
    // Inlined, like `push`: what is moved through memory on its way in and out of the queue costs
    // more than all the rest of it.
    #[inline]
    pub fn pop(&mut self, now: Instant) -> Option<Release<T, P>> {
        self.pay(now);
        let waits = |class: &Class| !self.queues[*class as usize].is_empty();
        let (class, probe) = match &self.probe {
            Some(probing) if probing.next <= now => {
                let probe = probing.cluster.id;
                match Class::ALL.iter().copied().find(waits) {
                    Some(class) => (class, Some(probe)),
                    None => return Some(Release::Padding { probe }),
                }
            }
            Some(_) => (Class::Audio, None),
            None if self.open => (Class::ALL.iter().copied().find(waits)?, None),
            None => (Class::Audio, None),
        };
        self.take(now, class, probe)
    }

    /// Accounts for a packet that was made because [`Release::Padding`] asked for it, and for
    /// nothing (0 bytes) if none could be made: the probe ends then.
    pub fn padded(&mut self, now: Instant, bytes: usize) {
        if bytes == 0 {
            self.end_probe(now);
            return;
        }
        self.spend(now, bytes);
    }

    /// When [`Pacer::pop`] has something again; `None` if nothing waits.
    #[must_use]
    pub fn next_release(&self) -> Option<Instant> {
        if let Some(probing) = &self.probe {
            return Some(probing.next);
        }
        let paid_until = self.paid_until?;
        if !self.queues[Class::Audio as usize].is_empty() {
            return Some(paid_until);
        }
        (self.waiting() > 0).then(|| paid_until + self.drain_time())
    }

    /// Packets that wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.queues.iter().map(VecDeque::len).sum()
    }

    /// Whether nothing waits and no probe is under way.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.waiting() == 0 && self.probe.is_none()
    }

    /// Drops everything that waits.
    pub fn clear(&mut self) {
        self.queues.iter_mut().for_each(VecDeque::clear);
        self.queued_bytes = 0;
        self.probe = None;
        self.next_cluster = None;
    }

    /// Drops the retransmissions that wait: they are of no use any more.
    pub fn drop_retransmissions(&mut self) {
        for waiting in self.queues[Class::Retransmission as usize].drain(..) {
            self.queued_bytes -= u64::from(waiting.bytes);
        }
    }

    /// Goes through what waits of a class: `revise` may change a packet, is told its bytes on the
    /// wire and gives those that it has now; a packet of none is dropped.
    pub fn revise(&mut self, class: Class, mut revise: impl FnMut(&mut T, usize) -> usize) {
        let bytes = &mut self.queued_bytes;
        self.queues[class as usize].retain_mut(|waiting| {
            *bytes -= u64::from(waiting.bytes);
            let revised = revise(&mut waiting.item, waiting.bytes as usize);
            waiting.bytes = u32::try_from(revised).unwrap_or(u32::MAX);
            *bytes += u64::from(waiting.bytes);
            waiting.bytes > 0
        });
    }

    /// How long the oldest video packet has waited.
    #[must_use]
    pub fn queue_time(&self, now: Instant) -> Duration {
        let oldest = self.queues[Class::Video as usize].front();
        let (Some(oldest), Some(mut since)) = (oldest, self.since) else { return Duration::ZERO };
        let now_ms = millis(since.micros(now));
        Duration::from_millis(now_ms.wrapping_sub(oldest.at_ms).into())
    }

    #[inline]
    fn take(&mut self, now: Instant, class: Class, probe: Option<P>) -> Option<Release<T, P>> {
        let queue = &mut self.queues[class as usize];
        let Waiting { bytes, item, .. } = queue.pop_front()?;
        if queue.is_empty() {
            // Begins again at the front of its memory, which is still in the cache, instead of
            // going round all of it.
            queue.clear();
        }
        self.queued_bytes -= u64::from(bytes);
        self.spend(now, bytes as usize);
        Some(Release::Packet { item, class, probe })
    }

    /// A packet leaves. Those of a probe leave at the probe's rate and are not paid for: what
    /// follows shall not wait for what the probe has risked.
    fn spend(&mut self, now: Instant, bytes: usize) {
        let Some(probing) = &mut self.probe else {
            self.debt = self.debt.saturating_add(bytes as u64 * 8 * FRACTION);
            // In haste bursts are no larger, only sooner over: when it ends they take as long as ever.
            let allowance = self.steady_rate().saturating_mul(micros(self.burst));
            self.open = self.rate_bps.is_none() || self.debt < allowance;
            return;
        };
        probing.bytes += bytes as u64;
        probing.packets += 1;
        let gap = bytes as u64 * 8_000_000 / probing.cluster.bitrate_bps.max(1);
        probing.next += Duration::from_micros(gap);
        let Cluster { bytes_min, packets_min, .. } = probing.cluster;
        if probing.bytes >= bytes_min && probing.packets >= packets_min {
            self.end_probe(now);
        }
    }

    fn end_probe(&mut self, now: Instant) {
        let next = self.next_cluster.take();
        self.probe =
            next.map(|cluster| Probing { cluster, bytes: 0, packets: 0, next: now + PROBE_GAP });
    }

    /// Pays off what the rate has carried away since the last time.
    fn pay(&mut self, now: Instant) {
        let since = self.paid_until.replace(now).unwrap_or(now);
        // Most packets leave together with others, and the first one of them has paid.
        if since < now {
            let elapsed = micros(now.saturating_duration_since(since));
            let paid = self.rate_now().saturating_mul(elapsed);
            let regular = self.rate_bps.unwrap_or(0).saturating_mul(elapsed);
            self.debt = self.debt.saturating_sub(paid);
            self.haste = self.haste.saturating_sub(paid - regular);
        }
        if self.debt == 0 && self.waiting() == 0 {
            self.haste = 0;
        }
        self.open |= self.debt == 0 || self.rate_bps.is_none();
    }

    /// The pacing rate, raised while there is haste.
    fn rate_now(&self) -> u64 {
        let steady = self.steady_rate();
        match self.rate_bps {
            Some(rate) if self.haste > 0 => steady.max(rate.saturating_mul(HASTE_PERCENT) / 100),
            _ => steady,
        }
    }

    /// The pacing rate, raised if the queue would otherwise take too long.
    fn steady_rate(&self) -> u64 {
        let Some(rate) = self.rate_bps else { return u64::from(u32::MAX) };
        // Not by the time that is left: a queue must not go out at once when its oldest is due.
        let needed = self.queued_bytes * 8 * FRACTION / QUEUE_TIME_MAX_US;
        rate.max(needed)
    }

    fn drain_time(&self) -> Duration {
        if self.open {
            return Duration::ZERO;
        }
        let rate = self.paid_until.map_or(RATE_MIN_BPS, |_| self.rate_now());
        Duration::from_micros(self.debt.div_ceil(rate))
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Wraps after 49 days, and is only compared with what is younger.
fn millis(micros: u64) -> u32 {
    (micros / 1000) as u32
}

/// Between two probes.
const PROBE_GAP: Duration = Duration::from_millis(2);

#[cfg(test)]
mod tests;
