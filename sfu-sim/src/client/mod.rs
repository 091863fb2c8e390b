//! A client: one peer connection as a browser would hold it, without its encryption.

mod access;
mod arrivals;
mod feedback;
mod ice;
pub mod judge;
pub mod layers;
mod numbering;
mod offer;
mod outbox;
pub mod publisher;
mod receiver;
pub mod rtcp;
pub(crate) mod secure;
mod uplink;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use rtc_crypto::RTCCryptoProvider;
use sfu_core::command::{PublishRequest, Source};
use sfu_core::id::{Mid, ParticipantId, PeerId, TrackId};
use sfu_core::negotiation::{Answer, MediaKind, Offer, SectionContent};
use sfu_core::rtp::extension::Extension;

pub use numbering::Numbering;
pub use receiver::Receiver;

use crate::plan::{Plan, Slots, VideoPlan};
use crate::random::{Pcg64Mcg, generator, word};
use crate::wire::{Datagram, Rtp, Stamp};
use feedback::Recorder;
use ice::Ice;
use judge::quality::{Quality, Violation};
pub(crate) use outbox::Outbox;
use publisher::{AudioPublisher, Outlet, VideoPublisher};
use rtcp::Told;
use secure::Secure;
use uplink::{Advice, Uplink};

/// Between receiver reports.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// Report blocks of one receiver report (RFC 3550 §6.4.1: five bits count them).
const REPORT_BLOCKS_MAX: usize = 31;

/// One m-line of the client.
#[derive(Debug)]
pub(crate) struct MediaLine {
    mid: Mid,
    kind: MediaKind,
    work: Work,
}

/// What an m-line is used for.
#[derive(Debug)]
pub(crate) enum Work {
    Video(Box<VideoPublisher>),
    Audio(Box<AudioPublisher>),
    /// There from the answer on.
    Receive(Option<Box<Receiver>>),
    Idle,
}

impl Work {
    fn direction(&self) -> &'static str {
        match self {
            Self::Video(_) | Self::Audio(_) => "a=sendonly",
            Self::Receive(_) => "a=recvonly",
            Self::Idle => "a=inactive",
        }
    }

    fn sends(&self) -> bool {
        matches!(self, Self::Video(_) | Self::Audio(_))
    }
}

/// A client.
pub struct Client {
    /// Its name in the room.
    pub participant: ParticipantId,
    /// Its name in the engine.
    pub peer: PeerId,
    plan: Plan,
    numbering: Numbering,
    fingerprint: [u8; 32],
    ice: Ice,
    /// None where nothing is encrypted.
    secure: Option<Box<Secure>>,
    lines: Vec<MediaLine>,
    published: Vec<(Mid, TrackId)>,
    version: u64,
    /// Number of its last source, for stamps.
    next_source: u32,
    /// SSRC in its feedback.
    feedback_ssrc: u32,
    /// What its wall clock shows at the start of the world.
    clock: Duration,
    uplink: Uplink,
    recorder: Recorder,
    /// Places in `lines` of receivers, by their SSRCs; and the one that was looked up last, for
    /// packets come in runs.
    line_by_ssrc: BTreeMap<u32, usize>,
    last_line: Option<(u32, usize)>,
    /// The lines from here on send nothing.
    senders_end: usize,
    /// The id of the transport-wide sequence number on what it receives.
    transport_id: u8,
    /// Media flows: the first check was answered.
    media: bool,
    next_report: Duration,
    /// The earliest time at which a receiver has something to ask for.
    receivers_due: Option<Duration>,
    transmit: Outbox,
    rng: Pcg64Mcg,
    /// Packets that transport-wide feedback has told of.
    pub told_transport_wide: u64,
    /// The latest report blocks about its own sources.
    pub reported: Vec<(u32, u8)>,
    /// Datagrams it could not make sense of.
    pub unreadable: u64,
    strays: Quality,
}

