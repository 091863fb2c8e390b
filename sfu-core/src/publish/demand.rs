//! What a publisher need send: which of a track's encodings, and how many spatial layers, anybody
//! is to get. Up at once, down only after a while: a subscriber that goes down and comes back
//! again must not wait for an encoder to start.

use std::time::{Duration, Instant};

use smallvec::SmallVec;

use crate::forward::layer::LayerId;
use crate::limits::ENCODINGS_MAX;

/// How long nobody must have wanted something before the publisher is told to stop it. An encoder
/// that starts again begins with a keyframe, which costs as much as about a second of the layer.
const DOWN_AFTER: Duration = Duration::from_secs(3);
/// The highest spatial layer there can be, until less is known to be wanted.
const SPATIAL_MAX: u8 = 7;

/// What anybody wants of one track. It begins with everything wanted, as a publisher begins by
/// sending everything.
#[derive(Clone, Debug)]
pub struct TrackDemand {
    encodings: SmallVec<[Wanted; ENCODINGS_MAX]>,
    spatial: SpatialDemand,
}

/// What a publisher is to be told ([`crate::event::Event::Demand`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Each encoding by its place in the offer.
    pub encodings: SmallVec<[bool; ENCODINGS_MAX]>,
    /// The highest spatial layer anybody wants.
    pub max_spatial: u8,
}

/// One encoding.
#[derive(Clone, Copy, Debug)]
enum Wanted {
    Yes,
    /// Nobody wants it since then; the publisher has not been told yet.
    Fading(Instant),
    No,
}

#[derive(Clone, Copy, Debug)]
struct SpatialDemand {
    told: u8,
    /// Less is enough since then, and the most that was wanted meanwhile.
    less: Option<(Instant, u8)>,
}

impl TrackDemand {
    /// A track with so many encodings.
    #[must_use]
    pub fn new(encodings: usize) -> Self {
        Self {
            encodings: SmallVec::from_elem(Wanted::Yes, encodings.min(ENCODINGS_MAX)),
            spatial: SpatialDemand { told: SPATIAL_MAX, less: None },
        }
    }

    /// Takes in what all subscribers of the track are to get and still get: for each its grant, and
    /// the layer that is forwarded until the granted one can be switched to. `lowest` is the
    /// encoding that must go on while `watched`: somebody has an m-line for the track, even if it is
    /// paused there.
    ///
    /// Gives what the publisher is to be told, if that has changed.
    pub fn update(
        &mut self,
        now: Instant,
        layers: impl IntoIterator<Item = LayerId>,
        lowest: u8,
        watched: bool,
    ) -> Option<Asked> {
        let mut wanted = [false; ENCODINGS_MAX];
        let mut max_spatial = 0;
        if let Some(lowest) = wanted.get_mut(usize::from(lowest)) {
            *lowest = watched;
        }
        for layer in layers {
            // Not one of this track: a grant from before a renegotiation.
            let Some(wanted) = wanted.get_mut(usize::from(layer.encoding)) else { continue };
            *wanted = true;
            max_spatial = max_spatial.max(layer.spatial);
        }
        let mut changed = self.spatial.update(now, max_spatial);
        for (state, wanted) in self.encodings.iter_mut().zip(wanted) {
            changed |= state.update(now, wanted);
        }
        changed.then(|| self.asked())
    }

    /// What the publisher was told last.
    #[must_use]
    pub fn asked(&self) -> Asked {
        Asked {
            encodings: self.encodings.iter().map(|state| !matches!(state, Wanted::No)).collect(),
            max_spatial: self.spatial.told,
        }
    }

    /// When [`TrackDemand::update`] is due although nothing has changed.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        let fading = self.encodings.iter().filter_map(|state| match *state {
            Wanted::Fading(since) => Some(since + DOWN_AFTER),
            Wanted::Yes | Wanted::No => None,
        });
        fading.chain(self.spatial.less.map(|(since, _)| since + DOWN_AFTER)).min()
    }
}

impl Wanted {
    /// Returns whether the publisher must be told.
    fn update(&mut self, now: Instant, wanted: bool) -> bool {
        let before = *self;
        *self = match (before, wanted) {
            (_, true) => Self::Yes,
            (Self::Yes, false) => Self::Fading(now),
            (Self::Fading(since), false) if expired(now, since) => Self::No,
            (Self::Fading(_) | Self::No, false) => before,
        };
        matches!(before, Self::No) != matches!(self, Self::No)
    }
}

