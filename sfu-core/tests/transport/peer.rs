//! The other side: rtc-dtls without any guard, rtc-srtp, and a maker of STUN checks.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use dtls::config::{ClientAuthType, ConfigBuilder, ExtendedMasterSecretType};
use dtls::endpoint::{Endpoint, EndpointEvent};
use dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use sfu_core::transport::{DtlsRole, Fingerprint, IceCredentials};
use shared::TransportProtocol;
use srtp::config::{Config, LABEL_EXTRACTOR_DTLS_SRTP};
use srtp::context::Context;
use srtp::protection_profile::ProtectionProfile;
use stun::attributes::{
    ATTR_ICE_CONTROLLED, ATTR_ICE_CONTROLLING, ATTR_PRIORITY, ATTR_USE_CANDIDATE, ATTR_USERNAME,
    AttrType,
};
use stun::fingerprint::FINGERPRINT;
use stun::integrity::MessageIntegrity;
use stun::message::{BINDING_REQUEST, Message, Setter, TransactionId};

pub(crate) const GCM: SrtpProtectionProfile = SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm;
pub(crate) const CM: SrtpProtectionProfile = SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80;

fn address() -> SocketAddr {
    ([192, 0, 2, 7], 7).into()
}

pub(crate) fn new_certificate() -> dtls::crypto::Certificate {
    let provider = rtc_crypto::default_provider().unwrap();
    dtls::crypto::Certificate::generate_self_signed(vec!["peer".into()], provider.crypto()).unwrap()
}

pub(crate) fn fingerprint_of(
    certificate: &dtls::crypto::Certificate,
    algorithm: &'static aws_lc_rs::digest::Algorithm,
    name: &str,
) -> Fingerprint {
    let hash = aws_lc_rs::digest::digest(algorithm, &certificate.certificate[0]);
    Fingerprint { algorithm: name.into(), bytes: hash.as_ref().to_vec() }
}

/// A DTLS endpoint as it comes.
pub(crate) struct Peer {
    pub(crate) endpoint: Endpoint,
    pub(crate) done: bool,
    pub(crate) closed: bool,
    pub(crate) error: Option<String>,
    pub(crate) received: VecDeque<BytesMut>,
    is_client: bool,
}

impl Peer {
    /// `role` is the peer's own.
    pub(crate) fn new(
        now: Instant,
        role: DtlsRole,
        certificate: Option<dtls::crypto::Certificate>,
        profiles: &[SrtpProtectionProfile],
    ) -> Self {
        let is_client = role == DtlsRole::Client;
        let config = ConfigBuilder::default()
            .with_crypto_provider(rtc_crypto::default_provider().unwrap())
            .with_certificates(certificate.into_iter().collect())
            .with_srtp_protection_profiles(profiles.to_vec())
            .with_client_auth(ClientAuthType::RequireAnyClientCert)
            .with_extended_master_secret(ExtendedMasterSecretType::Require)
            .with_insecure_skip_verify(true)
            .with_server_name("sfu.invalid".into())
            // Shorter than the first retransmission of what is tested: unguarded, its timer does
            // not survive a repeated flight.
            .with_flight_interval(Duration::from_millis(50))
            .build(is_client, None)
            .unwrap();
        let config = Arc::new(config);
        let server = (!is_client).then(|| config.clone());
        let mut endpoint = Endpoint::new(address(), TransportProtocol::UDP, server);
        if is_client {
            endpoint.connect(now, address(), config, None).unwrap();
        }
        Self {
            endpoint,
            done: false,
            closed: false,
            error: None,
            received: VecDeque::new(),
            is_client,
        }
    }

    pub(crate) fn receive(&mut self, now: Instant, datagram: &[u8]) {
        match self.endpoint.read(now, address(), None, BytesMut::from(datagram)) {
            Ok(events) => {
                for event in events {
                    match event {
                        EndpointEvent::HandshakeComplete => self.done = true,
                        EndpointEvent::ApplicationData(data) => self.received.push_back(data),
                        EndpointEvent::PeerClosed => self.closed = true,
                        _ => {}
                    }
                }
            }
            Err(error) => self.error = Some(error.to_string()),
        }
    }

    pub(crate) fn transmit(&mut self) -> Option<Vec<u8>> {
        self.endpoint.poll_transmit().map(|t| t.message.to_vec())
    }

