//! What crosses between workers: strays, news of whose paths are whose, and the relay of rooms that
//! are on several. Bounded queues, batches
//! in each entry, buffers handed back, and a wake-up only for a worker that may be asleep.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use mio::Waker;
use sfu_core::demux::PathChange;
use sfu_core::limits::RELAY_SPARE_MAX;
use sfu_core::relay::Message;

use super::strays::StrayBatch;
use crate::limits::{PATH_NEWS_MAX, RELAY_MESSAGES_MAX, STRAY_BATCHES_MAX};

/// Empty batches kept for the next strays; beyond it they are freed.
const EMPTY_BATCHES_MAX: usize = 32;

/// One worker's end: its own queues, and the way to all others.
pub(super) struct Crossing {
    own: u8,
    doors: Arc<[Door]>,
    news: Receiver<(u8, PathChange)>,
    strays: Receiver<(u8, StrayBatch)>,
    empty_batches: Receiver<StrayBatch>,
    relay: Receiver<(u8, Message)>,
    empty_messages: Receiver<Message>,
    pub(super) stats: CrossingStats,
}

/// What crossed, as one worker counts it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CrossingStats {
    /// Datagrams passed on to their owner.
    pub(crate) strays_out: u64,
    /// Datagrams that others passed on.
    pub(crate) strays_in: u64,
    /// Datagrams not passed on: the owner's queue was full.
    pub(crate) strays_dropped: u64,
    /// Batches they were passed on in.
    pub(crate) stray_batches: u64,
    /// News of paths that a worker had no room for: it has stood still for long.
    pub(crate) news_dropped: u64,
    /// Messages of the relay that were sent.
    pub(crate) relay_messages: u64,
    /// Bytes of packets in them.
    pub(crate) relay_bytes: u64,
    /// Times another worker was woken.
    pub(crate) wakes: u64,
}

/// One worker as the others reach it.
struct Door {
    news: Sender<(u8, PathChange)>,
    strays: Sender<(u8, StrayBatch)>,
    empty_batches: Sender<StrayBatch>,
    relay: Sender<(u8, Message)>,
    empty_messages: Sender<Message>,
    waker: Arc<Waker>,
    /// Set before the worker looks at its queues for the last time and then waits.
    may_sleep: AtomicBool,
}

/// The ends of as many workers as there are wakers.
pub(super) fn connect(wakers: &[Arc<Waker>]) -> Vec<Crossing> {
    let mut receivers = Vec::new();
    let mut doors = Vec::new();
    for waker in wakers {
        let (news, news_in) = bounded(PATH_NEWS_MAX);
        let (strays, strays_in) = bounded(STRAY_BATCHES_MAX);
        let (empty_batches, empty_in) = bounded(EMPTY_BATCHES_MAX);
        let (relay, relay_in) = bounded(RELAY_MESSAGES_MAX);
        let (empty_messages, empty_messages_in) = bounded(RELAY_SPARE_MAX);
        let (waker, may_sleep) = (Arc::clone(waker), AtomicBool::new(false));
        doors.push(Door { news, strays, empty_batches, relay, empty_messages, waker, may_sleep });
        receivers.push((news_in, strays_in, empty_in, relay_in, empty_messages_in));
    }
    let doors: Arc<[Door]> = doors.into();
    let end = |(own, (news, strays, empty_batches, relay, empty_messages))| {
        let (doors, stats) = (Arc::clone(&doors), CrossingStats::default());
        Crossing { own, doors, news, strays, empty_batches, relay, empty_messages, stats }
    };
    (0_u8..).zip(receivers).map(end).collect()
}

impl Crossing {
    /// Tells every other worker of one of the own engine's paths. They are not woken: the news
    /// matter when they have read something.
    pub(super) fn tell(&mut self, change: PathChange) {
        let Self { own, doors, stats, .. } = self;
        let others = (0_u8..).zip(doors.iter()).filter(|(worker, _)| worker != own);
        for (_, door) in others {
            if door.news.try_send((*own, change)).is_err() {
                stats.news_dropped += 1;
            }
        }
    }

