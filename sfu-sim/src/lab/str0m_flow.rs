//! A media flow over a pair of str0m's peers: its estimator, its pacer, its feedback and its
//! retransmissions, with the lab's sources and the lab's path.

use std::collections::{BTreeSet, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Once;
use std::time::{Duration, Instant};

use str0m::bwe::{Bitrate, BweKind};
use str0m::format::Codec;
use str0m::media::{KeyframeRequestKind, MediaKind, Mid, Pt};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{RtpWrite, Ssrc};
use str0m::{Candidate, Event, Input, Output, Rtc};

use super::case::MediaFlowPlan;
use super::controller::START_BPS;
use super::flow::{Body, Class, Flow, Outbox, Packet, Piece, Reading, Side};
use super::media::{AGAIN_SHARE_MAX, AGAIN_WINDOW, PACKET_BYTES_MAX, cut};
use super::receiver::{Frames, KEYFRAME_PATIENCE};
use super::source::Source;

const MEDIA: u32 = 1000;
const AGAIN: u32 = MEDIA + 1;
/// What IP and UDP add to a datagram.
const IP_BYTES: usize = 28;
/// What IP, UDP, RTP with extensions, and SRTP add to a payload.
const HEADER_BYTES: u32 = 28 + 12 + 12 + 16;
/// Bytes of a payload that say which piece it is.
const PIECE_BYTES: usize = 37;
/// The handshake takes place before the flow begins, on a path without delay.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// A peer that wants to be called again at once is called after this.
const RESOLUTION: Duration = Duration::from_micros(100);

/// One peer.
struct End {
    rtc: Rtc,
    address: SocketAddr,
    next: Instant,
}

/// Two peers and a source.
pub struct Str0mFlow {
    plan: MediaFlowPlan,
    epoch: Instant,
    sender: End,
    receiver: End,
    mid: Mid,
    pt: Pt,
    source: Source,
    next_sequence: u64,
    next_frame: u64,
    target_bps: u64,
    seen: BTreeSet<u64>,
    /// Retransmissions of late, and when; probes are filled with them too.
    again: VecDeque<(Duration, u32)>,
    frames: Frames,
    stuck_since: Option<Duration>,
}

fn endpoint(last: u8) -> SocketAddr {
    (Ipv4Addr::new(192, 0, 2, last), 5000).into()
}

impl End {
    fn new(address: SocketAddr, now: Instant, sends: bool) -> Self {
        let config = Rtc::builder().set_rtp_mode(true).set_stats_interval(None);
        let start = sends.then_some(Bitrate::bps(START_BPS));
        let config = if sends { config.enable_bwe(start) } else { config };
        Self { rtc: config.build(now), address, next: now }
    }

    /// Takes the peer's output: events, and what it sends.
    fn drain(&mut self, now: Instant) -> (Vec<Event>, Vec<Vec<u8>>) {
        let (mut events, mut datagrams) = (Vec::new(), Vec::new());
        loop {
            match self.rtc.poll_output().expect("a peer of the lab's own has nothing to refuse") {
                Output::Timeout(at) => {
                    self.next = at.max(now + RESOLUTION);
                    return (events, datagrams);
                }
                Output::Transmit(transmit) => datagrams.push(transmit.contents.to_vec()),
                Output::Event(event) => events.push(event),
            }
        }
    }

    fn receive(&mut self, now: Instant, from: SocketAddr, bytes: &[u8]) {
        let Ok(contents) = bytes.try_into() else { return };
        let receive =
            Receive { proto: Protocol::Udp, source: from, destination: self.address, contents };
        // What it does not understand it may refuse; that is its affair.
        let _ = self.rtc.handle_input(Input::Receive(now, receive));
    }

    fn time(&mut self, now: Instant) {
        let _ = self.rtc.handle_input(Input::Timeout(now));
    }
}

/// Two peers whose handshake is over at `ready`.
fn connect(ready: Instant) -> (End, End) {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| str0m::crypto::from_feature_flags().install_process_default());
    let mut now = ready - HANDSHAKE;
    let mut left = End::new(endpoint(1), now, true);
    let mut right = End::new(endpoint(2), now, false);
    let host = |end: &End| Candidate::host(end.address, "udp").expect("a valid address");
    let (here, there) = (host(&left), host(&right));
    introduce(&mut left.rtc, &mut right.rtc, &here, &there);
    introduce(&mut right.rtc, &mut left.rtc, &there, &here);
    left.rtc.direct_api().set_ice_controlling(true);
    right.rtc.direct_api().set_ice_controlling(false);
    left.rtc.direct_api().start_dtls(true).expect("DTLS starts once");
    right.rtc.direct_api().start_dtls(false).expect("DTLS starts once");
    while now < ready {
        left.time(now);
        right.time(now);
        loop {
            let (_, there) = left.drain(now);
            let (_, here) = right.drain(now);
            if there.is_empty() && here.is_empty() {
                break;
            }
            there.iter().for_each(|bytes| right.receive(now, left.address, bytes));
            here.iter().for_each(|bytes| left.receive(now, right.address, bytes));
        }
        now = left.next.min(right.next).min(ready).max(now + RESOLUTION);
    }
    assert!(left.rtc.is_connected() && right.rtc.is_connected(), "ten seconds are enough");
    (left, right)
}

