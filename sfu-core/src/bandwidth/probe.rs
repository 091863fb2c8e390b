//! What a probe has shown: the rate at which it left, or that at which it arrived if that is less.

use std::time::{Duration, Instant};

use arrayvec::ArrayVec;

use super::groups::{Times, difference};
use super::send_side::{Probe, ProbeId};
use crate::limits;

/// Fewest packets that make a rate.
const PACKETS_MIN: u32 = 4;
/// Share of what was asked for that must have left and arrived, …
const ARRIVED_MIN: f64 = 0.8;
/// … less what the path loses anyway; but never less than this.
const ARRIVED_FLOOR: f64 = 0.5;
/// Arriving slower than this share of leaving: the path was full.
const UNSATURATED_MIN: f64 = 0.9;
/// What is used of a rate at which the path was full.
const USED: f64 = 0.95;
/// Arriving faster than leaving by more than this is a clock's doing.
const FASTER_MAX: f64 = 2.0;
/// If without its longest gap a probe would have arrived faster than it did by more than this, the
/// gap is not the path's, which takes as long for each packet: somebody had no time.
const GAP_WEIGHT_MAX: f64 = 2.0;
/// Longest that a probe may take to leave or to arrive.
const SPAN_MAX: Duration = Duration::from_secs(1);
/// What is not heard of a probe by now is not waited for.
const AGE_MAX: Duration = Duration::from_secs(2);

/// A probe that has come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probed {
    /// Which.
    pub probe: Probe,
    /// What it has shown; `None` if it shows nothing.
    pub bitrate_bps: Option<u64>,
    /// Whether the path was full.
    pub is_saturated: bool,
    /// It arrived, but not at times that mean anything: the receiver was busy, or reads in batches.
    pub was_disturbed: bool,
}

/// Probes under way.
#[derive(Debug, Default)]
pub struct Clusters {
    clusters: ArrayVec<Cluster, { limits::PROBES_MAX }>,
}

#[derive(Clone, Copy, Debug)]
struct Cluster {
    probe: Probe,
    issued: Instant,
    sent_packets: u32,
    sent_bytes: u64,
    lost_packets: u32,
    arrived: Arrived,
}

/// What has arrived of a cluster.
#[derive(Clone, Copy, Debug, Default)]
struct Arrived {
    packets: u32,
    bytes: u64,
    first_departure: Option<(Duration, u64)>,
    last_departure: Option<(Duration, u64)>,
    first_arrival: Option<(Duration, u64)>,
    last_arrival: Option<(Duration, u64)>,
    /// The longest time from one arrival to the next, and the bytes that ended it.
    gap: (Duration, u64),
}

impl Clusters {
    /// A probe goes out; the oldest one is forgotten if there are too many.
    pub fn on_issued(&mut self, now: Instant, probe: Probe) {
        if self.clusters.is_full() {
            self.clusters.remove(0);
        }
        self.clusters.push(Cluster {
            probe,
            issued: now,
            sent_packets: 0,
            sent_bytes: 0,
            lost_packets: 0,
            arrived: Arrived::default(),
        });
    }

    /// A packet of a probe has left.
    pub fn on_sent(&mut self, id: ProbeId, bytes: usize) {
        if let Some(cluster) = self.find(id) {
            cluster.sent_packets += 1;
            cluster.sent_bytes += bytes as u64;
        }
    }

    /// A packet of a probe has arrived.
    pub fn on_arrived(&mut self, id: ProbeId, times: Times, bytes: usize) {
        if let Some(cluster) = self.find(id) {
            cluster.arrived.add(times, bytes as u64);
        }
    }

    /// A packet of a probe was lost.
    pub fn on_lost(&mut self, id: ProbeId) {
        if let Some(cluster) = self.find(id) {
            cluster.lost_packets += 1;
        }
    }

    /// The next probe of which enough is known, or nothing will be.
    pub fn poll(&mut self, now: Instant, inherent_loss: f64) -> Option<Probed> {
        let done = |cluster: &Cluster| cluster.is_done(now);
        let at = self.clusters.iter().position(done)?;
        Some(self.clusters.remove(at).evaluate(inherent_loss))
    }

    /// When the oldest probe is given up.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        self.clusters.iter().map(|cluster| cluster.issued + AGE_MAX).min()
    }

    /// Whether any is under way.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.clusters.is_empty()
    }

    /// Forgets all, as on a new path.
    pub fn clear(&mut self) {
        self.clusters.clear();
    }

    fn find(&mut self, id: ProbeId) -> Option<&mut Cluster> {
        self.clusters.iter_mut().find(|cluster| cluster.probe.id == id)
    }
}

