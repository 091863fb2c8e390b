//! One WebSocket: a reader that carries out one request after the other, and a writer that sends
//! what the outbox holds. Replies and events share the outbox, so their order is that of the
//! session layer.

use std::io::ErrorKind;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use actix_web::web::Data;
use actix_ws::{AggregatedMessage, AggregatedMessageStream, CloseReason, ProtocolError};
use sfu_core::command::SubscribePolicy;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::preference;
use super::request::{self, DirectState, DirectWord, Request, Subscribe};
use crate::api::Context;
use crate::api::access::{self, Entry};
use crate::auth::Caller;
use crate::limits;
use crate::media::Impairment;
use crate::session::{
    Bucket, CloseCode, Closing, DataRequest, Door, ErrorCode, JoinRequest, Json, Membership,
    Outbox, OutboxItem, Parked, Reply, ResumeKey, ServerEvent, SessionError, WireId,
    participant_id, publish_request, track_id,
};

/// Time for the closing handshake and for what is still unsent (RFC 6455 §7.1.1).
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);
/// The close code of a client that has given up this WebSocket, not the call.
const GIVEN_UP: u16 = 4000;

/// Serves one WebSocket to its end.
pub(super) async fn run(
    context: Data<Context>,
    address: Option<IpAddr>,
    caller: Option<Caller>,
    session: actix_ws::Session,
    stream: AggregatedMessageStream,
) {
    context.counters.websockets.fetch_add(1, Ordering::Relaxed);
    let outbox = Outbox::new();
    let hello = ServerEvent::Hello {
        protocol: super::SUBPROTOCOL,
        version: env!("CARGO_PKG_VERSION"),
        ping_interval: limits::PING_INTERVAL.as_secs(),
    };
    outbox.push(&Json::of(&hello));
    let now = Instant::now();
    let message_rate = context.settings.now().limits.message_rate;
    let mut connection = Connection {
        address,
        caller,
        outbox: outbox.clone(),
        session: session.clone(),
        membership: None,
        resume_key: None,
        released: Arc::default(),
        last_request: None,
        requests: Bucket::new(message_rate, message_rate.saturating_mul(2), now),
        offers: Bucket::new(limits::OFFERS_PER_SECOND, limits::OFFERS_BURST, now),
        direct_signals: Bucket::new(
            limits::DIRECT_SIGNALS_PER_SECOND,
            limits::DIRECT_SIGNALS_BURST,
            now,
        ),
        errors: Bucket::new(limits::ERRORS_PER_SECOND, limits::ERRORS_BURST, now),
        join_before: now + limits::JOIN_DEADLINE,
        context,
    };
    let context = connection.context.clone();
    let released = Arc::clone(&connection.released);
    // Ends when either side closed: the reader then has decided on a close code, which the writer
    // sends; or the writer has sent one, or lost the connection.
    let mut writer = Box::pin(write(&context, outbox, session));
    let mut stream = stream;
    let (end, is_written) = {
        let reader = connection.read_until_stopped(&mut stream);
        tokio::pin!(reader);
        tokio::select! {
            end = &mut reader => (end, false),
            () = &mut writer => {
                // What is being carried out is carried out to its end, and its reply kept.
                released.notify_one();
                (reader.await, true)
            }
        }
    };
    match (end, is_written) {
        // Nothing is written any more: that is for the WebSocket which goes on.
        (End::Broken(close), _) => {
            drop(writer);
            connection.part(close).await;
        }
        (End::Over, true) => {
            // The client's half of the closing handshake. Reading on also keeps what it is still
            // sending from resetting the connection before it has seen the close frame.
            drop(connection);
            let rest = async { while let Some(Ok(_)) = stream.recv().await {} };
            let _ = tokio::time::timeout(CLOSE_PATIENCE, rest).await;
        }
        (End::Over, false) => {
            drop(connection);
            let _ = tokio::time::timeout(CLOSE_PATIENCE, writer).await;
        }
    }
    context.counters.websockets.fetch_sub(1, Ordering::Relaxed);
}

