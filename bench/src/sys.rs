//! What the measurements need of the kernel and no crate offers without a cost of its own: datagrams
//! in batches, with segmentation and time stamps, and the CPU clocks of threads and processes.
//! All of this program's unsafe code but the allocator's is here.

mod clock;
mod receive;
mod send;

pub(crate) use clock::{cores, pin_to, process_cpu, realtime_ns, thread_cpu};
pub(crate) use receive::{Datagrams, ReceiveBatch, offer_stamps_and_gro};
pub(crate) use send::SendBatch;
