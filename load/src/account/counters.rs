//! [`Counters`] and [`Delays`]: sums over the clients of a thread, and over threads.

use hdrhistogram::Histogram;
use serde::Serialize;

/// Counts since the thread began; differences of two readings are what a span brought.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Counters {
    /// Datagrams received.
    pub datagrams: u64,
    /// Their bytes, without UDP and IP headers.
    pub bytes: u64,
    /// System calls that received at least one.
    pub receive_calls: u64,
    /// Media packets that were new, recovered ones included, padding not.
    pub delivered: u64,
    /// Of these, packets that came by retransmission.
    pub recovered: u64,
    /// Media and retransmitted packets that had come before.
    pub duplicates: u64,
    /// Retransmission packets without content: probes.
    pub padding: u64,
    /// RTP packets that were decrypted.
    pub opened: u64,
    /// SRTP and SRTCP packets that did not decrypt.
    pub undecryptable: u64,
    /// SRTP that came before the keys.
    pub before_keys: u64,
    /// Decrypted packets without a stamp of ours.
    pub foreign: u64,
    /// Packets thrown away on purpose.
    pub thrown_away: u64,
    /// Packets asked for again.
    pub nacked: u64,
    /// RTCP datagrams sent.
    pub rtcp_sent: u64,
    /// Keyframe requests received for what we publish.
    pub keyframe_requests: u64,
    /// Datagrams that the kernel would not send.
    pub send_errors: u64,
    /// CPU time of the thread, in nanoseconds.
    pub cpu_ns: u64,
}

impl Counters {
    /// Applies `f` to each pair of fields.
    fn zip(self, other: Self, f: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            datagrams: f(self.datagrams, other.datagrams),
            bytes: f(self.bytes, other.bytes),
            receive_calls: f(self.receive_calls, other.receive_calls),
            delivered: f(self.delivered, other.delivered),
            recovered: f(self.recovered, other.recovered),
            duplicates: f(self.duplicates, other.duplicates),
            padding: f(self.padding, other.padding),
            opened: f(self.opened, other.opened),
            undecryptable: f(self.undecryptable, other.undecryptable),
            before_keys: f(self.before_keys, other.before_keys),
            foreign: f(self.foreign, other.foreign),
            thrown_away: f(self.thrown_away, other.thrown_away),
            nacked: f(self.nacked, other.nacked),
            rtcp_sent: f(self.rtcp_sent, other.rtcp_sent),
            keyframe_requests: f(self.keyframe_requests, other.keyframe_requests),
            send_errors: f(self.send_errors, other.send_errors),
            cpu_ns: f(self.cpu_ns, other.cpu_ns),
        }
    }

    /// The sum of both.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        self.zip(other, |a, b| a + b)
    }

    /// What came since `earlier`.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        self.zip(earlier, u64::saturating_sub)
    }
}

/// Delays from due to received, in nanoseconds.
#[derive(Clone, Debug)]
pub struct Delays {
    histogram: Histogram<u64>,
    /// Beyond this a packet is late, in nanoseconds.
    late_after: u64,
    /// Packets that were.
    pub late: u64,
}

/// Longest delay that is told from longer ones.
const DELAY_MAX_NS: u64 = 60_000_000_000;

impl Delays {
    /// None yet.
    #[must_use]
    pub fn new(late_after: std::time::Duration) -> Self {
        let histogram = Histogram::new_with_bounds(100, DELAY_MAX_NS, 3);
        Self {
            histogram: histogram.expect("bounds in order, three digits"),
            late_after: u64::try_from(late_after.as_nanos()).unwrap_or(u64::MAX),
            late: 0,
        }
    }

    /// Notes one.
    pub fn record(&mut self, delay_ns: u64) {
        self.histogram.saturating_record(delay_ns);
        self.late += u64::from(delay_ns > self.late_after);
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.histogram.reset();
        self.late = 0;
    }

    /// Takes in those of another thread.
    pub fn add(&mut self, other: &Self) {
        self.histogram.add(&other.histogram).expect("histograms of one shape");
        self.late += other.late;
    }

    /// How many.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// The delay which `quantile` of the packets do not exceed, in microseconds.
    #[must_use]
    pub fn at_us(&self, quantile: f64) -> f64 {
        self.histogram.value_at_quantile(quantile) as f64 / 1e3
    }

    /// The longest, in microseconds.
    #[must_use]
    pub fn max_us(&self) -> f64 {
        self.histogram.max() as f64 / 1e3
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn late_is_counted_and_quantiles_are_of_all_threads() {
        let (mut a, mut b) = (Delays::new(Duration::from_millis(1)), Delays::new(Duration::ZERO));
        for us in 1..=100 {
            a.record(us * 20_000);
        }
        assert_eq!(a.late, 50);
        b.record(9_000_000_000);
        a.add(&b);
        assert_eq!((a.count(), a.late), (101, 51));
        assert!((a.at_us(0.5) - 1020.0).abs() < 2.0, "{}", a.at_us(0.5));
        assert!((a.max_us() - 9e6).abs() < 1e4);
        a.clear();
        assert_eq!((a.count(), a.late), (0, 0));
    }
}
