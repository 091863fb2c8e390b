//! [`Participant`]: a member of a room through the WebSocket protocol, with media both ways and the
//! two data channels.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, bail};
use bytes::BytesMut;
use rtc::rtp_transceiver::rtp_sender::RtpCodecKind;
use serde_json::{Value, json};
use tokio::sync::{Mutex as AsyncMutex, mpsc};
use webrtc::data_channel::{DataChannel, DataChannelEvent};

use super::http::ServerUrl;
use super::peer::{Peer, PeerOptions};
use super::route::Route;
use super::sender::{Camera, Microphone};
use super::signal::{SignalClosed, Signalling};
use super::{until, within};
use crate::media::VideoPlan;

/// How to join.
#[derive(Clone, Debug, Default)]
pub struct Join {
    /// The room.
    pub room: String,
    /// The name shown to others.
    pub name: String,
    /// Publish video.
    pub video: Option<VideoPlan>,
    /// Publish audio.
    pub audio: bool,
    /// Subscribe only to what is asked for.
    pub manual: bool,
    /// By which way its datagrams go.
    pub route: Route,
}

/// What one receiving m-line carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The track.
    pub track: String,
    /// Its publisher.
    pub participant: String,
}

/// A message from a data channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataFrame {
    /// The channel's label.
    pub label: String,
    /// The sender's id, 16 hexadecimal digits; zeros are the server.
    pub from: String,
    /// Whether the payload is text.
    pub text: bool,
    /// The payload.
    pub payload: Vec<u8>,
}

struct Shared {
    peer: Peer,
    signalling: Signalling,
    /// Held from an offer to its answer.
    negotiation: AsyncMutex<()>,
    /// By mid.
    assigned: Mutex<HashMap<String, Assignment>>,
    messages: Mutex<Vec<DataFrame>>,
}

/// See the module.
pub struct Participant {
    /// One's own id.
    pub id: String,
    /// The reply to `join`.
    pub joined: Value,
    /// The tracks published, by mid.
    pub tracks: HashMap<String, String>,
    /// The camera, if one was asked for.
    pub camera: Option<Camera>,
    /// The microphone, if one was asked for.
    pub microphone: Option<Microphone>,
    channels: HashMap<&'static str, Arc<dyn DataChannel>>,
    shared: Arc<Shared>,
}

impl Participant {
    /// Joins, publishes, connects and starts to send.
    pub async fn join(server: &ServerUrl, join: Join) -> anyhow::Result<Self> {
        let (events_tx, events) = mpsc::unbounded_channel();
        let signalling = Signalling::connect(server, Some(events_tx)).await?;
        signalling.event("hello", |event| event["type"] == "hello").await?;
        let subscribe = if join.manual { "manual" } else { "auto" };
        let joined = signalling
            .request(json!({
                "type": "join", "room": join.room, "name": join.name, "subscribe": subscribe,
            }))
            .await?;
        let id = text(&joined, "participant")?;

        let route = join.route.clone();
        let peer = Peer::new(PeerOptions { route, ..PeerOptions::default() }).await?;
        let mut channels = HashMap::new();
        for label in ["reliable", "lossy"] {
            channels.insert(label, peer.data_channel(label).await?);
        }
        let mut microphone = None;
        if join.audio {
            microphone = Some(Microphone::new(&peer).await?);
        }
        let mut camera = None;
        if let Some(plan) = join.video {
            camera = Some(Camera::new(&peer, plan).await?);
        }
        let shared = Arc::new(Shared {
            peer,
            signalling,
            negotiation: AsyncMutex::default(),
            assigned: Mutex::default(),
            messages: Mutex::default(),
        });
        for (label, channel) in &channels {
            tokio::spawn(read_channel(label, Arc::clone(channel), Arc::clone(&shared)));
        }
        let mut participant =
            Self { id, joined, tracks: HashMap::new(), camera, microphone, channels, shared };
        participant.connect(events).await?;
        Ok(participant)
    }

    async fn connect(&mut self, events: mpsc::UnboundedReceiver<Value>) -> anyhow::Result<()> {
        let answer = self.shared.negotiate(true).await?;
        for published in answer["tracks"].as_array().into_iter().flatten() {
            self.tracks.insert(text(published, "mid")?, text(published, "track")?);
        }
        tokio::spawn(follow(Arc::clone(&self.shared), events));
        self.peer().connected().await?;
        for (label, channel) in &self.channels {
            open(label, channel.as_ref()).await?;
        }
        if let Some(camera) = &mut self.camera {
            camera.start(&self.shared.peer);
        }
        if let Some(microphone) = &mut self.microphone {
            microphone.start();
        }
        Ok(())
    }

