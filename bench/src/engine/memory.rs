//! What the engine keeps: bytes of its live allocations, by the counting allocator.

use anyhow::Result;
use serde::Serialize;
use sfu_core::limits::HISTORY_PAGE_BYTES;

use super::USUAL;
use super::call::{Call, Script};
use crate::results::{Findings, Table};

/// Peers that are counted together.
const PEERS: usize = 100;
/// Frames until records and histories have their full length: 20 s.
const FRAMES: usize = 600;
/// Few and many subscribers of one publisher.
const FEW_AND_MANY: [usize; 2] = [10, 500];
const PEER_KIB_MAX: f64 = 64.0;
const SUBSCRIPTION_KIB_MAX: f64 = 32.0;
const PAYLOAD_GROWTH_MAX: f64 = 1.05;

#[derive(Debug, Serialize)]
pub(super) struct Memory {
    /// Bytes of a connected peer that neither sends nor receives.
    idle_peer: f64,
    /// Bytes more of a peer with one video subscription.
    subscription: f64,
    /// Bytes of published payloads kept for retransmission, with few and with many subscribers.
    payloads: [u64; 2],
}

pub(super) fn measure() -> Result<Memory> {
    let mut call = Call::idle(script(PEERS))?;
    let idle_peer = call.meter.allocated.live_bytes as f64 / PEERS as f64;
    call.meter.reset();
    call.play(FRAMES, false)?;
    // The publisher's history is not the subscribers'.
    let payloads = payload_bytes(&call) as f64;
    let subscription = (call.meter.allocated.live_bytes as f64 - payloads) / PEERS as f64;
    let mut kept = [0; 2];
    for (kept, subscribers) in kept.iter_mut().zip(FEW_AND_MANY) {
        let mut call = Call::idle(script(subscribers))?;
        call.play(FRAMES, false)?;
        *kept = payload_bytes(&call);
    }
    Ok(Memory { idle_peer, subscription, payloads: kept })
}

fn payload_bytes(call: &Call) -> u64 {
    call.engine.stats().history_pages * HISTORY_PAGE_BYTES as u64
}

fn script(subscribers: usize) -> Script {
    Script { subscribers, batch: 4, payload_bytes: 1100, feedback: USUAL }
}

impl Memory {
    pub(super) fn report(&self, findings: &mut Findings) {
        let [few, many] = self.payloads.map(|bytes| bytes as f64);
        let [fewest, most] = FEW_AND_MANY;
        let mut table = Table::new(
            "Memory, by live allocations of the engine alone (1 Mbit/s of video, after 20 s):",
            &["what", "bytes"],
        );
        table.row(["idle peer".to_owned(), format!("{:.0}", self.idle_peer)]);
        table.row(["added subscription".to_owned(), format!("{:.0}", self.subscription)]);
        for (subscribers, bytes) in FEW_AND_MANY.iter().zip(self.payloads) {
            let what = format!("payloads kept with {subscribers} subscribers");
            table.row([what, bytes.to_string()]);
        }
        findings.tables.push(table);
        let kib = |bytes: f64| (bytes / 1024.0).into();
        findings.at_most("idle peer, KiB", kib(self.idle_peer), PEER_KIB_MAX);
        findings.at_most("added subscription, KiB", kib(self.subscription), SUBSCRIPTION_KIB_MAX);
        let what = format!("payloads kept, {most} subscribers ÷ {fewest}");
        findings.at_most(&what, (many / few).into(), PAYLOAD_GROWTH_MAX);
    }
}
