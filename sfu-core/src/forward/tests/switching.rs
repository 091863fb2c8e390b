//! A thousand changes of mind for each codec.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use arrayvec::ArrayVec;
use rand_core::Rng;
use rand_pcg::Pcg64Mcg;

use super::receiver::{self, Received};
use super::stream::{Encoder, Frame, Packet, Shape, TICKS};
use crate::forward::align::Clock;
use crate::forward::layer::LayerId;
use crate::forward::munge::{self, Edit};
use crate::forward::rewrite::Line;
use crate::forward::selector::{Candidate, Selector, Verdict};
use crate::negotiation::Codec;
use crate::rtp::codec_view::Reader;
use crate::rtp::dependency_descriptor::Element;
use crate::rtp::sequence::Unwrapper;

const CLOCK: u32 = 90_000;
const INTERVAL: Duration = Duration::from_micros(33_333);

/// What the way from the publisher does.
#[derive(Clone, Copy, Debug, Default)]
struct Path {
    /// Packets of a thousand that come again, by retransmission, 40 to 140 ms late.
    lost: u32,
    /// Packets of a thousand that are overtaken by a few others.
    overtaken: u32,
}

/// One encoding as it arrives.
#[derive(Default)]
struct Incoming {
    sequence: Unwrapper,
    newest: Option<u64>,
    reader: Reader,
    clock: Clock,
}

/// What the engine does for one subscription.
struct Forwarder {
    incoming: Vec<Incoming>,
    selector: Selector,
    line: Line,
    codec: Codec,
    out: Vec<Received>,
    /// Frames of which a packet came when its encoding was no longer forwarded.
    let_go: HashSet<usize>,
}

impl Forwarder {
    fn new(codec: Codec, encodings: usize) -> Self {
        Self {
            incoming: std::iter::repeat_with(Incoming::default).take(encodings).collect(),
            selector: Selector::default(),
            line: Line::new(0x7ff0, u32::MAX - 1_000),
            codec,
            out: Vec::new(),
            let_go: HashSet::new(),
        }
    }

    fn receive(&mut self, now: Instant, packet: &Packet, repeated: bool) {
        let incoming = &mut self.incoming[usize::from(packet.encoding)];
        let index = incoming.sequence.unwrap(packet.sequence);
        let late = incoming.newest.is_some_and(|newest| index < newest);
        incoming.newest = incoming.newest.max(Some(index));
        let info =
            incoming.reader.inspect(self.codec, &packet.payload, packet.descriptor.as_deref());
        let timestamp = packet.timestamp;
        if !repeated {
            incoming.clock.on_packet(now, timestamp, CLOCK);
        }
        let encoding = packet.encoding;
        let candidate = Candidate { now, encoding, epoch: 0, index, late, timestamp, info: &info };
        let edit = match self.selector.decide(&candidate) {
            Verdict::Drop => {
                if repeated || late {
                    self.let_go.insert(receiver::id_of(&packet.payload).0);
                }
                return;
            }
            Verdict::Skip => {
                assert!(self.line.skip(index), "only what is in order is taken out");
                return;
            }
            Verdict::Fill => Edit::fill(),
            Verdict::Forward(edit) => edit,
            Verdict::Switch(edit) => {
                let clock = &self.incoming[usize::from(encoding)].clock;
                let aligned = self.selector.left().and_then(|(left, _)| {
                    self.incoming[usize::from(left)].clock.translate(clock, timestamp, CLOCK)
                });
                self.line.begin_aligned(now, index, timestamp, aligned, CLOCK);
                edit
            }
        };
        let Some(mapped) = self.line.map(now, index, timestamp) else { return };
        let mut payload = Vec::new();
        munge::write_payload(&mut payload, &packet.payload, &edit);
        let mut element = Element::new();
        let original = packet.descriptor.as_deref();
        let described = original.is_some_and(|d| munge::descriptor(&edit, d, &mut element));
        self.out.push(Received {
            at: now,
            index: mapped.index,
            timestamp: mapped.timestamp,
            marker: munge::marker(&edit, packet.marker),
            empty: edit.empty,
            payload,
            descriptor: described.then(|| element.to_vec()),
        });
    }
}

/// What a run is made of.
#[derive(Clone, Copy, Debug)]
struct Plan {
    shape: Shape,
    encodings: u8,
    path: Path,
    pauses: bool,
    /// With sender reports, or without.
    reports: bool,
    changes: u32,
    seed: u64,
}

/// What a run came to.
#[derive(Debug)]
struct Outcome {
    verdict: receiver::Verdict,
    /// Changes of what is forwarded.
    switches: u32,
    /// Time between pictures in frame intervals of the lower temporal layer, where the layer
    /// changed; sorted.
    gaps: Vec<f64>,
}

fn start() -> Instant {
    #[allow(clippy::disallowed_methods, reason = "any instant will do as an origin")]
    Instant::now()
}

