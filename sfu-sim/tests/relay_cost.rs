//! What it costs that packets cross to another engine: no allocation.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use sfu_core::Egress;
use sfu_sim::fixture::{across, fan_out};

/// Counts the allocations of each thread.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    ALLOCATIONS.with(|count| count.set(count.get() + 1));
}

// SAFETY: all is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        count();
        unsafe { System.realloc(memory, layout, bytes) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Packets until histories hold all they may and buffers have their size.
const WARM_UP: usize = 8_000;
const MEASURED: usize = 8_000;

/// Allocations and datagrams of the packets after the warm-up.
fn steady(mut forward: impl FnMut(usize) -> usize) -> (u64, usize) {
    (0..WARM_UP).for_each(|at| {
        forward(at);
    });
    let before = ALLOCATIONS.with(Cell::get);
    let datagrams = (WARM_UP..WARM_UP + MEASURED).map(forward).sum();
    (ALLOCATIONS.with(Cell::get) - before, datagrams)
}

#[test]
fn crossing_allocates_nothing_in_the_steady_state() {
    let mut egress = Egress::default();
    let (mut here, mut there) = (fan_out(1, WARM_UP + MEASURED), across(1, WARM_UP + MEASURED));
    let here = steady(|at| here.forward(at, &mut egress));
    let there = steady(|at| there.forward(at, &mut egress));
    println!("allocations and datagrams of {MEASURED} packets: here {here:?}, there {there:?}");
    assert!(there.1 >= MEASURED);
    assert!((there.0 - here.0) * 1_000 <= MEASURED as u64, "here {here:?}, there {there:?}");
}
