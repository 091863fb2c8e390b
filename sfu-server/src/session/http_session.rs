//! WHIP and WHEP sessions: participants behind a URL instead of a WebSocket (RFC 9725).

use std::sync::Arc;

use sfu_core::command::{Command, Reply, Sources, SubscribePolicy};
use sfu_core::id::ParticipantId;
use sfu_core::negotiation::{Answer, SdpFragment, SectionContent};
use sfu_core::transport::IceCredentials;
use tokio::time::Instant;

use super::forbidden;
use super::offer::{Negotiated, parse_offer, render_answer};
use super::participant::{Door, LeaveReason};
use super::viewer::EventStream;
use super::{Bucket, ErrorCode, Grant, JoinRequest, Membership, Outbox, SessionError, Sessions};
use crate::limits;
use crate::media::MediaError;

/// What the registry keeps of such a session.
pub(crate) struct HttpState {
    token: Box<str>,
    door: Door,
    etag: ETag,
    /// The client's ICE credentials in use.
    remote: IceCredentials,
    patches: Bucket,
    /// What was answered; an ICE restart repeats its ICE part. `None` until there is an answer.
    pub(super) answer: Option<Box<Answer>>,
    /// A viewer's event streams, at most [`limits::EVENT_STREAMS_MAX`].
    pub(super) streams: Vec<EventStream>,
}

/// The entity tag of one ICE session, without its quotes (RFC 9725 §4.3.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ETag(String);

/// What a `POST` made.
pub(crate) struct HttpSession {
    pub(crate) token: String,
    pub(crate) etag: ETag,
    pub(crate) sdp: String,
}

/// The `If-Match` header of a `PATCH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum IfMatch {
    Missing,
    Any,
    Tags(Vec<String>),
}

/// What a `PATCH` did.
#[derive(Debug)]
pub(crate) enum PatchOutcome {
    /// Candidates were taken note of: an ICE-lite agent needs none.
    Trickled,
    /// ICE starts anew; the fragment has the server's new credentials and its candidates.
    Restarted { fragment: String, etag: ETag },
}

impl HttpState {
    fn new(door: Door, remote: IceCredentials) -> Self {
        // 128 random bits: who knows the URL may end the session (RFC 9725 §5).
        let token = format!("{:032x}", rand::random::<u128>()).into();
        let patches =
            Bucket::new(limits::PATCHES_PER_SECOND, limits::PATCHES_BURST, Instant::now());
        Self {
            token,
            door,
            etag: ETag::random(),
            remote,
            patches,
            answer: None,
            streams: Vec::new(),
        }
    }

    pub(crate) fn token(&self) -> &str {
        &self.token
    }
}

impl ETag {
    fn random() -> Self {
        Self(format!("{:016x}", rand::random::<u64>()))
    }

    /// Of what counts its changes.
    pub(crate) fn of_version(version: u64) -> Self {
        Self(format!("{version:016x}"))
    }

    /// As a header value.
    pub(crate) fn quoted(&self) -> String {
        format!("\"{}\"", self.0)
    }
}

impl IfMatch {
    /// Reads the header. Clients were seen to quote the asterisk and to leave tags unquoted; both
    /// are understood. A weak tag never matches (RFC 9110 §13.1.1).
    pub(crate) fn parse(value: Option<&str>) -> Self {
        let Some(value) = value else { return Self::Missing };
        let tags: Vec<String> = value
            .split(',')
            .map(|tag| tag.trim())
            .filter(|tag| !tag.is_empty() && !tag.starts_with("W/"))
            .map(|tag| tag.trim_matches('"').to_owned())
            .collect();
        if tags.iter().any(|tag| tag == "*") { Self::Any } else { Self::Tags(tags) }
    }

    /// The same for what counts its changes.
    pub(super) fn admits_version(&self, version: u64) -> Result<(), SessionError> {
        self.admits(&ETag::of_version(version))
    }

    fn admits(&self, etag: &ETag) -> Result<(), SessionError> {
        match self {
            Self::Missing => Err(SessionError::new(
                ErrorCode::PreconditionRequired,
                "send the present ETag as If-Match, or *",
            )),
            Self::Any => Ok(()),
            Self::Tags(tags) if tags.contains(&etag.0) => Ok(()),
            Self::Tags(_) => Err(SessionError::new(
                ErrorCode::PreconditionFailed,
                "what this names is not the present state",
            )),
        }
    }
}

