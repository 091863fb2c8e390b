//! DTLS 1.2 by rtc-dtls, behind the guard. The only file that names the library, so that another
//! one can take its place.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use dtls::config::{ClientAuthType, ConfigBuilder, ExtendedMasterSecretType, HandshakeConfig};
use dtls::crypto::CryptoPrivateKey;
use dtls::endpoint::{Endpoint, EndpointEvent};
use dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc_crypto::RTCCryptoProvider;
use shared::TransportProtocol;
use shared::error::Error;
use srtp::config::LABEL_EXTRACTOR_DTLS_SRTP;

use super::certificate::CertificateError;
use super::dtls_guard::{
    CLIENT_HELLO, Guard, HANDSHAKE, HANDSHAKE_HEADER_BYTES, RECORD_HEADER_BYTES,
    hello_srtp_profiles,
};
use super::srtp::{MasterKey, Profile};
use super::{Certificate, DtlsRole, Fingerprint};
use crate::drops::DropReason;
use crate::event::FailReason;
use crate::limits::{DTLS_RETRANSMIT_INITIAL, DTLS_RETRANSMITS_MAX};

/// The library tells connections apart by address. This one stands for the peer wherever it is,
/// so that it may move.
const PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 9);
/// Sent as SNI by an active endpoint; the library makes up "localhost" if there is none.
const SERVER_NAME: &str = "peer.invalid";
/// The library's own retransmission timer forgets itself; ours takes its place.
const NEVER: Duration = Duration::from_secs(3600);

/// The certificate and key as the library wants them.
pub(super) struct Identity {
    certificate: dtls::crypto::Certificate,
    provider: Arc<dyn RTCCryptoProvider>,
}

impl Identity {
    pub(super) fn new(
        der: rustls::pki_types::CertificateDer<'static>,
        key: &rcgen::KeyPair,
    ) -> Result<Self, CertificateError> {
        let provider = rtc_crypto::default_provider().map_err(|_| CertificateError)?;
        let private_key = CryptoPrivateKey::from_key_pair(key, provider.crypto())
            .map_err(|_| CertificateError)?;
        let certificate = dtls::crypto::Certificate { certificate: vec![der], private_key };
        Ok(Self { certificate, provider })
    }

    pub(super) fn provider(&self) -> &Arc<dyn RTCCryptoProvider> {
        &self.provider
    }
}

/// What the handshake and the peer bring.
pub(super) enum DtlsEvent {
    /// Keys are agreed. `None` if SRTP was not negotiated.
    Connected(Option<Keys>),
    /// A decrypted record: an SCTP packet.
    Application(BytesMut),
    /// It is over.
    Failed(FailReason),
}

/// What DTLS-SRTP yields (RFC 5764 §4.2).
pub(super) struct Keys {
    pub(super) profile: Profile,
    pub(super) outgoing: MasterKey,
    pub(super) incoming: MasterKey,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Handshaking,
    Done,
    Closed,
}

/// One flight of ours that waits for an answer.
#[derive(Clone, Copy, Debug)]
struct Retransmission {
    at: Instant,
    interval: Duration,
    tries: u32,
}

pub(super) struct Dtls {
    certificate: Arc<Certificate>,
    fingerprints: Arc<[Fingerprint]>,
    role: DtlsRole,
    state: State,
    endpoint: Endpoint,
    /// Whether `endpoint` has its configuration: a server chooses it by the ClientHello.
    configured: bool,
    guard: Guard,
    retransmission: Option<Retransmission>,
    transmits: VecDeque<Bytes>,
    events: VecDeque<DtlsEvent>,
    /// A first message was refused before its sender had proved itself.
    refused_early: bool,
}

impl Dtls {
    pub(super) fn new(
        certificate: Arc<Certificate>,
        fingerprints: Vec<Fingerprint>,
        role: DtlsRole,
    ) -> Self {
        Self {
            certificate,
            fingerprints: fingerprints.into(),
            role,
            state: State::Handshaking,
            endpoint: new_endpoint(),
            configured: false,
            guard: Guard::new(role == DtlsRole::Server),
            retransmission: None,
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            refused_early: false,
        }
    }

