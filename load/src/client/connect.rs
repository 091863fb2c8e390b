//! ICE and DTLS of a client, until keys are there.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::anyhow;

use super::{Client, Media};
use crate::publish::Port;
use crate::wire::{IceOutcome, Keys, Secure, SecureOutcome};

/// The server is gone when it has answered no check for so long (RFC 7675 §5.1).
const CONSENT_EXPIRY: Duration = Duration::from_secs(30);

impl Client {
    /// Sends what is due: checks and repeated flights.
    pub fn drive(&mut self, now: Instant) {
        if self.ended {
            return;
        }
        let Some(ice) = &mut self.ice else { return };
        let heard = ice.heard();
        if let Some(check) = ice.poll(now) {
            match self.remote {
                // What a full socket does not take is repeated.
                Some(_) => _ = self.socket.send(&check),
                None => {
                    for candidate in &self.candidates {
                        _ = self.socket.send_to(&check, candidate);
                    }
                }
            }
        }
        if let Some(secure) = &mut self.secure {
            let outcome = secure.handle_timeout(now);
            self.act(now, outcome);
        }
        if self.media.is_none() && self.joining.give_up <= now {
            let what = if self.remote.is_none() { "no check was answered" } else { "no keys" };
            self.fail(anyhow!("not connected in time: {what}"));
        } else if self.media.is_some() && now - heard > CONSENT_EXPIRY {
            self.ended = true;
        }
    }

    pub(super) fn on_stun(&mut self, now: Instant, source: SocketAddr, datagram: &[u8]) {
        let Some(ice) = &mut self.ice else { return };
        match ice.handle(now, source, datagram) {
            IceOutcome::Answered { first: true } => self.validated(now, source),
            IceOutcome::Respond(answer) => {
                // Lost answers are asked for again.
                _ = match self.remote {
                    Some(_) => self.socket.send(&answer),
                    None => self.socket.send_to(&answer, source),
                };
            }
            IceOutcome::Answered { first: false } | IceOutcome::Ignored => {}
        }
    }

    /// A pair works: the rest goes there.
    fn validated(&mut self, now: Instant, remote: SocketAddr) {
        if let Err(error) = self.socket.connect(remote) {
            return self.fail(anyhow!("connecting the socket to {remote}: {error}"));
        }
        self.remote = Some(remote);
        match Secure::new(&self.identity, now) {
            Ok(secure) => self.secure = Some(secure),
            Err(error) => return self.fail(error),
        }
        self.flush_secure();
    }

    pub(super) fn on_dtls(&mut self, now: Instant, datagram: &[u8]) {
        if let Some(secure) = &mut self.secure {
            let outcome = secure.handle(now, datagram);
            self.act(now, outcome);
        }
    }

    fn act(&mut self, now: Instant, outcome: SecureOutcome) {
        self.flush_secure();
        match outcome {
            SecureOutcome::Nothing => {}
            SecureOutcome::Connected(keys) => {
                if let Err(error) = self.secured(now, &keys) {
                    self.fail(error);
                }
            }
            SecureOutcome::Closed => self.fail(anyhow!("closed by the server")),
            SecureOutcome::Failed(reason) => self.fail(anyhow!(reason)),
        }
    }

    pub(super) fn secured(&mut self, now: Instant, keys: &Keys) -> anyhow::Result<()> {
        self.media = Some(Media {
            opener: keys.opener()?,
            rtcp_in: keys.rtcp_opener()?,
            rtcp_out: keys.rtcp_sealer()?,
            tag_bytes: keys.profile.tag_bytes(),
        });
        self.joining.connected = Some(now);
        if self.publishes {
            let (socket, sealer) = (Arc::clone(&self.socket), keys.sealer()?);
            let port = Port::new(self.id, socket, sealer, keys.rtcp_sealer()?, keys.profile);
            self.joining.port = Some(port);
        }
        self.request_keyframes();
        Ok(())
    }

    pub(super) fn flush_secure(&mut self) {
        while let Some(datagram) = self.secure.as_mut().and_then(Secure::poll_transmit) {
            // DTLS repeats what is lost.
            _ = self.socket.send(&datagram);
        }
    }

    pub(super) fn fail(&mut self, error: anyhow::Error) {
        self.ended = true;
        if let Some(done) = self.joining.done.take() {
            // Whoever asked may have given up.
            _ = done.send(Err(error));
        }
    }
}
