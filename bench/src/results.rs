//! What a command found, for people (Markdown, SVG) and for programs (JSON), with everything that
//! it takes to judge it: machine, load, versions, command.

mod findings;
mod machine;
mod plot;
mod spread;
mod summary;

pub use findings::{Check, Findings, Table};
pub use machine::Machine;
pub use plot::{Line, Plot};
pub use spread::Spread;
pub(crate) use summary::refresh_summaries;
