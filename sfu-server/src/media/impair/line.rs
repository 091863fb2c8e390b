//! One direction of a bad network: a queue that loses, holds up and throttles. A pure function of
//! what comes, of time and of chance.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sfu_core::transport::Path;

/// A participant's network, as it is made worse on purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Impairment {
    /// From the server to the participant.
    pub(crate) downlink: Leg,
    /// From the participant to the server.
    pub(crate) uplink: Leg,
}

/// One direction. What is 0 or absent is not impaired.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Leg {
    /// How many of a hundred datagrams are lost, each by chance: 0 to 100.
    pub(crate) loss_percent: f32,
    /// Milliseconds that each takes longer: 0 to 5000.
    pub(crate) delay_ms: u32,
    /// What passes in kbit/s: 0 (all) or 8 to 1000000. Half a second of it waits, the rest is lost.
    pub(crate) rate_kbps: u32,
    /// Seconds, from now on, in which nothing passes: 0 to 120.
    pub(crate) cut_seconds: u32,
}

/// The longest delay that can be asked for.
const DELAY_MS_MAX: u32 = 5000;
/// The smallest rate: a datagram of 1200 bytes takes 1.2 s.
const RATE_KBPS_MIN: u32 = 8;
/// The largest rate.
const RATE_KBPS_MAX: u32 = 1_000_000;
/// The longest cut.
const CUT_SECONDS_MAX: u32 = 120;
/// What waits for a throttled line at most, as home routers have it.
const WAIT_MAX: Duration = Duration::from_millis(500);
/// What a line holds at most: 5 s of 6 Mbit/s. More is lost.
const LINE_BYTES_MAX: usize = 4 * 1024 * 1024;

impl Leg {
    /// Whether its values are within bounds.
    pub(crate) fn is_valid(&self) -> bool {
        (0.0..=100.0).contains(&self.loss_percent)
            && self.delay_ms <= DELAY_MS_MAX
            && (self.rate_kbps == 0 || (RATE_KBPS_MIN..=RATE_KBPS_MAX).contains(&self.rate_kbps))
            && self.cut_seconds <= CUT_SECONDS_MAX
    }
}

/// A direction of one peer.
pub(super) struct Line {
    leg: Leg,
    cut_until: Option<Instant>,
    /// When the throttle has let pass what it took.
    free_at: Instant,
    /// In the order in which they came, which is that in which they are due.
    held: VecDeque<Held>,
    held_bytes: usize,
}

struct Held {
    due: Instant,
    path: Path,
    datagram: Box<[u8]>,
}

impl Line {
    pub(super) fn new(now: Instant) -> Self {
        let (leg, held) = (Leg::default(), VecDeque::new());
        Self { leg, cut_until: None, free_at: now, held, held_bytes: 0 }
    }

    /// What comes from now on finds this line; what is on it stays.
    pub(super) fn set(&mut self, now: Instant, leg: Leg) {
        self.leg = leg;
        let cut = Duration::from_secs(leg.cut_seconds.into());
        self.cut_until = (!cut.is_zero()).then(|| now + cut);
    }

    /// Whether it does nothing, and holds nothing.
    pub(super) fn is_good(&self) -> bool {
        self.leg == Leg::default() && self.held.is_empty()
    }

