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
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::api::Context;
use crate::auth::Caller;
use crate::limits;
use crate::session::{
    Bucket, CloseCode, Closing, Json, Membership, Outbox, OutboxItem, Parked, ResumeKey,
    ServerEvent,
};

mod requests;

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
}

/// Whether it is the connection that failed, and not what came over it.
fn is_lost(error: &std::io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<actix_web::error::PayloadError>())
}
