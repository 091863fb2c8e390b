use super::*;
use crate::bandwidth::tests::origin;

const TICK: Duration = Duration::from_millis(50);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A flow that is looked at every 50 ms.
struct Flow {
    rivals: Rivals,
    now: Instant,
    bps: f64,
    scene: Scene,
    odd: bool,
}

impl Flow {
    fn new() -> Self {
        let scene = Scene {
            queue: ms(200),
            jitter: Duration::ZERO,
            rtt: ms(300),
            acked: Some(1_000_000.0),
            has_lost: false,
            is_used: true,
        };
        Self { rivals: Rivals::default(), now: origin(), bps: 1_000_000.0, scene, odd: false }
    }

    /// So many times; the last answer.
    fn see(&mut self, times: u32) -> Option<f64> {
        let mut said = None;
        for _ in 0..times {
            self.now += TICK;
            self.odd = !self.odd;
            // A queue that others have a hand in never stays the same.
            let queue = self.scene.queue + if self.odd { ms(10) } else { Duration::ZERO };
            let scene = Scene { queue, ..self.scene };
            said = self.rivals.update(self.now, 0.05, self.bps, &scene);
            self.bps = said.unwrap_or(self.bps);
        }
        said
    }

    fn lose(&mut self) {
        self.scene.has_lost = true;
        self.see(1);
        self.scene.has_lost = false;
    }

    /// Lowers the rate, of which so much then arrives as `follows` says, and waits for the answer.
    fn lower(&mut self, follows: f64) {
        let (before, to) = (self.bps, self.bps * 0.85);
        self.rivals.on_decrease(self.now, before, to, before);
        self.bps = to;
        self.scene.acked = Some(before - follows * (before - to));
        self.see(20);
    }

    fn at_a_contest() -> Self {
        let mut flow = Self::new();
        flow.lose();
        flow.lower(1.0);
        flow.lower(1.0);
        flow.see(21);
        assert!(flow.rivals.is_contested(), "{:?}", flow.rivals);
        flow
    }
}

#[test]
fn who_always_gets_less_for_less_behind_a_full_queue_competes() {
    let mut flow = Flow::new();
    flow.lose();
    flow.lower(1.0);
    assert!(!flow.rivals.is_busy(), "once is chance");
    flow.lower(1.0);
    assert!(flow.rivals.is_busy() && !flow.rivals.is_contested(), "it is tried first");
    let held = flow.bps;
    assert_eq!(flow.see(5), Some(held), "at the same rate");
    flow.see(16);
    assert!(flow.rivals.is_contested());
    // What it had was 1 Mbit/s, and by now 0.72: more than 0.6 of that.
    assert_eq!(flow.bps, held);
}

#[test]
fn what_was_lost_to_others_long_before_is_taken_up_again_in_part() {
    let mut flow = Flow::new();
    flow.lose();
    for _ in 0..2 {
        flow.lower(0.0);
    }
    flow.bps = 300_000.0;
    flow.lower(1.0);
    flow.lower(1.0);
    flow.see(21);
    assert!(flow.rivals.is_contested());
    assert_eq!(flow.bps, 600_000.0);
}

#[test]
fn a_queue_of_our_own_is_no_contest() {
    let mut flow = Flow::new();
    flow.lose();
    for _ in 0..6 {
        // What arrives is what the path carries, whatever is sent.
        flow.lower(0.0);
        assert!(!flow.rivals.is_busy());
    }
}

#[test]
fn nothing_is_suspected_where_no_queue_has_been_full() {
    let mut flow = Flow::new();
    for _ in 0..6 {
        flow.lower(1.0);
        assert!(!flow.rivals.is_busy());
    }
    // Nor if that was long ago.
    let mut flow = Flow::new();
    flow.lose();
    flow.see(60 * 20);
    for _ in 0..6 {
        flow.lower(1.0);
        assert!(!flow.rivals.is_busy());
    }
}

