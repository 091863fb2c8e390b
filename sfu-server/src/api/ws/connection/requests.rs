//! What is done for each request, and what is answered.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use sfu_core::command::SubscribePolicy;
use tokio::time::Instant;

use super::super::preference;
use super::super::request::{self, DirectState, DirectWord, Request, Subscribe};
use super::Connection;
use crate::api::access::{self, Entry};
use crate::media::Impairment;
use crate::session::{
    CloseCode, DataRequest, Door, ErrorCode, JoinRequest, Reply, ResumeKey, SessionError, WireId,
    participant_id, publish_request, track_id,
};

impl Connection {
    /// Answers one request, once.
    pub(super) async fn handle_frame(&mut self, frame: &str) {
        let now = Instant::now();
        let (id, request) = request::parse(frame);
        self.last_request = id.or(self.last_request);
        let result = if !self.requests.take(now) {
            Err(SessionError::new(ErrorCode::RateLimited, "too many requests"))
        } else {
            match request {
                Ok(request) => self.handle_request(id, request).await,
                Err(error) => Err(error),
            }
        };
        match result {
            Ok(Some(reply)) => drop(self.outbox.push(&reply.to(id))),
            Ok(None) => {}
            Err(error) => self.refuse(id, error, now),
        }
    }

    fn refuse(&mut self, id: Option<u64>, error: SessionError, now: Instant) {
        let code = error.code;
        self.outbox.push(&Reply::error(error).to(id));
        match code {
            ErrorCode::Malformed | ErrorCode::UnknownType | ErrorCode::RateLimited => {
                self.context.counters.protocol_errors.fetch_add(1, Ordering::Relaxed);
                if !self.errors.take(now) {
                    self.outbox.close(CloseCode::Policy, "too many protocol errors");
                }
            }
            ErrorCode::Unauthorized => {
                self.outbox.close(CloseCode::Unauthorized, "a valid token is needed");
            }
            ErrorCode::ServerFull => self.outbox.close(CloseCode::ServerFull, "server full"),
            ErrorCode::RoomLocked => self.outbox.close(CloseCode::RoomLocked, "the room is locked"),
            ErrorCode::Draining => self.outbox.close(CloseCode::Draining, "shutting down"),
            _ => {}
        }
    }

    /// Carries out a request. `None`: the reply is already in the outbox.
    async fn handle_request(
        &mut self,
        id: Option<u64>,
        request: Request,
    ) -> Result<Option<Reply>, SessionError> {
        match request {
            Request::Ping(_) => return Ok(Some(Reply::Pong {})),
            Request::Join(join) => return self.join(id, join).await.map(|()| None),
            Request::Resume(resume) => return self.resume(id, resume).await.map(|()| None),
            Request::Leave(_) => {
                let membership = self.membership.take().ok_or_else(not_joined)?;
                membership.leave();
                self.outbox.push(&Reply::Ok {}.to(id));
                self.outbox.close(CloseCode::Left, "left");
                return Ok(None);
            }
            _ => {}
        }
        let me = self.membership.as_ref().ok_or_else(not_joined)?;
        let sessions = &self.context.sessions;
        let (room, me) = (&*me.room, me.participant);
        match request {
            Request::Publish(publish) => {
                let request =
                    publish_request(&publish.mid, &publish.source, &publish.name, publish.muted)?;
                sessions.publish(room, me, request)?;
            }
            Request::Offer(offer) => {
                if !self.offers.take(Instant::now()) {
                    return Err(SessionError::new(ErrorCode::RateLimited, "too many offers"));
                }
                return Ok(Some(Reply::Answer(sessions.offer(room, me, offer.sdp).await?)));
            }
            Request::Mute(t) => sessions.mute(room, me, track_id(&t.track)?, true).await?,
            Request::Unmute(t) => sessions.mute(room, me, track_id(&t.track)?, false).await?,
            Request::Unpublish(t) => sessions.unpublish(room, me, track_id(&t.track)?).await?,
            Request::Subscribe(t) => {
                sessions.subscribe(room, me, track_id(&t.track)?, true).await?;
            }
            Request::Unsubscribe(t) => {
                sessions.subscribe(room, me, track_id(&t.track)?, false).await?;
            }
            Request::Prefer(prefer) => {
                let preference_by_track = preference::read(prefer.preferences)?;
                let ignored = sessions.prefer(room, me, preference_by_track).await?;
                let ignored = ignored.into_iter().map(WireId::from).collect();
                return Ok(Some(Reply::Preferred { ignored }));
            }
            Request::Data(data) => {
                let to = data.to.iter().map(|id| participant_id(id)).collect::<Result<_, _>>()?;
                let request = DataRequest { payload: data.payload, to, is_reliable: data.reliable };
                sessions.send_data(room, me, request).await?;
            }
            Request::Update(update) => {
                sessions.update(room, me, update.name, update.metadata)?;
            }
            Request::Impair(impair) => {
                let whose = impair.participant.as_deref().map_or(Ok(me), participant_id)?;
                let wish = Impairment { downlink: impair.downlink, uplink: impair.uplink };
                sessions.impair_by(room, me, whose, wish)?;
            }
            Request::Lock(lock) => sessions.lock(room, me, lock.locked).await?,
            Request::DirectSignal(signal) => {
                if !self.direct_signals.take(Instant::now()) {
                    let detail = "too many messages to the other one";
                    return Err(SessionError::new(ErrorCode::RateLimited, detail));
                }
                sessions.direct_signal(room, me, signal.epoch, signal.payload)?;
            }
            Request::DirectState(DirectState { epoch, state }) => {
                sessions.direct_state(room, me, epoch, state == DirectWord::Connected)?;
            }
            Request::Ping(_) | Request::Join(_) | Request::Resume(_) | Request::Leave(_) => {
                unreachable!("answered above")
            }
        }
        Ok(Some(Reply::Ok {}))
    }

