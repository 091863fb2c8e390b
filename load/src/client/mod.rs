//! One client: its own socket, ICE, DTLS and SRTP, and the account of what it receives. What it
//! publishes is sent elsewhere ([`crate::publish`]), so that receiving never delays the schedule.

mod connect;
mod feedback;
mod receive;
mod setup;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quinn_udp::UdpSocketState;
use srtp::context::Context as Rtcp;
use tokio::sync::oneshot;

use crate::account::{Sources, Stream, StreamReport};
use crate::publish::{Feedback, Port};
use crate::wire::twcc::TwccWriter;
use crate::wire::{Ice, Identity, Opener, Secure};

pub use feedback::Tick;
pub use receive::Inbox;
pub use setup::Setup;

/// Tells the clients of a fleet apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(pub u32);

/// SSRCs that one client keeps apart; packets of more are counted as foreign.
const STREAMS_MAX: usize = 512;

/// See the module.
pub struct Client {
    /// Its name in the fleet.
    pub id: ClientId,
    socket: Arc<std::net::UdpSocket>,
    state: UdpSocketState,
    candidates: Vec<SocketAddr>,
    remote: Option<SocketAddr>,
    identity: Identity,
    publishes: bool,
    /// None for a client that was given its keys.
    ice: Option<Ice>,
    secure: Option<Secure>,
    media: Option<Media>,
    ended: bool,
    joining: Joining,
    transport_id: u8,
    streams: Streams,
    twcc: TwccWriter,
    report_ssrc: u32,
    next_report: Instant,
    /// What comes for a publisher goes there.
    feedback: Feedback,
    scratch: Vec<u8>,
}

/// What the keys make.
struct Media {
    opener: Opener,
    rtcp_in: Rtcp,
    rtcp_out: Rtcp,
    tag_bytes: usize,
}

/// How a join goes.
struct Joining {
    started: Instant,
    give_up: Instant,
    connected: Option<Instant>,
    first_media: Option<Instant>,
    done: Option<Done>,
    port: Option<Port>,
}

/// Who waits for a join.
pub type Done = oneshot::Sender<anyhow::Result<Option<Port>>>;

/// What an SSRC is.
enum Role {
    Media(Box<Stream>),
    /// Retransmissions of the media at this place, and the highest index so far.
    Rtx {
        media: usize,
        highest: Option<u64>,
    },
}

/// Received SSRCs: found by looking, which for the few there are is the fastest.
#[derive(Default)]
struct Streams {
    ssrcs: Vec<u32>,
    roles: Vec<Role>,
    last: usize,
}

impl Streams {
    fn place(&mut self, ssrc: u32) -> Option<usize> {
        if self.ssrcs.get(self.last) != Some(&ssrc) {
            self.last = self.ssrcs.iter().position(|&known| known == ssrc)?;
        }
        Some(self.last)
    }

    fn add(&mut self, ssrc: u32, role: Role) -> Option<usize> {
        if self.ssrcs.len() >= STREAMS_MAX {
            return None;
        }
        self.ssrcs.push(ssrc);
        self.roles.push(role);
        Some(self.ssrcs.len() - 1)
    }

    fn media(&self) -> impl Iterator<Item = &Stream> {
        self.roles.iter().filter_map(|role| match role {
            Role::Media(stream) => Some(&**stream),
            Role::Rtx { .. } => None,
        })
    }

    fn media_mut(&mut self) -> impl Iterator<Item = &mut Stream> {
        self.roles.iter_mut().filter_map(|role| match role {
            Role::Media(stream) => Some(&mut **stream),
            Role::Rtx { .. } => None,
        })
    }
}

/// What is told of a client in the end.
#[derive(Clone, Debug)]
pub struct ClientReport {
    /// Which.
    pub id: ClientId,
    /// From the start of joining to ICE and DTLS done.
    pub connected: Option<Duration>,
    /// From the start of joining to the first packet of media.
    pub first_media: Option<Duration>,
    /// Whether the server ended it, or it fell silent.
    pub ended: bool,
    /// What it received.
    pub streams: Vec<StreamReport>,
    /// The local port: the kernel's drops are listed by it.
    pub port: u16,
}

impl Client {
    /// The socket, to be watched for readiness.
    #[must_use]
    pub fn socket(&self) -> &std::net::UdpSocket {
        &self.socket
    }

    /// Whether keys are there.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.media.is_some()
    }

    /// Whether it is over: failed, or ended by the server.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.ended
    }

    /// Who is to be told that the client is connected, and what it publishes through; once.
    pub fn take_notice(&mut self) -> Option<(Done, Option<Port>)> {
        Some((self.joining.done.take()?, self.joining.port.take()))
    }

    /// Whether some packet is missing, so that [`Client::tick`] is wanted soon.
    #[must_use]
    pub fn wants_attention(&self) -> bool {
        self.streams.media().any(Stream::has_missing)
    }

    /// Begins the measured time.
    pub fn measure(&mut self) {
        self.streams.media_mut().for_each(Stream::measure);
    }

    /// What there is to tell.
    #[must_use]
    pub fn report(&self, sources: &Sources) -> ClientReport {
        let since = |at: Option<Instant>| at.map(|at| at - self.joining.started);
        ClientReport {
            id: self.id,
            connected: since(self.joining.connected),
            first_media: since(self.joining.first_media),
            ended: self.ended,
            streams: self.streams.media().map(|stream| stream.report(sources)).collect(),
            port: self.socket.local_addr().map_or(0, |addr| addr.port()),
        }
    }

    /// Says goodbye, so that the server need not wait for consent to expire.
    pub fn close(&mut self, now: Instant) {
        if let Some(secure) = &mut self.secure {
            secure.close(now);
            self.flush_secure();
        }
        self.ended = true;
    }
}
