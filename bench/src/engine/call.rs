//! A call inside one process: one publisher and many subscribers, each with a real ICE check, a
//! real DTLS handshake and real SRTP, and no socket.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use bytes::BytesMut;
use dtls::config::{ClientAuthType, ConfigBuilder};
use dtls::endpoint::{Endpoint, EndpointEvent};
use dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use sfu_core::command::{Command, Reply, SubscribePolicy};
use sfu_core::id::{ParticipantId, PeerId, RoomId};
use sfu_core::negotiation::Offer;
use sfu_core::transport::{Certificate, IceCredentials, Path, Security};
use sfu_core::{Egress, Engine, EngineConfig};
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

use super::{BATCH, PAYLOAD_BYTES};

pub(super) const SSRC: u32 = 0x1234_5678;
const PASSWORD: &str = "passwordOfEnoughLength00";
/// Virtual time between two batches: 30 frames a second.
const FRAME: Duration = Duration::from_millis(33);

/// The engine in the middle of a call.
pub(super) struct Call {
    pub(super) engine: Engine,
    pub(super) egress: Egress,
    pub(super) now: Instant,
    pub(super) clients: Vec<Client>,
    pub(super) publisher: Context,
    pub(super) sequence: u32,
}

impl Call {
    pub(super) fn new(subscribers: usize) -> Result<Self> {
        let now = Instant::now();
        let certificate = Certificate::generate().context("no certificate")?;
        let config = EngineConfig {
            certificate: Arc::new(certificate),
            candidates: vec![([127, 0, 0, 1], 7882).into()],
            worker: 0,
            ntp_at_start: 0,
            security: Security::Full,
        };
        let mut engine = Engine::new(config, 1, now);
        let Reply::Room(room) = engine.handle_command(now, Command::CreateRoom)? else {
            bail!("no room");
        };
        let mut egress = Egress::default();
        let identity = Identity::new()?;
        let mut clients = Vec::new();
        for number in 0..=subscribers {
            let mut client = Client::join(&mut engine, now, room, number, &identity)?;
            client.connect(&mut engine, now, &mut egress)?;
            clients.push(client);
        }
        let publisher = clients[0].sealing_context()?;
        let mut call = Self { engine, egress, now, clients, publisher, sequence: 0 };
        let before = call.engine.stats().rtp_out;
        let first = call.prepare(BATCH)?;
        call.forward(&first)?;
        let forwarded = call.engine.stats().rtp_out - before;
        ensure!(forwarded == (BATCH * subscribers) as u64, "only {forwarded} packets went on");
        Ok(call)
    }

    /// The next packets of the publisher, sealed. Also renews everybody's consent.
    pub(super) fn prepare(&mut self, packets: usize) -> Result<Vec<BytesMut>> {
        for client in &self.clients {
            let mut check = client.check()?;
            self.engine.handle_datagram(self.now, client.path, &mut check);
        }
        while !self.engine.drain(self.now, &mut self.egress) {
            self.egress.clear();
        }
        self.egress.clear();
        (0..packets)
            .map(|_| {
                let packet = vp8(self.sequence);
                self.sequence += 1;
                Ok(self.publisher.encrypt_rtp(&packet)?)
            })
            .collect()
    }

    /// Receives them in batches, and builds what the subscribers get.
    pub(super) fn forward(&mut self, packets: &[BytesMut]) -> Result<()> {
        let publisher = self.clients[0].path;
        for batch in packets.chunks(BATCH) {
            self.now += FRAME;
            for packet in batch {
                let mut packet = packet.clone();
                self.engine.handle_datagram(self.now, publisher, &mut packet);
            }
            self.engine.handle_timeout(self.now);
            while !self.engine.drain(self.now, &mut self.egress) {
                self.egress.clear();
            }
            self.egress.clear();
            while self.engine.poll_event().is_some() {}
        }
        Ok(())
    }
}

/// One RTP packet of a VP8 stream whose first frame is a keyframe.
pub(super) fn vp8(number: u32) -> Vec<u8> {
    let part = number % BATCH as u32;
    let frame = number / BATCH as u32;
    let mut packet = vec![0x80, 96 | if part == BATCH as u32 - 1 { 0x80 } else { 0 }];
    #[allow(clippy::cast_possible_truncation, reason = "RTP sequence numbers wrap")]
    packet.extend((number as u16).to_be_bytes());
    packet.extend(frame.wrapping_mul(3000).to_be_bytes());
    packet.extend(SSRC.to_be_bytes());
    // Payload descriptor (S bit at a frame's start), then the P bit: clear in a keyframe.
    packet.push(if part == 0 { 0x10 } else { 0 });
    packet.push(u8::from(frame != 0));
    packet.resize(12 + PAYLOAD_BYTES, 0);
    packet
}

