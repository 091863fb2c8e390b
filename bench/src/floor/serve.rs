//! F1 and F2 as programs: a socket, destinations, and the loop.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use sfu_core::rtp::packet::RtpPacket;
use socket2::SockRef;

use super::forge::{Forge, Original};
use super::{JOIN, Kind};
use crate::sys::{ReceiveBatch, SendBatch, offer_stamps_and_gro};

/// Messages of one `sendmmsg`.
const MESSAGES: usize = 64;
/// Runs received at a time.
const RECEIVED_RUNS: usize = 64;
/// Bytes gathered before they are sent: what is built is still in the cache when the kernel reads.
const GATHERED_BYTES: usize = 256 * 1024;
/// Segments of one message: the kernel's limit.
const SEGMENTS_MAX: usize = 64;
/// Bytes of one message: an IP packet's, rounded down.
const RUN_BYTES_MAX: usize = 65_000;
/// Asked of the kernel, as the server does.
const KERNEL_BUFFER_BYTES: usize = 4 * 1024 * 1024;
/// Length of the SRTP tag that published packets end with (RFC 7714 §12).
const TAG_BYTES: usize = 16;

/// Which floor to be.
#[derive(Clone, Copy, Debug, Args)]
pub struct FloorArgs {
    /// Which floor.
    kind: Kind,
    /// Address to receive at.
    #[arg(long, default_value_t = Ipv4Addr::LOCALHOST)]
    address: Ipv4Addr,
    /// Its port; 0 takes a free one. The line printed at start says which.
    #[arg(long, default_value_t = 0)]
    port: u16,
}

/// Prints the address, then forwards until standard input ends.
#[allow(clippy::print_stdout, reason = "it is how its parent learns the address")]
pub fn serve(args: &FloorArgs) -> Result<()> {
    let socket = UdpSocket::bind((args.address, args.port))?;
    SockRef::from(&socket).set_send_buffer_size(KERNEL_BUFFER_BYTES)?;
    SockRef::from(&socket).set_recv_buffer_size(KERNEL_BUFFER_BYTES)?;
    offer_stamps_and_gro(&socket)?;
    println!("{}", socket.local_addr()?);
    std::io::stdout().flush()?;
    // Whoever started this holds the other end: however it ends, this ends with it.
    std::thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(0);
    });
    let mut floor = Floor {
        kind: args.kind,
        address: args.address,
        socket,
        destinations: Vec::new(),
        forge: Forge::new(0)?,
        batch: SendBatch::new(MESSAGES),
        received: Vec::new(),
    };
    let mut receive = ReceiveBatch::new(RECEIVED_RUNS);
    loop {
        floor.turn(&mut receive)?;
    }
}

struct Floor {
    kind: Kind,
    address: Ipv4Addr,
    socket: UdpSocket,
    destinations: Vec<SocketAddrV4>,
    forge: Forge,
    batch: SendBatch,
    /// What the turn received.
    received: Vec<Packet>,
}

struct Packet {
    marker: bool,
    sequence: u16,
    timestamp: u32,
    payload: Vec<u8>,
}

impl Floor {
    /// Waits for packets, takes all that are there, and sends every copy.
    fn turn(&mut self, receive: &mut ReceiveBatch) -> Result<()> {
        let mut joined = Vec::new();
        let mut count = 0;
        let received = &mut self.received;
        receive.receive(&self.socket, |run| {
            for datagram in run.iter() {
                if datagram.first() == Some(&JOIN) {
                    joined.push(run.port);
                } else if let Ok(packet) = RtpPacket::parse(datagram) {
                    if count == received.len() {
                        let payload = Vec::new();
                        received.push(Packet { marker: false, sequence: 0, timestamp: 0, payload });
                    }
                    let slot = &mut received[count];
                    let payload = packet.payload();
                    slot.payload.clear();
                    slot.payload
                        .extend_from_slice(&payload[..payload.len().saturating_sub(TAG_BYTES)]);
                    slot.marker = packet.marker();
                    slot.sequence = packet.sequence();
                    slot.timestamp = packet.timestamp();
                    count += 1;
                }
            }
        })?;
        for port in joined {
            self.join(SocketAddrV4::new(self.address, port))?;
        }
        match self.kind {
            Kind::F1 => self.send_singly(count),
            Kind::F2 => self.send_in_runs(count),
        }
    }

    fn join(&mut self, destination: SocketAddrV4) -> Result<()> {
        if !self.destinations.contains(&destination) {
            self.destinations.push(destination);
            self.forge.add_destination()?;
        }
        // So that its owner knows.
        self.socket.send_to(&[JOIN], destination).context("answering a destination")?;
        Ok(())
    }

    fn send_singly(&mut self, count: usize) -> Result<()> {
        for at in 0..count {
            for destination in 0..self.destinations.len() {
                let start = self.forge.arena.len();
                let length = self.forge.build(destination, self.received[at].original())?;
                self.push(destination, start, length)?;
            }
        }
        self.flush()
    }

    fn send_in_runs(&mut self, count: usize) -> Result<()> {
        for destination in 0..self.destinations.len() {
            let mut run_start = self.forge.arena.len();
            let mut segment = 0;
            for at in 0..count {
                let start = self.forge.arena.len();
                let length = self.forge.build(destination, self.received[at].original())?;
                ensure!(length <= RUN_BYTES_MAX, "a datagram of {length} bytes");
                let run_bytes = start - run_start;
                let joins = run_bytes > 0
                    && length <= segment
                    && run_bytes.is_multiple_of(segment)
                    && run_bytes / segment < SEGMENTS_MAX
                    && run_bytes + length <= RUN_BYTES_MAX;
                if !joins {
                    if run_bytes > 0 {
                        self.enqueue(destination, run_start..start, segment);
                        if self.batch.is_full() {
                            self.batch.flush(&self.socket, &self.forge.arena)?;
                        }
                    }
                    (run_start, segment) = (start, length);
                }
            }
            let length = self.forge.arena.len() - run_start;
            if length > 0 {
                self.enqueue(destination, run_start..run_start + length, segment);
                if self.batch.is_full() || self.forge.arena.len() >= GATHERED_BYTES {
                    self.flush()?;
                }
            }
        }
        self.flush()
    }

    fn push(&mut self, destination: usize, start: usize, length: usize) -> Result<()> {
        self.enqueue(destination, start..start + length, length);
        if self.batch.is_full() {
            self.flush()?;
        }
        Ok(())
    }

    fn enqueue(&mut self, destination: usize, range: std::ops::Range<usize>, segment: usize) {
        let segment = u16::try_from(segment).expect("no datagram is longer");
        self.batch.push(self.destinations[destination], range, segment);
    }

    fn flush(&mut self) -> Result<()> {
        self.batch.flush(&self.socket, &self.forge.arena)?;
        self.forge.arena.clear();
        Ok(())
    }
}

impl Packet {
    fn original(&self) -> Original<'_> {
        let &Self { marker, sequence, timestamp, .. } = self;
        Original { marker, sequence, timestamp, payload: &self.payload }
    }
}
