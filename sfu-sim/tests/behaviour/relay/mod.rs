//! Rooms that span several engines: what their members see, and what crosses between engines.

mod blocked;
mod data;
mod demand;
mod determinism;
mod last_n;
mod links;
mod lip_sync;
mod media;
mod nonsense;
mod repair;
mod speakers;
mod tracks;