    /// What others told, each with its worker.
    pub(super) fn next_news(&self) -> Option<(u8, PathChange)> {
        self.news.try_recv().ok()
    }

    /// Passes a batch on and leaves an empty one.
    pub(super) fn send_strays(&mut self, to: u8, batch: &mut StrayBatch) {
        let count = batch.len() as u64;
        let door = &self.doors[usize::from(to)];
        let empty = || self.empty_batches.try_recv().unwrap_or_default();
        if door.strays.is_full() {
            // The newest go: what has waited longer is worth more to who reassembles frames.
            self.stats.strays_dropped += count;
            batch.clear();
        } else if door.strays.try_send((self.own, std::mem::replace(batch, empty()))).is_ok() {
            self.stats.strays_out += count;
            self.stats.stray_batches += 1;
            self.wake(to);
        } else {
            self.stats.strays_dropped += count;
        }
    }

    /// A batch that another worker passed on, with that worker.
    pub(super) fn next_strays(&mut self) -> Option<(u8, StrayBatch)> {
        let (from, batch) = self.strays.try_recv().ok()?;
        self.stats.strays_in += batch.len() as u64;
        Some((from, batch))
    }

    /// Hands an empty batch back to whom it came from.
    pub(super) fn give_back(&self, to: u8, batch: StrayBatch) {
        // If it has enough of them, this one is freed.
        let _ = self.doors[usize::from(to)].empty_batches.try_send(batch);
    }

    /// Whether a message of the relay would find room.
    pub(super) fn takes_relay(&self, to: u8) -> bool {
        self.doors.get(usize::from(to)).is_some_and(|door| !door.relay.is_full())
    }

    /// Brings a message of the relay to another worker. Gives it back if there is no room after
    /// all: none may be lost.
    pub(super) fn send_relay(&mut self, to: u8, message: Message) -> Result<(), Message> {
        let Some(door) = self.doors.get(usize::from(to)) else {
            debug_assert!(false, "rooms are linked between these workers only");
            return Ok(());
        };
        let bytes = message.packets.bytes() as u64;
        match door.relay.try_send((self.own, message)) {
            Ok(()) => {}
            Err(TrySendError::Full((_, message))) => return Err(message),
            // That worker has ended, and so does the server.
            Err(TrySendError::Disconnected(_)) => return Ok(()),
        }
        self.stats.relay_messages += 1;
        self.stats.relay_bytes += bytes;
        self.wake(to);
        Ok(())
    }

    /// A message of the relay, with the worker it is from.
    pub(super) fn next_relay(&self) -> Option<(u8, Message)> {
        self.relay.try_recv().ok()
    }

    /// Hands a message that was read back to whom it came from.
    pub(super) fn give_back_message(&self, to: u8, message: Message) {
        // If it has enough of them, this one is freed.
        let _ = self.doors[usize::from(to)].empty_messages.try_send(message);
    }

    /// A message that another worker has read.
    pub(super) fn next_empty_message(&self) -> Option<Message> {
        self.empty_messages.try_recv().ok()
    }

    /// To be called before waiting. False if something has come that is not to wait; [`Self::woke`]
    /// is to be called afterwards in any case.
    pub(super) fn may_sleep(&self) -> bool {
        self.door().may_sleep.store(true, Ordering::SeqCst);
        // Pairs with the one in `wake`: either this worker sees the entry, or the other sees that
        // this one may sleep.
        fence(Ordering::SeqCst);
        self.strays.is_empty() && self.relay.is_empty()
    }

    /// The wait is over.
    pub(super) fn woke(&self) {
        self.door().may_sleep.store(false, Ordering::Relaxed);
    }

    fn wake(&mut self, to: u8) {
        fence(Ordering::SeqCst);
        let door = &self.doors[usize::from(to)];
        if door.may_sleep.load(Ordering::SeqCst) && door.may_sleep.swap(false, Ordering::SeqCst) {
            self.stats.wakes += 1;
            if let Err(e) = door.waker.wake() {
                tracing::warn!("cannot wake a media worker: {e}");
            }
        }
    }

