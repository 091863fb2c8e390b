//! When the server is full: new joins are refused while every worker is busy all the time, so that
//! those who are in calls keep what they have.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::Sessions;

/// How often is looked: workers measure their load over a second.
const INTERVAL: Duration = Duration::from_secs(1);
/// A server is full when it has looked so as often in a row. Keyframes after a burst of joins are
/// over sooner.
const SAMPLES: u32 = 5;
/// How far load must have fallen, in per cent, before joins are accepted again: not so little that
/// each of them fills the server anew.
const RELIEF: f32 = 10.0;

/// Looks at loads, one after the other.
#[derive(Debug, Default)]
struct Watch {
    in_a_row: u32,
    is_full: bool,
}

impl Watch {
    /// Whether the server is full, after a second in which the least busy worker had this load;
    /// both in per cent.
    fn sample(&mut self, load: f32, max_load: u8) -> bool {
        let max = f32::from(max_load);
        self.in_a_row = if load >= max { self.in_a_row + 1 } else { 0 };
        self.is_full = if self.is_full { load >= max - RELIEF } else { self.in_a_row >= SAMPLES };
        self.is_full
    }
}

impl Sessions {
    /// Watches the workers' load as long as there is a session layer.
    pub(crate) fn watch_load(self: &Arc<Self>) {
        let sessions: Weak<Self> = Arc::downgrade(self);
        self.runtime.spawn(async move {
            let mut watch = Watch::default();
            let mut shedders = Vec::new();
            let mut interval = tokio::time::interval(INTERVAL);
            loop {
                interval.tick().await;
                let Some(sessions) = sessions.upgrade() else { return };
                let loads = sessions.media.loads();
                sessions.shed_video(&mut shedders, &loads);
                let load = loads.iter().copied().fold(1.0, f32::min);
                let max_load = sessions.settings.now().limits.max_load;
                let is_full = watch.sample(100.0 * load, max_load);
                if sessions.is_overloaded.swap(is_full, Ordering::Relaxed) != is_full {
                    let what = if is_full { "joins are refused" } else { "joins are accepted" };
                    tracing::warn!("{what}: the least busy worker is at {:.0} %", 100.0 * load);
                }
            }
        });
    }

    /// Whether joins are refused because all workers are busy.
    pub(crate) fn is_overloaded(&self) -> bool {
        self.is_overloaded.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lasting_load_refuses_and_only_relief_accepts_again() {
        let mut watch = Watch::default();
        let loads = [99.0, 99.0, 99.0, 99.0, 50.0, 99.0, 99.0, 99.0, 99.0];
        assert!(loads.iter().all(|load| !watch.sample(*load, 97)), "never five in a row");
        assert!(watch.sample(99.0, 97));
        assert!(watch.sample(90.0, 97), "not relieved by one who leaves");
        assert!(!watch.sample(86.0, 97));
        assert!(!watch.sample(99.0, 97), "and it takes as long as before to be full again");
    }
}
