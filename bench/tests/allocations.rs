//! What a call costs in heap allocations, with real keys, feedback and pacing: an allocator that
//! counts while the engine works.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

use bench::engine::audience::{Audience, Watch};

struct Counting;

thread_local! {
    static ARMED: Cell<bool> = const { Cell::new(false) };
}
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call goes on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as the caller promised.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count() {
    if ARMED.get() {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
    }
}

const WATCH: Watch = Watch { enter: || ARMED.set(true), leave: || ARMED.set(false) };

#[test]
fn forwarding_does_not_allocate() {
    let mut audience = Audience::new(64, WATCH).unwrap();
    // Until estimates, queues and rings have the size that they keep: 30 s.
    for _ in 0..900 {
        audience.frame().unwrap();
    }
    let before = (ALLOCATIONS.load(Ordering::Relaxed), audience.received());
    for _ in 0..600 {
        audience.frame().unwrap();
    }
    let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before.0;
    let packets = audience.received() - before.1;
    let each = allocations as f64 / packets as f64;
    assert_eq!(packets, 600 * 4 * 64);
    assert!(each <= 0.001, "{allocations} allocations for {packets} packets");
}
