//! One WebSocket: a reader that carries out one request after the other, and a writer that sends
//! what the outbox holds. Replies and events share the outbox, so their order is that of the
//! session layer.

use std::io::ErrorKind;
use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use actix_web::web::Data;
use actix_ws::{AggregatedMessage, AggregatedMessageStream, CloseReason, ProtocolError};
use sfu_core::command::SubscribePolicy;
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
    Outbox, OutboxItem, Reply, ServerEvent, SessionError, WireId, participant_id, publish_request,
    track_id,
};

/// Time for the closing handshake and for what is still unsent (RFC 6455 §7.1.1).
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

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
    // Ends when either side closed: the reader then has decided on a close code, which the writer
    // sends; or the writer has sent one, or lost the connection.
    let writer = write(&context, outbox, session);
    tokio::pin!(writer);
    let mut stream = stream;
    tokio::select! {
        () = &mut writer => {
            // The client's half of the closing handshake. Reading on also keeps what it is still
            // sending from resetting the connection before it has seen the close frame.
            drop(connection);
            let rest = async { while let Some(Ok(_)) = stream.recv().await {} };
            let _ = tokio::time::timeout(CLOSE_PATIENCE, rest).await;
        }
        () = connection.read_until_stopped(&mut stream) => {
            drop(connection);
            let _ = tokio::time::timeout(CLOSE_PATIENCE, writer).await;
        }
    }
    context.counters.websockets.fetch_sub(1, Ordering::Relaxed);
}

/// Sends what the outbox holds until it says to close, or the connection is gone.
async fn write(context: &Context, outbox: Outbox, mut session: actix_ws::Session) {
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
    /// Set by `join`. Dropping it leaves the room.
    membership: Option<Membership>,
    requests: Bucket,
    offers: Bucket,
    direct_signals: Bucket,
    errors: Bucket,
    join_before: Instant,
}

impl Connection {
    /// Reads until one side closes or the server stops.
    async fn read_until_stopped(&mut self, stream: &mut AggregatedMessageStream) {
        let context = self.context.clone();
        let outbox = self.outbox.clone();
        tokio::select! {
            () = self.read(stream) => {}
            // Whoever is in a room is told by the session layer; this is for the others.
            () = context.sessions.stopped() => {
                outbox.push(&Json::of(&ServerEvent::Draining {}));
                outbox.close(CloseCode::Draining, "the server is shutting down");
            }
        }
    }

    /// Reads until one side closes.
    async fn read(&mut self, stream: &mut AggregatedMessageStream) {
        loop {
            let mut deadline = Instant::now() + limits::IDLE_MAX;
            if self.membership.is_none() {
                deadline = deadline.min(self.join_before);
            }
            let message = match timeout_at(deadline, stream.recv()).await {
                Err(_) if self.membership.is_none() => {
                    return self.outbox.close(CloseCode::Timeout, "no join in time");
                }
                Err(_) => return self.outbox.close(CloseCode::Timeout, "no sign of life"),
                Ok(None) => return,
                Ok(Some(Err(error))) => return self.close_for(&error),
                Ok(Some(Ok(message))) => message,
            };
            match message {
                AggregatedMessage::Text(frame) => self.handle_frame(&frame).await,
                AggregatedMessage::Binary(_) => {
                    return self.outbox.close(CloseCode::Binary, "binary frames are not used");
                }
                AggregatedMessage::Ping(payload) => {
                    if !self.requests.take(Instant::now()) {
                        return self.outbox.close(CloseCode::Policy, "too many pings");
                    }
                    if self.session.pong(&payload).await.is_err() {
                        return;
                    }
                }
                AggregatedMessage::Pong(_) => {}
                AggregatedMessage::Close(_) => {
                    if let Some(membership) = self.membership.take() {
                        membership.leave();
                    }
                    return self.outbox.close(CloseCode::Left, "");
                }
            }
            if self.outbox.is_closing() {
                return;
            }
        }
    }

    fn close_for(&self, error: &ProtocolError) {
        let (code, reason) = match error {
            ProtocolError::Overflow => (CloseCode::TooBig, "a message is over 256 KiB"),
            // What actix-ws makes of text that is not UTF-8.
            ProtocolError::Io(e) if e.kind() == ErrorKind::InvalidData => {
                (CloseCode::NotUtf8, "text must be UTF-8")
            }
            // And of too long a fragmented message. A broken connection looks the same and is
            // told nothing anyway.
            ProtocolError::Io(_) => (CloseCode::TooBig, "a message is over 256 KiB"),
            _ => (CloseCode::ProtocolError, "not RFC 6455"),
        };
        self.outbox.close(code, reason);
    }

    /// Answers one request, once.
    async fn handle_frame(&mut self, frame: &str) {
        let now = Instant::now();
        let (id, result) = if self.requests.take(now) {
            match request::parse(frame) {
                (id, Ok(request)) => (id, self.handle_request(id, request).await),
                (id, Err(error)) => (id, Err(error)),
            }
        } else {
            let error = SessionError::new(ErrorCode::RateLimited, "too many requests");
            (request::parse(frame).0, Err(error))
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
            Request::Ping(_) | Request::Join(_) | Request::Leave(_) => {
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
            http: None,
        };
        self.membership = Some(self.context.sessions.join(request).await?);
        Ok(())
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
