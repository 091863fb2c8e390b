//! Which layer of a track a subscription forwards: the best that arrives, changed only where the
//! codec allows it (at a keyframe).

/// What to do with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Forward it; the line goes on.
    Forward,
    /// Forward it as the first packet of a new source.
    Switch,
    /// Another layer is being forwarded, or the keyframe has not come yet.
    Drop,
}

/// The state of one subscription's selection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Selector {
    /// The layer being forwarded, and the epoch of that layer in which it began.
    current: Option<(u8, u32)>,
    target: u8,
}

impl Selector {
    /// The layer wanted.
    #[must_use]
    pub fn target(&self) -> u8 {
        self.target
    }

    /// The layer being forwarded, if any.
    #[must_use]
    pub fn current(&self) -> Option<u8> {
        self.current.map(|(layer, _)| layer)
    }

    /// Whether a keyframe of the target layer is needed to get where this wants to be.
    #[must_use]
    pub fn waits_for_keyframe(&self) -> bool {
        self.current() != Some(self.target)
    }

    /// Sets the layer wanted; the present one goes on until the new one can be switched to.
    pub fn aim(&mut self, target: u8) {
        self.target = target;
    }

    /// Forgets the present layer: what comes next starts anew.
    pub fn restart(&mut self) {
        self.current = None;
    }

    /// Decides on a packet of `layer` in its `epoch`. `switch_point`: decoding may start here.
    pub fn decide(&mut self, layer: u8, epoch: u32, switch_point: bool) -> Verdict {
        if self.current == Some((layer, epoch)) {
            return Verdict::Forward;
        }
        let restarted = self.current() == Some(layer);
        if switch_point && (layer == self.target || restarted || self.current.is_none()) {
            self.current = Some((layer, epoch));
            return Verdict::Switch;
        }
        if restarted {
            self.current = None;
        }
        Verdict::Drop
    }
}

/// How much better another layer must be before it is worth a switch, as a ratio of bitrates.
/// The encodings of one source differ by 2 or more; less is noise.
const BETTER_NUMERATOR: u64 = 3;
const BETTER_DENOMINATOR: u64 = 2;

/// The best layer that arrives: the one with the highest bitrate (bit/s, 0 = silent).
/// `present` is kept unless another is clearly better or it went silent.
#[must_use]
pub fn best_layer(bitrates: impl Iterator<Item = u64> + Clone, present: u8) -> u8 {
    let now = bitrates.clone().nth(usize::from(present)).unwrap_or(0);
    let best = (0u8..).zip(bitrates).max_by_key(|&(layer, rate)| (rate, layer));
    match best {
        Some((layer, rate)) if rate * BETTER_DENOMINATOR > now * BETTER_NUMERATOR => layer,
        Some(_) | None => present,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Layer, epoch, switch point → expected.
    type Step = (u8, u32, bool, Verdict);

    fn check(selector: &mut Selector, steps: &[Step]) {
        for (i, &(layer, epoch, switch_point, expected)) in steps.iter().enumerate() {
            assert_eq!(selector.decide(layer, epoch, switch_point), expected, "step {i}");
        }
    }

    #[test]
    fn waits_for_a_keyframe_and_then_follows_the_layer() {
        use Verdict::{Drop, Forward, Switch};
        let mut selector = Selector::default();
        check(&mut selector, &[(0, 0, false, Drop), (0, 0, true, Switch), (0, 0, false, Forward)]);
    }

    #[test]
    fn keeps_the_present_layer_until_the_target_can_be_switched_to() {
        use Verdict::{Drop, Forward, Switch};
        let mut selector = Selector::default();
        check(&mut selector, &[(0, 0, true, Switch)]);
        selector.aim(2);
        check(
            &mut selector,
            &[
                (2, 0, false, Drop),
                (1, 0, true, Drop),
                (0, 0, false, Forward),
                (2, 0, true, Switch),
                (0, 0, true, Drop),
                (2, 0, false, Forward),
            ],
        );
    }

    #[test]
    fn a_restarted_layer_needs_a_new_keyframe() {
        use Verdict::{Drop, Forward, Switch};
        let mut selector = Selector::default();
        check(
            &mut selector,
            &[
                (0, 0, true, Switch),
                (0, 1, false, Drop),
                (0, 1, true, Switch),
                (0, 1, false, Forward),
            ],
        );
    }

    #[test]
    fn any_layer_will_do_to_begin_with() {
        let mut selector = Selector::default();
        selector.aim(2);
        check(&mut selector, &[(0, 0, true, Verdict::Switch)]);
        assert!(selector.waits_for_keyframe());
    }

    #[test]
    fn the_best_layer_is_the_one_with_clearly_more_bits() {
        for (rates, present, expected) in [
            (&[100, 300, 900][..], 0, 2),
            (&[100, 300, 350], 1, 1),
            (&[100, 300, 0], 2, 1),
            (&[0, 0, 0], 1, 1),
            (&[500], 0, 0),
        ] {
            assert_eq!(best_layer(rates.iter().copied(), present), expected, "{rates:?}");
        }
    }
}
