//! [`Sources`]: how much each published encoding has sent, for those who count what arrives.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

/// One published encoding.
#[derive(Debug)]
pub struct Source {
    /// Its name in stamps.
    pub id: u32,
    sent: AtomicU64,
}

impl Source {
    /// Packets sent so far, retransmissions not counted.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Acquire)
    }

    /// Notes one more; its number.
    pub fn next(&self) -> u64 {
        self.sent.fetch_add(1, Ordering::AcqRel)
    }
}

/// All published encodings of a process.
#[derive(Clone, Debug, Default)]
pub struct Sources(Arc<Mutex<HashMap<u32, Arc<Source>>>>);

impl Sources {
    /// A new source with a random name.
    #[must_use]
    pub fn add(&self) -> Arc<Source> {
        let mut sources = self.0.lock();
        loop {
            let id = rand::random::<u32>();
            if id != 0 && !sources.contains_key(&id) {
                let source = Arc::new(Source { id, sent: AtomicU64::new(0) });
                sources.insert(id, Arc::clone(&source));
                return source;
            }
        }
    }

    /// The source of this name.
    #[must_use]
    pub fn get(&self, id: u32) -> Option<Arc<Source>> {
        self.0.lock().get(&id).cloned()
    }

    /// Packets sent by all of them.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.0.lock().values().map(|source| source.sent()).sum()
    }
}
