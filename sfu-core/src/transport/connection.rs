//! [`Transport`]: the layers of one peer's path, what passes between them, and its life from the
//! first check to the goodbye.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use stun::message::TransactionId;

use super::data::{Data, DataEvent};
use super::dtls::{Dtls, DtlsEvent, Keys};
use super::ice::{Ice, StunOutcome};
use super::srtp::{SealError, Srtp};
use super::{
    Certificate, Contents, Datagram, DtlsRole, IceCredentials, Path, Received, Remote, Security,
    TransportConfig, TransportEvent,
};
use crate::command::Reliability;
use crate::demux::{Kind, classify};
use crate::drops::DropReason;
use crate::event::{FailReason, TransportState};
use crate::limits::{CONSENT_EXPIRY, DISCONNECTED_AFTER, DTLS_DEADLINE, ICE_DEADLINE};

/// How far the transport has got, and until when it may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No valid check yet.
    Checking { deadline: Instant },
    /// A path is there, keys are not.
    Securing { deadline: Instant },
    /// Keys are there and the peer is heard.
    Connected,
    /// Nothing was heard for [`DISCONNECTED_AFTER`].
    Disconnected,
    /// Nothing was heard for [`CONSENT_EXPIRY`]: nothing may be sent, but a check brings it back.
    Expired,
    /// No check came in time. Only an ICE restart helps.
    Unreached,
    /// Over for good.
    Closed,
}

/// How packets are opened and sealed.
enum Protection {
    Plain,
    Secured { dtls: Box<Dtls>, srtp: Option<Box<Srtp>>, data: Box<Data> },
}

/// Answers to checks that may wait to be sent. More come only if nobody sends any.
const ANSWERS_MAX: usize = 256;

/// One peer's secure path.
///
/// Feed it with the `handle_*` methods, then call [`Transport::poll_transmit`] and
/// [`Transport::poll_event`] until `None`, then wait until [`Transport::poll_timeout`] or more
/// input.
pub struct Transport {
    certificate: Arc<Certificate>,
    ice: Ice,
    phase: Phase,
    protection: Protection,
    /// When silence, old paths and old credentials are looked at next. Not moved by each packet.
    housekeeping: Option<Instant>,
    transmits: VecDeque<(Path, Datagram)>,
    events: VecDeque<TransportEvent>,
}

