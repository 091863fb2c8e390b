//! How the engine behaves in a world of clients and faulty links: one behaviour per file.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod common;
mod determinism;
mod room_of_ten;
mod ten_percent_loss;
