//! Who was removed from which room: a token issued before that does not let them in again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::limits::KICKS_MAX;

/// Kicks that still count. Bounded: beyond [`KICKS_MAX`] the one that counts the shortest is
/// forgotten.
#[derive(Default)]
pub(crate) struct Kicks {
    by_who: HashMap<(Arc<str>, Arc<str>), Kick>,
    /// Kicks that were forgotten early, for metrics.
    pub(crate) forgotten: u64,
}

#[derive(Clone, Copy)]
struct Kick {
    /// Seconds since 1970. Tokens issued in that second or before do not count any more.
    at: u64,
    until: Instant,
}

impl Kicks {
    /// Notes that `identity` was removed from `room` at `unix_now`; holds for `lasts`.
    pub(crate) fn note(
        &mut self,
        (room, identity): (&str, &str),
        unix_now: u64,
        now: Instant,
        lasts: Duration,
    ) {
        if lasts.is_zero() {
            return;
        }
        let who = (Arc::from(room), Arc::from(identity));
        if self.by_who.len() >= KICKS_MAX && !self.by_who.contains_key(&who) {
            self.by_who.retain(|_, kick| kick.until > now);
            if self.by_who.len() >= KICKS_MAX
                && let Some(first) = self
                    .by_who
                    .iter()
                    .min_by_key(|(_, kick)| kick.until)
                    .map(|(who, _)| who.clone())
            {
                self.by_who.remove(&first);
                self.forgotten += 1;
            }
        }
        self.by_who.insert(who, Kick { at: unix_now, until: now + lasts });
    }

    /// Whether a token of `identity` for `room`, issued at `issued_at`, was taken back by a kick.
    pub(crate) fn revoke(
        &self,
        (room, identity): (&str, &str),
        issued_at: u64,
        now: Instant,
    ) -> bool {
        // Few and rarely looked at: a key of borrowed parts is not worth its code.
        let who = (Arc::from(room), Arc::from(identity));
        self.by_who.get(&who).is_some_and(|kick| now < kick.until && issued_at <= kick.at)
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.by_who.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_token_from_before_the_kick_does_not_count_and_a_later_one_does() {
        let now = Instant::now();
        let mut kicks = Kicks::default();
        kicks.note(("r", "eve"), 1000, now, HOUR);
        for (room, identity, issued_at, after, want) in [
            ("r", "eve", 0, Duration::ZERO, true),
            ("r", "eve", 1000, Duration::ZERO, true),
            ("r", "eve", 1001, Duration::ZERO, false),
            ("r", "eve", 1000, HOUR - Duration::from_millis(1), true),
            ("r", "eve", 1000, HOUR, false),
            ("r", "ann", 0, Duration::ZERO, false),
            ("s", "eve", 0, Duration::ZERO, false),
        ] {
            let is_revoked = kicks.revoke((room, identity), issued_at, now + after);
            assert_eq!(is_revoked, want, "{room} {identity} {issued_at} {after:?}");
        }
        kicks.note(("r", "eve"), 2000, now, HOUR);
        assert!(kicks.revoke(("r", "eve"), 1500, now), "kicked again");
    }

    #[test]
    fn kicks_are_bounded_and_those_that_are_over_go_first() {
        let now = Instant::now();
        let mut kicks = Kicks::default();
        for n in 0..KICKS_MAX {
            kicks.note(("r", &n.to_string()), 1000, now, HOUR + Duration::from_secs(n as u64));
        }
        kicks.note(("r", "one more"), 1000, now, HOUR);
        assert_eq!((kicks.len(), kicks.forgotten), (KICKS_MAX, 1));
        assert!(!kicks.revoke(("r", "0"), 0, now), "the one that counted the shortest");
        assert!(kicks.revoke(("r", "1"), 0, now) && kicks.revoke(("r", "one more"), 0, now));
        kicks.note(("r", "later"), 1000, now + 100 * HOUR, HOUR);
        assert_eq!((kicks.len(), kicks.forgotten), (1, 1));
    }
}
