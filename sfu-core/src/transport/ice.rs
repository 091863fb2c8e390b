//! ICE-lite (RFC 8445 §2.5): answers checks, sends one only to an address that a peer seems to have
//! moved to (`challenge`), and follows the peer's nominations.
//! Keeps the peer's validated paths, which one media takes, and how long the peer was silent.

use std::time::{Duration, Instant};

use bytes::Bytes;
use rtc_crypto::RTCCrypto;
use stun::message::TransactionId;

use super::challenge::{self, Challenges, Success};
use super::stun_codec::{self, Answer, ErrorCode, Request};
use super::{IceCredentials, Path};
use crate::drops::DropReason;
use crate::limits::{
    CONSENT_EXPIRY, DISCONNECTED_AFTER, NOMINATIONS_PER_SECOND_MAX, PATHS_PER_PEER_MAX,
};

/// How long the credentials from before an ICE restart are still answered: the client keeps the
/// old path alive with them until the new one is nominated.
const FORMER_CREDENTIALS_VALID: Duration = Duration::from_secs(30);
/// Silence of the selected path after which a check without USE-CANDIDATE from the same client
/// candidate takes over: what a rebound NAT looks like from here.
const REBOUND_AFTER: Duration = Duration::from_secs(1);
/// Error answers per second: they go to whoever wrote the source address.
const ERRORS_PER_SECOND_MAX: usize = 5;

/// One generation of credentials: ours and the peer's.
#[derive(Debug)]
struct Session {
    local: IceCredentials,
    remote: IceCredentials,
}

/// An address pair that an authenticated check came over.
#[derive(Debug)]
struct ValidPath {
    path: Path,
    /// The last valid check or authenticated packet.
    heard: Instant,
    /// PRIORITY of the last check.
    priority: Option<u32>,
}

/// What a check did.
#[derive(Debug)]
pub(super) struct Checked {
    /// What to send back.
    pub(super) answer: Option<Answer>,
    /// The verdict on the check.
    pub(super) outcome: Result<StunOutcome, DropReason>,
}

/// What an accepted check changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StunOutcome {
    /// The path was not valid before; the demultiplexer should learn it.
    pub validated: bool,
    /// The path that had to go for it ([`PATHS_PER_PEER_MAX`]); the demultiplexer should forget it.
    pub forgotten: Option<Path>,
}

#[derive(Debug)]
pub(super) struct Ice {
    current: Session,
    former: Option<(Session, Instant)>,
    paths: Vec<ValidPath>,
    selected: Option<Path>,
    challenges: Challenges,
    nominations: Rate<{ NOMINATIONS_PER_SECOND_MAX as usize }>,
    errors: Rate<ERRORS_PER_SECOND_MAX>,
}

impl Ice {
    pub(super) fn new(local: IceCredentials, remote: IceCredentials) -> Self {
        Self {
            current: Session { local, remote },
            former: None,
            paths: Vec::new(),
            selected: None,
            challenges: Challenges::default(),
            nominations: Rate::new(),
            errors: Rate::new(),
        }
    }

    /// Replaces the credentials. Returns the ufrag that is answered no longer, if a restart
    /// overtook another one.
    pub(super) fn restart(
        &mut self,
        now: Instant,
        local: IceCredentials,
        remote: IceCredentials,
    ) -> Option<Box<str>> {
        let session = Session { local, remote };
        let former = std::mem::replace(&mut self.current, session);
        let expires = now + FORMER_CREDENTIALS_VALID;
        self.former.replace((former, expires)).map(|(session, _)| session.local.ufrag)
    }

    pub(super) fn local_ufrags(&self) -> impl Iterator<Item = &str> {
        let former = self.former.as_ref().map(|(session, _)| &*session.local.ufrag);
        std::iter::once(&*self.current.local.ufrag).chain(former)
    }

    /// The path that media takes, whether or not the peer was heard lately.
    pub(super) fn selected(&self) -> Option<Path> {
        self.selected
    }

    pub(super) fn is_valid(&self, path: &Path) -> bool {
        self.paths.iter().any(|p| p.path == *path)
    }

    /// When the selected path last carried something that only the peer can have sent.
    pub(super) fn heard(&self) -> Option<Instant> {
        let selected = self.selected?;
        self.paths.iter().find(|p| p.path == selected).map(|p| p.heard)
    }

