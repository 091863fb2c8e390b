//! The lab's own pacer: packets leave at a rate, in short bursts, retransmissions first.

use std::collections::VecDeque;
use std::time::Duration;

use super::flow::{Class, Piece};

/// Above this time in the queue the rate is raised so that it drains in time.
const QUEUE_TIME_MAX: Duration = Duration::from_secs(2);

/// How a pacer behaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PacerConfig {
    /// Pacing rate, in estimates.
    pub factor: f64,
    /// What would be sent within this time may leave at once.
    pub burst: Duration,
}

impl Default for PacerConfig {
    fn default() -> Self {
        Self { factor: 1.1, burst: Duration::from_millis(5) }
    }
}

/// A packet that waits to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Size at the IP level.
    pub bytes: u32,
    /// What it counts as.
    pub class: Class,
    /// Which piece of the media it is, unless it is padding.
    pub piece: Option<Piece>,
}

/// Two queues and a line that is free again at some time.
#[derive(Debug, Default)]
pub struct Pacer {
    config: PacerConfig,
    again: VecDeque<Waiting>,
    media: VecDeque<Waiting>,
    bytes: u64,
    free_at: Duration,
    /// Sending until the line is taken for [`PacerConfig::burst`].
    bursting: bool,
}

impl Pacer {
    /// An empty one.
    #[must_use]
    pub fn new(config: PacerConfig) -> Self {
        Self { config, ..Self::default() }
    }

    /// Queues a packet.
    pub fn push(&mut self, waiting: Waiting) {
        self.bytes += u64::from(waiting.bytes);
        match waiting.class {
            Class::Retransmission => self.again.push_back(waiting),
            _ => self.media.push_back(waiting),
        }
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Forgets retransmissions of pieces before `sequence`: what follows does without them.
    pub fn forget_before(&mut self, sequence: u64) {
        let bytes = &mut self.bytes;
        self.again.retain(|waiting| {
            let stale = waiting.piece.is_some_and(|piece| piece.sequence < sequence);
            *bytes -= if stale { u64::from(waiting.bytes) } else { 0 };
            !stale
        });
    }

    /// When a packet may leave, if any waits.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        (!self.is_empty()).then_some(if self.bursting { Duration::ZERO } else { self.free_at })
    }

    /// The packet to send now at an estimate of `target_bps`, if one may leave.
    pub fn poll(&mut self, now: Duration, target_bps: u64) -> Option<Waiting> {
        if self.free_at <= now {
            self.bursting = true;
        } else if self.free_at > now + self.config.burst {
            self.bursting = false;
        }
        if !self.bursting {
            return None;
        }
        let waiting = self.again.pop_front().or_else(|| self.media.pop_front())?;
        let rate = self.rate_bps(target_bps);
        self.bytes -= u64::from(waiting.bytes);
        self.free_at = self.free_at.max(now) + time_for(waiting.bytes, rate);
        Some(waiting)
    }

    /// The next packet in line, whatever the rate: for a probe, which has its own.
    pub fn take(&mut self, now: Duration, target_bps: u64) -> Option<Waiting> {
        let rate = self.rate_bps(target_bps);
        let waiting = self.again.pop_front().or_else(|| self.media.pop_front())?;
        self.bytes -= u64::from(waiting.bytes);
        self.free_at = self.free_at.max(now) + time_for(waiting.bytes, rate);
        Some(waiting)
    }

    fn rate_bps(&self, target_bps: u64) -> f64 {
        #[allow(clippy::cast_precision_loss, reason = "rates and queues are far below 2^52")]
        let (target, bits) = (target_bps as f64, (self.bytes * 8) as f64);
        (target * self.config.factor).max(bits / QUEUE_TIME_MAX.as_secs_f64())
    }
}

/// How long so many bytes take at a rate in bit/s.
pub(crate) fn time_for(bytes: u32, rate_bps: f64) -> Duration {
    Duration::from_secs_f64(f64::from(bytes) * 8.0 / rate_bps.max(1000.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEDIA: Waiting = Waiting { bytes: 1000, class: Class::Media, piece: None };
    const AGAIN: Waiting = Waiting { class: Class::Retransmission, ..MEDIA };

    /// When the packets of a full queue leave, each with its class.
    fn drain(pacer: &mut Pacer, target_bps: u64) -> Vec<(Duration, Class)> {
        let mut sent = Vec::new();
        let mut now = Duration::ZERO;
        while let Some(due) = pacer.poll_timeout() {
            now = now.max(due);
            sent.extend(pacer.poll(now, target_bps).map(|waiting| (now, waiting.class)));
        }
        sent
    }

    #[test]
    fn packets_leave_at_the_rate_in_bursts_of_the_length_asked_for() {
        // At 1.0 × 1 Mbit/s 1000 bytes are 8 ms: bursts of 20 ms are three packets.
        let config = PacerConfig { factor: 1.0, burst: Duration::from_millis(20) };
        let mut pacer = Pacer::new(config);
        (0..9).for_each(|_| pacer.push(MEDIA));
        let at: Vec<_> =
            drain(&mut pacer, 1_000_000).iter().map(|(at, _)| at.as_millis()).collect();
        assert_eq!(at, [0, 0, 0, 24, 24, 24, 48, 48, 48]);
    }

    #[test]
    fn retransmissions_come_first() {
        let mut pacer = Pacer::new(PacerConfig::default());
        pacer.push(MEDIA);
        pacer.push(AGAIN);
        let classes: Vec<_> =
            drain(&mut pacer, 1_000_000).into_iter().map(|(_, class)| class).collect();
        assert_eq!(classes, [Class::Retransmission, Class::Media]);
    }

    #[test]
    fn a_long_queue_drains_in_two_seconds() {
        let mut pacer = Pacer::new(PacerConfig::default());
        (0..1000).for_each(|_| pacer.push(MEDIA));
        // Eight seconds at the rate of the estimate; each packet raises the rate no more.
        let first_half = drain(&mut pacer, 1_000_000)[500].0;
        assert!(first_half < Duration::from_secs(2), "{first_half:?}");
    }
}
