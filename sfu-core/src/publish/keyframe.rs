//! When to ask one source layer for a keyframe, whoever wants it and however often they say so.

use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use crate::id::PeerId;
use crate::limits;

/// Longest wait for a keyframe before it is asked for again.
const REPEAT_MAX: Duration = Duration::from_secs(2);
/// Times a keyframe is asked for on behalf of one wish: about 16 s. A source that has not answered
/// by then is muted or dead; the next request starts over.
const TRIES_MAX: u32 = 10;

/// Collects keyframe requests for one source layer. At most one goes out in
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