    /// When a path last carried something that only the peer can have sent.
    pub(super) fn heard_on(&self, path: &Path) -> Option<Instant> {
        self.paths.iter().find(|p| p.path == *path).map(|p| p.heard)
    }

    /// A check of our own, for an address the peer seems to have now. `None` if it is not the time.
    pub(super) fn challenge(
        &mut self,
        now: Instant,
        path: Path,
        transaction: TransactionId,
        crypto: &dyn RTCCrypto,
    ) -> Option<Bytes> {
        if !self.challenges.begin(now, path, transaction) {
            return None;
        }
        let Session { local, remote } = &self.current;
        let username = format!("{}:{}", remote.ufrag, local.ufrag);
        challenge::request(transaction, &username, &remote.password, crypto)
    }

    /// Judges what may be the answer to it. If it is, media takes that path from now on.
    pub(super) fn handle_answer(
        &mut self,
        now: Instant,
        path: Path,
        datagram: &[u8],
        crypto: &dyn RTCCrypto,
    ) -> Result<StunOutcome, DropReason> {
        let mut answer = Success::parse(datagram)?;
        if !answer.verify(&self.current.remote.password, crypto) {
            return Err(DropReason::StunUnauthenticated);
        }
        if !self.challenges.answered(now, path, answer.transaction()) {
            return Err(DropReason::StunUnexpected);
        }
        let selected = self.selected;
        let known = self.paths.iter().find(|p| Some(p.path) == selected);
        let priority = known.and_then(|known| known.priority);
        let outcome = self.note_path(now, path, priority);
        self.select(now, path);
        Ok(outcome)
    }

    /// Notes an authenticated packet.
    pub(super) fn hear(&mut self, now: Instant, path: &Path) {
        if let Some(valid) = self.paths.iter_mut().find(|p| p.path == *path) {
            valid.heard = now;
        }
    }

    /// Judges a datagram that begins like STUN. Nothing changes unless it is authenticated.
    pub(super) fn handle_check(&mut self, now: Instant, path: Path, datagram: &[u8]) -> Checked {
        let request = match Request::parse(datagram) {
            Ok(request) => request,
            Err(reason) => return Checked { answer: None, outcome: Err(reason) },
        };
        let Some((session, is_current)) = self.session_of(request.username()) else {
            return Checked { answer: None, outcome: Err(DropReason::StunUnknownUfrag) };
        };
        let transaction = request.transaction();
        let unauthenticated = |ice: &mut Self, code| Checked {
            answer: ice.errors.allow(now).then(|| stun_codec::error(transaction, code, &[], None)),
            outcome: Err(DropReason::StunUnauthenticated),
        };
        if !request.has_integrity() {
            return unauthenticated(self, ErrorCode::BadRequest);
        }
        let password = &*session.local.password;
        if !is_for(request.username(), session) || !request.verify(password) {
            return unauthenticated(self, ErrorCode::Unauthorized);
        }

        let reply = |code, unknown: &[u16]| {
            Some(stun_codec::error(transaction, code, unknown, Some(password)))
        };
        let unknown = request.unknown_required();
        if !unknown.is_empty() {
            let answer = reply(ErrorCode::UnknownAttribute, &unknown);
            return Checked { answer, outcome: Err(DropReason::StunUnexpected) };
        }
        // We are lite and so always controlled (RFC 8445 §6.1.1): the conflict is the peer's to
        // resolve (§7.3.1.1).
        if request.claims_controlled() {
            let answer = reply(ErrorCode::RoleConflict, &[]);
            return Checked { answer, outcome: Err(DropReason::StunUnexpected) };
        }
        let answer = Some(stun_codec::success(transaction, path.remote, password));
        Checked { answer, outcome: Ok(self.accept(now, path, &request, is_current)) }
    }

    /// The session whose local ufrag a USERNAME names, and whether it is the current one.
    fn session_of(&self, username: Option<&[u8]>) -> Option<(&Session, bool)> {
        let named = |session: &Session| {
            username?.strip_prefix(session.local.ufrag.as_bytes())?.starts_with(b":").then_some(())
        };
        if named(&self.current).is_some() {
            return Some((&self.current, true));
        }
        let (session, _) = self.former.as_ref()?;
        named(session).map(|()| (session, false))
    }

