//! What each layer of a published track costs, in bits and frames per second: what the allocation
//! chooses from.
//!
//! A rate here must be quick and calm at once. Calm: it is the median of the last three half-second
//! intervals, so that one keyframe does not make a layer look dear, and it falls slowly, so that a
//! still picture does not make the next movement a surprise. Quick: a track that begins is guessed
//! at from its first frame, and measured from its second on.
//!
//! Layers that stop are of two kinds. If the publisher was told that nobody wants it, its last rate
//! is kept as an estimate, and it stays among the options: granting it makes the publisher start it
//! again. If it stops unasked (too slow a machine, too slow an uplink), it is gone from the options:
//! at once if other layers go on, after a longer silence if all stop, for then it is more likely the
//! network that pauses than the track.

mod cell;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use smallvec::SmallVec;

use crate::decision::LayerOption;
use crate::forward::layer::LayerId;
use crate::limits::{ENCODINGS_MAX, LAYERS_PER_ENCODING_MAX};
use cell::{Asked, Cell, Supply, patience, quiet};

/// Length of an interval. Long enough for a few frames at 5 frames/s.
const INTERVAL: Duration = Duration::from_millis(500);
/// Between neighbouring encodings, if nothing is known of one of them: four times the area at
/// somewhat less than four times the rate.
const RATE_RATIO: u64 = 3;

/// The rates, frame rates and sizes of one video track.
#[derive(Clone, Debug)]
pub struct LayerMeter {
    encodings: SmallVec<[Encoding; ENCODINGS_MAX]>,
    /// Last packet of any.
    last: Option<Instant>,
    /// The highest spatial layer asked for.
    max_spatial: u8,
}

/// One encoding.
#[derive(Clone, Debug, Default)]
struct Encoding {
    /// By spatial, then temporal layer.
    cells: Vec<Cell>,
    /// Start of the present interval.
    began: Option<Instant>,
    /// Last packet.
    last: Option<Instant>,
    /// By spatial layer: width and height.
    sizes: SmallVec<[(u16, u16); 4]>,
    asked: Asked,
}

impl LayerMeter {
    /// A track with so many negotiated encodings.
    #[must_use]
    pub fn new(encodings: usize) -> Self {
        let encodings = encodings.clamp(1, ENCODINGS_MAX);
        let encodings = (0..encodings).map(|_| Encoding::default()).collect();
        Self { encodings, last: None, max_spatial: u8::MAX }
    }

    /// Notes a packet of a layer; `bytes` as they will cost on the way to a subscriber,
    /// `frame_start`: the first of its frame in that spatial layer. Returns true when an interval
    /// ended with it, so that the rates have moved.
    ///
    /// Encodings that were not negotiated are ignored; beyond [`LAYERS_PER_ENCODING_MAX`] layers of
    /// one, a packet counts for the highest that is known below it.
    pub fn note(&mut self, now: Instant, layer: LayerId, bytes: usize, frame_start: bool) -> bool {
        let wanted = layer.spatial <= self.max_spatial;
        let Some(encoding) = self.encodings.get_mut(usize::from(layer.encoding)) else {
            return false;
        };
        self.last = Some(now);
        let ended = encoding.roll(now);
        encoding.began.get_or_insert(now);
        encoding.last = Some(now);
        encoding.asked.arrived();
        encoding.cell(layer.spatial, layer.temporal, wanted).note(now, bytes, frame_start);
        ended
    }

    /// Ends intervals that are over although nothing has come. To be called about once a second.
    pub fn tick(&mut self, now: Instant) {
        for encoding in &mut self.encodings {
            encoding.roll(now);
        }
    }

    /// Sets the picture size of a layer, as its keyframes say.
    pub fn set_size(&mut self, encoding: u8, spatial: u8, width: u16, height: u16) {
        let Some(encoding) = self.encodings.get_mut(usize::from(encoding)) else { return };
        let at = usize::from(spatial);
        if at >= LAYERS_PER_ENCODING_MAX {
            return;
        }
        if encoding.sizes.len() <= at {
            encoding.sizes.resize(at + 1, (0, 0));
        }
        encoding.sizes[at] = (width, height);
    }

