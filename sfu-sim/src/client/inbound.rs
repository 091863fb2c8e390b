//! What a client does with the datagrams that reach it, and with what it is told by signalling.

use std::time::Duration;

use bytes::BytesMut;
use sfu_core::id::TrackId;

use super::judge::quality::Violation;
use super::rtcp::{self, Told};
use super::uplink::Advice;
use super::{Client, MediaLine, REPORT_INTERVAL, Work, earlier};
use crate::wire::{Datagram, Rtp};

impl Client {
    /// Takes a datagram. Gives when there is something to do because of it, if there is; asking
    /// every m-line that for every datagram would cost more than all else.
    pub(crate) fn handle_datagram(
        &mut self,
        now: Duration,
        datagram: Datagram<'_>,
    ) -> Option<Duration> {
        match datagram.head {
            [0..=3, ..] => {
                if self.ice.handle(now, datagram.head) {
                    self.secure_or_connect(now);
                }
                return self.wake();
            }
            [20..=63, ..] if self.secure.is_some() => {
                let secure = self.secure.as_mut().expect("asked just now");
                if secure.handle(now, datagram.head) {
                    self.connect(now);
                }
                self.send_handshake();
                return self.wake();
            }
            [128..=191, ..] if self.secure.is_some() => {
                let opened = self.secure.as_mut().and_then(|secure| secure.open(datagram.head));
                return match opened {
                    Some(opened) => self.handle_media(now, Datagram::whole(&opened)),
                    None => {
                        self.unreadable += u64::from(self.media);
                        None
                    }
                };
            }
            [128..=191, ..] => return self.handle_media(now, datagram),
            _ => self.unreadable += 1,
        }
        None
    }

    /// The first check was answered: media flows, or DTLS begins.
    fn secure_or_connect(&mut self, now: Duration) {
        match &mut self.secure {
            Some(secure) => {
                secure.begin(now);
                self.send_handshake();
            }
            None => self.connect(now),
        }
    }

    fn connect(&mut self, now: Duration) {
        if !self.media {
            self.media = true;
            self.next_report = now + REPORT_INTERVAL;
        }
    }

    pub(super) fn send_handshake(&mut self) {
        let Some(secure) = &mut self.secure else { return };
        while let Some(datagram) = secure.poll_transmit() {
            self.transmit.push(&datagram);
        }
    }

    /// A datagram as it goes on the wire, if it has to be sealed.
    pub(crate) fn seal(&mut self, datagram: &[u8]) -> Option<BytesMut> {
        self.secure.as_mut()?.seal(datagram)
    }

    /// Whether its media is encrypted.
    pub(crate) fn is_secure(&self) -> bool {
        self.secure.is_some()
    }

    fn handle_media(&mut self, now: Duration, datagram: Datagram<'_>) -> Option<Duration> {
        match datagram.head {
            [_, 192..=223, ..] => {
                self.handle_rtcp(now, datagram.head);
                None
            }
            _ => self.handle_rtp(now, datagram),
        }
    }

    fn handle_rtp(&mut self, now: Duration, datagram: Datagram<'_>) -> Option<Duration> {
        let Some(packet) = Rtp::read(datagram) else {
            self.unreadable += 1;
            return None;
        };
        let header = &packet.header;
        let known = self.last_line.filter(|(ssrc, _)| *ssrc == header.ssrc);
        let known = known.or_else(|| Some((header.ssrc, *self.line_by_ssrc.get(&header.ssrc)?)));
        let Some((_, at)) = known else {
            self.strays.violation(Violation::UnknownSsrc(header.ssrc));
            return None;
        };
        self.last_line = known;
        let transport = packet.extension(self.transport_id).and_then(|value| value.first_chunk());
        let transport = transport.map(|value| u16::from_be_bytes(*value));
        self.recorder.note(now, transport, header.ssrc, header.sequence);
        let (rtt, sender) = (self.ice.rtt(), self.feedback_ssrc);
        let Work::Receive(Some(receiver)) = &mut self.lines[at].work else { return None };
        receiver.handle_rtp(now, &packet, datagram.bytes);
        receiver.poll(now, rtt, sender, &mut self.transmit);
        let wake = receiver.wake();
        self.receivers_due = earlier(self.receivers_due, wake);
        earlier(wake, self.recorder.wake())
    }

    fn handle_rtcp(&mut self, now: Duration, datagram: &[u8]) {
        let Some(told) = rtcp::read(datagram) else {
            self.unreadable += 1;
            return;
        };
        for message in told {
            match message {
                Told::SenderReport(ssrc, ntp, rtp_time) => {
                    let receiver = self.line_by_ssrc.get(&ssrc).map(|&at| &mut self.lines[at].work);
                    if let Some(Work::Receive(Some(receiver))) = receiver {
                        receiver.on_sender_report(now, ntp, rtp_time);
                    }
                }
                Told::Report(block) => {
                    self.reported.retain(|(ssrc, _)| *ssrc != block.ssrc);
                    self.reported.push((block.ssrc, block.fraction_lost));
                }
                Told::Nack(ssrc, sequences) => {
                    let (cameras, mut outlet) = self.cameras_and_outlet(now);
                    for camera in cameras {
                        camera.on_nack(&mut outlet, ssrc, &sequences);
                    }
                }
                Told::Keyframe(ssrc) => {
                    for camera in self.cameras_mut() {
                        camera.on_keyframe_request(now, ssrc);
                    }
                }
                Told::TransportWide(feedback) => {
                    self.told_transport_wide += u64::from(feedback.packet_status_count);
                    if let Some(advice) = self.uplink.feedback(now, &feedback) {
                        let less = advice == Advice::Less;
                        self.cameras_mut().for_each(|camera| camera.withhold(less));
                    }
                }
            }
        }
    }

    /// Takes the engine's word for what of a track anybody wants.
    pub(crate) fn demand(&mut self, track: TrackId, wanted: &[bool], max_spatial: u8) {
        let found = self.published.iter().find(|(_, published)| *published == track);
        let Some(mid) = found.map(|(mid, _)| mid.clone()) else { return };
        let line = self.lines.iter_mut().find(|line| line.mid == mid);
        if let Some(MediaLine { work: Work::Video(camera), .. }) = line {
            camera.demand(wanted, max_spatial);
        }
    }
}
