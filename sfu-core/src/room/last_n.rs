//! Who is forwarded in a room that forwards only the loudest microphones and the cameras of its last
//! speakers ([`RoomPolicy`]). The choice is the same for everybody in the room; screens, and tracks
//! that a subscriber has pinned, come on top of it ([`LastN::forwards`]).
//!
//! Both lists are *seats*. Who has one keeps it until somebody has a better claim, so that two
//! people who are equally loud do not push each other out in turn. A free seat goes to whoever
//! speaks first, and until anybody has spoken, to whoever came first.
//!
//! In a room that spans several engines one of them hands out the seats, and the others follow it.
//! Until it has said something, and once it is gone, each does as well as it can.

use std::time::{Duration, Instant};

use crate::command::Source;
use crate::id::ParticipantId;
use crate::preference::RoomPolicy;

/// How much louder than the quietest with a seat somebody must be to take it, in dB: more than the
/// difference between two syllables, less than between speech and a cough.
const LOUDER_DB: i16 = 6;
/// Level from which on somebody may claim a camera seat: speech, as in [`super::Speakers`].
const SPEAKING_DBOV: i8 = -45;
/// Level below which a seat may be claimed by anybody who is above it: nothing to be heard.
const SILENT_DBOV: i8 = -60;
/// How long somebody must have spoken to claim a camera seat: a cough is shorter.
const CLAIM_AFTER: Duration = Duration::from_millis(400);
/// How long somebody with a camera seat must have been silent to lose it to one who speaks. While
/// all speak, nobody loses it.
const LOSE_AFTER: Duration = Duration::from_secs(2);

/// The seats of one room.
#[derive(Debug, Default)]
pub struct LastN {
    policy: RoomPolicy,
    /// In order of arrival.
    people: Vec<Person>,
    /// Who has a seat, where another engine says so.
    told: Option<Seats>,
}

/// Who has a seat; `None` is everybody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seats {
    /// For microphones.
    pub audio: Option<Vec<ParticipantId>>,
    /// For cameras.
    pub video: Option<Vec<ParticipantId>>,
}

#[derive(Debug)]
struct Person {
    participant: ParticipantId,
    /// When it came, by [`super::Room::stamp`].
    came: u64,
    level: i8,
    /// Speaks without a longer pause since then.
    since: Option<Instant>,
    /// Last heard to speak.
    spoke: Option<Instant>,
    audio: bool,
    video: bool,
}

impl LastN {
    /// Sets how many seats there are, and whether they count. Returns whether anybody gained or lost
    /// one.
    pub fn set_policy(&mut self, now: Instant, policy: RoomPolicy) -> bool {
        let before = std::mem::replace(&mut self.policy, policy);
        self.seat(now) | (before.direct != policy.direct)
    }

    /// Whether nothing is forwarded, because participants exchange media among themselves.
    #[must_use]
    pub const fn is_direct(&self) -> bool {
        self.policy.direct
    }

    /// Whether another engine hands out the seats, and who has them. Returns whether anybody gained
    /// or lost one.
    pub fn follow(&mut self, now: Instant, told: Option<Seats>) -> bool {
        self.told = told;
        self.seat(now)
    }

    /// Who has a seat.
    #[must_use]
    pub fn seats(&self) -> Seats {
        let who = |limit: Option<u16>, seated: fn(&Person) -> bool| {
            limit.map(|_| self.people.iter().filter(|p| seated(p)).map(|p| p.participant).collect())
        };
        Seats {
            audio: who(self.policy.audio_last_n, |person| person.audio),
            video: who(self.policy.video_last_n, |person| person.video),
        }
    }

    /// When a participant came.
    #[must_use]
    pub fn came(&self, participant: ParticipantId) -> Option<u64> {
        self.person(participant).map(|person| person.came)
    }

    /// A participant comes, or came then ([`super::Room::stamp`]).
    pub fn add(&mut self, now: Instant, participant: ParticipantId, came: u64) -> bool {
        if self.person(participant).is_none() {
            let place = (came, participant);
            let at = self.people.partition_point(|p| (p.came, p.participant) < place);
            self.people.insert(
                at,
                Person {
                    participant,
                    came,
                    level: i8::MIN,
                    since: None,
                    spoke: None,
                    audio: false,
                    video: false,
                },
            );
        }
        self.seat(now)
    }

