//! A slot: one of a subscriber's receiving m-lines. It keeps its SSRC for life; which track it
//! carries may change at any time without another offer.

use std::time::Duration;

use crate::deliver::sent::Sent;
use crate::forward::rewrite::{Line, ticks};
use crate::id::{Mid, PayloadType, SubscriptionId, TrackId};
use crate::negotiation::{Codec, CodecParameters, MediaKind, MediaSection, SendParameters};
use crate::rtp::extension::ExtensionMap;

/// One receiving m-line of a subscriber.
#[derive(Debug)]
pub struct Slot {
    /// Which m-line.
    pub section: usize,
    /// Its mid.
    pub mid: Mid,
    /// Audio or video.
    pub kind: MediaKind,
    /// What was agreed for it.
    pub media: MediaSection,
    /// The header extensions that may be written, with the subscriber's ids.
    pub extensions: ExtensionMap,
    /// Its SSRCs.
    pub send: SendParameters,
    /// False while the client has the m-line inactive.
    pub open: bool,
    /// What it carries.
    pub subscription: Option<SubscriptionId>,
    /// Its sequence numbers and timestamps.
    pub line: Line,
    /// What was sent on it.
    pub sent: Sent,
    /// Next SRTP index of the retransmission SSRC; starts at rollover 0 like every line.
    pub next_rtx_index: u64,
    /// Packets and payload octets sent, for sender reports (RFC 3550 §6.4.1).
    pub packets: u32,
    /// See `packets`.
    pub octets: u32,
    /// The payload type last chosen, and for which of the publisher's.
    chosen: Option<Chosen>,
    /// The sender reports of late, for round-trip times.
    pub reports: SentReports,
}

/// The subscriber's number for a publisher's payload type.
#[derive(Clone, Copy, Debug)]
struct Chosen {
    track: TrackId,
    theirs: PayloadType,
    ours: Option<Choice>,
}

/// How a publisher's packet is numbered for this subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The payload type.
    pub payload_type: PayloadType,
    /// The payload type of its retransmissions.
    pub rtx: Option<PayloadType>,
    /// RTP clock rate in Hz.
    pub clock_rate: u32,
    /// Whether RED is to be unwrapped, for a subscriber that knows only what is inside.
    pub unwrap_red: bool,
}

impl Slot {
    /// A slot for the m-line `section`, carrying nothing. `random` places its first numbers.
    #[must_use]
    pub fn new(
        section: usize,
        mid: Mid,
        media: MediaSection,
        send: SendParameters,
        random: [u32; 2],
    ) -> Self {
        let [a, b] = random;
        Self {
            section,
            mid,
            kind: media.kind,
            extensions: media.extensions_to_send(),
            media,
            send,
            open: true,
            subscription: None,
            line: Line::new(a as u16, b),
            sent: Sent::default(),
            next_rtx_index: u64::from(a >> 16 & 0x3fff),
            packets: 0,
            octets: 0,
            chosen: None,
            reports: SentReports::default(),
        }
    }

    /// Takes over what a new offer agreed for the m-line.
    pub fn renegotiate(&mut self, media: MediaSection) {
        self.extensions = media.extensions_to_send();
        self.media = media;
        self.chosen = None;
        self.open = true;
    }

    /// The subscriber's numbers for a codec of the publisher; `None` if it has no such codec.
    pub fn choose(&mut self, track: TrackId, theirs: &CodecParameters) -> Option<Choice> {
        match self.chosen {
            Some(chosen) if chosen.track == track && chosen.theirs == theirs.payload_type => {
                chosen.ours
            }
            _ => {
                let same = self.media.compatible(theirs).map(|codec| (codec, false));
                let inside = || {
                    let opus = self.media.codecs.iter().find(|codec| codec.codec == Codec::Opus);
                    opus.filter(|_| theirs.codec == Codec::Red).map(|codec| (codec, true))
                };
                let ours = same.or_else(inside).map(|(codec, unwrap_red)| Choice {
                    payload_type: codec.payload_type,
                    rtx: codec.rtx,
                    clock_rate: codec.clock_rate,
                    unwrap_red,
                });
                self.chosen = Some(Chosen { track, theirs: theirs.payload_type, ours });
                ours
            }
        }
    }

    /// The payload type of retransmissions, by what was sent last, if the subscriber has one.
    #[must_use]
    pub fn retransmits(&self) -> Option<PayloadType> {
        self.send.rtx_ssrc?;
        let chosen = self.chosen.and_then(|chosen| chosen.ours).and_then(|choice| choice.rtx);
        chosen.or_else(|| self.media.codecs.iter().find_map(|codec| codec.rtx))
    }

    /// Whether any of a publisher's codecs can be played here. RED alone does not count: it is
    /// only a wrapping.
    #[must_use]
    pub fn can_play(&self, codecs: &[CodecParameters]) -> bool {
        codecs.iter().any(|c| c.codec != Codec::Red && self.media.compatible(c).is_some())
    }

