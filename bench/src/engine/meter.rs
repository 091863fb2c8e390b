//! [`Meter`]: what the engine takes, with the clients around it left out.

use std::time::{Duration, Instant};

use sfu_core::transport::Path;
use sfu_core::{Egress, Engine};

use crate::alloc::Allocated;
use crate::sys::thread_cpu;

/// A datagram for the engine, and the path it comes by.
pub(super) type Input = (Path, Vec<u8>);

/// CPU time and allocations of everything measured since the last reset.
#[derive(Debug, Default)]
pub(super) struct Meter {
    pub(super) cpu: Duration,
    pub(super) allocated: Allocated,
}

impl Meter {
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }

    pub(super) fn measure<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let (cpu, allocated) = (thread_cpu(), Allocated::by_this_thread());
        let result = work();
        let grown = Allocated::by_this_thread().since(allocated);
        self.cpu += thread_cpu() - cpu;
        self.allocated.blocks += grown.blocks;
        self.allocated.live_bytes += grown.live_bytes;
        result
    }
}

/// One turn as a worker does it; true if everything that was to be sent has been built.
#[inline(always)]
fn turn(engine: &mut Engine, now: Instant, inputs: &mut [Input], egress: &mut Egress) -> bool {
    for (path, datagram) in inputs {
        engine.handle_datagram(now, *path, datagram);
    }
    engine.handle_timeout(now);
    let drained = engine.drain(now, egress);
    while engine.poll_event().is_some() {}
    drained
}

/// A turn whose instructions are not counted.
#[inline(never)]
pub(super) fn plain_turn(
    engine: &mut Engine,
    now: Instant,
    inputs: &mut [Input],
    egress: &mut Egress,
) -> bool {
    turn(engine, now, inputs, egress)
}

/// A turn whose instructions are: callgrind is told this function's name, so it must keep it, and
/// must not be merged with the one above.
#[inline(never)]
pub(super) fn counted_turn(
    engine: &mut Engine,
    now: Instant,
    inputs: &mut [Input],
    egress: &mut Egress,
) -> bool {
    std::hint::black_box("counted");
    turn(engine, now, inputs, egress)
}
