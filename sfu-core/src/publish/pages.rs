//! Where payloads are kept: pages of one size, of which the engine has one bounded pool.
//!
//! An encoding takes a page when it needs one more and hands it back when what is in it has become
//! old, or the track ends. So what it holds follows its bitrate. One large block for each encoding
//! would be simpler, but allocators keep the peak of those: blocks of tracks that came and went
//! together were seen to leave 10 MiB behind for good.

use std::collections::VecDeque;
use std::time::Instant;

use crate::drops::DropReason;
use crate::limits;

/// The pages of one engine.
///
/// What is handed back waits here to be taken again, so that a steady flow of packets allocates
/// nothing; but no more than is in use and a few, so that a peak does not stay for ever.
#[derive(Debug)]
pub struct PagePool {
    free: Vec<Box<[u8]>>,
    in_use: usize,
    /// Pages in use at most.
    most: usize,
    /// Of these, pages that only encodings with few pages may take.
    reserved: usize,
    refused: u64,
}

impl Default for PagePool {
    fn default() -> Self {
        Self::bounded(limits::HISTORY_PAGES_MAX, limits::HISTORY_PAGES_RESERVED)
    }
}

impl PagePool {
    pub(super) fn bounded(most: usize, reserved: usize) -> Self {
        Self { free: Vec::new(), in_use: 0, most, reserved, refused: 0 }
    }

    /// Pages that encodings hold now.
    #[must_use]
    pub fn in_use(&self) -> usize {
        self.in_use
    }

    /// How often an encoding was refused a page.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// A page for an encoding that has `held` of them.
    fn take(&mut self, held: usize) -> Option<Box<[u8]>> {
        let few = held < limits::HISTORY_PAGES_FEW;
        let bound = if few { self.most } else { self.most - self.reserved };
        if self.in_use >= bound {
            self.refused += 1;
            return None;
        }
        self.in_use += 1;
        let new = || vec![0; limits::HISTORY_PAGE_BYTES].into_boxed_slice();
        Some(self.free.pop().unwrap_or_else(new))
    }

    fn hand_back(&mut self, page: Box<[u8]>) {
        self.in_use -= 1;
        self.free.push(page);
        self.free.truncate(self.in_use.max(limits::HISTORY_PAGES_SPARE));
    }
}

/// The payloads of one encoding, in the order in which they came.
///
/// Not to be dropped before [`Pages::clear`], or the pool counts its pages for ever.
#[derive(Debug)]
pub(super) struct Pages {
    /// Oldest first; only the last is written to.
    pages: VecDeque<Page>,
    /// The number of the first; numbers wrap.
    first: u32,
    /// Pages at most.
    most: usize,
}

#[derive(Debug)]
struct Page {
    bytes: Box<[u8]>,
    used: usize,
    /// When the last payload came into it.
    newest: Instant,
}

/// Where a payload is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// The number of its page.
    page: u32,
    start: u16,
    length: u16,
}

const _: () = {
    assert!(limits::HISTORY_PAGE_BYTES >= limits::DATAGRAM_BYTES_MAX);
    assert!(limits::HISTORY_PAGE_BYTES <= u16::MAX as usize);
    assert!(limits::HISTORY_PAGES_RESERVED < limits::HISTORY_PAGES_MAX);
};

impl Pages {
    /// No pages yet, and never more than `most`.
    pub(super) fn new(most: usize) -> Self {
        Self { pages: VecDeque::new(), first: 0, most }
    }

    /// Copies a payload of at most a page's length in, in one piece.
    ///
    /// # Errors
    /// [`DropReason::HistoryFull`] if there is no page and the pool has none.
    pub(super) fn append(
        &mut self,
        pool: &mut PagePool,
        now: Instant,
        payload: &[u8],
    ) -> Result<Place, DropReason> {
        let room = self.pages.back().map(|page| page.bytes.len() - page.used);
        if room.is_none_or(|room| room < payload.len()) {
            self.turn(pool, now)?;
        }
        let number = self.first.wrapping_add(small(self.pages.len()) - 1);
        let page = self.pages.back_mut().ok_or(DropReason::HistoryFull)?;
        let start = page.used;
        page.used += payload.len();
        page.newest = now;
        page.bytes[start..page.used].copy_from_slice(payload);
        Ok(Place { page: number, start: short(start), length: short(payload.len()) })
    }

    /// The payload at a place, if its page is still here.
    pub(super) fn get(&self, place: Place) -> Option<&[u8]> {
        let at = place.page.wrapping_sub(self.first) as usize;
        let start = usize::from(place.start);
        self.pages.get(at)?.bytes.get(start..start + usize::from(place.length))
    }

    /// Hands back what is too old to be asked for. The last page stays: when a source pauses, what
    /// it sent last is not missed before it goes on.
    pub(super) fn expire(&mut self, pool: &mut PagePool, now: Instant) {
        while self.pages.len() > 1
            && let Some(oldest) = self.pages.pop_front_if(|page| {
                now.saturating_duration_since(page.newest) >= limits::HISTORY_AGE
            })
        {
            self.first = self.first.wrapping_add(1);
            pool.hand_back(oldest.bytes);
        }
    }

    /// Hands back everything.
    pub(super) fn clear(&mut self, pool: &mut PagePool) {
        self.first = self.first.wrapping_add(small(self.pages.len()));
        self.pages.drain(..).for_each(|page| pool.hand_back(page.bytes));
    }

    /// Begins the next page: one from the pool, or else the oldest of its own.
    fn turn(&mut self, pool: &mut PagePool, now: Instant) -> Result<(), DropReason> {
        self.expire(pool, now);
        let may_grow = self.pages.len() < self.most;
        let bytes = match may_grow.then(|| pool.take(self.pages.len())).flatten() {
            Some(bytes) => bytes,
            None => {
                let oldest = self.pages.pop_front().ok_or(DropReason::HistoryFull)?;
                self.first = self.first.wrapping_add(1);
                oldest.bytes
            }
        };
        self.pages.push_back(Page { bytes, used: 0, newest: now });
        Ok(())
    }
}

fn small(pages: usize) -> u32 {
    u32::try_from(pages).expect("an encoding has at most a few hundred pages")
}

fn short(within_page: usize) -> u16 {
    u16::try_from(within_page).expect("pages are shorter than 64 KiB")
}

#[cfg(test)]
mod tests;