    /// A participant goes. Returns whether somebody gained a seat by it.
    pub fn remove(&mut self, now: Instant, participant: ParticipantId) -> bool {
        self.people.retain(|person| person.participant != participant);
        self.seat(now)
    }

    /// Takes in the smoothed levels (dBov) of those who are heard at all
    /// ([`super::Speakers::levels`]), every [`crate::limits::SPEAKERS_INTERVAL`]. Returns whether
    /// anybody gained or lost a seat.
    pub fn tick(
        &mut self,
        now: Instant,
        levels: impl IntoIterator<Item = (ParticipantId, i8)>,
    ) -> bool {
        for person in &mut self.people {
            person.level = i8::MIN;
        }
        for (participant, level) in levels {
            let person = self.people.iter_mut().find(|p| p.participant == participant);
            // Somebody who has left between the tick and the levels.
            let Some(person) = person else { continue };
            person.level = level;
            if level >= SPEAKING_DBOV {
                person.since.get_or_insert(now);
                person.spoke = Some(now);
            }
        }
        for person in &mut self.people {
            if person.level < SILENT_DBOV {
                person.since = None;
            }
        }
        self.seat(now)
    }

    /// Whether a track of this participant is forwarded to a subscriber that has not pinned it.
    /// Somebody the room does not know is not held back.
    #[must_use]
    pub fn forwards(&self, participant: ParticipantId, source: Source) -> bool {
        let person = self.person(participant);
        match source {
            Source::Microphone => person.is_none_or(|person| person.audio),
            Source::Camera => person.is_none_or(|person| person.video),
            Source::Screen | Source::ScreenAudio | Source::Other => true,
        }
    }

    fn person(&self, participant: ParticipantId) -> Option<&Person> {
        self.people.iter().find(|person| person.participant == participant)
    }

    /// Hands out the seats. Returns whether anything changed.
    fn seat(&mut self, now: Instant) -> bool {
        if let Some(told) = &self.told {
            let mut changed = false;
            for person in &mut self.people {
                let has = |seats: &Option<Vec<ParticipantId>>| {
                    seats.as_ref().is_none_or(|seats| seats.contains(&person.participant))
                };
                let now = (has(&told.audio), has(&told.video));
                changed |= now != (person.audio, person.video);
                (person.audio, person.video) = now;
            }
            return changed;
        }
        let audio = seats(self.policy.audio_last_n);
        let video = seats(self.policy.video_last_n);
        let mut changed = self.fill(audio, |p| &mut p.audio, audible);
        changed |= self.fill(video, |p| &mut p.video, |p| p.spoke);
        changed |= self.challenge_audio();
        changed | self.challenge_video(now)
    }

    /// Frees seats that are too many, and gives away those that are free: the best of `merit`, and
    /// among equals the first to come, has one.
    fn fill<M: Ord>(
        &mut self,
        seats: usize,
        seat: impl Fn(&mut Person) -> &mut bool,
        merit: impl Fn(&Person) -> M,
    ) -> bool {
        let mut taken = self.people.iter_mut().filter_map(|p| seat(p).then_some(())).count();
        let changed = taken != seats.min(self.people.len());
        while taken > seats {
            let holders = self.people.iter_mut().rev().filter_map(|p| seat(p).then_some(p));
            let Some(worst) = holders.min_by_key(|p| merit(p)) else { break };
            *seat(worst) = false;
            taken -= 1;
        }
        while taken < seats {
            // `max_by_key` gives the last of equals: the first to come, from behind.
            let others = self.people.iter_mut().rev().filter_map(|p| (!*seat(p)).then_some(p));
            let Some(best) = others.max_by_key(|p| merit(p)) else { break };
            *seat(best) = true;
            taken += 1;
        }
        changed
    }

    /// Whoever is clearly louder than the quietest with an audio seat takes it.
    fn challenge_audio(&mut self) -> bool {
        let mut changed = false;
        // Each round seats somebody louder than all who are still without a seat.
        loop {
            let people = self.people.iter().enumerate();
            let challenger =
                people.clone().rev().filter(|(_, p)| !p.audio).max_by_key(|(_, p)| p.level);
            let holder = people.rev().filter(|(_, p)| p.audio).min_by_key(|(_, p)| audible(p));
            let (Some((up, challenger)), Some((down, holder))) = (challenger, holder) else {
                return changed;
            };
            let louder = i16::from(challenger.level) - i16::from(holder.level.max(SILENT_DBOV));
            let (heard, unheard) = (challenger.level > SILENT_DBOV, holder.level < SILENT_DBOV);
            if !(heard && unheard) && louder < LOUDER_DB {
                return changed;
            }
            self.people[up].audio = true;
            self.people[down].audio = false;
            changed = true;
        }
    }

