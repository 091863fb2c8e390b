//! Active speakers from the audio levels that clients put into RTP (RFC 6464).

use crate::event::Speaker;
use crate::id::ParticipantId;
use crate::limits::SPEAKERS_MAX;
use crate::relay::Level;

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
    /// Voices that other engines were told of, and are no more.
    gone: Vec<ParticipantId>,
}

#[derive(Debug)]
struct Voice {
    participant: ParticipantId,
    /// What it is heard as in every engine of the room, in whole dBov, so that all rank alike.
    level: i8,
    speaking: bool,
    source: Source,
}

/// Where a voice is measured.
#[derive(Clone, Copy, Debug)]
enum Source {
    Here {
        /// Loudest packet of the present interval.
        peak: i8,
        smoothed: f32,
        /// What other engines were last told.
        told: Option<(i8, bool)>,
    },
    Elsewhere,
}

impl Speakers {
    /// Notes the level of one audio packet. Returns true if the levels were all quiet before, so
    /// that the caller starts its timer.
    pub fn note(&mut self, participant: ParticipantId, level_dbov: i8) -> bool {
        let idle = self.voices.is_empty();
        let voice = self.voices.iter_mut().find(|voice| voice.participant == participant);
        match voice.map(|voice| &mut voice.source) {
            Some(Source::Here { peak, .. }) => *peak = (*peak).max(level_dbov),
            // It is measured where it comes in.
            Some(Source::Elsewhere) => {}
            None => self.voices.push(Voice {
                participant,
                level: FLOOR_DBOV,
                speaking: false,
                source: Source::Here {
                    peak: level_dbov,
                    smoothed: f32::from(FLOOR_DBOV),
                    told: None,
                },
            }),
        }
        idle
    }

    /// Notes how loud a participant of another engine is. Returns as [`Speakers::note`].
    pub fn note_elsewhere(&mut self, level: Level) -> bool {
        let Level { participant, heard } = level;
        let idle = self.voices.is_empty();
        let Some((level, speaking)) = heard else {
            self.voices.retain(|voice| voice.participant != participant);
            return false;
        };
        match self.voices.iter_mut().find(|voice| voice.participant == participant) {
            Some(voice) => (voice.level, voice.speaking) = (level, speaking),
            None => {
                self.voices.push(Voice { participant, level, speaking, source: Source::Elsewhere });
            }
        }
        idle
    }

    /// Forgets a participant who left or muted.
    pub fn remove(&mut self, participant: ParticipantId) {
        let gone = &mut self.gone;
        self.voices.retain(|voice| {
            let stays = voice.participant != participant;
            if !stays {
                gone.extend(voice.was_told().then_some(participant));
            }
            stays
        });
    }

    /// Ends an interval. Gives the list if those on it, or the loudest of them, changed.
    pub fn tick(&mut self) -> Option<Vec<Speaker>> {
        for voice in &mut self.voices {
            voice.end_interval();
        }
        // Those from whom nothing comes any more are forgotten once they have faded out.
        let gone = &mut self.gone;
        self.voices.retain(|voice| {
            let faded = voice.has_faded();
            if faded {
                gone.extend(voice.was_told().then_some(voice.participant));
            }
            !faded
        });
        self.changed()
    }

    /// The list, if those on it, or the loudest of them, changed since it was last given.
    pub fn changed(&mut self) -> Option<Vec<Speaker>> {
        let mut speakers: Vec<_> = self.voices.iter().filter(|voice| voice.speaking).collect();
        speakers.sort_by_key(|voice| (std::cmp::Reverse(voice.level), voice.participant));
        speakers.truncate(SPEAKERS_MAX);
        let names: Vec<_> = speakers.iter().map(|voice| voice.participant).collect();
        if self.same_as_announced(&names) {
            return None;
        }
        let list = speakers
            .iter()
            .map(|voice| Speaker { participant: voice.participant, level_dbov: voice.level })
            .collect();
        self.announced = names;
        Some(list)
    }

    /// What other engines have not been told yet of the voices here.
    pub fn untold(&mut self) -> Vec<Level> {
        let gone = self.gone.drain(..).map(|participant| Level { participant, heard: None });
        let mut levels: Vec<_> = gone.collect();
        for voice in &mut self.voices {
            let heard = Some((voice.level, voice.speaking));
            if let Source::Here { told, .. } = &mut voice.source
                && *told != heard
            {
                *told = heard;
                levels.push(Level { participant: voice.participant, heard });
            }
        }
        levels
    }

    /// All voices here that other engines have been told of, as they were told.
    pub fn told(&self) -> impl Iterator<Item = Level> + '_ {
        self.voices.iter().filter_map(|voice| match voice.source {
            Source::Here { told: heard @ Some(_), .. } => {
                Some(Level { participant: voice.participant, heard })
            }
            Source::Here { told: None, .. } | Source::Elsewhere => None,
        })
    }

    /// No other engine is to be told any more.
    pub fn forget_told(&mut self) {
        self.gone.clear();
        for voice in &mut self.voices {
            if let Source::Here { told, .. } = &mut voice.source {
                *told = None;
            }
        }
    }

    /// The smoothed levels of all who are heard, in dBov.
    pub fn levels(&self) -> impl Iterator<Item = (ParticipantId, i8)> + '_ {
        self.voices.iter().map(|voice| (voice.participant, voice.level))
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

impl Voice {
    fn end_interval(&mut self) {
        let Source::Here { peak, smoothed, .. } = &mut self.source else { return };
        let loudest = f32::from(*peak);
        let weight = if loudest > *smoothed { ATTACK } else { RELEASE };
        *smoothed += weight * (loudest - *smoothed);
        *peak = FLOOR_DBOV;
        self.speaking = *smoothed > if self.speaking { SILENT_DBOV } else { SPEAKING_DBOV };
        #[allow(clippy::cast_possible_truncation, reason = "between -127 and 0 by construction")]
        let level = *smoothed as i8;
        self.level = level;
    }

    fn has_faded(&self) -> bool {
        match self.source {
            Source::Here { smoothed, .. } => smoothed <= f32::from(FLOOR_DBOV) + 1.0,
            // Its own engine says when.
            Source::Elsewhere => false,
        }
    }

    fn was_told(&self) -> bool {
        matches!(self.source, Source::Here { told: Some(_), .. })
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
