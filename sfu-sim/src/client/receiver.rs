//! What a client makes of one receiving m-line: asks for what is missing, reports, judges.

use std::time::Duration;

use rtcp::reception_report::ReceptionReport;
use sfu_core::id::{Mid, ParticipantId, TrackId};
use sfu_core::negotiation::{Codec, MediaKind, MediaSection};
use sfu_core::rtp::extension::Extension;

use super::arrivals::{Arrival, Arrivals};
use super::judge::quality::{Quality, Violation};
use super::judge::{Packet, Playout, Second, Series, Shown, note_gap};
use super::outbox::Outbox;
use super::rtcp as feedback;
use crate::wire::codec::{self, Seen};
use crate::wire::{Rtp, Stamp};

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
    payload_types: Vec<(u8, Codec)>,
    rtx_payload_types: Vec<(u8, Codec)>,
    /// The id of dependency descriptors.
    descriptor_id: Option<u8>,
    carries: Option<(ParticipantId, TrackId)>,
    /// When that was last told.
    told: Duration,
    first_sequence: Option<u16>,
    arrivals: Arrivals,
    playout: Playout,
    audio: AudioState,
    quality: Quality,
    series: Series,
    /// Middle 32 bits of the last sender report's NTP time, and when it came.
    last_report: Option<(u32, Duration)>,
    /// The NTP and RTP time of that report.
    clock: Option<(u64, u32)>,
    /// RTP time of the last packet, and when that was really sent.
    last_sent: Option<(u32, Duration)>,
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
            payload_types: media.codecs.iter().map(|c| (c.payload_type.0, c.codec)).collect(),
            rtx_payload_types: media
                .codecs
                .iter()
                .filter_map(|c| Some((c.rtx?.0, c.codec)))
                .collect(),
            descriptor_id: media.extensions.id(Extension::DependencyDescriptor),
            carries: None,
            told: Duration::ZERO,
            first_sequence: None,
            arrivals: Arrivals::default(),
            playout: Playout::default(),
            audio: AudioState::default(),
            quality: Quality::default(),
            series: Series::default(),
            last_report: None,
            clock: None,
            last_sent: None,
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

    /// By how many microseconds the time at which, by sender reports, the last packet was made
    /// differs from when it was sent. Receivers play in sync what has the same difference.
    #[must_use]
    pub fn clock_offset_us(&self) -> Option<i64> {
        let ((ntp, rtp_time), (timestamp, sent)) = (self.clock?, self.last_sent?);
        let rate = match self.kind {
            MediaKind::Audio => 48_000,
            MediaKind::Video => 90_000,
        };
        let ticks = i64::from(timestamp.wrapping_sub(rtp_time).cast_signed());
        let reported_us = (u128::from(ntp) * 1_000_000) >> 32;
        let made_us = i64::try_from(reported_us).ok()? + ticks * 1_000_000 / rate;
        Some(made_us - i64::try_from(sent.as_micros()).ok()?)
    }

    /// What is shown.
    #[must_use]
    pub fn showing(&self) -> Option<Shown> {
        self.playout.showing()
    }

    /// What was shown from when on.
    #[must_use]
    pub fn history(&self) -> &[(Duration, Shown)] {
        &self.playout.history
    }

    /// When what is shown changed to another encoding or layer, and the time without a new picture
    /// there, by pictures from one to the next in what was shown before or is shown after, where
    /// temporal layers are left out.
    #[must_use]
    pub fn switch_gaps(&self) -> &[(Duration, Duration)] {
        &self.playout.switch_gaps
    }

    /// How it went, by second since the start of the world.
    #[must_use]
    pub fn seconds(&self) -> &[Second] {
        self.series.seconds()
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

    /// Asks for each packet that is missing only once, or as often as it takes.
    pub fn set_asks_once(&mut self, asks_once: bool) {
        self.arrivals.set_asks_once(asks_once);
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
            self.told = now;
            self.interrupt(now);
        }
    }

    /// Another offer was answered; the SSRC must not have changed, or it is another receiver.
    pub(crate) fn fits(&self, media: &MediaSection) -> bool {
        media.send.as_ref().is_some_and(|send| send.ssrc.0 == self.ssrc)
    }

    /// Its SSRCs.
    pub(crate) fn ssrcs(&self) -> impl Iterator<Item = u32> {
        [self.ssrc].into_iter().chain(self.rtx_ssrc)
    }

    pub(crate) fn handle_rtp(&mut self, now: Duration, packet: &Rtp<'_>, bytes: usize) {
        let payload_type = packet.header.payload_type;
        let repeated = packet.header.ssrc != self.ssrc;
        let second = self.series.at(now);
        second.bytes += bytes as u32;
        let agreed = if repeated { &self.rtx_payload_types } else { &self.payload_types };
        let Some(&(_, codec)) = agreed.iter().find(|(agreed, _)| *agreed == payload_type) else {
            return self.quality.violation(Violation::PayloadType(payload_type));
        };
        if packet.payload_bytes == 0 && (repeated || packet.padding_bytes > 0) {
            // A probe: padding and nothing else. On the line itself it takes a number, too.
            if !repeated {
                self.skip(now, packet.header.sequence, true);
            }
            return;
        }
        let (sequence, packet) = match packet.payload.first_chunk::<2>() {
            Some(original) if repeated => {
                (u16::from_be_bytes(*original), packet.skip(2).expect("two bytes are there"))
            }
            _ => (packet.header.sequence, *packet),
        };
        if repeated && packet.payload_bytes == 0 {
            // It left empty, too.
            return self.skip(now, sequence, false);
        }
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
        second.packets += 1;
        second.repaired += u32::from(repeated);
        if packet.payload_bytes == 0 {
            return self.quality.violation(Violation::Empty { index });
        }
        let Some(stamp) = packet.stamp() else {
            return self.quality.violation(Violation::Content { index });
        };
        let owner = self.carries.map(|(participant, _)| participant);
        // What was sent before the m-line changed hands may still be under way.
        if stamp.sent > self.told && owner.is_none_or(|owner| !stamp.is_of(owner)) {
            self.quality.violation(Violation::Foreign { source: stamp.source });
        }
        self.last_sent = Some((packet.header.timestamp, stamp.sent));
        match self.kind {
            MediaKind::Audio => self.hear(now, index, packet.header.timestamp, stamp),
            MediaKind::Video => self.see(now, index, codec, &packet, stamp),
        }
    }

    /// A number that carries nothing.
    fn skip(&mut self, now: Duration, sequence: u16, direct: bool) {
        if self.first_sequence.is_none() {
            return;
        }
        if let Arrival::New(index) | Arrival::Late(index) =
            self.arrivals.note(now, sequence, direct)
        {
            let shown = self.playout.pass(now, index, &mut self.quality);
            self.show(now, shown);
        }
    }

    fn see(&mut self, now: Duration, index: u64, codec: Codec, packet: &Rtp<'_>, stamp: Stamp) {
        let Some(mut seen) = codec::read(codec, packet) else {
            return self.quality.violation(Violation::Content { index });
        };
        let descriptor = self.descriptor_id.and_then(|id| packet.extension(id));
        if let Some(&head) = descriptor.and_then(<[u8]>::first) {
            seen.start = head & 0x80 != 0;
            seen.end = head & 0x40 != 0;
            seen.start_by_timestamp = false;
        } else if codec == Codec::Av1 {
            return self.quality.violation(Violation::Descriptor { index });
        }
        if !self.agrees(&seen, &stamp) {
            self.quality.violation(Violation::Content { index });
        }
        let begins = seen.start || seen.start_by_timestamp;
        let packet = Packet {
            timestamp: packet.header.timestamp,
            marker: packet.header.marker,
            seen,
            stamp,
            descriptor: descriptor.filter(|_| begins).map(Into::into),
        };
        let shown = self.playout.insert(now, index, packet, &mut self.quality);
        self.quality.lost += self.arrivals.forget_before(self.playout.next());
        self.show(now, shown);
    }

    /// Whether a payload says of itself what its maker says of it.
    fn agrees(&self, seen: &Seen, stamp: &Stamp) -> bool {
        if seen.start_by_timestamp {
            return true;
        }
        let keyframe = !seen.start || stamp.spatial > 0 || seen.keyframe == stamp.keyframe;
        seen.start == (stamp.part == 0) && keyframe
    }

    /// Notes that a picture was shown, and after what gap.
    fn show(&mut self, now: Duration, shown: Option<Duration>) {
        let Some(gap) = shown else { return };
        let width = self.playout.showing().map_or(0, |showing| showing.width);
        let second = self.series.at(now);
        second.frames += 1;
        second.width = width;
        second.gap_ms = second.gap_ms.max(u32::try_from(gap.as_millis()).unwrap_or(u32::MAX));
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

    pub(crate) fn on_sender_report(&mut self, now: Duration, ntp: u64, rtp_time: u32) {
        self.clock = Some((ntp, rtp_time));
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
        let missing = if self.arrivals.outstanding() > 0 { self.arrivals.wake() } else { None };
        missing.into_iter().chain(pli).min()
    }

    /// Asks for what is missing.
    pub(crate) fn poll(
        &mut self,
        now: Duration,
        rtt: Option<Duration>,
        sender: u32,
        transmit: &mut Outbox,
    ) {
        if self.silent {
            return;
        }
        if self.arrivals.outstanding() > 0 {
            self.ask(now, rtt.unwrap_or(RTT_UNKNOWN), sender, transmit);
        }
        if self.kind == MediaKind::Audio {
            return;
        }
        let stuck = self.playout.is_broken() || self.playout.is_starving(now);
        if stuck && self.asked.is_none_or(|asked| asked + PLI_INTERVAL <= now) {
            self.asked = Some(now);
            self.quality.plis += 1;
            transmit.push(&feedback::pli(sender, self.ssrc));
        }
    }

    fn ask(&mut self, now: Duration, rtt: Duration, sender: u32, transmit: &mut Outbox) {
        let (mut ask, mut given_up) = (Vec::new(), Vec::new());
        self.arrivals.poll(now, rtt, &mut ask, &mut given_up);
        // Audio has no retransmission; what is missing is only counted, once it is old.
        if !ask.is_empty() && self.kind == MediaKind::Video {
            self.quality.nacked += ask.len() as u64;
            transmit.push(&feedback::nack(sender, self.ssrc, &ask));
        }
        for index in given_up {
            self.quality.lost += 1;
            if self.kind == MediaKind::Video {
                let shown = self.playout.lose(now, index, &mut self.quality);
                self.show(now, shown);
            }
        }
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