impl Sessions {
    /// A publisher by WHIP: joins and offers in one step.
    pub(crate) async fn create_whip(
        self: &Arc<Self>,
        room: String,
        name: String,
        grant: Grant,
        sdp: String,
    ) -> Result<HttpSession, SessionError> {
        if grant.permissions.publish == Sources::NONE {
            return Err(forbidden("the token does not allow to publish"));
        }
        self.create_http(Door::Whip, room, name, grant, SubscribePolicy::Manual, sdp).await
    }

    /// A viewer by WHEP. Who does not `wait` is refused while nobody publishes (draft §4.3.8).
    pub(crate) async fn create_whep(
        self: &Arc<Self>,
        room: String,
        participant: Option<ParticipantId>,
        wait: bool,
        grant: Grant,
        sdp: String,
    ) -> Result<HttpSession, SessionError> {
        if !grant.permissions.subscribe {
            return Err(forbidden("the token does not allow to subscribe"));
        }
        let policy = self.viewer_policy(&room, participant)?;
        if !wait && !self.is_published(&room, participant) {
            return Err(SessionError::new(ErrorCode::NoPublisher, "nobody is publishing there"));
        }
        self.create_http(Door::Whep, room, "whep".to_owned(), grant, policy, sdp).await
    }

    async fn create_http(
        self: &Arc<Self>,
        door: Door,
        room: String,
        name: String,
        grant: Grant,
        subscribe: SubscribePolicy,
        sdp: String,
    ) -> Result<HttpSession, SessionError> {
        // Before its offer is read, which is work.
        self.check_open()?;
        let mut offer = parse_offer(sdp).await?;
        match door {
            Door::Whep => offer.play_only()?,
            Door::Whip | Door::WebSocket => offer.publish_only()?,
        }
        let http = HttpState::new(door, offer.ice.clone());
        let (token, etag) = (http.token.to_string(), http.etag.clone());
        let request = JoinRequest {
            room,
            name,
            metadata: String::new(),
            door,
            grant,
            subscribe,
            goes_direct: false,
            outbox: Outbox::default(),
            request: None,
            resume_key: None,
            http: Some(http),
        };
        // Dropped on the way out of an error: no session is left then.
        let membership = self.join(request).await?;
        let Negotiated { answer, .. } =
            self.negotiate(&membership.room, membership.participant, offer).await?;
        check_nothing_rejected(&answer)?;
        let sdp = render_answer(answer.clone()).await;
        self.keep_answer(&membership, answer)?;
        membership.detach();
        Ok(HttpSession { token, etag, sdp })
    }

    /// Whether somebody, or that participant, publishes in a room.
    fn is_published(&self, room: &str, participant: Option<ParticipantId>) -> bool {
        let registry = self.registry.lock();
        let Some(room) = registry.room_by_name.get(room) else { return false };
        let mut meant =
            room.participants.values().filter(|p| participant.is_none_or(|id| p.id == id));
        meant.any(|participant| !participant.tracks.is_empty())
    }

    fn keep_answer(
        &self,
        membership: &Membership,
        answer: Box<Answer>,
    ) -> Result<(), SessionError> {
        let mut registry = self.registry.lock();
        let (_, participant) = registry
            .participant(&membership.room, membership.participant)
            .ok_or_else(SessionError::gone)?;
        if let Some(http) = &mut participant.http {
            http.answer = Some(answer);
        }
        Ok(())
    }

    /// Candidates, or new ICE credentials (RFC 9725 §4.3).
    pub(crate) async fn patch_http(
        &self,
        door: Door,
        room: &str,
        token: &str,
        if_match: &IfMatch,
        fragment: &str,
    ) -> Result<PatchOutcome, SessionError> {
        let remote = SdpFragment::parse(fragment)?.ice;
        let (worker, peer, remote, old, new) = {
            let mut registry = self.registry.lock();
            let (room_name, id) = registry.find_token(door, room, token)?;
            let (worker, participant) =
                registry.participant(&room_name, id).ok_or_else(no_such_session)?;
            let peer = participant.peer.ok_or_else(no_such_session)?;
            let http = participant.http.as_mut().ok_or_else(no_such_session)?;
            if_match.admits(&http.etag)?;
            let Some(remote) = remote.filter(|remote| *remote != http.remote) else {
                return Ok(PatchOutcome::Trickled);
            };
            // Taken at once, so that of two restarts with the same tag only one passes.
            let new = ETag::random();
            let old = std::mem::replace(&mut http.etag, new.clone());
            (worker, peer, remote, old, new)
        };
        let command = Command::RestartIce { peer, remote: remote.clone() };
        let restarted = match self.media.call(worker, command).await {
            Ok(Reply::Ice(ice)) => Ok(ice),
            Ok(_) => Err(MediaError::Panicked.into()),
            Err(e) => Err(SessionError::from(e)),
        };
        let mut registry = self.registry.lock();
        let (room_name, id) = registry.find_token(door, room, token)?;
        let (_, participant) = registry.participant(&room_name, id).ok_or_else(no_such_session)?;
        let http = participant.http.as_mut().ok_or_else(no_such_session)?;
        let ice = match restarted {
            Ok(ice) => ice,
            Err(error) => {
                // The old ICE session goes on, unless another restart has come in between.
                if http.etag == new {
                    http.etag = old;
                }
                return Err(error);
            }
        };
        http.remote = remote;
        let answer = http.answer.as_mut().ok_or_else(no_such_session)?;
        answer.ice = ice;
        Ok(PatchOutcome::Restarted { fragment: answer.to_fragment(), etag: new })
    }