    fn accept(
        &mut self,
        now: Instant,
        path: Path,
        request: &Request<'_>,
        is_current: bool,
    ) -> StunOutcome {
        let silence = self.heard().map(|heard| now.saturating_duration_since(heard));
        let rebound =
            silence.is_some_and(|s| s >= REBOUND_AFTER) && self.looks_rebound(path, request);
        let outcome = self.note_path(now, path, request.priority());
        let abandoned = silence.is_none_or(|s| s >= DISCONNECTED_AFTER);
        // Old credentials keep the old path alive and move nothing.
        if is_current && (request.nominates() || abandoned || rebound) {
            self.select(now, path);
        } else if self.selected.is_none() {
            self.selected = Some(path);
        }
        outcome
    }

    /// Whether a check comes from the client candidate that the selected path belongs to.
    fn looks_rebound(&self, path: Path, request: &Request<'_>) -> bool {
        let Some(selected) = self.selected else { return false };
        (selected.local, selected.protocol) == (path.local, path.protocol)
            && self.paths.iter().any(|p| p.path == selected && p.priority == request.priority())
    }

    fn select(&mut self, now: Instant, path: Path) {
        let moves = self.selected.is_some_and(|selected| selected != path);
        if !moves || self.nominations.allow(now) {
            self.selected = Some(path);
        }
    }

    fn note_path(&mut self, now: Instant, path: Path, priority: Option<u32>) -> StunOutcome {
        if let Some(valid) = self.paths.iter_mut().find(|p| p.path == path) {
            (valid.heard, valid.priority) = (now, priority);
            return StunOutcome::default();
        }
        let full = self.paths.len() >= PATHS_PER_PEER_MAX;
        let forgotten = full.then(|| self.forget_stalest()).flatten();
        self.paths.push(ValidPath { path, heard: now, priority });
        StunOutcome { validated: true, forgotten }
    }

    fn forget_stalest(&mut self) -> Option<Path> {
        let candidates =
            self.paths.iter().enumerate().filter(|(_, p)| Some(p.path) != self.selected);
        let (index, _) = candidates.min_by_key(|(_, p)| p.heard)?;
        Some(self.paths.swap_remove(index).path)
    }

    /// A path that has been silent too long and is not the selected one; call until `None`.
    pub(super) fn expire_path(&mut self, now: Instant) -> Option<Path> {
        let expired = |p: &ValidPath| {
            Some(p.path) != self.selected
                && now.saturating_duration_since(p.heard) >= CONSENT_EXPIRY
        };
        let index = self.paths.iter().position(expired)?;
        Some(self.paths.swap_remove(index).path)
    }

    /// The former local ufrag, once it is answered no longer.
    pub(super) fn expire_former(&mut self, now: Instant) -> Option<Box<str>> {
        let (session, _) = self.former.take_if(|(_, expires)| *expires <= now)?;
        Some(session.local.ufrag)
    }

    /// When [`Ice::expire_path`] or [`Ice::expire_former`] will next have something.
    pub(super) fn expires(&self) -> Option<Instant> {
        let others = self.paths.iter().filter(|p| Some(p.path) != self.selected);
        let path = others.map(|p| p.heard + CONSENT_EXPIRY).min();
        let former = self.former.as_ref().map(|(_, expires)| *expires);
        path.into_iter().chain(former).min()
    }
}

/// Whether a USERNAME is exactly `local:remote` (RFC 8445 §7.2.2).
fn is_for(username: Option<&[u8]>, session: &Session) -> bool {
    let rest = username.and_then(|u| u.strip_prefix(session.local.ufrag.as_bytes()));
    rest.and_then(|r| r.strip_prefix(b":")) == Some(session.remote.ufrag.as_bytes())
}

/// At most `N` in any second.
#[derive(Debug)]
pub(crate) struct Rate<const N: usize> {
    /// The last `N` times it was allowed, as a ring: `next` is the oldest.
    allowed: [Option<Instant>; N],
    next: usize,
}

impl<const N: usize> Rate<N> {
    pub(crate) fn new() -> Self {
        Self { allowed: [None; N], next: 0 }
    }

    pub(crate) fn allow(&mut self, now: Instant) -> bool {
        let oldest = &mut self.allowed[self.next];
        let free =
            oldest.is_none_or(|t| now.saturating_duration_since(t) >= Duration::from_secs(1));
        if free {
            *oldest = Some(now);
            self.next = (self.next + 1) % N;
        }
        free
    }
}
