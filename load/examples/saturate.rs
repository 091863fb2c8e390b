//! What receiving costs the generator, against a sender that does nothing but seal packets and send
//! them in runs (UDP_SEGMENT): if receiving is cheaper than that, no server can be too fast for it.
//!
//!     cargo run --release -p sfu-load --example saturate -- [clients] [packets of a run] [rounds]

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use quinn_udp::{Transmit, UdpSocketState};
use sfu_load::account::Source;
use sfu_load::sdp::AnswerLine;
use sfu_load::wire::header::{Template, extension};
use sfu_load::wire::stamp::Stamp;
use sfu_load::wire::{Keys, MasterKey, Profile, Sealer};
use sfu_load::{Fleet, FleetConfig, thread_cpu_ns};

/// As they leave, tag included.
const PACKET_BYTES: usize = 1200;
/// Runs that may wait for one client: more do not fit its socket's buffer.
const RUNS_AT_ONCE: usize = 8;
/// Times that all of that is sent in a round.
const REPEATS: usize = 20;

/// Who sends, and with what.
struct Sender {
    socket: UdpSocket,
    state: UdpSocketState,
    template: Template,
    source: Arc<Source>,
    datagrams: Vec<u8>,
    packet: Vec<u8>,
}

struct Receiver {
    address: SocketAddr,
    sealer: Sealer,
    index: u64,
}

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1).map(|word| word.parse::<usize>());
    let mut next = |default| arguments.next().unwrap_or(Ok(default));
    let (clients, run, rounds) = (next(200)?, next(8)?.clamp(1, 40), next(6)?);
    println!("{clients} clients, runs of {run} packets of {PACKET_BYTES} bytes");
    println!(
        "| round | sender, ns per packet | receiver, ns | datagrams per call | receiver ÷ sender |"
    );
    println!("|---|---|---|---|---|");

    let config = FleetConfig { bind: Ipv4Addr::LOCALHOST.into(), ..FleetConfig::default() };
    let fleet = Fleet::start(config)?;
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let mut receivers = Vec::new();
    for _ in 0..clients {
        receivers.push(receiver(&fleet, socket.local_addr()?)?);
    }
    let mut sender = Sender {
        state: UdpSocketState::new((&socket).into())?,
        socket,
        template: Template::new(96, 5, &[(extension::TRANSPORT, &[0, 0])]),
        source: fleet.sources.add(),
        datagrams: Vec::new(),
        packet: Vec::new(),
    };
    for round in 0..=rounds {
        let before = fleet.used();
        let mut sender_ns = 0;
        for _ in 0..REPEATS {
            let began = thread_cpu_ns();
            for _ in 0..RUNS_AT_ONCE {
                for receiver in &mut receivers {
                    sender.send_run(receiver, run, fleet.clock().wall_ns(Instant::now()))?;
                }
            }
            sender_ns += thread_cpu_ns() - began;
            let sent = sender.source.sent();
            wait_until(|| fleet.used().counters.datagrams >= sent)?;
        }
        // Counters are shown at each tick; one more shows the last of the CPU time.
        std::thread::sleep(Duration::from_millis(30));
        let used = fleet.used().counters.since(before.counters);
        let packets = (clients * run * RUNS_AT_ONCE * REPEATS) as f64;
        let (sending, receiving) = (sender_ns as f64 / packets, used.cpu_ns as f64 / packets);
        let per_call = used.datagrams as f64 / used.receive_calls as f64;
        anyhow::ensure!(used.delivered as f64 == packets, "lost: {used:?}");
        // The first warms up.
        if round > 0 {
            let ratio = receiving / sending;
            println!("| {round} | {sending:.0} | {receiving:.0} | {per_call:.1} | {ratio:.2} |");
        }
    }
    Ok(())
}

/// A client of the fleet, and what a sender needs for it.
fn receiver(fleet: &Fleet, sender: SocketAddr) -> anyhow::Result<Receiver> {
    let crypto = rtc_crypto::default_provider().ok().context("no crypto")?;
    let master = || MasterKey {
        key: rand::random::<[u8; 16]>().to_vec(),
        salt: rand::random::<[u8; 12]>().to_vec(),
    };
    let (ours, theirs) = (master(), master());
    let keys = |outgoing: &MasterKey, incoming: &MasterKey| Keys {
        profile: Profile::Gcm,
        outgoing: outgoing.clone(),
        incoming: incoming.clone(),
        crypto: crypto.clone(),
    };
    let line = AnswerLine { ssrc: Some(5), transport_id: Some(4), ..AnswerLine::default() };
    let address = fleet.keyed(sender, &keys(&theirs, &ours), &[line])?;
    Ok(Receiver { address, sealer: keys(&ours, &theirs).sealer()?, index: 0 })
}

impl Sender {
    fn send_run(&mut self, to: &mut Receiver, run: usize, due_ns: u64) -> anyhow::Result<()> {
        self.datagrams.clear();
        for _ in 0..run {
            let (packet, number) = (&mut self.packet, to.index as u16);
            packet.clear();
            self.template.write(packet, number, 0, false, number);
            packet.resize(PACKET_BYTES - Profile::Gcm.tag_bytes(), 0xa5);
            let sequence = self.source.next();
            Stamp { source: self.source.id, sequence, due_ns }.write(packet);
            to.sealer.seal(packet, self.template.len(), to.index);
            self.datagrams.extend_from_slice(packet);
            to.index += 1;
        }
        let transmit = Transmit {
            destination: to.address,
            ecn: None,
            contents: &self.datagrams,
            segment_size: Some(PACKET_BYTES),
            src_ip: None,
        };
        self.state.try_send((&self.socket).into(), &transmit)?;
        Ok(())
    }
}

fn wait_until(condition: impl Fn() -> bool) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        anyhow::ensure!(Instant::now() < deadline, "packets were lost on the way");
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}