impl Client {
    pub(crate) fn new(
        plan: Plan,
        index: usize,
        seed: u64,
        crypto: Arc<dyn RTCCryptoProvider>,
        secure: Option<(Secure, [u8; 32])>,
        now: Duration,
    ) -> Self {
        let lane = (index as u64) << 8;
        let mut rng = generator(seed, lane | 1);
        let mut fingerprint = [0; 32];
        for chunk in fingerprint.chunks_exact_mut(4) {
            chunk.copy_from_slice(&word(&mut rng).to_be_bytes());
        }
        let secure = secure.map(|(secure, own)| {
            fingerprint = own;
            Box::new(secure)
        });
        // The low bits are the client's number, so that stamps tell whose media it is.
        let number = u64::from(u16::try_from(index + 1).expect("fewer than 65,535 clients"));
        let participant = ParticipantId(u64::from(word(&mut rng)) << 32 | number);
        let numbering = Numbering::variant(index);
        let watches = plan.video.as_ref().is_some_and(|video| video.adapts);
        let mut client = Self {
            participant,
            peer: PeerId::default(),
            transport_id: numbering.extension(Extension::TransportCc),
            numbering,
            fingerprint,
            secure,
            ice: Ice::new(crypto, generator(seed, lane | 2)),
            lines: Vec::new(),
            published: Vec::new(),
            version: 0,
            next_source: Stamp::first_source(participant),
            feedback_ssrc: word(&mut rng),
            // Clocks of different machines are hours apart as far as the engine knows.
            clock: Duration::from_secs(3_900_000_000)
                + Duration::from_millis(word(&mut rng).into()),
            uplink: Uplink::new((word(&mut rng) & 0xffff) as u16, watches),
            recorder: Recorder::new(plan.feedback),
            line_by_ssrc: BTreeMap::new(),
            last_line: None,
            senders_end: 0,
            media: false,
            next_report: now,
            receivers_due: None,
            transmit: Outbox::default(),
            rng,
            told_transport_wide: 0,
            reported: Vec::new(),
            unreadable: 0,
            strays: Quality::default(),
            plan,
        };
        client.open_lines(now);
        client
    }

    /// The m-lines of the first offer.
    fn open_lines(&mut self, now: Duration) {
        if !self.plan.levels.is_empty() {
            self.publish_audio(now, self.plan.levels.clone());
        }
        if let Some(video) = self.plan.video.clone() {
            self.publish_video(now, video);
        }
        match self.plan.slots {
            Slots::Fixed { audio, video } => self.add_slots(audio, video),
            // An offer without any m-line is none.
            Slots::OnDemand if self.lines.is_empty() => self.add_slots(1, 1),
            Slots::OnDemand => {}
        }
    }

    fn add_line(&mut self, kind: MediaKind, work: Work) -> Mid {
        let mid = Mid::from(&*self.lines.len().to_string());
        self.lines.push(MediaLine { mid: mid.clone(), kind, work });
        mid
    }

    /// Adds receiving m-lines; the next offer carries them.
    pub fn add_slots(&mut self, audio: usize, video: usize) {
        for _ in 0..audio {
            self.add_line(MediaKind::Audio, Work::Receive(None));
        }
        for _ in 0..video {
            self.add_line(MediaKind::Video, Work::Receive(None));
        }
    }

    /// Whether it adds the m-lines it is told to.
    pub(crate) fn grows(&self) -> bool {
        self.plan.slots == Slots::OnDemand
    }

    /// Starts a camera, on an idle m-line if there is one; the next offer carries it.
    pub fn publish_video(&mut self, now: Duration, plan: VideoPlan) -> Mid {
        let idle = self.idle_line(MediaKind::Video);
        let mid = match idle {
            Some(at) => self.lines[at].mid.clone(),
            None => self.add_line(MediaKind::Video, Work::Idle),
        };
        let source = self.new_source();
        let camera = VideoPublisher::new(&mid.0, plan, source, now, &mut self.rng);
        let line = self.lines.iter_mut().find(|line| line.mid == mid).expect("found or made above");
        line.work = Work::Video(Box::new(camera));
        self.find_senders();
        mid
    }

