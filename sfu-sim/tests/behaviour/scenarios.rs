//! Every scenario of the catalogue holds with its committed seed, and the table says so.

use sfu_sim::scenario::{Measure, at_least, catalogue, run, table};

#[test]
fn every_scenario_holds() {
    let passed = catalogue().into_iter().filter(|scenario| !scenario.pending);
    let outcomes: Vec<_> = passed.map(|scenario| run(&scenario, 1)).collect();
    let table = table(&outcomes);
    println!("{table}");
    assert!(outcomes.iter().all(|outcome| outcome.holds()), "{table}");
}

#[test]
fn a_check_that_fails_is_shown_with_its_seed() {
    let mut scenario = catalogue().into_iter().find(|s| s.name == "loss-10").unwrap();
    scenario.lasts = std::time::Duration::from_secs(3);
    scenario.checks = vec![at_least("lossy", Measure::FramesComplete, 100.1)];
    let outcomes = [run(&scenario, 5)];
    assert!(!outcomes[0].holds());
    assert!(table(&outcomes).contains("**no**, seed 5"), "{}", table(&outcomes));
}