    /// Says what the publisher is asked to send, whenever it is told anew
    /// ([`crate::publish::demand::TrackDemand`]).
    pub fn set_wanted(&mut self, now: Instant, wanted: &[bool], max_spatial: u8) {
        self.max_spatial = max_spatial;
        for (encoding, &wanted) in self.encodings.iter_mut().zip(wanted) {
            encoding.asked.set(now, wanted);
            for cell in &mut encoding.cells {
                cell.asked.set(now, wanted && cell.spatial <= max_spatial);
            }
        }
    }

    /// Whether any of an encoding arrives. One that does not, and is among the options, is there on
    /// demand: an estimate from when it last did, or from its neighbours.
    #[must_use]
    pub fn arrives(&self, now: Instant, encoding: u8) -> bool {
        let Some(encoding) = self.encodings.get(usize::from(encoding)) else { return false };
        let hush = self.hush(now);
        encoding.cells.iter().any(|cell| encoding.supply(now, hush, cell) == Supply::Arrives)
    }

    /// The lowest encoding: the one with the smallest picture if that is known, else the first.
    #[must_use]
    pub fn lowest(&self) -> u8 {
        let known = |e: &Encoding| e.nearest_size(0).is_some();
        if !self.encodings.iter().all(known) {
            return 0;
        }
        let area = |&at: &u8| {
            let (width, height) = self.size(at, 0);
            u32::from(width) * u32::from(height)
        };
        (0u8..).take(self.encodings.len()).min_by_key(area).unwrap_or(0)
    }

    /// Adds everything that can be forwarded now, or soon if asked for, by encoding, spatial and
    /// temporal layer; each with what it and all it needs cost.
    pub fn options(&self, now: Instant, options: &mut impl Extend<LayerOption>) {
        let hush = self.hush(now);
        for (at, encoding) in (0u8..).zip(&self.encodings) {
            if !encoding.cells.is_empty() {
                options.extend(self.known(now, hush, at));
            } else if encoding.asked.may_ask(now) {
                options.extend(self.guessed(now, at));
            }
        }
    }

    /// The options of an encoding of which something has arrived.
    fn known(
        &self,
        now: Instant,
        hush: Duration,
        at: u8,
    ) -> impl Iterator<Item = LayerOption> + '_ {
        let encoding = &self.encodings[usize::from(at)];
        let cells = &encoding.cells;
        let to_be_had = move |cell: &&Cell| encoding.supply(now, hush, cell) != Supply::Silent;
        cells
            .iter()
            .filter(to_be_had)
            .filter_map(move |cell| self.option(now, at, cell, cells.iter().filter(to_be_had)))
    }

    /// A layer with all it needs of `cells`.
    fn option<'a>(
        &self,
        now: Instant,
        at: u8,
        layer: &Cell,
        cells: impl Iterator<Item = &'a Cell>,
    ) -> Option<LayerOption> {
        let mut bitrate_bps = 0u64;
        let mut frames = 0.0;
        let needed =
            |cell: &&Cell| cell.spatial <= layer.spatial && cell.temporal <= layer.temporal;
        for cell in cells.filter(needed) {
            let (rate, frames_per_second) = cell.rate(now);
            bitrate_bps = bitrate_bps.saturating_add(rate);
            if cell.spatial == layer.spatial {
                frames += frames_per_second;
            }
        }
        let (width, height) = self.size(at, layer.spatial);
        (bitrate_bps > 0).then_some(LayerOption {
            layer: LayerId { encoding: at, spatial: layer.spatial, temporal: layer.temporal },
            bitrate_bps,
            width,
            height,
            frames_per_second: whole(frames),
        })
    }

    /// The options of an encoding of which nothing has ever arrived, and which may be asked for:
    /// those of its nearest neighbour, cheaper or dearer.
    fn guessed(&self, now: Instant, at: u8) -> impl Iterator<Item = LayerOption> + '_ {
        let heard = |other: &u8| !self.encodings[usize::from(*other)].cells.is_empty();
        let others = (0u8..).take(self.encodings.len()).filter(heard);
        let nearest = others.min_by_key(|other| other.abs_diff(at));
        nearest.into_iter().flat_map(move |nearest| {
            let ratio = RATE_RATIO.pow(u32::from(nearest.abs_diff(at)));
            let cells = &self.encodings[usize::from(nearest)].cells;
            cells.iter().filter_map(move |cell| {
                let mut option = self.option(now, nearest, cell, cells.iter())?;
                let rate = option.bitrate_bps;
                option.layer.encoding = at;
                option.bitrate_bps =
                    if nearest < at { rate.saturating_mul(ratio) } else { (rate / ratio).max(1) };
                (option.width, option.height) = self.size(at, cell.spatial);
                Some(option)
            })
        })
    }

    /// The size of a layer in pixels, (0, 0) if unknown.
    #[must_use]
    pub fn size_of(&self, layer: LayerId) -> (u16, u16) {
        if usize::from(layer.encoding) >= self.encodings.len() {
            return (0, 0);
        }
        self.size(layer.encoding, layer.spatial)
    }

    /// The size of a layer: as told; else by halves of, or twice, the nearest that is known, of its
    /// own encoding first; else (0, 0).
    fn size(&self, encoding: u8, spatial: u8) -> (u16, u16) {
        if let Some(size) = self.encodings[usize::from(encoding)].nearest_size(spatial) {
            return size;
        }
        let others = (0u8..).zip(&self.encodings);
        let known = others.filter_map(|(at, other)| Some((at, other.nearest_size(spatial)?)));
        let nearest = known.min_by_key(|&(at, _)| at.abs_diff(encoding));
        nearest.map_or((0, 0), |(at, size)| scale(size, encoding, at))
    }

    /// Since when nothing has come of the track.
    fn hush(&self, now: Instant) -> Duration {
        self.last.map_or(Duration::MAX, |last| now.saturating_duration_since(last))
    }
}

