//! A published track and its encodings: what arrives, remembered once for everyone who subscribes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use crate::command::Source;
use crate::event::TrackInfo;
use crate::forward::align::Clock;
use crate::id::{
    Mid, ParticipantId, PayloadType, PeerId, Rid, RoomId, Ssrc, SubscriptionId, TrackId,
};
use crate::negotiation::{CodecParameters, MediaKind};
use crate::publish::demand::TrackDemand;
use crate::publish::history::History;
use crate::publish::keyframe::KeyframeRequests;
use crate::publish::meter::LayerMeter;
use crate::publish::nack::NackGenerator;
use crate::publish::pages::PagePool;
use crate::publish::receive::ReceiveStatistics;
use crate::relay::{Mirror, Wish};
use crate::rtp::codec_view::Reader;
use crate::rtp::sequence::Unwrapper;

/// A published track.
#[derive(Debug)]
pub struct Track {
    /// Where it is published.
    pub room: RoomId,
    /// Where it comes from.
    pub origin: Origin,
    /// When it was published: an NTP time of the server, later than that of any track before it in
    /// its room.
    pub since: u64,
    /// Who publishes it.
    pub participant: ParticipantId,
    /// Audio or video.
    pub kind: MediaKind,
    /// Where it comes from.
    pub source: Source,
    /// Its label.
    pub name: Arc<str>,
    /// Whether it is muted: nothing is forwarded then.
    pub muted: bool,
    /// The publisher's m-line.
    pub mid: Mid,
    /// The codecs the publisher may use, as it numbers them.
    pub codecs: Vec<CodecParameters>,
    /// Its encodings.
    pub encodings: Vec<Encoding>,
    /// What arrives of each layer.
    pub meter: LayerMeter,
    /// What anybody wants of it.
    pub demand: TrackDemand,
    /// Who gets it.
    pub subscriptions: Vec<SubscriptionId>,
    /// Which other engines get it; none if it comes from one.
    pub wishes: SmallVec<[Wished; 2]>,
}

/// Where a track comes from.
#[derive(Debug)]
pub enum Origin {
    /// From a peer of this engine.
    Peer(PeerId),
    /// From another engine.
    Mirror(Mirror),
}

/// The other engine's view of a track of this one.
#[derive(Clone, Copy, Debug)]
pub struct Wished {
    /// Its worker number.
    pub worker: u8,
    /// What it calls the track.
    pub mirror: TrackId,
    /// What it wants of it.
    pub wish: Wish,
}

impl Track {
    /// The peer that publishes it, unless it comes from another engine.
    #[must_use]
    pub fn peer(&self) -> Option<PeerId> {
        match self.origin {
            Origin::Peer(peer) => Some(peer),
            Origin::Mirror(_) => None,
        }
    }

    /// What makes it a mirror, if it is one.
    #[must_use]
    pub fn mirror(&self) -> Option<&Mirror> {
        match &self.origin {
            Origin::Peer(_) => None,
            Origin::Mirror(mirror) => Some(mirror),
        }
    }

    /// See [`Track::mirror`].
    pub fn mirror_mut(&mut self) -> Option<&mut Mirror> {
        match &mut self.origin {
            Origin::Peer(_) => None,
            Origin::Mirror(mirror) => Some(mirror),
        }
    }

    /// What others learn of it.
    #[must_use]
    pub fn info(&self, id: TrackId) -> TrackInfo {
        TrackInfo {
            track: id,
            participant: self.participant,
            kind: self.kind,
            source: self.source,
            name: self.name.clone(),
            muted: self.muted,
            mid: self.mid.clone(),
            encodings: u8::try_from(self.encodings.len()).unwrap_or(u8::MAX),
            rids: self.encodings.iter().filter_map(|encoding| encoding.rid.clone()).collect(),
        }
    }

    /// The codec of a payload type of the publisher.
    #[must_use]
    pub fn codec(&self, payload_type: PayloadType) -> Option<&CodecParameters> {
        self.codecs.iter().find(|codec| codec.payload_type == payload_type)
    }

    /// The codec whose retransmissions have this payload type.
    #[must_use]
    pub fn codec_of_rtx(&self, payload_type: PayloadType) -> Option<&CodecParameters> {
        self.codecs.iter().find(|codec| codec.rtx == Some(payload_type))
    }
}

/// An SSRC of which nothing came for so long may be followed by another one.
const SILENT: Duration = Duration::from_millis(500);

/// One encoding of a track.
#[derive(Debug)]
pub struct Encoding {
    /// Its RID, with simulcast.
    pub rid: Option<Rid>,
    /// Its SSRC, once known.
    pub ssrc: Option<Ssrc>,
    /// The SSRC of its retransmissions, once known.
    pub rtx_ssrc: Option<Ssrc>,
    /// Whether the next unsignalled SSRC may take the place of the bound one: after an offer.
    pub is_replaceable: bool,
    /// Whether nothing but a payload type said that the SSRC is of this encoding.
    pub is_guessed: bool,
    /// Counts restarts: packets of different epochs belong to different sequences.
    pub epoch: u32,
    /// Reads its payloads.
    pub reader: Reader,
    /// Its clock, to be aligned with those of its siblings.
    pub clock: Clock,
    /// Extends sequence numbers to 64 bits.
    pub sequence: Unwrapper,
    /// The packets of the last seconds.
    pub history: History,
    /// Loss and jitter.
    pub statistics: ReceiveStatistics,
    /// What is missing.
    pub nack: NackGenerator,
    /// Who wants a keyframe.
    pub keyframes: KeyframeRequests,
    /// The publisher's latest sender report: its NTP time in its own clock, the RTP time.
    pub sender_report: Option<(u64, u32)>,
}

impl Encoding {
    /// An encoding of which nothing has arrived.
    #[must_use]
    pub fn new(
        kind: MediaKind,
        rid: Option<Rid>,
        ssrc: Option<Ssrc>,
        rtx_ssrc: Option<Ssrc>,
    ) -> Self {
        Self {
            rid,
            ssrc,
            rtx_ssrc,
            is_replaceable: false,
            is_guessed: false,
            epoch: 0,
            reader: Reader::default(),
            clock: Clock::default(),
            sequence: Unwrapper::default(),
            history: History::new(kind),
            statistics: ReceiveStatistics::default(),
            nack: NackGenerator::default(),
            keyframes: KeyframeRequests::default(),
            sender_report: None,
        }
    }

    /// Whether an SSRC that names this encoding may take the place of the bound one: after an offer,
    /// where the bound one did not name it, and where nothing comes of that any more (what was left
    /// of an earlier track on the same m-line may have been first).
    #[must_use]
    pub fn may_rebind(&self, now: Instant) -> bool {
        let heard = self.statistics.heard();
        self.is_replaceable
            || self.is_guessed
            || heard.is_none_or(|at| now.saturating_duration_since(at) >= SILENT)
    }

    /// Starts anew after a jump in the sequence or a change of SSRC.
    pub fn restart(&mut self, pages: &mut PagePool) {
        self.epoch = self.epoch.wrapping_add(1);
        self.reader = Reader::default();
        self.clock = Clock::default();
        self.sequence = Unwrapper::default();
        self.history.clear(pages);
        self.statistics = ReceiveStatistics::default();
        self.nack = NackGenerator::default();
        self.sender_report = None;
    }
}
