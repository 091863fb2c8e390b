//! What waits to be sent to one client. Bounded: a client that reads too slowly is closed, and
//! before that loses what may be lost.

use std::collections::VecDeque;
use std::sync::Arc;

use bytestring::ByteString;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::message::Json;
use crate::limits;

/// The sending end of a participant's events. Cheap to clone. A door without events (WHIP, WHEP)
/// has one that forgets everything.
#[derive(Clone, Default)]
pub(crate) struct Outbox(Option<Arc<Inner>>);

impl std::fmt::Debug for Outbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Outbox")
    }
}

#[derive(Default)]
struct Inner {
    queue: Mutex<Queue>,
    /// Something was added, or the end was decided.
    changed: Notify,
    /// Wakes a writer that is stuck in a write, once nothing more is worth writing.
    aborted: Notify,
}

#[derive(Default)]
struct Queue {
    frames: VecDeque<ByteString>,
    bytes: usize,
    closing: Option<Closing>,
    is_aborted: bool,
    sent: Sent,
    /// Whose items follow once nothing waits here.
    successor: Option<Outbox>,
}

/// What was given to the writer: whether it arrived is known when another WebSocket goes on.
#[derive(Default)]
struct Sent {
    /// Messages in all.
    count: u64,
    is_kept: bool,
    /// The last of them.
    frames: VecDeque<ByteString>,
    bytes: usize,
}

impl Sent {
    fn note(&mut self, frame: &ByteString) {
        self.count += 1;
        if !self.is_kept {
            return;
        }
        self.bytes += frame.len();
        self.frames.push_back(frame.clone());
        while self.frames.len() > limits::SENT_FRAMES_MAX || self.bytes > limits::SENT_BYTES_MAX {
            let Some(oldest) = self.frames.pop_front() else { break };
            self.bytes -= oldest.len();
        }
    }
}

/// The next thing for the writer.
#[derive(Debug)]
pub(crate) enum OutboxItem {
    Frame(ByteString),
    /// What follows comes from here.
    Continue(Outbox),
    /// The last item.
    Close(Closing),
}

/// Why and how a connection is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Closing {
    pub(crate) code: CloseCode,
    pub(crate) reason: &'static str,
}

/// The close codes of `docs/protocol.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "documented in docs/protocol.md")]
pub(crate) enum CloseCode {
    Left,
    Draining,
    ProtocolError,
    Binary,
    NotUtf8,
    Policy,
    TooBig,
    Internal,
    ServerFull,
    Kicked,
    Timeout,
    RoomClosed,
    Unauthorized,
    Replaced,
    RoomLocked,
}

impl CloseCode {
    /// The number on the wire.
    pub(crate) const fn number(self) -> u16 {
        match self {
            Self::Left => 1000,
            Self::Draining => 1001,
            Self::ProtocolError => 1002,
            Self::Binary => 1003,
            Self::NotUtf8 => 1007,
            Self::Policy => 1008,
            Self::TooBig => 1009,
            Self::Internal => 1011,
            Self::ServerFull => 1013,
            Self::Kicked => 4403,
            Self::Timeout => 4408,
            Self::RoomClosed => 4410,
            Self::Unauthorized => 4401,
            Self::Replaced => 4409,
            Self::RoomLocked => 4423,
        }
    }
}

impl Outbox {
    /// An outbox whose items are fetched with [`Outbox::next`].
    pub(crate) fn new() -> Self {
        Self(Some(Arc::default()))
    }

    /// Adds a message that must arrive. If there is no room for it, the client is too slow and is
    /// closed. Returns false in that very case.
    pub(crate) fn push(&self, message: &Json) -> bool {
        let Some(inner) = &self.0 else { return true };
        let mut queue = inner.queue.lock();
        if queue.closing.is_some() {
            return true;
        }
        let frame = message.frame();
        // What waits already counts, not this message: `joined` may be as long as the room is full.
        let fits = queue.bytes < limits::OUTBOX_BYTES_MAX
            && queue.frames.len() < limits::OUTBOX_FRAMES_MAX;
        if fits {
            queue.bytes += frame.len();
            queue.frames.push_back(frame);
        } else {
            queue.frames.clear();
            queue.bytes = 0;
            queue.is_aborted = true;
            queue.closing = Some(Closing { code: CloseCode::Policy, reason: "reads too slowly" });
            inner.aborted.notify_one();
        }
        drop(queue);
        inner.changed.notify_one();
        fits
    }

