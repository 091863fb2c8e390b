//! Per subscriber: the m-lines it receives on, what it was sent, and what it is owed.

pub mod copies;
pub mod pacer;
pub mod rtcp_queue;
pub mod sent;
pub mod slot;
