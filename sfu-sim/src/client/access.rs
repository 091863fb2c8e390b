//! What tests and scenarios see of a client, and how they meddle with it.

use std::time::Duration;

use sfu_core::id::{Mid, TrackId};
use sfu_core::negotiation::MediaKind;

use super::judge::quality::Quality;
use super::publisher::{AudioPublisher, VideoPublisher};
use super::{Client, Numbering, Receiver, Work, rtcp};

impl Client {
    /// Sends a datagram of the caller's making, as it is.
    pub fn send(&mut self, datagram: Vec<u8>) {
        self.transmit.push(&datagram);
    }

    /// Asks for a keyframe on every video m-line, needed or not.
    pub fn request_keyframes(&mut self) {
        let sender = self.feedback_ssrc;
        let video = self.receivers().filter(|receiver| receiver.kind() == MediaKind::Video);
        let requests: Vec<_> = video.map(|receiver| rtcp::pli(sender, receiver.ssrc())).collect();
        requests.iter().for_each(|request| self.transmit.push(request));
    }

    /// Its cameras.
    pub fn cameras(&self) -> impl Iterator<Item = &VideoPublisher> {
        self.lines.iter().filter_map(|line| match &line.work {
            Work::Video(camera) => Some(&**camera),
            _ => None,
        })
    }

    /// Its cameras, to be meddled with.
    pub fn cameras_mut(&mut self) -> impl Iterator<Item = &mut VideoPublisher> {
        self.lines.iter_mut().filter_map(|line| match &mut line.work {
            Work::Video(camera) => Some(&mut **camera),
            _ => None,
        })
    }

    /// Its microphones.
    pub fn microphones(&self) -> impl Iterator<Item = &AudioPublisher> {
        self.lines.iter().filter_map(|line| match &line.work {
            Work::Audio(microphone) => Some(&**microphone),
            _ => None,
        })
    }

    /// Its microphones, to be meddled with.
    pub fn microphones_mut(&mut self) -> impl Iterator<Item = &mut AudioPublisher> {
        self.lines.iter_mut().filter_map(|line| match &mut line.work {
            Work::Audio(microphone) => Some(&mut **microphone),
            _ => None,
        })
    }

    /// Its receiving m-lines.
    pub fn receivers(&self) -> impl Iterator<Item = &Receiver> {
        self.lines.iter().filter_map(|line| match &line.work {
            Work::Receive(receiver) => receiver.as_deref(),
            _ => None,
        })
    }

    /// Its receiving m-lines, to be meddled with.
    pub fn receivers_mut(&mut self) -> impl Iterator<Item = &mut Receiver> {
        self.lines.iter_mut().filter_map(|line| match &mut line.work {
            Work::Receive(receiver) => receiver.as_deref_mut(),
            _ => None,
        })
    }

    /// The tracks its m-lines publish.
    #[must_use]
    pub fn published(&self) -> &[(Mid, TrackId)] {
        &self.published
    }

    /// The track it publishes of a kind, if it is one.
    #[must_use]
    pub fn track(&self, kind: MediaKind) -> Option<TrackId> {
        let of_kind = |mid: &Mid| self.lines.iter().any(|l| l.mid == *mid && l.kind == kind);
        self.published.iter().find(|(mid, _)| of_kind(mid)).map(|&(_, track)| track)
    }

    /// Its receiver of a track.
    #[must_use]
    pub fn receiver_of(&self, track: TrackId) -> Option<&Receiver> {
        self.receivers().find(|receiver| receiver.carries().is_some_and(|(_, t)| t == track))
    }

    /// Whether its first check was answered.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.media
    }

    /// Its round-trip time by its last check.
    #[must_use]
    pub fn rtt(&self) -> Option<Duration> {
        self.ice.rtt()
    }

    /// Its numbers for codecs and extensions.
    #[must_use]
    pub fn numbering(&self) -> &Numbering {
        &self.numbering
    }

    /// The judgement on all it received of one kind, if all ended at `now`.
    #[must_use]
    pub fn quality(&self, now: Duration, kind: MediaKind) -> Quality {
        let mut quality = self.strays.clone();
        for receiver in self.receivers().filter(|receiver| receiver.kind() == kind) {
            quality.add(&receiver.quality_at(now));
        }
        quality
    }
}
