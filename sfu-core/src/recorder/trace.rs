//! The inputs of the allocation, as bytes: numbers in LEB128 (seven bits a byte, low ones first), so
//! that a run of nine tiles with nine layers each takes about a kilobyte.

use std::collections::VecDeque;
use std::time::Duration;

use crate::bandwidth::allocate::{Budget, Demand, Demands, Memory, State};
use crate::decision::{LayerOption, Reason};
use crate::forward::layer::LayerId;
use crate::id::TrackId;
use crate::limits::TRACE_BYTES_PER_PEER_MAX;
use crate::preference::{Preference, Quality};

use super::{Granted, Run};

/// What a run costs beside its bytes: its length.
const RUN_OVERHEAD: usize = size_of::<u16>();
const _: () = assert!(TRACE_BYTES_PER_PEER_MAX <= u16::MAX as usize);

/// Runs, oldest first, in bounded memory that is allocated as it fills.
#[derive(Debug, Default)]
pub(super) struct Trace {
    bytes: VecDeque<u8>,
    lengths: VecDeque<u16>,
    writer: Writer,
}

impl Trace {
    /// Adds a run; the oldest go. One that is larger than the whole ring is not kept, nor is one
    /// without demands: there is nothing to replay.
    pub(super) fn push(
        &mut self,
        budget: &Budget,
        demands: &Demands,
        granted: impl ExactSizeIterator<Item = Granted>,
    ) {
        if demands.is_empty() {
            return;
        }
        let writer = &mut self.writer;
        writer.bytes.clear();
        writer.budget(budget);
        writer.number(demands.len() as u64);
        for (demand, options) in demands.iter() {
            writer.demand(demand, budget.now);
            writer.number(options.len() as u64);
            for option in options {
                writer.option(option);
            }
        }
        writer.number(granted.len() as u64);
        for (track, layer, reason) in granted {
            writer.number(track.to_wire());
            writer.layer(layer);
            writer.byte(reason_to_byte(reason));
        }
        let run = self.writer.bytes.as_slice();
        while self.bytes.len() + self.lengths.len() * RUN_OVERHEAD + run.len() + RUN_OVERHEAD
            > TRACE_BYTES_PER_PEER_MAX
        {
            let Some(oldest) = self.lengths.pop_front() else { return };
            self.bytes.drain(..usize::from(oldest));
        }
        let length = u16::try_from(run.len()).expect("one that fits the ring is short enough");
        self.bytes.extend(run);
        self.lengths.push_back(length);
    }

    pub(super) fn runs(&self) -> impl Iterator<Item = Run> + '_ {
        let mut start = 0;
        self.lengths.iter().map(move |&length| {
            let end = start + usize::from(length);
            let run: Vec<u8> = self.bytes.range(start..end).copied().collect();
            start = end;
            Reader { bytes: &run }.run().expect("read as it was written")
        })
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len() + self.lengths.len() * RUN_OVERHEAD
    }
}

