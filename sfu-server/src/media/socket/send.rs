//! The way out: what is ready for many addresses goes to the kernel in as few calls as it takes,
//! each message a datagram or a run (UDP_SEGMENT).
//!
//! **Where the kernel refuses** to segment, the run goes out datagram by datagram; if that works,
//! it was not the address, and all runs go out so for a while. A kernel without `sendmmsg` gets one
//! message a call.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
#[cfg(target_os = "linux")]
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use arrayvec::ArrayVec;
use mio::Events;
use sfu_core::Transmit;

use super::{Bound, SocketStats, Sockets};

#[cfg(target_os = "linux")]
use super::sendmmsg::{MESSAGES_MAX, send_many};
#[cfg(not(target_os = "linux"))]
const MESSAGES_MAX: usize = 64;

/// The most that one message carries: an IP packet's 65,535 bytes with its headers.
const RUN_BYTES_MAX: usize = 65_000;
/// The most segments that every kernel with UDP_SEGMENT takes.
const SEGMENTS_MAX: usize = 64;
/// How long runs are sent datagram by datagram after the kernel refused to segment one: an
/// interface with a small MTU, a driver that promises too much.
const SEGMENTATION_REST: Duration = Duration::from_secs(10);
/// Longest wait for room in the kernel's send buffer, per batch; then datagrams are dropped.
const SEND_WAIT: Duration = Duration::from_millis(5);

/// One datagram, or several of equal size to one address, the last perhaps shorter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message<'a> {
    pub(super) remote: SocketAddr,
    pub(super) local: Option<IpAddr>,
    pub(super) contents: &'a [u8],
    pub(super) segment_bytes: u16,
}

/// Messages on their way into one call.
type Batch<'a> = ArrayVec<Message<'a>, MESSAGES_MAX>;

impl Message<'_> {
    /// Whether it has to be segmented.
    pub(super) fn is_run(&self) -> bool {
        self.contents.len() > usize::from(self.segment_bytes)
    }

    fn datagrams(&self) -> u64 {
        self.contents.len().div_ceil(usize::from(self.segment_bytes)) as u64
    }
}

impl Sockets {
    /// Sends a batch: each entry is a datagram or a run, see [`Transmit`].
    pub(in super::super) fn send<'a>(
        &mut self,
        now: Instant,
        batch: impl Iterator<Item = (&'a Transmit, &'a [u8])> + Clone,
    ) {
        let mut unsent = 0;
        for socket in &mut self.sockets {
            let is_ipv6 = socket.addr.is_ipv6();
            let own = batch.clone().filter(|(t, _)| t.path.remote.is_ipv6() == is_ipv6);
            socket.send(now, own, &mut self.stats);
        }
        if self.sockets.len() < 2 {
            unsent = batch.filter(|(t, _)| t.path.remote.is_ipv6()).count() as u64;
        }
        self.stats.send_errors += unsent;
    }
}