impl Transport {
    /// A transport that waits for the peer's checks. Nothing in it is drawn from the seed: what
    /// is random here is secret.
    #[must_use]
    pub fn new(
        now: Instant,
        config: &TransportConfig,
        local: IceCredentials,
        remote: Remote,
        role: DtlsRole,
        _seed: u64,
    ) -> Self {
        let certificate = config.certificate.clone();
        let protection = match config.security {
            Security::Plain => Protection::Plain,
            Security::Full => Protection::Secured {
                dtls: Box::new(Dtls::new(certificate.clone(), remote.fingerprints, role)),
                srtp: None,
                data: Box::default(),
            },
        };
        Self {
            certificate,
            ice: Ice::new(local, remote.ice),
            phase: Phase::Checking { deadline: now + ICE_DEADLINE },
            protection,
            housekeeping: None,
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// New credentials on both sides (RFC 8445 §9). Media goes on by the old path until a check
    /// with the new ones nominates another; DTLS and SRTP are untouched.
    pub fn restart_ice(&mut self, now: Instant, local: IceCredentials, remote: IceCredentials) {
        let forgotten = self.ice.restart(now, local, remote);
        self.events.extend(forgotten.map(TransportEvent::UfragForgotten));
        match self.phase {
            Phase::Checking { .. } => {
                self.phase = Phase::Checking { deadline: now + ICE_DEADLINE };
            }
            Phase::Unreached => {
                self.enter(Phase::Checking { deadline: now + ICE_DEADLINE });
            }
            _ => {}
        }
        self.plan_housekeeping();
    }

    /// The ufrags to which checks are answered: the current one and, for a while after a restart,
    /// the one before.
    pub fn local_ufrags(&self) -> impl Iterator<Item = &str> {
        self.ice.local_ufrags()
    }

    /// Takes a datagram that begins like STUN, from anywhere.
    pub fn handle_stun(
        &mut self,
        now: Instant,
        path: Path,
        datagram: &[u8],
    ) -> Result<StunOutcome, DropReason> {
        if self.phase == Phase::Closed {
            return Err(DropReason::StunUnknownUfrag);
        }
        let checked = self.ice.handle_check(now, path, datagram);
        if self.transmits.len() < ANSWERS_MAX {
            self.transmits
                .extend(checked.answer.map(|answer| (path, Datagram(Contents::Answer(answer)))));
        }
        let outcome = checked.outcome?;
        match self.phase {
            Phase::Checking { .. } | Phase::Unreached => self.start_securing(now),
            Phase::Disconnected | Phase::Expired if self.ice.heard() == Some(now) => {
                self.enter(Phase::Connected);
            }
            _ => {}
        }
        self.plan_housekeeping();
        Ok(outcome)
    }

    /// Takes the answer to a check of ours.
    pub fn handle_answer(
        &mut self,
        now: Instant,
        path: Path,
        datagram: &[u8],
    ) -> Result<StunOutcome, DropReason> {
        let crypto = self.certificate.identity().provider().crypto();
        let outcome = self.ice.handle_answer(now, path, datagram, crypto)?;
        if self.phase == Phase::Disconnected {
            self.enter(Phase::Connected);
        }
        self.plan_housekeeping();
        Ok(outcome)
    }

    /// Takes media from an address that ICE does not know, if the keys say that it is this peer's:
    /// its NAT gave it another port, or it changed networks. Nothing is sent there but a check, whose
    /// transaction is returned if it is about to be sent; [`Transport::handle_answer`] takes the
    /// answer. The transaction begins with `worker`.
    pub fn recognize<'a>(
        &mut self,
        path: Path,
        now: Instant,
        worker: u8,
        datagram: &'a mut [u8],
    ) -> Result<(Received<'a>, Option<[u8; 12]>), DropReason> {
        let kind = classify(datagram)?;
        let is_connected = self.is_connected();
        let Protection::Secured { srtp: Some(srtp), .. } = &mut self.protection else {
            return Err(DropReason::RtpUnvalidated);
        };
        if !is_connected {
            return Err(DropReason::RtpUnvalidated);
        }
        let received = match kind {
            Kind::Rtp => {
                let length = srtp.open_rtp(datagram)?;
                Received::Rtp(&datagram[..length])
            }
            Kind::Rtcp => {
                let length = srtp.open_rtcp(datagram)?;
                Received::Rtcp(&datagram[..length])
            }
            Kind::Stun | Kind::Dtls => return Err(DropReason::RtpUnvalidated),
        };
        let mut transaction = TransactionId::new();
        transaction.0[0] = worker;
        let crypto = self.certificate.identity().provider().crypto();
        let check = self.ice.challenge(now, path, transaction, crypto);
        let asked = check.is_some().then_some(transaction.0);
        self.transmits.extend(check.map(|check| (path, Datagram(Contents::Record(check)))));
        Ok((received, asked))
    }

    /// When a path last carried something that only the peer can have sent; `None` if it is not one of
    /// its paths.
    #[must_use]
    pub fn heard_on(&self, path: &Path) -> Option<Instant> {
        self.ice.heard_on(path)
    }

    fn start_securing(&mut self, now: Instant) {
        match &mut self.protection {
            Protection::Plain => self.enter(Phase::Connected),
            Protection::Secured { dtls, .. } => {
                dtls.start(now);
                let late = self.phase == Phase::Unreached;
                self.phase = Phase::Securing { deadline: now + DTLS_DEADLINE };
                if late {
                    self.events.push_back(TransportEvent::State(TransportState::Connecting));
                }
                _ = self.pump(now);
            }
        }
    }

    /// Takes DTLS, SRTP or SRTCP, and opens it where it lies. Only validated paths are listened to.
    pub fn handle_datagram<'a>(
        &mut self,
        now: Instant,
        path: Path,
        datagram: &'a mut [u8],
    ) -> Result<Received<'a>, DropReason> {
        let kind = classify(datagram)?;
        let valid = self.ice.is_valid(&path);
        let received = match (kind, &mut self.protection) {
            (Kind::Stun, _) => return Err(DropReason::StunUnexpected),
            (Kind::Dtls, _) if !valid => return Err(DropReason::DtlsUnvalidated),
            _ if !valid => return Err(DropReason::RtpUnvalidated),
            _ if self.phase == Phase::Closed => return Err(DropReason::DtlsError),
            (Kind::Dtls, Protection::Plain) => return Err(DropReason::DtlsError),
            (Kind::Dtls, Protection::Secured { dtls, .. }) => {
                let result = dtls.handle(now, datagram);
                let pumped = self.pump(now);
                if !result? {
                    return pumped.map(|()| Received::Consumed);
                }
                self.hear(now, &path);
                return pumped.map(|()| Received::Consumed);
            }
            (Kind::Rtp, Protection::Plain) => Received::Rtp(datagram),
            (Kind::Rtcp, Protection::Plain) => Received::Rtcp(datagram),
            (Kind::Rtp, Protection::Secured { srtp, .. }) => {
                let srtp = srtp.as_mut().ok_or(DropReason::SrtpBeforeKeys)?;
                let length = srtp.open_rtp(datagram)?;
                Received::Rtp(&datagram[..length])
            }
            (Kind::Rtcp, Protection::Secured { srtp, .. }) => {
                let srtp = srtp.as_mut().ok_or(DropReason::SrtpBeforeKeys)?;
                let length = srtp.open_rtcp(datagram)?;
                Received::Rtcp(&datagram[..length])
            }
        };
        self.hear(now, &path);
        Ok(received)
    }

    /// Something only the peer can have sent came over `path`. Media shows that the peer is
    /// there; only a check brings back consent.
    fn hear(&mut self, now: Instant, path: &Path) {
        self.ice.hear(now, path);
        if self.phase == Phase::Disconnected && self.ice.selected() == Some(*path) {
            self.enter(Phase::Connected);
            self.plan_housekeeping();
        }
    }

    /// Moves what one layer has for another, and out. Returns the first complaint.
    fn pump(&mut self, now: Instant) -> Result<(), DropReason> {
        let mut result = Ok(());
        self.flush_dtls();
        while let Protection::Secured { dtls, data, .. } = &mut self.protection
            && let Some(event) = dtls.poll_event()
        {
            match event {
                DtlsEvent::Connected(keys) => self.secured(keys),
                DtlsEvent::Application(packet) => {
                    let taken = data.handle(now, packet);
                    result = result.and(taken);
                }
                DtlsEvent::Failed(reason) => self.fail(reason),
            }
        }
        self.flush_data(now);
        result
    }

    fn secured(&mut self, keys: Option<Keys>) {
        let provider = self.certificate.identity().provider().clone();
        let made = keys.map(|k| Srtp::new(k.profile, &k.outgoing, &k.incoming, &*provider));
        let Protection::Secured { srtp, .. } = &mut self.protection else { return };
        match made.transpose() {
            Ok(made) => *srtp = made.map(Box::new),
            Err(_) => return self.fail(FailReason::DtlsError),
        }
        self.enter(Phase::Connected);
        self.plan_housekeeping();
    }

    /// Moves messages up and SCTP packets down.
    fn flush_data(&mut self, now: Instant) {
        let Protection::Secured { dtls, data, .. } = &mut self.protection else { return };
        while let Some(event) = data.poll_event() {
            self.events.push_back(match event {
                DataEvent::Open(reliability) => TransportEvent::DataOpen(reliability),
                DataEvent::Message { reliability, text, payload } => {
                    TransportEvent::DataMessage { reliability, text, payload }
                }
            });
        }
        while let Some(packet) = data.poll_transmit() {
            // Fails only if DTLS is over, and SCTP with it.
            _ = dtls.write(now, &packet);
        }
        self.flush_dtls();
    }

    fn flush_dtls(&mut self) {
        let Protection::Secured { dtls, .. } = &mut self.protection else { return };
        // What may not be sent is lost, as on a dead link: both protocols repeat it.
        let path = self.ice.selected().filter(|_| self.phase != Phase::Expired);
        while let Some(datagram) = dtls.poll_transmit() {
            self.transmits.extend(path.map(|path| (path, Datagram(Contents::Record(datagram)))));
        }
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.events.push_back(TransportEvent::State(match phase {
            Phase::Checking { .. } | Phase::Securing { .. } => TransportState::Connecting,
            Phase::Connected => TransportState::Connected,
            Phase::Disconnected => TransportState::Disconnected,
            Phase::Expired => TransportState::Failed(FailReason::ConsentExpired),
            Phase::Unreached => TransportState::Failed(FailReason::IceTimeout),
            Phase::Closed => return,
        }));
    }

    fn fail(&mut self, reason: FailReason) {
        self.phase = Phase::Closed;
        self.housekeeping = None;
        self.events.push_back(TransportEvent::State(TransportState::Failed(reason)));
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        match self.phase {
            Phase::Checking { deadline } if deadline <= now => self.enter(Phase::Unreached),
            Phase::Securing { deadline } if deadline <= now => self.give_up_dtls(),
            Phase::Closed => return,
            _ => {}
        }
        if self.housekeeping.is_some_and(|due| due <= now) {
            self.keep_house(now);
        }
        if let Protection::Secured { dtls, data, .. } = &mut self.protection {
            dtls.handle_timeout(now);
            data.handle_timeout(now);
            // A timer brings nothing that could be complained of.
            _ = self.pump(now);
        }
    }

    fn give_up_dtls(&mut self) {
        if let Protection::Secured { dtls, .. } = &self.protection {
            let reason = dtls.timeout_reason();
            self.fail(reason);
        }
    }

    fn keep_house(&mut self, now: Instant) {
        while let Some(path) = self.ice.expire_path(now) {
            self.events.push_back(TransportEvent::PathForgotten(path));
        }
        let ufrag = self.ice.expire_former(now);
        self.events.extend(ufrag.map(TransportEvent::UfragForgotten));

        let heard = self.ice.heard();
        let silence = heard.map_or(CONSENT_EXPIRY, |heard| now.saturating_duration_since(heard));
        if self.phase == Phase::Connected && silence >= DISCONNECTED_AFTER {
            self.enter(Phase::Disconnected);
        }
        if self.phase == Phase::Disconnected && silence >= CONSENT_EXPIRY {
            self.enter(Phase::Expired);
        }
        self.plan_housekeeping();
    }

    fn plan_housekeeping(&mut self) {
        let patience = match self.phase {
            Phase::Connected => Some(DISCONNECTED_AFTER),
            Phase::Disconnected => Some(CONSENT_EXPIRY),
            _ => None,
        };
        let silence = self.ice.heard().zip(patience).map(|(heard, patience)| heard + patience);
        self.housekeeping = silence.into_iter().chain(self.ice.expires()).min();
    }

    /// When [`Transport::handle_timeout`] wants to be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let deadline = match self.phase {
            Phase::Checking { deadline } | Phase::Securing { deadline } => Some(deadline),
            Phase::Closed => return None,
            _ => None,
        };
        let timers = match &self.protection {
            Protection::Plain => [None, None],
            Protection::Secured { dtls, data, .. } => [dtls.poll_timeout(), data.poll_timeout()],
        };
        timers.into_iter().chain([deadline, self.housekeeping]).flatten().min()
    }

    /// The next event, if any.
    pub fn poll_event(&mut self) -> Option<TransportEvent> {
        self.events.pop_front()
    }

    /// The next datagram to send as it is: answers to checks, DTLS, SCTP in DTLS.
    pub fn poll_transmit(&mut self) -> Option<(Path, Datagram)> {
        self.transmits.pop_front()
    }

    /// Whether media may be sent: keys are agreed and the peer still consents.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        matches!(self.phase, Phase::Connected | Phase::Disconnected)
    }

    /// Where media goes. `None` before the first valid check and when consent is gone: then
    /// nothing may be sent.
    #[must_use]
    pub fn path(&self) -> Option<Path> {
        let may_send = self.is_connected() || matches!(self.phase, Phase::Securing { .. });
        self.ice.selected().filter(|_| may_send)
    }

    /// Where media went last, also when nothing may be sent any more.
    pub(crate) fn last_path(&self) -> Option<Path> {
        self.ice.selected()
    }

    /// Encrypts `arena[start..]`, one RTP packet with `header_bytes` of header, where it lies, and
    /// appends the tag. `index` is rollover counter and sequence number (RFC 3711 §3.3.1); it must
    /// start below 65536 for each SSRC, and no two packets of an SSRC may share one unless they
    /// are equal.
    pub fn seal_rtp(
        &mut self,
        arena: &mut Vec<u8>,
        start: usize,
        header_bytes: usize,
        index: u64,
    ) -> Result<(), SealError> {
        match &mut self.protection {
            Protection::Plain => Ok(()),
            Protection::Secured { srtp, .. } => {
                let srtp = srtp.as_mut().ok_or(SealError::NoKeys)?;
                srtp.seal_rtp(arena, start, header_bytes, index)
            }
        }
    }

    /// Encrypts `arena[start..]`, one RTCP compound packet, and appends index and tag.
    pub fn seal_rtcp(&mut self, arena: &mut Vec<u8>, start: usize) -> Result<(), SealError> {
        match &mut self.protection {
            Protection::Plain => Ok(()),
            Protection::Secured { srtp, .. } => {
                srtp.as_mut().ok_or(SealError::NoKeys)?.seal_rtcp(arena, start)
            }
        }
    }

    /// Whether the peer has opened a data channel of this class.
    #[must_use]
    pub fn has_data_channel(&self, reliability: Reliability) -> bool {
        match &self.protection {
            Protection::Plain => false,
            Protection::Secured { data, .. } => data.has_channel(reliability),
        }
    }

    /// Sends a message by data channel. [`DropReason::DataSlowReceiver`]: the peer does not keep
    /// up; a lossy message is then gone, and a peer that stays so on the reliable channel should be
    /// removed.
    pub fn send_data(
        &mut self,
        now: Instant,
        reliability: Reliability,
        text: bool,
        payload: &[u8],
    ) -> Result<(), DropReason> {
        let Protection::Secured { data, .. } = &mut self.protection else {
            return Err(DropReason::SctpError);
        };
        data.send(now, reliability, text, payload)?;
        self.flush_data(now);
        Ok(())
    }

    /// Says goodbye: what [`Transport::poll_transmit`] gives after this is the last of it.
    pub fn close(&mut self, now: Instant) {
        if let Protection::Secured { data, .. } = &mut self.protection {
            data.abort(now);
            self.flush_data(now);
        }
        if let Protection::Secured { dtls, .. } = &mut self.protection {
            dtls.close(now);
            self.flush_dtls();
        }
        self.phase = Phase::Closed;
        self.housekeeping = None;
    }
}

impl std::fmt::Debug for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transport").field("phase", &self.phase).finish_non_exhaustive()
    }
}