/// How the reader ended.
enum End {
    /// A close code was decided on, or the connection is gone with nobody to go on from it.
    Over,
    /// It broke, or another WebSocket goes on; with what to say to this one.
    Broken(Option<(CloseCode, &'static str)>),
}

/// Sends what the outbox holds until it says to close, or the connection is gone.
async fn write(context: &Context, mut outbox: Outbox, mut session: actix_ws::Session) {
    let mut pings = tokio::time::interval(limits::PING_INTERVAL);
    pings.reset();
    loop {
        let item = tokio::select! {
            item = outbox.next() => item,
            _ = pings.tick() => {
                if session.ping(b"").await.is_err() {
                    return;
                }
                continue;
            }
        };
        let sent = match item {
            OutboxItem::Frame(frame) => tokio::select! {
                sent = session.text(frame) => sent,
                () = outbox.aborted() => {
                    context.sessions.counters.slow_consumers.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
            },
            OutboxItem::Continue(successor) => {
                outbox = successor;
                continue;
            }
            OutboxItem::Close(Closing { code, reason }) => {
                let close = CloseReason {
                    code: code.number().into(),
                    description: Some(reason.to_owned()),
                };
                // A client too slow for its events may be too slow for this as well.
                let close = session.close(Some(close));
                let _ = tokio::time::timeout(CLOSE_PATIENCE, close).await;
                return;
            }
        };
        if sent.is_err() {
            return;
        }
    }
}

/// The reader's state.
struct Connection {
    context: Data<Context>,
    address: Option<IpAddr>,
    /// Who opened it, if it was opened with a token.
    caller: Option<Caller>,
    outbox: Outbox,
    /// For answers to pings only: everything else is the writer's.
    session: actix_ws::Session,
    /// Set by `join` and `resume`. Dropping it leaves the room.
    membership: Option<Membership>,
    /// What another WebSocket may go on with.
    resume_key: Option<ResumeKey>,
    /// Completes when another one goes on, or nothing can be written any more.
    released: Arc<Notify>,
    /// The last request that was carried out, or will be.
    last_request: Option<u64>,
    requests: Bucket,
    offers: Bucket,
    direct_signals: Bucket,
    errors: Bucket,
    join_before: Instant,
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Unless it was left to another one, it ends with this.
        if let Some(key) = self.resume_key {
            self.context.sessions.end_line(key);
        }
    }
}

impl Connection {
    /// Reads until one side closes or the server stops.
    async fn read_until_stopped(&mut self, stream: &mut AggregatedMessageStream) -> End {
        let context = self.context.clone();
        let outbox = self.outbox.clone();
        tokio::select! {
            end = self.read(stream) => end,
            // Whoever is in a room is told by the session layer; this is for the others.
            () = context.sessions.stopped() => {
                outbox.push(&Json::of(&ServerEvent::Draining {}));
                outbox.close(CloseCode::Draining, "the server is shutting down");
                End::Over
            }
        }
    }

    /// Reads until one side closes.
    async fn read(&mut self, stream: &mut AggregatedMessageStream) -> End {
        loop {
            let mut deadline = Instant::now() + limits::IDLE_MAX;
            if self.membership.is_none() {
                deadline = deadline.min(self.join_before);
            }
            let released = Arc::clone(&self.released);
            let message = tokio::select! {
                message = timeout_at(deadline, stream.recv()) => message,
                () = released.notified() => return self.broke(None),
            };
            let message = match message {
                Err(_) if self.membership.is_none() => {
                    return self.over(CloseCode::Timeout, "no join in time");
                }
                Err(_) => return self.broke(Some((CloseCode::Timeout, "no sign of life"))),
                Ok(None) => return self.broke(None),
                Ok(Some(Err(ProtocolError::Io(e)))) if is_lost(&e) => return self.broke(None),
                Ok(Some(Err(error))) => return self.close_for(&error),
                Ok(Some(Ok(message))) => message,
            };
            match message {
                AggregatedMessage::Text(frame) => self.handle_frame(&frame).await,
                AggregatedMessage::Binary(_) => {
                    return self.over(CloseCode::Binary, "binary frames are not used");
                }
                AggregatedMessage::Ping(payload) => {
                    if !self.requests.take(Instant::now()) {
                        return self.over(CloseCode::Policy, "too many pings");
                    }
                    if self.session.pong(&payload).await.is_err() {
                        return self.broke(None);
                    }
                }
                AggregatedMessage::Pong(_) => {}
                AggregatedMessage::Close(Some(reason)) if u16::from(reason.code) == GIVEN_UP => {
                    return self.broke(None);
                }
                AggregatedMessage::Close(_) => {
                    if let Some(membership) = self.membership.take() {
                        membership.leave();
                    }
                    return self.over(CloseCode::Left, "");
                }
            }
            if self.outbox.is_closing() {
                return End::Over;
            }
        }
    }

    /// Ends with a close code.
    fn over(&self, code: CloseCode, reason: &'static str) -> End {
        self.outbox.close(code, reason);
        End::Over
    }

    /// The connection is of no use any more: whoever may go on elsewhere stays for that.
    fn broke(&self, close: Option<(CloseCode, &'static str)>) -> End {
        if self.resume_key.is_some() && self.membership.is_some() && !self.outbox.is_closing() {
            return End::Broken(close);
        }
        if let Some((code, reason)) = close {
            self.outbox.close(code, reason);
        }
        End::Over
    }

    /// Leaves the participant to the WebSocket that will go on.
    async fn part(mut self, close: Option<(CloseCode, &'static str)>) {
        if let (Some(key), Some(membership)) = (self.resume_key.take(), self.membership.take()) {
            let parked =
                Parked { membership, outbox: self.outbox.clone(), last_request: self.last_request };
            self.context.sessions.park(key, parked);
        }
        let close = close.map(|(code, reason)| CloseReason {
            code: code.number().into(),
            description: Some(reason.to_owned()),
        });
        let _ = tokio::time::timeout(CLOSE_PATIENCE, self.session.clone().close(close)).await;
    }

    fn close_for(&self, error: &ProtocolError) -> End {
        let (code, reason) = match error {
            ProtocolError::Overflow => (CloseCode::TooBig, "a message is over 256 KiB"),
            // What actix-ws makes of text that is not UTF-8.
            ProtocolError::Io(e) if e.kind() == ErrorKind::InvalidData => {
                (CloseCode::NotUtf8, "text must be UTF-8")
            }
            // And of too long a fragmented message.
            ProtocolError::Io(_) => (CloseCode::TooBig, "a message is over 256 KiB"),
            _ => (CloseCode::ProtocolError, "not RFC 6455"),
        };
        self.over(code, reason)
    }

    /// Answers one request, once.
    async fn handle_frame(&mut self, frame: &str) {
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

/// Whether it is the connection that failed, and not what came over it.
fn is_lost(error: &std::io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<actix_web::error::PayloadError>())
}

fn not_joined() -> SessionError {
    SessionError::new(ErrorCode::NotJoined, "send a join first")
}