#[test]
fn who_yields_during_the_trial_is_one_of_ours() {
    let mut flow = Flow::new();
    flow.lose();
    flow.lower(1.0);
    flow.lower(1.0);
    assert!(flow.rivals.is_busy());
    flow.scene.queue = ms(150);
    assert_eq!(flow.see(1), None);
    assert!(!flow.rivals.is_busy());
    flow.see(40);
    assert!(!flow.rivals.is_busy(), "and it takes as many signs again");
}

#[test]
fn a_queue_that_drains_takes_everything_back() {
    let mut flow = Flow::new();
    flow.lose();
    flow.lower(1.0);
    flow.scene.queue = ms(10);
    flow.see(1);
    flow.scene.queue = ms(200);
    flow.lower(1.0);
    assert!(!flow.rivals.is_busy());
}

#[test]
fn a_contest_yields_to_loss_once_an_event_and_grows_by_a_packet_a_round_trip() {
    let mut flow = Flow::at_a_contest();
    let before = flow.bps;
    flow.see(20);
    assert_eq!(flow.bps, before, "it settles first");
    flow.see(21);
    let grown = flow.bps;
    // 9600 bit / 0.3 s, 3.3 times a second, for little more than a tick.
    assert!(grown > before && grown < before + 20_000.0, "{before} {grown}");
    flow.lose();
    assert_eq!(flow.bps, 0.7 * grown);
    flow.lose();
    assert_eq!(flow.bps, 0.7 * grown, "the same event");
    flow.see(10);
    flow.lose();
    assert!((flow.bps - 0.49 * grown).abs() < 1.0, "another one: {}", flow.bps / grown);
}

#[test]
fn a_contest_does_not_grow_beyond_what_is_used() {
    let mut flow = Flow::at_a_contest();
    flow.scene.is_used = false;
    let before = flow.bps;
    flow.see(100);
    assert_eq!(flow.bps, before);
}

#[test]
fn a_contest_ends_where_nobody_fills_the_queue() {
    let mut flow = Flow::at_a_contest();
    flow.see(41);
    flow.scene.queue = ms(4);
    let before = flow.bps;
    for _ in 0..31 {
        flow.now += TICK;
        let said = flow.rivals.update(flow.now, 0.05, flow.bps, &flow.scene);
        assert_eq!(said, Some(before), "it does not fill it itself");
    }
    flow.now += TICK;
    assert_eq!(flow.rivals.update(flow.now, 0.05, flow.bps, &flow.scene), None);
    assert!(!flow.rivals.is_busy());
}

#[test]
fn a_contest_goes_on_when_the_queue_fills_again() {
    let mut flow = Flow::at_a_contest();
    for _ in 0..5 {
        flow.scene.queue = ms(4);
        for _ in 0..20 {
            flow.now += TICK;
            flow.rivals.update(flow.now, 0.05, flow.bps, &flow.scene);
        }
        flow.scene.queue = ms(200);
        flow.see(20);
    }
    assert!(flow.rivals.is_contested());
}

#[test]
fn a_queue_that_never_moves_is_the_path() {
    let mut flow = Flow::at_a_contest();
    let mut ticks = 0;
    while flow.rivals.is_contested() {
        ticks += 1;
        flow.now += TICK;
        flow.rivals.update(flow.now, 0.05, flow.bps, &flow.scene);
        assert!(ticks < 200, "{:?}", flow.rivals);
    }
    assert!((80..90).contains(&ticks), "after {ticks} ticks");
}

#[test]
fn who_was_there_is_found_again_at_once() {
    let mut flow = Flow::at_a_contest();
    flow.scene.queue = ms(4);
    for _ in 0..40 {
        flow.now += TICK;
        flow.rivals.update(flow.now, 0.05, flow.bps, &flow.scene);
    }
    assert!(!flow.rivals.is_busy());
    flow.scene.queue = ms(200);
    flow.lower(1.0);
    assert!(flow.rivals.is_busy());
    // Not on another path.
    flow.rivals.forget();
    flow.lose();
    flow.lower(1.0);
    assert!(!flow.rivals.is_busy());
}
