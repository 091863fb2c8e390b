//! [`Setup`]: a client before the server's answer: a socket, credentials and an offer.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use quinn_udp::UdpSocketState;
use socket2::{Domain, Protocol, Socket, Type};

use super::{Client, ClientId, Done, Joining, Role, Streams};
use crate::account::Stream;
use crate::publish::Feedback;
use crate::sdp::{self, Answer, AnswerLine, Line};
use crate::wire::twcc::TwccWriter;
use crate::wire::{Credentials, Ice, Identity, Keys};

/// Asked of the kernel for each socket, which grants what its sysctls allow.
const SOCKET_BUFFER_BYTES: usize = 1024 * 1024;
/// A client that is not connected after this is a failed join.
const CONNECT_MAX: Duration = Duration::from_secs(20);

/// See the module.
pub struct Setup {
    pub(crate) id: ClientId,
    identity: Identity,
    socket: Socket,
    local: Credentials,
    lines: Vec<Line>,
    started: Instant,
    feedback: Feedback,
}

impl Setup {
    pub(crate) fn new(
        id: ClientId,
        identity: &Identity,
        bind: IpAddr,
        lines: Vec<Line>,
        started: Instant,
        feedback: Feedback,
    ) -> anyhow::Result<Self> {
        let address = SocketAddr::new(bind, 0);
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        socket.bind(&address.into()).with_context(|| format!("binding {bind}"))?;
        // The kernel may grant less; lost packets would show.
        _ = socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES);
        socket.set_nonblocking(true)?;
        let local = Credentials::generate();
        Ok(Self { id, identity: identity.clone(), socket, local, lines, started, feedback })
    }

    /// Its name in the fleet.
    #[must_use]
    pub fn id(&self) -> ClientId {
        self.id
    }

    /// The offer to be sent to the server.
    #[must_use]
    pub fn offer(&self) -> String {
        sdp::offer(&self.local, self.identity.fingerprint(), &self.lines)
    }

    /// A client that checks the server's candidates. `done` is told when it is connected, with what
    /// it publishes through if it publishes.
    pub(crate) fn answered(self, answer: &Answer, done: Done) -> anyhow::Result<Client> {
        let state = UdpSocketState::new((&self.socket).into())?;
        let ipv4 = self.socket.local_addr()?.as_socket().is_some_and(|local| local.is_ipv4());
        let mut candidates = answer.candidates.clone();
        candidates.retain(|candidate| candidate.is_ipv4() == ipv4);
        ensure!(!candidates.is_empty(), "no candidate of our address family in the answer");
        let crypto = self.identity.crypto().clone();
        let ice = Ice::new(crypto, self.local.clone(), answer.ice.clone(), Instant::now());
        let mut client = self.client(state);
        (client.candidates, client.ice, client.joining.done) = (candidates, Some(ice), Some(done));
        client.learn(&answer.lines);
        Ok(client)
    }

    /// A client that is connected to `remote` by keys that both sides were given: for a sender
    /// without ICE and DTLS. `lines` announce what it sends.
    pub(crate) fn keyed(
        self,
        remote: SocketAddr,
        keys: &Keys,
        lines: &[AnswerLine],
    ) -> anyhow::Result<Client> {
        self.socket.connect(&remote.into())?;
        let state = UdpSocketState::new((&self.socket).into())?;
        let mut client = self.client(state);
        client.remote = Some(remote);
        client.learn(lines);
        client.secured(Instant::now(), keys)?;
        Ok(client)
    }

    fn client(self, state: UdpSocketState) -> Client {
        let now = Instant::now();
        let sends = |line: &Line| !matches!(line, Line::ReceiveAudio | Line::ReceiveVideo);
        Client {
            id: self.id,
            socket: Arc::new(self.socket.into()),
            state,
            candidates: Vec::new(),
            remote: None,
            ice: None,
            secure: None,
            media: None,
            ended: false,
            joining: Joining {
                started: self.started,
                give_up: now + CONNECT_MAX,
                connected: None,
                first_media: None,
                done: None,
                port: None,
            },
            identity: self.identity,
            publishes: self.lines.iter().any(sends),
            transport_id: 0,
            streams: Streams::default(),
            twcc: TwccWriter::default(),
            report_ssrc: rand::random(),
            next_report: now + Duration::from_secs(1),
            feedback: self.feedback,
            scratch: Vec::new(),
        }
    }
}

impl Client {
    /// Learns what m-lines bring: the SSRCs that an answer announces.
    pub fn learn(&mut self, lines: &[AnswerLine]) {
        for line in lines.iter().filter(|line| !line.rejected) {
            self.transport_id = line.transport_id.unwrap_or(self.transport_id);
            let Some(ssrc) = line.ssrc else { continue };
            if self.streams.place(ssrc).is_some() {
                continue;
            }
            let stream = Box::new(Stream::new(ssrc, line.nack && !line.audio));
            let place = self.streams.add(ssrc, Role::Media(stream));
            if let (Some(media), Some(rtx)) = (place, line.rtx_ssrc) {
                self.streams.add(rtx, Role::Rtx { media, highest: None });
            }
        }
    }
}
