//! [`Microphone`]: Opus packets of 20 ms, with audio levels.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::port::{Numbers, Port};
use crate::account::Source;
use crate::clock::Clock;
use crate::sdp::OPUS;
use crate::wire::header::{Template, extension};
use crate::wire::stamp::{STAMP_BYTES, Stamp};

/// Samples of 20 ms at 48 kHz (RFC 7587 §4.1).
const SAMPLES: u64 = 960;
const INTERVAL: Duration = Duration::from_millis(20);
/// How long each of the simulated speakers speaks.
const SPEECH: Duration = Duration::from_secs(4);
/// Of who speaks, and of who does not, in -dBov.
const LOUD: u8 = 25;
const QUIET: u8 = 100;

/// How much sound to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioPlan {
    /// Length of each packet as it leaves: header, payload and tag, in bytes.
    pub packet_bytes: usize,
    /// Place in the round of speakers, and how many there are; `None`: everybody speaks all the
    /// time.
    pub turn: Option<(u64, u64)>,
}

/// See the module.
pub struct Microphone {
    plan: AudioPlan,
    template: Template,
    ssrc: u32,
    source: Arc<Source>,
    start: Instant,
    packets: u64,
    index_start: u64,
    timestamp_start: u32,
    filler: Vec<u8>,
    report_at: Instant,
}

impl Microphone {
    /// A microphone whose first packet is due at `start`.
    #[must_use]
    pub fn new(
        plan: AudioPlan,
        ssrc: u32,
        source: Arc<Source>,
        tag_bytes: usize,
        start: Instant,
    ) -> Self {
        let extensions: [(u8, &[u8]); 2] =
            [(extension::TRANSPORT, &[0, 0]), (extension::AUDIO_LEVEL, &[0x80 | LOUD])];
        let template = Template::new(OPUS, ssrc, &extensions);
        let payload = plan.packet_bytes.saturating_sub(template.len() + tag_bytes);
        Self {
            plan,
            template,
            ssrc,
            source,
            start,
            packets: 0,
            index_start: u64::from(rand::random::<u16>() >> 1),
            timestamp_start: rand::random(),
            // A byte before the stamp: Opus's own, 20 ms of CELT in mono.
            filler: vec![0xf8; payload.max(STAMP_BYTES + 1)],
            report_at: start,
        }
    }

    /// When the next packet is due.
    #[must_use]
    pub fn due(&self) -> Instant {
        self.start + Duration::from_nanos(self.packets * INTERVAL.as_nanos() as u64)
    }

    /// Sends the packet that is due.
    pub fn send_packet(&mut self, clock: &Clock, port: &mut Port) {
        let due = self.due();
        let speaks = self.speaks(due);
        self.template.set_level(speaks, if speaks { LOUD } else { QUIET });
        let timestamp = self.timestamp_start.wrapping_add((self.packets * SAMPLES) as u32);
        let due_ns = clock.wall_ns(due);
        let numbers = Numbers { index: self.index_start + self.packets, timestamp, marker: false };
        let stamp = Stamp { source: self.source.id, sequence: self.source.next(), due_ns };
        port.send(&self.template, numbers, |out| {
            let start = out.len();
            out.extend_from_slice(&self.filler);
            stamp.write(&mut out[start..]);
        });
        self.packets += 1;
        if self.report_at <= due {
            self.report_at += Duration::from_secs(1);
            let octets = self.packets * self.filler.len() as u64;
            port.report(self.ssrc, due_ns, timestamp, self.packets, octets);
        }
    }

    fn speaks(&self, due: Instant) -> bool {
        let Some((place, speakers)) = self.plan.turn else { return true };
        let turn = (due - self.start).as_millis() / SPEECH.as_millis();
        turn % u128::from(speakers.max(1)) == u128::from(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::Sources;

    #[test]
    fn speakers_take_turns() {
        let start = Instant::now();
        let of = |place| {
            let plan = AudioPlan { packet_bytes: 136, turn: Some((place, 3)) };
            Microphone::new(plan, 1, Sources::default().add(), 16, start)
        };
        for second in 0..24 {
            let at = start + Duration::from_secs(second);
            let speaking: Vec<_> = (0..3).filter(|&place| of(place).speaks(at)).collect();
            assert_eq!(speaking, [second / 4 % 3]);
        }
    }

    #[test]
    fn packets_have_the_size_that_was_asked_for() {
        let plan = AudioPlan { packet_bytes: 136, turn: None };
        let microphone = Microphone::new(plan, 1, Sources::default().add(), 16, Instant::now());
        assert_eq!(microphone.template.len() + microphone.filler.len() + 16, 136);
    }
}
