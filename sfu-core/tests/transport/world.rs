//! A transport and its peer, joined by a wire that can lose.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use sfu_core::drops::DropReason;
use sfu_core::event::TransportState;
use sfu_core::transport::{
    Certificate, DtlsRole, Fingerprint, IceCredentials, Path, Received, Remote, Security,
    Transport, TransportConfig, TransportEvent,
};

use crate::peer::{Check, GCM, Peer, fingerprint_of, new_certificate};

/// Any instant is as good as another as the origin of virtual time.
#[expect(clippy::disallowed_methods, reason = "the origin of virtual time")]
pub(crate) fn epoch() -> Instant {
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    *EPOCH.get_or_init(Instant::now)
}

pub(crate) fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

pub(crate) fn path(n: u16) -> Path {
    Path::udp(([198, 51, 100, 1], 40_000 + n), Some([10, 0, 0, 1].into()))
}

pub(crate) fn credentials(name: &str) -> IceCredentials {
    IceCredentials {
        ufrag: format!("{name}ufrag").into(),
        password: format!("{name}-password-0123456789").into(),
    }
}

pub(crate) fn is_dtls(datagram: &[u8]) -> bool {
    (20..64).contains(&datagram[0])
}

/// What a datagram was, see [`Received`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Got {
    Consumed,
    Rtp(Vec<u8>),
    Rtcp(Vec<u8>),
}

/// Has a transport take a copy of a datagram.
pub(crate) fn handle(
    transport: &mut Transport,
    now: Instant,
    path: Path,
    datagram: &[u8],
) -> Result<Got, DropReason> {
    match transport.handle_datagram(now, path, &mut datagram.to_vec())? {
        Received::Consumed => Ok(Got::Consumed),
        Received::Rtp(packet) => Ok(Got::Rtp(packet.to_vec())),
        Received::Rtcp(packet) => Ok(Got::Rtcp(packet.to_vec())),
    }
}

pub(crate) fn new_transport(
    now: Instant,
    role: DtlsRole,
    security: Security,
    fingerprints: Vec<Fingerprint>,
) -> Transport {
    static CERTIFICATE: OnceLock<Arc<Certificate>> = OnceLock::new();
    let certificate = CERTIFICATE.get_or_init(|| Arc::new(Certificate::generate().unwrap()));
    let config = TransportConfig { certificate: certificate.clone(), security };
    let remote = Remote { ice: credentials("remote"), fingerprints };
    Transport::new(now, &config, credentials("local"), remote, role, 0)
}

pub(crate) struct World {
    pub(crate) now: Instant,
    pub(crate) transport: Transport,
    pub(crate) peer: Peer,
    pub(crate) path: Path,
    pub(crate) states: Vec<TransportState>,
    pub(crate) events: Vec<TransportEvent>,
    /// DTLS datagrams carried so far, both ways; those at these places are lost.
    pub(crate) carried: usize,
    pub(crate) lost: Vec<usize>,
    /// DTLS datagrams the transport has sent.
    pub(crate) sent: usize,
}

impl World {
    /// `role` is the transport's; the peer has the other one and the certificate it announced.
    pub(crate) fn new(role: DtlsRole, profiles: &[SrtpProtectionProfile]) -> Self {
        let certificate = new_certificate();
        let fingerprint = fingerprint_of(&certificate, &aws_lc_rs::digest::SHA256, "sha-256");
        Self::with(role, profiles, Some(certificate), vec![fingerprint])
    }

    pub(crate) fn with(
        role: DtlsRole,
        profiles: &[SrtpProtectionProfile],
        certificate: Option<dtls::crypto::Certificate>,
        fingerprints: Vec<Fingerprint>,
    ) -> Self {
        let now = epoch();
        let peer_role = match role {
            DtlsRole::Client => DtlsRole::Server,
            DtlsRole::Server => DtlsRole::Client,
        };
        Self {
            now,
            transport: new_transport(now, role, Security::Full, fingerprints),
            peer: Peer::new(now, peer_role, certificate, profiles),
            path: path(0),
            states: vec![],
            events: vec![],
            carried: 0,
            lost: vec![],
            sent: 0,
        }
    }

    /// A world past its handshake.
    pub(crate) fn connected() -> Self {
        let mut world = Self::new(DtlsRole::Server, &[GCM]);
        world.check();
        world.run(ms(50));
        assert!(world.transport.is_connected() && world.peer.done);
        world
    }

    /// The peer checks and nominates its path.
    pub(crate) fn check(&mut self) {
        let check = Check::new(&credentials("local"), &credentials("remote")).nominating();
        self.transport.handle_stun(self.now, self.path, &check.encode()).unwrap();
    }

    /// Lets both talk until `duration` has passed, at once where nothing waits.
    pub(crate) fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        for _ in 0..100_000 {
            if self.exchange() {
                continue;
            }
            let timers = [self.transport.poll_timeout(), self.peer.timeout()];
            match timers.into_iter().flatten().min().filter(|&due| due <= end) {
                Some(due) => {
                    self.now = self.now.max(due);
                    self.transport.handle_timeout(self.now);
                    self.peer.handle_timeout(self.now);
                }
                None => {
                    self.now = end;
                    return self.collect();
                }
            }
        }
        panic!("they never come to rest");
    }

    /// Carries what both have to send. Returns whether there was anything.
    pub(crate) fn exchange(&mut self) -> bool {
        let mut any = false;
        while let Some((_, datagram)) = self.transport.poll_transmit() {
            any = true;
            if !is_dtls(&datagram) {
                continue;
            }
            self.sent += 1;
            if !self.loses() {
                self.peer.receive(self.now, &datagram);
            }
        }
        while let Some(datagram) = self.peer.transmit() {
            any = true;
            if !self.loses() {
                let result = handle(&mut self.transport, self.now, self.path, &datagram);
                assert!(matches!(result, Ok(Got::Consumed) | Err(_)));
            }
        }
        self.collect();
        any
    }

    fn loses(&mut self) -> bool {
        self.carried += 1;
        self.lost.contains(&(self.carried - 1))
    }

    fn collect(&mut self) {
        while let Some(event) = self.transport.poll_event() {
            match event {
                TransportEvent::State(state) => self.states.push(state),
                other => self.events.push(other),
            }
        }
    }
}
