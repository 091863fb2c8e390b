//! What a client makes of one receiving m-line: asks for what is missing, reports, judges.

use std::time::Duration;

use rtcp::reception_report::ReceptionReport;
use sfu_core::id::{Mid, ParticipantId, TrackId};
use sfu_core::negotiation::{MediaKind, MediaSection};
use sfu_core::rtp::packet::RtpPacket;

use super::arrivals::{Arrival, Arrivals};
use super::playout::{Packet, Playout, note_gap};
use super::quality::{Quality, Violation};
use super::rtcp as feedback;
use crate::wire::{Stamp, vp8_start};

/// Round-trip time assumed before one is measured.
const RTT_UNKNOWN: Duration = Duration::from_millis(100);
/// Between keyframe requests.
const PLI_INTERVAL: Duration = Duration::from_millis(500);
const AUDIO_TICKS_PER_MS: i128 = 48;
/// How far an audio timestamp may be off the time that passed.
const TIMESTAMP_TOLERANCE_MS: u128 = 300;

/// One receiving m-line.
#[derive(Debug)]
pub struct Receiver {
    mid: Mid,
    kind: MediaKind,
    /// SSRC and payload types of media, and of retransmissions.
    ssrc: u32,
    rtx_ssrc: Option<u32>,
    payload_types: Vec<u8>,
    rtx_payload_types: Vec<u8>,
    carries: Option<(ParticipantId, TrackId)>,
    first_sequence: Option<u16>,
    arrivals: Arrivals,
    playout: Playout,
    audio: AudioState,
    quality: Quality,
    /// Middle 32 bits of the last sender report's NTP time, and when it came.
    last_report: Option<(u32, Duration)>,
    asked: Option<Duration>,
    /// Test hook: packets are taken in but nothing is asked for.
    silent: bool,
}

#[derive(Debug, Default)]
struct AudioState {
    last: Option<(Stamp, u32)>,
    heard: Option<Duration>,
}

impl Receiver {
    pub(crate) fn new(mid: Mid, media: &MediaSection) -> Option<Self> {
        let send = media.send.as_ref()?;
        Some(Self {
            mid,
            kind: media.kind,
            ssrc: send.ssrc.0,
            rtx_ssrc: send.rtx_ssrc.map(|ssrc| ssrc.0),
            payload_types: media.codecs.iter().map(|codec| codec.payload_type.0).collect(),
            rtx_payload_types: media.codecs.iter().filter_map(|c| Some(c.rtx?.0)).collect(),
            carries: None,
            first_sequence: None,
            arrivals: Arrivals::default(),
            playout: Playout::default(),
            audio: AudioState::default(),
            quality: Quality::default(),
            last_report: None,
            asked: None,
            silent: false,
        })
    }

    /// Its m-line.
    #[must_use]
    pub fn mid(&self) -> &Mid {
        &self.mid
    }

    /// Audio or video.
    #[must_use]
    pub fn kind(&self) -> MediaKind {
        self.kind
    }

    /// The SSRC of its media.
    #[must_use]
    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// What the engine says it carries.
    #[must_use]
    pub fn carries(&self) -> Option<(ParticipantId, TrackId)> {
        self.carries
    }

    /// The sequence number its line began with.
    #[must_use]
    pub fn first_sequence(&self) -> Option<u16> {
        self.first_sequence
    }

    /// The stamp of the frame or audio packet that was last played.
    #[must_use]
    pub fn playing(&self) -> Option<Stamp> {
        match self.kind {
            MediaKind::Audio => self.audio.last.map(|(stamp, _)| stamp),
            MediaKind::Video => self.playout.stamp(),
        }
    }

    /// The judgement so far.
    #[must_use]
    pub fn quality(&self) -> &Quality {
        &self.quality
    }

    /// The judgement if all ended at `now`: what is missing is lost, and a freeze is one.
    #[must_use]
    pub fn quality_at(&self, now: Duration) -> Quality {
        let mut quality = self.quality.clone();
        quality.lost += self.arrivals.outstanding();
        if let Some(gap) = self.playout.open_gap(now) {
            note_gap(gap, &mut quality);
        }
        quality
    }

    /// Whether it asks for packets and keyframes at all.
    pub fn set_silent(&mut self, silent: bool) {
        self.silent = silent;
    }

    /// A gap that comes now is meant: the source is paused, resumed or another one.
    pub(crate) fn interrupt(&mut self, now: Duration) {
        self.playout.interrupt(now);
        self.audio = AudioState::default();
    }

    pub(crate) fn assign(&mut self, now: Duration, carries: Option<(ParticipantId, TrackId)>) {
        if self.carries != carries {
            self.carries = carries;
            self.interrupt(now);
        }
    }

    /// Another offer was answered; the SSRC must not have changed, or it is another receiver.
    pub(crate) fn fits(&self, media: &MediaSection) -> bool {
        media.send.as_ref().is_some_and(|send| send.ssrc.0 == self.ssrc)
    }

    pub(crate) fn owns(&self, ssrc: u32) -> bool {
        self.ssrc == ssrc || self.rtx_ssrc == Some(ssrc)
    }

