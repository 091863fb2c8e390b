//! When to ask one source encoding for a keyframe, whoever wants it and however often they say so.

use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use crate::id::PeerId;
use crate::limits;

/// Longest wait for a keyframe before it is asked for again.
const REPEAT_MAX: Duration = Duration::from_secs(2);
/// Times a keyframe is asked for on behalf of one wish: about 16 s. A source that has not answered
/// by then is muted or dead; the next request starts over.
const TRIES_MAX: u32 = 10;

/// Collects keyframe requests for one source encoding. At most one goes out in
/// [`limits::KEYFRAME_INTERVAL_MIN`], and it is repeated until a keyframe comes.
#[derive(Debug, Default)]
pub struct KeyframeRequests {
    pending: Option<Pending>,
    asked: Option<Instant>,
    /// How far ahead each requester has spent its budget. At most [`limits::PEERS_PER_ROOM_MAX`].
    spent_until_by_requester: FxHashMap<PeerId, Instant>,
}

/// A wish that no keyframe has met yet.
#[derive(Clone, Copy, Debug)]
struct Pending {
    tries: u32,
    next: Instant,
}

/// What one request costs of a requester's budget, in time.
const COST: Duration = Duration::from_nanos(
    limits::KEYFRAME_REQUEST_WINDOW.as_nanos() as u64 / limits::KEYFRAME_REQUESTS_PER_WINDOW as u64,
);

impl KeyframeRequests {
    /// Notes that `requester` cannot go on without a keyframe. False if it has asked too often:
    /// each may cause [`limits::KEYFRAME_REQUESTS_PER_WINDOW`] at once and earns one back every
    /// so many seconds, so that who truly starves waits for a moment, not for a window's end. To
    /// join a wish that is already pending costs nothing.
    pub fn request(&mut self, now: Instant, requester: PeerId) -> bool {
        if self.pending.is_some() {
            return true;
        }
        if !self.spend(now, requester) {
            return false;
        }
        self.wish(now);
        true
    }

    /// Notes a wish of the engine's own: it has given up packets, or the source began anew.
    /// Throttled like all others, but on nobody's budget.
    pub fn request_for_engine(&mut self, now: Instant) {
        if self.pending.is_none() {
            self.wish(now);
        }
    }

    /// Whether to ask the source now.
    pub fn poll(&mut self, now: Instant) -> bool {
        let Some(pending) = self.pending.as_mut().filter(|pending| pending.next <= now) else {
            return false;
        };
        if pending.tries >= TRIES_MAX {
            self.pending = None;
            return false;
        }
        let wait = limits::KEYFRAME_INTERVAL_MIN * (1 << pending.tries.min(4));
        pending.tries += 1;
        pending.next = now + wait.min(REPEAT_MAX);
        self.asked = Some(now);
        true
    }

    /// Notes that a keyframe has begun: every wish is met.
    pub fn on_keyframe(&mut self) {
        self.pending = None;
    }

    /// When [`KeyframeRequests::poll`] wants to be called next.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        self.pending.map(|pending| pending.next)
    }

    fn wish(&mut self, now: Instant) {
        let next = self.asked.map_or(now, |asked| now.max(asked + limits::KEYFRAME_INTERVAL_MIN));
        self.pending = Some(Pending { tries: 0, next });
    }

    /// Takes one request off the requester's budget, if there is one left.
    fn spend(&mut self, now: Instant, requester: PeerId) -> bool {
        let spent_until = match self.spent_until_by_requester.get(&requester).copied() {
            Some(until) => until.max(now),
            None if self.make_room(now) => now,
            None => return false,
        };
        let after = spent_until + COST;
        if after > now + limits::KEYFRAME_REQUEST_WINDOW {
            return false;
        }
        self.spent_until_by_requester.insert(requester, after);
        true
    }

    /// Whether one more requester can be told apart, once those with a full budget are forgotten.
    fn make_room(&mut self, now: Instant) -> bool {
        if self.spent_until_by_requester.len() >= limits::PEERS_PER_ROOM_MAX {
            self.spent_until_by_requester.retain(|_, until| *until > now);
        }
        self.spent_until_by_requester.len() < limits::PEERS_PER_ROOM_MAX
    }
}

#[cfg(test)]
mod tests {
    use slotmap::SlotMap;

    use super::*;
    use crate::publish::test_clock::{ms, origin};

    #[test]
    fn the_first_request_goes_out_at_once_and_the_next_after_the_interval() {
        let start = origin();
        let peers = peers(2);
        let mut requests = KeyframeRequests::default();
        assert!(!requests.poll(start));
        assert!(requests.request(start, peers[0]) && requests.request(start, peers[1]));
        assert_eq!(requests.next_timeout(), Some(start));
        assert!(requests.poll(start) && !requests.poll(start));
        requests.on_keyframe();
        assert_eq!(requests.next_timeout(), None);

        assert!(requests.request(start + ms(100), peers[0]));
        assert!(!requests.poll(start + ms(499)));
        assert_eq!(requests.next_timeout(), Some(start + limits::KEYFRAME_INTERVAL_MIN));
        assert!(requests.poll(start + ms(500)));
    }

