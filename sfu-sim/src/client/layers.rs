//! How the layers of an encoding build on each other, as libwebrtc's encoders have it.

use smallvec::SmallVec;

use crate::wire::REFERENCES_MAX;
use crate::wire::dependency::{Dependencies, Indication, Structure};

/// How spatial layers build on each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Inter {
    /// Each on the one below, in every picture (L3T3).
    #[default]
    Always,
    /// Each on the one below in keyframes only (k-SVC: L3T3_KEY).
    Keyframes,
}

/// Which layers an encoding has and how they build on each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layering {
    /// Spatial layers, 1 to 3.
    pub spatial: u8,
    /// Temporal layers, 1 to 3.
    pub temporal: u8,
    /// Between spatial layers.
    pub inter: Inter,
    /// Whether temporal layers build on earlier pictures of their own in every other cycle, so that
    /// one cannot switch up there.
    pub crossing: bool,
}

impl Default for Layering {
    fn default() -> Self {
        Self::new(1, 1)
    }
}

impl Layering {
    /// Full SVC, or no SVC with one spatial layer.
    #[must_use]
    pub const fn new(spatial: u8, temporal: u8) -> Self {
        Self { spatial, temporal, inter: Inter::Always, crossing: false }
    }

    /// k-SVC.
    #[must_use]
    pub const fn key(spatial: u8, temporal: u8) -> Self {
        Self { inter: Inter::Keyframes, ..Self::new(spatial, temporal) }
    }

    /// The same with temporal layers that can be switched up to in every other cycle only.
    #[must_use]
    pub const fn crossing(self) -> Self {
        Self { crossing: true, ..self }
    }

    /// Pictures after which the pattern repeats, crossings apart.
    pub(crate) fn cycle(self) -> u32 {
        [1, 2, 4][usize::from(self.temporal) - 1]
    }

    /// The temporal layer of the `place`-th picture since the keyframe.
    pub(crate) fn temporal_at(self, place: u32) -> u8 {
        match self.temporal {
            1 => 0,
            2 => (place % 2) as u8,
            _ => [0, 2, 1, 2][place as usize % 4],
        }
    }

    /// Whether the temporal layers above 0 of this cycle build on the cycle before.
    fn crosses(self, place: u32) -> bool {
        self.crossing && self.temporal > 1 && place / self.cycle() % 2 == 1
    }

    /// The pictures it builds on in its own spatial layer, so many back each (0: none).
    pub(crate) fn back(self, place: u32) -> [u8; REFERENCES_MAX] {
        let cycle = self.cycle() as u8;
        match (place, self.temporal, self.temporal_at(place)) {
            (0, ..) => [0; REFERENCES_MAX],
            (_, _, 0) => [cycle, 0, 0],
            // The last picture of a cycle of four builds on the one before it, of layer 1; all
            // others on the last of layer 0.
            (_, 3, 2) => [1, 0, 0],
            (_, temporal, _) => [temporal - 1, if self.crosses(place) { cycle } else { 0 }, 0],
        }
    }

    /// Whether all later pictures of higher temporal layers can be decoded by who has only this
    /// one's layer until now: U of RFC 9628 §4.2.
    pub(crate) fn switching_up(self, place: u32) -> bool {
        self.temporal_at(place) > 0 || !self.crosses(place)
    }

    /// Whether it builds on temporal layer 0 only: Y of RFC 7741 §4.2.
    pub(crate) fn is_sync(self, place: u32) -> bool {
        match self.temporal_at(place) {
            0 => false,
            2 => place % 4 == 1,
            _ => !self.crosses(place),
        }
    }

    /// Whether nothing builds on it: the highest temporal layer, where it does not cross over.
    pub(crate) fn is_discardable(self, place: u32) -> bool {
        let top = self.temporal > 1 && self.temporal_at(place) + 1 == self.temporal;
        top && (self.temporal == 3 || !self.crosses(place + self.cycle()))
    }

    /// Whether a layer frame builds on the spatial layer below of its own picture.
    pub(crate) fn on_below(self, place: u32, spatial: u8) -> bool {
        spatial > 0 && (place == 0 || self.inter == Inter::Always)
    }

    /// Whether a layer frame has the decodability of a decode target's later frames in its hands.
    fn indication(self, place: u32, spatial: u8, target: (u8, u8)) -> Indication {
        let temporal = self.temporal_at(place);
        let (up_to_spatial, up_to_temporal) = target;
        let apart = self.inter == Inter::Keyframes && place > 0;
        if spatial > up_to_spatial
            || temporal > up_to_temporal
            || (apart && spatial < up_to_spatial)
        {
            return Indication::NotPresent;
        }
        if spatial < up_to_spatial && place > 0 {
            return Indication::Required;
        }
        let last = up_to_temporal > 0 && temporal == up_to_temporal && place > 0;
        // Of layer 1 only what the next cycle crosses over to is needed again.
        if last && (temporal == 2 || !self.crosses(place + self.cycle())) {
            return Indication::Discardable;
        }
        if up_to_temporal > temporal && temporal == 0 && self.crosses(place) {
            return Indication::Required;
        }
        Indication::Switch
    }

