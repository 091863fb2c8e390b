//! The client's half of DTLS 1.2 by rtc-dtls, up to the SRTP keys.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::digest;
use bytes::BytesMut;
use dtls::config::{ClientAuthType, ConfigBuilder, HandshakeConfig};
use dtls::endpoint::{Endpoint, EndpointEvent};
use dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc_crypto::RTCCryptoProvider;
use shared::TransportProtocol;
use srtp::config::{Config, LABEL_EXTRACTOR_DTLS_SRTP};
use srtp::protection_profile::ProtectionProfile;

use super::srtp::{Keys, MasterKey, Profile};

/// The library tells connections apart by address; each client has its own endpoint, so any will do.
const PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 9);
/// The library's retransmission timer fires once; ours takes its place.
const NEVER: Duration = Duration::from_secs(3600);
/// First wait for an answer to a flight, doubled each time.
const RETRANSMIT_INITIAL: Duration = Duration::from_millis(250);
/// Flights sent again before the handshake is given up.
const RETRANSMITS_MAX: u32 = 6;

/// One certificate for all clients, and the settings of their handshakes.
#[derive(Clone)]
pub struct Identity {
    config: Arc<HandshakeConfig>,
    crypto: Arc<dyn RTCCryptoProvider>,
    fingerprint: Arc<str>,
}

impl Identity {
    /// Makes a certificate. `profiles` are offered in this order.
    pub fn generate(profiles: &[Profile]) -> anyhow::Result<Self> {
        let crypto = rtc_crypto::default_provider().map_err(|_| anyhow::anyhow!("no crypto"))?;
        let certificate = dtls::crypto::Certificate::generate_self_signed(
            vec!["load.invalid".into()],
            crypto.crypto(),
        )?;
        let hash = digest::digest(&digest::SHA256, &certificate.certificate[0]);
        let hex: Vec<_> = hash.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
        let profiles = profiles.iter().map(|profile| match profile {
            Profile::Gcm => SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm,
            Profile::Cm => SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80,
        });
        let config = ConfigBuilder::default()
            .with_crypto_provider(crypto.clone())
            .with_certificates(vec![certificate])
            .with_srtp_protection_profiles(profiles.collect())
            .with_client_auth(ClientAuthType::RequireAnyClientCert)
            // Who serves is not what is measured: a server is trusted by its URL.
            .with_insecure_skip_verify(true)
            .with_server_name("sfu.invalid".into())
            .with_flight_interval(NEVER)
            .build(true, None)?;
        Ok(Self {
            config: Arc::new(config),
            crypto,
            fingerprint: format!("sha-256 {}", hex.join(":")).into(),
        })
    }

    /// The value of `a=fingerprint`.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Who computes.
    #[must_use]
    pub fn crypto(&self) -> &Arc<dyn RTCCryptoProvider> {
        &self.crypto
    }
}

/// What a DTLS datagram, or a timer, brought.
pub enum SecureOutcome {
    /// Nothing to act upon.
    Nothing,
    /// Keys are agreed.
    Connected(Keys),
    /// The server said goodbye.
    Closed,
    /// It failed, and why.
    Failed(String),
}

/// One client's handshake and what follows it.
pub struct Secure {
    identity: Identity,
    endpoint: Endpoint,
    done: bool,
    retry: Option<(Instant, Duration, u32)>,
}

impl Secure {
    /// Writes the first flight.
    pub fn new(identity: &Identity, now: Instant) -> anyhow::Result<Self> {
        let mut endpoint = Endpoint::new(PEER, TransportProtocol::UDP, None);
        endpoint.connect(now, PEER, identity.config.clone(), None)?;
        Ok(Self {
            identity: identity.clone(),
            endpoint,
            done: false,
            retry: Some((now + RETRANSMIT_INITIAL, RETRANSMIT_INITIAL, 0)),
        })
    }

    /// Takes a datagram.
    pub fn handle(&mut self, now: Instant, datagram: &[u8]) -> SecureOutcome {
        let events = match self.endpoint.read(now, PEER, None, BytesMut::from(datagram)) {
            Ok(events) => events,
            // After the handshake, what does not decrypt is dropped (RFC 6347 §4.1.2.7).
            Err(_) if self.done => return SecureOutcome::Nothing,
            Err(error) => return SecureOutcome::Failed(format!("DTLS: {error}")),
        };
        let mut outcome = SecureOutcome::Nothing;
        for event in events {
            match event {
                EndpointEvent::HandshakeComplete if !self.done => {
                    self.done = true;
                    self.retry = None;
                    outcome = match self.export() {
                        Ok(keys) => SecureOutcome::Connected(keys),
                        Err(error) => SecureOutcome::Failed(format!("DTLS: {error:#}")),
                    };
                }
                EndpointEvent::PeerClosed => outcome = SecureOutcome::Closed,
                _ => {}
            }
        }
        if let Some((at, interval, _)) = &mut self.retry {
            (*at, *interval) = (now + RETRANSMIT_INITIAL, RETRANSMIT_INITIAL);
        }
        outcome
    }

    fn export(&self) -> anyhow::Result<Keys> {
        let state = self.endpoint.get_connection_state(PEER);
        let state = state.ok_or_else(|| anyhow::anyhow!("no connection"))?;
        let (profile, library) = match state.srtp_protection_profile() {
            SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm => {
                (Profile::Gcm, ProtectionProfile::AeadAes128Gcm)
            }
            SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80 => {
                (Profile::Cm, ProtectionProfile::Aes128CmHmacSha1_80)
            }
            other => anyhow::bail!("the server chose {other:?}"),
        };
        let mut config = Config { profile: library, ..Config::default() };
        let bytes = config.keying_material_len();
        let material = state
            .export_keying_material(LABEL_EXTRACTOR_DTLS_SRTP, &[], bytes)
            .map_err(|error| anyhow::anyhow!("{error}"))?;
        config.set_session_keys_from_keying_material(material.as_ref(), true)?;
        let keys = config.keys;
        Ok(Keys {
            profile,
            outgoing: MasterKey { key: keys.local_master_key, salt: keys.local_master_salt },
            incoming: MasterKey { key: keys.remote_master_key, salt: keys.remote_master_salt },
            crypto: self.identity.crypto.clone(),
        })
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<BytesMut> {
        Some(self.endpoint.poll_transmit()?.message)
    }

    /// Sends the current flight again if it is time.
    pub fn handle_timeout(&mut self, now: Instant) -> SecureOutcome {
        let Some((at, interval, tries)) = self.retry.filter(|(at, ..)| *at <= now) else {
            return SecureOutcome::Nothing;
        };
        if tries >= RETRANSMITS_MAX {
            self.retry = None;
            return SecureOutcome::Failed(format!("DTLS: no answer since {:?}", now - at));
        }
        self.retry = Some((now + 2 * interval, 2 * interval, tries + 1));
        // Its timer is set to a far day: tell it that the day has come.
        if let Some(day) = self.endpoint.poll_timeout(&PEER)
            && let Err(error) = self.endpoint.handle_timeout(PEER, day)
        {
            return SecureOutcome::Failed(format!("DTLS: {error}"));
        }
        SecureOutcome::Nothing
    }

    /// Says goodbye.
    pub fn close(&mut self, now: Instant) {
        self.endpoint.stop(now, PEER);
    }
}