fn introduce(rtc: &mut Rtc, other: &mut Rtc, own: &Candidate, others: &Candidate) {
    rtc.add_local_candidate(own.clone());
    rtc.add_remote_candidate(others.clone());
    let fingerprint = other.direct_api().local_dtls_fingerprint().clone();
    let credentials = other.direct_api().local_ice_credentials();
    rtc.direct_api().set_remote_fingerprint(fingerprint);
    rtc.direct_api().set_remote_ice_credentials(credentials);
}

impl Str0mFlow {
    /// A flow that begins when its source does.
    #[must_use]
    pub fn new(plan: &MediaFlowPlan, source: Source, epoch: Instant) -> Self {
        let ready = epoch + source.next();
        let (mut sender, mut receiver) = connect(ready);
        let mid: Mid = "vid".into();
        let (media, again): (Ssrc, Ssrc) = (MEDIA.into(), AGAIN.into());
        let mut api = sender.rtc.direct_api();
        api.declare_media(mid, MediaKind::Video);
        api.declare_stream_tx(media, Some(again), mid, None);
        let mut api = receiver.rtc.direct_api();
        api.declare_media(mid, MediaKind::Video);
        api.expect_stream_rx(media, Some(again), mid, None);
        api.enable_twcc_feedback();
        let pt = sender.rtc.codec_config().find(|params| params.spec().codec == Codec::Vp8);
        let pt = pt.expect("VP8 is enabled unless turned off").pt();
        sender.next = ready;
        receiver.next = ready;
        Self {
            plan: plan.clone(),
            epoch,
            sender,
            receiver,
            mid,
            pt,
            source,
            next_sequence: 0,
            next_frame: 0,
            target_bps: START_BPS,
            seen: BTreeSet::new(),
            again: VecDeque::new(),
            frames: Frames::default(),
            stuck_since: None,
        }
    }

    fn capture(&mut self, now: Duration, out: &mut Outbox) {
        let wanted = self.plan.demand.at(now);
        let most = self.source.most_bps().map_or(wanted, |most| most.min(wanted));
        self.sender.rtc.bwe().set_bitrate(Bitrate::ZERO, Bitrate::bps(most));
        if wanted == 0 {
            self.source.pause(self.plan.demand.next_change(now).unwrap_or(Duration::MAX));
            return;
        }
        let captured = self.source.next();
        let budget = self.budget_bps(now);
        let Some(frame) = self.source.frame(budget, wanted) else { return };
        out.captured.push(captured);
        for (piece, bytes) in cut(frame, captured, self.next_frame, self.next_sequence) {
            self.write(now, piece, bytes);
            self.next_sequence = piece.sequence + 1;
        }
        self.next_frame += 1;
    }

    /// The rate that is left for media of the estimate.
    fn budget_bps(&mut self, now: Duration) -> u64 {
        while self.again.front().is_some_and(|(at, _)| *at + AGAIN_WINDOW < now) {
            self.again.pop_front();
        }
        let again: u64 = self.again.iter().map(|(_, bytes)| u64::from(*bytes) * 8).sum();
        self.target_bps.saturating_sub(again).max(self.target_bps / AGAIN_SHARE_MAX).max(1)
    }

    fn write(&mut self, now: Duration, piece: Piece, bytes: u32) {
        let size = bytes.min(PACKET_BYTES_MAX).saturating_sub(HEADER_BYTES) as usize;
        let mut payload = encode(&piece);
        payload.resize(size.max(PIECE_BYTES), 0);
        #[allow(clippy::cast_possible_truncation, reason = "it wraps")]
        let time = (piece.captured.as_micros() * 9 / 100) as u32;
        let wallclock = self.epoch + now;
        let write = RtpWrite::new(self.pt, piece.sequence.into(), time, wallclock, payload);
        let last = piece.sequence + 1 == piece.first + u64::from(piece.count);
        let mut api = self.sender.rtc.direct_api();
        let outlet = api.stream_tx(&MEDIA.into()).expect("declared in new()");
        outlet.write_rtp(write.nackable(true).marker(last));
        // It takes one packet between two polls at a time in, so its queue is polled by flush.
    }