impl Bound {
    fn send<'a>(
        &mut self,
        now: Instant,
        batch: impl Iterator<Item = (&'a Transmit, &'a [u8])>,
        stats: &mut SocketStats,
    ) {
        let mut patience = SEND_WAIT;
        let mut messages = Batch::new();
        for (transmit, run) in batch {
            let Ok(segment_bytes @ 1..) = u16::try_from(transmit.segment_bytes) else {
                stats.send_errors += 1;
                continue;
            };
            for contents in run.chunks(self.message_bytes(now, transmit.segment_bytes)) {
                if messages.is_full() {
                    self.flush(now, &messages, &mut patience, stats);
                    messages.clear();
                }
                let (remote, local) = (transmit.path.remote, transmit.path.local);
                messages.push(Message { remote, local, contents, segment_bytes });
            }
        }
        self.flush(now, &messages, &mut patience, stats);
    }

    /// How many bytes one message may carry.
    fn message_bytes(&mut self, now: Instant, segment_bytes: usize) -> usize {
        let segment_bytes = segment_bytes.max(1);
        if self.segmentation_rests_until.is_some_and(|until| now >= until) {
            self.segmentation_rests_until = None;
        }
        let segments = match self.segments && self.segmentation_rests_until.is_none() {
            true => SEGMENTS_MAX.min(RUN_BYTES_MAX / segment_bytes).max(1),
            false => 1,
        };
        segments * segment_bytes
    }

    /// Has all these messages sent, or counts those that cannot be.
    fn flush(
        &mut self,
        now: Instant,
        messages: &[Message<'_>],
        patience: &mut Duration,
        stats: &mut SocketStats,
    ) {
        let mut rest = messages;
        while let Some((first, others)) = rest.split_first() {
            stats.send_calls += 1;
            match self.call(rest) {
                Ok(taken) => {
                    let (taken, left) = rest.split_at(taken.clamp(1, rest.len()));
                    taken.iter().for_each(|message| stats.count_sent(message));
                    rest = left;
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock && !patience.is_zero() => {
                    self.wait_writable(patience);
                }
                Err(e) if e.kind() != ErrorKind::WouldBlock && first.is_run() => {
                    self.send_singly(now, first, patience, stats);
                    rest = others;
                }
                Err(e) => {
                    stats.count_unsent(&e, first.datagrams());
                    rest = others;
                }
            }
        }
    }

    /// Sends a run that the kernel refused datagram by datagram. If the datagrams are taken, it
    /// was the segmentation.
    fn send_singly(
        &mut self,
        now: Instant,
        run: &Message<'_>,
        patience: &mut Duration,
        stats: &mut SocketStats,
    ) {
        stats.segmentation_refused += 1;
        let before = stats.send_errors;
        let mut messages = Batch::new();
        for contents in run.contents.chunks(usize::from(run.segment_bytes)) {
            if messages.is_full() {
                self.flush(now, &messages, patience, stats);
                messages.clear();
            }
            messages.push(Message { contents, ..*run });
        }
        self.flush(now, &messages, patience, stats);
        if stats.send_errors == before {
            self.segmentation_rests_until = Some(now + SEGMENTATION_REST);
        }
    }

    /// One system call; gives how many messages the kernel took, one or more.
    fn call(&mut self, messages: &[Message<'_>]) -> io::Result<usize> {
        #[cfg(target_os = "linux")]
        if self.sends_many {
            match send_many(self.io.as_fd(), messages) {
                Err(e) if e.kind() == ErrorKind::Unsupported => {
                    tracing::warn!("no sendmmsg here, one system call for each message: {e}");
                    self.sends_many = false;
                }
                result => return result,
            }
        }
        let Some(message) = messages.first() else { return Ok(0) };
        let transmit = quinn_udp::Transmit {
            destination: message.remote,
            ecn: None,
            contents: message.contents,
            segment_size: message.is_run().then_some(usize::from(message.segment_bytes)),
            src_ip: message.local,
        };
        self.state.try_send((&self.io).into(), &transmit).map(|()| 1)
    }

    /// Waits for room in the kernel's buffer, and takes the time from `patience`.
    fn wait_writable(&mut self, patience: &mut Duration) {
        let start = Instant::now();
        if let Err(e) = self.writable.poll(&mut Events::with_capacity(1), Some(*patience)) {
            tracing::debug!("waiting for room in the send buffer failed: {e}");
            *patience = Duration::ZERO;
        }
        // A millisecond at least: poll counts in those, and what has no room now will hardly have
        // it sooner.
        *patience = patience.saturating_sub(start.elapsed().max(Duration::from_millis(1)));
    }
}

impl SocketStats {
    fn count_sent(&mut self, message: &Message<'_>) {
        let datagrams = message.datagrams();
        self.messages_sent += 1;
        if message.is_run() {
            self.sent_in_runs += datagrams;
        } else {
            self.sent_singly += datagrams;
        }
    }

    fn count_unsent(&mut self, error: &io::Error, datagrams: u64) {
        if error.kind() == ErrorKind::WouldBlock {
            self.send_full += datagrams;
        } else {
            self.send_errors += datagrams;
        }
    }
}

#[cfg(test)]
mod tests;
