//! The estimator: reports of packets in, a rate out. It knows no feedback format, no pacer and no
//! media, only what left, what arrived and when.

use std::time::{Duration, Instant};

use interceptor::{BandwidthEstimator, EstimatorStats, PacketReport};

use super::acked::AckedRate;
use super::aimd::{Aimd, Signals};
use super::detector::{Detector, Usage};
use super::groups::{Groups, Spread, Times};
use super::loss::{LossModel, Surroundings};
use super::queue::QueueDelay;
use super::send_side::BandwidthConfig;
use super::stall::{Arrival, Stalls};
use super::trendline::Trendline;
use crate::decision::LimitedBy;
use crate::limits;

/// A silence of the receiver this long ends what a trend was drawn from: 2 round trips, at most
/// this.
const SILENCE_MAX: Duration = Duration::from_millis(500);
/// Without any feedback for this long, or three round trips, nothing is tried any more; …
const QUIET_MIN: Duration = Duration::from_millis(500);
/// … for so much longer, the path is dark. Until then what is in use goes on: receivers that have no
/// time for a second are many, and what is taken from them comes back in the middle of the rush.
const DARK_AFTER: Duration = Duration::from_millis(1500);
/// Weight of a new round-trip time (RFC 6298 §2).
const RTT_WEIGHT: f64 = 0.125;
/// Before any is known.
const RTT_START: Duration = Duration::from_millis(100);
/// A round-trip time beyond this is none.
const RTT_MAX: Duration = Duration::from_secs(5);

/// Age of the last feedback from which on a path may be tried again, whatever was seen of it: who
/// is sent nothing tells nothing.
const STALE: Duration = Duration::from_secs(2);
/// The same while nothing is under way: so many round trips, which were long if there was a queue, …
const IDLE_RTTS: u32 = 3;
/// … but at least this.
const IDLE_MIN: Duration = Duration::from_millis(300);

/// Packets that wait for so long show that too much is sent, whatever else is thought of the path.
const STRAIN: Duration = Duration::from_millis(60);
/// Where delays differ, so many times as long more.
const STRAIN_JITTERS: u32 = 4;

/// Less loss than this is not held against the rate beside flows that fill the queue until they lose
/// packets themselves.
const BORNE: f64 = 0.1;

/// Delay-based and loss-based estimation of one path.
#[derive(Debug)]
pub struct Estimator {
    epoch: Instant,
    config: BandwidthConfig,
    stalls: Stalls,
    groups: Groups,
    trendline: Trendline,
    detector: Detector,
    queue: QueueDelay,
    acked: AckedRate,
    aimd: Aimd,
    loss: LossModel,
    remb_bps: Option<u64>,
    batch: Batch,
    /// The latest packet reported on.
    last_id: u64,
    jitter: Jitter,
    rtt: Option<Duration>,
    /// The least of the batch: what the receiver held back until it reported is not of the path.
    round_trip: Option<Duration>,
    /// Whether the batch reports a packet lost.
    has_lost: bool,
    is_application_limited: bool,
    /// What is granted at present, bit/s.
    in_use_bps: u64,
    heard: Option<Instant>,
    outage: Option<Outage>,
    /// Whether anything is under way that feedback should come for, and since when.
    waiting_since: Option<Instant>,
}

/// A packet of which something was heard.
#[derive(Clone, Copy, Debug)]
pub struct Heard {
    /// Its place on the line of departures.
    pub id: u64,
    /// On the wire.
    pub bytes: usize,
    /// When it left, since the estimator was made.
    pub departure: Duration,
    /// Whether it has arrived.
    pub arrived: bool,
    /// When, on the receiver's clock, if that is known.
    pub arrival: Option<Duration>,
    /// It left in a burst meant to fill the path, whose queue is of its own making.
    pub is_probe: bool,
}

/// What is the same for all packets of a batch.
#[derive(Clone, Copy, Debug, Default)]
struct Batch {
    /// When it came, since the estimator was made.
    at: Duration,
    /// What the path is thought to carry.
    link_bps: u64,
}

/// Nothing is heard any more.
#[derive(Clone, Copy, Debug)]
struct Outage {
    /// What arrived before.
    safe_bps: u64,
    /// Whether that has lasted too long for a receiver that is only busy.
    is_dark: bool,
    /// When it is dark, or the rate is halved again.
    next: Instant,
}

