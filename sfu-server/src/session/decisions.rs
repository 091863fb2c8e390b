//! Why a participant receives what it receives, as JSON: its state now, and the flight recorder's
//! records. See `docs/http.md`.

use std::time::Duration;

use serde::Serialize;
use sfu_core::command::{Command, CommandError, Reply};
use sfu_core::decision::{
    Estimate, KeyframeReason, LayerOption, LimitedBy, PeerDecisions, ProbeReason, Record,
    SubscriptionDecision, What,
};
use sfu_core::id::{ParticipantId, PeerId};

use super::forwarding::{LayerView, reason_name};
use super::message::{WireId, kind_name};
use super::prefer::PreferenceView;
use super::requests::{no_such_participant, participant};
use super::{SessionError, Sessions};
use crate::media::{MediaError, WorkerId};

impl Sessions {
    /// What explains the quality a participant receives. Its tracks have the ids by which everybody
    /// knows them.
    pub(crate) async fn decisions(
        &self,
        room: &str,
        id: ParticipantId,
    ) -> Result<PeerDecisions, SessionError> {
        let (worker, peer) = {
            let mut registry = self.registry.lock();
            let (worker, participant) = participant(&mut registry, room, id)?;
            (worker, participant.peer.ok_or_else(no_such_participant)?)
        };
        self.decisions_of(room, worker, peer).await
    }

