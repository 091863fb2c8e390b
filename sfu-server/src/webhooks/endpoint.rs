//! One endpoint: messages leave in the order in which things happened, each until it is delivered
//! or given up.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::RwLock;
use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::redirect::Policy;
use tokio::sync::mpsc;

use super::DeliveryCounters;
use super::guard::{PublicOnly, may_be_reached};
use super::sign::{WebhookSecret, signature};
use crate::auth::unix_now;
use crate::config::WebhookEndpoint;

/// How long an endpoint may take to answer.
const TIMEOUT: Duration = Duration::from_secs(15);
/// From an attempt that failed to the next. Others wait behind it, so it is a matter of minutes:
/// what is told after an hour helps nobody.
const RETRIES: [Duration; 5] = [
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(120),
    Duration::from_secs(600),
];
/// Share of a pause by which it is longer or shorter, so that endpoints which come back are not
/// asked by all servers at once.
const JITTER: f64 = 0.2;
/// A longer `Retry-After` is not waited for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

/// What is sent: the same at each attempt but for the time and the signature.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) id: String,
    pub(super) body: String,
}

/// Where to, and what to sign with.
pub(super) struct Endpoint {
    url: reqwest::Url,
    secrets: Vec<WebhookSecret>,
    client: reqwest::Client,
    allow_private: bool,
    /// It said that it is gone (410): nothing is sent until it is configured anew.
    is_gone: bool,
}

/// What an attempt came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attempt {
    Delivered,
    /// To be made again, perhaps not before so long.
    Failed(Option<Duration>),
    Gone,
}

impl Endpoint {
    pub(super) fn new(settings: &WebhookEndpoint) -> Result<Self, String> {
        let url: reqwest::Url = settings.url.parse().map_err(|_| "no URL".to_owned())?;
        let secrets = std::iter::once(&settings.secret).chain(&settings.previous_secret);
        let secrets = secrets.map(|secret| WebhookSecret::parse(secret.expose()));
        let secrets = secrets.collect::<Option<_>>().ok_or("no secret of Standard Webhooks")?;
        // No redirects: what is behind one was looked at by nobody. No proxy: it would look names
        // up itself.
        let client = reqwest::Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .timeout(TIMEOUT)
            .user_agent(concat!("sfu/", env!("CARGO_PKG_VERSION")));
        let client = match settings.allow_private {
            true => client,
            false => client.dns_resolver(Arc::new(PublicOnly)),
        };
        let client = client.build().map_err(|error| error.to_string())?;
        let allow_private = settings.allow_private;
        Ok(Self { url, secrets, client, allow_private, is_gone: false })
    }

    fn request(&self, message: &Message) -> Option<reqwest::RequestBuilder> {
        if !self.allow_private && !may_be_reached(&self.url) {
            return None;
        }
        let now = unix_now();
        let signature = signature(&self.secrets, &message.id, now, &message.body);
        let request = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", &message.id)
            .header("webhook-timestamp", now)
            .header("webhook-signature", signature);
        Some(request.body(message.body.clone()))
    }
}

/// Delivers until the queue is closed and empty.
pub(super) async fn run(
    endpoint: Arc<RwLock<Endpoint>>,
    mut messages: mpsc::Receiver<Message>,
    counters: Arc<DeliveryCounters>,
) {
    let mut outage = Outage::default();
    while let Some(message) = messages.recv().await {
        let is_delivered = deliver(&endpoint, &message, &messages, &counters, &mut outage).await;
        let counter = if is_delivered { &counters.delivered } else { &counters.failed };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

async fn deliver(
    endpoint: &RwLock<Endpoint>,
    message: &Message,
    messages: &mpsc::Receiver<Message>,
    counters: &DeliveryCounters,
    outage: &mut Outage,
) -> bool {
    let mut pauses = RETRIES.into_iter();
    loop {
        // Made anew each time: secrets may have changed.
        let (request, host) = {
            let endpoint = endpoint.read();
            let host = endpoint.url.host_str().unwrap_or_default().to_owned();
            (if endpoint.is_gone { None } else { endpoint.request(message) }, host)
        };
        let Some(request) = request else { return false };
        let (attempt, why) = attempt(request).await;
        outage.note(attempt, &host, &why);
        let asked = match attempt {
            Attempt::Delivered => return true,
            Attempt::Gone => {
                endpoint.write().is_gone = true;
                tracing::warn!("a webhook endpoint said 410: nothing is sent until it is set anew");
                return false;
            }
            Attempt::Failed(asked) => asked,
        };
        let Some(pause) = pauses.next() else { return false };
        // Nobody is to wait for an endpoint that was taken out of the configuration.
        if messages.is_closed() {
            return false;
        }
        counters.retried.fetch_add(1, Ordering::Relaxed);
        let factor = 1.0 - JITTER + 2.0 * JITTER * rand::random::<f64>();
        let pause = pause.mul_f64(factor).max(asked.unwrap_or_default().min(RETRY_AFTER_MAX));
        tokio::time::sleep(pause).await;
    }
}

/// Whether the last attempt failed: the log says when that begins and when it ends, and no more.
#[derive(Default)]
struct Outage(bool);

impl Outage {
    fn note(&mut self, attempt: Attempt, host: &str, why: &str) {
        let is_failing = matches!(attempt, Attempt::Failed(_));
        match (std::mem::replace(&mut self.0, is_failing), is_failing) {
            (false, true) => tracing::warn!(host, why, "webhooks are not delivered"),
            (true, false) => tracing::info!(host, "webhooks are delivered again"),
            _ => {}
        }
    }
}

/// One attempt, and what came instead of success.
async fn attempt(request: reqwest::RequestBuilder) -> (Attempt, String) {
    match request.send().await {
        Ok(response) => {
            (judge(response.status(), response.headers()), response.status().to_string())
        }
        // No name, no connection, no answer in time, a certificate that does not hold: without
        // the URL, which may be a secret itself.
        Err(error) => (Attempt::Failed(None), reason(&error.without_url())),
    }
}

/// An error with what it came from, for the outermost says only that a request failed.
fn reason(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn judge(status: StatusCode, headers: &reqwest::header::HeaderMap) -> Attempt {
    if status.is_success() {
        return Attempt::Delivered;
    }
    if status == StatusCode::GONE {
        return Attempt::Gone;
    }
    let asked = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    Attempt::Failed(asked.map(Duration::from_secs))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_success_is_delivery_and_a_redirect_is_none() {
        let headers = reqwest::header::HeaderMap::new();
        for (status, want) in [
            (200, Attempt::Delivered),
            (204, Attempt::Delivered),
            (301, Attempt::Failed(None)),
            (307, Attempt::Failed(None)),
            (400, Attempt::Failed(None)),
            (410, Attempt::Gone),
            (429, Attempt::Failed(None)),
            (500, Attempt::Failed(None)),
        ] {
            assert_eq!(judge(StatusCode::from_u16(status).unwrap(), &headers), want, "{status}");
        }
        let mut headers = reqwest::header::HeaderMap::new();
        headers.insert(RETRY_AFTER, "7".parse().unwrap());
        let want = Attempt::Failed(Some(Duration::from_secs(7)));
        assert_eq!(judge(StatusCode::SERVICE_UNAVAILABLE, &headers), want);
    }
}