    /// The connection.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        &self.shared.peer
    }

    /// The WebSocket.
    #[must_use]
    pub fn signalling(&self) -> &Signalling {
        &self.shared.signalling
    }

    /// The id of the published track of this kind (`camera` or `microphone` by default).
    pub async fn published(&self, kind: RtpCodecKind) -> anyhow::Result<String> {
        let mid = match kind {
            RtpCodecKind::Video => self.camera.as_ref().context("no camera")?.track.mid().await?,
            _ => self.microphone.as_ref().context("no microphone")?.track.mid().await?,
        };
        self.tracks.get(&mid).cloned().with_context(|| format!("mid {mid} publishes nothing"))
    }

    /// What the receiving m-lines carry, by mid.
    #[must_use]
    pub fn assigned(&self) -> HashMap<String, Assignment> {
        self.shared.assigned.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Messages received by data channel.
    #[must_use]
    pub fn messages(&self) -> Vec<DataFrame> {
        self.shared.messages.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for a message by data channel.
    pub async fn message(
        &self,
        what: &str,
        condition: impl Fn(&DataFrame) -> bool,
    ) -> anyhow::Result<DataFrame> {
        until(what, || self.messages().into_iter().find(|message| condition(message))).await
    }

    /// Sends text to everyone else, as a string message.
    pub async fn say(&self, label: &str, payload: &str) -> anyhow::Result<()> {
        let channel = self.channels.get(label).context("no such channel")?;
        within("sending a message", channel.send_text(payload)).await
    }

    /// Sends a binary message in its envelope; nobody named means everyone else.
    pub async fn send(&self, label: &str, to: &[&str], payload: &[u8]) -> anyhow::Result<()> {
        let channel = self.channels.get(label).context("no such channel")?;
        let mut message = BytesMut::new();
        message.extend_from_slice(&[0, u8::try_from(to.len())?]);
        for id in to {
            message.extend_from_slice(&u64::from_str_radix(id, 16)?.to_be_bytes());
        }
        message.extend_from_slice(payload);
        within("sending a message", channel.send(message)).await
    }

    /// Leaves politely.
    pub async fn leave(mut self) -> anyhow::Result<SignalClosed> {
        self.camera = None;
        self.microphone = None;
        self.shared.signalling.request(json!({"type": "leave"})).await?;
        let code = self.shared.signalling.closed().await?;
        self.shared.peer.close().await?;
        Ok(code)
    }
}

impl Shared {
    /// Offers and takes the answer. The first time, what will be sent is announced before.
    async fn negotiate(&self, first: bool) -> anyhow::Result<Value> {
        let _turn = self.negotiation.lock().await;
        let offer = self.peer.offer(false).await?;
        if first {
            self.announce(&offer).await?;
        }
        let answer = self.signalling.request(json!({"type": "offer", "sdp": offer})).await?;
        let sdp = text(&answer, "sdp")?;
        self.peer.answered(&sdp).await.with_context(|| format!("the answer was:\n{sdp}"))?;
        for assigned in answer["assigned"].as_array().into_iter().flatten() {
            self.assign(assigned);
        }
        Ok(answer)
    }

    async fn announce(&self, offer: &str) -> anyhow::Result<()> {
        for section in super::Sdp::read(offer).sections {
            let source = match section.kind.as_str() {
                "video" => "camera",
                "audio" => "microphone",
                _ => continue,
            };
            if section.direction == "sendonly" {
                let request = json!({"type": "publish", "mid": section.mid, "source": source});
                self.signalling.request(request).await?;
            }
        }
        Ok(())
    }

    fn assign(&self, event: &Value) {
        let Some(mid) = event["mid"].as_str() else { return };
        let mut assigned = self.assigned.lock().unwrap_or_else(PoisonError::into_inner);
        match (event["track"].as_str(), event["participant"].as_str()) {
            (Some(track), Some(participant)) => {
                let assignment =
                    Assignment { track: track.to_owned(), participant: participant.to_owned() };
                assigned.insert(mid.to_owned(), assignment);
            }
            _ => {
                assigned.remove(mid);
            }
        }
    }

    async fn add_slots(&self, event: &Value) -> anyhow::Result<()> {
        for (kind, name) in [(RtpCodecKind::Audio, "audio"), (RtpCodecKind::Video, "video")] {
            for _ in 0..event[name].as_u64().unwrap_or_default() {
                self.peer.receive(kind).await?;
            }
        }
        self.negotiate(false).await.map(drop)
    }
}

/// Does what the server's events ask for, for as long as the socket is open.
async fn follow(shared: Arc<Shared>, mut events: mpsc::UnboundedReceiver<Value>) {
    while let Some(event) = events.recv().await {
        match event["type"].as_str() {
            Some("assigned") => shared.assign(&event),
            // When several are waiting, only the latest says what is missing still.
            Some("slots_needed") => {
                if let Err(error) = shared.add_slots(&event).await
                    && !shared.signalling.is_closed()
                {
                    eprintln!("adding m-lines failed: {error:#}");
                    return;
                }
            }
            _ => {}
        }
    }
}

async fn open(label: &str, channel: &dyn DataChannel) -> anyhow::Result<()> {
    let deadline = tokio::time::Instant::now() + super::PATIENCE;
    while channel.ready_state().await? != rtc::data_channel::RTCDataChannelState::Open {
        if tokio::time::Instant::now() >= deadline {
            bail!("data channel {label} does not open");
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    Ok(())
}

async fn read_channel(label: &'static str, channel: Arc<dyn DataChannel>, shared: Arc<Shared>) {
    while let Some(event) = channel.poll().await {
        let DataChannelEvent::OnMessage(message) = event else { continue };
        let frame = match message.data.split_at_checked(9) {
            Some((head, payload)) if !message.is_string => DataFrame {
                label: label.to_owned(),
                from: head[1..].iter().map(|byte| format!("{byte:02x}")).collect(),
                text: head[0] & 1 == 1,
                payload: payload.to_vec(),
            },
            _ => DataFrame {
                label: label.to_owned(),
                from: "outside the envelope".to_owned(),
                text: message.is_string,
                payload: message.data.to_vec(),
            },
        };
        shared.messages.lock().unwrap_or_else(PoisonError::into_inner).push(frame);
    }
}

fn text(value: &Value, field: &str) -> anyhow::Result<String> {
    let text = value[field].as_str().with_context(|| format!("no {field} in {value}"))?;
    Ok(text.to_owned())
}
