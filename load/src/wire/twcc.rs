//! [`TwccWriter`]: transport-wide feedback of a receiver
//! (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1), written from what arrived since the
//! last one.

/// Longest message, so that with SRTCP and IP it stays under the smallest MTU in use.
const MESSAGE_BYTES_MAX: usize = 1100;
/// Everything before the packet chunks.
const FIXED_BYTES: usize = 20;
/// Arrivals kept for one feedback; more come only if nobody asks for it. 10 s at 800 packets a
/// second.
const ARRIVALS_MAX: usize = 8192;
/// Statuses one message may skip: a run of losses longer than this starts a message of its own.
const SKIP_MAX: u64 = 2000;
/// Statuses of a two-bit vector chunk (§3.1.4).
const VECTOR_STATUSES: usize = 7;

/// See the module.
#[derive(Debug, Default)]
pub struct TwccWriter {
    highest: Option<u64>,
    /// Where the next feedback begins: behind the last one reported.
    next: u64,
    /// Index and arrival in units of 250 µs since the Unix epoch.
    arrivals: Vec<(u64, u64)>,
    feedback_count: u8,
    symbols: Vec<u8>,
    deltas: Vec<u8>,
}

impl TwccWriter {
    /// Notes an arrival, in nanoseconds since the Unix epoch.
    pub fn on_packet(&mut self, sequence: u16, arrival_ns: u64) {
        let index = match self.highest {
            None => {
                // Room below, for what comes out of order at the start.
                self.next = 0x1_0000 + u64::from(sequence);
                self.next
            }
            Some(highest) => {
                let distance = sequence.wrapping_sub(highest as u16).cast_signed();
                highest.saturating_add_signed(i64::from(distance))
            }
        };
        self.highest = self.highest.max(Some(index));
        if self.arrivals.len() < ARRIVALS_MAX {
            self.arrivals.push((index, arrival_ns / 250_000));
        }
    }

    /// Whether there is anything to report.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.arrivals.is_empty()
    }

    /// Appends one feedback message; false, and nothing appended, when all has been told. To be
    /// called until then, with a datagram for each.
    pub fn build(&mut self, sender_ssrc: u32, media_ssrc: u32, out: &mut Vec<u8>) -> bool {
        if self.arrivals.is_empty() {
            return false;
        }
        // Nearly sorted, so this costs little.
        self.arrivals.sort_unstable();
        self.arrivals.dedup_by_key(|(index, _)| *index);
        let (first, arrival) = self.arrivals[0];
        // Told again if it was reported lost.
        let base =
            if first < self.next || first - self.next > SKIP_MAX { first } else { self.next };
        let reference = arrival / 256;
        let used = self.collect(base, reference);

        let start = out.len();
        out.extend_from_slice(&[0x8f, 205, 0, 0]);
        out.extend_from_slice(&sender_ssrc.to_be_bytes());
        out.extend_from_slice(&media_ssrc.to_be_bytes());
        out.extend_from_slice(&(base as u16).to_be_bytes());
        out.extend_from_slice(&(self.symbols.len() as u16).to_be_bytes());
        let time = (reference as u32) << 8 | u32::from(self.feedback_count);
        out.extend_from_slice(&time.to_be_bytes());
        write_chunks(out, &self.symbols);
        out.extend_from_slice(&self.deltas);
        finish(out, start);

        self.feedback_count = self.feedback_count.wrapping_add(1);
        self.next = self.next.max(base + self.symbols.len() as u64);
        self.arrivals.drain(..used);
        true
    }

    /// Fills the scratch with statuses from `base` on and their deltas; how many arrivals it took.
    fn collect(&mut self, base: u64, reference: u64) -> usize {
        self.symbols.clear();
        self.deltas.clear();
        let mut last = reference * 256;
        for (used, &(index, arrival)) in self.arrivals.iter().enumerate() {
            let symbols = (index - base) as usize + 1;
            let chunks = 2 * symbols.div_ceil(VECTOR_STATUSES);
            if FIXED_BYTES + chunks + self.deltas.len() + 2 + 3 > MESSAGE_BYTES_MAX && used > 0 {
                return used;
            }
            let delta = arrival.cast_signed() - last.cast_signed();
            let Ok(delta) = i16::try_from(delta) else { return used.max(1) };
            self.symbols.resize(symbols - 1, 0);
            if let Ok(small) = u8::try_from(delta) {
                self.symbols.push(1);
                self.deltas.push(small);
            } else {
                self.symbols.push(2);
                self.deltas.extend_from_slice(&delta.to_be_bytes());
            }
            last = arrival;
        }
        self.arrivals.len()
    }
}

