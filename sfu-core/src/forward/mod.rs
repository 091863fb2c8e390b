//! Per subscription: which packets go on ([`selector`]), and as what ([`rewrite`]).

pub mod layer;
pub mod rewrite;
pub mod selector;
