//! [`Signalling`]: the WebSocket of `sfu.v1`, requests matched with their replies and events kept in
//! order.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, bail};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_tungstenite::tungstenite::Message;

use super::http::ServerUrl;
use super::{until, within};

/// How a socket ended: the server's close code, if it sent one.
pub type SignalClosed = Option<u16>;

#[derive(Default)]
struct Inbox {
    replies: HashMap<u64, oneshot::Sender<Value>>,
    events: Vec<Value>,
}

/// See the module.
pub struct Signalling {
    inbox: Arc<Mutex<Inbox>>,
    out: mpsc::UnboundedSender<Message>,
    closed: watch::Receiver<Option<SignalClosed>>,
    next_id: AtomicU64,
}

impl Signalling {
    /// Connects. Events whose `type` is listed in `forward` are also sent there.
    pub async fn connect(
        server: &ServerUrl,
        forward: Option<mpsc::UnboundedSender<Value>>,
    ) -> anyhow::Result<Self> {
        let url = server.socket()?;
        let (socket, _) =
            within("opening the WebSocket", tokio_tungstenite::connect_async(url.as_str())).await?;
        let (mut sink, mut stream) = socket.split();
        let (out, mut queue) = mpsc::unbounded_channel();
        let (closed_tx, closed) = watch::channel(None);
        let inbox = Arc::new(Mutex::new(Inbox::default()));
        tokio::spawn(async move {
            while let Some(message) = queue.recv().await {
                if sink.send(message).await.is_err() {
                    break;
                }
            }
            // The owner is gone; a close frame is a courtesy.
            let _ = sink.close().await;
        });
        let reader = Arc::clone(&inbox);
        tokio::spawn(async move {
            let mut code = None;
            while let Some(Ok(message)) = stream.next().await {
                match message {
                    Message::Text(text) => receive(&reader, text.as_str(), forward.as_ref()),
                    Message::Close(frame) => code = frame.map(|frame| u16::from(frame.code)),
                    _ => {}
                }
            }
            // First the end, then the failures it causes: who waits for a reply may ask why.
            closed_tx.send_replace(Some(code));
            lock(&reader).replies.clear();
        });
        Ok(Self { inbox, out, closed, next_id: AtomicU64::new(1) })
    }

    /// Sends a request and returns its reply; an `error` reply is an error.
    pub async fn request(&self, mut request: Value) -> anyhow::Result<Value> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        request["id"] = json!(id);
        let (reply_tx, reply) = oneshot::channel();
        lock(&self.inbox).replies.insert(id, reply_tx);
        let kind = request["type"].as_str().unwrap_or_default().to_owned();
        self.out.send(Message::text(request.to_string())).context("the WebSocket is closed")?;
        let reply = within("the reply to a request", reply).await.with_context(|| kind.clone())?;
        if reply["type"] == "error" {
            bail!("{kind}: {reply}");
        }
        Ok(reply)
    }

    /// Sends text as it is.
    pub fn send_raw(&self, text: &str) -> anyhow::Result<()> {
        self.out.send(Message::text(text)).context("the WebSocket is closed")
    }

    /// All events so far.
    #[must_use]
    pub fn events(&self) -> Vec<Value> {
        lock(&self.inbox).events.clone()
    }

    /// Waits for an event among those received so far or later.
    pub async fn event(
        &self,
        what: &str,
        condition: impl Fn(&Value) -> bool,
    ) -> anyhow::Result<Value> {
        let found =
            until(what, || lock(&self.inbox).events.iter().find(|event| condition(event)).cloned());
        found.await.with_context(|| format!("events were {:#?}", self.events()))
    }

    /// Whether the socket has ended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed.borrow().is_some()
    }

    /// Waits for the end and returns its close code.
    pub async fn closed(&self) -> anyhow::Result<SignalClosed> {
        let mut closed = self.closed.clone();
        let code = within("the end of the WebSocket", closed.wait_for(Option::is_some)).await?;
        Ok(code.flatten())
    }
}

fn lock(inbox: &Mutex<Inbox>) -> MutexGuard<'_, Inbox> {
    inbox.lock().unwrap_or_else(PoisonError::into_inner)
}

fn receive(inbox: &Mutex<Inbox>, text: &str, forward: Option<&mpsc::UnboundedSender<Value>>) {
    let Ok(message) = serde_json::from_str::<Value>(text) else {
        lock(inbox).events.push(json!({"type": "not JSON", "text": text}));
        return;
    };
    if let Some(id) = message["re"].as_u64() {
        if let Some(reply) = lock(inbox).replies.remove(&id) {
            // The asker may have given up.
            let _ = reply.send(message);
        }
        return;
    }
    lock(inbox).events.push(message.clone());
    if let Some(forward) = forward {
        // Nobody may be listening any more.
        let _ = forward.send(message);
    }
}