    /// Takes what both peers have put out.
    fn flush(&mut self, now: Duration, out: &mut Outbox) {
        let (events, datagrams) = self.sender.drain(self.epoch + now);
        for packet in datagrams.into_iter().map(packet) {
            if packet.class == Class::Retransmission {
                self.again.push_back((now, packet.bytes));
            }
            out.data.push(packet);
        }
        for event in events {
            match event {
                Event::EgressBitrateEstimate(BweKind::Twcc { estimate, .. }) => {
                    self.target_bps = estimate.as_u64();
                }
                Event::KeyframeRequest(_) => self.source.request_key(),
                _ => {}
            }
        }
        let (events, datagrams) = self.receiver.drain(self.epoch + now);
        out.back.extend(datagrams.into_iter().map(packet));
        for event in events {
            let Event::RtpPacket(packet) = event else { continue };
            let Some(piece) = decode(&packet.payload) else { continue };
            if self.seen.insert(piece.sequence) {
                #[allow(clippy::cast_possible_truncation, reason = "shorter than an MTU")]
                let bytes = packet.payload.len() as u32 + HEADER_BYTES;
                out.useful += bytes;
            }
            self.frames.insert(piece, &mut out.frames);
            let since = self.stuck_since.filter(|_| out.frames.is_empty());
            self.stuck_since = self.frames.is_stuck().then(|| since.unwrap_or(now));
        }
    }

    fn ask_for_key(&mut self, now: Duration) {
        if self.stuck_since.is_some_and(|since| since + KEYFRAME_PATIENCE <= now) {
            self.stuck_since = Some(now);
            let mut api = self.receiver.rtc.direct_api();
            if let Some(inlet) = api.stream_rx_by_mid(self.mid, None) {
                inlet.request_keyframe(KeyframeRequestKind::Pli);
            }
        }
    }
}

/// A datagram as the lab counts it. Only the header of SRTP is legible.
fn packet(bytes: Vec<u8>) -> Packet {
    let is_media = bytes.first().is_some_and(|first| first >> 6 == 2)
        && bytes.get(1).is_some_and(|second| !(192..=223).contains(second));
    let ssrc =
        bytes.get(8..12).map(|ssrc| u32::from_be_bytes([ssrc[0], ssrc[1], ssrc[2], ssrc[3]]));
    let class = match (is_media, ssrc) {
        (true, Some(MEDIA)) => Class::Media,
        (true, Some(AGAIN)) => Class::Retransmission,
        (true, _) => Class::Padding,
        (false, _) => Class::Control,
    };
    #[allow(clippy::cast_possible_truncation, reason = "shorter than an MTU")]
    let size = (bytes.len() + IP_BYTES) as u32;
    Packet { bytes: size, class, body: Body::Datagram(bytes) }
}

fn encode(piece: &Piece) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(PIECE_BYTES);
    let captured = u64::try_from(piece.captured.as_nanos()).unwrap_or(0);
    for word in [piece.sequence, piece.frame, captured, piece.first] {
        bytes.extend_from_slice(&word.to_be_bytes());
    }
    bytes.extend_from_slice(&piece.count.to_be_bytes());
    bytes.push(u8::from(piece.key));
    bytes
}

/// `None` for padding.
fn decode(bytes: &[u8]) -> Option<Piece> {
    let word = |at: usize| {
        let word = bytes.get(at..at + 8)?;
        Some(u64::from_be_bytes(word.try_into().ok()?))
    };
    Some(Piece {
        sequence: word(0)?,
        frame: word(8)?,
        captured: Duration::from_nanos(word(16)?),
        first: word(24)?,
        count: u32::from_be_bytes(bytes.get(32..36)?.try_into().ok()?),
        key: *bytes.get(36)? != 0,
    })
}

impl Flow for Str0mFlow {
    fn poll_timeout(&self) -> Option<Duration> {
        let since = |at: Instant| at.saturating_duration_since(self.epoch);
        let patience = self.stuck_since.map(|since| since + KEYFRAME_PATIENCE);
        let all = [since(self.sender.next), since(self.receiver.next), self.source.next()];
        all.into_iter().chain(patience).min()
    }

    fn handle_timeout(&mut self, now: Duration, out: &mut Outbox) {
        let at = self.epoch + now;
        if self.sender.next <= at {
            self.sender.time(at);
        }
        if self.receiver.next <= at {
            self.receiver.time(at);
        }
        self.ask_for_key(now);
        self.flush(now, out);
        while self.source.next() <= now {
            self.capture(now, out);
            self.flush(now, out);
        }
    }

    fn handle_packet(&mut self, now: Duration, at: Side, packet: Packet, out: &mut Outbox) {
        let Body::Datagram(bytes) = packet.body else { return };
        let instant = self.epoch + now;
        match at {
            Side::Receiver => self.receiver.receive(instant, self.sender.address, &bytes),
            Side::Sender => self.sender.receive(instant, self.receiver.address, &bytes),
        }
        self.flush(now, out);
    }

    fn reading(&self) -> Reading {
        Reading { target_bps: self.target_bps, offered_bps: self.source.offered_bps() }
    }
}
