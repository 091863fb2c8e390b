//! [`Media`]: the thread that reads the socket, moves packets between clients and keeps the time.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use door::Role;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use str0m::Input;
use str0m::media::MediaKind;
use str0m::net::{Protocol, Receive};
use str0m::rtp::RtpPacket;

use crate::client::{Client, Heard};

/// Datagrams taken before watchers are polled.
const BATCH: usize = 64;
/// Commands come by a channel that does not wake the socket's wait.
const WAIT_MAX: Duration = Duration::from_millis(10);
const SOCKET_BUFFER: usize = 4 << 20;

pub(crate) enum Command {
    Join(Box<Client>),
    Leave(u64),
}

#[derive(Default)]
struct Room {
    publisher: Option<u64>,
    watchers: Vec<u64>,
}

pub(crate) struct Media {
    socket: UdpSocket,
    address: SocketAddr,
    commands: Receiver<Command>,
    clients: HashMap<u64, Client>,
    rooms: HashMap<String, Room>,
    client_by_address: HashMap<SocketAddr, u64>,
    /// Packets of a room not forwarded yet.
    packets: Vec<(u64, MediaKind, RtpPacket)>,
    /// Watchers that lack a picture.
    picture_wanted: Vec<u64>,
    /// Publishers to ask for one.
    to_ask: Vec<u64>,
}

impl Media {
    pub(crate) fn bind(address: SocketAddr, commands: Receiver<Command>) -> anyhow::Result<Self> {
        let socket = UdpSocket::bind(address).with_context(|| format!("binding {address}"))?;
        socket.set_nonblocking(true)?;
        let options = socket2::SockRef::from(&socket);
        options.set_recv_buffer_size(SOCKET_BUFFER)?;
        options.set_send_buffer_size(SOCKET_BUFFER)?;
        Ok(Self {
            socket,
            address,
            commands,
            clients: HashMap::new(),
            rooms: HashMap::new(),
            client_by_address: HashMap::new(),
            packets: Vec::new(),
            picture_wanted: Vec::new(),
            to_ask: Vec::new(),
        })
    }