/// Run lengths where they are as short as vectors, two-bit vectors elsewhere (§3.1.3, §3.1.4).
fn write_chunks(out: &mut Vec<u8>, mut rest: &[u8]) {
    while let Some(&first) = rest.first() {
        let run = rest.iter().take(0x1fff).take_while(|&&symbol| symbol == first).count();
        let (chunk, said) = if run >= VECTOR_STATUSES || run == rest.len() {
            (u16::from(first) << 13 | run as u16, run)
        } else {
            let padded = rest.iter().copied().chain(std::iter::repeat(0)).take(VECTOR_STATUSES);
            let packed = padded.fold(0, |packed, symbol| packed << 2 | u16::from(symbol));
            (0xc000 | packed, VECTOR_STATUSES.min(rest.len()))
        };
        out.extend_from_slice(&chunk.to_be_bytes());
        rest = &rest[said..];
    }
}

/// Pads the message that begins at `start` to 32 bits and writes its length (RFC 3550 §6.4.1).
fn finish(out: &mut Vec<u8>, start: usize) {
    let bytes = out.len() - start;
    let padding = bytes.next_multiple_of(4) - bytes;
    if padding > 0 {
        out[start] |= 0x20;
        out.resize(out.len() + padding - 1, 0);
        out.push(padding as u8);
    }
    let words = ((out.len() - start) / 4 - 1) as u16;
    out[start + 2..start + 4].copy_from_slice(&words.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use sfu_core::bandwidth::feedback::{TwccReader, TwccStatus};

    const START_NS: u64 = 1_800_000_000_000_000_000;

    /// What the engine reads of all feedback there is: numbers and arrivals, `None` for lost.
    fn read(writer: &mut TwccWriter, reader: &mut TwccReader) -> Vec<(u16, Option<Duration>)> {
        let mut told = Vec::new();
        let mut out = Vec::new();
        while writer.build(1, 2, &mut out) {
            assert!(out.len() <= MESSAGE_BYTES_MAX && out.len() % 4 == 0);
            let report = reader.read(&out).unwrap();
            report.statuses(|offset, status| {
                let at = report.base.wrapping_add(offset);
                match status {
                    TwccStatus::Arrived(time) => told.push((at, Some(time))),
                    TwccStatus::Lost(times) => {
                        told.extend((0..times).map(|n| (at.wrapping_add(n), None)));
                    }
                }
            });
            out.clear();
        }
        told
    }

    #[test]
    fn the_engine_reads_what_is_written() {
        let (mut writer, mut reader) = (TwccWriter::default(), TwccReader::default());
        let mut expected = Vec::new();
        // Over the wrap, with every fifth lost, in steps of 1 ms; one long pause.
        for n in 0..3000u64 {
            let sequence = 65_000u16.wrapping_add(n as u16);
            let ns = START_NS + n * 1_000_000 + if n > 1500 { 900_000_000 } else { 0 };
            if n % 5 == 4 {
                expected.push((sequence, None));
            } else {
                writer.on_packet(sequence, ns);
                expected.push((sequence, Some(ns)));
            }
        }
        expected.pop();
        let told = read(&mut writer, &mut reader);
        assert_eq!(told.len(), expected.len());
        let origin = told[0].1.unwrap();
        for ((sequence, time), (expected_sequence, ns)) in told.into_iter().zip(expected) {
            assert_eq!(sequence, expected_sequence);
            let expected = ns.map(|ns| Duration::from_nanos(ns - START_NS));
            let off = time.map(|time| (time - origin).abs_diff(expected.unwrap()));
            assert_eq!(time.is_some(), expected.is_some());
            assert!(off.is_none_or(|off| off <= Duration::from_micros(500)), "{off:?}");
        }
        assert!(writer.is_empty());
    }

    #[test]
    fn what_comes_late_is_told_again_and_nothing_is_told_twice() {
        let (mut writer, mut reader) = (TwccWriter::default(), TwccReader::default());
        for sequence in [10, 11, 13] {
            writer.on_packet(sequence, START_NS);
        }
        let told = read(&mut writer, &mut reader);
        let arrived = |told: &[(u16, Option<Duration>)]| -> Vec<u16> {
            told.iter().filter(|(_, time)| time.is_some()).map(|(at, _)| *at).collect()
        };
        assert_eq!((arrived(&told), told[2]), (vec![10, 11, 13], (12, None)));
        writer.on_packet(12, START_NS + 5_000_000);
        writer.on_packet(14, START_NS + 6_000_000);
        assert_eq!(arrived(&read(&mut writer, &mut reader)), [12, 14]);
        // A jump is no reason to report thousands of losses.
        writer.on_packet(14 + 20_000, START_NS + 7_000_000);
        assert_eq!(read(&mut writer, &mut reader).len(), 1);
    }
}
