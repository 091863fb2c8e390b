use super::*;

const BYTES: usize = 1200;
const CALM: Surroundings = Surroundings {
    queue: Duration::ZERO,
    acked_bps: None,
    delay_bps: 2_000_000,
    is_application_limited: false,
};

/// Sends at a rate for some seconds over a path that loses `random` of it, and all beyond `limit`;
/// the rate keeps below what the model allows. Losses are spread evenly, so that nothing is left to
/// chance.
struct Path {
    model: LossModel,
    now: Duration,
    random: f64,
    limit: f64,
    owed: f64,
}

impl Path {
    fn new(random: f64, limit: f64) -> Self {
        Self { model: LossModel::default(), now: Duration::ZERO, random, limit, owed: 0.0 }
    }

    /// Gives the mean rate.
    fn send(&mut self, bps: f64, seconds: f64, around: &Surroundings) -> f64 {
        let end = self.now + Duration::from_secs_f64(seconds);
        let (start, mut packets) = (self.now, 0u32);
        while self.now < end {
            let allowed = self.model.limit_bps().map_or(bps, |limit| bps.min(limit as f64));
            self.now += Duration::from_secs_f64(BYTES as f64 * 8.0 / allowed);
            let beyond = (1.0 - self.limit / allowed).max(0.0);
            self.owed += self.random + (1.0 - self.random) * beyond;
            let lost = self.owed >= 1.0;
            self.owed -= f64::from(u8::from(lost));
            self.model.on_packet(self.now, BYTES, !lost);
            self.model.update(around);
            packets += 1;
        }
        f64::from(packets) * BYTES as f64 * 8.0 / (self.now - start).as_secs_f64()
    }
}

#[test]
fn random_loss_is_looked_into_once_and_then_borne() {
    for random in [0.05, 0.1, 0.2, 0.3] {
        let mut path = Path::new(random, f64::INFINITY);
        path.send(2e6, 5.0, &CALM);
        let inherent = path.model.inherent();
        assert!((inherent - random).abs() < 0.25 * random, "{inherent} for {random}");
        let rate = path.send(2e6, 30.0, &CALM);
        assert!(rate > 1.98e6, "{rate} with {random}");
        assert_eq!(path.model.limit_bps(), None);
    }
}

#[test]
fn a_limit_is_found_and_kept_below() {
    for limit in [0.5e6, 1.0e6, 1.5e6, 1.8e6] {
        let mut path = Path::new(0.0, limit);
        path.send(2e6, 5.0, &CALM);
        let rate = path.send(2e6, 30.0, &CALM);
        assert!((0.85 * limit..=1.06 * limit).contains(&rate), "{rate} for {limit}");
        assert!(path.model.inherent() < 0.03, "{}", path.model.inherent());
    }
}

#[test]
fn a_limit_is_found_behind_random_loss() {
    let mut path = Path::new(0.1, f64::INFINITY);
    path.send(2e6, 10.0, &CALM);
    path.limit = 1.2e6;
    path.send(2e6, 5.0, &CALM);
    let rate = path.send(2e6, 20.0, &CALM);
    assert!((1.0e6..=1.3e6).contains(&rate), "{rate}");
}

#[test]
fn a_limit_that_is_gone_is_soon_forgotten() {
    let mut path = Path::new(0.0, 1e6);
    path.send(2e6, 10.0, &CALM);
    path.limit = f64::INFINITY;
    path.send(2e6, 15.0, &CALM);
    assert_eq!(path.model.limit_bps(), None);
}

#[test]
fn no_experiment_while_little_is_sent() {
    let mut path = Path::new(0.1, f64::INFINITY);
    let limited = Surroundings { is_application_limited: true, ..CALM };
    assert!(path.send(2e5, 20.0, &limited) > 1.99e5);
    assert!((path.model.inherent() - 0.1).abs() < 0.03, "{}", path.model.inherent());
}

#[test]
fn little_loss_is_no_reason() {
    let mut path = Path::new(0.02, f64::INFINITY);
    assert!(path.send(2e6, 30.0, &CALM) > 1.99e6);
}

#[test]
fn loss_behind_a_full_queue_is_congestion_without_an_experiment() {
    let mut path = Path::new(0.1, f64::INFINITY);
    let full =
        Surroundings { queue: Duration::from_millis(300), acked_bps: Some(1_800_000), ..CALM };
    path.send(2e6, 1.0, &full);
    assert!(path.model.is_decreasing());
    assert!(path.model.limit_bps() <= Some(1_710_000));
    assert!(path.model.inherent() < 0.01);
}

#[test]
fn inherent_loss_is_unlearnt_when_it_ends() {
    let mut path = Path::new(0.2, f64::INFINITY);
    path.send(2e6, 10.0, &CALM);
    path.random = 0.0;
    path.send(2e6, 15.0, &CALM);
    assert!(path.model.inherent() < 0.02, "{}", path.model.inherent());
}

#[test]
fn what_arrives_late_was_not_lost() {
    let mut model = LossModel::default();
    for n in 0..100u64 {
        let at = Duration::from_millis(10 * n);
        model.on_packet(at, BYTES, n % 5 != 0);
        if n % 5 == 0 {
            model.take_back(BYTES);
            model.on_packet(at, BYTES, true);
        }
        model.update(&CALM);
    }
    assert!(model.recent() < 0.01, "{}", model.recent());
    assert_eq!(model.limit_bps(), None);
}

#[test]
fn a_probe_lifts_a_limit() {
    let mut path = Path::new(0.0, 1e6);
    path.send(2e6, 5.0, &CALM);
    assert!(path.model.limit_bps().unwrap() < 1_100_000);
    path.model.on_probe(1_500_000);
    assert!(path.model.limit_bps().is_none_or(|limit| limit >= 1_500_000));
}

#[test]
fn absurd_packets_give_no_absurd_limits() {
    let mut model = LossModel::default();
    for n in 0..10_000u64 {
        let at = Duration::from_millis((n * 7919) % 5000);
        model.on_packet(at, if n % 3 == 0 { 0 } else { 65_535 }, n % 2 == 0);
        model.take_back(65_535);
        model.on_packet(at, 65_535, n % 7 == 0);
        model.update(&Surroundings { acked_bps: Some(u64::MAX), delay_bps: u64::MAX, ..CALM });
        assert!(model.inherent().is_finite() && (0.0..=INHERENT_MAX).contains(&model.inherent()));
        assert!((0.0..=1.0).contains(&model.recent()), "{}", model.recent());
    }
    assert!(model.bins.len() <= BINS);
}

#[test]
fn a_probe_beyond_the_limit_ends_the_verdict() {
    let mut path = Path::new(0.0, 1e6);
    while !matches!(path.model.state, State::Limited { grows: false, .. }) {
        path.send(2e6, 0.25, &CALM);
    }
    let limit = path.model.limit_bps().unwrap();
    path.model.on_probe(limit / 2);
    assert!(path.model.is_decreasing(), "less than the limit says nothing of it");
    path.model.on_probe(2 * limit);
    assert!(!path.model.is_decreasing());
    assert_eq!(path.model.limit_bps(), Some(2 * limit));
}
