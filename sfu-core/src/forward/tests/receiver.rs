//! A receiver that knows the truth about each frame, and what browsers read out of the wire: it
//! counts the frames that could not be decoded.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Instant;

use super::stream::{Frame, Shape};
use crate::negotiation::Codec;
use crate::rtp::codec_view::{Detail, PayloadInfo, Reader};

/// A packet as the subscriber gets it.
#[derive(Clone, Debug)]
pub(super) struct Received {
    pub(super) at: Instant,
    pub(super) index: u64,
    pub(super) timestamp: u32,
    pub(super) marker: bool,
    pub(super) empty: bool,
    pub(super) payload: Vec<u8>,
    pub(super) descriptor: Option<Vec<u8>>,
}

/// What came of it all.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    pub(super) decoded: usize,
    /// Frames of which the last packets did not come: cut off by a switch or a pause.
    pub(super) cut: usize,
    /// Frames that came in full and cannot be decoded, and why.
    pub(super) undecodable: Vec<String>,
    /// Numbers that never came.
    pub(super) holes: u64,
    /// The pictures that were decoded.
    pub(super) shown: Vec<Shown>,
}

/// A decoded picture.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shown {
    /// When its last frame was complete.
    pub(super) completed: Instant,
    pub(super) timestamp: u32,
    /// Its number at the publisher.
    pub(super) picture: u64,
}

/// One frame as it came.
struct Arrived<'a> {
    id: usize,
    frame: &'a Frame,
    info: PayloadInfo,
    timestamp: u32,
    /// The index of its first packet that came.
    index: u64,
    completed: Instant,
    whole: bool,
    /// Picture id without wrap.
    picture_id: i64,
    frame_number: i64,
    tl0: i64,
}

/// Judges everything that was received, in the order of the line.
/// `let_go` are frames of which packets came when their encoding was no longer forwarded: they
/// and what depends on them was over by then, with the keyframe of the next one.
pub(super) fn judge(
    shape: &Shape,
    frames: &[Frame],
    mut packets: Vec<Received>,
    let_go: HashSet<usize>,
) -> Verdict {
    packets.sort_by_key(|packet| packet.index);
    let mut verdict = Verdict::default();
    check_line(&packets, &mut verdict);
    let arrived = assemble(shape, frames, &packets);
    check_markers(shape, &packets, &arrived);
    decode(shape, frames, &arrived, let_go, &mut verdict);
    verdict
}

/// Sequence numbers are unique, timestamps never go back.
fn check_line(packets: &[Received], verdict: &mut Verdict) {
    for pair in packets.windows(2) {
        assert_ne!(pair[0].index, pair[1].index, "a number was given twice");
        verdict.holes += pair[1].index - pair[0].index - 1;
        let step = pair[1].timestamp.wrapping_sub(pair[0].timestamp).cast_signed();
        assert!(step >= 0 || pair[1].empty, "time goes back by {step}");
    }
}

pub(super) fn id_of(payload: &[u8]) -> (usize, usize) {
    let tail = &payload[payload.len() - 6..];
    let id = u32::from_be_bytes([tail[0], tail[1], tail[2], tail[3]]);
    (id as usize, usize::from(u16::from_be_bytes([tail[4], tail[5]])))
}

/// Continues a number that wraps.
fn unwrap(last: &mut Option<i64>, value: u16, bits: u32) -> i64 {
    let turn = 1i64 << bits;
    let Some(before) = *last else {
        *last = Some(i64::from(value));
        return i64::from(value);
    };
    let mut step = (i64::from(value) - before).rem_euclid(turn);
    if step >= turn / 2 {
        step -= turn;
    }
    *last = Some(before.max(before + step));
    before + step
}