    /// Starts a microphone likewise.
    pub fn publish_audio(&mut self, now: Duration, levels: Vec<(Duration, i8)>) -> Mid {
        let source = self.new_source();
        let microphone = AudioPublisher::new(levels, source, now, &mut self.rng);
        let work = Work::Audio(Box::new(microphone));
        let mid = match self.idle_line(MediaKind::Audio) {
            Some(at) => {
                self.lines[at].work = work;
                self.lines[at].mid.clone()
            }
            None => self.add_line(MediaKind::Audio, work),
        };
        self.find_senders();
        mid
    }

    fn find_senders(&mut self) {
        let last = self.lines.iter().rposition(|line| line.work.sends());
        self.senders_end = last.map_or(0, |last| last + 1);
    }

    fn idle_line(&self, kind: MediaKind) -> Option<usize> {
        self.lines.iter().position(|l| l.kind == kind && matches!(l.work, Work::Idle))
    }

    fn new_source(&mut self) -> u32 {
        self.next_source += 1;
        self.next_source
    }

    /// Stops what an m-line does; the next offer has it inactive.
    pub fn stop(&mut self, mid: &Mid) {
        if let Some(line) = self.lines.iter_mut().find(|line| line.mid == *mid) {
            line.work = Work::Idle;
        }
    }

    /// Draws new ICE credentials; the next offer restarts ICE.
    pub fn restart_ice(&mut self) {
        self.ice.renew();
    }

    /// Its offer as SDP text, each a version higher than the one before.
    pub fn offer_text(&mut self) -> String {
        self.version += 1;
        let session = offer::Session {
            version: self.version,
            ice: self.ice.local(),
            fingerprint: &self.fingerprint,
            numbering: &self.numbering,
            video_codecs: &self.plan.video_codecs,
            feedback: self.recorder.offered(),
        };
        offer::text(&session, &self.lines)
    }

    pub(crate) fn offer(&mut self) -> (Offer, Vec<PublishRequest>) {
        let text = self.offer_text();
        let offer = Offer::parse(&text);
        let offer = offer.unwrap_or_else(|error| panic!("the engine refuses {error}:\n{text}"));
        let publish = self.lines.iter().filter(|line| line.work.sends()).map(|line| {
            let (source, name) = match &line.work {
                Work::Video(video) if video.origin() == Source::Screen => {
                    (Source::Screen, "screen")
                }
                Work::Video(video) => (video.origin(), "camera"),
                _ => (Source::Microphone, "microphone"),
            };
            PublishRequest { mid: line.mid.clone(), source, name: name.into(), muted: false }
        });
        (offer, publish.collect())
    }

    pub(crate) fn answer(
        &mut self,
        now: Duration,
        answer: &Answer,
        published: Vec<(Mid, TrackId)>,
    ) {
        self.published = published;
        self.ice.set_remote(now, &answer.ice);
        for (line, (section, _)) in self.lines.iter_mut().zip(&answer.sections) {
            assert_eq!(line.mid, section.mid, "answers keep the order of offers");
            let (SectionContent::Media(media), Work::Receive(receiver)) =
                (&section.content, &mut line.work)
            else {
                continue;
            };
            if receiver.as_ref().is_none_or(|receiver| !receiver.fits(media)) {
                *receiver = Receiver::new(section.mid.clone(), media).map(Box::new);
            }
        }
        self.line_by_ssrc.clear();
        self.last_line = None;
        for (at, line) in self.lines.iter().enumerate() {
            if let Work::Receive(Some(receiver)) = &line.work {
                self.line_by_ssrc.extend(receiver.ssrcs().map(|ssrc| (ssrc, at)));
            }
        }
    }

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

