//! [`Engine`]: owns peers, rooms and tracks; the only place where they meet.

mod egress;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use crate::command::{Command, CommandError, Reply};
use crate::event::Event;
use crate::stats::EngineStats;
use crate::transport::{Certificate, Path};

pub use egress::{Egress, Transmit};

/// What an engine is told once.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// The server's certificate.
    pub certificate: Arc<Certificate>,
    /// Host candidates put into answers.
    pub candidates: Vec<SocketAddr>,
    /// This worker's number, carried in every local ufrag.
    pub worker: u8,
    /// Wall-clock time at `now` of [`Engine::new`], in NTP format (RFC 5905 §6), for sender
    /// reports.
    pub ntp_at_start: u64,
}

/// The engine.
///
/// Feed it with the `handle_*` methods; after each batch of them call [`Engine::drain`], then
/// [`Engine::poll_event`] until `None`, then wait until [`Engine::poll_timeout`] or more input.
#[derive(Debug)]
pub struct Engine {}

impl Engine {
    /// An empty engine. Decisions and identifiers derive from `seed`; keys do not.
    #[must_use]
    pub fn new(_config: EngineConfig, _seed: u64, _now: Instant) -> Self {
        Self {}
    }

    /// Takes one datagram. `data` may be decrypted in place.
    pub fn handle_datagram(&mut self, _now: Instant, _path: Path, _data: &mut [u8]) {}

    /// Carries out a command.
    pub fn handle_command(
        &mut self,
        _now: Instant,
        _command: Command,
    ) -> Result<Reply, CommandError> {
        Err(CommandError::NoSuchRoom)
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, _now: Instant) {}

    /// Appends every datagram that is ready to go. Returns false if `egress` filled up first:
    /// send, clear it and call again.
    pub fn drain(&mut self, _now: Instant, _egress: &mut Egress) -> bool {
        true
    }

    /// The next event, if any.
    pub fn poll_event(&mut self) -> Option<Event> {
        None
    }

    /// When [`Engine::handle_timeout`] wants to be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// Counters and sizes.
    #[must_use]
    pub fn stats(&self) -> EngineStats {
        EngineStats::default()
    }
}
