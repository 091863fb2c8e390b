//! Temporary.
use crate::bandwidth::allocate::{Budget, Demands, Grant};
use crate::decision::{Estimate, Record, What};
use std::collections::VecDeque;
use std::time::Duration;
/// x
#[derive(Debug, Default)]
pub struct Recorder {
    records: VecDeque<Record>,
    last: u64,
}
impl Recorder {
    /// x
    pub fn note(&mut self, at: Duration, what: What) {
        if self.records.len() >= 256 {
            self.records.pop_front();
        }
        self.records.push_back(Record { at, what });
    }
    /// x
    pub fn note_estimate(&mut self, at: Duration, e: &Estimate) {
        if e.target_bps.abs_diff(self.last) * 20 > self.last {
            self.last = e.target_bps;
            self.note(at, What::Estimate(*e));
        }
    }
    /// x
    pub fn note_run(&mut self, b: &Budget, _: &Demands, g: &[Grant]) {
        self.note(
            b.now,
            What::Allocated {
                budget_bps: b.estimate_bps,
                grants: g.iter().map(|g| (g.track, g.layer, g.reason)).collect(),
            },
        );
    }
    /// x
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.records.iter()
    }
}
