//! What the path to a subscriber carries, and how that is shared out among what it wants.

pub mod allocate;