impl Estimator {
    /// Nothing is known of the path yet.
    #[must_use]
    pub fn new(now: Instant, config: BandwidthConfig) -> Self {
        let config = config.sane();
        Self {
            epoch: now,
            config,
            stalls: Stalls::default(),
            groups: Groups::default(),
            trendline: Trendline::default(),
            detector: Detector::default(),
            queue: QueueDelay::default(),
            acked: AckedRate::default(),
            aimd: Aimd::new(config.start_bps, config.min_bps, config.max_bps),
            loss: LossModel::default(),
            remb_bps: None,
            batch: Batch::default(),
            last_id: 0,
            jitter: Jitter::default(),
            rtt: None,
            round_trip: None,
            has_lost: false,
            is_application_limited: false,
            in_use_bps: 0,
            heard: None,
            outage: None,
            waiting_since: None,
        }
    }

    /// Takes one packet of a batch, in the order in which they left.
    pub fn on_packet(&mut self, packet: &Heard) -> Usage {
        let &Heard { id, bytes, departure, arrived, arrival, is_probe } = packet;
        self.loss.on_packet(departure, bytes, arrived);
        let last = self.last_id;
        self.last_id = last.max(id);
        if !arrived {
            self.has_lost = true;
            return Usage::Normal;
        }
        let round_trip = self.batch.at.saturating_sub(departure);
        self.round_trip =
            self.round_trip.map_or(Some(round_trip), |least| Some(least.min(round_trip)));
        let Some(arrival) = arrival else { return Usage::Normal };
        let arrival = Arrival {
            times: Times { departure, arrival },
            bytes,
            is_probe,
            is_newest: id > last,
            is_behind_gap: id > last + 1,
        };
        self.stalls.push(arrival, self.batch.link_bps);
        let mut usage = Usage::Normal;
        while let Some(arrival) = self.stalls.pop() {
            if self.on_arrival(&arrival) == Usage::Overuse {
                usage = Usage::Overuse;
            }
        }
        usage
    }

    /// Takes a packet whose times are clear.
    fn on_arrival(&mut self, arrival: &Arrival) -> Usage {
        let times = arrival.times;
        if arrival.is_newest {
            self.acked.on_packet(times.arrival, arrival.bytes, arrival.is_behind_gap);
        }
        self.queue.on_packet(times);
        if arrival.is_probe {
            self.groups.reset();
            self.trendline.reset();
            self.detector.reset();
            return Usage::Normal;
        }
        let Some(spread) = self.groups.on_packet(times) else { return Usage::Normal };
        self.jitter.on_spread(&spread);
        let Some(trend) = self.trendline.on_spread(&spread) else { return Usage::Normal };
        self.detector.on_trend(spread.at, trend, spread.sent)
    }

    /// Whether feedback has come lately. If not, no verdict of then holds any more.
    #[must_use]
    pub fn has_heard(&self, now: Instant) -> bool {
        self.heard.is_some() && self.verdict_ends().is_none_or(|end| now < end)
    }

    /// Until when a verdict holds that no feedback renews.
    #[must_use]
    pub fn verdict_ends(&self) -> Option<Instant> {
        let lasts = match self.waiting_since {
            Some(_) => STALE,
            // Nothing is under way, so that nothing will come; and whatever queued has left.
            None => (IDLE_RTTS * self.rtt()).clamp(IDLE_MIN, STALE),
        };
        self.heard.map(|at| at + lasts)
    }

    /// Before the first packet of a batch.
    pub fn begin(&mut self, now: Instant) {
        let silence = self.heard.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        if silence > SILENCE_MAX.min(2 * self.rtt()).max(SILENCE_MAX / 2) {
            self.groups.reset();
            self.trendline.reset();
            self.detector.reset();
        }
        self.heard = Some(now);
        let at = now.saturating_duration_since(self.epoch);
        self.batch = Batch { at, link_bps: self.target_bps() };
    }

    /// After the last packet of a batch, of which some said `overused`.
    pub fn finish(&mut self, now: Instant, overused: bool) {
        if let Some(sample) = self.round_trip.take() {
            self.on_round_trip(sample);
        }
        if let Some(outage) = self.outage.take() {
            if outage.is_dark {
                // What arrived before is likely to arrive again; a probe finds the rest.
                self.aimd.restart(outage.safe_bps.max(self.aimd.bps()));
            }
            // What was lost in it says nothing of rates.
            self.loss = LossModel::default();
        }
        self.waiting_since = None;
        let signals = Signals {
            usage: if overused { Usage::Overuse } else { self.detector.usage() },
            queue: self.queue_delay(),
            last_queue: self.queue.last(),
            jitter: self.jitter.mean(),
            rtt: self.rtt(),
            acked_bps: self.acked.bps(),
            acked_smooth_bps: self.acked.smooth_bps(),
            inherent_loss: self.loss.inherent(),
            has_lost: std::mem::take(&mut self.has_lost),
            is_application_limited: self.is_application_limited,
        };
        self.aimd.update(now, &signals);
        if self.aimd.is_contested() && self.loss.recent() < BORNE {
            // The others lose as much, and the rate yields to it as theirs do.
            self.loss.release();
        }
        self.loss.update(&Surroundings {
            queue: signals.queue,
            acked_bps: signals.acked_bps,
            delay_bps: self.aimd.bps(),
            is_application_limited: self.is_application_limited,
        });
    }

