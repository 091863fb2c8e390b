//! [`Worker`]: a thread with the sockets of many clients.

use std::collections::HashMap;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TryRecvError, unbounded};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use tokio::sync::oneshot;

use super::SharedState;
use crate::account::{Delays, Sources};
use crate::client::{Client, ClientId, ClientReport, Inbox, Tick};
use crate::clock::{Clock, thread_cpu_ns};
use crate::sdp::AnswerLine;

/// Between looks at timers.
const TICK: Duration = Duration::from_millis(10);
/// Pause before the next look at the sockets, so that one look finds much. Arrivals are stamped by
/// the kernel, so nothing seems later for it.
const LINGER: Duration = Duration::from_millis(1);
/// Between services of a client if it gives no feedback: checks and repeated flights.
const SERVICE_INTERVAL: Duration = Duration::from_millis(100);
const EVENTS_MAX: usize = 1024;
const WAKE: Token = Token(usize::MAX);

/// What all threads know.
pub(crate) struct Shared {
    pub(crate) clock: Clock,
    pub(crate) sources: Sources,
    pub(crate) feedback: Duration,
    pub(crate) nack: bool,
    pub(crate) open_one_in: u32,
    pub(crate) lose_one_in: u32,
    pub(crate) delays: Delays,
}

pub(crate) type Collected = (Vec<ClientReport>, Delays);

pub(crate) enum Command {
    Add(Box<Client>),
    Learn(ClientId, Vec<AnswerLine>),
    Leave(ClientId),
    Measure,
    OpenAll,
    Collect(oneshot::Sender<Collected>),
}

/// The way to a thread.
#[derive(Clone)]
pub(crate) struct Mailbox {
    commands: Sender<Command>,
    waker: Arc<Waker>,
}

impl Mailbox {
    pub(crate) fn send(&self, command: Command) {
        // Fails only if the thread has panicked; then what was to be answered is not.
        _ = self.commands.send(command);
        _ = self.waker.wake();
    }
}

/// See the module. Dropping it ends the thread, when nobody else can reach it.
pub(crate) struct Worker {
    pub(crate) mailbox: Mailbox,
    pub(crate) state: SharedState,
}

impl Worker {
    /// Starts the thread. One that is given the mailboxes of others hands its clients over when
    /// they are connected.
    pub(crate) fn start(
        name: &str,
        shared: Arc<Shared>,
        hand_over: Vec<Mailbox>,
    ) -> anyhow::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        let (commands, inbox) = unbounded();
        let state = SharedState::default();
        let delays = shared.delays.clone();
        let crew = Crew {
            poll,
            commands: inbox,
            hand_over,
            inbox: Inbox::new(shared.clock, shared.open_one_in, shared.lose_one_in, delays),
            shared,
            clients: Vec::new(),
            places: HashMap::new(),
            free: Vec::new(),
            phase: 0,
            attention: Vec::new(),
            state: Arc::clone(&state),
        };
        std::thread::Builder::new().name(name.into()).spawn(move || crew.run())?;
        Ok(Self { mailbox: Mailbox { commands, waker }, state })
    }
}

struct Crew {
    poll: Poll,
    commands: Receiver<Command>,
    hand_over: Vec<Mailbox>,
    shared: Arc<Shared>,
    inbox: Inbox,
    clients: Vec<Option<Box<Client>>>,
    places: HashMap<ClientId, usize>,
    free: Vec<usize>,
    /// Clients are served in turns, one share of them at each tick.
    phase: usize,
    /// Clients that miss something.
    attention: Vec<usize>,
    state: SharedState,
}

impl Crew {
    fn run(mut self) {
        let mut events = Events::with_capacity(EVENTS_MAX);
        let mut next_tick = Instant::now() + TICK;
        loop {
            let wait = next_tick.saturating_duration_since(Instant::now());
            if let Err(error) = self.poll.poll(&mut events, Some(wait))
                && error.kind() != std::io::ErrorKind::Interrupted
            {
                return;
            }
            let now = Instant::now();
            let mut woken = false;
            for event in &events {
                match event.token() {
                    WAKE => woken = true,
                    Token(place) => self.receive(now, place),
                }
            }
            let ticks = next_tick <= now;
            if (woken || ticks) && !self.obey(now) {
                return;
            }
            if ticks {
                // A thread that falls behind skips ticks: catching up would keep it behind.
                next_tick = now + TICK;
                self.tick(now);
            }
            if self.hand_over.is_empty() && !woken {
                std::thread::sleep(LINGER);
            }
        }
    }

