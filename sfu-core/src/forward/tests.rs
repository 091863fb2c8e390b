//! Whole streams through selector, line and edits: whatever is aimed at, and whatever the way from
//! the publisher does to the packets, all that is forwarded can be decoded.

mod receiver;
mod stream;
mod switching;