    /// The reply comes from the session layer, in order with the room's events.
    async fn join(&mut self, id: Option<u64>, join: request::Join) -> Result<(), SessionError> {
        if self.membership.is_some() {
            let detail = "open another WebSocket to join another room";
            return Err(SessionError::new(ErrorCode::AlreadyJoined, detail));
        }
        let per_second = self.context.settings.now().limits.join_rate_per_address;
        if let Some(address) = self.address
            && self.context.join_rates.admit(address, per_second, Instant::now()).is_err()
        {
            self.context.counters.rate_limited.fetch_add(1, Ordering::Relaxed);
            let detail = "too many joins from this address";
            return Err(SessionError::new(ErrorCode::RateLimited, detail));
        }
        let entry = self.entry(&join)?;
        let resume_key = join.resume.then(ResumeKey::new);
        if join.resume {
            self.outbox.keep_sent();
        }
        let request = JoinRequest {
            name: entry.name(join.name),
            metadata: entry.metadata(join.metadata),
            room: join.room,
            door: Door::WebSocket,
            grant: entry.grant,
            subscribe: match join.subscribe {
                Subscribe::Auto => SubscribePolicy::All,
                Subscribe::Manual => SubscribePolicy::Manual,
            },
            goes_direct: join.direct,
            outbox: self.outbox.clone(),
            request: id,
            resume_key,
            http: None,
        };
        // Before the client can know the key, so that it is known here as soon as it is shown.
        if let Some(key) = resume_key {
            self.serve(key);
        }
        let joined = self.context.sessions.join(request).await;
        if joined.is_err()
            && let Some(key) = self.resume_key.take()
        {
            self.context.sessions.end_line(key);
        }
        self.membership = Some(joined?);
        Ok(())
    }

    /// Goes on where another WebSocket broke. The reply is the first message, what the client has
    /// missed follows.
    async fn resume(
        &mut self,
        id: Option<u64>,
        resume: request::Resume,
    ) -> Result<(), SessionError> {
        if self.membership.is_some() {
            let detail = "this WebSocket serves a participant already";
            return Err(SessionError::new(ErrorCode::AlreadyJoined, detail));
        }
        let (key, parked) = self.context.sessions.resume(&resume.key, resume.received).await?;
        self.outbox.push(&Reply::Resumed { last_request: parked.last_request }.to(id));
        self.outbox.hand_over(parked.outbox.clone());
        self.outbox = parked.outbox;
        self.membership = Some(parked.membership);
        self.last_request = parked.last_request;
        self.serve(key);
        Ok(())
    }

    /// Serves the participant of `key` until this connection ends, or another one goes on.
    fn serve(&mut self, key: ResumeKey) {
        self.context.sessions.serve_line(key, Arc::clone(&self.released));
        self.resume_key = Some(key);
    }

    /// Whether this client may enter the room it asks for.
    fn entry(&self, join: &request::Join) -> Result<Entry, SessionError> {
        let caller = match (&join.token, &self.caller) {
            (None, Some(caller)) => caller.clone(),
            (token, _) => {
                let caller = access::identify_at(&self.context, self.address, token.as_deref());
                caller.map_err(|error| {
                    let wait = "too many tokens that do not count";
                    error.unwrap_or_else(|_| SessionError::new(ErrorCode::RateLimited, wait))
                })?
            }
        };
        access::enter(&caller, &join.room)
    }
}

fn not_joined() -> SessionError {
    SessionError::new(ErrorCode::NotJoined, "send a join first")
}