    fn door(&self) -> &Door {
        &self.doors[usize::from(self.own)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use mio::{Events, Poll, Token};
    use sfu_core::transport::Path;

    use crate::media::strays::Sorting;

    fn path() -> Path {
        Path::udp(([192, 0, 2, 1], 5), None)
    }

    fn two() -> (Vec<Poll>, Crossing, Crossing) {
        let polls: Vec<Poll> = (0..2).map(|_| Poll::new().unwrap()).collect();
        let wakers: Vec<_> = polls
            .iter()
            .map(|poll| Arc::new(Waker::new(poll.registry(), Token(0)).unwrap()))
            .collect();
        let mut ends = connect(&wakers);
        let second = ends.pop().unwrap();
        (polls, ends.pop().unwrap(), second)
    }

    fn send(from: &mut Crossing, datagrams: usize) {
        let mut sorting = Sorting::new(2);
        for _ in 0..datagrams {
            assert!(sorting.add(1, path(), b"x").is_none());
        }
        sorting.waiting().for_each(|(to, batch)| from.send_strays(to, batch));
    }

    #[test]
    fn only_who_may_be_asleep_is_woken_and_once() {
        let (mut polls, mut first, mut second) = two();
        let mut events = Events::with_capacity(4);
        send(&mut first, 1);
        assert_eq!(first.stats.wakes, 0, "it is awake");
        assert!(!second.may_sleep(), "there is something to do");
        second.woke();
        assert!(second.next_strays().is_some());
        assert!(second.may_sleep());
        send(&mut first, 1);
        send(&mut first, 1);
        assert_eq!(first.stats.wakes, 1);
        polls[1].poll(&mut events, Some(Duration::from_secs(5))).unwrap();
        assert!(!events.is_empty());
    }

    #[test]
    fn a_full_queue_drops_the_newest_and_counts_them() {
        let (_polls, mut first, mut second) = two();
        for _ in 0..STRAY_BATCHES_MAX {
            send(&mut first, 2);
        }
        assert_eq!(first.stats.strays_dropped, 0);
        send(&mut first, 3);
        assert_eq!(first.stats.strays_dropped, 3);
        let mut came = 0;
        while let Some((from, mut batch)) = second.next_strays() {
            assert_eq!(from, 0);
            batch.drain(|_, _| came += 1);
            second.give_back(from, batch);
        }
        assert_eq!(came, 2 * STRAY_BATCHES_MAX);
        assert_eq!(first.stats.strays_out, second.stats.strays_in);
        assert_eq!(first.empty_batches.len(), EMPTY_BATCHES_MAX);
    }

    #[test]
    fn a_message_of_the_relay_is_kept_if_there_is_no_room_and_wakes() {
        let (_polls, mut first, second) = two();
        for _ in 0..RELAY_MESSAGES_MAX {
            assert!(first.takes_relay(1));
            assert!(first.send_relay(1, Message::default()).is_ok());
        }
        assert!(!first.takes_relay(1) && !first.takes_relay(2));
        assert!(first.send_relay(1, Message::default()).is_err());
        assert!(!second.may_sleep(), "there is something to do");
        second.woke();
        while let Some((from, message)) = second.next_relay() {
            second.give_back_message(from, message);
        }
        assert!(first.takes_relay(1) && second.may_sleep());
        assert!(first.send_relay(1, Message::default()).is_ok());
        assert_eq!((first.stats.relay_messages, first.stats.wakes), (65, 1));
        assert_eq!(std::iter::from_fn(|| first.next_empty_message()).count(), RELAY_SPARE_MAX);
    }

    #[test]
    fn everybody_else_hears_of_a_path() {
        let (_polls, mut first, second) = two();
        first.tell(PathChange::Learned(path()));
        assert_eq!(second.next_news(), Some((0, PathChange::Learned(path()))));
        assert_eq!((first.next_news(), second.next_news()), (None, None));
        (0..=PATH_NEWS_MAX).for_each(|_| first.tell(PathChange::Forgotten(path())));
        assert_eq!(first.stats.news_dropped, 1);
    }
}