    pub(crate) fn write(&mut self, now: Instant, data: &[u8]) {
        self.endpoint.write(now, address(), data).unwrap();
    }

    pub(crate) fn close(&mut self, now: Instant) {
        self.endpoint.stop(now, address());
    }

    pub(crate) fn timeout(&self) -> Option<Instant> {
        self.endpoint.poll_timeout(&address())
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        _ = self.endpoint.handle_timeout(address(), now);
    }

    pub(crate) fn profile(&self) -> SrtpProtectionProfile {
        self.endpoint.get_connection_state(address()).unwrap().srtp_protection_profile()
    }

    /// Contexts that seal for us and open what we sealed.
    pub(crate) fn srtp(&self) -> (Context, Context) {
        let profile = match self.profile() {
            GCM => ProtectionProfile::AeadAes128Gcm,
            CM => ProtectionProfile::Aes128CmHmacSha1_80,
            other => panic!("{other:?}"),
        };
        let mut config = Config { profile, ..Config::default() };
        let state = self.endpoint.get_connection_state(address()).unwrap();
        let length = config.keying_material_len();
        let material =
            state.export_keying_material(LABEL_EXTRACTOR_DTLS_SRTP, &[], length).unwrap();
        config.set_session_keys_from_keying_material(material.as_ref(), self.is_client).unwrap();
        let provider = rtc_crypto::default_provider().unwrap();
        let context = |key: &[u8], salt: &[u8]| {
            Context::new(key, salt, config.profile, None, None, provider.crypto()).unwrap()
        };
        (
            context(&config.keys.local_master_key, &config.keys.local_master_salt),
            context(&config.keys.remote_master_key, &config.keys.remote_master_salt),
        )
    }
}

/// An attribute with the given bytes.
pub(crate) struct Raw(pub(crate) AttrType, pub(crate) Vec<u8>);

impl Setter for Raw {
    fn add_to(&self, message: &mut Message) -> shared::error::Result<()> {
        message.add(self.0, &self.1);
        Ok(())
    }
}

/// A Binding request to be spoilt at will.
#[derive(Clone)]
pub(crate) struct Check {
    pub(crate) username: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) nominate: bool,
    pub(crate) controlled: bool,
    pub(crate) priority: u32,
    pub(crate) extra: Vec<AttrType>,
    pub(crate) after_integrity: Vec<AttrType>,
    pub(crate) fingerprint: bool,
}

impl Check {
    /// What an honest client sends: to the owner of `local`, from the owner of `remote`.
    pub(crate) fn new(local: &IceCredentials, remote: &IceCredentials) -> Self {
        Self {
            username: Some(format!("{}:{}", local.ufrag, remote.ufrag)),
            password: Some(local.password.to_string()),
            nominate: false,
            controlled: false,
            priority: 1,
            extra: vec![],
            after_integrity: vec![],
            fingerprint: true,
        }
    }

    pub(crate) fn nominating(mut self) -> Self {
        self.nominate = true;
        self
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let provider = rtc_crypto::default_provider().unwrap();
        let mut setters: Vec<Box<dyn Setter + '_>> =
            vec![Box::new(BINDING_REQUEST), Box::new(TransactionId::new())];
        if let Some(username) = &self.username {
            setters.push(Box::new(Raw(ATTR_USERNAME, username.clone().into_bytes())));
        }
        let role = if self.controlled { ATTR_ICE_CONTROLLED } else { ATTR_ICE_CONTROLLING };
        setters.push(Box::new(Raw(role, vec![9; 8])));
        setters.push(Box::new(Raw(ATTR_PRIORITY, self.priority.to_be_bytes().into())));
        if self.nominate {
            setters.push(Box::new(Raw(ATTR_USE_CANDIDATE, vec![])));
        }
        setters.extend(self.extra.iter().map(|&t| Box::new(Raw(t, vec![1, 2])) as Box<dyn Setter>));
        if let Some(password) = &self.password {
            setters.push(Box::new(MessageIntegrity::new_short_term_integrity_with_provider(
                password.clone(),
                provider.crypto(),
            )));
        }
        let after = self.after_integrity.iter();
        setters.extend(after.map(|&t| Box::new(Raw(t, vec![])) as Box<dyn Setter>));
        if self.fingerprint {
            setters.push(Box::new(FINGERPRINT));
        }
        let mut message = Message::new();
        message.build(&setters).unwrap();
        message.raw
    }
}
