//! Runs a scenario and judges it.

use std::time::Duration;

use sfu_core::command::{Command, Reply};
use sfu_core::decision::PeerDecisions;
use sfu_core::id::TrackId;
use sfu_core::negotiation::MediaKind;
use sfu_core::preference::{Preference, Quality};
use sfu_core::transport::Security;

use super::{Check, Deed, Manner, Of, Sample, Scenario, What};
use crate::client::rtcp;
use crate::random::{Pcg64Mcg, generator, word};
use crate::world::{ClientId, World};

/// Between samples.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(100);

/// How a scenario went with one seed.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The scenario.
    pub name: &'static str,
    /// Whether nobody expects it to hold yet.
    pub pending: bool,
    /// The seed.
    pub seed: u64,
    /// The course of events as one number.
    pub hash: u64,
    /// Datagrams delivered.
    pub datagrams: u64,
    /// One row for each check.
    pub rows: Vec<Row>,
    /// What happened to each participant over time, if that was sampled.
    pub samples: Vec<(String, Vec<Sample>)>,
    /// Why each participant receives what it receives in the end, if that was sampled.
    pub decisions: Vec<(String, PeerDecisions)>,
}

/// How one check went.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// What was checked.
    pub check: Check,
    /// The figure of the party.
    pub figure: f64,
}

impl Row {
    /// Whether the check holds.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.check.bound.holds(self.figure)
    }
}

impl Outcome {
    /// Whether every check holds.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.rows.iter().all(Row::holds)
    }
}

/// A participant at work.
#[derive(Debug)]
pub(super) struct Present {
    pub(super) party_name: &'static str,
    pub(super) number: usize,
    pub(super) id: ClientId,
    pub(super) came: Duration,
    leaves: Option<Duration>,
    pub(super) left: Option<Duration>,
    pub(super) samples: Vec<Sample>,
    bytes: u64,
}

/// What is to happen at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Moment {
    Leave,
    /// The `1`-th member of the `0`-th party.
    Come(usize, usize),
    Deed(usize),
    Sample,
    End,
}

/// Runs a scenario unencrypted with a seed.
#[must_use]
pub fn run(scenario: &Scenario, seed: u64) -> Outcome {
    run_in(scenario, Manner::plain(seed))
}

/// Runs a scenario once for each seed, on all processors; in order of seeds.
#[must_use]
pub fn run_all(scenario: &Scenario, manners: &[Manner]) -> Vec<Outcome> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let share = manners.len().div_ceil(processors).max(1);
    std::thread::scope(|scope| {
        let work = |manners: &'_ [Manner]| {
            manners.iter().map(|&manner| run_in(scenario, manner)).collect::<Vec<_>>()
        };
        let threads: Vec<_> =
            manners.chunks(share).map(|some| scope.spawn(move || work(some))).collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().expect("a scenario that panics is a bug"))
            .collect()
    })
}