fn run(plan: &Plan) -> Outcome {
    let Plan { shape, encodings, path, changes, .. } = *plan;
    let mut random = Pcg64Mcg::new(u128::from(plan.seed) << 1 | 1);
    let origin = start();
    let mut frames: Vec<Frame> = Vec::new();
    let mut encoders: ArrayVec<Encoder, 4> =
        (0..encodings).map(|e| Encoder::new(shape, e, random.next_u64())).collect();
    let mut forwarder = Forwarder::new(shape.codec, usize::from(encodings));
    let mut under_way: Vec<(Duration, u64, Packet, bool)> = Vec::new();
    let (mut sent, mut changed, mut switches) = (0u64, 0, 0);
    let mut layers: Vec<(Instant, Option<LayerId>)> = Vec::new();
    let mut asked = [None::<u64>; 4];
    for picture in 0u64.. {
        if changed == changes && picture % 64 == 0 {
            break;
        }
        if picture % 12 == 5 && changed < changes {
            changed += 1;
            forwarder.selector.aim(aim(plan, &mut random));
        }
        if let Some(encoding) = forwarder.selector.waits_for_keyframe() {
            let asked = &mut asked[usize::from(encoding)];
            if asked.is_none_or(|at| picture >= at + 5) {
                *asked = Some(picture);
            }
        }
        for (encoder, asked) in encoders.iter_mut().zip(asked) {
            // The request takes its time to the publisher.
            if asked == picture.checked_sub(2) {
                encoder.request_keyframe();
            }
        }
        if plan.reports && picture % 30 == 10 {
            for (encoder, incoming) in encoders.iter().zip(&mut forwarder.incoming) {
                incoming.clock.on_report((picture << 32) / 30, encoder.timestamp(picture));
            }
        }
        let taken = INTERVAL * picture as u32;
        for encoder in &mut encoders {
            for (place, packet) in encoder.picture(picture, &mut frames).into_iter().enumerate() {
                sent += 1;
                let mut delay = Duration::from_micros(20_000 + 200 * place as u64);
                let repeated = random.next_u32() % 1_000 < path.lost;
                if repeated {
                    delay += Duration::from_millis(u64::from(40 + random.next_u32() % 100));
                } else if random.next_u32() % 1_000 < path.overtaken {
                    delay += Duration::from_micros(u64::from(random.next_u32() % 3_000));
                }
                under_way.push((taken + delay, sent, packet, repeated));
            }
        }
        under_way.sort_by_key(|&(at, number, ..)| (at, number));
        // In the end all comes that is under way.
        let until = INTERVAL * (picture as u32 + if changed == changes { 10 } else { 1 });
        let arrived = under_way.partition_point(|&(at, ..)| at < until);
        for (at, _, packet, repeated) in under_way.drain(..arrived) {
            let before = forwarder.selector.current();
            forwarder.receive(origin + at, &packet, repeated);
            let after = forwarder.selector.current();
            if after != before {
                switches += u32::from(before.is_some());
                layers.push((origin + at, after));
            }
        }
    }
    let verdict =
        receiver::judge(&shape, &frames, std::mem::take(&mut forwarder.out), forwarder.let_go);
    let gaps = gaps(&shape, &verdict, &layers);
    Outcome { verdict, switches, gaps }
}

fn aim(plan: &Plan, random: &mut Pcg64Mcg) -> Option<LayerId> {
    if plan.pauses && random.next_u32().is_multiple_of(8) {
        return None;
    }
    let mut below = |bound: u8| (random.next_u32() % u32::from(bound)) as u8;
    Some(LayerId {
        encoding: below(plan.encodings),
        spatial: below(plan.shape.spatial),
        temporal: below(plan.shape.temporal),
    })
}

/// The gaps where the layer changed, in intervals of what was shown before or after.
fn gaps(
    shape: &Shape,
    verdict: &receiver::Verdict,
    layers: &[(Instant, Option<LayerId>)],
) -> Vec<f64> {
    let mut gaps = Vec::new();
    for &(at, layer) in layers {
        let Some(layer) = layer else { continue };
        let next = verdict.shown.partition_point(|shown| shown.completed < at);
        let before = layers.iter().take_while(|&&(then, _)| then < at).last();
        let Some(&(_, Some(before))) = before else { continue };
        let (Some(after), Some(previous)) =
            (verdict.shown.get(next), next.checked_sub(1).map(|at| verdict.shown[at]))
        else {
            continue;
        };
        let slower = before.temporal.min(layer.temporal);
        let interval = INTERVAL.as_secs_f64() * f64::from(1u32 << (shape.temporal - 1 - slower));
        let paused = |&(then, layer): &(Instant, Option<LayerId>)| {
            layer.is_none() && (previous.completed..=at).contains(&then)
        };
        if layers.iter().any(paused) {
            continue;
        }
        gaps.push((after.completed - previous.completed).as_secs_f64() / interval);
    }
    gaps.sort_by(f64::total_cmp);
    gaps
}