    /// A packet that had been reported lost is about to be reported as arrived.
    pub fn take_back_loss(&mut self, bytes: usize) {
        self.loss.take_back(bytes);
    }

    /// A probe has got through at this rate; `is_saturated` if it met the limit.
    pub fn on_probed(&mut self, now: Instant, bps: u64, is_saturated: bool) {
        // A cluster of a few packets that a busy receiver was late for shows less than what arrives
        // all the time: it shows nothing.
        let is_refuted = self.acked.smooth_bps().is_some_and(|acked| bps < acked);
        if self.detector.usage() != Usage::Overuse && !is_refuted {
            self.aimd.on_probe(now, bps, is_saturated);
            self.loss.on_probe(bps);
        }
    }

    /// The receiver's own estimate: a cap.
    pub fn on_remb(&mut self, bps: u64) {
        self.remb_bps = Some(bps);
    }

    /// Packets take another path. Half of what the old one carried is kept.
    pub fn on_route_change(&mut self) {
        self.stalls.reset();
        self.groups.reset();
        self.trendline.reset();
        self.detector = Detector::default();
        self.queue.reset();
        self.acked.reset();
        self.loss = LossModel::default();
        self.aimd.restart(self.target_bps() / 2);
        (self.rtt, self.outage, self.remb_bps) = (None, None, None);
    }

    /// Whether the application sends much less than it might.
    pub fn set_application_limited(&mut self, is: bool) {
        if self.is_application_limited != is {
            self.is_application_limited = is;
            self.loss.forget_observations();
        }
    }

    /// What is granted to flow, bit/s.
    pub fn set_in_use(&mut self, bps: u64) {
        self.in_use_bps = bps;
    }

    /// Packets have been under way since then, for which feedback should come; `None`: none are.
    pub fn set_waiting(&mut self, since: Option<Instant>) {
        self.waiting_since = since;
    }

    /// The estimate, bit/s.
    #[must_use]
    pub fn target_bps(&self) -> u64 {
        self.target().0
    }

    /// What sets it.
    #[must_use]
    pub fn limited_by(&self) -> LimitedBy {
        self.target().1
    }

    /// What delay allows, bit/s.
    #[must_use]
    pub fn delay_bps(&self) -> u64 {
        self.aimd.bps()
    }

    /// What loss allows, bit/s, if it limits.
    #[must_use]
    pub fn loss_bps(&self) -> Option<u64> {
        self.loss.limit_bps()
    }

    /// The receiver's own estimate, bit/s.
    #[must_use]
    pub fn remb_bps(&self) -> Option<u64> {
        self.remb_bps
    }

    /// What arrives, bit/s.
    #[must_use]
    pub fn acked_bps(&self) -> Option<u64> {
        self.acked.smooth_bps()
    }

    /// How long packets wait on the way.
    #[must_use]
    pub fn queue_delay(&self) -> Duration {
        self.queue.delay()
    }

    /// How long the last packet has waited: jitter included.
    #[must_use]
    pub fn last_queue_delay(&self) -> Duration {
        self.queue.last()
    }

    /// How much packets' delays differ from one to the next.
    #[must_use]
    pub fn jitter(&self) -> Duration {
        self.jitter.mean()
    }

    /// Share of packets that the path loses whatever the rate, 0 to 1.
    #[must_use]
    pub fn inherent_loss(&self) -> f64 {
        self.loss.inherent()
    }

    /// Share of packets lost of late, 0 to 1.
    #[must_use]
    pub fn recent_loss(&self) -> f64 {
        self.loss.recent()
    }

    /// The smoothed round-trip time, once there is one.
    #[must_use]
    pub fn measured_rtt(&self) -> Option<Duration> {
        self.rtt
    }

    /// Whether packets wait for long.
    #[must_use]
    pub fn is_strained(&self) -> bool {
        let own = self.queue_delay().saturating_sub(self.aimd.foreign_queue());
        !self.aimd.is_contested() && own >= STRAIN + STRAIN_JITTERS * self.jitter.mean()
    }

    /// Whether the estimate is as high as it may ever be.
    #[must_use]
    pub fn is_at_most(&self) -> bool {
        self.target_bps() >= self.config.max_bps
    }

    /// Whether nothing has been heard for longer than a busy receiver takes.
    #[must_use]
    pub fn is_dark(&self) -> bool {
        self.outage.is_some_and(|outage| outage.is_dark)
    }

