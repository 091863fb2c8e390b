//! [`Stage`]: the thread on which all publishers keep their schedule, and [`Feedback`], by which
//! receivers tell it what servers ask for.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use parking_lot::Mutex;

use super::{Camera, Microphone, Port};
use crate::account::Delays;
use crate::client::ClientId;
use crate::clock::{Clock, thread_cpu_ns};

/// Requests that may wait; beyond it they are dropped, and servers ask again.
const COMMANDS_MAX: usize = 8192;
/// Numbers of one NACK that are looked at.
const NACKED_MAX: usize = 256;

enum Command {
    Start(Box<Publisher>),
    Stop(ClientId),
    StopAll(Sender<()>),
    Keyframe { client: ClientId, ssrc: u32 },
    Nack { client: ClientId, ssrc: u32, sequences: Vec<u16> },
    Demand { client: ClientId, wanted: Vec<bool> },
    ClearLag,
}

/// What one participant sends.
pub struct Publisher {
    /// Where it leaves.
    pub port: Port,
    /// Video, if it has any.
    pub camera: Option<Camera>,
    /// Sound, if it has any.
    pub microphone: Option<Microphone>,
}

/// How the thread fares.
#[derive(Clone, Debug)]
pub struct StageUse {
    /// Packets sent, retransmissions included.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Datagrams that the kernel did not take.
    pub errors: u64,
    /// From due to the beginning of sending: what the generator itself adds to delays.
    pub lag: Delays,
    /// CPU time of the thread, in nanoseconds.
    pub cpu_ns: u64,
}

/// See the module. Dropping it ends the thread.
pub struct Stage {
    commands: Option<Sender<Command>>,
    used: Arc<Mutex<StageUse>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// What servers ask of one client's publisher; goes nowhere for one that does not publish.
#[derive(Clone)]
pub struct Feedback {
    client: ClientId,
    commands: Option<Sender<Command>>,
}

impl Feedback {
    /// Nobody listens.
    #[must_use]
    pub fn nowhere(client: ClientId) -> Self {
        Self { client, commands: None }
    }

    /// The next frame of this encoding should be a key frame.
    pub fn keyframe(&self, ssrc: u32) {
        self.tell(|client| Command::Keyframe { client, ssrc });
    }

    /// These packets are missing.
    pub fn nack(&self, ssrc: u32, sequences: impl Iterator<Item = u16>) {
        self.tell(|client| {
            let sequences = sequences.take(NACKED_MAX).collect();
            Command::Nack { client, ssrc, sequences }
        });
    }

    /// Which encodings anybody wants.
    pub fn demand(&self, wanted: Vec<bool>) {
        self.tell(|client| Command::Demand { client, wanted });
    }

    fn tell(&self, command: impl FnOnce(ClientId) -> Command) {
        if let Some(commands) = &self.commands {
            // Full, or over: servers ask again.
            _ = commands.try_send(command(self.client));
        }
    }
}

impl Stage {
    /// Starts the thread.
    pub fn start(clock: Clock) -> anyhow::Result<Self> {
        let (commands, inbox) = bounded(COMMANDS_MAX);
        let used = Arc::new(Mutex::new(StageUse {
            packets: 0,
            bytes: 0,
            errors: 0,
            lag: Delays::new(std::time::Duration::from_millis(5)),
            cpu_ns: 0,
        }));
        let shared = Arc::clone(&used);
        let thread = std::thread::Builder::new().name("load-stage".into()).spawn(move || {
            let schedule = Schedule {
                clock,
                publishers: BTreeMap::new(),
                due: BinaryHeap::new(),
                used: shared,
            };
            schedule.run(&inbox);
        })?;
        Ok(Self { commands: Some(commands), used, thread: Some(thread) })
    }

    /// What is to be told of this client's publisher goes here.
    #[must_use]
    pub fn feedback(&self, client: ClientId) -> Feedback {
        Feedback { client, commands: self.commands.clone() }
    }

    /// Puts a publisher on the schedule.
    pub fn publish(&self, publisher: Publisher) {
        self.tell(Command::Start(Box::new(publisher)));
    }

    /// Takes one off.
    pub fn stop(&self, client: ClientId) {
        self.tell(Command::Stop(client));
    }