    #[test]
    fn an_unanswered_request_is_repeated_and_given_up() {
        let start = origin();
        let peer = peers(1)[0];
        let mut requests = KeyframeRequests::default();
        requests.request(start, peer);
        let sent = drain(&mut requests);
        let milliseconds: Vec<_> = sent.iter().map(|at| (*at - start).as_millis()).collect();
        assert_eq!(milliseconds[..6], [0, 500, 1_500, 3_500, 5_500, 7_500]);
        assert_eq!(sent.len(), TRIES_MAX as usize);
        assert!(requests.request(start + ms(60_000), peer), "the next one starts over");
        assert!(requests.poll(start + ms(60_000)));
    }

    #[test]
    fn a_requester_has_a_burst_and_then_one_a_second() {
        let start = origin();
        let peers = peers(2);
        let mut requests = KeyframeRequests::default();
        let mut caused = |now, peer| {
            let taken = requests.request(now, peer);
            requests.on_keyframe();
            taken
        };
        for _ in 0..limits::KEYFRAME_REQUESTS_PER_WINDOW {
            assert!(caused(start, peers[0]));
        }
        assert!(!caused(start, peers[0]));
        assert!(caused(start, peers[1]), "the other has a budget of its own");
        assert!(!caused(start + ms(999), peers[0]));
        assert!(caused(start + ms(1_000), peers[0]));
        assert!(!caused(start + ms(1_001), peers[0]));
        let later = start + ms(1_000) + limits::KEYFRAME_REQUEST_WINDOW;
        for _ in 0..limits::KEYFRAME_REQUESTS_PER_WINDOW {
            assert!(caused(later, peers[0]));
        }
        assert!(!caused(later, peers[0]));
    }

    #[test]
    fn the_engine_asks_on_nobodys_budget() {
        let start = origin();
        let mut requests = KeyframeRequests::default();
        for step in 0..100u64 {
            requests.request_for_engine(start + ms(step * 500));
            assert!(requests.poll(start + ms(step * 500)), "{step}");
            requests.on_keyframe();
        }
        requests.request_for_engine(start + ms(99 * 500 + 1));
        assert!(!requests.poll(start + ms(99 * 500 + 1)), "but no faster than others");
    }

    /// R7: 200 subscribers with 50 requests a second each, half of them with a spent budget.
    #[test]
    fn a_flood_costs_the_publisher_two_a_second_and_starves_nobody() {
        let start = origin();
        let peers = peers(200);
        let mut requests = KeyframeRequests::default();
        let mut sent = vec![];
        // Waiting since, by peer; a keyframe comes 80 ms after it was asked for.
        let mut keyframe_at = None;
        let mut starved = Duration::ZERO;
        let mut waiting = vec![Some(start); peers.len()];
        for millisecond in 0..30_000u64 {
            let now = start + ms(millisecond);
            for (at, &peer) in peers.iter().enumerate() {
                if millisecond % 20 == at as u64 % 20 {
                    waiting[at].get_or_insert(now);
                    requests.request(now, peer);
                }
            }
            if requests.poll(now) {
                sent.push(now);
                keyframe_at = Some(now + ms(80));
            }
            if keyframe_at.is_some_and(|at| at <= now) {
                keyframe_at = None;
                requests.on_keyframe();
                for since in waiting.iter_mut().filter_map(Option::take) {
                    starved = starved.max(now - since);
                }
            }
        }
        assert!(sent.windows(2).all(|pair| pair[1] - pair[0] >= limits::KEYFRAME_INTERVAL_MIN));
        assert!(sent.len() <= 60, "{}", sent.len());
        assert!(starved <= ms(2_000), "{starved:?}");
        assert!(waiting.iter().flatten().all(|&since| since + ms(2_000) > start + ms(30_000)));
    }

    #[test]
    fn a_lone_flooder_is_served_once_a_second() {
        let start = origin();
        let peer = peers(1)[0];
        let mut requests = KeyframeRequests::default();
        let mut sent = 0;
        let mut longest = Duration::ZERO;
        let mut last = start;
        for millisecond in 0..60_000u64 {
            let now = start + ms(millisecond);
            requests.request(now, peer);
            if requests.poll(now) {
                sent += 1;
                longest = longest.max(now - last);
                last = now;
                requests.on_keyframe();
            }
        }
        // One a second, and a burst of ten at the start.
        assert!((60..=70).contains(&sent), "{sent}");
        assert!(longest <= ms(1_000), "{longest:?}");
    }

    #[test]
    fn requesters_are_remembered_within_bounds() {
        let start = origin();
        let most = limits::PEERS_PER_ROOM_MAX;
        let peers = peers(most + 2);
        let mut requests = KeyframeRequests::default();
        for (at, &peer) in peers.iter().enumerate() {
            assert_eq!(requests.request(start, peer), at < most, "{at}");
            requests.on_keyframe();
        }
        assert_eq!(requests.spent_until_by_requester.len(), most);
        assert!(requests.request(start + COST, peers[most]), "by then the others are forgotten");
        assert_eq!(requests.spent_until_by_requester.len(), 1);
    }

    fn peers(count: usize) -> Vec<PeerId> {
        let mut map = SlotMap::<PeerId, ()>::with_key();
        (0..count).map(|_| map.insert(())).collect()
    }

    /// Every moment at which a request goes out, if nobody answers.
    fn drain(requests: &mut KeyframeRequests) -> Vec<Instant> {
        let mut sent = vec![];
        while let Some(at) = requests.next_timeout() {
            if requests.poll(at) {
                sent.push(at);
            }
        }
        sent
    }
}
