//! [`Publisher`]: frames on a schedule that waits for nobody.

use std::net::{SocketAddr, SocketAddrV4, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use srtp::context::Context;

use super::drain::Stamps;
use crate::lean::Stream;
use crate::sys::{SendBatch, realtime_ns};

/// Length of the SRTP tag (RFC 7714 §12).
const TAG_BYTES: usize = 16;

/// Sends `frames_per_second` for `duration` from each publisher, their frames spread over the time
/// between two. Every frame leaves at its time, or as soon after it as this thread runs; none is
/// left out.
pub(super) fn publish(
    publishers: &mut [Publisher],
    frames_per_second: f64,
    duration: Duration,
) -> Result<()> {
    let start = Instant::now();
    let frames = (frames_per_second * duration.as_secs_f64()).ceil() as u32;
    let share = 1.0 / publishers.len() as f64;
    for frame in 0..frames {
        for (at, publisher) in publishers.iter_mut().enumerate() {
            let seconds = (f64::from(frame) + at as f64 * share) / frames_per_second;
            publisher.build()?;
            let due = start + Duration::from_secs_f64(seconds);
            if let Some(wait) = due.checked_duration_since(Instant::now()) {
                std::thread::sleep(wait);
            }
            publisher.send()?;
        }
    }
    Ok(())
}

pub(super) struct Publisher {
    socket: UdpSocket,
    to: SocketAddrV4,
    stream: Stream,
    /// `None` for a floor, which takes anything for sealed.
    seal: Option<Context>,
    /// Packets sent so far; their number, too.
    pub(super) sent: u32,
    stamps: Arc<Stamps>,
    batch: SendBatch,
    frame: Vec<u8>,
}

impl Publisher {
    pub(super) fn new(
        socket: UdpSocket,
        stream: Stream,
        seal: Option<Context>,
        stamps: Arc<Stamps>,
    ) -> Result<Self> {
        let SocketAddr::V4(to) = socket.peer_addr()? else { bail!("IPv4 only") };
        let (batch, frame) = (SendBatch::new(64), Vec::new());
        Ok(Self { socket, to, stream, seal, sent: 0, stamps, batch, frame })
    }

    /// Builds the next frame.
    fn build(&mut self) -> Result<()> {
        self.frame.clear();
        for part in 0..self.stream.frame_packets {
            let packet = self.stream.packet(self.sent.wrapping_add(part));
            match &mut self.seal {
                Some(seal) => self.frame.extend_from_slice(&seal.encrypt_rtp(&packet)?),
                None => {
                    self.frame.extend_from_slice(&packet);
                    self.frame.resize(self.frame.len() + TAG_BYTES, 0);
                }
            }
        }
        Ok(())
    }

    /// Sends it as one run: a frame arrives at once, as over a network that is faster than it.
    fn send(&mut self) -> Result<()> {
        let packets = self.stream.frame_packets as usize;
        let segment = u16::try_from(self.frame.len() / packets)?;
        let run_bytes = usize::from(segment) * (65_000 / usize::from(segment)).min(64);
        self.stamps.set(self.sent / self.stream.frame_packets, realtime_ns());
        let mut start = 0;
        while start < self.frame.len() {
            let end = self.frame.len().min(start + run_bytes);
            self.batch.push(self.to, start..end, segment);
            start = end;
        }
        self.batch.flush(&self.socket, &self.frame)?;
        self.sent += self.stream.frame_packets;
        Ok(())
    }
}