    /// Adds a message that may be lost: it is, while much is waiting already.
    pub(crate) fn push_lossy(&self, message: &Json) {
        let Some(inner) = &self.0 else { return };
        let has_room = {
            let queue = inner.queue.lock();
            queue.bytes + message.len() <= limits::OUTBOX_LOSSY_BYTES_MAX
                && queue.frames.len() < limits::OUTBOX_FRAMES_MAX / 2
        };
        if has_room {
            self.push(message);
        }
    }

    /// Closes the connection once everything waiting has been sent. The first call counts.
    pub(crate) fn close(&self, code: CloseCode, reason: &'static str) {
        let Some(inner) = &self.0 else { return };
        let mut queue = inner.queue.lock();
        queue.closing.get_or_insert(Closing { code, reason });
        drop(queue);
        inner.changed.notify_one();
    }

    /// From now on keeps the last of what is sent, for [`Outbox::rewind`].
    pub(crate) fn keep_sent(&self) {
        if let Some(inner) = &self.0 {
            inner.queue.lock().sent.is_kept = true;
        }
    }

    /// Makes everything after the first `received` messages wait again, for another writer. False if
    /// that is not kept any more, or the end was decided.
    pub(crate) fn rewind(&self, received: u64) -> bool {
        let Some(inner) = &self.0 else { return false };
        let mut queue = inner.queue.lock();
        let Queue { frames, bytes, closing, sent, .. } = &mut *queue;
        let missing = sent.count.checked_sub(received).and_then(|n| usize::try_from(n).ok());
        let Some(missing) = missing.filter(|&n| n <= sent.frames.len() && closing.is_none()) else {
            return false;
        };
        for _ in 0..missing {
            let frame = sent.frames.pop_back().expect("counted above");
            sent.bytes -= frame.len();
            *bytes += frame.len();
            frames.push_front(frame);
        }
        sent.count = received;
        true
    }

    /// Once nothing waits here, the writer goes on with `successor`.
    pub(crate) fn hand_over(&self, successor: Self) {
        let Some(inner) = &self.0 else { return };
        inner.queue.lock().successor = Some(successor);
        inner.changed.notify_one();
    }

    /// Whether the end was decided.
    pub(crate) fn is_closing(&self) -> bool {
        self.0.as_ref().is_some_and(|inner| inner.queue.lock().closing.is_some())
    }

    /// The next item, once there is one. For one writer.
    pub(crate) async fn next(&self) -> OutboxItem {
        let Some(inner) = &self.0 else { return std::future::pending().await };
        loop {
            {
                let mut queue = inner.queue.lock();
                if let Some(frame) = queue.frames.pop_front() {
                    queue.bytes -= frame.len();
                    queue.sent.note(&frame);
                    return OutboxItem::Frame(frame);
                }
                if let Some(successor) = &queue.successor {
                    return OutboxItem::Continue(successor.clone());
                }
                if let Some(closing) = &queue.closing {
                    return OutboxItem::Close(closing.clone());
                }
            }
            inner.changed.notified().await;
        }
    }

