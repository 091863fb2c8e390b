//! [`Janus`]: its HTTP API, as much as it takes to join a video room.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

/// How long Janus may take to answer one request.
const PATIENCE: Duration = Duration::from_secs(20);

/// The API's base.
#[derive(Clone, Debug)]
pub(crate) struct Janus {
    base: String,
    http: reqwest::Client,
    transaction: Arc<AtomicU64>,
}

/// A session with one handle of one plugin.
#[derive(Debug)]
pub(crate) struct Handle {
    janus: Janus,
    session: u64,
    handle: u64,
}

/// What a plugin answered.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) data: Value,
    pub(crate) sdp: Option<String>,
}

impl Janus {
    pub(crate) fn new(base: String) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build()?;
        Ok(Self { base, http, transaction: Arc::default() })
    }

    /// Whether it answers.
    pub(crate) async fn is_up(&self) -> bool {
        let answer = self.http.get(format!("{}/info", self.base)).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    pub(crate) async fn attach(&self, plugin: &str) -> anyhow::Result<Handle> {
        let created = self.post("", json!({ "janus": "create" })).await?;
        let session = created["data"]["id"].as_u64().context("a session without a number")?;
        let attach = json!({ "janus": "attach", "plugin": plugin });
        let attached = self.post(&format!("/{session}"), attach).await?;
        let handle = attached["data"]["id"].as_u64().context("a handle without a number")?;
        Ok(Handle { janus: self.clone(), session, handle })
    }

    async fn post(&self, path: &str, mut body: Value) -> anyhow::Result<Value> {
        let transaction = self.transaction.fetch_add(1, Ordering::Relaxed).to_string();
        body["transaction"] = Value::from(transaction);
        let answer = self.http.post(format!("{}{path}", self.base)).json(&body).send().await?;
        let answer: Value = answer.json().await?;
        if answer["janus"] == "error" {
            bail!("Janus: {}", answer["error"]);
        }
        Ok(answer)
    }
}

impl Handle {
    /// Sends a request that the plugin answers by an event, and waits for it.
    pub(crate) async fn ask(
        &self,
        body: Value,
        jsep: Option<(&str, &str)>,
    ) -> anyhow::Result<Event> {
        let mut message = json!({ "janus": "message", "body": body });
        if let Some((kind, sdp)) = jsep {
            message["jsep"] = json!({ "type": kind, "sdp": sdp });
        }
        self.janus.post(&self.path(), message).await?;
        let events = format!("{}/{}", self.janus.base, self.session);
        loop {
            // A long poll: one event, or `keepalive`.
            let event: Value = self.janus.http.get(&events).send().await?.json().await?;
            let data = &event["plugindata"]["data"];
            if event["janus"] == "event" {
                if let Some(error) = data["error"].as_str() {
                    bail!("the video room: {error}");
                }
                let sdp = event["jsep"]["sdp"].as_str().map(str::to_owned);
                return Ok(Event { data: data.clone(), sdp });
            }
            if event["janus"] == "error" {
                bail!("Janus: {}", event["error"]);
            }
        }
    }

    /// Sends a request that the plugin answers in the response.
    pub(crate) async fn ask_at_once(&self, body: Value) -> anyhow::Result<Value> {
        let message = json!({ "janus": "message", "body": body });
        let answer = self.janus.post(&self.path(), message).await?;
        let data = answer["plugindata"]["data"].clone();
        if let Some(error) = data["error"].as_str() {
            bail!("the video room: {error}");
        }
        Ok(data)
    }

    pub(crate) async fn no_more_candidates(&self) -> anyhow::Result<()> {
        let trickle = json!({ "janus": "trickle", "candidate": { "completed": true } });
        self.janus.post(&self.path(), trickle).await?;
        Ok(())
    }

    pub(crate) async fn destroy(self) -> anyhow::Result<()> {
        let path = format!("/{}", self.session);
        self.janus.post(&path, json!({ "janus": "destroy" })).await?;
        Ok(())
    }

    fn path(&self) -> String {
        format!("/{}/{}", self.session, self.handle)
    }
}
