//! Per subscription: which packets go on ([`selector`]), and as what ([`rewrite`] for the header,
//! [`munge`] for what is inside).

pub mod align;
pub mod layer;
mod layers;
pub mod munge;
mod numbering;
mod numbers;
pub mod rewrite;
pub mod selector;

#[cfg(test)]
mod tests;