    /// The same of any connection in a room, also a viewer's.
    pub(super) async fn decisions_of(
        &self,
        room: &str,
        worker: WorkerId,
        peer: PeerId,
    ) -> Result<PeerDecisions, SessionError> {
        match self.media.call(worker, Command::Decisions { peer }).await {
            Ok(Reply::Decisions(mut decisions)) => {
                let registry = self.registry.lock();
                let room = registry.room_by_name.get(room);
                if let Some(part) = room.and_then(|room| room.part(worker)) {
                    part.mirrors.rename(worker, &mut decisions);
                }
                Ok(*decisions)
            }
            Ok(_) => Err(MediaError::Panicked.into()),
            // It left while somebody was asking.
            Err(MediaError::Refused(CommandError::NoSuchPeer)) => Err(no_such_participant()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Records in the document: enough to see what just happened. It is read every second while a page
/// shows it.
const RECORDS_SHOWN: usize = 100;

/// What explains what a participant receives now, and the last records.
#[derive(Debug, Serialize)]
pub(crate) struct DecisionsView {
    now_ms: f64,
    estimate: EstimateView,
    allocated_bps: u64,
    wanted_bps: u64,
    subscriptions: Vec<SubscriptionView>,
    records: Vec<RecordView>,
}

#[derive(Debug, Serialize)]
struct EstimateView {
    target_bps: u64,
    limited_by: &'static str,
    delay_bps: u64,
    loss_bps: Option<u64>,
    remb_bps: Option<u64>,
    acknowledged_bps: Option<u64>,
    rtt_ms: Option<f64>,
    loss: f32,
}

#[derive(Debug, Serialize)]
struct SubscriptionView {
    track: WireId,
    participant: WireId,
    kind: &'static str,
    mid: Option<String>,
    preference: PreferenceView,
    available: Vec<OptionView>,
    granted: Option<LayerView>,
    current: Option<LayerView>,
    reason: &'static str,
}

#[derive(Debug, Serialize)]
struct OptionView {
    #[serde(flatten)]
    layer: LayerView,
    bitrate_bps: u64,
    width: u16,
    height: u16,
    frames_per_second: u8,
}

/// One line of the flight recorder.
#[derive(Debug, Serialize)]
pub(crate) struct RecordView {
    at_ms: f64,
    #[serde(flatten)]
    what: WhatView,
}

#[derive(Debug, Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
enum WhatView {
    Estimate(EstimateView),
    Probe { bitrate_bps: u64, why: &'static str },
    Probed { bitrate_bps: u64 },
    Allocated { budget_bps: u64, grants: Vec<GrantView> },
    Switched { track: WireId, from: Option<LayerView>, to: Option<LayerView> },
    KeyframeRequested { track: WireId, encoding: u8, why: &'static str },
}

#[derive(Debug, Serialize)]
struct GrantView {
    track: WireId,
    layer: Option<LayerView>,
    reason: &'static str,
}

impl From<&PeerDecisions> for DecisionsView {
    fn from(decisions: &PeerDecisions) -> Self {
        let last = &decisions.records[decisions.records.len().saturating_sub(RECORDS_SHOWN)..];
        Self {
            now_ms: millis(decisions.now),
            estimate: (&decisions.estimate).into(),
            allocated_bps: decisions.allocated_bps,
            wanted_bps: decisions.wanted_bps,
            subscriptions: decisions.subscriptions.iter().map(SubscriptionView::from).collect(),
            records: last.iter().map(RecordView::from).collect(),
        }
    }
}

impl From<&Estimate> for EstimateView {
    fn from(estimate: &Estimate) -> Self {
        Self {
            target_bps: estimate.target_bps,
            limited_by: limited_by_name(estimate.limited_by),
            delay_bps: estimate.delay_bps,
            loss_bps: estimate.loss_bps,
            remb_bps: estimate.remb_bps,
            acknowledged_bps: estimate.acknowledged_bps,
            rtt_ms: estimate.rtt.map(millis),
            loss: estimate.loss,
        }
    }
}

impl From<&SubscriptionDecision> for SubscriptionView {
    fn from(subscription: &SubscriptionDecision) -> Self {
        Self {
            track: subscription.track.into(),
            participant: subscription.participant.into(),
            kind: kind_name(subscription.kind),
            mid: subscription.mid.as_ref().map(ToString::to_string),
            preference: subscription.preference.into(),
            available: subscription.available.iter().map(OptionView::from).collect(),
            granted: subscription.granted.map(LayerView::from),
            current: subscription.current.map(LayerView::from),
            reason: reason_name(subscription.reason),
        }
    }
}

impl From<&LayerOption> for OptionView {
    fn from(option: &LayerOption) -> Self {
        Self {
            layer: option.layer.into(),
            bitrate_bps: option.bitrate_bps,
            width: option.width,
            height: option.height,
            frames_per_second: option.frames_per_second,
        }
    }
}

impl From<&Record> for RecordView {
    fn from(record: &Record) -> Self {
        Self { at_ms: millis(record.at), what: (&record.what).into() }
    }
}

impl From<&What> for WhatView {
    fn from(what: &What) -> Self {
        match what {
            What::Estimate(estimate) => Self::Estimate(estimate.into()),
            What::Probe { bitrate_bps, why } => {
                Self::Probe { bitrate_bps: *bitrate_bps, why: probe_reason_name(*why) }
            }
            What::Probed { bitrate_bps } => Self::Probed { bitrate_bps: *bitrate_bps },
            What::Allocated { budget_bps, grants } => {
                let grants = grants.iter().map(|(track, layer, reason)| GrantView {
                    track: (*track).into(),
                    layer: layer.map(LayerView::from),
                    reason: reason_name(*reason),
                });
                Self::Allocated { budget_bps: *budget_bps, grants: grants.collect() }
            }
            What::Switched { track, from, to } => Self::Switched {
                track: (*track).into(),
                from: from.map(LayerView::from),
                to: to.map(LayerView::from),
            },
            What::KeyframeRequested { track, encoding, why } => Self::KeyframeRequested {
                track: (*track).into(),
                encoding: *encoding,
                why: keyframe_reason_name(*why),
            },
        }
    }
}

/// Whole microseconds, in milliseconds.
fn millis(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}

const fn limited_by_name(limited_by: LimitedBy) -> &'static str {
    match limited_by {
        LimitedBy::Start => "start",
        LimitedBy::Delay => "delay",
        LimitedBy::Loss => "loss",
        LimitedBy::Remb => "remb",
        LimitedBy::Outage => "outage",
        LimitedBy::Bounds => "bounds",
    }
}

const fn probe_reason_name(why: ProbeReason) -> &'static str {
    match why {
        ProbeReason::Start => "start",
        ProbeReason::Demand => "demand",
        ProbeReason::Idle => "idle",
        ProbeReason::Recovery => "recovery",
        ProbeReason::Stagnation => "stagnation",
        ProbeReason::Route => "route",
    }
}

const fn keyframe_reason_name(why: KeyframeReason) -> &'static str {
    match why {
        KeyframeReason::Start => "start",
        KeyframeReason::Switch => "switch",
        KeyframeReason::Subscriber => "subscriber",
        KeyframeReason::Loss => "loss",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{json, to_value};
    use sfu_core::decision::Reason;
    use sfu_core::forward::layer::LayerId;
    use sfu_core::id::TrackId;
    use sfu_core::negotiation::MediaKind;
    use sfu_core::preference::{Preference, Quality};

    use super::*;

    const LAYER: LayerId = LayerId { encoding: 1, spatial: 0, temporal: 2 };

    fn track() -> TrackId {
        TrackId::from_wire(0x1_0000_0002)
    }

    fn estimate() -> Estimate {
        Estimate {
            target_bps: 1_500_000,
            limited_by: LimitedBy::Loss,
            delay_bps: 2_000_000,
            loss_bps: Some(1_500_000),
            remb_bps: None,
            acknowledged_bps: Some(1_400_000),
            rtt: Some(Duration::from_micros(42_500)),
            loss: 0.125,
        }
    }

    fn estimate_shown() -> serde_json::Value {
        json!({
            "target_bps": 1_500_000, "limited_by": "loss", "delay_bps": 2_000_000,
            "loss_bps": 1_500_000, "remb_bps": null, "acknowledged_bps": 1_400_000,
            "rtt_ms": 42.5, "loss": 0.125,
        })
    }

    #[test]
    fn the_document_looks_as_documented() {
        let option = LayerOption {
            layer: LAYER,
            bitrate_bps: 500_000,
            width: 640,
            height: 360,
            frames_per_second: 30,
        };
        let subscription = SubscriptionDecision {
            track: track(),
            participant: ParticipantId(0xab),
            kind: MediaKind::Video,
            mid: Some("3".into()),
            preference: Preference {
                quality: Quality::High,
                max_size: Some((1280, 720)),
                max_frames_per_second: Some(30),
                pinned: true,
                ..Preference::default()
            },
            available: [option].into_iter().collect(),
            granted: Some(LAYER),
            current: None,
            reason: Reason::Bandwidth,
        };
        let what = What::Probed { bitrate_bps: 1 };
        let record = |ms| Record { at: Duration::from_millis(ms), what: what.clone() };
        let records = (1..=101).map(record).collect();
        let decisions = PeerDecisions {
            now: Duration::from_micros(60_000_123),
            estimate: estimate(),
            allocated_bps: 500_000,
            wanted_bps: 2_500_000,
            subscriptions: vec![subscription],
            runs: Vec::new(),
            records,
        };
        let layer = json!({"encoding": 1, "spatial": 0, "temporal": 2});
        let probed = |ms| json!({"at_ms": f64::from(ms), "what": "probed", "bitrate_bps": 1});
        let records: Vec<_> = (2..=101).map(probed).collect();
        let want = json!({
            "now_ms": 60_000.123,
            "estimate": estimate_shown(),
            "allocated_bps": 500_000,
            "wanted_bps": 2_500_000,
            "subscriptions": [{
                "track": "0000000100000002",
                "participant": "00000000000000ab",
                "kind": "video",
                "mid": "3",
                "preference": {
                    "quality": "high", "max_width": 1280, "max_height": 720, "max_fps": 30,
                    "priority": 100, "pinned": true, "visible": true,
                },
                "available": [{
                    "encoding": 1, "spatial": 0, "temporal": 2, "bitrate_bps": 500_000,
                    "width": 640, "height": 360, "frames_per_second": 30,
                }],
                "granted": layer,
                "current": null,
                "reason": "bandwidth",
            }],
            "records": records,
        });
        assert_eq!(to_value(DecisionsView::from(&decisions)).unwrap(), want);
    }

    #[test]
    fn every_record_says_when_and_what() {
        let layer = json!({"encoding": 1, "spatial": 0, "temporal": 2});
        let id = "0000000100000002";
        let mut estimate_line = estimate_shown();
        estimate_line["what"] = json!("estimate");
        let grants = vec![(track(), Some(LAYER), Reason::Best), (track(), None, Reason::Hidden)];
        let grants_shown = json!([
            {"track": id, "layer": layer, "reason": "best"},
            {"track": id, "layer": null, "reason": "hidden"},
        ]);
        let bitrate_bps = 900_000;
        let (probe, keyframe) = (ProbeReason::Demand, KeyframeReason::Switch);
        for (what, mut want) in [
            (What::Estimate(estimate()), estimate_line),
            (
                What::Probe { bitrate_bps, why: probe },
                json!({"what": "probe", "bitrate_bps": bitrate_bps, "why": "demand"}),
            ),
            (What::Probed { bitrate_bps }, json!({"what": "probed", "bitrate_bps": bitrate_bps})),
            (
                What::Allocated { budget_bps: 7, grants },
                json!({"what": "allocated", "budget_bps": 7, "grants": grants_shown}),
            ),
            (
                What::Switched { track: track(), from: None, to: Some(LAYER) },
                json!({"what": "switched", "track": id, "from": null, "to": layer}),
            ),
            (
                What::KeyframeRequested { track: track(), encoding: 1, why: keyframe },
                json!({"what": "keyframe_requested", "track": id, "encoding": 1, "why": "switch"}),
            ),
        ] {
            want["at_ms"] = json!(1.5);
            let record = Record { at: Duration::from_micros(1500), what };
            assert_eq!(to_value(RecordView::from(&record)).unwrap(), want);
        }
    }
}
