//! The estimator in a closed loop: a source that takes all it is given, a pacer, one bottleneck,
//! feedback. Virtual time, one seed.

mod world;

mod closed_loop;
