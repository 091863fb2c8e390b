//! Where media comes from: frames of an encoder that follows its target, or of an SFU that
//! chooses among layers of given rates.

use std::time::Duration;

use crate::random::{self, Pcg64Mcg, chance, fraction};

/// Thirty frames a second.
pub const FRAME_INTERVAL: Duration = Duration::from_nanos(33_333_333);
/// Between key frames of the bursty source.
const KEY_INTERVAL_FRAMES: u64 = 300;
/// Share of each frame that pays back what a large one took before.
const REPAYMENT: f64 = 0.3;
/// From the choice of another layer to its key frame: a publisher's round trip and a frame.
const SWITCH_DELAY: Duration = Duration::from_millis(100);
/// A larger layer must fit with this margin, for this long.
const UP_MARGIN: f64 = 1.15;
const UP_HOLD: Duration = Duration::from_secs(1);

/// A kind of source.
#[derive(Clone, Debug, PartialEq)]
pub enum SourceKind {
    /// Frames of equal size at the target.
    Constant,
    /// Key frames of 8 to 10 frames' size every 10 s, repaid by what follows.
    Bursty,
    /// Sizes that vary like those of a camera: correlated, with a change of scene now and then.
    Varying,
    /// Layers of these rates in bit/s, rising; the largest that fits is forwarded.
    Layered(Vec<u64>),
}

/// A frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Size with all headers, at the IP level.
    pub bytes: u32,
    /// Whether it needs no other.
    pub key: bool,
}

/// A source at work.
#[derive(Debug)]
pub struct Source {
    kind: SourceKind,
    rng: Pcg64Mcg,
    next: Duration,
    count: u64,
    /// Bytes by which past frames were too large.
    debt: f64,
    /// The varying source's present factor, as a logarithm.
    swing: f64,
    key_wanted: bool,
    layers: Ladder,
    offered_bps: u64,
}

impl Source {
    /// A source that begins at `start`, up to a frame later, and draws from `seed`.
    #[must_use]
    pub fn new(kind: SourceKind, start: Duration, seed: u64, lane: u64) -> Self {
        let mut rng = random::generator(seed, lane);
        let rates = if let SourceKind::Layered(rates) = &kind { rates.clone() } else { Vec::new() };
        Self {
            next: start + FRAME_INTERVAL.mul_f64(fraction(&mut rng)),
            kind,
            rng,
            count: 0,
            debt: 0.0,
            swing: 0.0,
            key_wanted: true,
            layers: Ladder::new(rates),
            offered_bps: 0,
        }
    }

    /// When the next frame is captured.
    #[must_use]
    pub fn next(&self) -> Duration {
        self.next
    }

    /// What it produces now, bit/s.
    #[must_use]
    pub fn offered_bps(&self) -> u64 {
        self.offered_bps
    }

    /// What it would produce with bandwidth enough, bit/s, if that is bounded.
    #[must_use]
    pub fn most_bps(&self) -> Option<u64> {
        self.layers.rates.last().copied()
    }

    /// The next frame is to need no other.
    pub fn request_key(&mut self) {
        self.key_wanted = true;
    }

    /// Leaves out the frame that is due.
    pub fn skip(&mut self) {
        self.next += FRAME_INTERVAL;
    }

    /// No frames until `until`.
    pub fn pause(&mut self, until: Duration) {
        self.next = self.next.max(until);
        self.key_wanted = true;
        self.offered_bps = 0;
    }

    /// The frame that is due, for a budget and for what is wanted at most, both in bit/s; `None` if
    /// nothing is forwarded.
    pub fn frame(&mut self, budget_bps: u64, wanted_bps: u64) -> Option<Frame> {
        let now = self.next;
        self.next += FRAME_INTERVAL;
        self.count += 1;
        let mut key = std::mem::take(&mut self.key_wanted);
        self.offered_bps = budget_bps.min(wanted_bps);
        if let SourceKind::Layered(_) = self.kind {
            let (rate, switched) = self.layers.choose(now, budget_bps, wanted_bps);
            self.offered_bps = rate.unwrap_or(0);
            let Some(_) = rate else {
                self.key_wanted |= key;
                return None;
            };
            key |= switched;
        }
        #[allow(clippy::cast_precision_loss, reason = "rates are far below 2^52")]
        let mean = self.offered_bps as f64 / 8.0 * FRAME_INTERVAL.as_secs_f64();
        let first = self.count == 1;
        let size = mean * self.factor(&mut key, first);
        let paid = self.debt.clamp(0.0, size * REPAYMENT);
        self.debt += size - paid - mean;
        if matches!(self.kind, SourceKind::Constant) {
            self.debt = 0.0;
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded")]
        let bytes = (size - paid).clamp(100.0, 1e6) as u32;
        Some(Frame { bytes, key })
    }

    /// Size of this frame, in mean frames. Key frames of the simple sources are no larger than
    /// others: they are there to see the controller, not the encoder.
    fn factor(&mut self, key: &mut bool, first: bool) -> f64 {
        match self.kind {
            SourceKind::Constant => 1.0,
            SourceKind::Bursty => {
                *key |= self.count % KEY_INTERVAL_FRAMES == KEY_INTERVAL_FRAMES / 2;
                let spread = 0.9 + 0.2 * fraction(&mut self.rng);
                if *key && !first { 8.0 + 2.0 * fraction(&mut self.rng) } else { spread }
            }
            SourceKind::Varying => {
                // Three draws in -1 … 1 make a bell; 0.8 keeps neighbours alike. Together sizes
                // deviate by a quarter, as behind the rate control of an encoder for calls.
                let noise: f64 =
                    (0..3).map(|_| 2.0 * fraction(&mut self.rng) - 1.0).sum::<f64>() * 0.15;
                self.swing = 0.8 * self.swing + noise;
                *key |= chance(&mut self.rng, 1.0 / 300.0);
                let scene = if *key && !first { 4.0 } else { 1.0 };
                scene * self.swing.exp()
            }
            SourceKind::Layered(_) => {
                let spread = 0.85 + 0.3 * fraction(&mut self.rng);
                if *key { 4.0 } else { spread }
            }
        }
    }
}

/// Which layer is forwarded, and which will be.
#[derive(Debug)]
struct Ladder {
    rates: Vec<u64>,
    current: Option<usize>,
    /// The layer to come, and when its key frame does.
    coming: Option<(usize, Duration)>,
    /// Since when a larger one would fit.
    fits_since: Option<Duration>,
}

impl Ladder {
    fn new(rates: Vec<u64>) -> Self {
        Self { rates, current: None, coming: None, fits_since: None }
    }

