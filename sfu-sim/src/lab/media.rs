//! A media flow: source, pacer and controller at one end, a receiver at the other.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::controller::{Controller, Departure, Probe};
use super::flow::{Body, Class, Flow, MediaPacket, Outbox, Packet, Piece, Reading, Side};
use super::pacer::{Pacer, PacerConfig, Waiting, time_for};
use super::receiver::{Receiver, ReceiverConfig};
use super::source::{Frame, Source};

/// SSRC of the media; retransmissions and padding have the next one.
pub const MEDIA_SSRC: u32 = 1000;
const AGAIN_SSRC: u32 = MEDIA_SSRC + 1;
/// Largest packet at the IP level.
pub(crate) const PACKET_BYTES_MAX: u32 = 1200;
/// Packets kept for retransmission: two seconds at 6 Mbit/s.
const KEPT_PACKETS: usize = 1250;
/// The rate of retransmissions is averaged over this.
pub(crate) const AGAIN_WINDOW: Duration = Duration::from_secs(1);
/// Retransmissions are granted one in so many parts of the estimate; the rest is left for what is new.
pub(crate) const AGAIN_SHARE_MAX: u64 = 2;
/// Shares of packets lost from which on retransmissions are sent twice, and three times, where a
/// second request would come too late (RTT of 100 ms, buffers of 200 ms): what is lost is then
/// `p³` and `p⁴`.
const TWICE_LOSS_MIN: f32 = 0.03;
const THRICE_LOSS_MIN: f32 = 0.07;
/// … if it has been so for this long: what a full queue drops for a moment is not made up for by
/// sending more.
const HEAVY_AFTER: Duration = Duration::from_secs(2);
/// … and this share of the estimate is used on average, so that heaps of them fit.
const HEAP_MARGIN: f64 = 0.88;

/// What flows want that take all they can get: more than any path of the lab has.
pub const EVERYTHING_BPS: u64 = 10_000_000;

/// What a media flow wants over time, bit/s, from each of these times on; zero pauses it.
#[derive(Clone, Debug)]
pub struct Demand(pub Vec<(Duration, u64)>);

impl Demand {
    /// As much as there is.
    #[must_use]
    pub fn everything() -> Self {
        Self(vec![(Duration::ZERO, EVERYTHING_BPS)])
    }

    /// What is wanted at a time.
    #[must_use]
    pub fn at(&self, now: Duration) -> u64 {
        let step = self.0.iter().rev().find(|(from, _)| *from <= now);
        step.map_or(0, |&(_, rate)| rate)
    }

    /// When something else will be wanted.
    #[must_use]
    pub fn next_change(&self, now: Duration) -> Option<Duration> {
        self.0.iter().map(|&(from, _)| from).find(|&from| from > now)
    }
}

/// Everything a media flow is made of.
pub struct MediaPlan {
    /// What it wants.
    pub demand: Demand,
    /// How it paces.
    pub pacer: PacerConfig,
    /// Whether retransmissions are sent in copies under heavy loss.
    pub copies: bool,
    /// Its far end.
    pub receiver: ReceiverConfig,
}

/// A media flow at work.
pub struct MediaFlow {
    plan: MediaPlan,
    epoch: Instant,
    controller: Box<dyn Controller>,
    source: Source,
    pacer: Pacer,
    probe: Option<Burst>,
    clusters: VecDeque<Probe>,
    kept: VecDeque<Kept>,
    again: VecDeque<(Duration, u32)>,
    heavy_since: Option<Duration>,
    next_sequence: u64,
    next_frame: u64,
    transport_sequence: u16,
    again_sequence: u16,
    receiver: Receiver,
    wakes_at: Duration,
}

/// A probe under way.
#[derive(Debug)]
struct Burst {
    probe: Probe,
    began: Duration,
    next: Duration,
    packets: u32,
}

#[derive(Clone, Copy, Debug)]
struct Kept {
    piece: Piece,
    bytes: u32,
    /// When it was last sent again: no sooner than after a round trip can that be in vain.
    again_at: Option<Duration>,
}

impl MediaFlow {
    /// A flow that begins when its source does.
    #[must_use]
    pub fn new(
        plan: MediaPlan,
        controller: Box<dyn Controller>,
        source: Source,
        epoch: Instant,
    ) -> Self {
        Self {
            receiver: Receiver::new(plan.receiver, epoch),
            pacer: Pacer::new(plan.pacer),
            plan,
            epoch,
            controller,
            wakes_at: source.next(),
            source,
            probe: None,
            clusters: VecDeque::new(),
            kept: VecDeque::new(),
            again: VecDeque::new(),
            heavy_since: None,
            next_sequence: 0,
            next_frame: 0,
            transport_sequence: 0,
            again_sequence: 0,
        }
    }