    /// Counts a `PATCH` of a session, which costs the engine a command.
    pub(crate) fn admit_patch(
        &self,
        door: Door,
        room: &str,
        token: &str,
    ) -> Result<(), SessionError> {
        let mut registry = self.registry.lock();
        let (room, id) = registry.find_token(door, room, token)?;
        let (_, participant) = registry.participant(&room, id).ok_or_else(no_such_session)?;
        let http = participant.http.as_mut().ok_or_else(no_such_session)?;
        if http.patches.take(Instant::now()) {
            return Ok(());
        }
        let detail = "too many changes of this session";
        Err(SessionError::new(ErrorCode::RateLimited, detail))
    }

    /// Ends a session.
    pub(crate) fn delete_http(
        &self,
        door: Door,
        room: &str,
        token: &str,
    ) -> Result<(), SessionError> {
        let (room, id) = self.registry.lock().find_token(door, room, token)?;
        self.remove(&room, id, LeaveReason::Left, None);
        Ok(())
    }

    /// Ends a session whose client hung up before it learnt of it.
    pub(crate) fn abandon_http(&self, token: &str) {
        let found = self.registry.lock().participant_by_token.get(token).cloned();
        if let Some((room, id)) = found {
            self.remove(&room, id, LeaveReason::Lost, None);
        }
    }

    /// Whether there is such a session.
    pub(crate) fn check_http(
        &self,
        door: Door,
        room: &str,
        token: &str,
    ) -> Result<(), SessionError> {
        self.registry.lock().find_token(door, room, token).map(drop)
    }
}

impl super::registry::Registry {
    /// The participant behind a session URL. A URL of another door or room names nothing.
    pub(super) fn find_token(
        &self,
        door: Door,
        room: &str,
        token: &str,
    ) -> Result<(Arc<str>, ParticipantId), SessionError> {
        let (name, id) = self.participant_by_token.get(token).ok_or_else(no_such_session)?;
        let participant = self.room_by_name.get(name).and_then(|r| r.participants.get(id));
        let http = participant.and_then(|participant| participant.http.as_ref());
        let is_it = **name == *room && http.is_some_and(|http| http.door == door);
        if is_it { Ok((Arc::clone(name), *id)) } else { Err(no_such_session()) }
    }
}

/// An m-line this server has no codec for is not answered half: the whole offer is refused
/// (RFC 9725 §4.4.3).
fn check_nothing_rejected(answer: &Answer) -> Result<(), SessionError> {
    let is_rejected = |(section, _): &(sfu_core::negotiation::Section, _)| {
        section.content == SectionContent::Rejected
    };
    if answer.sections.iter().any(is_rejected) {
        let detail = "this server knows none of the codecs of an m-line";
        return Err(SessionError::new(ErrorCode::SdpUnsupported, detail));
    }
    Ok(())
}

pub(super) fn no_such_session() -> SessionError {
    SessionError::new(ErrorCode::NoSuchSession, "there is no such session")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn if_match_is_read_as_clients_write_it() {
        let tags = |tags: &[&str]| IfMatch::Tags(tags.iter().map(|&t| t.to_owned()).collect());
        for (header, want) in [
            (None, IfMatch::Missing),
            (Some("*"), IfMatch::Any),
            (Some("\"*\""), IfMatch::Any),
            (Some("\"a\""), tags(&["a"])),
            (Some("a"), tags(&["a"])),
            (Some(" \"a\" , \"b\""), tags(&["a", "b"])),
            (Some("W/\"a\""), tags(&[])),
            (Some(""), tags(&[])),
        ] {
            assert_eq!(IfMatch::parse(header), want, "{header:?}");
        }
    }

    #[test]
    fn tokens_have_128_random_bits() {
        let remote = IceCredentials { ufrag: "u".into(), password: "p".into() };
        let token = || HttpState::new(Door::Whip, remote.clone()).token;
        assert_eq!(token().len(), 32);
        assert_ne!(token(), token());
    }
}
