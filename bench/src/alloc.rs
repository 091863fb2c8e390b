//! [`Counting`]: the server's allocator, with counts for each thread.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;

use mimalloc::MiMalloc;
use serde::Serialize;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    static LIVE_BYTES: Cell<i64> = const { Cell::new(0) };
}

/// To be installed as the global allocator of a program that wants the counts.
pub struct Counting;

/// What the calling thread has allocated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Allocated {
    /// Blocks asked for, grown ones included.
    pub blocks: u64,
    /// Bytes asked for less bytes given back: negative where others' blocks were freed.
    pub live_bytes: i64,
}

impl Allocated {
    /// So far.
    #[must_use]
    pub fn by_this_thread() -> Self {
        Self { blocks: ALLOCATIONS.get(), live_bytes: LIVE_BYTES.get() }
    }

    /// Since an earlier reading.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            blocks: self.blocks - earlier.blocks,
            live_bytes: self.live_bytes - earlier.live_bytes,
        }
    }

    /// Whether the program counts at all.
    #[must_use]
    pub fn is_counting() -> bool {
        let before = Self::by_this_thread();
        drop(std::hint::black_box(Box::new(0_u8)));
        Self::by_this_thread() != before
    }
}

fn note(blocks: u64, bytes: i64) {
    ALLOCATIONS.set(ALLOCATIONS.get() + blocks);
    LIVE_BYTES.set(LIVE_BYTES.get() + bytes);
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).expect("no block is larger than half the address space")
}

// SAFETY: every call is passed on unchanged; the counters are plain cells of the thread, need no
// allocation and no destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(1, signed(layout.size()));
        // SAFETY: the caller's promises are the allocator's.
        unsafe { MiMalloc.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(1, signed(layout.size()));
        // SAFETY: as above.
        unsafe { MiMalloc.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        note(0, -signed(layout.size()));
        // SAFETY: as above.
        unsafe { MiMalloc.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        note(1, signed(bytes) - signed(layout.size()));
        // SAFETY: as above.
        unsafe { MiMalloc.realloc(block, layout, bytes) }
    }
}