    /// Takes all off; when it returns, nothing more is sent.
    pub fn stop_all(&self) {
        let (done, waiting) = bounded(1);
        self.tell(Command::StopAll(done));
        // An error means that the thread is gone, and with it the publishers.
        _ = waiting.recv();
    }

    /// Forgets how late sending was so far.
    pub fn clear_lag(&self) {
        self.tell(Command::ClearLag);
    }

    /// How the thread fares.
    #[must_use]
    pub fn used(&self) -> StageUse {
        self.used.lock().clone()
    }

    fn tell(&self, command: Command) {
        if let Some(commands) = &self.commands {
            // Fails only if the thread has panicked, which its join tells.
            _ = commands.send(command);
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.stop_all();
        self.commands = None;
        if let Some(thread) = self.thread.take() {
            // Feedback may hold the channel open; the thread ends by itself then.
            if thread.is_finished() {
                _ = thread.join();
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Medium {
    Camera,
    Microphone,
}

struct Schedule {
    clock: Clock,
    publishers: BTreeMap<ClientId, Box<Publisher>>,
    due: BinaryHeap<Reverse<(Instant, ClientId, Medium)>>,
    used: Arc<Mutex<StageUse>>,
}

impl Schedule {
    fn run(mut self, inbox: &Receiver<Command>) {
        loop {
            let command = match self.due.peek() {
                Some(Reverse((due, ..))) => inbox.recv_deadline(*due),
                None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match command {
                Ok(command) => self.obey(command),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.send_due();
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Start(publisher) => self.start(publisher),
            Command::Stop(client) => _ = self.publishers.remove(&client),
            Command::StopAll(done) => {
                self.publishers.clear();
                self.due.clear();
                // Whoever asked may be gone.
                _ = done.send(());
            }
            Command::Keyframe { client, ssrc } => {
                if let Some(camera) = self.camera(client) {
                    camera.keyframe(ssrc);
                }
            }
            Command::Nack { client, ssrc, sequences } => {
                if let Some(publisher) = self.publishers.get_mut(&client)
                    && let Publisher { port, camera: Some(camera), .. } = &mut **publisher
                {
                    camera.retransmit(ssrc, &sequences, port);
                }
            }
            Command::Demand { client, wanted } => {
                if let Some(camera) = self.camera(client) {
                    camera.demand(&wanted);
                }
            }
            Command::ClearLag => self.used.lock().lag.clear(),
        }
    }

    fn camera(&mut self, client: ClientId) -> Option<&mut Camera> {
        self.publishers.get_mut(&client)?.camera.as_mut()
    }

    fn start(&mut self, publisher: Box<Publisher>) {
        let client = publisher.port.client;
        if let Some(camera) = &publisher.camera {
            self.due.push(Reverse((camera.due(), client, Medium::Camera)));
        }
        if let Some(microphone) = &publisher.microphone {
            self.due.push(Reverse((microphone.due(), client, Medium::Microphone)));
        }
        self.publishers.insert(client, publisher);
    }

    fn send_due(&mut self) {
        let mut now = Instant::now();
        while let Some(&Reverse((due, client, medium))) = self.due.peek()
            && due <= now
        {
            self.due.pop();
            let Some(publisher) = self.publishers.get_mut(&client) else { continue };
            let Publisher { port, camera, microphone } = &mut **publisher;
            let before = (port.sent, port.errors);
            let next = match (medium, camera, microphone) {
                (Medium::Camera, Some(camera), _) => {
                    camera.send_frame(&self.clock, port);
                    camera.due()
                }
                (Medium::Microphone, _, Some(microphone)) => {
                    microphone.send_packet(&self.clock, port);
                    microphone.due()
                }
                _ => continue,
            };
            self.due.push(Reverse((next, client, medium)));
            {
                let mut used = self.used.lock();
                used.lag.record((now - due).as_nanos() as u64);
                used.packets += port.sent.0 - before.0.0;
                used.bytes += port.sent.1 - before.0.1;
                used.errors += port.errors - before.1;
            }
            now = Instant::now();
        }
        self.used.lock().cpu_ns = thread_cpu_ns();
    }
}
