//! Per subscription: which packets go on ([`selector`]), and as what ([`rewrite`]).

pub mod rewrite;
pub mod selector;