    /// The rate that is left for media of the estimate.
    fn budget_bps(&mut self, now: Duration) -> u64 {
        while self.again.front().is_some_and(|(at, _)| *at + AGAIN_WINDOW < now) {
            self.again.pop_front();
        }
        let again: u64 = self.again.iter().map(|(_, bytes)| u64::from(*bytes) * 8).sum();
        let target = self.controller.target_bps();
        let copies = self.copies(now);
        let left = if copies > 1 {
            self.left_beside_copies(target, copies)
        } else {
            target.saturating_sub(again)
        };
        left.max(target / AGAIN_SHARE_MAX).max(1)
    }

    /// With copies, retransmissions come in heaps that must not make the next frame late, so room
    /// is kept for them beforehand.
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "rates are far below 2^52"
    )]
    fn left_beside_copies(&self, target: u64, copies: usize) -> u64 {
        let loss = f64::from(self.controller.loss().unwrap_or(0.0));
        (target as f64 * HEAP_MARGIN / (1.0 + loss * copies as f64)) as u64
    }

    fn capture(&mut self, now: Duration, out: &mut Outbox) {
        let wanted = self.plan.demand.at(now);
        let most = self.source.most_bps().map_or(wanted, |most| most.min(wanted));
        if wanted == 0 {
            let until = self.plan.demand.next_change(now).unwrap_or(Duration::MAX);
            self.source.pause(until);
            self.controller.set_demand(self.epoch + now, 0, 0);
            return;
        }
        let budget = self.budget_bps(now);
        let captured = self.source.next();
        if let Some(frame) = self.source.frame(budget, wanted) {
            if frame.key {
                self.pacer.forget_before(self.next_sequence);
            }
            out.captured.push(captured);
            for (piece, bytes) in cut(frame, captured, self.next_frame, self.next_sequence) {
                self.keep(Kept { piece, bytes, again_at: None });
                self.pacer.push(Waiting { bytes, class: Class::Media, piece: Some(piece) });
                self.next_sequence = piece.sequence + 1;
            }
            self.next_frame += 1;
        }
        self.controller.set_demand(self.epoch + now, most, self.source.offered_bps());
    }

    fn keep(&mut self, kept: Kept) {
        if self.kept.len() == KEPT_PACKETS {
            self.kept.pop_front();
        }
        self.kept.push_back(kept);
    }

    fn send(&mut self, now: Duration, waiting: Waiting, probe: Option<u32>, out: &mut Outbox) {
        let (ssrc, rtp_sequence) = match (waiting.class, waiting.piece) {
            #[allow(clippy::cast_possible_truncation, reason = "it wraps")]
            (Class::Media, Some(piece)) => (MEDIA_SSRC, piece.sequence as u16),
            _ => {
                self.again_sequence = self.again_sequence.wrapping_add(1);
                (AGAIN_SSRC, self.again_sequence)
            }
        };
        if waiting.class == Class::Retransmission {
            self.again.push_back((now, waiting.bytes));
        }
        let departure = Departure {
            ssrc,
            rtp_sequence,
            transport_sequence: self.transport_sequence,
            bytes: waiting.bytes,
            class: waiting.class,
            probe,
        };
        self.transport_sequence = self.transport_sequence.wrapping_add(1);
        self.controller.handle_departure(self.epoch + now, departure);
        let media = MediaPacket {
            transport_sequence: departure.transport_sequence,
            ssrc,
            rtp_sequence,
            media: waiting.piece,
        };
        let body = Body::Media(media);
        out.data.push(Packet { bytes: waiting.bytes, class: waiting.class, body });
    }

    fn begin_cluster(&mut self, now: Duration, out: &mut Outbox) {
        if self.probe.is_none()
            && self.next_sequence > 0
            && let Some(probe) = self.clusters.pop_front()
        {
            out.probes.push(probe.bitrate_bps);
            self.probe = Some(Burst { probe, began: now, next: now, packets: 0 });
        }
    }

    /// Sends what the pacer, or a probe in its place, lets go.
    fn pump(&mut self, now: Duration, out: &mut Outbox) {
        // A cluster is taken over at once, as the controller asks, and waits for the one before it.
        self.clusters.extend(std::iter::from_fn(|| self.controller.poll_probe(self.epoch + now)));
        self.begin_cluster(now, out);
        let target = self.controller.target_bps();
        while let Some(burst) = &mut self.probe
            && burst.next <= now
        {
            let Probe { id, bitrate_bps, duration, packets_min } = burst.probe;
            if burst.packets >= packets_min && burst.next >= burst.began + duration {
                self.probe = None;
                self.begin_cluster(now, out);
                continue;
            }
            let padding = Waiting { bytes: PACKET_BYTES_MAX, class: Class::Padding, piece: None };
            let waiting = self.pacer.take(now, target).unwrap_or(padding);
            #[allow(clippy::cast_precision_loss, reason = "rates are far below 2^52")]
            let taken = time_for(waiting.bytes, bitrate_bps as f64);
            burst.packets += 1;
            burst.next += taken;
            self.send(now, waiting, Some(id), out);
        }
        if self.probe.is_none() {
            while let Some(waiting) = self.pacer.poll(now, target) {
                self.send(now, waiting, None, out);
            }
        }
    }

    /// How often a retransmission is sent.
    fn copies(&mut self, now: Duration) -> usize {
        let loss = self.controller.loss().unwrap_or(0.0);
        if !self.plan.copies || loss < TWICE_LOSS_MIN {
            self.heavy_since = None;
        } else if now - *self.heavy_since.get_or_insert(now) >= HEAVY_AFTER {
            return if loss < THRICE_LOSS_MIN { 2 } else { 3 };
        }
        1
    }

    fn retransmit(&mut self, now: Duration, sequences: &[u64]) {
        let copies = self.copies(now);
        let Some(first) = self.kept.front().map(|kept| kept.piece.sequence) else { return };
        for sequence in sequences {
            let place = sequence.checked_sub(first).and_then(|place| usize::try_from(place).ok());
            let Some(kept) = place.and_then(|place| self.kept.get_mut(place)) else { continue };
            if kept.again_at.is_some_and(|at| now < at + self.plan.receiver.rtt) {
                continue;
            }
            kept.again_at = Some(now);
            // Two bytes more for the original sequence number (RFC 4588 §4).
            let waiting = Waiting {
                bytes: kept.bytes + 2,
                class: Class::Retransmission,
                piece: Some(kept.piece),
            };
            for _ in 0..copies {
                self.pacer.push(waiting);
            }
        }
    }
}

