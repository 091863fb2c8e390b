//! Everything the sender of one transport knows of its path: what left, what came back, what to try.
//!
//! Rates are bit/s on the wire: UDP payload and [`OVERHEAD_BYTES`] for each packet.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use interceptor::BandwidthEstimator;

use super::alr::Alr;
use super::detector::Usage;
use super::estimator::{Estimator, Heard};
use super::feedback::{CcfbReader, TwccReader, TwccStatus};
use super::groups::Times;
use super::probe::Clusters;
use super::prober::{Mood, Prober};
use super::record::{Fate, News, SendRecord};
use crate::decision::{Estimate, ProbeReason};
use crate::drops::DropReason;
use crate::id::Ssrc;
use crate::limits;

/// What IPv4 and UDP add to each payload. (IPv6 adds 20 more, which is within the margin.)
pub const OVERHEAD_BYTES: usize = 28;

/// A last packet of a burst that has waited for longer says that the path is slow for bursts; …
const BURST_DELAY_MAX: Duration = Duration::from_millis(10);
/// … and where delays vary by more from one group to the next, packets sent together overtake each
/// other.
const BURST_JITTER_MAX: Duration = Duration::from_millis(4);

/// Where the estimate starts and stays, bit/s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BandwidthConfig {
    /// Before anything is known.
    pub start_bps: u64,
    /// The estimate never falls below.
    pub min_bps: u64,
    /// The estimate never rises above.
    pub max_bps: u64,
}

impl Default for BandwidthConfig {
    fn default() -> Self {
        Self { start_bps: 300_000, min_bps: 30_000, max_bps: limits::ESTIMATE_BPS_MAX }
    }
}

/// What a packet is to the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SentKind {
    /// Never paced.
    Audio,
    /// A first transmission.
    Video,
    /// RTX with something in it.
    Retransmission,
    /// Nothing but a probe's filling.
    Padding,
}

/// Names a probe cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProbeId(pub u32);

/// A packet that leaves.
#[derive(Clone, Copy, Debug)]
pub struct Departure {
    /// As written in the packet.
    pub ssrc: Ssrc,
    /// As written in the packet.
    pub sequence: u16,
    /// UDP payload.
    pub bytes: usize,
    /// What it is.
    pub kind: SentKind,
    /// The probe cluster that it is part of, whatever it carries.
    pub probe: Option<ProbeId>,
}

/// A burst to be sent, of media where there is some and of padding where not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// To be given with each of its packets.
    pub id: ProbeId,
    /// How fast, bit/s on the wire, [`OVERHEAD_BYTES`] included.
    pub bitrate_bps: u64,
    /// For how long at least.
    pub duration: Duration,
    /// How many packets at least.
    pub packets_min: u8,
    /// Why it goes out.
    pub why: ProbeReason,
}

/// The sender's side of congestion control for one transport.
#[derive(Debug)]
pub struct SendSide {
    record: SendRecord,
    twcc: TwccReader,
    /// The number of the last transport-wide feedback, and the packet behind those it reported on.
    twcc_end: Option<(u8, u64)>,
    ccfb: CcfbReader,
    estimator: Estimator,
    alr: Alr,
    prober: Prober,
    clusters: Clusters,
    /// Results nobody has fetched yet, oldest first.
    probed: VecDeque<u64>,
    /// Retransmissions found lost that nobody has fetched yet.
    lost_again: Vec<(Ssrc, u16)>,
    allocated_bps: u64,
    /// The latest time that was told.
    now: Instant,
    /// Scratch: what one feedback message brought.
    news: Vec<Reported>,
}

/// A packet of which a feedback message brought something new.
#[derive(Clone, Copy, Debug)]
struct Reported {
    news: News,
    arrival: Option<Duration>,
}

impl SendSide {
    /// Nothing is known of the path yet.
    #[must_use]
    pub fn new(now: Instant, config: BandwidthConfig) -> Self {
        let estimator = Estimator::new(now, config);
        let start_bps = estimator.target_bps();
        Self {
            record: SendRecord::new(now),
            twcc: TwccReader::default(),
            twcc_end: None,
            ccfb: CcfbReader::default(),
            alr: Alr::new(now, start_bps),
            prober: Prober::new(start_bps, config.max_bps.min(limits::ESTIMATE_BPS_MAX)),
            estimator,
            clusters: Clusters::default(),
            probed: VecDeque::new(),
            lost_again: Vec::new(),
            allocated_bps: 0,
            now,
            news: Vec::new(),
        }
    }

    /// Numbers and records an outgoing packet.
    pub fn record(&mut self, now: Instant, departure: Departure) {
        self.now = self.now.max(now);
        let waited = self.record.settled_index();
        let index = self.record.push(now, &departure);
        // What waits for the longest is mostly still the same.
        if waited == index || waited != self.record.settled_index() {
            self.estimator.set_waiting(self.record.oldest_in_flight());
        }
        let bytes = departure.bytes.saturating_add(OVERHEAD_BYTES);
        if let Some(id) = departure.probe {
            self.clusters.on_sent(id, bytes);
        }
        if departure.kind != SentKind::Padding {
            self.alr.on_sent(now, bytes);
        }
        self.prober.start();
    }