    /// Whoever has spoken for a moment takes the camera seat of whoever has been silent longest.
    fn challenge_video(&mut self, now: Instant) -> bool {
        let mut changed = false;
        loop {
            let people = self.people.iter().enumerate();
            let claims = |person: &Person| {
                person.level >= SPEAKING_DBOV
                    && person.since.is_some_and(|since| elapsed(now, since) >= CLAIM_AFTER)
            };
            let challenger =
                people.clone().filter(|(_, p)| !p.video && claims(p)).min_by_key(|(_, p)| p.since);
            let yields = |person: &Person| {
                person.spoke.is_none_or(|spoke| elapsed(now, spoke) >= LOSE_AFTER)
            };
            let holder =
                people.rev().filter(|(_, p)| p.video && yields(p)).min_by_key(|(_, p)| p.spoke);
            let (Some((up, _)), Some((down, _))) = (challenger, holder) else { return changed };
            self.people[up].video = true;
            self.people[down].video = false;
            changed = true;
        }
    }
}

/// How loud somebody is; of those who are not to be heard, who spoke last.
fn audible(person: &Person) -> (i8, Option<Instant>) {
    (person.level.max(SILENT_DBOV), person.spoke)
}

/// `None` is a seat for everybody.
fn seats(last_n: Option<u16>) -> usize {
    last_n.map_or(usize::MAX, usize::from)
}

