//! What can be decoded by the frames' own account: picture ids, layer indices, reference indices,
//! dependency descriptors, read as libwebrtc's reference finders read them. A receiver has nothing
//! else to go by; what it cannot place it does not decode.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::wire::codec::{Claim, Seen};
use crate::wire::dependency::{self, Structure};
use crate::wire::vp9;

/// Frames remembered.
const FRAMES: usize = 128;
/// TL0PICIDX values remembered.
const TL0_MAX: usize = 16;
/// Picture ids that did not come, remembered.
const MISSING_MAX: usize = 64;

/// What a frame says of itself is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Nonsense;

/// A counter of fewer bits, continued.
#[derive(Debug, Default)]
struct Unwrapped(Option<i64>);

impl Unwrapped {
    fn next(&mut self, value: u32, bits: u32) -> i64 {
        let unwrapped = match self.0 {
            None => i64::from(value) + (1 << 32),
            Some(last) => {
                let turn = 1i64 << bits;
                let ahead = (i64::from(value) - last).rem_euclid(turn);
                last + if ahead < turn / 2 { ahead } else { ahead - turn }
            }
        };
        self.0 = Some(unwrapped);
        unwrapped
    }
}

/// The frames of one line.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    /// What was decoded, by (picture or frame number) * 8 + spatial layer.
    decoded: VecDeque<i64>,
    /// Those of them that belong to a picture of which layers are still to come.
    undecided: Vec<i64>,
    /// For formats in which every frame builds on the one before it.
    unbroken: bool,
    picture: Unwrapped,
    tl0: Unwrapped,
    vp8: Vp8,
    /// VP9's structure and the picture that brought it.
    group: Option<(vp9::Structure, i64)>,
    number: Unwrapped,
    last_number: Option<i64>,
    structure: Option<Structure>,
}

/// What libwebrtc keeps of VP8's temporal layers.
#[derive(Debug, Default)]
struct Vp8 {
    /// For each TL0PICIDX the last picture of each layer.
    layers: BTreeMap<i64, [Option<i64>; 4]>,
    missing: BTreeSet<i64>,
    last: Option<i64>,
}

impl Claims {
    /// Something was lost.
    pub(crate) fn gap(&mut self) {
        self.unbroken = false;
    }

    /// A picture is complete.
    pub(crate) fn settle(&mut self) {
        self.undecided.clear();
    }

    /// A picture was not decoded after all, in none of its layers.
    pub(crate) fn withdraw(&mut self) {
        let Self { decoded, undecided, .. } = self;
        decoded.retain(|frame| !undecided.contains(frame));
        undecided.clear();
    }

    /// Decodes a layer frame, if it can be placed and all it says it builds on was decoded.
    pub(crate) fn decode(
        &mut self,
        seen: &Seen,
        descriptor: Option<&[u8]>,
    ) -> Result<bool, Nonsense> {
        if let Some(descriptor) = descriptor {
            return self.by_descriptor(descriptor);
        }
        match seen.claim {
            Claim::Vp8 { picture_id, temporal: Some(temporal) } => {
                let picture = self.picture.next(picture_id.into(), 15);
                let tl0 = self.tl0.next(temporal.0.into(), 8);
                let (_, layer, sync) = temporal;
                self.by_tl0(picture, tl0, layer.min(3), sync, seen.keyframe)
            }
            Claim::InOrder | Claim::Vp8 { temporal: None, .. } => {
                self.unbroken |= seen.keyframe;
                Ok(self.unbroken)
            }
            Claim::Vp9 { picture_id, layer, flexible, inter, back, .. } => {
                let picture = self.picture.next(picture_id.into(), 15);
                if let Some(structure) = &seen.structure {
                    self.group = Some((**structure, picture));
                }
                let back = if flexible || !inter { back } else { self.back_in_group(picture)? };
                let spatial = i64::from(layer.spatial);
                let earlier = back.iter().filter(|&&back| inter && back > 0);
                let mut needs: Vec<i64> =
                    earlier.map(|&back| (picture - i64::from(back)) * 8 + spatial).collect();
                if layer.on_below {
                    needs.push(picture * 8 + spatial - 1);
                }
                let alone = seen.keyframe;
                Ok(self.decode_on(picture * 8 + spatial, &needs, alone))
            }
        }
    }

    fn decode_on(&mut self, frame: i64, needs: &[i64], alone: bool) -> bool {
        let ok = (alone || !needs.is_empty()) && needs.iter().all(|need| self.has(*need));
        if ok {
            self.decoded.push_back(frame);
            self.undecided.push(frame);
            if self.decoded.len() > FRAMES {
                self.decoded.pop_front();
            }
        }
        ok
    }