    fn largest_within(&self, budget: f64) -> Option<usize> {
        #[allow(clippy::cast_precision_loss, reason = "rates are far below 2^52")]
        self.rates.iter().rposition(|&rate| rate as f64 <= budget)
    }

    /// The rate to forward at, if any, and whether this frame is the first of its layer.
    fn choose(&mut self, now: Duration, budget_bps: u64, wanted_bps: u64) -> (Option<u64>, bool) {
        #[allow(clippy::cast_precision_loss, reason = "rates are far below 2^52")]
        let (budget, wanted) = (budget_bps as f64, wanted_bps as f64);
        let fits = self.largest_within(budget.min(wanted));
        let fits_well = self.largest_within((budget / UP_MARGIN).min(wanted));
        let heading = self.coming.map(|(layer, _)| layer).or(self.current);
        if heading.is_some() && fits < heading {
            // Down at once: what does not fit stops now, its successor needs a key frame.
            if fits < self.current {
                self.current = None;
            }
            self.coming = fits.map(|layer| (layer, now + SWITCH_DELAY));
            self.fits_since = None;
        } else if fits_well > heading {
            let since = *self.fits_since.get_or_insert(now);
            if heading.is_none() || now - since >= UP_HOLD {
                self.coming = fits_well.map(|layer| (layer, now + SWITCH_DELAY));
                self.fits_since = None;
            }
        } else {
            self.fits_since = None;
        }
        let mut switched = false;
        if let Some((layer, at)) = self.coming
            && at <= now
        {
            self.current = Some(layer);
            self.coming = None;
            switched = true;
        }
        (self.current.map(|layer| self.rates[layer]), switched)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(kind: SourceKind, frames: u32, budget: u64) -> Vec<Frame> {
        let mut source = Source::new(kind, Duration::ZERO, 1, 1);
        (0..frames).filter_map(|_| source.frame(budget, budget)).collect()
    }

    fn mean_bps(frames: &[Frame], count: u32) -> f64 {
        let bytes: f64 = frames.iter().map(|frame| f64::from(frame.bytes)).sum();
        bytes * 8.0 / (f64::from(count) * FRAME_INTERVAL.as_secs_f64())
    }

    #[test]
    fn every_kind_keeps_to_its_budget() {
        for kind in [SourceKind::Constant, SourceKind::Bursty, SourceKind::Varying] {
            let frames = run(kind.clone(), 3000, 1_000_000);
            let mean = mean_bps(&frames, 3000);
            assert!((0.98e6..1.02e6).contains(&mean), "{kind:?}: {mean}");
        }
    }

    #[test]
    fn key_frames_of_the_bursty_source_are_large() {
        let frames = run(SourceKind::Bursty, 900, 1_000_000);
        let keys: Vec<_> = frames[1..].iter().filter(|frame| frame.key).collect();
        assert_eq!(keys.len(), 3);
        let mean = 1_000_000.0 / 8.0 * FRAME_INTERVAL.as_secs_f64();
        for key in keys {
            let factor = f64::from(key.bytes) / mean;
            assert!((7.5..10.1).contains(&factor), "{factor}");
        }
    }

    #[test]
    fn layers_go_down_at_once_and_up_after_a_while() {
        let mut source =
            Source::new(SourceKind::Layered(vec![150_000, 500_000]), Duration::ZERO, 1, 1);
        let mut offered = |budget, frames: u32| {
            for _ in 0..frames {
                source.frame(budget, 1_000_000);
            }
            source.offered_bps()
        };
        assert_eq!(offered(600_000, 3), 0, "its key frame is on its way");
        assert_eq!(offered(600_000, 2), 500_000);
        assert_eq!(offered(490_000, 1), 0, "it does not fit, and the other has no key frame yet");
        assert_eq!(offered(490_000, 4), 150_000);
        assert_eq!(offered(560_000, 60), 150_000, "fits, but without the margin");
        assert_eq!(offered(600_000, 25), 150_000, "not for long enough");
        assert_eq!(offered(600_000, 15), 500_000);
        assert_eq!(offered(100_000, 10), 0, "nothing fits");
    }
}