    /// The transport-wide number of the next recorded packet; written into it before it is sealed.
    #[must_use]
    pub fn next_sequence(&self) -> u16 {
        self.record.next_index() as u16
    }

    /// Transport-wide feedback, a whole RTCP block.
    ///
    /// # Errors
    /// [`DropReason::RtcpMalformed`]; nothing of it was used then.
    pub fn on_twcc(&mut self, now: Instant, block: &[u8]) -> Result<(), DropReason> {
        let report = self.twcc.read(block).ok_or(DropReason::RtcpMalformed)?;
        let base = self.record.index_of(report.base);
        self.news.clear();
        // A receiver that leaves packets out between two messages has not got them. If a message
        // was lost instead, nobody knows.
        if let Some((number, end)) = self.twcc_end
            && number.wrapping_add(1) == report.feedback_count
        {
            self.lose(end, base);
        }
        report.statuses(|offset, status| {
            let index = base + u64::from(offset);
            match status {
                TwccStatus::Lost(times) => self.lose(index, index + u64::from(times)),
                TwccStatus::Arrived(at) => self.settle(index, true, Some(at)),
            }
        });
        let end = (base + u64::from(report.count)).min(self.record.next_index());
        if self.twcc_end.is_none_or(|(_, known)| end > known) {
            self.twcc_end = Some((report.feedback_count, end));
        }
        self.digest(now);
        Ok(())
    }

    /// Congestion control feedback (RFC 8888), a whole RTCP block.
    ///
    /// # Errors
    /// [`DropReason::RtcpMalformed`]; nothing of it was used then.
    pub fn on_ccfb(&mut self, now: Instant, block: &[u8]) -> Result<(), DropReason> {
        let report = self.ccfb.read(block).ok_or(DropReason::RtcpMalformed)?;
        self.news.clear();
        report.metrics(|metric| {
            if let Some(index) = self.record.find(metric.ssrc, metric.sequence) {
                self.settle(index, metric.arrived, metric.arrival);
            }
        });
        // Source by source in the report, but one line of packets on the path.
        self.news.sort_unstable_by_key(|reported| reported.news.sent.index);
        self.digest(now);
        Ok(())
    }

    /// The receiver's own estimate.
    pub fn on_remb(&mut self, now: Instant, bps: u64) {
        self.estimator.on_remb(bps);
        self.follow(now);
    }

    /// Packets take another path from now on.
    pub fn on_route_change(&mut self, now: Instant) {
        let before = self.estimator.target_bps();
        self.estimator.on_route_change();
        self.clusters.clear();
        self.alr = Alr::new(now, self.estimator.target_bps());
        self.prober.on_route_change(before, self.estimator.target_bps());
        self.follow(now);
    }

    /// What the subscriber would take if it could, and what is allocated to it now, bit/s.
    pub fn set_demand(&mut self, now: Instant, wanted_bps: u64, allocated_bps: u64) {
        self.allocated_bps = allocated_bps;
        self.estimator.set_in_use(allocated_bps);
        self.follow(now);
        self.prober.set_allocated(allocated_bps);
        self.prober.set_wanted(wanted_bps);
        if wanted_bps > 0 {
            self.prober.start();
        }
    }

    /// What the path is thought to carry.
    #[must_use]
    pub fn estimate(&self) -> Estimate {
        let estimator = &self.estimator;
        let (target_bps, limited_by) = estimator.target();
        Estimate {
            target_bps,
            limited_by,
            delay_bps: estimator.delay_bps(),
            loss_bps: estimator.loss_bps(),
            remb_bps: estimator.remb_bps(),
            acknowledged_bps: estimator.acked_bps(),
            rtt: estimator.measured_rtt(),
            loss: estimator.recent_loss() as f32,
        }
    }

    /// A probe that should go out now, if any. To be asked after everything that may have changed
    /// the mind: feedback, demand, and [`Self::handle_timeout`].
    pub fn poll_probe(&mut self, now: Instant) -> Option<Probe> {
        let probe = self.prober.poll(now, self.estimator.jitter())?;
        self.clusters.on_issued(now, probe);
        Some(probe)
    }

    /// What a finished probe has shown, bit/s.
    pub fn poll_probed(&mut self) -> Option<u64> {
        self.probed.pop_front()
    }

    /// The source and the sequence number of a retransmission that was lost itself. Receivers are
    /// slow to ask a second time, and some never do.
    pub fn poll_lost_again(&mut self) -> Option<(Ssrc, u16)> {
        self.lost_again.pop()
    }

