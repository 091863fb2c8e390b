//! Active speakers from the audio levels that clients put into RTP (RFC 6464).

use crate::event::Speaker;
use crate::id::ParticipantId;
use crate::limits::SPEAKERS_MAX;

/// Level at which somebody begins to count as speaking, in dBov. Speech is at -20 to -40, a
/// quiet room with noise suppression below -70.
const SPEAKING_DBOV: f32 = -45.0;
/// Level below which somebody stops; the gap keeps pauses between words from flickering.
const SILENT_DBOV: f32 = -60.0;
/// Weight of the newest interval: a rise shows at once, a fall over about a second.
const ATTACK: f32 = 0.6;
const RELEASE: f32 = 0.2;
/// Digital silence.
const FLOOR_DBOV: i8 = -127;

/// The levels of one room's participants.
#[derive(Debug, Default)]
pub struct Speakers {
    voices: Vec<Voice>,
    announced: Vec<ParticipantId>,
}

#[derive(Debug)]
struct Voice {
    participant: ParticipantId,
    /// Loudest packet of the present interval.
    peak: i8,
    smoothed: f32,
    speaking: bool,
}

impl Speakers {
    /// Notes the level of one audio packet. Returns true if the levels were all quiet before, so
    /// that the caller starts its timer.
    pub fn note(&mut self, participant: ParticipantId, level_dbov: i8) -> bool {
        let idle = self.voices.is_empty();
        match self.voices.iter_mut().find(|voice| voice.participant == participant) {
            Some(voice) => voice.peak = voice.peak.max(level_dbov),
            None => self.voices.push(Voice {
                participant,
                peak: level_dbov,
                smoothed: f32::from(FLOOR_DBOV),
                speaking: false,
            }),
        }
        idle
    }

    /// Forgets a participant who left or muted.
    pub fn remove(&mut self, participant: ParticipantId) {
        self.voices.retain(|voice| voice.participant != participant);
    }

    /// Ends an interval. Gives the list if those on it, or the loudest of them, changed.
    pub fn tick(&mut self) -> Option<Vec<Speaker>> {
        for voice in &mut self.voices {
            let peak = f32::from(voice.peak);
            let weight = if peak > voice.smoothed { ATTACK } else { RELEASE };
            voice.smoothed += weight * (peak - voice.smoothed);
            voice.speaking =
                voice.smoothed > if voice.speaking { SILENT_DBOV } else { SPEAKING_DBOV };
            voice.peak = FLOOR_DBOV;
        }
        // Those from whom nothing comes any more are forgotten once they have faded out.
        self.voices.retain(|voice| voice.smoothed > f32::from(FLOOR_DBOV) + 1.0);
        let mut speakers: Vec<_> = self.voices.iter().filter(|voice| voice.speaking).collect();
        speakers.sort_by(|a, b| b.smoothed.total_cmp(&a.smoothed));
        speakers.truncate(SPEAKERS_MAX);
        let names: Vec<_> = speakers.iter().map(|voice| voice.participant).collect();
        if self.same_as_announced(&names) {
            return None;
        }
        #[allow(clippy::cast_possible_truncation, reason = "between -127 and 0 by construction")]
        let list = speakers
            .iter()
            .map(|v| Speaker { participant: v.participant, level_dbov: v.smoothed as i8 })
            .collect();
        self.announced = names;
        Some(list)
    }

    /// The smoothed levels of all who are heard, in dBov.
    pub fn levels(&self) -> impl Iterator<Item = (ParticipantId, i8)> + '_ {
        #[allow(clippy::cast_possible_truncation, reason = "between -127 and 0 by construction")]
        self.voices.iter().map(|voice| (voice.participant, voice.smoothed as i8))
    }

    /// Whether nobody is worth a timer any more.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.voices.is_empty() && self.announced.is_empty()
    }

    /// Same people and same loudest one; the order of the others may differ.
    fn same_as_announced(&self, names: &[ParticipantId]) -> bool {
        names.len() == self.announced.len()
            && names.first() == self.announced.first()
            && names.iter().all(|name| self.announced.contains(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: ParticipantId = ParticipantId(1);
    const BOB: ParticipantId = ParticipantId(2);

    fn names(list: Option<Vec<Speaker>>) -> Option<Vec<ParticipantId>> {
        list.map(|speakers| speakers.iter().map(|s| s.participant).collect())
    }

    /// Runs intervals with these levels until something changes.
    fn run(speakers: &mut Speakers, levels: &[(ParticipantId, i8)], ticks: usize) -> Option<usize> {
        (0..ticks).find(|_| {
            for &(participant, level) in levels {
                speakers.note(participant, level);
            }
            speakers.tick().is_some()
        })
    }

    #[test]
    fn speech_is_announced_at_once_and_silence_after_about_a_second() {
        let mut speakers = Speakers::default();
        let start = run(&mut speakers, &[(ANN, -25), (BOB, -90)], 10);
        assert!(start.is_some_and(|ticks| ticks <= 2), "{start:?}");
        assert_eq!(speakers.announced, [ANN]);
        let stop = run(&mut speakers, &[(ANN, -90), (BOB, -90)], 20);
        assert!(stop.is_some_and(|ticks| (2..8).contains(&ticks)), "{stop:?}");
        assert!(speakers.announced.is_empty());
    }

    #[test]
    fn the_loudest_comes_first_and_an_unchanged_list_is_not_repeated() {
        let mut speakers = Speakers::default();
        let mut last = None;
        for _ in 0..10 {
            speakers.note(ANN, -40);
            speakers.note(BOB, -20);
            last = names(speakers.tick()).or(last);
        }
        assert_eq!(last, Some(vec![BOB, ANN]));
        speakers.note(ANN, -40);
        speakers.note(BOB, -20);
        assert_eq!(speakers.tick(), None);
    }

    #[test]
    fn those_who_leave_or_fall_silent_are_forgotten() {
        let mut speakers = Speakers::default();
        assert!(speakers.note(ANN, -20), "the first level starts the timer");
        assert!(!speakers.note(BOB, -20));
        speakers.tick();
        speakers.tick();
        speakers.remove(BOB);
        for _ in 0..60 {
            speakers.tick();
        }
        assert!(speakers.is_idle());
    }
}