    /// Forgets what it carried.
    pub fn clear(&mut self) {
        self.subscription = None;
        self.line.end();
        self.chosen = None;
    }
}

/// The sender reports of late, each by the middle 32 bits of its NTP time. More than one, as a
/// receiver may answer one when the next has already been sent, on long paths always.
#[derive(Clone, Copy, Debug, Default)]
pub struct SentReports {
    /// A ring; zero is none, as in a report block (RFC 3550 §6.4.1).
    times: [u32; SENT_REPORTS],
    next: usize,
}

/// At one report a second, enough for any path that people still talk over, and some losses.
const SENT_REPORTS: usize = 8;

impl SentReports {
    /// Notes a report.
    pub fn note(&mut self, time: u32) {
        self.times[self.next] = time;
        self.next = (self.next + 1) % SENT_REPORTS;
    }

    /// Whether it is one of the latest.
    #[must_use]
    pub fn contains(&self, time: u32) -> bool {
        time != 0 && self.times.contains(&time)
    }
}

/// The offset between publishers' NTP clocks and ours, estimated from their sender reports.
///
/// One offset per publisher, the same for its audio and video, so that receivers can play them in
/// sync: both are mapped to our clock by the same amount.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClockOffset {
    /// What to add to the publisher's NTP time (32.32 fixed point) to get ours.
    offset: Option<u64>,
}

/// A report this far from the estimate means that the publisher's clock was set.
const CLOCK_JUMP: Duration = Duration::from_secs(2);

impl ClockOffset {
    /// Notes a sender report with NTP time `theirs` that arrived at `ours`. The smallest delay
    /// seen is kept: reports are late, never early.
    pub fn note(&mut self, theirs: u64, ours: u64) {
        let sample = ours.wrapping_sub(theirs);
        let jump = ntp_from_duration(CLOCK_JUMP);
        self.offset = Some(match self.offset {
            Some(offset) => {
                #[allow(clippy::cast_possible_wrap, reason = "NTP differences are signed")]
                let difference = sample.wrapping_sub(offset) as i64;
                if difference < 0 || difference.unsigned_abs() > jump { sample } else { offset }
            }
            None => sample,
        });
    }

    /// The RTP time at our NTP time `now`, given a report that ties `report_ntp` (theirs) to
    /// `report_rtp`.
    #[must_use]
    pub fn rtp_time_at(
        &self,
        now: u64,
        report_ntp: u64,
        report_rtp: u32,
        clock_rate: u32,
    ) -> Option<u32> {
        let report_at = report_ntp.wrapping_add(self.offset?);
        #[allow(clippy::cast_possible_wrap, reason = "NTP differences are signed")]
        let elapsed = now.wrapping_sub(report_at) as i64;
        let step = ticks(ntp_to_duration(elapsed.unsigned_abs()), clock_rate);
        Some(if elapsed < 0 {
            report_rtp.wrapping_sub(step)
        } else {
            report_rtp.wrapping_add(step)
        })
    }
}

/// A duration in NTP's 32.32 fixed-point seconds.
#[must_use]
pub fn ntp_from_duration(duration: Duration) -> u64 {
    (duration.as_secs() << 32) + ((u64::from(duration.subsec_nanos()) << 32) / 1_000_000_000)
}

/// The inverse of [`ntp_from_duration`].
#[must_use]
pub fn ntp_to_duration(ntp: u64) -> Duration {
    Duration::from_secs(ntp >> 32)
        + Duration::from_nanos(((ntp & 0xffff_ffff) * 1_000_000_000) >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ntp_durations_round_trip() {
        for ms in [0, 1, 999, 1_000, 123_456] {
            let duration = Duration::from_millis(ms);
            let back = ntp_to_duration(ntp_from_duration(duration));
            assert!(duration - back < Duration::from_micros(1), "{ms}");
        }
    }

    #[test]
    fn audio_and_video_of_one_publisher_keep_their_relation() {
        let second = 1u64 << 32;
        let (theirs, ours) = (1_000 * second, 5_000 * second);
        let mut clock = ClockOffset::default();
        clock.note(theirs, ours + second / 10); // 100 ms under way
        clock.note(theirs + second, ours + second + second / 20); // 50 ms
        clock.note(theirs + 2 * second, ours + 2 * second + second / 5); // 200 ms
        let now = ours + 3 * second + second / 20;
        assert_eq!(clock.rtp_time_at(now, theirs, 0, 48_000), Some(3 * 48_000));
        assert_eq!(clock.rtp_time_at(now, theirs + 2 * second, 7, 90_000), Some(7 + 90_000));
    }

    #[test]
    fn a_clock_that_was_set_is_followed() {
        let second = 1u64 << 32;
        let mut clock = ClockOffset::default();
        clock.note(1_000 * second, 5_000 * second);
        clock.note(500 * second, 5_001 * second);
        assert_eq!(clock.rtp_time_at(5_001 * second, 500 * second, 9, 90_000), Some(9));
    }
}
