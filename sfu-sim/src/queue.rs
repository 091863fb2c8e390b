//! [`Queue`]: what will happen, by time, then in order of making. A calendar of short buckets, for
//! most of what happens lies a link's delay ahead; a heap holds what is further away.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::time::Duration;

/// A bucket holds 2^19 ns: about half a millisecond.
const BUCKET_SHIFT: u32 = 19;
/// The calendar reaches about 0.5 s ahead.
const BUCKETS: usize = 1024;
const WORDS: usize = BUCKETS / 64;

/// One thing and its place in time.
#[derive(Clone, Copy, Debug)]
struct Entry<T> {
    at: u64,
    order: u64,
    what: T,
}

impl<T> Entry<T> {
    fn key(&self) -> (u64, u64) {
        (self.at, self.order)
    }
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}
impl<T> Eq for Entry<T> {}
impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

/// Things to come.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    /// By bucket number modulo their count, unsorted.
    buckets: Vec<Vec<Entry<T>>>,
    /// Which of them hold something.
    occupied: [u64; WORDS],
    /// Number of the bucket that `current` was.
    at: u64,
    /// What is in that bucket or before it, latest first.
    current: Vec<Entry<T>>,
    /// Memory of buckets that are empty: few are full at a time, and those stay in the cache.
    spare: Vec<Vec<Entry<T>>>,
    far: BinaryHeap<Reverse<Entry<T>>>,
    made: u64,
}

impl<T: Copy> Default for Queue<T> {
    fn default() -> Self {
        Self {
            buckets: (0..BUCKETS).map(|_| Vec::new()).collect(),
            occupied: [0; WORDS],
            at: 0,
            current: Vec::new(),
            spare: Vec::new(),
            far: BinaryHeap::new(),
            made: 0,
        }
    }
}

impl<T: Copy> Queue<T> {
    /// Adds something; of equal times the one added first comes first.
    pub(crate) fn push(&mut self, at: Duration, what: T) {
        let at = nanos(at);
        let order = self.made;
        self.made += 1;
        let entry = Entry { at, order, what };
        let bucket = at >> BUCKET_SHIFT;
        if bucket <= self.at {
            let place = self.current.partition_point(|other| other.key() > entry.key());
            self.current.insert(place, entry);
        } else if bucket - self.at < BUCKETS as u64 {
            let index = bucket as usize % BUCKETS;
            let (word, bit) = (index / 64, 1 << (index % 64));
            if self.occupied[word] & bit == 0 {
                self.occupied[word] |= bit;
                self.buckets[index] = self.spare.pop().unwrap_or_default();
            }
            self.buckets[index].push(entry);
        } else {
            self.far.push(Reverse(entry));
        }
    }

    /// When the next thing happens.
    pub(crate) fn next(&mut self) -> Option<Duration> {
        if self.current.is_empty() {
            self.turn();
        }
        self.current.last().map(|entry| Duration::from_nanos(entry.at))
    }

    /// Takes the next thing if it happens by `now`.
    pub(crate) fn pop(&mut self, now: Duration) -> Option<T> {
        if self.current.is_empty() {
            self.turn();
        }
        let entry = self.current.last().filter(|entry| entry.at <= nanos(now))?;
        let what = entry.what;
        self.current.pop();
        Some(what)
    }

    /// Makes the next bucket that holds something the current one.
    fn turn(&mut self) {
        let near = self.next_occupied();
        let far = self.far.peek().map(|Reverse(entry)| entry.at >> BUCKET_SHIFT);
        let Some(next) = near.into_iter().chain(far).min() else { return };
        self.at = next;
        if near == Some(next) {
            let index = next as usize % BUCKETS;
            let full = std::mem::take(&mut self.buckets[index]);
            self.spare.push(std::mem::replace(&mut self.current, full));
            self.occupied[index / 64] &= !(1 << (index % 64));
        }
        while let Some(Reverse(entry)) = self.far.peek()
            && entry.at >> BUCKET_SHIFT == next
        {
            self.current.extend(self.far.pop().map(|Reverse(entry)| entry));
        }
        // Most of it was added in order of time.
        self.current.reverse();
        self.current.sort_by(|a, b| b.cmp(a));
    }

    /// Number of the first bucket after the current one that holds something.
    fn next_occupied(&self) -> Option<u64> {
        let start = (self.at + 1) as usize % BUCKETS;
        let first = self.occupied[start / 64] >> (start % 64);
        if first != 0 {
            return Some(self.at + 1 + u64::from(first.trailing_zeros()));
        }
        // The word in which it began comes again at the end: its low bits are the last ones.
        (1..=WORDS).find_map(|ahead| {
            let word = self.occupied[(start / 64 + ahead) % WORDS];
            let distance = ahead * 64 - start % 64 + word.trailing_zeros() as usize;
            (word != 0).then_some(self.at + 1 + distance as u64)
        })
    }
}

fn nanos(time: Duration) -> u64 {
    time.as_secs() * 1_000_000_000 + u64::from(time.subsec_nanos())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{generator, word};

    #[test]
    fn everything_comes_in_order_of_time_and_then_of_making() {
        let mut rng = generator(1, 1);
        let mut queue = Queue::default();
        let mut expected = Vec::new();
        let mut now = Duration::ZERO;
        for i in 0..20_000u32 {
            let scale = [1, 1_000, 100_000, 10_000_000][word(&mut rng) as usize % 4];
            let at = now + Duration::from_nanos(u64::from(word(&mut rng) % 1000) * scale);
            queue.push(at, i);
            expected.push((at, i));
            if i % 3 == 0 {
                expected.sort();
                let next = queue.next().unwrap();
                now = next;
                assert_eq!(queue.pop(now), Some(expected[0].1), "{i}");
                assert_eq!(next, expected.remove(0).0);
            }
        }
        expected.sort();
        for (at, i) in expected {
            assert_eq!((queue.next(), queue.pop(at)), (Some(at), Some(i)));
        }
        assert_eq!(queue.next(), None);
    }

    #[test]
    fn nothing_comes_before_its_time() {
        let mut queue = Queue::default();
        queue.push(Duration::from_millis(5), ());
        assert_eq!(queue.pop(Duration::from_micros(4_999)), None);
        assert_eq!(queue.pop(Duration::from_millis(5)), Some(()));
    }
}
