//! Why a peer receives what it receives: the state behind it, and a flight recorder.

use std::time::Duration;

use smallvec::SmallVec;

use crate::forward::layer::LayerId;
use crate::id::{Mid, ParticipantId, TrackId};
use crate::negotiation::MediaKind;
use crate::preference::Preference;

/// Everything that explains what a peer receives now, and how it came about.
#[derive(Clone, Debug, Default)]
pub struct PeerDecisions {
    /// Age of the engine; [`Record::at`] is on the same scale.
    pub now: Duration,
    /// What the path to the peer is thought to carry.
    pub estimate: Estimate,
    /// What the allocation grants in all, bit/s.
    pub allocated_bps: u64,
    /// What it would grant with bandwidth enough, bit/s.
    pub wanted_bps: u64,
    /// Each subscription.
    pub subscriptions: Vec<SubscriptionDecision>,
    /// What happened of late, oldest first.
    pub records: Vec<Record>,
    /// The runs of the allocation of late with all that they were given, oldest first; see
    /// [`crate::recorder::replay`].
    pub runs: Vec<crate::recorder::Run>,
}

/// What the path to a subscriber is thought to carry, and why no more. Rates in bit/s on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Estimate {
    /// The estimate.
    pub target_bps: u64,
    /// Which part of the estimator sets it.
    pub limited_by: LimitedBy,
    /// The delay-based part.
    pub delay_bps: u64,
    /// The loss-based part, if it limits.
    pub loss_bps: Option<u64>,
    /// The receiver's own estimate, if it sends one (REMB).
    pub remb_bps: Option<u64>,
    /// What arrives at the subscriber.
    pub acknowledged_bps: Option<u64>,
    /// Round-trip time.
    pub rtt: Option<Duration>,
    /// Share of packets lost of late, 0 to 1.
    pub loss: f32,
}

/// Which part of the estimator sets the estimate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LimitedBy {
    /// Nothing is known yet.
    #[default]
    Start,
    /// Queueing delay.
    Delay,
    /// Loss that moves with the rate.
    Loss,
    /// The receiver's REMB.
    Remb,
    /// No feedback comes back.
    Outage,
    /// The configured bounds.
    Bounds,
}

/// One subscription as it stands.
#[derive(Clone, Debug)]
pub struct SubscriptionDecision {
    /// The track.
    pub track: TrackId,
    /// Its publisher.
    pub participant: ParticipantId,
    /// Audio or video.
    pub kind: MediaKind,
    /// The m-line that carries it.
    pub mid: Option<Mid>,
    /// What the subscriber wants.
    pub preference: Preference,
    /// What there is to choose from.
    pub available: SmallVec<[LayerOption; 8]>,
    /// What the allocation grants; `None` while paused.
    pub granted: Option<LayerId>,
    /// What is being forwarded.
    pub current: Option<LayerId>,
    /// Why no more is granted.
    pub reason: Reason,
}

/// A layer that arrives, as the allocation sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerOption {
    /// Which.
    pub layer: LayerId,
    /// What it and all it needs cost, bit/s on the wire.
    pub bitrate_bps: u64,
    /// Picture width in pixels; 0 if unknown.
    pub width: u16,
    /// Picture height in pixels; 0 if unknown.
    pub height: u16,
    /// Frames per second.
    pub frames_per_second: u8,
}

/// Why a subscription gets what it gets, and no more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Reason {
    /// It gets the best there is.
    #[default]
    Best,
    /// The next layer up would be larger than the place it is shown in, or faster than wanted.
    LargeEnough,
    /// The subscriber asked for no more, in words.
    Wanted,
    /// The next layer up does not fit the estimate.
    Bandwidth,
    /// It would fit, but has not done so for long enough.
    Settling,
    /// Others come first.
    Priority,
    /// The subscriber turned it off.
    Off,
    /// The subscriber does not see it.
    Hidden,
    /// The room forwards only its last speakers.
    LastN,
    /// The publisher has muted it.
    Muted,
    /// Nothing arrives from the publisher.
    Silent,
    /// There is no m-line for it, or no codec.
    NoSlot,
    /// The room's participants exchange media among themselves.
    Direct,
    /// The server is overloaded and forwards fewer layers.
    Overload,
}

/// One thing that happened to a peer.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// When, since the engine's start.
    pub at: Duration,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "fields are named by what they hold")]
pub enum What {
    /// The estimate moved by more than a few per cent.
    Estimate(Estimate),
    /// A probe went out.
    Probe { bitrate_bps: u64, why: ProbeReason },
    /// A probe came back.
    Probed { bitrate_bps: u64 },
    /// Bandwidth was shared out anew: budget, and for each video subscription what it got.
    Allocated { budget_bps: u64, grants: Vec<(TrackId, Option<LayerId>, Reason)> },
    /// Forwarding changed over.
    Switched { track: TrackId, from: Option<LayerId>, to: Option<LayerId> },
    /// A keyframe was asked for.
    KeyframeRequested { track: TrackId, encoding: u8, why: KeyframeReason },
}

/// Why a probe went out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeReason {
    /// At the start.
    Start,
    /// More is wanted than is known to fit.
    Demand,
    /// Little is sent; is there still room?
    Idle,
    /// After a drop: was it for good?
    Recovery,
    /// Nothing has moved for long.
    Stagnation,
    /// The path changed.
    Route,
}

/// Why a keyframe was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyframeReason {
    /// A subscription begins.
    Start,
    /// To change over to another layer.
    Switch,
    /// The subscriber asked.
    Subscriber,
    /// Packets were given up.
    Loss,
}