    fn send_handshake(&mut self) {
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
                Told::SenderReport(ssrc, ntp) => {
                    let receiver = self.line_by_ssrc.get(&ssrc).map(|&at| &mut self.lines[at].work);
                    if let Some(Work::Receive(Some(receiver))) = receiver {
                        receiver.on_sender_report(now, ntp);
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

    pub(crate) fn handle_timeout(&mut self, now: Duration) {
        if let Some(check) = self.ice.poll(now) {
            self.transmit.push(&check);
        }
        if let Some(secure) = &mut self.secure {
            secure.handle_timeout(now);
            self.send_handshake();
        }
        if !self.media {
            return;
        }
        let (works, mut outlet) = self.works_and_outlet(now);
        for work in works {
            match work {
                Work::Video(camera) => camera.poll(&mut outlet),
                Work::Audio(microphone) => microphone.poll(&mut outlet),
                Work::Receive(_) | Work::Idle => {}
            }
        }
        if self.receivers_due.is_some_and(|due| due <= now) {
            self.poll_receivers(now);
        }
        let Self { recorder, transmit, feedback_ssrc, .. } = self;
        recorder.poll(now, *feedback_ssrc, |message| transmit.push(message));
        if self.next_report <= now {
            self.next_report = now + REPORT_INTERVAL;
            // Whatever has no time of its own is looked after once a second.
            self.poll_receivers(now);
            self.report(now);
        }
    }

    /// When [`Client::handle_timeout`] has something to do.
    pub(crate) fn wake(&self) -> Option<Duration> {
        let secure = self.secure.as_ref().and_then(|secure| secure.wake());
        if !self.media {
            return earlier(self.ice.wake(), secure);
        }
        let senders = &self.lines[..self.senders_end];
        let works = senders.iter().filter_map(|line| match &line.work {
            Work::Video(camera) => Some(camera.wake()),
            Work::Audio(microphone) => Some(microphone.wake()),
            Work::Receive(_) | Work::Idle => None,
        });
        works
            .chain(self.ice.wake())
            .chain(secure)
            .chain(self.recorder.wake())
            .chain(self.receivers_due)
            .chain([self.next_report])
            .min()
    }

    /// What it has to send.
    pub(crate) fn outbox(&mut self) -> &mut Outbox {
        &mut self.transmit
    }

    fn poll_receivers(&mut self, now: Duration) {
        let (rtt, ssrc) = (self.ice.rtt(), self.feedback_ssrc);
        let mut due = None;
        for line in &mut self.lines {
            if let Work::Receive(Some(receiver)) = &mut line.work {
                receiver.poll(now, rtt, ssrc, &mut self.transmit);
                due = earlier(due, receiver.wake());
            }
        }
        self.receivers_due = due;
    }

    fn report(&mut self, now: Duration) {
        let blocks: Vec<_> = self.receivers_mut().filter_map(|r| r.report(now)).collect();
        for blocks in blocks.chunks(REPORT_BLOCKS_MAX) {
            let report = rtcp::receiver_report(self.feedback_ssrc, blocks.to_vec());
            self.transmit.push(&report);
        }
    }

    fn works_and_outlet(&mut self, now: Duration) -> (impl Iterator<Item = &mut Work>, Outlet<'_>) {
        let outlet = Outlet {
            now,
            ntp: rtcp::ntp(self.clock + now),
            numbering: &self.numbering,
            uplink: &mut self.uplink,
            transmit: &mut self.transmit,
        };
        (self.lines[..self.senders_end].iter_mut().map(|line| &mut line.work), outlet)
    }

    fn cameras_and_outlet(
        &mut self,
        now: Duration,
    ) -> (impl Iterator<Item = &mut VideoPublisher>, Outlet<'_>) {
        let (works, outlet) = self.works_and_outlet(now);
        let cameras = works.filter_map(|work| match work {
            Work::Video(camera) => Some(&mut **camera),
            _ => None,
        });
        (cameras, outlet)
    }

    pub(crate) fn assign(
        &mut self,
        now: Duration,
        mid: &Mid,
        carries: Option<(ParticipantId, TrackId)>,
    ) {
        if let Some(receiver) = self.receivers_mut().find(|receiver| receiver.mid() == mid) {
            receiver.assign(now, carries);
        }
    }

    pub(crate) fn interrupt(&mut self, now: Duration, track: TrackId) {
        let carriers = self
            .receivers_mut()
            .filter(|receiver| receiver.carries().is_some_and(|(_, carried)| carried == track));
        for receiver in carriers {
            receiver.interrupt(now);
        }
    }
}

fn earlier(a: Option<Duration>, b: Option<Duration>) -> Option<Duration> {
    a.into_iter().chain(b).min()
}
