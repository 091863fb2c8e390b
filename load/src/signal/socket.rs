//! [`SocketSession`]: a participant by this server's WebSocket protocol `sfu.v1`
//! (`docs/protocol.md`): joins, publishes, chooses what to see, and goes on until told to leave.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::Url;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::gallery::{Gallery, Layout};
use crate::fleet::{Fleet, Member};
use crate::publish::Feedback;
use crate::sdp::{Answer, Line};

/// How long a reply may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between requests that are not urgent: the server takes 50 a second.
const REQUEST_INTERVAL: Duration = Duration::from_millis(25);
/// Between pings; the server asks for one every 20 s.
const PING_INTERVAL: Duration = Duration::from_secs(15);

/// Who joins, and how.
#[derive(Clone, Debug)]
pub struct SocketJoin {
    /// The WebSocket.
    pub url: Url,
    /// The room.
    pub room: String,
    /// The participant's name.
    pub name: String,
    /// What it sends and what it has place for.
    pub lines: Vec<Line>,
    /// What it asks to see.
    pub layout: Option<Layout>,
    /// Its place among the others: galleries begin at different tracks.
    pub place: usize,
    /// When it began to join.
    pub started: Instant,
}

/// See the module. Leaves when dropped.
pub struct SocketSession {
    /// The client in the fleet.
    pub member: Member,
    leave: oneshot::Sender<()>,
    attending: tokio::task::JoinHandle<()>,
}

type Stream = WebSocketStream<MaybeTlsStream<TcpStream>>;

impl SocketSession {
    /// Joins and waits until media may flow.
    pub async fn join(fleet: &Fleet, join: SocketJoin) -> anyhow::Result<Self> {
        let connecting = tokio_tungstenite::connect_async(join.url.as_str());
        let (stream, _) =
            timeout(PATIENCE, connecting).await.context("opening the WebSocket")??;
        let slots = |line| join.lines.iter().filter(|other| **other == line).count();
        let gallery = Gallery::new(
            join.layout,
            join.place,
            slots(Line::ReceiveAudio),
            slots(Line::ReceiveVideo),
        );
        let mut dialogue =
            Dialogue { stream, next_id: 0, queue: VecDeque::new(), gallery, own: vec![] };
        let subscribe = if join.layout.is_some() { "manual" } else { "auto" };
        let request =
            json!({"type": "join", "room": join.room, "name": join.name, "subscribe": subscribe});
        let joined = dialogue.request(request).await?;
        for participant in joined["participants"].as_array().into_iter().flatten() {
            dialogue.queue.extend(dialogue.gallery.see(participant));
        }

        let setup = fleet.client(join.lines.clone(), join.started)?;
        for (mid, line) in join.lines.iter().enumerate() {
            let source = match line {
                Line::SendAudio { .. } => "microphone",
                Line::SendVideo { .. } => "camera",
                Line::ReceiveAudio | Line::ReceiveVideo => continue,
            };
            let mid = mid.to_string();
            dialogue.request(json!({"type": "publish", "mid": mid, "source": source})).await?;
        }
        let answer = dialogue.request(json!({"type": "offer", "sdp": setup.offer()})).await?;
        dialogue.note_own(&answer, &join.lines);
        let sdp = answer["sdp"].as_str().context("an answer without sdp")?;
        let member = fleet.connect(setup, &Answer::read(sdp)?).await?;

        let (leave, leaving) = oneshot::channel();
        let feedback = fleet.stage.feedback(member.id);
        let attending = tokio::spawn(async move {
            // A session that breaks shows by what it does not receive.
            _ = dialogue.attend(leaving, &feedback).await;
        });
        Ok(Self { member, leave, attending })
    }

    /// Leaves, and waits until the server has said goodbye.
    pub async fn leave(self) -> anyhow::Result<()> {
        // Fails if the session has ended by itself.
        _ = self.leave.send(());
        timeout(PATIENCE, self.attending).await.context("leaving")??;
        Ok(())
    }
}

/// One participant's WebSocket.
struct Dialogue {
    stream: Stream,
    next_id: u64,
    /// Requests that are sent one by one.
    queue: VecDeque<Value>,
    gallery: Gallery,
    /// Our own video tracks.
    own: Vec<String>,
}

impl Dialogue {
    async fn send(&mut self, mut request: Value) -> anyhow::Result<u64> {
        self.next_id += 1;
        request["id"] = json!(self.next_id);
        self.stream.send(Message::text(request.to_string())).await?;
        Ok(self.next_id)
    }

    /// Sends a request and waits for its reply; events before it are taken in.
    async fn request(&mut self, request: Value) -> anyhow::Result<Value> {
        let kind = request["type"].as_str().unwrap_or_default().to_owned();
        let id = self.send(request).await?;
        let reply = async {
            loop {
                let Some(message) = self.read().await? else { bail!("the WebSocket was closed") };
                if message["re"] == json!(id) {
                    return Ok(message);
                }
                self.on_event(&message, None);
            }
        };
        let reply =
            timeout(PATIENCE, reply).await.with_context(|| format!("{kind}: no reply"))??;
        if reply["type"] == "error" {
            bail!("{kind}: {}: {}", reply["code"], reply["detail"]);
        }
        Ok(reply)
    }

    /// The next message that is JSON; `None` at the end.
    async fn read(&mut self) -> anyhow::Result<Option<Value>> {
        while let Some(message) = self.stream.next().await {
            match message? {
                Message::Text(text) => return Ok(Some(serde_json::from_str(text.as_str())?)),
                Message::Close(_) => return Ok(None),
                _ => {}
            }
        }
        Ok(None)
    }

    fn note_own(&mut self, answer: &Value, lines: &[Line]) {
        let video = |mid: &str| {
            let line = mid.parse().ok().and_then(|mid: usize| lines.get(mid));
            matches!(line, Some(Line::SendVideo { .. }))
        };
        for entry in answer["tracks"].as_array().into_iter().flatten() {
            if let (Some(mid), Some(track)) = (entry["mid"].as_str(), entry["track"].as_str())
                && video(mid)
            {
                self.own.push(track.to_owned());
            }
        }
    }

    fn on_event(&mut self, event: &Value, feedback: Option<&Feedback>) {
        if event["type"] == "demand" {
            let ours = event["track"].as_str().is_some_and(|t| self.own.iter().any(|o| o == t));
            let wanted = event["encodings"].as_array().into_iter().flatten();
            if let Some(feedback) = feedback.filter(|_| ours) {
                feedback.demand(wanted.map(|wanted| wanted == &json!(true)).collect());
            }
            return;
        }
        self.queue.extend(self.gallery.on_event(event));
    }

    /// Answers events until told to leave, or until the server ends the session.
    async fn attend(
        mut self,
        mut leaving: oneshot::Receiver<()>,
        feedback: &Feedback,
    ) -> anyhow::Result<()> {
        let mut pace = interval(REQUEST_INTERVAL);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut ping = interval(PING_INTERVAL);
        loop {
            tokio::select! {
                message = self.read() => match message? {
                    Some(message) => self.on_event(&message, Some(feedback)),
                    None => return Ok(()),
                },
                _ = pace.tick(), if !self.queue.is_empty() => {
                    if let Some(request) = self.queue.pop_front() {
                        self.send(request).await?;
                    }
                }
                _ = ping.tick() => {
                    self.send(json!({"type": "ping"})).await?;
                }
                _ = &mut leaving => break,
            }
        }
        self.send(json!({"type": "leave"})).await?;
        while timeout(PATIENCE, self.read()).await??.is_some() {}
        Ok(())
    }
}
