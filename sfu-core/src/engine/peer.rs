//! A peer: one participant's connection, what it publishes and what it receives.

use std::time::{Duration, Instant};

use super::quality::Quality;
use crate::bandwidth::{BandwidthConfig, ProbeId, SendSide};
use crate::command::{Permissions, PublishRequest, SubscribePolicy};
use crate::deliver::pacer::{Pacer, PacerConfig};
use crate::deliver::rtcp_queue::RtcpQueue;
use crate::deliver::sent::{RtxBudget, SentPacket};
use crate::deliver::slot::{ClockOffset, Slot};
use crate::id::{ParticipantId, PayloadType, RoomId, Ssrc, SubscriptionId, TrackId};
use crate::negotiation::{MediaKind, Section};
use crate::publish::twcc::TwccRecorder;
use crate::rtp::extension::ExtensionMap;
use crate::stats::PeerStats;
use crate::transport::{DtlsRole, Fingerprint, IceCredentials, Path, Transport};

/// One peer.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) room: RoomId,
    pub(crate) participant: ParticipantId,
    pub(crate) policy: SubscribePolicy,
    pub(crate) permissions: Permissions,
    /// There from the first offer on.
    pub(crate) link: Option<Link>,
    pub(crate) publish: PublishState,
    pub(crate) receive: ReceiveState,
    pub(crate) rtcp: RtcpQueue,
    /// SSRC of this side in feedback about the peer's own streams.
    pub(crate) feedback_ssrc: Ssrc,
    pub(crate) next_report: Option<Instant>,
    pub(crate) stats: PeerStats,
    /// Waiting in the engine's list of peers with something to send.
    pub(crate) dirty: bool,
    /// Waiting in the engine's list of peers whose deadline may have moved.
    pub(crate) touched: bool,
}

/// A peer's transport and what was agreed on it.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) transport: Transport,
    pub(crate) remote_ice: IceCredentials,
    pub(crate) remote_fingerprints: Vec<Fingerprint>,
    pub(crate) local_ice: IceCredentials,
    /// Its validated paths, as the demultiplexer knows them.
    pub(crate) paths: Vec<Path>,
    pub(crate) role: DtlsRole,
    pub(crate) sections: Vec<Section>,
    /// Answers given so far.
    pub(crate) answers: u64,
}

/// The publishing side of a peer.
#[derive(Debug, Default)]
pub(crate) struct PublishState {
    /// The track of each m-line that sends one, by m-line index.
    pub(crate) track_by_section: Vec<Option<TrackId>>,
    /// What was said of m-lines that are still to be offered.
    pub(crate) announced: Vec<PublishRequest>,
    /// Where packets of an SSRC belong, sorted by SSRC; at most
    /// [`crate::limits::SSRCS_PER_PEER_MAX`].
    pub(crate) routes: Vec<(Ssrc, Route)>,
    /// Header extension ids of everything the peer sends: one id means one thing on all bundled
    /// m-lines (RFC 8843 §9).
    pub(crate) extensions: ExtensionMap,
    pub(crate) twcc: TwccRecorder,
    pub(crate) clock: ClockOffset,
}

/// Where the packets of an SSRC belong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) track: TrackId,
    pub(crate) encoding: u8,
    /// Retransmissions (RFC 4588) of the encoding rather than the encoding itself.
    pub(crate) rtx: bool,
}

impl PublishState {
    pub(crate) fn route(&self, ssrc: Ssrc) -> Option<Route> {
        let at = self.routes.binary_search_by_key(&ssrc, |&(ssrc, _)| ssrc).ok()?;
        Some(self.routes[at].1)
    }

    /// Binds an SSRC. Returns false if there are too many.
    pub(crate) fn bind(&mut self, ssrc: Ssrc, route: Route) -> bool {
        match self.routes.binary_search_by_key(&ssrc, |&(ssrc, _)| ssrc) {
            Ok(at) => self.routes[at].1 = route,
            Err(_) if self.routes.len() >= crate::limits::SSRCS_PER_PEER_MAX => return false,
            Err(at) => self.routes.insert(at, (ssrc, route)),
        }
        true
    }

    pub(crate) fn unbind_ssrc(&mut self, ssrc: Ssrc) {
        self.routes.retain(|&(bound, _)| bound != ssrc);
    }

    pub(crate) fn unbind(&mut self, track: TrackId) {
        self.routes.retain(|(_, route)| route.track != track);
    }

