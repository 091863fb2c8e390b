//! Forwarding does not allocate: with real keys, transport-wide feedback, reports, losses, the pacer
//! and checks of consent at work.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use bench::alloc::Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn forwarding_does_not_allocate() {
    let each = bench::engine::allocations(64, 900).unwrap();
    assert!(each <= 0.001, "{each} allocations for each forwarded packet");
}