/// The pieces of a frame with their sizes: as equal as can be.
pub(crate) fn cut(
    frame: Frame,
    captured: Duration,
    number: u64,
    first: u64,
) -> impl Iterator<Item = (Piece, u32)> {
    let count = frame.bytes.div_ceil(PACKET_BYTES_MAX);
    (0..count).map(move |i| {
        let bytes = frame.bytes / count + u32::from(i < frame.bytes % count);
        let sequence = first + u64::from(i);
        (Piece { sequence, frame: number, captured, first, count, key: frame.key }, bytes)
    })
}

impl Flow for MediaFlow {
    fn poll_timeout(&self) -> Option<Duration> {
        let burst = self.probe.as_ref().map(|burst| burst.next);
        let paced = if burst.is_none() { self.pacer.poll_timeout() } else { None };
        let controller =
            self.controller.poll_timeout().map(|at| at.saturating_duration_since(self.epoch));
        let source = Some(self.source.next());
        let all = [burst, paced, controller, source, self.receiver.poll_timeout()];
        let earliest = all.into_iter().flatten().min();
        earliest.map(|at| at.max(self.wakes_at))
    }

    fn handle_timeout(&mut self, now: Duration, out: &mut Outbox) {
        if self.controller.poll_timeout().is_some_and(|at| at <= self.epoch + now) {
            self.controller.handle_timeout(self.epoch + now);
        }
        while self.source.next() <= now {
            self.capture(now, out);
        }
        self.pump(now, out);
        self.receiver.handle_timeout(now, out);
    }

    fn handle_packet(&mut self, now: Duration, at: Side, packet: Packet, out: &mut Outbox) {
        match (at, packet.body) {
            (Side::Receiver, Body::Media(media)) => {
                if media.media.is_some_and(|piece| self.receiver.is_new(piece)) {
                    out.useful += packet.bytes;
                }
                self.receiver.handle_packet(now, media, out);
            }
            (Side::Sender, Body::Feedback(bytes)) => {
                self.controller.handle_feedback(self.epoch + now, &bytes);
            }
            (Side::Sender, Body::Nack(sequences)) => self.retransmit(now, &sequences),
            (Side::Sender, Body::KeyframeRequest) => self.source.request_key(),
            _ => {}
        }
        self.pump(now, out);
        self.receiver.handle_timeout(now, out);
    }

    fn reading(&self) -> Reading {
        Reading { target_bps: self.controller.target_bps(), offered_bps: self.source.offered_bps() }
    }
}
