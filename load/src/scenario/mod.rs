//! Load as people ask for it: flags and presets ([`LoadArgs`]), the run, and what came of it.

mod args;
mod crowd;
mod outcome;
mod plan;
mod preset;
mod progress;
mod run;
mod usage;

pub use args::{LoadArgs, Target};
pub use outcome::Outcome;
pub use plan::{Plan, Via};
pub use preset::Preset;
pub use run::{run, run_and_tell};
