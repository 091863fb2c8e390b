//! A WebSocket that breaks takes nobody out of the room at once: another one may go on from it, with
//! the same participant, the same media and every message exactly once.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;
use serde::{Serialize, Serializer};
use sfu_core::event::TransportState;
use tokio::sync::Notify;

use super::outbox::Outbox;
use super::{ErrorCode, Membership, SessionError, Sessions, WireId};
use crate::limits;

/// What a client shows to go on: whoever has it is the participant, so it is told to nobody else.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ResumeKey(u128);

impl ResumeKey {
    pub(crate) fn new() -> Self {
        Self(rand::random())
    }

    /// Reads exactly 32 hexadecimal digits.
    fn parse(text: &str) -> Option<Self> {
        let is_hex = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
        is_hex.then(|| Self(u128::from_str_radix(text, 16).expect("32 digits are a u128")))
    }
}

impl std::fmt::Debug for ResumeKey {
    /// Nothing of it: it may stand in a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ResumeKey")
    }
}

impl Serialize for ResumeKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:032x}", self.0))
    }
}

/// What a WebSocket leaves for the one that goes on from it.
pub(crate) struct Parked {
    pub(crate) membership: Membership,
    pub(crate) outbox: Outbox,
    /// The last request that was carried out.
    pub(crate) last_request: Option<u64>,
}

enum Line {
    /// A WebSocket serves it, until it is told that another one goes on.
    Live(Arc<Notify>),
    /// None does. The number tells one wait from the next.
    Parked(u64, Box<Parked>),
}

/// Everybody whose WebSocket may be followed by another, by key: as many as joined that way.
#[derive(Default)]
pub(crate) struct Lines {
    by_key: Mutex<HashMap<ResumeKey, Line>>,
    /// A WebSocket has let go of somebody.
    let_go: Notify,
}

impl Sessions {
    /// A WebSocket begins to serve the participant of `key`, and is to let go when `taken` says so.
    pub(crate) fn serve_line(&self, key: ResumeKey, taken: Arc<Notify>) {
        self.lines.by_key.lock().insert(key, Line::Live(taken));
    }

    /// The participant of `key` left.
    pub(crate) fn end_line(&self, key: ResumeKey) {
        let ended = self.lines.by_key.lock().remove(&key);
        self.lines.let_go.notify_waiters();
        drop(ended);
    }

    /// Whether nobody serves the participant of `key` at present.
    pub(super) fn is_parked(&self, key: ResumeKey) -> bool {
        matches!(self.lines.by_key.lock().get(&key), Some(Line::Parked(..)))
    }

    /// A WebSocket broke: its participant stays for a while, unless its media has ended too.
    pub(crate) fn park(self: &Arc<Self>, key: ResumeKey, parked: Parked) {
        let wait: u64 = rand::random();
        let (room, participant) = (&*parked.membership.room, parked.membership.participant);
        let transport =
            self.registry.lock().participant(room, participant).map(|(_, p)| p.transport);
        if !transport.is_some_and(|state| !matches!(state, TransportState::Failed(_))) {
            return self.end_line(key);
        }
        tracing::info!(room, participant = %WireId::from(participant), "signalling broke");
        self.lines.by_key.lock().insert(key, Line::Parked(wait, Box::new(parked)));
        self.lines.let_go.notify_waiters();
        let sessions = Arc::clone(self);
        self.runtime.spawn(async move {
            tokio::time::sleep(limits::RESUME_WITHIN).await;
            let expired = {
                let mut lines = sessions.lines.by_key.lock();
                match lines.get(&key) {
                    Some(Line::Parked(now, _)) if *now == wait => lines.remove(&key),
                    _ => None,
                }
            };
            // Leaves the room as lost, outside the lock.
            drop(expired);
        });
    }

    /// Goes on where a WebSocket broke, with what the client has not `received`. Who is still served
    /// by another WebSocket is taken from it: the client knows better whether that one is alive.
    pub(crate) async fn resume(
        &self,
        key: &str,
        received: u64,
    ) -> Result<(ResumeKey, Parked), SessionError> {
        let key = ResumeKey::parse(key).ok_or_else(no_such_session)?;
        let parked = tokio::time::timeout(limits::TAKE_OVER_WITHIN, self.take_line(key)).await;
        let parked = parked.ok().flatten().ok_or_else(no_such_session)?;
        let (room, id) = (&*parked.membership.room, parked.membership.participant);
        let is_there = self.registry.lock().participant(room, id).is_some();
        if !is_there || !parked.outbox.rewind(received) {
            return Err(no_such_session());
        }
        self.counters.resumes.fetch_add(1, Ordering::Relaxed);
        let wire = WireId::from(id);
        tracing::Span::current().record("room", room).record("participant", wire.to_string());
        tracing::info!(room, participant = %wire, "signalling goes on");
        Ok((key, parked))
    }

    /// Waits until the line is parked, and takes it. `None` if there is none.
    async fn take_line(&self, key: ResumeKey) -> Option<Parked> {
        loop {
            let let_go = self.lines.let_go.notified();
            tokio::pin!(let_go);
            // From here on no notice is missed.
            let_go.as_mut().enable();
            {
                let mut lines = self.lines.by_key.lock();
                match lines.get(&key)? {
                    Line::Live(taken) => taken.notify_one(),
                    Line::Parked(..) => {
                        let Some(Line::Parked(_, parked)) = lines.remove(&key) else { return None };
                        return Some(*parked);
                    }
                }
            }
            let_go.await;
        }
    }
}

/// Whether it never was, ended, or waited for too long is not said.
fn no_such_session() -> SessionError {
    SessionError::new(ErrorCode::NoSuchSession, "there is nothing to go on from; join again")
}