#[derive(Debug, Default)]
struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.byte((number & 0x7f) as u8 | 0x80);
            number >>= 7;
        }
        self.byte(number as u8);
    }

    /// `None` as 0, else one more.
    fn optional(&mut self, number: Option<u64>) {
        match number.map(|number| number.checked_add(1)) {
            None => self.number(0),
            // The largest number has no successor; as the escape it is followed by a mark.
            Some(None) => {
                self.number(u64::MAX);
                self.byte(1);
            }
            Some(Some(u64::MAX)) => {
                self.number(u64::MAX);
                self.byte(0);
            }
            Some(Some(more)) => self.number(more),
        }
    }

    fn layer(&mut self, layer: Option<LayerId>) {
        self.optional(layer.map(layer_to_number));
    }

    fn budget(&mut self, budget: &Budget) {
        self.number(millis(budget.now));
        self.number(budget.estimate_bps);
        self.number(budget.reserve_bps);
        self.optional(budget.probed_bps);
        self.byte(u8::from(budget.strained));
    }

    fn demand(&mut self, demand: &Demand, now: Duration) {
        let Demand { track, screen, preference, withheld, granted, memory, .. } = demand;
        let Preference { quality, max_size, max_frames_per_second, priority, pinned, visible } =
            *preference;
        self.number(track.to_wire());
        let flags = [*screen, pinned, visible, memory.hurry];
        self.byte(flags.iter().rev().fold(0, |byte, &flag| byte << 1 | u8::from(flag)));
        self.byte(quality as u8);
        self.byte(priority);
        self.optional(max_size.map(|(w, h)| u64::from(w) << 16 | u64::from(h)));
        self.optional(max_frames_per_second.map(u64::from));
        self.optional(withheld.map(|reason| u64::from(reason_to_byte(reason))));
        self.layer(*granted);
        self.memory(memory, now);
    }

    /// Times as how long ago, which are small numbers.
    fn memory(&mut self, memory: &Memory, now: Duration) {
        let Memory { state, hurry: _, fits_since, tight_since, raised_at, erred_at, caution } =
            *memory;
        self.byte(state as u8);
        self.byte(caution);
        for time in [fits_since, tight_since, raised_at, erred_at] {
            self.optional(time.map(|time| millis(now).wrapping_sub(millis(time))));
        }
    }

    fn option(&mut self, option: &LayerOption) {
        self.number(layer_to_number(option.layer));
        self.number(option.bitrate_bps);
        self.number(u64::from(option.width));
        self.number(u64::from(option.height));
        self.byte(option.frames_per_second);
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl Reader<'_> {
    fn run(&mut self) -> Option<Run> {
        let budget = self.budget()?;
        let mut demands = Demands::default();
        for _ in 0..self.number()? {
            let demand = self.demand(budget.now)?;
            let options = (0..self.number()?).map(|_| self.option());
            demands.push(demand, options.collect::<Option<Vec<_>>>()?);
        }
        let granted = (0..self.number()?).map(|_| {
            let track = TrackId::from_wire(self.number()?);
            Some((track, self.layer()?, reason_from_byte(self.byte()?)?))
        });
        Some(Run { budget, granted: granted.collect::<Option<_>>()?, demands })
    }

    fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(byte)
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn optional(&mut self) -> Option<Option<u64>> {
        Some(match self.number()? {
            u64::MAX => Some(u64::MAX - 1 + u64::from(self.byte()?)),
            more => more.checked_sub(1),
        })
    }

    fn small<T: TryFrom<u64>>(&mut self) -> Option<T> {
        self.number()?.try_into().ok()
    }

    fn layer(&mut self) -> Option<Option<LayerId>> {
        Some(self.optional()?.map(layer_from_number))
    }

    fn budget(&mut self) -> Option<Budget> {
        let now = Duration::from_millis(self.number()?);
        let (estimate_bps, reserve_bps) = (self.number()?, self.number()?);
        let probed_bps = self.optional()?;
        let strained = self.byte()? != 0;
        Some(Budget { estimate_bps, reserve_bps, probed_bps, strained, now })
    }

    fn demand(&mut self, now: Duration) -> Option<Demand> {
        let mut demand = Demand::new(TrackId::from_wire(self.number()?));
        let flags = self.byte()?;
        let flag = |at: u32| flags >> at & 1 == 1;
        demand.screen = flag(0);
        demand.preference = Preference {
            pinned: flag(1),
            visible: flag(2),
            quality: *QUALITIES.get(usize::from(self.byte()?))?,
            priority: self.byte()?,
            max_size: self.optional()?.map(|size| ((size >> 16) as u16, size as u16)),
            max_frames_per_second: self.optional()?.map(|frames| frames as u8),
        };
        demand.withheld = match self.optional()? {
            Some(reason) => Some(reason_from_byte(u8::try_from(reason).ok()?)?),
            None => None,
        };
        demand.granted = self.layer()?;
        demand.memory = self.memory(now)?;
        demand.memory.hurry = flag(3);
        Some(demand)
    }

    fn memory(&mut self, now: Duration) -> Option<Memory> {
        let state = *STATES.get(usize::from(self.byte()?))?;
        let caution = self.byte()?;
        let mut time = || {
            let ago = self.optional()?;
            Some(ago.map(|ago| Duration::from_millis(millis(now).wrapping_sub(ago))))
        };
        let (fits_since, tight_since, raised_at, erred_at) = (time()?, time()?, time()?, time()?);
        Some(Memory { state, hurry: false, fits_since, tight_since, raised_at, erred_at, caution })
    }

    fn option(&mut self) -> Option<LayerOption> {
        Some(LayerOption {
            layer: layer_from_number(self.number()?),
            bitrate_bps: self.number()?,
            width: self.small()?,
            height: self.small()?,
            frames_per_second: self.byte()?,
        })
    }
}