fn run_in(scenario: &Scenario, manner: Manner) -> Outcome {
    let mut world = match manner.security {
        Security::Plain => World::new(manner.seed),
        Security::Full => World::encrypted(manner.seed),
    };
    for shared in &scenario.shared {
        let bottleneck = world.add_bottleneck(&shared.rates);
        for &(cross, from, until) in &shared.cross {
            world.add_cross(bottleneck, cross, from, until);
        }
    }
    let room = world.create_room();
    let mut rng = generator(manner.seed, 0x5ce_0000);
    let mut present: Vec<Present> = Vec::new();
    for (now, moment) in moments(scenario, manner.sampled) {
        world.run_for(now.saturating_sub(world.now()));
        match moment {
            Moment::Leave => {
                let due = |p: &&mut Present| p.left.is_none() && p.leaves == Some(now);
                for leaver in present.iter_mut().filter(due) {
                    world.leave(leaver.id);
                    leaver.left = Some(now);
                }
            }
            Moment::Come(party, number) => {
                let party = &scenario.parties[party];
                present.push(Present {
                    party_name: party.name,
                    number,
                    id: world.join(room, party.plan.clone()),
                    came: now,
                    leaves: party.leaves,
                    left: None,
                    samples: Vec::new(),
                    bytes: 0,
                });
            }
            Moment::Deed(deed) => do_deed(&mut world, &present, &scenario.deeds[deed], &mut rng),
            Moment::Sample => present.iter_mut().for_each(|who| who.sample(&mut world)),
            Moment::End => {}
        }
    }
    let rows = scenario.checks.iter().map(|check| {
        let party = present.iter().filter(|p| p.party_name == check.who);
        let mut figures: Vec<_> =
            party.map(|who| check.measure.take(&world, &present, who)).collect();
        check.bound.sort(&mut figures);
        let at = match check.of {
            Of::Worst => figures.len().checked_sub(1),
            Of::Percentile(per_cent) => {
                (figures.len() * usize::from(per_cent)).div_ceil(100).checked_sub(1)
            }
        };
        // Nobody there is no proof of anything.
        let figure = at.and_then(|at| figures.get(at).copied()).unwrap_or(f64::NAN);
        Row { check: *check, figure }
    });
    let rows = rows.collect();
    let decisions = present.iter().filter(|who| manner.sampled && who.left.is_none());
    let decisions = decisions.filter_map(|who| Some((who.name(), decisions_of(&mut world, who)?)));
    let decisions = decisions.collect();
    Outcome {
        name: scenario.name,
        pending: scenario.pending,
        seed: manner.seed,
        hash: world.hash(),
        datagrams: world.delivered,
        rows,
        decisions,
        samples: present
            .into_iter()
            .filter(|who| !who.samples.is_empty())
            .map(|who| (who.name(), who.samples))
            .collect(),
    }
}

/// Everything that happens by plan, in order.
fn moments(scenario: &Scenario, sampled: bool) -> Vec<(Duration, Moment)> {
    let mut moments = vec![(scenario.lasts, Moment::End)];
    for (at, party) in scenario.parties.iter().enumerate() {
        moments.extend(party.leaves.map(|leaves| (leaves, Moment::Leave)));
        let mut comes = party.comes;
        for number in 0..party.count {
            moments.push((comes, Moment::Come(at, number)));
            comes += party.apart;
        }
    }
    for (at, deed) in scenario.deeds.iter().enumerate() {
        let (again, distance) = deed.again.unwrap_or_default();
        moments.extend((0..=again).map(|n| (deed.from + distance * n, Moment::Deed(at))));
    }
    if sampled {
        let mut at = SAMPLE_INTERVAL;
        while at < scenario.lasts {
            moments.push((at, Moment::Sample));
            at += SAMPLE_INTERVAL;
        }
    }
    moments.retain(|(at, _)| *at <= scenario.lasts);
    moments.sort_unstable();
    moments
}

fn do_deed(world: &mut World, present: &[Present], deed: &Deed, rng: &mut Pcg64Mcg) {
    let doers = present.iter().filter(|p| p.party_name == deed.who && p.left.is_none());
    for doer in doers {
        match &deed.what {
            What::Prefer(party, preference) => {
                for track in videos(world, present, party) {
                    prefer(world, doer.id, track, *preference);
                }
            }
            What::Shuffle(party) => {
                for track in videos(world, present, party) {
                    let qualities = [Quality::Off, Quality::Low, Quality::Medium, Quality::High];
                    let quality = qualities[word(rng) as usize % qualities.len()];
                    prefer(world, doer.id, track, Preference { quality, ..Preference::default() });
                }
            }
            What::Keyframes => world.client_mut(doer.id).request_keyframes(),
            What::Nacks(count) => ask_again(world, doer.id, *count),
            What::Nonsense => talk_nonsense(world, doer.id, rng),
        }
    }
}

/// The videos that a party publishes.
fn videos(world: &World, present: &[Present], party: &str) -> Vec<TrackId> {
    let publishers = present.iter().filter(|p| p.party_name == party && p.left.is_none());
    publishers.filter_map(|p| world.client(p.id).track(MediaKind::Video)).collect()
}

