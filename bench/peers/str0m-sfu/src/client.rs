//! [`Client`]: one `Rtc` with what it sends or watches.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use door::Role;
use str0m::format::Codec;
use str0m::media::{KeyframeRequestKind, MediaKind, Mid, Pt};
use str0m::net::Receive;
use str0m::rtp::{ExtensionValues, RtpPacket, RtpWrite, SeqNo, Ssrc};
use str0m::{Event, IceConnectionState, Input, Output, Rtc};

/// Requests for a picture that come together ask the publisher once.
const KEYFRAME_INTERVAL: Duration = Duration::from_millis(500);

pub(crate) struct Client {
    pub(crate) id: u64,
    pub(crate) role: Role,
    pub(crate) room: String,
    /// When str0m wants to hear the time again.
    pub(crate) timeout: Instant,
    rtc: Rtc,
    tracks: Vec<Track>,
    asked: Option<Instant>,
}

/// An m-line.
struct Track {
    mid: Mid,
    kind: MediaKind,
    /// Of a watcher: where packets go out.
    out: Option<Out>,
    /// Of a publisher: its stream.
    ssrc: Option<Ssrc>,
}

#[derive(Clone, Copy)]
struct Out {
    payload_type: Pt,
    ssrc: Ssrc,
    /// What is taken from the publisher's extended sequence number, so that a late watcher does not
    /// start beyond the first 2^16.
    base: Option<u64>,
}

/// What a client's events mean to others.
#[expect(clippy::large_enum_variant, reason = "handed on at once, never kept")]
pub(crate) enum Heard {
    Packet(MediaKind, RtpPacket),
    WantsPicture,
}

impl Client {
    pub(crate) fn new(id: u64, role: Role, room: String, rtc: Rtc) -> Self {
        let timeout = Instant::now();
        Self { id, role, room, timeout, rtc, tracks: Vec::new(), asked: None }
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.rtc.is_alive()
    }

    pub(crate) fn accepts(&self, input: &Input) -> bool {
        self.rtc.accepts(input)
    }

    pub(crate) fn end(&mut self) {
        self.rtc.disconnect();
    }

    pub(crate) fn receive(&mut self, now: Instant, received: Receive) {
        self.input(Input::Receive(now, received));
    }

    /// Tells the time: due timers fire, and packets that were written become ready.
    pub(crate) fn tick(&mut self, now: Instant) {
        self.input(Input::Timeout(now));
    }

    fn input(&mut self, input: Input) {
        if self.rtc.is_alive() && self.rtc.handle_input(input).is_err() {
            self.rtc.disconnect();
        }
    }

    /// Sends what is ready, hands on what was heard, and notes the next timeout.
    pub(crate) fn poll(&mut self, socket: &UdpSocket, mut heard: impl FnMut(Heard)) {
        while self.rtc.is_alive() {
            match self.rtc.poll_output() {
                Ok(Output::Timeout(at)) => {
                    self.timeout = at;
                    return;
                }
                // A full socket buffer loses the packet, as a network would.
                Ok(Output::Transmit(transmit)) => {
                    let _lost = socket.send_to(&transmit.contents, transmit.destination);
                }
                Ok(Output::Event(event)) => self.event(event, &mut heard),
                Err(_) => self.rtc.disconnect(),
            }
        }
    }

    fn event(&mut self, event: Event, heard: &mut impl FnMut(Heard)) {
        match event {
            Event::MediaAdded(added) => self.add_track(added.mid, added.kind),
            Event::RtpPacket(packet) => {
                if let Some(kind) = self.kind_of(packet.header.ssrc) {
                    heard(Heard::Packet(kind, packet));
                }
            }
            Event::KeyframeRequest(_) | Event::Connected => heard(Heard::WantsPicture),
            Event::IceConnectionStateChange(IceConnectionState::Disconnected) => {
                self.rtc.disconnect();
            }
            _ => {}
        }
    }

    fn add_track(&mut self, mid: Mid, kind: MediaKind) {
        let codec = if kind == MediaKind::Audio { Codec::Opus } else { Codec::Vp8 };
        let params = self.rtc.codec_config().find(|params| params.spec().codec == codec);
        let payload_type = params.map(|params| params.pt());
        let mut direct = self.rtc.direct_api();
        let stream = direct.stream_tx_by_mid(mid, None).map(|stream| stream.ssrc());
        let out = payload_type.zip(stream);
        let out = out.map(|(payload_type, ssrc)| Out { payload_type, ssrc, base: None });
        self.tracks.push(Track { mid, kind, out, ssrc: None });
    }

    /// The m-line of a publisher's stream, remembered at its first packet.
    fn kind_of(&mut self, ssrc: Ssrc) -> Option<MediaKind> {
        if let Some(track) = self.tracks.iter().find(|track| track.ssrc == Some(ssrc)) {
            return Some(track.kind);
        }
        let mid = self.rtc.direct_api().stream_rx(&ssrc)?.mid();
        let track = self.tracks.iter_mut().find(|track| track.mid == mid)?;
        track.ssrc = Some(ssrc);
        Some(track.kind)
    }

    /// Queues a publisher's packet; it leaves at the next tick and poll.
    pub(crate) fn forward(&mut self, kind: MediaKind, packet: &RtpPacket) {
        let Some(track) = self.tracks.iter_mut().find(|track| track.kind == kind) else { return };
        let Some(out) = &mut track.out else { return };
        let sequence = *packet.seq_no;
        let base = *out.base.get_or_insert(sequence & !0xffff);
        let Some(sequence) = sequence.checked_sub(base) else { return };
        let extensions = ExtensionValues {
            audio_level: packet.header.ext_vals.audio_level,
            voice_activity: packet.header.ext_vals.voice_activity,
            ..Default::default()
        };
        let write = RtpWrite::new(
            out.payload_type,
            SeqNo::from(sequence),
            packet.header.timestamp,
            packet.timestamp,
            packet.payload.clone(),
        )
        .marker(packet.header.marker)
        .ext_vals(extensions)
        .nackable(kind == MediaKind::Video);
        if let Some(stream) = self.rtc.direct_api().stream_tx(&out.ssrc) {
            stream.write_rtp(write);
        }
    }

    /// Asks a publisher for a picture; false if it is too early and must be tried again.
    pub(crate) fn request_keyframe(&mut self, now: Instant) -> bool {
        if self.asked.is_some_and(|asked| now < asked + KEYFRAME_INTERVAL) {
            return false;
        }
        let Some(track) = self.tracks.iter().find(|track| track.kind == MediaKind::Video) else {
            return false;
        };
        let mut direct = self.rtc.direct_api();
        let Some(stream) = direct.stream_rx_by_mid(track.mid, None) else {
            return false;
        };
        stream.request_keyframe(KeyframeRequestKind::Pli);
        self.asked = Some(now);
        true
    }
}
