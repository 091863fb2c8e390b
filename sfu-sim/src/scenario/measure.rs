//! What can be measured of a participant.

use std::time::Duration;

use sfu_core::negotiation::MediaKind;

use super::run::Present;
use crate::client::Receiver;
use crate::world::World;

/// A figure of one participant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Complete pictures, in per cent of those sent meanwhile.
    FramesComplete,
    /// Pictures later than a jitter buffer of 200 ms allows, in per cent.
    FramesLate,
    /// Complete pictures that could not be decoded.
    FramesUndecodable,
    /// Audio packets that arrived, in per cent.
    AudioArrived,
    /// Longest time without a new picture, in ms; pauses that were told do not count.
    LongestFreeze,
    /// Freezes of video of more than 500 ms.
    Freezes500,
    /// Video packets that never came.
    Lost,
    /// Things that no loss excuses.
    Violations,
    /// Complete pictures, over the time the participant was there, by second.
    FramesPerSecond,
    /// Keyframe requests that the participant's camera received, by second.
    KeyframeRequestsPerSecond,
    /// Shortest time between two of them for one encoding, in ms.
    KeyframeRequestSpacing,
    /// Packets asked for that came in time by themselves, in per cent of all packets.
    NeedlessRepairs,
    /// Seconds without a picture on the video m-line that had most of them, from five seconds after
    /// coming on: frozen, paused or never begun.
    EmptySeconds,
    /// Changes of encoding or layer, and returns from a pause.
    Switches,
    /// Time without a new picture at changes of encoding or layer from this second on: that which
    /// 99 of 100 keep, in frame intervals: 1/30 s, or where temporal layers are left out, before or
    /// after, twice or four times that.
    SwitchGapP99(u32),
    /// From coming to the first picture of any video, in ms.
    FirstFrame,
    /// Width of what is shown of a party's first camera, the median over seconds from the 20th on.
    Width(&'static str),
    /// Seconds after this second until that camera's picture is at most so wide.
    NarrowAfter(&'static str, u32, u16),
    /// Seconds after this second until that camera's picture is at least so wide.
    WideAfter(&'static str, u32, u16),
    /// Bit/s received on all m-lines between these seconds, in kbit/s.
    Received(u32, u32),
    /// Longest wait that the participant's downlink had in its queue between these seconds, in ms;
    /// needs samples.
    Queue(u32, u32),
    /// Datagrams dropped at the downlink's full queue, in per cent.
    Overflowed,
}

impl Measure {
    /// What the participant has of it in the end.
    #[allow(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    pub(super) fn take(self, world: &World, everyone: &[Present], of: &Present) -> f64 {
        let client = world.client(of.id);
        let until = of.left.unwrap_or(world.now());
        let seconds = (until - of.came).as_secs_f64();
        let quality = |kind| client.quality(until, kind);
        let video = quality(MediaKind::Video);
        let per_cent = |part: u64, whole: u64| part as f64 * 100.0 / whole.max(1) as f64;
        let requests =
            || client.cameras().flat_map(|camera| camera.published().keyframe_requests.iter());
        match self {
            Self::FramesComplete => video.completeness() * 100.0,
            Self::FramesLate => per_cent(video.frames_late, video.frames),
            Self::FramesUndecodable => video.frames_undecodable as f64,
            Self::AudioArrived => quality(MediaKind::Audio).completeness() * 100.0,
            Self::LongestFreeze => video.longest_gap.as_secs_f64() * 1000.0,
            Self::Freezes500 => video.freezes_500 as f64,
            Self::Lost => video.lost as f64,
            Self::Violations => {
                (video.violations.len() + quality(MediaKind::Audio).violations.len()) as f64
            }
            Self::FramesPerSecond => {
                let receivers = client.receivers().filter(|receiver| {
                    receiver.kind() == MediaKind::Video && receiver.quality().packets > 0
                });
                video.frames as f64 / seconds / receivers.count().max(1) as f64
            }
            Self::KeyframeRequestsPerSecond => requests().count() as f64 / seconds,
            Self::KeyframeRequestSpacing => {
                let spacings = client.cameras().filter_map(|camera| {
                    Some(camera.published().keyframe_request_spacing?.as_secs_f64())
                });
                spacings.fold(f64::INFINITY, f64::min) * 1000.0
            }
            Self::NeedlessRepairs => per_cent(video.needless_repairs, video.packets),
            Self::EmptySeconds => {
                let receivers = client.receivers().filter(|receiver| {
                    receiver.kind() == MediaKind::Video && receiver.carries().is_some()
                });
                let from = of.came.as_secs() as usize + 5;
                let whole = (until.as_secs() as usize).saturating_sub(from);
                let empty = receivers.map(|receiver| {
                    let shown = receiver.seconds().iter().skip(from).filter(|s| s.frames > 0);
                    whole.saturating_sub(shown.count()) as f64
                });
                empty.fold(0.0, f64::max)
            }
            Self::Switches => {
                let history = client.receivers().flat_map(|receiver| receiver.history());
                history.filter(|(_, shown)| shown.width > 0).count().saturating_sub(1) as f64
            }
            Self::SwitchGapP99(from) => {
                let from = Duration::from_secs(from.into());
                let receivers = client.receivers();
                let gaps = receivers.flat_map(|receiver| receiver.switch_gaps().iter());
                let gaps = gaps.filter(|(at, _)| *at >= from);
                let mut gaps: Vec<_> = gaps.map(|(_, gap)| gap.as_secs_f64() * 30.0).collect();
                gaps.sort_by(f64::total_cmp);
                gaps.get((gaps.len() * 99).div_ceil(100).saturating_sub(1)).copied().unwrap_or(0.0)
            }
            Self::FirstFrame => {
                let firsts = client.receivers().filter_map(|r| Some(r.history().first()?.0));
                firsts.min().map_or(f64::INFINITY, |at| (at - of.came).as_secs_f64() * 1000.0)
            }
            Self::Width(party) => {
                let shown = receiver(world, everyone, of, party);
                let seconds = shown.map_or(&[][..], |receiver| receiver.seconds());
                let mut widths: Vec<_> = seconds.iter().skip(20).map(|s| s.width).collect();
                widths.sort_unstable();
                widths.get(widths.len() / 2).copied().unwrap_or(0).into()
            }
            Self::NarrowAfter(party, second, width) => {
                time_to(receiver(world, everyone, of, party), second, |shown| shown <= width)
            }
            Self::WideAfter(party, second, width) => {
                time_to(receiver(world, everyone, of, party), second, |shown| shown >= width)
            }
            Self::Received(from, until) => {
                let receivers = client.receivers();
                let bytes = receivers
                    .flat_map(|r| r.seconds().iter().enumerate())
                    .filter(|(second, _)| (from as usize..until as usize).contains(second));
                let bytes: u64 = bytes.map(|(_, second)| u64::from(second.bytes)).sum();
                bytes as f64 * 8.0 / 1000.0 / f64::from(until - from)
            }
            Self::Queue(from, until) => {
                let between =
                    |at: Duration| (u64::from(from)..u64::from(until)).contains(&at.as_secs());
                let samples = of.samples.iter().filter(|sample| between(sample.at));
                samples.map(|sample| sample.queue_ms).fold(0.0, f64::max)
            }
            Self::Overflowed => {
                let counts = world.links(of.id).1.counts;
                per_cent(counts.overflowed, counts.offered)
            }
        }
    }
}

/// The participant's receiver of a party's first video.
fn receiver<'a>(
    world: &'a World,
    everyone: &[Present],
    of: &Present,
    party: &'static str,
) -> Option<&'a Receiver> {
    let publisher = everyone.iter().find(|present| present.party_name == party)?;
    let track = world.client(publisher.id).track(MediaKind::Video)?;
    world.client(of.id).receiver_of(track)
}

/// Seconds from `second` on until what is shown is as wanted; infinite if it never is.
fn time_to(receiver: Option<&Receiver>, second: u32, wanted: impl Fn(u16) -> bool) -> f64 {
    let from = Duration::from_secs(second.into());
    let Some(receiver) = receiver else { return f64::INFINITY };
    let history = receiver.history();
    let at_first = history.iter().rev().find(|(at, _)| *at <= from);
    if at_first.is_some_and(|(_, shown)| wanted(shown.width)) {
        return 0.0;
    }
    let mut later = history.iter().filter(|(at, shown)| *at > from && wanted(shown.width));
    later.next().map_or(f64::INFINITY, |(at, _)| (*at - from).as_secs_f64())
}