    /// Ends when nobody is left to send commands.
    pub(crate) fn run(mut self) {
        let mut buffer = vec![0; 2000];
        let mut next_timeout = Instant::now();
        loop {
            if !self.take_commands() {
                return;
            }
            let mut drained = false;
            for _ in 0..BATCH {
                match self.socket.recv_from(&mut buffer) {
                    Ok((length, source)) => self.receive(&buffer[..length], source),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        drained = true;
                        break;
                    }
                    // ICMP errors of a client that went.
                    Err(_) => {}
                }
            }
            self.deliver();
            let now = Instant::now();
            if now >= next_timeout || drained {
                next_timeout = self.keep_time(now);
            }
            if drained {
                self.wait(next_timeout);
            }
        }
    }

    fn take_commands(&mut self) -> bool {
        loop {
            match self.commands.try_recv() {
                Ok(Command::Join(client)) => self.join(*client),
                Ok(Command::Leave(id)) => self.leave(id),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn join(&mut self, client: Client) {
        let room = self.rooms.entry(client.room.clone()).or_default();
        match client.role {
            Role::Publish => room.publisher = Some(client.id),
            Role::Watch => {
                room.watchers.push(client.id);
                self.picture_wanted.push(client.id);
            }
        }
        let id = client.id;
        self.clients.insert(id, client);
        self.tick(id, Instant::now());
    }

    fn leave(&mut self, id: u64) {
        let Some(mut client) = self.clients.remove(&id) else { return };
        client.end();
        client.poll(&self.socket, |_| {});
        self.client_by_address.retain(|_, owner| *owner != id);
        if let Some(room) = self.rooms.get_mut(&client.room) {
            room.watchers.retain(|watcher| *watcher != id);
            room.publisher = room.publisher.filter(|publisher| *publisher != id);
            if room.publisher.is_none() && room.watchers.is_empty() {
                self.rooms.remove(&client.room);
            }
        }
    }

    fn receive(&mut self, datagram: &[u8], source: SocketAddr) {
        let Ok(contents) = datagram.try_into() else { return };
        let now = Instant::now();
        let received =
            Receive { proto: Protocol::Udp, source, destination: self.address, contents };
        if let Some(id) = self.client_by_address.get(&source).copied()
            && let Some(client) = self.clients.get_mut(&id)
        {
            client.receive(now, received);
            self.poll(id);
            return;
        }
        let input = Input::Receive(now, received);
        let found = self.clients.iter().find(|(_, client)| client.accepts(&input));
        let Some(id) = found.map(|(id, _)| *id) else { return };
        self.client_by_address.insert(source, id);
        if let (Some(client), Input::Receive(now, received)) = (self.clients.get_mut(&id), input) {
            client.receive(now, received);
            self.poll(id);
        }
    }

    fn poll(&mut self, id: u64) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        let (packets, wanted) = (&mut self.packets, &mut self.picture_wanted);
        client.poll(&self.socket, |heard| match heard {
            Heard::Packet(kind, packet) => packets.push((id, kind, packet)),
            Heard::WantsPicture => wanted.push(id),
        });
    }

    fn tick(&mut self, id: u64, now: Instant) {
        if let Some(client) = self.clients.get_mut(&id) {
            client.tick(now);
            self.poll(id);
        }
    }

    /// Hands the batch to all watchers, each of which is polled once.
    fn deliver(&mut self) {
        let now = Instant::now();
        for id in std::mem::take(&mut self.picture_wanted) {
            let room = self.clients.get(&id).and_then(|client| self.rooms.get(&client.room));
            let Some(publisher) = room.and_then(|room| room.publisher) else { continue };
            if !self.to_ask.contains(&publisher) {
                self.to_ask.push(publisher);
            }
        }
        for publisher in std::mem::take(&mut self.to_ask) {
            let Some(client) = self.clients.get_mut(&publisher) else { continue };
            if client.request_keyframe(now) {
                self.tick(publisher, now);
            } else {
                self.to_ask.push(publisher);
            }
        }
        let packets = std::mem::take(&mut self.packets);
        let mut rest = packets.as_slice();
        while let Some((publisher, ..)) = rest.first() {
            let run = rest.iter().take_while(|(id, ..)| id == publisher).count();
            let (batch, after) = rest.split_at(run);
            self.deliver_batch(*publisher, batch, now);
            rest = after;
        }
    }

    fn deliver_batch(
        &mut self,
        publisher: u64,
        batch: &[(u64, MediaKind, RtpPacket)],
        now: Instant,
    ) {
        let room = self.clients.get(&publisher).and_then(|client| self.rooms.get(&client.room));
        let Some(room) = room else { return };
        let (packets, wanted) = (&mut self.packets, &mut self.picture_wanted);
        for id in &room.watchers {
            let Some(client) = self.clients.get_mut(id) else { continue };
            for (_, kind, packet) in batch {
                client.forward(*kind, packet);
            }
            client.tick(now);
            client.poll(&self.socket, |heard| match heard {
                Heard::Packet(kind, packet) => packets.push((*id, kind, packet)),
                Heard::WantsPicture => wanted.push(*id),
            });
        }
    }

    /// Fires due timers, forgets the dead; the earliest time that is due next.
    fn keep_time(&mut self, now: Instant) -> Instant {
        let due = |client: &&Client| client.timeout <= now || !client.is_alive();
        let due: Vec<u64> = self.clients.values().filter(due).map(|client| client.id).collect();
        for id in due {
            self.tick(id, now);
            if self.clients.get(&id).is_some_and(|client| !client.is_alive()) {
                self.leave(id);
            }
        }
        let timeouts = self.clients.values().map(|client| client.timeout);
        timeouts.min().unwrap_or(now + WAIT_MAX).min(now + WAIT_MAX)
    }

    fn wait(&self, until: Instant) {
        if !self.packets.is_empty() || !self.picture_wanted.is_empty() {
            return;
        }
        let time = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        let time = Timespec::try_from(time).expect("at most 10 ms");
        let mut waited = [PollFd::new(&self.socket, PollFlags::IN)];
        // An interrupted wait is a short one.
        let _woken = poll(&mut waited, Some(&time));
    }
}