impl Cluster {
    /// Everything that was asked for has left, and the fate of all that left is known; or it is
    /// too late for that.
    fn is_done(&self, now: Instant) -> bool {
        let heard = self.arrived.packets + self.lost_packets;
        self.has_left() && heard >= self.sent_packets
            || now.saturating_duration_since(self.issued) >= AGE_MAX
    }

    fn has_left(&self) -> bool {
        self.sent_packets >= u32::from(self.probe.packets_min)
            && self.sent_bytes as f64 >= ARRIVED_MIN * self.asked_bytes()
    }

    fn asked_bytes(&self) -> f64 {
        self.probe.bitrate_bps as f64 / 8.0 * self.probe.duration.as_secs_f64()
    }

    fn evaluate(&self, inherent_loss: f64) -> Probed {
        let has_arrived = self.has_arrived(inherent_loss);
        let measured = if has_arrived { self.arrived.measure() } else { None };
        let (bitrate_bps, is_saturated) = measured.unzip();
        Probed {
            probe: self.probe,
            bitrate_bps,
            is_saturated: is_saturated.unwrap_or(false),
            was_disturbed: has_arrived && bitrate_bps.is_none(),
        }
    }

    fn has_arrived(&self, inherent_loss: f64) -> bool {
        let share = (ARRIVED_MIN - inherent_loss).max(ARRIVED_FLOOR);
        let arrived = &self.arrived;
        self.has_left()
            && arrived.packets >= PACKETS_MIN
            && f64::from(arrived.packets) >= share * f64::from(self.sent_packets)
            && arrived.bytes as f64 >= share * self.sent_bytes as f64
    }
}

impl Arrived {
    /// The rate, and whether the path was full.
    fn measure(&self) -> Option<(u64, bool)> {
        let (sent, received) = (self.sent_bps()?, self.received_bps()?);
        if received > FASTER_MAX * sent {
            return None;
        }
        let is_saturated = received < UNSATURATED_MIN * sent;
        if is_saturated && self.is_torn(received) {
            return None;
        }
        let bps = if is_saturated { USED * received } else { received.min(sent) };
        (bps.is_finite() && bps >= 1.0).then_some((bps as u64, is_saturated))
    }

    fn add(&mut self, times: Times, bytes: u64) {
        self.packets += 1;
        self.bytes += bytes;
        let earlier = |known: &Option<(Duration, u64)>, at: Duration| {
            known.is_none_or(|(known, _)| at < known)
        };
        let later = |known: &Option<(Duration, u64)>, at: Duration| {
            known.is_none_or(|(known, _)| at >= known)
        };
        if earlier(&self.first_departure, times.departure) {
            self.first_departure = Some((times.departure, bytes));
        }
        if later(&self.last_departure, times.departure) {
            self.last_departure = Some((times.departure, bytes));
        }
        if earlier(&self.first_arrival, times.arrival) {
            self.first_arrival = Some((times.arrival, bytes));
        }
        if later(&self.last_arrival, times.arrival) {
            let gap = self.last_arrival.map_or(Duration::ZERO, |(last, _)| times.arrival - last);
            if gap > self.gap.0 {
                self.gap = (gap, bytes);
            }
            self.last_arrival = Some((times.arrival, bytes));
        }
    }

    /// Everything but the last packet, which took no time of it.
    fn sent_bps(&self) -> Option<f64> {
        let ((first, _), (last, bytes)) = (self.first_departure?, self.last_departure?);
        rate(self.bytes - bytes, first, last)
    }

    /// Whether it was mostly one gap that made it arrive as late as it did.
    fn is_torn(&self, received: f64) -> bool {
        let (Some((first, bytes)), Some((last, _))) = (self.first_arrival, self.last_arrival)
        else {
            return false;
        };
        let (gap, behind) = self.gap;
        let without = rate((self.bytes - bytes).saturating_sub(behind), first + gap, last);
        without.is_none_or(|without| without > GAP_WEIGHT_MAX * received)
    }

    /// Everything but the first packet, which had arrived when the time began.
    fn received_bps(&self) -> Option<f64> {
        let ((first, bytes), (last, _)) = (self.first_arrival?, self.last_arrival?);
        rate(self.bytes - bytes, first, last)
    }
}

fn rate(bytes: u64, first: Duration, last: Duration) -> Option<f64> {
    let seconds = difference(last, first);
    (seconds > 0.0 && seconds <= SPAN_MAX.as_secs_f64()).then(|| bytes as f64 * 8.0 / seconds)
}

#[cfg(test)]
mod tests;