    /// Does what became due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.record.prune(now);
        self.estimator.set_waiting(self.record.oldest_in_flight());
        self.estimator.handle_timeout(now);
        self.alr.handle_timeout(now);
        self.take_probes(now);
        self.follow(now);
    }

    /// When [`Self::handle_timeout`] wants to be called, and [`Self::poll_probe`] after it.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        [
            self.estimator.poll_timeout(),
            self.prober.next_timeout(self.now),
            self.clusters.next_timeout(),
            // Who is paused for a verdict and sent nothing would never hear that it is over.
            self.verdict_ends(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Packets sent of which nothing was ever heard.
    #[must_use]
    pub fn unreported(&self) -> u64 {
        self.record.unreported()
    }

    /// How long packets wait on the way: their delay above the least of the last seconds.
    #[must_use]
    pub fn queue_delay(&self) -> Duration {
        self.estimator.queue_delay()
    }

    /// Whether a frame that leaves at once is through the path about as soon as if its packets had
    /// been spread: the last one reported on has hardly waited, nor do delays vary by much.
    #[must_use]
    pub fn takes_bursts(&self) -> bool {
        self.estimator.last_queue_delay() <= BURST_DELAY_MAX
            && self.estimator.jitter() <= BURST_JITTER_MAX
    }

    /// Whether what was heard of late shows that too much is sent: a queue. Loss without one may have
    /// any reason.
    #[must_use]
    pub fn is_strained(&self, now: Instant) -> bool {
        self.estimator.has_heard(now) && self.estimator.is_strained()
    }

    /// Whether the estimate is as high as estimates go: the path may well carry more.
    #[must_use]
    pub fn is_at_most(&self) -> bool {
        self.estimator.is_at_most()
    }

    /// Whether nothing has been heard for so long that what is sent is likely lost.
    #[must_use]
    pub fn is_dark(&self) -> bool {
        self.estimator.is_dark()
    }

    /// The receiver has not got the packets from `first` to before `end`.
    fn lose(&mut self, first: u64, end: u64) {
        let (oldest, next) = (self.record.oldest_index(), self.record.next_index());
        for index in first.max(oldest)..end.min(next) {
            self.settle(index, false, None);
        }
    }

    fn settle(&mut self, index: u64, arrived: bool, arrival: Option<Duration>) {
        if let Some(news) = self.record.settle(index, arrived) {
            self.news.push(Reported { news, arrival });
        }
    }

    /// When what speaks against probing is forgotten.
    fn verdict_ends(&self) -> Option<Instant> {
        let ends = self.estimator.verdict_ends().filter(|_| self.estimator.is_congested());
        ends.filter(|&at| at > self.now)
    }

    /// Passes on what a message brought.
    fn digest(&mut self, now: Instant) {
        if !self.news.is_empty() {
            self.estimator.begin(now);
            let mut overused = false;
            for at in 0..self.news.len() {
                let reported = self.news[at];
                overused |= self.digest_packet(&reported) == Usage::Overuse;
            }
            self.estimator.finish(now, overused);
        }
        self.record.prune(now);
        self.estimator.set_waiting(self.record.oldest_in_flight());
        self.take_probes(now);
        self.follow(now);
    }

    fn digest_packet(&mut self, reported: &Reported) -> Usage {
        let Reported { news: News { sent, before }, arrival } = *reported;
        let arrived = sent.fate == Fate::Arrived;
        if let Some(id) = sent.probe {
            match arrival {
                Some(arrival) if arrived => {
                    let times = Times { departure: sent.departure, arrival };
                    self.clusters.on_arrived(id, times, usize::from(sent.bytes));
                }
                _ => self.clusters.on_lost(id),
            }
        }
        if !arrived && sent.kind == SentKind::Retransmission {
            self.lost_again.push((sent.ssrc, sent.sequence));
        }
        if before == Fate::Lost {
            self.estimator.take_back_loss(usize::from(sent.bytes));
        }
        self.estimator.on_packet(&Heard {
            id: sent.index,
            bytes: usize::from(sent.bytes),
            departure: sent.departure,
            arrived,
            arrival,
            is_probe: sent.probe.is_some(),
        })
    }

    /// Evaluates the probes that are complete.
    fn take_probes(&mut self, now: Instant) {
        while let Some(probed) = self.clusters.poll(now, self.estimator.inherent_loss()) {
            if let Some(bps) = probed.bitrate_bps {
                self.estimator.on_probed(now, bps, probed.is_saturated);
                if self.probed.len() == limits::PROBE_RESULTS_MAX {
                    self.probed.pop_front();
                }
                self.probed.push_back(bps);
            }
            self.prober.on_probed(&probed);
        }
    }

    /// Tells everyone what is thought of the path now.
    fn follow(&mut self, now: Instant) {
        self.now = self.now.max(now);
        let target = self.estimator.target_bps();
        self.alr.set_estimate(target);
        let is_limited = self.alr.since().is_some() || self.is_little_allocated(target);
        self.estimator.set_application_limited(is_limited);
        let mood = match self.estimator.loss_bps() {
            _ if self.estimator.is_congested() && self.estimator.has_heard(now) => Mood::Congested,
            Some(_) => Mood::Recovering,
            None => Mood::Free,
        };
        self.prober.on_estimate(now, target, mood, is_limited);
        self.prober.handle_timeout(now);
    }

    /// What is allocated is much less than could be, so that what is sent will be too.
    fn is_little_allocated(&self, target_bps: u64) -> bool {
        self.allocated_bps > 0 && self.allocated_bps < target_bps / 2
    }
}

#[cfg(test)]
mod tests;
