//! What a client tells the engine of how packets arrive: transport-wide feedback, congestion control
//! feedback (RFC 8888), or a bitrate (REMB), each as the bytes that a browser would send.

use std::collections::BTreeMap;
use std::time::Duration;

use super::rtcp;
use crate::plan::Feedback;

/// Transport-wide numbers or sequence numbers of one message at most.
const PACKETS_MAX: u64 = 2000;
/// A number that jumps further starts anew.
const JUMP_MAX: u64 = 8000;
/// Between REMBs.
const REMB_INTERVAL: Duration = Duration::from_secs(1);

/// Arrivals that are not told of yet, by unwrapped number.
#[derive(Debug, Default)]
struct Line {
    highest: Option<u64>,
    /// The first number that the next message tells of.
    next: u64,
    arrivals: Vec<(u64, Duration)>,
}

impl Line {
    fn note(&mut self, now: Duration, sequence: u16) {
        let index = match self.highest {
            None => (1 << 16) + u64::from(sequence),
            Some(highest) => {
                let distance = sequence.wrapping_sub(highest as u16).cast_signed();
                highest.saturating_add_signed(i64::from(distance))
            }
        };
        if self.highest.is_none_or(|highest| index.abs_diff(highest) > JUMP_MAX) {
            self.next = index;
            self.arrivals.clear();
        }
        self.highest = Some(self.highest.map_or(index, |highest| highest.max(index)));
        self.next = self.next.min(index);
        self.arrivals.push((index, now));
    }

    /// What came since the last call, by number, from the first number to tell of on.
    fn take(&mut self) -> Option<(u64, Vec<Option<Duration>>)> {
        if self.arrivals.is_empty() {
            return None;
        }
        self.arrivals.sort_unstable_by_key(|&(index, at)| (index, at));
        self.arrivals.dedup_by_key(|&mut (index, _)| index);
        let last = self.arrivals.last().expect("not empty").0;
        let base = self.next.max(last.saturating_sub(PACKETS_MAX));
        let mut all = vec![None; (last - base + 1) as usize];
        for &(index, at) in self.arrivals.iter().filter(|&&(index, _)| index >= base) {
            all[(index - base) as usize] = Some(at);
        }
        self.arrivals.clear();
        self.next = last + 1;
        Some((base, all))
    }
}

/// What is to be told.
#[derive(Debug)]
pub(crate) struct Recorder {
    plan: Feedback,
    /// When the next message goes, once something has come.
    next: Option<Duration>,
    transport: Line,
    by_ssrc: BTreeMap<u32, Line>,
    count: u8,
}

impl Recorder {
    pub(crate) fn new(plan: Feedback) -> Self {
        Self { plan, next: None, transport: Line::default(), by_ssrc: BTreeMap::new(), count: 0 }
    }

    /// Values of `a=rtcp-fb` for video.
    pub(crate) fn offered(&self) -> &'static [&'static str] {
        match self.plan {
            Feedback::TransportWide(_) | Feedback::Silent => {
                &["goog-remb", "transport-cc", "ccm fir", "nack", "nack pli"]
            }
            Feedback::Rfc8888(_) => &["ack ccfb", "ccm fir", "nack", "nack pli"],
            Feedback::Remb(_) => &["goog-remb", "ccm fir", "nack", "nack pli"],
            Feedback::None => &["ccm fir", "nack", "nack pli"],
        }
    }

    /// Takes a packet's arrival. `transport`: its transport-wide number.
    pub(crate) fn note(&mut self, now: Duration, transport: Option<u16>, ssrc: u32, sequence: u16) {
        let interval = match self.plan {
            Feedback::Silent | Feedback::None => return,
            Feedback::Remb(_) => REMB_INTERVAL,
            Feedback::TransportWide(interval) => {
                let Some(transport) = transport else { return };
                self.transport.note(now, transport);
                interval
            }
            Feedback::Rfc8888(interval) => {
                self.by_ssrc.entry(ssrc).or_default().note(now, sequence);
                interval
            }
        };
        if self.next.is_none() {
            self.next = Some(now + interval);
        }
    }

    pub(crate) fn wake(&self) -> Option<Duration> {
        self.next
    }

    /// Gives each message that is due to `send`.
    pub(crate) fn poll(&mut self, now: Duration, sender: u32, mut send: impl FnMut(&[u8])) {
        if self.next.is_none_or(|next| next > now) {
            return;
        }
        self.next = None;
        match self.plan {
            Feedback::Silent | Feedback::None => {}
            Feedback::Remb(rate) => {
                send(&rtcp::remb(sender, rate, &[]));
                self.next = Some(now + REMB_INTERVAL);
            }
            Feedback::TransportWide(_) => {
                let Some((base, arrivals)) = self.transport.take() else { return };
                let mut at = 0;
                while at < arrivals.len() {
                    let rest = &arrivals[at..];
                    let first = base + at as u64;
                    let (message, told) =
                        rtcp::transport_wide(sender, 0, first as u16, rest, self.count);
                    self.count = self.count.wrapping_add(1);
                    send(&message);
                    at += told;
                }
            }
            Feedback::Rfc8888(_) => {
                let mut reports = Vec::new();
                for (&ssrc, line) in &mut self.by_ssrc {
                    if let Some((base, arrivals)) = line.take() {
                        reports.push((ssrc, base as u16, arrivals));
                    }
                }
                send(&rtcp::rfc8888(sender, now, &reports));
            }
        }
    }
}