fn assemble<'a>(shape: &Shape, frames: &'a [Frame], packets: &[Received]) -> Vec<Arrived<'a>> {
    let mut reader = Reader::default();
    let mut arrived: Vec<Arrived<'a>> = Vec::new();
    let mut parts: HashMap<usize, (usize, HashSet<usize>)> = HashMap::new();
    let (mut pictures, mut numbers, mut tl0s) = (None, None, None);
    for packet in packets.iter().filter(|packet| !packet.empty) {
        let info = reader.inspect(shape.codec, &packet.payload, packet.descriptor.as_deref());
        let (id, part) = id_of(&packet.payload);
        let (picture_id, tl0) = match &info.detail {
            Detail::Vp8(vp8) => (vp8.picture_id, vp8.tl0_picture_index),
            Detail::Vp9(vp9) => (vp9.picture_id, vp9.tl0_picture_index),
            Detail::None | Detail::Audio => (None, None),
        };
        let picture_id =
            picture_id.map_or(0, |(v, long)| unwrap(&mut pictures, v, if long { 15 } else { 7 }));
        let tl0 = tl0.map_or(0, |v| unwrap(&mut tl0s, u16::from(v), 8));
        let dependency = info.dependency.as_ref();
        let frame_number = dependency.map_or(0, |d| unwrap(&mut numbers, d.frame_number, 16));
        let (at, seen) = parts.entry(id).or_insert_with(|| {
            arrived.push(Arrived {
                id,
                frame: &frames[id],
                info: info.clone(),
                timestamp: packet.timestamp,
                index: packet.index,
                completed: packet.at,
                whole: false,
                picture_id,
                frame_number,
                tl0,
            });
            (arrived.len() - 1, HashSet::new())
        });
        assert!(seen.insert(part), "the same packet twice");
        let this = &mut arrived[*at];
        assert_eq!(this.timestamp, packet.timestamp, "one frame, one time");
        assert_eq!(
            (this.picture_id, this.tl0, this.frame_number),
            (picture_id, tl0, frame_number),
            "one frame, one number"
        );
        this.completed = this.completed.max(packet.at);
        this.whole = seen.len() == this.frame.packets;
    }
    arrived
}

/// One marker for each picture, on its last packet; none, at most, where it was cut off.
fn check_markers(shape: &Shape, packets: &[Received], arrived: &[Arrived<'_>]) {
    let mut by_time: BTreeMap<u64, Vec<&Received>> = BTreeMap::new();
    let mut picture = 0;
    let mut last = None;
    for packet in packets.iter().filter(|packet| !packet.empty) {
        if last.replace(packet.timestamp) != Some(packet.timestamp) {
            picture = packet.index;
        }
        by_time.entry(picture).or_default().push(packet);
    }
    let whole: HashMap<usize, bool> = arrived.iter().map(|a| (a.id, a.whole)).collect();
    for packets in by_time.values() {
        let (last, before) = packets.split_last().unwrap();
        assert!(before.iter().all(|p| !p.marker), "{:?}: a marker too early", shape.codec);
        let all = packets.iter().all(|p| whole[&id_of(&p.payload).0]);
        assert!(last.marker || !all, "{:?}: no marker at {}", shape.codec, last.index);
    }
}

/// Decodes what can be decoded.
fn decode(
    shape: &Shape,
    frames: &[Frame],
    arrived: &[Arrived<'_>],
    mut let_go: HashSet<usize>,
    verdict: &mut Verdict,
) {
    let mut decoded: HashMap<usize, &Arrived<'_>> = HashMap::new();
    let mut vp8 = Vp8References::default();
    let mut shown: BTreeMap<u64, Shown> = BTreeMap::new();
    for this in arrived {
        if !this.whole {
            verdict.cut += 1;
            continue;
        }
        if this.frame.needs.iter().any(|need| let_go.contains(need)) {
            let_go.insert(this.id);
            verdict.cut += 1;
            continue;
        }
        let missing = this.frame.needs.iter().find(|&need| !decoded.contains_key(need));
        let readable = || -> Result<(), String> {
            if let Some(missing) = missing {
                let came = arrived.iter().find(|a| a.id == *missing);
                let came = came.map(|a| (a.whole, a.frame.packets));
                return Err(format!("needs frame {missing}, of which came {came:?}"));
            }
            let needs: Vec<_> = this.frame.needs.iter().map(|need| decoded[need]).collect();
            if shape.described {
                check_described(this, &needs)?;
            }
            if shape.codec == Codec::Vp9 {
                check_vp9(shape, this, &needs)?;
            }
            Ok(())
        };
        let found = if shape.codec == Codec::Vp8 { vp8.find(this) } else { Ok(()) };
        // What was let go leaves a hole too.
        let hole = found.is_err()
            && let_go.iter().map(|&id| &frames[id]).any(|gone| {
                let back = this.frame.picture.saturating_sub(gone.picture);
                gone.encoding == this.frame.encoding && (1..8).contains(&back)
            });
        if hole && readable().is_ok() {
            let_go.insert(this.id);
            verdict.cut += 1;
            continue;
        }
        if let Err(why) = readable().and(found) {
            let Frame { picture, spatial, temporal, key, .. } = this.frame;
            verdict.undecodable.push(format!(
                "frame {} (picture {picture} S{spatial}T{temporal} key {key}): {why}",
                this.id
            ));
            continue;
        }
        decoded.insert(this.id, this);
        verdict.decoded += 1;
        let (completed, timestamp, picture) = (this.completed, this.timestamp, this.frame.picture);
        shown.insert(this.index, Shown { completed, timestamp, picture });
    }
    for frame in shown.into_values() {
        match verdict.shown.last_mut() {
            Some(last) if last.timestamp == frame.timestamp => {
                last.completed = last.completed.max(frame.completed);
            }
            _ => verdict.shown.push(frame),
        }
    }
}

/// The references that the dependency descriptor names are those that are needed, and all the
/// targets it says are active are there.
fn check_described(this: &Arrived<'_>, needs: &[&Arrived<'_>]) -> Result<(), String> {
    let dependency = this.info.dependency.as_ref().ok_or("no descriptor")?;
    let frame = dependency.frame.as_ref().ok_or("no structure to read it by")?;
    let mut named: Vec<i64> =
        frame.references.iter().map(|&back| this.frame_number - i64::from(back)).collect();
    let mut needed: Vec<i64> = needs.iter().map(|need| need.frame_number).collect();
    named.sort_unstable();
    needed.sort_unstable();
    if named != needed {
        return Err(format!("descriptor names {named:?}, needed are {needed:?}"));
    }
    if frame.active & this.frame.targets == 0 && !dependency.has_structure {
        return Err(format!("of no active target: {:b} {:b}", frame.active, this.frame.targets));
    }
    Ok(())
}

/// The pictures that VP9's descriptor names, or its group of pictures, are those that are needed.
fn check_vp9(shape: &Shape, this: &Arrived<'_>, needs: &[&Arrived<'_>]) -> Result<(), String> {
    let Detail::Vp9(descriptor) = &this.info.detail else { return Err("no descriptor".into()) };
    let own = needs.iter().filter(|need| need.frame.spatial == this.frame.spatial);
    let mut needed: Vec<i64> = own.map(|need| need.picture_id).collect();
    needed.sort_unstable();
    if shape.flexible {
        let mut named: Vec<i64> =
            descriptor.references.iter().map(|&back| this.picture_id - i64::from(back)).collect();
        named.sort_unstable();
        if named != needed {
            return Err(format!("picture {} names {named:?}, needed {needed:?}", this.picture_id));
        }
        return Ok(());
    }
    for need in needs {
        let expected = this.frame.picture - need.frame.picture;
        if this.picture_id - need.picture_id != expected as i64 {
            return Err("the group of pictures is out of step".into());
        }
        let lower = this.tl0 - i64::from(this.frame.temporal == 0 && need.id != this.id);
        let same_picture = need.frame.picture == this.frame.picture;
        if !same_picture && need.frame.temporal == 0 && need.tl0 != lower {
            return Err(format!("TL0PICIDX {} after {}", this.tl0, need.tl0));
        }
    }
    Ok(())
}