    /// Whether queues grow, or are being drained, or packets are lost to a limit, or nothing is
    /// heard.
    #[must_use]
    pub fn is_congested(&self) -> bool {
        self.detector.usage() == Usage::Overuse
            || self.aimd.is_draining()
            || self.aimd.is_contested()
            || self.loss.is_decreasing()
            || self.outage.is_some()
    }

    fn rtt(&self) -> Duration {
        self.rtt.unwrap_or(RTT_START)
    }

    /// The estimate in bit/s, and what sets it.
    #[must_use]
    pub fn target(&self) -> (u64, LimitedBy) {
        let mut target = (self.aimd.bps(), LimitedBy::Delay);
        if self.heard.is_none() {
            target.1 = LimitedBy::Start;
        }
        if let Some(outage) = &self.outage {
            target.1 = LimitedBy::Outage;
            if !outage.is_dark {
                // Nothing new is tried, and nothing taken away.
                target.0 = target.0.min(outage.safe_bps.max(self.in_use_bps));
            }
        }
        for (cap, by) in
            [(self.loss.limit_bps(), LimitedBy::Loss), (self.remb_bps, LimitedBy::Remb)]
        {
            if let Some(cap) = cap.filter(|&cap| cap < target.0) {
                target = (cap, by);
            }
        }
        let BandwidthConfig { min_bps, max_bps, .. } = self.config;
        if target.0 <= min_bps || target.0 >= max_bps {
            target.1 = LimitedBy::Bounds;
        }
        (target.0.clamp(min_bps, max_bps), target.1)
    }

    fn on_round_trip(&mut self, sample: Duration) {
        if sample > RTT_MAX {
            return;
        }
        self.rtt = Some(match self.rtt {
            None => sample,
            Some(rtt) => rtt.mul_f64(1.0 - RTT_WEIGHT) + sample.mul_f64(RTT_WEIGHT),
        });
    }

    fn outage_due(&self) -> Option<Instant> {
        match self.outage {
            Some(outage) => self.waiting_since.map(|_| outage.next),
            None => self.waiting_since.map(|since| {
                self.heard.map_or(since, |heard| heard.max(since)) + self.quiet_after()
            }),
        }
    }

    fn quiet_after(&self) -> Duration {
        QUIET_MIN.max(3 * self.rtt())
    }
}

/// Mean difference of the delays of neighbouring groups.
#[derive(Debug, Default)]
struct Jitter {
    seconds: f64,
}

impl Jitter {
    /// As in RFC 3550 §6.4.1.
    const WEIGHT: f64 = 1.0 / 16.0;

    fn on_spread(&mut self, spread: &Spread) {
        self.seconds += ((spread.arrived - spread.sent).abs() - self.seconds) * Self::WEIGHT;
    }

    fn mean(&self) -> Duration {
        Duration::try_from_secs_f64(self.seconds).unwrap_or(Duration::ZERO)
    }
}

impl BandwidthEstimator for Estimator {
    fn on_reports(&mut self, now: Instant, reports: &[PacketReport]) {
        if reports.is_empty() {
            return;
        }
        self.begin(now);
        let mut overused = false;
        for report in reports {
            let heard = Heard {
                id: report.id,
                bytes: report.size,
                departure: report.departure.saturating_duration_since(self.epoch),
                arrived: report.arrived,
                arrival: report.arrival,
                is_probe: false,
            };
            overused |= self.on_packet(&heard) == Usage::Overuse;
        }
        self.finish(now, overused);
    }

    fn target_bitrate(&self) -> f64 {
        self.target_bps() as f64
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.outage_due().is_none_or(|due| now < due) {
            return;
        }
        self.outage = Some(match self.outage {
            None => {
                let arrived_bps = self.acked.smooth_bps().unwrap_or(0);
                let safe_bps = arrived_bps.min(self.target_bps());
                Outage { safe_bps, is_dark: false, next: now + DARK_AFTER }
            }
            Some(Outage { safe_bps, .. }) => {
                self.aimd.on_outage();
                Outage { safe_bps, is_dark: true, next: now + self.quiet_after() }
            }
        });
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.outage_due()
    }

    fn stats(&self) -> EstimatorStats {
        let mut stats = EstimatorStats::default();
        stats.delay_based_bitrate = Some(self.aimd.bps() as f64);
        stats.loss_based_bitrate = self.loss.limit_bps().map(|bps| bps as f64);
        stats.packet_loss = Some(self.loss.recent());
        stats.round_trip_time = self.rtt;
        stats
    }
}

impl BandwidthConfig {
    /// In order, whatever was configured.
    fn sane(self) -> Self {
        let max_bps = self.max_bps.clamp(1, limits::ESTIMATE_BPS_MAX);
        let min_bps = self.min_bps.clamp(1, max_bps);
        Self { start_bps: self.start_bps.clamp(min_bps, max_bps), min_bps, max_bps }
    }
}

#[cfg(test)]
mod tests;