    /// When the next datagram is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.held.front().map(|held| held.due)
    }

    /// Takes a datagram, or loses it. `chance` gives a number from 0 to 1.
    pub(super) fn take(
        &mut self,
        now: Instant,
        path: Path,
        datagram: &[u8],
        chance: impl FnOnce() -> f32,
    ) {
        if self.cut_until.is_some_and(|until| now < until) {
            return;
        }
        self.cut_until = None;
        if chance() * 100.0 < self.leg.loss_percent
            || self.held_bytes + datagram.len() > LINE_BYTES_MAX
        {
            return;
        }
        let mut due = now;
        if self.leg.rate_kbps > 0 {
            let start = self.free_at.max(now);
            if start.saturating_duration_since(now) > WAIT_MAX {
                return;
            }
            let bits = datagram.len() as u64 * 8;
            // Bits by kbit/s are milliseconds.
            let takes = Duration::from_nanos(bits * 1_000_000 / u64::from(self.leg.rate_kbps));
            self.free_at = start + takes;
            due = self.free_at;
        }
        due += Duration::from_millis(self.leg.delay_ms.into());
        // Nobody overtakes, though the delay may have become shorter.
        due = due.max(self.held.back().map_or(due, |last| last.due));
        self.held_bytes += datagram.len();
        self.held.push_back(Held { due, path, datagram: datagram.into() });
    }

    /// The next datagram that is due.
    pub(super) fn next(&mut self, now: Instant) -> Option<(Path, Box<[u8]>)> {
        let held = self.held.pop_front_if(|held| held.due <= now)?;
        self.held_bytes -= held.datagram.len();
        Some((held.path, held.datagram))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn line(start: Instant, leg: Leg) -> Line {
        let mut line = Line::new(start);
        line.set(start, leg);
        line
    }

    fn path() -> Path {
        Path::udp(([192, 0, 2, 1], 1), None)
    }

    /// The times, in ms, at which what came at `came` passes, each datagram of 1000 bytes.
    fn passes(leg: Leg, came: &[u64], chances: impl Fn(usize) -> f32) -> Vec<(u8, u64)> {
        let start = Instant::now();
        let mut line = line(start, leg);
        let mut passed = Vec::new();
        for now in 0..20_000 {
            let at = start + ms(now);
            for (n, _) in came.iter().enumerate().filter(|(_, came)| **came == now) {
                line.take(at, path(), &[u8::try_from(n).unwrap(); 1000], || chances(n));
            }
            while let Some((_, datagram)) = line.next(at) {
                passed.push((datagram[0], now));
            }
        }
        assert_eq!((line.held_bytes, line.due()), (0, None));
        passed
    }

    #[test]
    fn a_good_line_and_a_long_one_keep_order_and_time() {
        assert_eq!(passes(Leg::default(), &[0, 1, 1], |_| 0.0), [(0, 0), (1, 1), (2, 1)]);
        let leg = Leg { delay_ms: 120, ..Leg::default() };
        assert_eq!(passes(leg, &[0, 5], |_| 0.0), [(0, 120), (1, 125)]);
    }

    #[test]
    fn what_chance_says_is_lost() {
        let leg = Leg { loss_percent: 10.0, ..Leg::default() };
        let chances = [0.0, 0.0999, 0.1, 0.9];
        assert_eq!(passes(leg, &[0; 4], |n| chances[n]), [(2, 0), (3, 0)]);
        let all = Leg { loss_percent: 100.0, ..Leg::default() };
        assert_eq!(passes(all, &[0], |_| 0.999_999_9), []);
        assert_eq!(
            passes(Leg::default(), &[0], |_| 0.0),
            [(0, 0)],
            "no loss, whatever chance says"
        );
    }

    #[test]
    fn a_throttle_spaces_datagrams_and_half_a_second_waits() {
        // 8000 bits at 80 kbit/s: 100 ms each.
        let leg = Leg { rate_kbps: 80, ..Leg::default() };
        let passed = passes(leg, &[0; 9], |_| 0.0);
        assert_eq!(passed, [(0, 100), (1, 200), (2, 300), (3, 400), (4, 500), (5, 600)]);
    }

    #[test]
    fn a_cut_ends_by_itself() {
        let leg = Leg { cut_seconds: 2, ..Leg::default() };
        assert_eq!(passes(leg, &[0, 1000, 1999, 2000], |_| 0.0), [(3, 2000)]);
    }

    #[test]
    fn nobody_overtakes_where_the_delay_becomes_shorter() {
        let start = Instant::now();
        let mut line = line(start, Leg { delay_ms: 500, ..Leg::default() });
        line.take(start, path(), &[1], || 0.0);
        line.set(start, Leg::default());
        line.take(start + ms(1), path(), &[2], || 0.0);
        assert!(!line.is_good(), "something is on it");
        assert_eq!(line.next(start + ms(499)), None);
        assert_eq!(line.next(start + ms(500)).map(|(_, d)| d[0]), Some(1));
        assert_eq!(line.next(start + ms(500)).map(|(_, d)| d[0]), Some(2));
        assert!(line.is_good());
    }

    #[test]
    fn what_a_line_holds_is_bounded() {
        let start = Instant::now();
        let mut line = line(start, Leg { delay_ms: 5000, ..Leg::default() });
        for _ in 0..5000 {
            line.take(start, path(), &[0; 1200], || 0.0);
        }
        assert_eq!(line.held.len(), LINE_BYTES_MAX / 1200);
    }

    #[test]
    fn bounds_are_those_that_are_documented() {
        for (leg, want) in [
            (Leg { loss_percent: 100.0, delay_ms: 5000, rate_kbps: 8, cut_seconds: 120 }, true),
            (Leg { loss_percent: 100.1, ..Leg::default() }, false),
            (Leg { loss_percent: -0.1, ..Leg::default() }, false),
            (Leg { loss_percent: f32::NAN, ..Leg::default() }, false),
            (Leg { delay_ms: 5001, ..Leg::default() }, false),
            (Leg { rate_kbps: 7, ..Leg::default() }, false),
            (Leg { rate_kbps: 1_000_001, ..Leg::default() }, false),
            (Leg { cut_seconds: 121, ..Leg::default() }, false),
        ] {
            assert_eq!(leg.is_valid(), want, "{leg:?}");
        }
    }
}