/// In order of declaration.
const QUALITIES: [Quality; 5] =
    [Quality::Off, Quality::Low, Quality::Medium, Quality::High, Quality::Auto];
const STATES: [State; 3] = [State::New, State::Served, State::Paused];
const REASONS: [Reason; 14] = [
    Reason::Best,
    Reason::LargeEnough,
    Reason::Wanted,
    Reason::Bandwidth,
    Reason::Settling,
    Reason::Priority,
    Reason::Off,
    Reason::Hidden,
    Reason::LastN,
    Reason::Muted,
    Reason::Silent,
    Reason::NoSlot,
    Reason::Direct,
    Reason::Overload,
];

fn reason_to_byte(reason: Reason) -> u8 {
    reason as u8
}

fn reason_from_byte(byte: u8) -> Option<Reason> {
    REASONS.get(usize::from(byte)).copied()
}

/// Small numbers for the usual layers.
fn layer_to_number(layer: LayerId) -> u64 {
    let LayerId { encoding, spatial, temporal } = layer;
    let low = u64::from(encoding & 3) | u64::from(spatial & 3) << 2 | u64::from(temporal & 3) << 4;
    let high =
        u64::from(encoding >> 2) | u64::from(spatial >> 2) << 6 | u64::from(temporal >> 2) << 12;
    low | high << 6
}

fn layer_from_number(number: u64) -> LayerId {
    let part = |low: u32, high: u32| (number >> low & 3 | (number >> high & 0x3f) << 2) as u8;
    LayerId { encoding: part(0, 6), spatial: part(2, 12), temporal: part(4, 18) }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enums_are_read_as_they_were_written() {
        for (at, quality) in QUALITIES.into_iter().enumerate() {
            assert_eq!(quality as usize, at);
        }
        for (at, state) in STATES.into_iter().enumerate() {
            assert_eq!(state as usize, at);
        }
        for (at, reason) in REASONS.into_iter().enumerate() {
            assert_eq!(usize::from(reason_to_byte(reason)), at);
        }
    }

    #[test]
    fn numbers_and_layers_are_read_as_they_were_written() {
        for number in [0, 1, 0x7f, 0x80, u64::MAX - 2, u64::MAX - 1, u64::MAX] {
            let mut writer = Writer::default();
            writer.number(number);
            writer.optional(Some(number));
            writer.optional(None);
            let mut reader = Reader { bytes: &writer.bytes };
            assert_eq!(reader.number(), Some(number));
            assert_eq!(reader.optional(), Some(Some(number)));
            assert_eq!(reader.optional(), Some(None));
            assert_eq!(reader.byte(), None);
        }
        for parts in [(0, 0, 0), (3, 2, 3), (255, 254, 253), (4, 0, 0), (0, 7, 0), (0, 0, 7)] {
            let (encoding, spatial, temporal) = parts;
            let layer = LayerId { encoding, spatial, temporal };
            assert_eq!(layer_from_number(layer_to_number(layer)), layer);
        }
    }
}