/// The certificate that all clients of a call share.
struct Identity {
    certificate: dtls::crypto::Certificate,
    fingerprint: String,
}

impl Identity {
    fn new() -> Result<Self> {
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

pub(super) struct Client {
    pub(super) path: Path,
    ufrag: String,
    server: IceCredentials,
    endpoint: Endpoint,
    connected: bool,
}

/// rtc-dtls keys its connections by address; any will do.
fn placeholder() -> SocketAddr {
    ([192, 0, 2, 7], 7).into()
}

impl Client {
    fn join(
        engine: &mut Engine,
        now: Instant,
        room: RoomId,
        number: usize,
        identity: &Identity,
    ) -> Result<Self> {
        let participant = ParticipantId(number as u64 + 1);
        let add = Command::AddPeer { room, participant, subscribe: SubscribePolicy::All };
        let Reply::Peer(peer) = engine.handle_command(now, add)? else { bail!("no peer") };
        let ufrag = format!("client{number}");
        let server = Self::offer(engine, now, peer, &ufrag, number == 0, identity)?;
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
        let port = u16::try_from(10_000 + number).context("too many subscribers")?;
        let path = Path { remote: ([10, 0, 0, 1], port).into(), local: None };
        Ok(Self { path, ufrag, server, endpoint, connected: false })
    }

    fn offer(
        engine: &mut Engine,
        now: Instant,
        peer: PeerId,
        ufrag: &str,
        publishes: bool,
        identity: &Identity,
    ) -> Result<IceCredentials> {
        let direction = if publishes { "sendonly" } else { "recvonly" };
        let fingerprint = &identity.fingerprint;
        let mut sdp = format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
             m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na={direction}\r\n\
             a=rtcp-mux\r\na=rtcp-rsize\r\na=setup:actpass\r\na=ice-ufrag:{ufrag}\r\n\
             a=ice-pwd:{PASSWORD}\r\na=fingerprint:sha-256 {fingerprint}\r\n\
             a=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 nack\r\na=rtcp-fb:96 nack pli\r\n\
             a=rtcp-fb:96 transport-cc\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n\
             a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n"
        );
        if publishes {
            sdp += &format!("a=ssrc:{SSRC} cname:bench\r\n");
        }
        let offer = Box::new(Offer::parse(&sdp)?);
        let command = Command::Offer { peer, offer, publish: Vec::new() };
        match engine.handle_command(now, command)? {
            Reply::Answer { answer, .. } => Ok(answer.ice),
            other => bail!("no answer but {other:?}"),
        }
    }

    /// ICE and DTLS to the end.
    fn connect(&mut self, engine: &mut Engine, now: Instant, egress: &mut Egress) -> Result<()> {
        let mut check = self.check()?;
        engine.handle_datagram(now, self.path, &mut check);
        for _ in 0..20 {
            while let Some(out) = self.endpoint.poll_transmit() {
                engine.handle_datagram(now, self.path, &mut out.message.to_vec());
            }
            engine.drain(now, egress);
            let path = self.path;
            for (transmit, bytes) in egress.iter().filter(|(t, _)| t.path == path) {
                for datagram in bytes.chunks(transmit.segment_bytes) {
                    self.receive(now, datagram)?;
                }
            }
            egress.clear();
            while engine.poll_event().is_some() {}
            if self.connected {
                return Ok(());
            }
        }
        bail!("the handshake does not end")
    }

    fn receive(&mut self, now: Instant, datagram: &[u8]) -> Result<()> {
        if !(20..64).contains(&datagram[0]) {
            return Ok(());
        }
        let events = self.endpoint.read(now, placeholder(), None, BytesMut::from(datagram))?;
        self.connected |= events.iter().any(|e| matches!(e, EndpointEvent::HandshakeComplete));
        Ok(())
    }

    /// What seals this client's packets.
    pub(super) fn sealing_context(&self) -> Result<Context> {
        let profile = ProtectionProfile::AeadAes128Gcm;
        let mut config = Config { profile, ..Config::default() };
        let state = self.endpoint.get_connection_state(placeholder()).context("no DTLS state")?;
        let bytes = config.keying_material_len();
        let material = state.export_keying_material(LABEL_EXTRACTOR_DTLS_SRTP, &[], bytes)?;
        config.set_session_keys_from_keying_material(material.as_ref(), true)?;
        let (key, salt) = (&config.keys.local_master_key, &config.keys.local_master_salt);
        let provider = rtc_crypto::default_provider()?;
        Ok(Context::new(key, salt, profile, None, None, provider.crypto())?)
    }

    /// A nominating connectivity check (RFC 8445 §7.2).
    pub(super) fn check(&self) -> Result<Vec<u8>> {
        let provider = rtc_crypto::default_provider()?;
        let username = format!("{}:{}", self.server.ufrag, self.ufrag);
        let setters: [Box<dyn Setter>; 8] = [
            Box::new(BINDING_REQUEST),
            Box::new(TransactionId::new()),
            Box::new(Attribute(ATTR_USERNAME, username.into_bytes())),
            Box::new(Attribute(ATTR_ICE_CONTROLLING, vec![9; 8])),
            Box::new(Attribute(ATTR_PRIORITY, vec![0, 0, 0, 1])),
            Box::new(Attribute(ATTR_USE_CANDIDATE, vec![])),
            Box::new(MessageIntegrity::new_short_term_integrity_with_provider(
                self.server.password.to_string(),
                provider.crypto(),
            )),
            Box::new(FINGERPRINT),
        ];
        let mut message = Message::new();
        message.build(&setters)?;
        Ok(message.raw)
    }
}

struct Attribute(AttrType, Vec<u8>);

impl Setter for Attribute {
    fn add_to(&self, message: &mut Message) -> shared::error::Result<()> {
        message.add(self.0, &self.1);
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use sfu_core::drops::DropReason;

    use super::*;

    const SUBSCRIBERS: usize = 3;

    /// Feeds the call and its attackers in turn: `attack` gets the engine before each batch.
    fn goes_on_beside(attack: impl Fn(&mut Engine, Instant, Path, &[BytesMut])) -> Engine {
        let mut call = Call::new(SUBSCRIBERS).unwrap();
        let packets = call.prepare(400).unwrap();
        let before = call.engine.stats().rtp_out;
        for (at, batch) in packets.chunks(BATCH).enumerate() {
            attack(&mut call.engine, call.now, call.clients[0].path, &packets[..at * BATCH]);
            call.forward(batch).unwrap();
        }
        let forwarded = call.engine.stats().rtp_out - before;
        assert_eq!(forwarded, (packets.len() * SUBSCRIBERS) as u64, "the call loses nothing");
        call.engine
    }

    #[test]
    fn forged_and_short_srtp_on_the_publishers_own_path_is_counted_and_dropped() {
        let engine = goes_on_beside(|engine, now, path, _| {
            for length in 2..=64 {
                for second in [96, 200] {
                    let mut forged = vec![0; length];
                    forged[..2].copy_from_slice(&[0x80, second]);
                    if length >= 12 {
                        forged[2] = 0x70; // far ahead: not to be taken for a replay
                        forged[8..12].copy_from_slice(&SSRC.to_be_bytes());
                    }
                    engine.handle_datagram(now, path, &mut forged);
                }
            }
        });
        let drops = engine.stats().drops;
        assert!(
            drops.get(DropReason::SrtpShort) > 0 && drops.get(DropReason::SrtpAuthentication) > 0
        );
        let all = drops.get(DropReason::SrtpShort) + drops.get(DropReason::SrtpAuthentication);
        assert_eq!(all, 63 * 2 * 100, "every one of them");
    }

    #[test]
    fn replayed_srtp_is_counted_and_forwarded_once() {
        let engine = goes_on_beside(|engine, now, path, sent| {
            for packet in sent.iter().rev().take(20) {
                engine.handle_datagram(now, path, &mut packet.to_vec());
            }
        });
        assert!(engine.stats().drops.get(DropReason::SrtpReplay) > 1000);
    }

    #[test]
    fn a_wrong_certificate_is_refused_and_the_call_goes_on() {
        let mut call = Call::new(SUBSCRIBERS).unwrap();
        let wrong = Identity {
            fingerprint: Identity::new().unwrap().fingerprint,
            ..Identity::new().unwrap()
        };
        let Reply::Room(room) = call.engine.handle_command(call.now, Command::CreateRoom).unwrap()
        else {
            panic!("no room");
        };
        let mut stranger = Client::join(&mut call.engine, call.now, room, 99, &wrong).unwrap();
        let joined = stranger.connect(&mut call.engine, call.now, &mut call.egress);
        let connected = call.engine.stats().peers_connected;
        assert_eq!(connected, SUBSCRIBERS as u64 + 1, "{joined:?}");
        assert_eq!(call.engine.stats().drops.get(DropReason::DtlsFingerprintMismatch), 1);
        let packets = call.prepare(40).unwrap();
        let before = call.engine.stats().rtp_out;
        call.forward(&packets).unwrap();
        assert_eq!(call.engine.stats().rtp_out - before, (40 * SUBSCRIBERS) as u64);
    }
}
