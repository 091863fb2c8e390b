//! Whether the server takes newcomers. A drain asked for by the API can be taken back; that of a
//! server which was told to end cannot.

use std::sync::atomic::{AtomicU8, Ordering};

const OPEN: u8 = 0;
const DRAINING: u8 = 1;
const ENDING: u8 = 2;

/// See the module. It only ever goes back from draining to open.
#[derive(Debug, Default)]
pub(super) struct Doorkeeper(AtomicU8);

impl Doorkeeper {
    pub(super) fn is_draining(&self) -> bool {
        self.0.load(Ordering::Relaxed) != OPEN
    }

    /// Refuses newcomers. True if it took them until now.
    pub(super) fn drain(&self) -> bool {
        self.0.fetch_max(DRAINING, Ordering::Relaxed) == OPEN
    }

    /// Refuses newcomers for good.
    pub(super) fn end(&self) {
        self.0.fetch_max(ENDING, Ordering::Relaxed);
    }

    /// Takes newcomers again. False if that is over.
    pub(super) fn open(&self) -> bool {
        let before = self.0.compare_exchange(DRAINING, OPEN, Ordering::Relaxed, Ordering::Relaxed);
        before != Err(ENDING)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drain_can_be_taken_back_and_the_end_cannot() {
        let door = Doorkeeper::default();
        assert!(door.open() && !door.is_draining(), "nothing to take back");
        assert!(door.drain() && !door.drain() && door.is_draining(), "once");
        assert!(door.open() && !door.is_draining());
        door.end();
        assert!(!door.open() && door.is_draining() && !door.drain());
    }
}
