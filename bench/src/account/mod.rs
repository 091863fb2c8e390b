//! The account of received packets: what arrived, in which order, what is missing, which frames a
//! decoder could show. No sockets and no clocks: the caller says when.

mod frames;
mod ledger;
mod numbers;

pub use frames::{FrameAccount, FramePacket};
pub use ledger::{Arrival, FirstPacket, Ledger, SourceAccount, StreamAccount, Via};
pub use numbers::{NumberSet, Unwrapper};