/// Pictures are as far apart as they were taken, over any switch, to a few milliseconds of
/// jitter where there are no reports; one of a time that was shown already comes a tick later.
fn check_times(verdict: &receiver::Verdict, switches: u32) {
    let off = |earlier: &receiver::Shown, later: &receiver::Shown| {
        let step = i64::from(later.timestamp.wrapping_sub(earlier.timestamp).cast_signed());
        step - (later.picture as i64 - earlier.picture as i64) * i64::from(TICKS)
    };
    for pair in verdict.shown.windows(2) {
        let off = off(&pair[0], &pair[1]);
        assert!(off.abs() <= 300, "{off} ticks off from {:?} to {:?}", pair[0], pair[1]);
    }
    let (Some(first), Some(last)) = (verdict.shown.first(), verdict.shown.last()) else { return };
    let off = off(first, last);
    assert!(off.unsigned_abs() <= 600 + u64::from(switches), "{off} ticks off in all");
}

fn shape(codec: Codec, spatial: u8, temporal: u8) -> Shape {
    let described = codec == Codec::Av1;
    Shape { codec, spatial, temporal, apart: false, flexible: true, described, long_ids: true }
}

/// Everything that the issue names, and its neighbours.
fn shapes() -> Vec<(&'static str, Shape, u8)> {
    use Codec::{Av1, H264, Vp8, Vp9};
    let apart = |shape: Shape| Shape { apart: true, ..shape };
    let fixed = |shape: Shape| Shape { flexible: false, ..shape };
    let described = |shape: Shape| Shape { described: true, ..shape };
    let short = |shape: Shape| Shape { long_ids: false, ..shape };
    vec![
        ("VP8 simulcast of 3, L1T3", shape(Vp8, 1, 3), 3),
        ("VP8 simulcast of 2, L1T2, 7-bit ids", short(shape(Vp8, 1, 2)), 2),
        ("VP8 simulcast of 3, L1T3, described", described(shape(Vp8, 1, 3)), 3),
        ("H.264 simulcast of 3", shape(H264, 1, 1), 3),
        ("H.264 simulcast of 4, L1T3, described", described(shape(H264, 1, 3)), 4),
        ("VP9 L3T3", shape(Vp9, 3, 3), 1),
        ("VP9 L3T3_KEY", apart(shape(Vp9, 3, 3)), 1),
        ("VP9 L2T3_KEY, not flexible", fixed(apart(shape(Vp9, 2, 3))), 1),
        ("VP9 L3T1, not flexible", fixed(shape(Vp9, 3, 1)), 1),
        ("VP9 L1T3, not flexible", fixed(shape(Vp9, 1, 3)), 1),
        ("VP9 simulcast of 3, L1T3", fixed(shape(Vp9, 1, 3)), 3),
        ("VP9 L3T3, described", described(shape(Vp9, 3, 3)), 1),
        ("AV1 L3T3", shape(Av1, 3, 3), 1),
        ("AV1 L3T3_KEY", apart(shape(Av1, 3, 3)), 1),
        ("AV1 L1T2", shape(Av1, 1, 2), 1),
        ("AV1 simulcast of 3, L1T3", shape(Av1, 1, 3), 3),
    ]
}

fn check_all(path: Path, pauses: bool, changes: u32, seeds: std::ops::Range<u64>) {
    // More of them on demand.
    let more = std::env::var("SWITCHING_SEEDS").ok().and_then(|seeds| seeds.parse().ok());
    let seeds = more.map_or(seeds, |more| 0..more);
    for (name, shape, encodings) in shapes() {
        for seed in seeds.clone() {
            let reports = seed % 2 == 1;
            let plan = Plan { shape, encodings, path, pauses, reports, changes, seed };
            let Outcome { verdict, switches, gaps } = run(&plan);
            let undecodable = &verdict.undecodable;
            assert!(
                undecodable.is_empty(),
                "{name}, seed {seed}: {} undecodable of {}, first: {:#?}",
                undecodable.len(),
                verdict.decoded,
                &undecodable[..undecodable.len().min(3)]
            );
            assert!(switches >= changes / 3, "{name}, seed {seed}: {switches} switches");
            let p99 = gaps.get(gaps.len().saturating_sub(1) * 99 / 100).copied().unwrap_or(0.0);
            println!(
                "{name}: {} frames, {switches} switches, {} cut, {} holes, gap p99 {p99:.2} max {:.2}",
                verdict.decoded,
                verdict.cut,
                verdict.holes,
                gaps.last().unwrap_or(&0.0)
            );
            check_times(&verdict, switches);
            // What is lost comes after up to 140 ms: so many intervals more.
            let late = if path.lost > 0 { 0.14 / INTERVAL.as_secs_f64() } else { 0.0 };
            assert!(p99 <= 2.0 + late, "{name}, seed {seed}: gap p99 of {p99} frame intervals");
            assert!(late > 0.0 || verdict.holes == 0, "{name}, seed {seed}");
        }
    }
}

#[test]
fn a_thousand_switches_leave_nothing_undecodable() {
    check_all(Path::default(), false, 1_000, 0..2);
}

#[test]
fn nor_with_loss_and_reordering_on_the_way_from_the_publisher() {
    check_all(Path { lost: 20, overtaken: 50 }, false, 1_000, 0..2);
}

#[test]
fn nor_with_pauses() {
    check_all(Path { lost: 10, overtaken: 20 }, true, 300, 0..4);
}