    pub(crate) fn handle_rtp(&mut self, now: Duration, packet: &RtpPacket<'_>) {
        let payload_type = packet.payload_type().0;
        let repeated = packet.ssrc().0 != self.ssrc;
        let agreed = if repeated { &self.rtx_payload_types } else { &self.payload_types };
        if !agreed.contains(&payload_type) {
            return self.quality.violation(Violation::PayloadType(payload_type));
        }
        let (sequence, payload) = match packet.payload().split_first_chunk::<2>() {
            Some((original, payload)) if repeated => (u16::from_be_bytes(*original), payload),
            _ => (packet.sequence(), packet.payload()),
        };
        if self.first_sequence.is_none() {
            self.first_sequence = Some(sequence);
            if sequence >= 0x8000 {
                self.quality.violation(Violation::HighStart { sequence });
            }
        }
        let index = match self.arrivals.note(now, sequence, !repeated) {
            Arrival::New(index) | Arrival::Late(index) => index,
            Arrival::Duplicate(_) if repeated => {
                self.quality.needless_repairs += 1;
                return;
            }
            Arrival::Duplicate(_) => {
                self.quality.duplicates += 1;
                return;
            }
        };
        self.quality.packets += 1;
        self.quality.repaired += u64::from(repeated);
        if payload.is_empty() {
            return self.quality.violation(Violation::Empty { index });
        }
        let Some(stamp) = Stamp::read(payload) else {
            return self.quality.violation(Violation::Content { index });
        };
        match self.kind {
            MediaKind::Audio => self.hear(now, index, packet.timestamp(), stamp),
            MediaKind::Video => {
                let Some((start, keyframe)) = vp8_start(payload) else {
                    return self.quality.violation(Violation::Content { index });
                };
                if start != (stamp.part == 0) || (start && keyframe != stamp.keyframe) {
                    self.quality.violation(Violation::Content { index });
                }
                let (timestamp, marker) = (packet.timestamp(), packet.marker());
                let packet = Packet { timestamp, marker, start, stamp };
                self.playout.insert(now, index, packet, &mut self.quality);
            }
        }
    }

    fn hear(&mut self, now: Duration, index: u64, timestamp: u32, stamp: Stamp) {
        self.quality.frames += 1;
        let before = self.audio.last.filter(|(last, _)| last.source == stamp.source);
        if let Some((last, last_timestamp)) = before {
            match stamp.frame.checked_sub(last.frame + 1) {
                Some(missed) => self.quality.frames_missed += u64::from(missed),
                // Overtaken, and counted as missed then.
                None => {
                    self.quality.frames_missed = self.quality.frames_missed.saturating_sub(1);
                    return;
                }
            }
            let ticks = timestamp.wrapping_sub(last_timestamp).cast_signed();
            let sent = stamp.sent.saturating_sub(last.sent).as_millis();
            let off = (i128::from(ticks) / AUDIO_TICKS_PER_MS - sent.cast_signed()).unsigned_abs();
            if ticks <= 0 {
                self.quality.violation(Violation::TimestampBack { index, ticks });
            } else if off > TIMESTAMP_TOLERANCE_MS {
                self.quality.violation(Violation::TimestampJump { index, ticks });
            }
        }
        self.audio.last = Some((stamp, timestamp));
        if let Some(heard) = self.audio.heard.replace(now) {
            self.quality.longest_gap = self.quality.longest_gap.max(now - heard);
        }
        self.quality.longest_delay = self.quality.longest_delay.max(now - stamp.sent);
    }

    pub(crate) fn on_sender_report(&mut self, now: Duration, ntp: u64) {
        self.last_report = Some(((ntp >> 16) as u32, now));
    }

    /// When [`Receiver::poll`] has something to do.
    pub(crate) fn wake(&self) -> Option<Duration> {
        if self.kind == MediaKind::Audio || self.silent {
            return None;
        }
        let pli = self
            .playout
            .is_broken()
            .then(|| self.asked.map_or(Duration::ZERO, |a| a + PLI_INTERVAL));
        self.arrivals.wake().into_iter().chain(pli).min()
    }

    /// Asks for what is missing.
    pub(crate) fn poll(
        &mut self,
        now: Duration,
        rtt: Option<Duration>,
        sender: u32,
    ) -> Vec<Vec<u8>> {
        let mut messages = Vec::new();
        if self.silent {
            return messages;
        }
        let (mut ask, mut given_up) = (Vec::new(), Vec::new());
        self.arrivals.poll(now, rtt.unwrap_or(RTT_UNKNOWN), &mut ask, &mut given_up);
        // Audio has no retransmission; what is missing is only counted, once it is old.
        if !ask.is_empty() && self.kind == MediaKind::Video {
            self.quality.nacked += ask.len() as u64;
            messages.push(feedback::nack(sender, self.ssrc, &ask));
        }
        for index in given_up {
            self.quality.lost += 1;
            if self.kind == MediaKind::Video {
                self.playout.lose(now, index, &mut self.quality);
            }
        }
        let stuck = self.playout.is_broken() || self.playout.is_starving(now);
        if stuck && self.asked.is_none_or(|asked| asked + PLI_INTERVAL <= now) {
            self.asked = Some(now);
            self.quality.plis += 1;
            messages.push(feedback::pli(sender, self.ssrc));
        }
        messages
    }

    /// A report block, once something has come.
    pub(crate) fn report(&mut self, now: Duration) -> Option<ReceptionReport> {
        let (highest, lost, fraction_lost) = self.arrivals.report()?;
        let (last_sender_report, delay) = self
            .last_report
            .map_or((0, 0), |(ntp, at)| (ntp, (feedback::ntp(now - at) >> 16) as u32));
        let lost = lost.clamp(-0x80_0000, 0x7f_ffff);
        Some(ReceptionReport {
            ssrc: self.ssrc,
            fraction_lost,
            total_lost: (lost as i32).cast_unsigned() & 0xff_ffff,
            last_sequence_number: highest,
            jitter: 0,
            last_sender_report,
            delay,
        })
    }
}
