//! A client's half of DTLS-SRTP, by rtc-dtls and rtc-srtp, for worlds in which media is really
//! encrypted. Keys come from the operating system, so courses of such worlds differ in their bytes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use dtls::config::{ClientAuthType, ConfigBuilder};
use dtls::endpoint::{Endpoint, EndpointEvent};
use dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc_crypto::RTCCryptoProvider;
use shared::TransportProtocol;
use srtp::config::{Config, LABEL_EXTRACTOR_DTLS_SRTP};
use srtp::context::Context;
use srtp::protection_profile::ProtectionProfile;

/// The certificate that all clients of a world share.
#[derive(Clone)]
pub(crate) struct Identity {
    certificate: dtls::crypto::Certificate,
    pub(crate) fingerprint: [u8; 32],
}

impl Identity {
    pub(crate) fn new(crypto: &dyn RTCCryptoProvider) -> Self {
        let certificate =
            dtls::crypto::Certificate::generate_self_signed(vec!["client".into()], crypto.crypto())
                .expect("keys can be made anywhere");
        let der = &certificate.certificate[0];
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, der);
        let fingerprint = hash.as_ref().try_into().expect("SHA-256 has 32 bytes");
        Self { certificate, fingerprint }
    }
}

/// One client's connection.
pub(crate) struct Secure {
    crypto: Arc<dyn RTCCryptoProvider>,
    identity: Identity,
    /// What the world's time counts from.
    origin: Instant,
    /// There from the first answered check on.
    endpoint: Option<Endpoint>,
    /// What seals and what opens.
    contexts: Option<(Context, Context)>,
}

/// rtc-dtls keys its connections by address; any will do.
fn placeholder() -> SocketAddr {
    ([192, 0, 2, 7], 7).into()
}

impl Secure {
    pub(crate) fn new(
        crypto: Arc<dyn RTCCryptoProvider>,
        identity: Identity,
        origin: Instant,
    ) -> Self {
        Self { crypto, identity, origin, endpoint: None, contexts: None }
    }

    /// Sends the first flight of the handshake.
    pub(crate) fn begin(&mut self, now: Duration) {
        if self.endpoint.is_some() {
            return;
        }
        let config = ConfigBuilder::default()
            .with_crypto_provider(self.crypto.clone())
            .with_certificates(vec![self.identity.certificate.clone()])
            .with_srtp_protection_profiles(vec![SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm])
            .with_client_auth(ClientAuthType::RequireAnyClientCert)
            // The engine's certificate is not what is looked at here.
            .with_insecure_skip_verify(true)
            .with_server_name("sfu.invalid".into())
            .build(true, None)
            .expect("a configuration that is complete");
        let mut endpoint = Endpoint::new(placeholder(), TransportProtocol::UDP, None);
        endpoint
            .connect(self.origin + now, placeholder(), Arc::new(config), None)
            .expect("a new endpoint connects");
        self.endpoint = Some(endpoint);
    }

    /// Takes a DTLS datagram. True if keys are agreed now that were not before.
    pub(crate) fn handle(&mut self, now: Duration, datagram: &[u8]) -> bool {
        let Some(endpoint) = &mut self.endpoint else { return false };
        let now = self.origin + now;
        let Ok(events) = endpoint.read(now, placeholder(), None, BytesMut::from(datagram)) else {
            return false;
        };
        let done = events.iter().any(|event| matches!(event, EndpointEvent::HandshakeComplete));
        if !done || self.contexts.is_some() {
            return false;
        }
        self.contexts = self.agree();
        self.contexts.is_some()
    }

    /// The contexts that the handshake's keys make.
    fn agree(&self) -> Option<(Context, Context)> {
        let profile = ProtectionProfile::AeadAes128Gcm;
        let mut config = Config { profile, ..Config::default() };
        let state = self.endpoint.as_ref()?.get_connection_state(placeholder())?;
        let bytes = config.keying_material_len();
        let material = state.export_keying_material(LABEL_EXTRACTOR_DTLS_SRTP, &[], bytes).ok()?;
        config.set_session_keys_from_keying_material(material.as_ref(), true).ok()?;
        let context = |key: &[u8], salt: &[u8]| {
            Context::new(key, salt, profile, None, None, self.crypto.crypto()).ok()
        };
        let keys = &config.keys;
        Some((
            context(&keys.local_master_key, &keys.local_master_salt)?,
            context(&keys.remote_master_key, &keys.remote_master_salt)?,
        ))
    }

    /// What the handshake has to send.
    pub(crate) fn poll_transmit(&mut self) -> Option<BytesMut> {
        Some(self.endpoint.as_mut()?.poll_transmit()?.message)
    }

    pub(crate) fn wake(&self) -> Option<Duration> {
        let at = self.endpoint.as_ref()?.poll_timeout(&placeholder())?;
        Some(at.saturating_duration_since(self.origin))
    }

    pub(crate) fn handle_timeout(&mut self, now: Duration) {
        let due = self.wake().is_some_and(|at| at <= now);
        if let Some(endpoint) = self.endpoint.as_mut().filter(|_| due) {
            // A handshake that times out ends; the client stays unconnected, which tests see.
            _ = endpoint.handle_timeout(placeholder(), self.origin + now);
        }
    }

    /// Seals RTP and RTCP; gives anything else back as it is. `None` without keys.
    pub(crate) fn seal(&mut self, datagram: &[u8]) -> Option<BytesMut> {
        match datagram {
            [128..=191, 192..=223, ..] => self.contexts.as_mut()?.0.encrypt_rtcp(datagram).ok(),
            [128..=191, ..] => self.contexts.as_mut()?.0.encrypt_rtp(datagram).ok(),
            _ => Some(datagram.into()),
        }
    }

    /// Opens an SRTP or SRTCP packet.
    pub(crate) fn open(&mut self, datagram: &[u8]) -> Option<BytesMut> {
        let (_, opener) = self.contexts.as_mut()?;
        match datagram {
            [_, 192..=223, ..] => opener.decrypt_rtcp(datagram).ok(),
            _ => opener.decrypt_rtp(datagram).ok(),
        }
    }
}
