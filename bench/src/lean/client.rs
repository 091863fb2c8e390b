//! [`Client`]: one secure path to a server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result};
use bytes::BytesMut;
use clap::ValueEnum;
use dtls::config::{ClientAuthType, ConfigBuilder};
use dtls::endpoint::{Endpoint, EndpointEvent};
use dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use serde::Serialize;
use shared::TransportProtocol;
use srtp::config::{Config, LABEL_EXTRACTOR_DTLS_SRTP};
use srtp::context::Context;
use srtp::protection_profile::ProtectionProfile;
use stun::attributes::{
    ATTR_ICE_CONTROLLING, ATTR_PRIORITY, ATTR_USE_CANDIDATE, ATTR_USERNAME, AttrType,
};
use stun::fingerprint::FINGERPRINT;
use stun::integrity::MessageIntegrity;
use stun::message::{BINDING_REQUEST, Message, Setter, TransactionId};

use super::video::SSRC;

const PASSWORD: &str = "passwordOfEnoughLength00";

/// What a client does in its one m-line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Publisher,
    Subscriber,
}

/// What the m-line carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ValueEnum)]
pub(crate) enum Media {
    /// VP8.
    #[default]
    Video,
    /// Opus.
    Audio,
}

/// The certificate that all clients of a run share.
pub(crate) struct Identity {
    pub(crate) certificate: dtls::crypto::Certificate,
    pub(crate) fingerprint: String,
}

impl Identity {
    pub(crate) fn new() -> Result<Self> {
        let provider = rtc_crypto::default_provider()?;
        let certificate = dtls::crypto::Certificate::generate_self_signed(
            vec!["bench".into()],
            provider.crypto(),
        )?;
        let der = &certificate.certificate[0];
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, der);
        let hex: Vec<_> = hash.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
        Ok(Self { certificate, fingerprint: hex.join(":") })
    }
}

pub(crate) struct Client {
    ufrag: String,
    server_ufrag: String,
    server_password: String,
    endpoint: Endpoint,
    connected: bool,
}

/// rtc-dtls keys its connections by address; any will do.
fn placeholder() -> SocketAddr {
    ([192, 0, 2, 7], 7).into()
}

impl Client {
    pub(crate) fn new(now: Instant, number: usize, identity: &Identity) -> Result<Self> {
        let config = ConfigBuilder::default()
            .with_crypto_provider(rtc_crypto::default_provider()?)
            .with_certificates(vec![identity.certificate.clone()])
            .with_srtp_protection_profiles(vec![SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm])
            .with_client_auth(ClientAuthType::RequireAnyClientCert)
            .with_insecure_skip_verify(true)
            .with_server_name("sfu.invalid".into())
            .build(true, None)?;
        let mut endpoint = Endpoint::new(placeholder(), TransportProtocol::UDP, None);
        endpoint.connect(now, placeholder(), Arc::new(config), None)?;
        Ok(Self {
            ufrag: format!("client{number}"),
            server_ufrag: String::new(),
            server_password: String::new(),
            endpoint,
            connected: false,
        })
    }

