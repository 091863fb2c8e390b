//! [`Fleet`]: thousands of clients on a few threads. One thread takes clients through ICE and DTLS
//! (the lobby), the others receive; so a storm of joins does not keep anybody from receiving.

mod worker;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use self::worker::{Command, Mailbox, Shared, Worker};
use crate::account::{Counters, Delays, Sources};
use crate::client::{ClientId, ClientReport, Setup};
use crate::clock::Clock;
use crate::publish::{Port, Publisher, Stage};
use crate::sdp::{Answer, AnswerLine, Line};
use crate::wire::{Identity, Keys, Profile};

/// How a fleet works.
#[derive(Clone, Debug)]
pub struct FleetConfig {
    /// Threads that receive.
    pub threads: usize,
    /// One in so many payloads is decrypted, for delays and as a check; 1: all.
    pub open_one_in: u32,
    /// Each thread throws away one in so many video packets, which then have to come by NACK; 0:
    /// none.
    pub lose_one_in: u32,
    /// Between transport-wide feedback messages of a client; zero: no feedback at all.
    pub feedback: Duration,
    /// Whether missing packets are asked for.
    pub nack: bool,
    /// Where client sockets are bound.
    pub bind: IpAddr,
    /// SRTP profiles offered, the preferred one first.
    pub profiles: Vec<Profile>,
    /// A packet that takes longer than this is late.
    pub late_after: Duration,
}

impl Default for FleetConfig {
    fn default() -> Self {
        Self {
            threads: 1,
            open_one_in: 8,
            lose_one_in: 0,
            feedback: Duration::from_millis(100),
            nack: true,
            bind: Ipv4Addr::UNSPECIFIED.into(),
            profiles: vec![Profile::Gcm, Profile::Cm],
            late_after: Duration::from_millis(100),
        }
    }
}

/// See the module. Dropping it ends the threads.
pub struct Fleet {
    config: FleetConfig,
    clock: Clock,
    identity: Identity,
    /// What is published, by the names in stamps.
    pub sources: Sources,
    /// Where it is sent.
    pub stage: Stage,
    lobby: Worker,
    receivers: Vec<Worker>,
    next_client: AtomicU32,
}

/// A connected client. It goes on when this is dropped.
pub struct Member {
    /// Its name.
    pub id: ClientId,
    mailbox: Mailbox,
    /// What it publishes through, until that is taken.
    pub port: Option<Port>,
}

impl Member {
    /// Learns the SSRCs of a later answer.
    pub fn learn(&self, lines: Vec<AnswerLine>) {
        self.mailbox.send(Command::Learn(self.id, lines));
    }

    /// Says goodbye by DTLS and is no more; its account goes with it.
    pub fn leave(&self) {
        self.mailbox.send(Command::Leave(self.id));
    }
}

/// What all threads have counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct FleetUse {
    /// Of all threads.
    pub counters: Counters,
    /// CPU time of the busiest receiving thread, in nanoseconds.
    pub busiest_ns: u64,
    /// Clients that are connected.
    pub connected: usize,
    /// Clients that failed, or were ended by the server.
    pub over: usize,
}

impl Fleet {
    /// Starts the threads.
    pub fn start(config: FleetConfig) -> anyhow::Result<Self> {
        raise_descriptor_limit();
        let clock = Clock::start();
        let sources = Sources::default();
        let shared = Arc::new(Shared {
            clock,
            sources: sources.clone(),
            feedback: config.feedback,
            nack: config.nack,
            open_one_in: config.open_one_in,
            lose_one_in: config.lose_one_in,
            delays: Delays::new(config.late_after),
        });
        let mut receivers = Vec::new();
        for number in 0..config.threads.max(1) {
            let name = format!("load-{number}");
            receivers.push(Worker::start(&name, Arc::clone(&shared), Vec::new())?);
        }
        let mailboxes = receivers.iter().map(|worker| worker.mailbox.clone()).collect();
        Ok(Self {
            lobby: Worker::start("load-lobby", shared, mailboxes)?,
            receivers,
            stage: Stage::start(clock)?,
            identity: Identity::generate(&config.profiles)?,
            sources,
            clock,
            config,
            next_client: AtomicU32::new(0),
        })
    }