/// What browsers make of VP8's picture ids: the frames of each temporal layer that the next one
/// depends on. Nothing may be missing in between, for it could be one of them.
#[derive(Default)]
struct Vp8References {
    /// TL0PICIDX → the last picture of each temporal layer.
    layers: HashMap<i64, [Option<i64>; 4]>,
    seen: HashSet<i64>,
}

impl Vp8References {
    fn find(&mut self, this: &Arrived<'_>) -> Result<(), String> {
        let Detail::Vp8(descriptor) = &this.info.detail else { return Err("no descriptor".into()) };
        let (temporal, sync) = descriptor.temporal.ok_or("no temporal layer")?;
        let (id, t) = (this.picture_id, usize::from(temporal));
        if !self.seen.insert(id) {
            return Err(format!("picture id {id} twice"));
        }
        if this.frame.key {
            self.layers.insert(this.tl0, [Some(id), None, None, None]);
            return Ok(());
        }
        let base = if t == 0 { this.tl0 - 1 } else { this.tl0 };
        let mut layers = *self.layers.get(&base).ok_or(format!("no TL0PICIDX {base}"))?;
        if t > 0 && !sync {
            for layer in &layers[..=t] {
                let last = layer.ok_or(format!("nothing of a layer below {t} yet"))?;
                if let Some(hole) = (last + 1..id).find(|between| !self.seen.contains(between)) {
                    return Err(format!("picture id {hole} is missing before {id}"));
                }
            }
        }
        layers[t] = Some(id);
        self.layers.insert(this.tl0, layers);
        Ok(())
    }
}
