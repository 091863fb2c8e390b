//! What a client knows of its way up: the transport-wide numbers it gave out, and what the engine's
//! feedback says became of them. Enough to know whether it is too thin.

use std::time::Duration;

use rtcp::transport_feedbacks::transport_layer_cc::{
    PacketStatusChunk, SymbolTypeTcc, TransportLayerCc,
};

/// Packets whose sending times are kept.
const SENT_MAX: usize = 4096;
/// Share lost of one feedback that says "too much".
const LOSS_MAX: f64 = 0.1;
/// Queueing delay that does.
const QUEUE_MAX: Duration = Duration::from_millis(200);
/// Between two steps down: a full queue must have had time to empty.
const DOWN_INTERVAL: Duration = Duration::from_secs(3);
/// Without trouble before a step up.
const UP_INTERVAL: Duration = Duration::from_secs(10);
/// Packets of one feedback from which a share means something.
const PACKETS_MIN: u32 = 10;

/// What to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Advice {
    Less,
    More,
}

/// The way up.
#[derive(Debug, Default)]
pub(crate) struct Uplink {
    sequence: u16,
    /// By sequence number modulo the size; empty unless it watches.
    sent: Vec<Duration>,
    /// The quickest way up so far: arrival on the engine's clock less sending on ours, in µs.
    quickest: Option<i64>,
    moved: Duration,
    trouble: Duration,
    reduced: u32,
}

impl Uplink {
    /// `watches`: whether it will be asked for advice.
    pub(crate) fn new(first: u16, watches: bool) -> Self {
        let sent = if watches { vec![Duration::ZERO; SENT_MAX] } else { Vec::new() };
        Self { sequence: first, sent, ..Self::default() }
    }

    /// The number of a packet that goes now.
    pub(crate) fn next(&mut self, now: Duration) -> u16 {
        let sequence = self.sequence;
        self.sequence = sequence.wrapping_add(1);
        if let Some(place) = self.sent.get_mut(usize::from(sequence) % SENT_MAX) {
            *place = now;
        }
        sequence
    }

    /// Takes feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01).
    pub(crate) fn feedback(&mut self, now: Duration, told: &TransportLayerCc) -> Option<Advice> {
        if self.sent.is_empty() {
            return None;
        }
        let mut arrival = i64::from(told.reference_time) * 64_000;
        let mut deltas = told.recv_deltas.iter();
        let (mut packets, mut lost, mut least) = (0, 0, None);
        for (sequence, symbol) in symbols(told) {
            packets += 1;
            if symbol == SymbolTypeTcc::PacketNotReceived {
                lost += 1;
                continue;
            }
            arrival += deltas.next()?.delta;
            let sent = self.sent[usize::from(sequence) % SENT_MAX].as_micros() as i64;
            let way = arrival - sent;
            least = Some(least.map_or(way, |least: i64| least.min(way)));
        }
        let least = least?;
        let quickest = self.quickest.map_or(least, |quickest| quickest.min(least));
        self.quickest = Some(quickest);
        let queue = Duration::from_micros((least - quickest).unsigned_abs());
        let lossy = packets >= PACKETS_MIN && f64::from(lost) / f64::from(packets) > LOSS_MAX;
        self.advise(now, lossy || queue > QUEUE_MAX)
    }

    fn advise(&mut self, now: Duration, trouble: bool) -> Option<Advice> {
        if trouble {
            self.trouble = now;
            if now < self.moved + DOWN_INTERVAL {
                return None;
            }
            self.moved = now;
            self.reduced += 1;
            return Some(Advice::Less);
        }
        if self.reduced == 0 || now < self.trouble.max(self.moved) + UP_INTERVAL {
            return None;
        }
        self.moved = now;
        self.reduced -= 1;
        Some(Advice::More)
    }
}

/// Each packet reported on: its number and what became of it.
fn symbols(told: &TransportLayerCc) -> impl Iterator<Item = (u16, SymbolTypeTcc)> {
    let all = told.packet_chunks.iter().flat_map(|chunk| match chunk {
        PacketStatusChunk::RunLengthChunk(run) => {
            vec![run.packet_status_symbol; run.run_length.into()]
        }
        PacketStatusChunk::StatusVectorChunk(vector) => vector.symbol_list.clone(),
    });
    let count = usize::from(told.packet_status_count);
    (told.base_sequence_number..=u16::MAX).chain(0..=u16::MAX).zip(all).take(count)
}