    /// The dependency descriptor's view of a layer frame, with `spatial` layers in each picture.
    pub(crate) fn dependencies(self, place: u32, spatial: u8) -> Dependencies {
        let layers = u16::from(self.spatial);
        let own = self.back(place).into_iter().filter(|&back| back > 0);
        let mut back: SmallVec<[u16; 4]> = own.map(|back| u16::from(back) * layers).collect();
        if self.on_below(place, spatial) {
            back.insert(0, 1);
        }
        let targets = (0..self.spatial).flat_map(|s| (0..self.temporal).map(move |t| (s, t)));
        Dependencies {
            spatial,
            temporal: self.temporal_at(place),
            indications: targets.map(|target| self.indication(place, spatial, target)).collect(),
            back,
            chains: (0..self.spatial).map(|chain| self.chain(place, spatial, chain)).collect(),
        }
    }

    /// How far back the last frame of a chain is, in frames; 0 if there is none yet.
    fn chain(self, place: u32, spatial: u8, chain: u8) -> u8 {
        let member = |picture: u32, layer: u8| match self.inter {
            _ if self.temporal_at(picture) > 0 || layer > chain => false,
            Inter::Keyframes => picture == 0 || layer == chain,
            Inter::Always => true,
        };
        let earlier_here = (0..spatial).rev().find(|&layer| member(place, layer));
        if let Some(layer) = earlier_here {
            return spatial - layer;
        }
        let before = (0..place).rev().find_map(|picture| {
            let layer = (0..self.spatial).rev().find(|&layer| member(picture, layer))?;
            Some((place - picture) as u8 * self.spatial + spatial - layer)
        });
        before.unwrap_or(0)
    }

    /// The structure that announces all frames there can be.
    pub(crate) fn structure(self, offset: u8, size: (u16, u16)) -> Structure {
        let mut templates: Vec<Dependencies> = Vec::new();
        for place in 0..=self.cycle() * 4 {
            for spatial in 0..self.spatial {
                let frame = self.dependencies(place, spatial);
                if !templates.contains(&frame) {
                    templates.push(frame);
                }
            }
        }
        templates.sort_by_key(|template| (template.spatial, template.temporal));
        let sizes = (0..self.spatial).map(|layer| {
            let down = self.spatial - 1 - layer;
            (size.0 >> down, size.1 >> down)
        });
        Structure {
            offset,
            targets: self.spatial * self.temporal,
            protected_by: (0..self.spatial)
                .flat_map(|s| std::iter::repeat_n(s, usize::from(self.temporal)))
                .collect(),
            chains: self.spatial,
            sizes: sizes.collect(),
            templates,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> impl Iterator<Item = Layering> {
        let shapes = (1..=3).flat_map(|s| (1..=3).map(move |t| (s, t)));
        shapes.flat_map(|(s, t)| {
            let (full, key) = (Layering::new(s, t), Layering::key(s, t));
            [full, full.crossing(), key, key.crossing()]
        })
    }

    /// Numbers of the frames that a frame needs, itself apart, in frames since the keyframe.
    fn references(layering: Layering, number: u32) -> Vec<u32> {
        let (place, spatial) =
            (number / u32::from(layering.spatial), number % u32::from(layering.spatial));
        let frame = layering.dependencies(place, spatial as u8);
        frame.back.iter().map(|&back| number - u32::from(back)).collect()
    }

    #[test]
    fn templates_fit_the_descriptor_and_cover_every_frame() {
        for layering in all() {
            let structure = layering.structure(0, (1280, 720));
            assert!(structure.templates.len() <= 64, "{layering:?}");
            for template in &structure.templates {
                assert!(template.back.iter().all(|&back| (1..=16).contains(&back)));
                assert!(
                    template.chains.iter().all(|&chain| chain < 16),
                    "{layering:?} {template:?}"
                );
            }
            for place in 0..40 {
                for spatial in 0..layering.spatial {
                    let frame = layering.dependencies(place, spatial);
                    assert!(structure.templates.contains(&frame), "{layering:?} {place} {spatial}");
                }
            }
        }
    }

    /// What indications promise is held against what frames really build on.
    #[test]
    fn indications_are_true() {
        for layering in all() {
            let spatial = u32::from(layering.spatial);
            let count = 24 * spatial;
            let of = |number: u32, target: usize| {
                let frame = layering.dependencies(number / spatial, (number % spatial) as u8);
                frame.indications[target]
            };
            for target in 0..usize::from(layering.spatial * layering.temporal) {
                let present: Vec<u32> =
                    (0..count).filter(|&n| of(n, target) != Indication::NotPresent).collect();
                for &number in &present {
                    let needs = references(layering, number);
                    assert!(needs.iter().all(|n| present.contains(n)), "{layering:?} {target}");
                    let later = || present.iter().filter(|&&n| n > number);
                    match of(number, target) {
                        Indication::Discardable => assert!(
                            later().all(|&n| !references(layering, n).contains(&number)),
                            "{layering:?} {target}: {number} is needed"
                        ),
                        Indication::Switch => {
                            // Whoever has this frame and what it builds on can go on.
                            let mut have = vec![number];
                            let mut at = 0;
                            while let Some(&n) = have.get(at) {
                                have.extend(references(layering, n));
                                at += 1;
                            }
                            for &n in later() {
                                let needs = references(layering, n);
                                assert!(
                                    needs.iter().all(|n| have.contains(n)),
                                    "{layering:?} {target}: no way from {number} to {n}"
                                );
                                have.push(n);
                            }
                        }
                        Indication::Required | Indication::NotPresent => {}
                    }
                }
            }
        }
    }
}
