//! A media flow: source, pacer and controller at one end, a receiver at the other.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::controller::{Controller, Departure};
use sfu_core::deliver::copies;
use sfu_core::deliver::pacer::{self, Cluster, Pacer, PacerConfig, Release};
use sfu_core::deliver::sent::RtxBudget;

use super::flow::{Body, Class, Flow, MediaPacket, Outbox, Packet, Piece, Reading, Side};
use super::receiver::{Receiver, ReceiverConfig};
use super::source::{Frame, Source};

/// SSRC of the media; retransmissions and padding have the next one.
pub const MEDIA_SSRC: u32 = 1000;
const AGAIN_SSRC: u32 = MEDIA_SSRC + 1;
/// Largest packet at the IP level.
pub(crate) const PACKET_BYTES_MAX: u32 = 1200;
/// A pacer is not woken sooner than this, as in the engine.
const RELEASE_MIN: Duration = Duration::from_micros(250);
/// Behind so long a queue, in the pacer, encoders skip frames.
const BACKLOG_MAX: Duration = Duration::from_millis(200);
/// Packets kept for retransmission: two seconds at 6 Mbit/s.
const KEPT_PACKETS: usize = 1250;
/// The rate of retransmissions is averaged over this.
pub(crate) const AGAIN_WINDOW: Duration = Duration::from_secs(1);
/// Retransmissions are granted one in so many parts of the estimate; the rest is left for what is new.
pub(crate) const AGAIN_SHARE_MAX: u64 = 2;
/// Share of packets lost, averaged, from which on copies of retransmissions go along.
const STEADY_LOSS: f32 = 0.03;
/// Weight of a frame's time in that average: some 3 s.
const LOSS_WEIGHT: f32 = 0.01;
/// … if it has been so for this long: what a full queue drops for a moment is not made up for by
/// sending more.
const HEAVY_AFTER: Duration = Duration::from_secs(2);
/// … and this share of the estimate is used on average, so that heaps of them fit.
const HEAP_MARGIN: f64 = 0.82;

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
    pacer: Pacer<Waiting, u32>,
    budget: RtxBudget,
    kept: VecDeque<Kept>,
    again: VecDeque<(Duration, u32)>,
    /// Share of packets lost, averaged.
    loss: f32,
    heavy_since: Option<Duration>,
    next_sequence: u64,
    next_frame: u64,
    transport_sequence: u16,
    again_sequence: u16,
    receiver: Receiver,
    wakes_at: Duration,
    /// When the pacer lets go of something next.
    released_at: Option<Duration>,
}

/// A packet that waits in the pacer.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    bytes: u32,
    class: Class,
    piece: Option<Piece>,
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
            released_at: None,
            source,
            budget: RtxBudget::default(),
            kept: VecDeque::new(),
            again: VecDeque::new(),
            loss: 0.0,
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
        let copies = self.copies(now, 1);
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
        let loss = f64::from(self.loss);
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
        let loss = self.controller.loss().unwrap_or(0.0);
        self.loss += (loss - self.loss) * LOSS_WEIGHT;
        let budget = self.budget_bps(now);
        let captured = self.source.next();
        if self.pacer.queue_time(self.epoch + now) > BACKLOG_MAX {
            self.source.skip();
            return;
        }
        if let Some(frame) = self.source.frame(budget, wanted) {
            out.captured.push(captured);
            for (piece, bytes) in cut(frame, captured, self.next_frame, self.next_sequence) {
                self.budget.earn(bytes as usize);
                self.keep(Kept { piece, bytes, again_at: None });
                self.queue(now, Waiting { bytes, class: Class::Media, piece: Some(piece) });
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

    /// What the pacer has no room for is lost, as in the engine.
    fn queue(&mut self, now: Duration, waiting: Waiting) {
        let class = match waiting.class {
            Class::Retransmission => pacer::Class::Retransmission,
            _ => pacer::Class::Video,
        };
        let _ = self.pacer.push(self.epoch + now, class, waiting.bytes as usize, waiting);
    }

    /// Sends what the pacer lets go; the same steps as in the engine.
    fn pump(&mut self, now: Duration, out: &mut Outbox) {
        let at = self.epoch + now;
        self.pacer.set_estimate(at, Some(self.controller.target_bps()));
        while let Some(probe) = self.controller.poll_probe(at) {
            let micros = u64::try_from(probe.duration.as_micros()).unwrap_or(u64::MAX);
            let cluster = Cluster {
                id: probe.id,
                bitrate_bps: probe.bitrate_bps,
                bytes_min: probe.bitrate_bps.saturating_mul(micros) / 8_000_000,
                packets_min: probe.packets_min,
            };
            self.pacer.probe(at, cluster);
            out.probes.push(probe.bitrate_bps);
        }
        while let Some(release) = self.pacer.pop(at) {
            match release {
                Release::Packet { item, probe, .. } => self.send(now, item, probe, out),
                Release::Padding { probe } => {
                    let padding =
                        Waiting { bytes: PACKET_BYTES_MAX, class: Class::Padding, piece: None };
                    self.send(now, padding, Some(probe), out);
                    self.pacer.padded(at, PACKET_BYTES_MAX as usize);
                }
            }
        }
        let next = self.pacer.next_release();
        self.released_at = next.map(|next| (next - self.epoch).max(now + RELEASE_MIN));
    }

    /// How often a packet is sent that is asked for together with others.
    fn copies(&mut self, now: Duration, together: usize) -> usize {
        if !self.plan.copies || self.loss < STEADY_LOSS {
            self.heavy_since = None;
        } else if now - *self.heavy_since.get_or_insert(now) >= HEAVY_AFTER {
            return usize::from(copies::at_first_request(self.loss, together));
        }
        1
    }

    /// Every packet once, then those that are asked for the first time again, in turn: what is lost
    /// in a burst with the first answers may get through with the second ones.
    fn retransmit(&mut self, now: Duration, sequences: &[u64]) {
        let copies = self.copies(now, sequences.len());
        let Some(first) = self.kept.front().map(|kept| kept.piece.sequence) else { return };
        let mut heap = Vec::new();
        for sequence in sequences {
            let place = sequence.checked_sub(first).and_then(|place| usize::try_from(place).ok());
            let Some(kept) = place.and_then(|place| self.kept.get_mut(place)) else { continue };
            if kept.again_at.is_some_and(|at| now < at + self.plan.receiver.rtt) {
                continue;
            }
            if !self.budget.allows_a_packet() {
                break;
            }
            let copies = if kept.again_at.is_some() { 1 } else { copies };
            self.budget.spend(kept.bytes as usize * copies);
            kept.again_at = Some(now);
            // Two bytes more for the original sequence number (RFC 4588 §4).
            let waiting = Waiting {
                bytes: kept.bytes + 2,
                class: Class::Retransmission,
                piece: Some(kept.piece),
            };
            heap.push((waiting, copies));
        }
        for round in 0..copies {
            for (waiting, _) in heap.iter().filter(|(_, copies)| *copies > round) {
                self.queue(now, *waiting);
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
        let controller =
            self.controller.poll_timeout().map(|at| at.saturating_duration_since(self.epoch));
        let source = Some(self.source.next());
        let all = [self.released_at, controller, source, self.receiver.poll_timeout()];
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