    /// There is a path. The client says hello, the server goes on waiting for it.
    pub(super) fn start(&mut self, now: Instant) {
        if self.role == DtlsRole::Client && !self.configured {
            let profiles = [
                SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm,
                SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80,
            ];
            let connected = self
                .config(&profiles)
                .and_then(|config| self.endpoint.connect(now, PEER, config, None));
            self.configured = true;
            match connected {
                Ok(()) => self.collect_flight(now),
                Err(_) => self.fail(FailReason::DtlsError),
            }
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Whether a handshake that ran out of time had been refused before.
    pub(super) fn timeout_reason(&self) -> FailReason {
        if self.refused_early { FailReason::DtlsError } else { FailReason::DtlsTimeout }
    }

    /// Takes a datagram from a validated path. `Ok(true)` if it was authenticated.
    pub(super) fn handle(&mut self, now: Instant, datagram: &[u8]) -> Result<bool, DropReason> {
        if self.state == State::Closed {
            return Err(DropReason::DtlsError);
        }
        let fed = self.guard.feed(datagram, self.is_done());
        if fed.records.is_empty() {
            return if fed.refused { Err(DropReason::DtlsGuard) } else { Ok(false) };
        }
        if !self.configured && !self.configure_server(&fed.records) {
            // Whatever came before the ClientHello cannot be of use.
            return Err(DropReason::DtlsGuard);
        }
        let result = self.endpoint.read(now, PEER, None, BytesMut::from(&fed.records[..]));
        match result {
            Ok(events) => Ok(self.take_events(now, events)),
            Err(error) if self.is_done() => self.error_after_done(&error),
            Err(error) => self.error_in_handshake(&error),
        }
    }

    /// Chooses the configuration by the first ClientHello: the library would take the client's
    /// first choice of profile, and Chromium's is the slow one.
    fn configure_server(&mut self, records: &[u8]) -> bool {
        let Some(hello) = first_client_hello(records) else { return false };
        let offered = hello_srtp_profiles(hello);
        let gcm = SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm;
        let profile = if offered.contains(&(gcm as u16)) {
            gcm
        } else {
            SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80
        };
        let Ok(config) = self.config(&[profile]) else { return false };
        self.endpoint.set_server_config(Some(config));
        self.configured = true;
        true
    }

    /// Peers are known by fingerprint, so no chain is verified: the callback is all there is, and
    /// it is called only if a client must send a certificate.
    fn config(&self, profiles: &[SrtpProtectionProfile]) -> Result<Arc<HandshakeConfig>, Error> {
        let fingerprints = self.fingerprints.clone();
        let identity = self.certificate.identity();
        let verify = move |chain: &[Vec<u8>], _: &[rustls::pki_types::CertificateDer<'static>]| {
            if is_known(&fingerprints, chain) {
                Ok(())
            } else {
                Err(Error::ErrNoMatchingCertificateFingerprint)
            }
        };
        let config = ConfigBuilder::default()
            .with_crypto_provider(identity.provider.clone())
            .with_certificates(vec![identity.certificate.clone()])
            .with_srtp_protection_profiles(profiles.to_vec())
            .with_client_auth(ClientAuthType::RequireAnyClientCert)
            .with_extended_master_secret(ExtendedMasterSecretType::Require)
            .with_insecure_skip_verify(true)
            .with_verify_peer_certificate(Some(Arc::new(verify)))
            .with_server_name(SERVER_NAME.into())
            .with_flight_interval(NEVER)
            .build(self.role == DtlsRole::Client, None)?;
        Ok(Arc::new(config))
    }

    fn take_events(&mut self, now: Instant, events: Vec<EndpointEvent>) -> bool {
        let mut authenticated = false;
        for event in events {
            match event {
                EndpointEvent::HandshakeComplete => {
                    authenticated = true;
                    self.complete();
                }
                EndpointEvent::ApplicationData(data) => {
                    authenticated = true;
                    self.events.push_back(DtlsEvent::Application(data));
                }
                EndpointEvent::PeerClosed => {
                    self.collect_transmits();
                    self.fail(FailReason::ClosedByPeer);
                    return true;
                }
                _ => {}
            }
        }
        self.collect_flight(now);
        authenticated
    }

    fn complete(&mut self) {
        self.state = State::Done;
        self.retransmission = None;
        match self.export_keys() {
            Ok(keys) => self.events.push_back(DtlsEvent::Connected(keys)),
            Err(reason) => self.fail(reason),
        }
    }

    fn export_keys(&self) -> Result<Option<Keys>, FailReason> {
        let state = self.endpoint.get_connection_state(PEER).ok_or(FailReason::DtlsError)?;
        // Asked again, in case the library finished without calling back.
        if !is_known(&self.fingerprints, &state.peer_certificates) {
            return Err(FailReason::FingerprintMismatch);
        }
        let profile = match state.srtp_protection_profile() {
            SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm => Profile::AesGcm,
            SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80 => Profile::AesCm,
            SrtpProtectionProfile::Unsupported => return Ok(None),
            _ => return Err(FailReason::DtlsError),
        };
        let length = 2 * (profile.key_bytes() + profile.salt_bytes());
        let material = state
            .export_keying_material(LABEL_EXTRACTOR_DTLS_SRTP, &[], length)
            .map_err(|_| FailReason::DtlsError)?;
        let [client, server] =
            split_material(profile, material.as_ref()).ok_or(FailReason::DtlsError)?;
        Ok(Some(match self.role {
            DtlsRole::Client => Keys { profile, outgoing: client, incoming: server },
            DtlsRole::Server => Keys { profile, outgoing: server, incoming: client },
        }))
    }

    /// A handshake that failed is not taken up again: the library would let it go on.
    fn error_in_handshake(&mut self, error: &Error) -> Result<bool, DropReason> {
        if !self.guard.peer_is_proven() {
            // Whoever sent this may merely use the peer's address. No alert: it would end the
            // genuine client's attempt.
            self.guard.start_over();
            self.endpoint = new_endpoint();
            self.configured = false;
            self.retransmission = None;
            self.refused_early = true;
            return Err(DropReason::DtlsError);
        }
        self.collect_transmits();
        if matches!(error, Error::ErrNoMatchingCertificateFingerprint) {
            self.fail(FailReason::FingerprintMismatch);
            return Err(DropReason::DtlsFingerprintMismatch);
        }
        self.fail(FailReason::DtlsError);
        Err(DropReason::DtlsError)
    }

    /// Only authenticated records get so far. A warning is no reason to part.
    fn error_after_done(&mut self, error: &Error) -> Result<bool, DropReason> {
        self.collect_transmits();
        if matches!(error, Error::ErrAlertFatalOrClose) {
            self.fail(FailReason::ClosedByPeer);
        }
        Err(DropReason::DtlsError)
    }

    fn fail(&mut self, reason: FailReason) {
        self.state = State::Closed;
        self.retransmission = None;
        self.endpoint = new_endpoint();
        self.events.push_back(DtlsEvent::Failed(reason));
    }

    /// Queues what the library wants sent after the handshake moved on, and waits for an answer.
    fn collect_flight(&mut self, now: Instant) {
        if self.collect_transmits() && self.state == State::Handshaking {
            let interval = DTLS_RETRANSMIT_INITIAL;
            self.retransmission = Some(Retransmission { at: now + interval, interval, tries: 0 });
        }
    }

    fn collect_transmits(&mut self) -> bool {
        let mut any = false;
        while let Some(transmit) = self.endpoint.poll_transmit() {
            if self.state == State::Handshaking {
                self.guard.note_sent(&transmit.message);
            }
            self.transmits.push_back(transmit.message.freeze());
            any = true;
        }
        any
    }

    pub(super) fn poll_event(&mut self) -> Option<DtlsEvent> {
        self.events.pop_front()
    }

    pub(super) fn poll_transmit(&mut self) -> Option<Bytes> {
        self.transmits.pop_front()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.retransmission.map(|r| r.at)
    }

    /// Sends the current flight again if it is time, doubling the interval (RFC 6347 §4.2.4.1).
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        let Some(due) = self.retransmission.filter(|r| r.at <= now) else { return };
        if due.tries >= DTLS_RETRANSMITS_MAX {
            self.retransmission = None;
            return;
        }
        let interval = due.interval * 2;
        self.retransmission =
            Some(Retransmission { at: now + interval, interval, tries: due.tries + 1 });
        // Its timer is set to a far day: tell it that the day has come.
        if let Some(day) = self.endpoint.poll_timeout(&PEER) {
            match self.endpoint.handle_timeout(PEER, day) {
                Ok(()) => _ = self.collect_transmits(),
                Err(_) => self.fail(FailReason::DtlsError),
            }
        }
    }

    /// Sends one application record.
    pub(super) fn write(&mut self, now: Instant, data: &[u8]) -> Result<(), DropReason> {
        if !self.is_done() {
            return Err(DropReason::DtlsError);
        }
        self.endpoint.write(now, PEER, data).map_err(|_| DropReason::DtlsError)?;
        self.collect_transmits();
        Ok(())
    }

    /// Says goodbye (close_notify) and takes nothing more.
    pub(super) fn close(&mut self, now: Instant) {
        if self.state != State::Closed {
            self.endpoint.stop(now, PEER);
            self.collect_transmits();
            self.state = State::Closed;
            self.retransmission = None;
        }
    }
}

fn new_endpoint() -> Endpoint {
    Endpoint::new(PEER, TransportProtocol::UDP, None)
}

/// Whether the first certificate of a chain is one that the peer's SDP announced.
fn is_known(fingerprints: &[Fingerprint], chain: &[Vec<u8>]) -> bool {
    chain.first().is_some_and(|der| fingerprints.iter().any(|f| f.matches(der)))
}

/// The body of the ClientHello that a guarded datagram begins with.
fn first_client_hello(records: &[u8]) -> Option<&[u8]> {
    let is_hello =
        *records.first()? == HANDSHAKE && *records.get(RECORD_HEADER_BYTES)? == CLIENT_HELLO;
    is_hello.then(|| records.get(RECORD_HEADER_BYTES + HANDSHAKE_HEADER_BYTES..)).flatten()
}

/// Client's key, server's key, client's salt, server's salt (RFC 5764 §4.2).
fn split_material(profile: Profile, material: &[u8]) -> Option<[MasterKey; 2]> {
    let (keys, salts) = material.split_at_checked(2 * profile.key_bytes())?;
    let (client_key, server_key) = keys.split_at(profile.key_bytes());
    let (client_salt, server_salt) = salts.split_at_checked(profile.salt_bytes())?;
    let master = |key: &[u8], salt: &[u8]| MasterKey { key: key.into(), salt: salt.into() };
    Some([master(client_key, client_salt), master(server_key, server_salt)])
}
