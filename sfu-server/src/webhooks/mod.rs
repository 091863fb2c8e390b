//! Webhooks: what happens in rooms, told to endpoints as Standard Webhooks
//! (standard-webhooks/standard-webhooks, spec/standard-webhooks.md).
//!
//! Each endpoint has a bounded queue and a task of its own, so that one that is slow or gone costs
//! the others nothing, and the rooms nothing at all.

mod endpoint;
mod guard;
mod sign;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use serde::Serialize;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::auth::unix_now;
use crate::config::WebhookSettings;
use crate::limits::WEBHOOK_QUEUE_MAX;
use endpoint::{Endpoint, Message};
pub(crate) use sign::WebhookSecret;

/// Tells of what happened. Cheap to clone; without endpoints it does nothing.
#[derive(Clone, Default)]
pub(crate) struct Webhooks(Option<Arc<Inner>>);

struct Inner {
    runtime: Handle,
    by_url: Mutex<BTreeMap<String, Running>>,
    counters: Arc<DeliveryCounters>,
}

/// An endpoint and the way to its task, which ends with it.
struct Running {
    endpoint: Arc<RwLock<Endpoint>>,
    queue: mpsc::Sender<Message>,
    task: JoinHandle<()>,
}

/// What became of messages, for metrics.
#[derive(Debug, Default)]
pub(crate) struct DeliveryCounters {
    pub(crate) delivered: AtomicU64,
    /// Attempts that failed and are made again.
    pub(crate) retried: AtomicU64,
    /// Messages given up after the last attempt, or refused for good.
    pub(crate) failed: AtomicU64,
    /// Messages dropped because too many waited.
    pub(crate) dropped: AtomicU64,
}

/// Something that happened. Metadata is left out: messages are to stay under 20 kB.
#[derive(Debug, Serialize)]
#[serde(tag = "type", content = "data")]
pub(crate) enum Notice<'a> {
    #[serde(rename = "room.started")]
    RoomStarted { room: &'a str },
    #[serde(rename = "room.finished")]
    RoomFinished { room: &'a str },
    #[serde(rename = "participant.joined")]
    ParticipantJoined { room: &'a str, participant: Who<'a> },
    #[serde(rename = "participant.left")]
    ParticipantLeft { room: &'a str, participant: Who<'a>, reason: crate::session::LeaveReason },
    #[serde(rename = "track.published")]
    TrackPublished { room: &'a str, participant: Who<'a>, track: crate::session::TrackView },
    #[serde(rename = "track.unpublished")]
    TrackUnpublished { room: &'a str, participant: Who<'a>, track: crate::session::TrackView },
}

/// A participant in a notice.
#[derive(Debug, Serialize)]
pub(crate) struct Who<'a> {
    pub(crate) id: crate::session::WireId,
    pub(crate) name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) identity: Option<&'a str>,
    pub(crate) door: crate::session::Door,
}

impl Webhooks {
    /// Starts the tasks of the configured endpoints.
    pub(crate) fn start(settings: &WebhookSettings, runtime: Handle) -> Self {
        let inner = Inner { runtime, by_url: Mutex::default(), counters: Arc::default() };
        let webhooks = Self(Some(Arc::new(inner)));
        webhooks.configure(settings);
        webhooks
    }

    /// Puts other settings in force. An endpoint of the same URL keeps what waits for it.
    pub(crate) fn configure(&self, settings: &WebhookSettings) {
        let Some(inner) = &self.0 else { return };
        let mut by_url = inner.by_url.lock();
        by_url.retain(|url, _| settings.endpoints.iter().any(|endpoint| endpoint.url == *url));
        for settings in &settings.endpoints {
            let endpoint = match Endpoint::new(settings) {
                Ok(endpoint) => endpoint,
                Err(error) => {
                    tracing::error!("a webhook endpoint cannot be used: {error}");
                    continue;
                }
            };
            if let Some(running) = by_url.get(&settings.url) {
                *running.endpoint.write() = endpoint;
                continue;
            }
            let endpoint = Arc::new(RwLock::new(endpoint));
            let (queue, messages) = mpsc::channel(WEBHOOK_QUEUE_MAX);
            let counters = Arc::clone(&inner.counters);
            let run = endpoint::run(Arc::clone(&endpoint), messages, counters);
            let task = inner.runtime.spawn(run);
            by_url.insert(settings.url.clone(), Running { endpoint, queue, task });
        }
    }

    /// Tells every endpoint. Never waits: what finds no room is dropped and counted.
    pub(crate) fn tell(&self, notice: &Notice<'_>) {
        #[derive(Serialize)]
        struct Body<'a, 'b> {
            timestamp: String,
            #[serde(flatten)]
            notice: &'a Notice<'b>,
        }
        let Some(inner) = &self.0 else { return };
        let by_url = inner.by_url.lock();
        if by_url.is_empty() {
            return;
        }
        let body = Body { timestamp: sign::rfc3339(unix_now()), notice };
        let body = serde_json::to_string(&body).expect("notices hold only strings and numbers");
        // The same for all attempts and endpoints: receivers know by it what they have seen.
        let message = Message { id: format!("msg_{:032x}", rand::random::<u128>()), body };
        for running in by_url.values() {
            if running.queue.try_send(message.clone()).is_err() {
                inner.counters.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Takes no more messages, and waits until those that wait have been tried, or `patience` is
    /// over: that everybody has left is told like everything else.
    pub(crate) async fn finish(&self, patience: Duration) {
        let Some(inner) = &self.0 else { return };
        let running = std::mem::take(&mut *inner.by_url.lock());
        let tasks: Vec<_> = running.into_values().map(|running| running.task).collect();
        let all = async {
            for task in tasks {
                // A task that panicked has told all it will.
                let _ = task.await;
            }
        };
        if tokio::time::timeout(patience, all).await.is_err() {
            tracing::warn!("not every webhook was delivered before the end");
        }
    }

    /// What became of messages: delivered, retried, failed, dropped.
    pub(crate) fn outcomes(&self) -> [(&'static str, u64); 4] {
        let read = |counter: fn(&DeliveryCounters) -> &AtomicU64| {
            let inner = self.0.as_ref();
            inner.map_or(0, |inner| counter(&inner.counters).load(Ordering::Relaxed))
        };
        [
            ("delivered", read(|counters| &counters.delivered)),
            ("retried", read(|counters| &counters.retried)),
            ("failed", read(|counters| &counters.failed)),
            ("dropped", read(|counters| &counters.dropped)),
        ]
    }
}
