//! [`Progress`]: one line on the terminal that says how it goes.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use crate::fleet::{Fleet, FleetUse};

/// Between two of its states.
const INTERVAL: Duration = Duration::from_secs(1);

/// Silent unless standard error is a terminal.
pub(super) struct Progress {
    shown: bool,
    last: (Instant, FleetUse),
}

impl Progress {
    pub(super) fn new(fleet: &Fleet, quiet: bool) -> Self {
        let shown = !quiet && std::io::stderr().is_terminal();
        Self { shown, last: (Instant::now(), fleet.used()) }
    }

    /// Shows `what` and rates while `work` goes on.
    pub(super) async fn during<T>(
        &mut self,
        fleet: &Fleet,
        what: &str,
        work: impl Future<Output = T>,
    ) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            match tokio::time::timeout(INTERVAL, &mut work).await {
                Ok(outcome) => return outcome,
                Err(_) => self.show(fleet, what),
            }
        }
    }

    fn show(&mut self, fleet: &Fleet, what: &str) {
        if !self.shown {
            return;
        }
        let (now, used) = (Instant::now(), fleet.used());
        let seconds = (now - self.last.0).as_secs_f64();
        let new = used.counters.since(self.last.1.counters);
        let line = format!(
            "{what}: {} connected, {} over, {:.0} packets/s, {:.1} Mbit/s, {} recovered",
            used.connected,
            used.over,
            new.delivered as f64 / seconds,
            new.bytes as f64 * 8.0 / seconds / 1e6,
            used.counters.recovered,
        );
        // A terminal that is gone is no reason to stop.
        _ = write!(std::io::stderr(), "\r\x1b[K{line}");
        self.last = (now, used);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