    fn has(&self, frame: i64) -> bool {
        self.decoded.iter().rev().any(|&decoded| decoded == frame)
    }

    fn back_in_group(&self, picture: i64) -> Result<[u8; 3], Nonsense> {
        let (structure, since) = self.group.as_ref().ok_or(Nonsense)?;
        let places = structure.group.iter().flatten().count();
        let at = (picture - since).checked_rem_euclid(places as i64).ok_or(Nonsense)?;
        Ok(structure.group[at as usize].ok_or(Nonsense)?.back)
    }

    fn by_descriptor(&mut self, bytes: &[u8]) -> Result<bool, Nonsense> {
        let read = dependency::read(bytes, self.structure.as_ref()).ok_or(Nonsense)?;
        let number = self.number.next(read.number.into(), 16);
        if self.last_number.is_some_and(|last| number <= last) {
            return Err(Nonsense);
        }
        self.last_number = Some(number);
        let frame = &read.dependencies;
        let needs: Vec<i64> =
            frame.back.iter().map(|&back| (number - i64::from(back)) * 8).collect();
        let alone = read.structure.is_some() && frame.back.is_empty();
        let ok = self.decode_on(number * 8, &needs, alone);
        if read.structure.is_some() {
            self.structure = read.structure;
        }
        Ok(ok)
    }

    /// VP8 with temporal layers: a frame builds on the last of each layer up to its own, or, if it
    /// is a sync frame, on layer 0 only. A hole in the picture ids could be one of those.
    fn by_tl0(
        &mut self,
        picture: i64,
        tl0: i64,
        layer: u8,
        sync: bool,
        keyframe: bool,
    ) -> Result<bool, Nonsense> {
        let vp8 = &mut self.vp8;
        if let Some(last) = vp8.last {
            if picture <= last {
                return Err(Nonsense);
            }
            vp8.missing.extend((last + 1..picture).take(MISSING_MAX));
        }
        vp8.last = Some(picture);
        while vp8.missing.len() > MISSING_MAX {
            vp8.missing.pop_first();
        }
        while vp8.layers.len() > TL0_MAX {
            vp8.layers.pop_first();
        }
        let layer = usize::from(layer);
        if keyframe {
            vp8.layers.insert(tl0, [None; 4]);
            vp8.note(tl0, layer, picture);
            return Ok(self.decode_on(picture * 8, &[], true));
        }
        let base = if layer == 0 { tl0 - 1 } else { tl0 };
        let Some(&known) = vp8.layers.get(&base) else { return Ok(false) };
        let mut needs = Vec::new();
        if layer == 0 || sync {
            needs.extend(known[0].map(|picture| picture * 8));
        } else {
            for last in &known[..=layer] {
                let Some(last) = *last else { return Ok(false) };
                if vp8.missing.range(last + 1..picture).next().is_some() {
                    return Ok(false);
                }
                needs.push(last * 8);
            }
        }
        if layer == 0 {
            vp8.layers.insert(tl0, known);
        }
        vp8.note(tl0, layer, picture);
        Ok(self.decode_on(picture * 8, &needs, false))
    }
}

impl Vp8 {
    fn note(&mut self, tl0: i64, layer: usize, picture: i64) {
        for (_, layers) in self.layers.range_mut(tl0..) {
            layers[layer] = Some(picture);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vp8(picture_id: u16, tl0: u8, layer: u8, sync: bool, keyframe: bool) -> Seen {
        let claim = Claim::Vp8 { picture_id, temporal: Some((tl0, layer, sync)) };
        Seen { start: true, keyframe, claim, ..Seen::default() }
    }

    #[test]
    fn vp8_layers_are_placed_by_tl0_and_picture_id() {
        let mut claims = Claims::default();
        let steps = [
            (vp8(0x7fff, 255, 0, false, true), true, "a keyframe"),
            (vp8(0, 255, 1, true, false), true, "a sync frame"),
            (vp8(1, 0, 0, false, false), true, "the next base"),
            (vp8(2, 0, 1, false, false), true, "on both"),
            (vp8(3, 1, 0, false, false), true, "the next base"),
            (vp8(5, 1, 1, false, false), false, "a hole before it"),
            (vp8(6, 2, 0, false, false), true, "bases go on"),
            (vp8(7, 4, 0, false, false), false, "a base is missing"),
        ];
        for (seen, expected, why) in steps {
            assert_eq!(claims.decode(&seen, None), Ok(expected), "{why}");
        }
        assert_eq!(claims.decode(&vp8(7, 4, 0, false, false), None), Err(Nonsense), "again");
    }
}