    /// The offer of one m-line. `transport_cc`: whether transport-wide feedback is promised.
    pub(crate) fn offer(
        &self,
        role: Role,
        media: Media,
        transport_cc: bool,
        identity: &Identity,
    ) -> String {
        let (ufrag, fingerprint) = (&self.ufrag, &identity.fingerprint);
        let direction = match role {
            Role::Publisher => "sendonly",
            Role::Subscriber => "recvonly",
        };
        let (line, payload) = match media {
            Media::Video => (
                "video 9 UDP/TLS/RTP/SAVPF 96 97",
                "a=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 nack\r\na=rtcp-fb:96 nack pli\r\n\
                 a=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n",
            ),
            Media::Audio => ("audio 9 UDP/TLS/RTP/SAVPF 96", "a=rtpmap:96 opus/48000/2\r\n"),
        };
        let mut sdp = format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
             m={line}\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na={direction}\r\n\
             a=rtcp-mux\r\na=rtcp-rsize\r\na=setup:actpass\r\na=ice-ufrag:{ufrag}\r\n\
             a=ice-pwd:{PASSWORD}\r\na=fingerprint:sha-256 {fingerprint}\r\n{payload}"
        );
        if transport_cc {
            sdp += "a=rtcp-fb:96 transport-cc\r\na=extmap:3 \
                http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n";
        }
        if role == Role::Publisher {
            sdp += &format!("a=ssrc:{SSRC} cname:bench\r\n");
        }
        sdp
    }

    /// Takes the server's ICE credentials.
    pub(crate) fn answered(&mut self, ufrag: &str, password: &str) {
        ufrag.clone_into(&mut self.server_ufrag);
        password.clone_into(&mut self.server_password);
    }

    /// A nominating connectivity check (RFC 8445 §7.2).
    pub(crate) fn check(&self) -> Result<Vec<u8>> {
        let provider = rtc_crypto::default_provider()?;
        let username = format!("{}:{}", self.server_ufrag, self.ufrag);
        let setters: [Box<dyn Setter>; 8] = [
            Box::new(BINDING_REQUEST),
            Box::new(TransactionId::new()),
            Box::new(Attribute(ATTR_USERNAME, username.into_bytes())),
            Box::new(Attribute(ATTR_ICE_CONTROLLING, vec![9; 8])),
            Box::new(Attribute(ATTR_PRIORITY, vec![0, 0, 0, 1])),
            Box::new(Attribute(ATTR_USE_CANDIDATE, vec![])),
            Box::new(MessageIntegrity::new_short_term_integrity_with_provider(
                self.server_password.clone(),
                provider.crypto(),
            )),
            Box::new(FINGERPRINT),
        ];
        let mut message = Message::new();
        message.build(&setters)?;
        Ok(message.raw)
    }

    /// The next DTLS datagram to send.
    pub(crate) fn poll_dtls(&mut self) -> Option<Vec<u8>> {
        Some(self.endpoint.poll_transmit()?.message.to_vec())
    }

    /// Sends the last flight again if its time has come.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Result<()> {
        Ok(self.endpoint.handle_timeout(placeholder(), now)?)
    }

    /// Takes a datagram of the handshake; others are left alone.
    pub(crate) fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) -> Result<()> {
        // RFC 7983 §7.
        if !datagram.first().is_some_and(|first| (20..64).contains(first)) {
            return Ok(());
        }
        let events = self.endpoint.read(now, placeholder(), None, BytesMut::from(datagram))?;
        self.connected |= events.iter().any(|e| matches!(e, EndpointEvent::HandshakeComplete));
        Ok(())
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.connected
    }

    /// What seals this client's packets.
    pub(crate) fn sealing_context(&self) -> Result<Context> {
        self.context(true)
    }

    /// What opens the server's packets.
    pub(crate) fn opening_context(&self) -> Result<Context> {
        self.context(false)
    }

    fn context(&self, own: bool) -> Result<Context> {
        let profile = ProtectionProfile::AeadAes128Gcm;
        let mut config = Config { profile, ..Config::default() };
        let state = self.endpoint.get_connection_state(placeholder()).context("no DTLS state")?;
        let bytes = config.keying_material_len();
        let material = state.export_keying_material(LABEL_EXTRACTOR_DTLS_SRTP, &[], bytes)?;
        config.set_session_keys_from_keying_material(material.as_ref(), true)?;
        let keys = &config.keys;
        let (key, salt) = if own {
            (&keys.local_master_key, &keys.local_master_salt)
        } else {
            (&keys.remote_master_key, &keys.remote_master_salt)
        };
        let provider = rtc_crypto::default_provider()?;
        Ok(Context::new(key, salt, profile, None, None, provider.crypto())?)
    }
}

struct Attribute(AttrType, Vec<u8>);

impl Setter for Attribute {
    fn add_to(&self, message: &mut Message) -> shared::error::Result<()> {
        message.add(self.0, &self.1);
        Ok(())
    }
}
