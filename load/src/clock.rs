//! [`Clock`]: one line of time for schedules ([`Instant`]) and for the kernel's receive stamps
//! (nanoseconds since the Unix epoch).

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The two clocks, read together once. A step of the wall clock during a run would show as delay.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
    origin_ns: u64,
}

impl Clock {
    /// Reads both clocks.
    #[must_use]
    pub fn start() -> Self {
        // Between two readings of one clock, so that being interrupted does not put them apart.
        let mut best: Option<(Duration, Self)> = None;
        for _ in 0..8 {
            let before = Instant::now();
            let wall = SystemTime::now();
            let gap = before.elapsed();
            let since = wall.duration_since(UNIX_EPOCH).expect("the clock is set after 1970");
            let origin_ns = u64::try_from(since.as_nanos()).expect("until 2554");
            if best.is_none_or(|(shortest, _)| gap < shortest) {
                best = Some((gap, Self { origin: before + gap / 2, origin_ns }));
            }
        }
        best.expect("eight readings").1
    }

    /// Nanoseconds since the Unix epoch.
    #[must_use]
    pub fn wall_ns(&self, at: Instant) -> u64 {
        let after = at.saturating_duration_since(self.origin).as_nanos();
        let before = self.origin.saturating_duration_since(at).as_nanos();
        self.origin_ns + after as u64 - before as u64
    }
}

/// CPU time of this thread, in nanoseconds.
#[must_use]
pub fn thread_cpu_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}