    fn receive(&mut self, now: Instant, place: usize) {
        let Some(client) = self.clients.get_mut(place).and_then(Option::as_mut) else { return };
        client.receive(now, &mut self.inbox);
        if client.wants_attention() && !self.attention.contains(&place) {
            self.attention.push(place);
        }
        if !self.hand_over.is_empty() && client.is_connected() {
            self.hand_over(place);
        }
    }

    /// A connected client moves to the thread that receives for it.
    fn hand_over(&mut self, place: usize) {
        let Some(mut client) = self.remove(place) else { return };
        let to = client.id.0 as usize % self.hand_over.len();
        let notice = client.take_notice();
        self.hand_over[to].send(Command::Add(client));
        // Only now: what is asked of the client next is to find it there.
        if let Some((done, port)) = notice {
            // Whoever asked may have given up.
            _ = done.send(Ok(port));
        }
    }

    fn remove(&mut self, place: usize) -> Option<Box<Client>> {
        let client = self.clients.get_mut(place)?.take()?;
        self.places.remove(&client.id);
        self.free.push(place);
        let fd = client.socket().as_raw_fd();
        // Whatever it is registered for, closing ends it too.
        _ = self.poll.registry().deregister(&mut SourceFd(&fd));
        Some(client)
    }

    /// False when nobody can send commands any more.
    fn obey(&mut self, now: Instant) -> bool {
        loop {
            match self.commands.try_recv() {
                Ok(command) => self.obey_one(now, command),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn obey_one(&mut self, now: Instant, command: Command) {
        match command {
            Command::Add(client) => self.add(now, client),
            Command::Learn(id, lines) => {
                if let Some(client) = self.client(id) {
                    client.learn(&lines);
                }
            }
            Command::Leave(id) => {
                if let Some(mut client) =
                    self.places.get(&id).copied().and_then(|place| self.remove(place))
                {
                    client.close(now);
                }
            }
            Command::Measure => {
                self.inbox.delays.clear();
                self.clients.iter_mut().flatten().for_each(|client| client.measure());
            }
            Command::OpenAll => self.inbox.finish(),
            Command::Collect(done) => {
                let clients = self.clients.iter().flatten();
                let reports = clients.map(|client| client.report(&self.shared.sources)).collect();
                // Whoever asked may have given up.
                _ = done.send((reports, self.inbox.delays.clone()));
            }
        }
    }

    fn client(&mut self, id: ClientId) -> Option<&mut Box<Client>> {
        self.clients.get_mut(*self.places.get(&id)?)?.as_mut()
    }

    fn add(&mut self, now: Instant, mut client: Box<Client>) {
        let place = self.free.pop().unwrap_or(self.clients.len());
        let fd = client.socket().as_raw_fd();
        let registered =
            self.poll.registry().register(&mut SourceFd(&fd), Token(place), Interest::READABLE);
        if registered.is_err() {
            // Its join fails by the channel that is dropped with it.
            self.free.push(place);
            return;
        }
        client.drive(now);
        self.places.insert(client.id, place);
        if place == self.clients.len() {
            self.clients.push(None);
        }
        self.clients[place] = Some(client);
    }

    fn tick(&mut self, now: Instant) {
        let tick = Tick { feedback: !self.shared.feedback.is_zero(), nack: self.shared.nack };
        let interval = if tick.feedback { self.shared.feedback } else { SERVICE_INTERVAL };
        // A lobby's clients are all in the middle of something.
        let phases = if self.hand_over.is_empty() {
            ((interval.as_millis() / TICK.as_millis()) as usize).max(1)
        } else {
            1
        };
        self.phase = (self.phase + 1) % phases;
        let counters = &mut self.inbox.counters;
        for place in (self.phase..self.clients.len()).step_by(phases) {
            if let Some(client) = &mut self.clients[place] {
                client.service(now, tick, counters);
            }
        }
        let clients = &mut self.clients;
        self.attention.retain(|&place| {
            let Some(client) = clients.get_mut(place).and_then(Option::as_mut) else {
                return false;
            };
            client.tick(now, tick, counters);
            client.wants_attention()
        });
        counters.cpu_ns = thread_cpu_ns();
        let all = || self.clients.iter().flatten();
        let mut state = self.state.lock();
        state.counters = *counters;
        state.connected = all().filter(|client| client.is_connected() && !client.is_over()).count();
        state.over = all().filter(|client| client.is_over()).count();
    }
}