fn prefer(world: &mut World, who: ClientId, track: TrackId, preference: Preference) {
    let peer = world.client(who).peer;
    let command = Command::Prefer { peer, track, preference };
    world.command(command).expect("peer and track are there");
}

/// NACKs the last `count` packets of every video.
fn ask_again(world: &mut World, who: ClientId, count: u16) {
    let receivers = world.client(who).receivers().filter(|r| r.kind() == MediaKind::Video);
    let lines: Vec<_> = receivers
        .filter_map(|r| {
            let newest = r.first_sequence()?.wrapping_add(r.quality().packets as u16);
            Some((r.ssrc(), newest))
        })
        .collect();
    for (ssrc, newest) in lines {
        let all: Vec<u16> = (1..=count).rev().map(|back| newest.wrapping_sub(back)).collect();
        world.client_mut(who).send(rtcp::nack(1, ssrc, &all));
    }
}

/// Feedback about packets that never were, at times that cannot be, and rates beyond all measure.
fn talk_nonsense(world: &mut World, who: ClientId, rng: &mut Pcg64Mcg) {
    let random = word(rng);
    let now = world.now();
    let arrivals: Vec<_> = (0..200u32)
        .map(|n| {
            let way = Duration::from_millis(u64::from(n * (random >> 20) % 100));
            (n % 3 != 0).then(|| now.saturating_sub(way))
        })
        .collect();
    let client = world.client_mut(who);
    client.send(rtcp::transport_wide(1, 2, random as u16, &arrivals, 3).0);
    let future: Vec<_> = arrivals.iter().map(|at| at.map(|at| at + now)).collect();
    client.send(rtcp::transport_wide(1, 2, (random >> 16) as u16, &future, 9).0);
    client.send(rtcp::rfc8888(1, now, &[(random, random as u16, arrivals)]));
    for rate in [0, 1, u64::from(random), u64::MAX >> 1] {
        client.send(rtcp::remb(1, rate, &[random]));
    }
    // Counts that run past the end, in each format.
    for (format, kind) in [(15, 205), (11, 205), (15, 206), (1, 205)] {
        let mut cut = vec![0x80 | format, kind, 0, 5];
        cut.extend((0..5).flat_map(|_| word(rng).to_be_bytes()));
        client.send(cut);
    }
}

/// Why a participant receives what it receives.
fn decisions_of(world: &mut World, who: &Present) -> Option<PeerDecisions> {
    let peer = world.client(who.id).peer;
    match world.command(Command::Decisions { peer }) {
        Ok(Reply::Decisions(decisions)) => Some(*decisions),
        _ => None,
    }
}

impl Present {
    fn name(&self) -> String {
        format!("{} {}", self.party_name, self.number)
    }

    #[allow(clippy::cast_precision_loss, reason = "rates far below 2^52")]
    fn sample(&mut self, world: &mut World) {
        if self.left.is_some() {
            return;
        }
        let Some(decisions) = decisions_of(world, self) else { return };
        let now = world.now();
        let client = world.client(self.id);
        let video = client.quality(now, MediaKind::Video);
        let receivers = client.receivers().flat_map(|receiver| receiver.seconds());
        let bytes = receivers.map(|second| u64::from(second.bytes)).sum();
        let received = bytes - self.bytes;
        self.bytes = bytes;
        let tiles = client.receivers().filter(|receiver| receiver.kind() == MediaKind::Video);
        self.samples.push(Sample {
            at: now,
            queue_ms: world.links(self.id).1.queued(now).as_secs_f64() * 1000.0,
            estimate_kbit: decisions.estimate.target_bps as f64 / 1000.0,
            allocated_kbit: decisions.allocated_bps as f64 / 1000.0,
            received_kbit: received as f64 * 8.0 / 1000.0 / SAMPLE_INTERVAL.as_secs_f64(),
            widths: tiles.map(|tile| tile.showing().map_or(0, |shown| shown.width)).collect(),
            frames: video.frames,
            freezes: video.freezes_200,
        });
    }
}