    /// The line of time of schedules and stamps.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// A client with these m-lines, which began to join at `started`.
    pub fn client(&self, lines: Vec<Line>, started: Instant) -> anyhow::Result<Setup> {
        let id = ClientId(self.next_client.fetch_add(1, Ordering::Relaxed));
        let feedback = self.stage.feedback(id);
        Setup::new(id, &self.identity, self.config.bind, lines, started, feedback)
    }

    /// Takes the server's answer and waits for ICE and DTLS.
    pub async fn connect(&self, setup: Setup, answer: &Answer) -> anyhow::Result<Member> {
        let id = setup.id();
        let (done, connected) = oneshot::channel();
        let client = Box::new(setup.answered(answer, done)?);
        self.lobby.mailbox.send(Command::Add(client));
        let port = connected.await.context("the load generator ended")??;
        let receiver = &self.receivers[id.0 as usize % self.receivers.len()];
        Ok(Member { id, mailbox: receiver.mailbox.clone(), port })
    }

    /// A client whose sender has no ICE and no DTLS: both were given `keys`. Its address is where
    /// the sender is to send to.
    pub fn keyed(
        &self,
        remote: SocketAddr,
        keys: &Keys,
        lines: &[AnswerLine],
    ) -> anyhow::Result<SocketAddr> {
        let setup = self.client(Vec::new(), Instant::now())?;
        let client = Box::new(setup.keyed(remote, keys, lines)?);
        let address = client.socket().local_addr()?;
        let receiver = &self.receivers[client.id.0 as usize % self.receivers.len()];
        receiver.mailbox.send(Command::Add(client));
        Ok(address)
    }

    /// Puts a publisher on the schedule.
    pub fn publish(&self, publisher: Publisher) {
        self.stage.publish(publisher);
    }

    /// Begins the measured time: accounts, delays and lag start anew.
    pub fn measure(&self) {
        self.stage.clear_lag();
        self.receivers.iter().for_each(|worker| worker.mailbox.send(Command::Measure));
    }

    /// Decrypts everything from now on: who wants to know of the last packet of each stream.
    pub fn open_all(&self) {
        self.receivers.iter().for_each(|worker| worker.mailbox.send(Command::OpenAll));
    }

    /// What all threads have counted so far, up to a few milliseconds ago.
    #[must_use]
    pub fn used(&self) -> FleetUse {
        let mut all = FleetUse::default();
        for worker in self.receivers.iter().chain([&self.lobby]) {
            let state = *worker.state.lock();
            all.counters = all.counters.plus(state.counters);
            all.over += state.over;
        }
        for worker in &self.receivers {
            let state = *worker.state.lock();
            all.busiest_ns = all.busiest_ns.max(state.counters.cpu_ns);
            all.connected += state.connected;
        }
        all
    }

    /// Every client's account, and the delays of all.
    pub async fn collect(&self) -> anyhow::Result<(Vec<ClientReport>, Delays)> {
        let mut reports = Vec::new();
        let mut delays = Delays::new(self.config.late_after);
        for worker in self.receivers.iter().chain([&self.lobby]) {
            let (done, collected) = oneshot::channel();
            worker.mailbox.send(Command::Collect(done));
            let (of_thread, delays_of_thread) =
                collected.await.context("a receiving thread has ended")?;
            reports.extend(of_thread);
            delays.add(&delays_of_thread);
        }
        reports.sort_by_key(|report| report.id);
        Ok((reports, delays))
    }
}

/// What a thread shows of itself.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct State {
    pub(crate) counters: Counters,
    pub(crate) connected: usize,
    pub(crate) over: usize,
}

pub(crate) type SharedState = Arc<Mutex<State>>;

/// Each client takes a descriptor; the soft limit is often 1024.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Without it, a client that gets no socket says so.
    _ = setrlimit(Resource::Nofile, limit);
}