impl Encoding {
    /// Ends the interval if it is over. Returns whether it was.
    fn roll(&mut self, now: Instant) -> bool {
        let Some(began) = self.began else { return false };
        if now.saturating_duration_since(began) < INTERVAL {
            return false;
        }
        for cell in &mut self.cells {
            cell.roll(now);
        }
        self.began = Some(now);
        true
    }

    /// The cell of a layer, which is added if it is new.
    fn cell(&mut self, spatial: u8, temporal: u8, wanted: bool) -> &mut Cell {
        let key = |cell: &Cell| (cell.spatial, cell.temporal);
        let at = self.cells.partition_point(|cell| key(cell) < (spatial, temporal));
        if self.cells.get(at).is_some_and(|cell| key(cell) == (spatial, temporal)) {
            return &mut self.cells[at];
        }
        if self.cells.len() >= LAYERS_PER_ENCODING_MAX {
            return &mut self.cells[at.saturating_sub(1)];
        }
        self.cells.insert(at, Cell::new(spatial, temporal, wanted));
        &mut self.cells[at]
    }

    /// Whether a layer can be had. All stop with the encoding, the slow ones as soon as the fast.
    fn supply(&self, now: Instant, hush: Duration, cell: &Cell) -> Supply {
        let frames = self.cells.iter().map(Cell::frames).sum();
        let stopped = self.last.is_some_and(|last| quiet(now, last, hush) >= patience(frames));
        match cell.supply(now, hush) {
            Supply::Arrives if stopped && self.asked.may_ask(now) => Supply::OnDemand,
            Supply::Arrives if stopped => Supply::Silent,
            supply => supply,
        }
    }

    fn nearest_size(&self, spatial: u8) -> Option<(u16, u16)> {
        let known = (0u8..).zip(&self.sizes).filter(|&(_, &(w, h))| w > 0 && h > 0);
        let (at, &size) = known.min_by_key(|&(at, _)| at.abs_diff(spatial))?;
        Some(scale(size, spatial, at))
    }
}

/// The size of layer `wanted`, if layer `known` has this one and each is twice the one below.
fn scale((width, height): (u16, u16), wanted: u8, known: u8) -> (u16, u16) {
    let by = u32::from(wanted.abs_diff(known)).min(15);
    let one = |pixels: u16| {
        if wanted >= known {
            u16::try_from(u32::from(pixels) << by).unwrap_or(u16::MAX)
        } else {
            (pixels >> by).max(1)
        }
    };
    (one(width), one(height))
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped before")]
fn whole(frames: f32) -> u8 {
    frames.round().clamp(0.0, 255.0) as u8
}
