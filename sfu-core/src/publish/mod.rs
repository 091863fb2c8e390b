//! A published track: what is received of it, asked for again, kept and reported.

mod carried;
pub mod demand;
pub mod history;
pub mod keyframe;
pub mod meter;
pub mod nack;
pub mod pages;
pub mod receive;
pub mod track;
pub mod twcc;

#[cfg(test)]
pub(crate) mod test_clock;
