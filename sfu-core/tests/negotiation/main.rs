//! Offer → answer, from text to text: offers as browsers and encoders write them, the rules of
//! what is agreed, and hostile text.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod agreement;
mod answers;
mod fixtures;
mod offers;
mod one_way;
mod properties;