    pub(crate) fn tracks(&self) -> impl Iterator<Item = TrackId> + '_ {
        self.track_by_section.iter().copied().flatten()
    }
}

/// The receiving side of a peer.
#[derive(Debug)]
pub(crate) struct ReceiveState {
    pub(crate) slots: Vec<Slot>,
    pub(crate) subscriptions: Vec<SubscriptionId>,
    /// Packets to be built and sealed when their time comes.
    pub(crate) pacer: Pacer<Outgoing, ProbeId>,
    /// What the path to the peer carries.
    pub(crate) bandwidth: SendSide,
    /// How that is shared out.
    pub(super) quality: Quality,
    /// Whether the peer promised to say what arrives (TWCC, RFC 8888 or REMB).
    pub(crate) feedback: bool,
    /// Whether it ever did.
    pub(crate) heard: bool,
    /// Nothing has been heard for a while, though packets left.
    pub(crate) silent: bool,
    /// Since when packets are lost steadily.
    pub(crate) lossy_since: Option<Instant>,
    /// Whether it names packets by SSRC and sequence number (RFC 8888).
    pub(crate) reports_by_ssrc: bool,
    /// Since when media leaves for the peer, and where to.
    pub(crate) sending: Option<(Instant, Path)>,
    /// Since when there is video: sound alone tells little of what a path carries.
    pub(crate) shown: Option<Instant>,
    /// Since when the path has carried clearly more than it was given.
    pub(crate) roomy_since: Option<Instant>,
    pub(crate) rtx_budget: RtxBudget,
    pub(crate) rtt: Option<Duration>,
    /// What [`crate::event::Event::SlotsNeeded`] last said.
    pub(crate) slots_announced: (u16, u16),
}

impl ReceiveState {
    fn new(now: Instant) -> Self {
        Self {
            slots: Vec::new(),
            subscriptions: Vec::new(),
            pacer: Pacer::new(PacerConfig::default()),
            bandwidth: SendSide::new(now, BandwidthConfig::default()),
            quality: Quality::default(),
            feedback: false,
            heard: false,
            silent: false,
            lossy_since: None,
            reports_by_ssrc: false,
            sending: None,
            shown: None,
            roomy_since: None,
            rtx_budget: RtxBudget::default(),
            rtt: None,
            slots_announced: (0, 0),
        }
    }

    /// The slots of one kind with their place in the order of that kind: the n-th audio and the
    /// n-th video slot share a MediaStream.
    pub(crate) fn slots_of(&self, kind: MediaKind) -> impl Iterator<Item = (usize, &Slot)> {
        self.slots.iter().enumerate().filter(move |(_, slot)| slot.kind == kind)
    }

    pub(crate) fn slot_by_ssrc(&mut self, ssrc: Ssrc) -> Option<&mut Slot> {
        self.slots.iter_mut().find(|slot| slot.send.ssrc == ssrc)
    }
}

/// A packet owed to a subscriber: where its payload is, and its header.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outgoing {
    pub(crate) slot: u16,
    pub(crate) packet: SentPacket,
    pub(crate) payload_type: PayloadType,
    pub(crate) unwrap_red: bool,
    pub(crate) kind: OutgoingKind,
}

/// What an outgoing packet is to its receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OutgoingKind {
    /// A published packet.
    Media,
    /// One that was sent before, on the retransmission SSRC (RFC 4588).
    Retransmission,
    /// Nothing, on the retransmission SSRC: part of a probe.
    Padding,
}

impl Peer {
    pub(crate) fn new(
        now: Instant,
        room: RoomId,
        participant: ParticipantId,
        policy: SubscribePolicy,
        feedback_ssrc: Ssrc,
    ) -> Self {
        Self {
            room,
            participant,
            policy,
            permissions: Permissions::ALL,
            link: None,
            publish: PublishState::default(),
            receive: ReceiveState::new(now),
            rtcp: RtcpQueue::default(),
            feedback_ssrc,
            next_report: None,
            stats: PeerStats::default(),
            dirty: false,
            touched: false,
        }
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.link.as_ref().is_some_and(|link| link.transport.is_connected())
    }

    /// Whether a sender or receiver report may have something to say. Most people of most rooms only
    /// wait, and would cost a wake-up a second each.
    pub(crate) fn has_to_report(&self) -> bool {
        let receives = |slot: &Slot| slot.subscription.is_some();
        self.publish.tracks().next().is_some() || self.receive.slots.iter().any(receives)
    }
}