    /// Completes when the client was found too slow. For one writer.
    pub(crate) async fn aborted(&self) {
        let Some(inner) = &self.0 else { return std::future::pending().await };
        while !inner.queue.lock().is_aborted {
            inner.aborted.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(bytes: usize) -> Json {
        Json::of(&"x".repeat(bytes - 2))
    }

    #[tokio::test]
    async fn what_waits_is_sent_before_the_close() {
        let outbox = Outbox::new();
        assert!(outbox.push(&message(10)));
        outbox.close(CloseCode::Kicked, "removed");
        outbox.close(CloseCode::Internal, "too late to count");
        assert!(outbox.push(&message(10)), "ignored");
        assert!(matches!(outbox.next().await, OutboxItem::Frame(frame) if frame.len() == 10));
        let want = Closing { code: CloseCode::Kicked, reason: "removed" };
        assert!(matches!(outbox.next().await, OutboxItem::Close(closing) if closing == want));
    }

    async fn frame(outbox: &Outbox) -> String {
        match outbox.next().await {
            OutboxItem::Frame(frame) => frame.to_string(),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn what_did_not_arrive_is_sent_again_before_what_waits() {
        let outbox = Outbox::new();
        outbox.keep_sent();
        for n in 1..=4 {
            outbox.push(&Json::of(&n));
        }
        for n in 1..=3 {
            assert_eq!(frame(&outbox).await, n.to_string());
        }
        assert!(!outbox.rewind(4), "never sent");
        assert!(outbox.rewind(1));
        for n in 2..=4 {
            assert_eq!(frame(&outbox).await, n.to_string());
        }
        assert!(outbox.rewind(4), "all arrived");
        assert!(outbox.rewind(2), "and now not");
        assert_eq!(frame(&outbox).await, "3");
    }

    #[tokio::test]
    async fn only_the_last_messages_are_kept_and_none_unless_asked_for() {
        let outbox = Outbox::new();
        outbox.push(&message(10));
        frame(&outbox).await;
        outbox.keep_sent();
        assert!(!outbox.rewind(0), "not kept");
        for _ in 0..=limits::SENT_FRAMES_MAX {
            outbox.push(&message(10));
            frame(&outbox).await;
        }
        assert!(!outbox.rewind(1), "one too many");
        assert!(outbox.rewind(2));
        for _ in 0..limits::SENT_FRAMES_MAX {
            frame(&outbox).await;
        }
        outbox.push(&message(limits::SENT_BYTES_MAX + 1));
        frame(&outbox).await;
        let sent = 3 + limits::SENT_FRAMES_MAX as u64;
        assert!(!outbox.rewind(sent - 1), "too long");
        assert!(outbox.rewind(sent));
        outbox.close(CloseCode::Kicked, "removed");
        assert!(!outbox.rewind(sent), "the end was decided");
    }

    #[tokio::test]
    async fn a_successor_follows_what_waits() {
        let (first, second) = (Outbox::new(), Outbox::new());
        first.push(&message(10));
        first.hand_over(second);
        frame(&first).await;
        assert!(matches!(first.next().await, OutboxItem::Continue(_)));
    }

    #[tokio::test]
    async fn nothing_is_added_once_a_megabyte_waits() {
        let outbox = Outbox::new();
        assert!(outbox.push(&message(limits::OUTBOX_BYTES_MAX - 1)));
        assert!(outbox.push(&message(2 * limits::OUTBOX_BYTES_MAX)), "however long");
        assert!(!outbox.push(&message(2)));
        outbox.aborted().await;
        let OutboxItem::Close(closing) = outbox.next().await else { panic!("frames are gone") };
        assert_eq!(closing.code, CloseCode::Policy);
    }

    #[tokio::test]
    async fn lossy_messages_leave_half_of_the_room_to_others() {
        let outbox = Outbox::new();
        let quarter = message(limits::OUTBOX_BYTES_MAX / 4);
        for _ in 0..4 {
            outbox.push_lossy(&quarter);
        }
        assert!(outbox.push(&quarter) && outbox.push(&quarter), "only two were kept before");
        assert!(!outbox.push(&quarter));
    }

    #[tokio::test]
    async fn more_frames_than_the_bound_close_however_small() {
        let outbox = Outbox::new();
        for _ in 0..limits::OUTBOX_FRAMES_MAX {
            assert!(outbox.push(&message(2)));
        }
        assert!(!outbox.push(&message(2)));
    }
}