fn elapsed(now: Instant, since: Instant) -> Duration {
    now.saturating_duration_since(since)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::test_clock::{ms, origin};
    use proptest::prelude::*;

    fn person(n: usize) -> ParticipantId {
        ParticipantId(n as u64)
    }

    struct Room {
        last_n: LastN,
        now: Instant,
        people: usize,
    }

    impl Room {
        fn new(people: usize, audio: Option<u16>, video: Option<u16>) -> Self {
            let now = origin();
            let mut last_n = LastN::default();
            last_n.set_policy(
                now,
                RoomPolicy { audio_last_n: audio, video_last_n: video, direct: false },
            );
            for n in 0..people {
                last_n.add(now, person(n), n as u64);
            }
            Self { last_n, now, people }
        }

        /// Ticks for so long with these levels. Returns how often seats changed.
        fn run(&mut self, millis: u64, levels: &[(usize, i8)]) -> usize {
            let ticks = (0..millis / 200).filter(|_| {
                self.now += ms(200);
                self.last_n.tick(self.now, levels.iter().map(|&(n, level)| (person(n), level)))
            });
            ticks.count()
        }

        fn who(&self, source: Source) -> Vec<usize> {
            (0..self.people).filter(|&n| self.last_n.forwards(person(n), source)).collect()
        }

        fn heard(&self) -> Vec<usize> {
            self.who(Source::Microphone)
        }

        fn seen(&self) -> Vec<usize> {
            self.who(Source::Camera)
        }
    }

    #[test]
    fn without_a_policy_all_are_forwarded() {
        let room = Room::new(4, None, None);
        assert_eq!(room.heard(), [0, 1, 2, 3]);
        assert_eq!(room.seen(), [0, 1, 2, 3]);
        let room = Room::new(4, Some(0), Some(0));
        assert!(room.heard().is_empty() && room.seen().is_empty());
        assert_eq!(room.who(Source::Screen), [0, 1, 2, 3]);
        assert_eq!(room.who(Source::ScreenAudio), [0, 1, 2, 3]);
        assert!(room.last_n.forwards(person(99), Source::Camera), "not of this room");
    }

    #[test]
    fn first_come_first_seated_until_somebody_speaks() {
        let mut room = Room::new(5, Some(2), Some(2));
        assert_eq!((room.heard(), room.seen()), (vec![0, 1], vec![0, 1]));
        assert_eq!(room.run(200, &[(4, -30)]), 1);
        assert_eq!((room.heard(), room.seen()), (vec![0, 4], vec![0, 1]), "heard at once");
        room.run(400, &[(4, -30)]);
        assert_eq!(room.seen(), [0, 4], "seen a moment later");
        room.run(1_000, &[(2, -30)]);
        assert_eq!((room.heard(), room.seen()), (vec![2, 4], vec![2, 4]));
        room.run(60_000, &[]);
        assert_eq!(
            (room.heard(), room.seen()),
            (vec![2, 4], vec![2, 4]),
            "silence changes nothing"
        );
    }

    #[test]
    fn a_seat_that_falls_free_goes_to_the_last_speaker() {
        let mut room = Room::new(4, Some(1), Some(1));
        room.run(2_000, &[(2, -30)]);
        room.run(4_000, &[(3, -30)]);
        assert_eq!((room.heard(), room.seen()), (vec![3], vec![3]));
        assert!(room.last_n.remove(room.now, person(3)));
        room.people = 3;
        assert_eq!((room.heard(), room.seen()), (vec![2], vec![2]));
    }

    #[test]
    fn the_camera_goes_to_who_speaks_once_another_has_stopped() {
        let mut room = Room::new(3, None, Some(1));
        room.run(2_000, &[(0, -30)]);
        assert_eq!(room.run(10_000, &[(0, -30), (1, -20)]), 0, "while both speak, it stays");
        room.run(1_800, &[(1, -20)]);
        assert_eq!(room.seen(), [0]);
        room.run(200, &[(1, -20)]);
        assert_eq!(room.seen(), [1]);
        room.run(10_000, &[]);
        assert_eq!(room.run(200, &[(2, -10)]), 0, "a cough");
        assert_eq!(room.run(2_000, &[]), 0);
    }

    #[test]
    fn only_the_clearly_louder_takes_an_audio_seat() {
        let mut room = Room::new(3, Some(1), None);
        room.run(1_000, &[(0, -30)]);
        assert_eq!(room.run(10_000, &[(0, -30), (1, -25)]), 0);
        assert_eq!(room.run(200, &[(0, -30), (1, -24)]), 1);
        assert_eq!(room.heard(), [1]);
        assert_eq!(room.run(200, &[(0, -30), (1, -90), (2, -50)]), 1);
        assert_eq!(room.heard(), [0], "the loudest, not the first that is louder");
    }

    #[test]
    fn another_policy_takes_effect_at_once() {
        let mut room = Room::new(4, None, None);
        room.run(1_000, &[(2, -30)]);
        let policy = RoomPolicy { audio_last_n: Some(1), video_last_n: Some(2), direct: false };
        assert!(room.last_n.set_policy(room.now, policy));
        assert_eq!((room.heard(), room.seen()), (vec![2], vec![0, 2]));
        assert!(!room.last_n.set_policy(room.now, policy));
        assert!(room.last_n.set_policy(room.now, RoomPolicy::default()));
        assert_eq!((room.heard().len(), room.seen().len()), (4, 4));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

        #[test]
        fn all_seats_are_taken_and_none_too_many(
            people in 0..12usize,
            audio in 0..6u16,
            video in 0..6u16,
            levels in proptest::collection::vec(proptest::collection::vec(-127..=0i8, 12), 0..60),
        ) {
            let mut room = Room::new(people, Some(audio), Some(video));
            for levels in levels {
                let before = (room.heard(), room.seen());
                let levels: Vec<_> = levels.into_iter().enumerate().collect();
                let changes = room.run(200, &levels);
                let after = (room.heard(), room.seen());
                prop_assert_eq!(after.0.len(), people.min(usize::from(audio)));
                prop_assert_eq!(after.1.len(), people.min(usize::from(video)));
                prop_assert_eq!(changes > 0, before != after);
            }
        }

        #[test]
        fn two_equally_loud_do_not_push_each_other_out(
            noise in proptest::collection::vec((-2..=2i8, -2..=2i8), 300),
        ) {
            let mut room = Room::new(2, Some(1), Some(1));
            room.run(2_000, &[(1, -30)]);
            let changes: usize = noise
                .into_iter()
                .map(|(a, b)| room.run(200, &[(0, -30 + a), (1, -30 + b)]))
                .sum();
            prop_assert_eq!(changes, 0);
        }
    }
}