impl SpatialDemand {
    /// Returns whether the publisher must be told.
    fn update(&mut self, now: Instant, wanted: u8) -> bool {
        if wanted >= self.told {
            self.less = None;
            return std::mem::replace(&mut self.told, wanted) != wanted;
        }
        match &mut self.less {
            None => self.less = Some((now, wanted)),
            Some((since, most)) => {
                *most = (*most).max(wanted);
                if expired(now, *since) {
                    self.told = *most;
                    // What is wanted now may be less still.
                    self.less = (wanted < *most).then_some((now, wanted));
                    return true;
                }
            }
        }
        false
    }
}

fn expired(now: Instant, since: Instant) -> bool {
    now.saturating_duration_since(since) >= DOWN_AFTER
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::test_clock::{ms, origin};

    const LOW: LayerId = LayerId::lowest_of(0);
    const HIGH: LayerId = LayerId { encoding: 2, spatial: 0, temporal: 1 };

    fn spatial(spatial: u8) -> LayerId {
        LayerId { encoding: 0, spatial, temporal: 0 }
    }

    /// What is told, with three encodings.
    fn told(asked: Option<Asked>) -> Option<[bool; 3]> {
        asked.map(|asked| asked.encodings.into_iter().collect::<Vec<_>>().try_into().unwrap())
    }

    #[test]
    fn what_nobody_wants_stops_after_a_while_and_starts_at_once() {
        let start = origin();
        let mut demand = TrackDemand::new(3);
        assert_eq!(demand.update(start, [LOW, HIGH], 0, true), None);
        assert_eq!(demand.due(), Some(start + DOWN_AFTER), "the middle one fades");
        let asked = demand.update(start + ms(2_999), [LOW, HIGH], 0, true);
        assert_eq!(asked, None);
        let asked = demand.update(start + ms(3_000), [LOW, HIGH], 0, true);
        assert_eq!(told(asked), Some([true, false, true]));
        let asked = demand.update(start + ms(3_001), [LOW], 0, true);
        assert_eq!(asked, None);
        assert_eq!(demand.due(), Some(start + ms(6_001)));
        // Wanted again in time: nobody hears of it.
        assert_eq!(demand.update(start + ms(6_000), [HIGH], 0, true), None);
        assert_eq!(demand.due(), None);
        let asked = demand.update(start + ms(6_100), [HIGH, LayerId::lowest_of(1)], 0, true);
        assert_eq!(told(asked), Some([true; 3]));
    }

    #[test]
    fn the_lowest_goes_on_while_anybody_watches() {
        let start = origin();
        let mut demand = TrackDemand::new(3);
        demand.update(start, [], 0, true);
        assert_eq!(told(demand.update(start + ms(3_000), [], 0, true)), Some([true, false, false]));
        assert_eq!(demand.update(start + ms(60_000), [], 0, true), None);
        demand.update(start + ms(60_000), [], 0, false);
        let asked = demand.update(start + ms(63_000), [], 0, false);
        assert_eq!(told(asked), Some([false; 3]), "nobody is there at all");
        let asked = demand.update(start + ms(70_000), [], 2, true);
        assert_eq!(told(asked), Some([false, false, true]), "the lowest may be the last");
    }

    #[test]
    fn spatial_layers_are_bounded_by_the_most_that_was_wanted_meanwhile() {
        let start = origin();
        let mut demand = TrackDemand::new(1);
        let max = |asked: Option<Asked>| asked.map(|asked| asked.max_spatial);
        assert_eq!(demand.update(start, [spatial(2)], 0, true), None);
        assert_eq!(demand.update(start + ms(1_000), [spatial(0)], 0, true), None);
        assert_eq!(max(demand.update(start + ms(3_000), [spatial(0)], 0, true)), Some(2));
        assert_eq!(demand.due(), Some(start + ms(6_000)));
        assert_eq!(max(demand.update(start + ms(6_000), [spatial(0)], 0, true)), Some(0));
        assert_eq!(demand.due(), None);
        assert_eq!(max(demand.update(start + ms(6_001), [spatial(1)], 0, true)), Some(1));
        assert_eq!(demand.update(start + ms(6_002), [spatial(1)], 0, true), None);
    }

    #[test]
    fn encodings_that_do_not_exist_change_nothing() {
        let start = origin();
        let mut demand = TrackDemand::new(1);
        assert_eq!(demand.update(start, [LayerId::lowest_of(200)], 200, true), None);
        assert_eq!(TrackDemand::new(9).asked().encodings.len(), ENCODINGS_MAX);
    }
}
