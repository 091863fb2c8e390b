//! A server per test, and clients that fail loudly.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use sfu_server::config::Settings;
use sfu_server::{RunningServer, run};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// Longer than anything takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct TestServer {
    pub(crate) server: RunningServer,
    http: reqwest::Client,
}

impl TestServer {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// Starts with what `change` makes of the default settings, on free ports of loopback.
    pub(crate) async fn start_with(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings::default();
        settings.http.addr = "127.0.0.1:0".parse().unwrap();
        settings.media.udp_port = 0;
        change(&mut settings);
        let server = run(settings).await.unwrap();
        // A kept connection may be closed by the server in the very moment it is used again.
        let http = reqwest::Client::builder().pool_max_idle_per_host(0).build().unwrap();
        Self { server, http }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.http_addr)
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> RequestBuilder {
        self.http.request(Method::from_bytes(method.as_bytes()).unwrap(), self.url(path))
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.request("GET", path).send().await.unwrap()
    }

    pub(crate) async fn get_json(&self, path: &str) -> Value {
        body(self.get(path).await).await
    }

    pub(crate) async fn post_json(&self, path: &str, value: &Value) -> Response {
        let request = self.request("POST", path).header("content-type", "application/json");
        request.body(value.to_string()).send().await.unwrap()
    }

    /// The value of a metric, given as in the text format.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").await.text().await.unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in\n{text}")).parse().unwrap()
    }

    /// Waits until a metric has a value.
    pub(crate) async fn until_metric(&self, name: &str, value: f64) {
        let wait = async {
            while self.metric(name).await != value {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, wait).await;
        assert!(waited.is_ok(), "{name} is {} and not {value}", self.metric(name).await);
    }

    /// A WebSocket that has received `hello`.
    pub(crate) async fn connect(&self) -> Client {
        let mut client = Client::open(&format!("ws://{}/ws", self.server.http_addr)).await;
        assert_eq!(client.next().await["type"], "hello");
        client
    }

    /// A participant of a room, and its `joined`.
    pub(crate) async fn join(&self, room: &str, name: &str) -> (Client, Value) {
        let mut client = self.connect().await;
        let joined = client.request(json!({"type": "join", "room": room, "name": name})).await;
        assert_eq!(joined["type"], "joined", "{joined}");
        (client, joined)
    }
}

pub(crate) async fn body(response: Response) -> Value {
    serde_json::from_str(&response.text().await.unwrap()).unwrap()
}

/// Checks that a response is a problem with this status and code, and returns its body.
pub(crate) async fn assert_problem(
    response: Response,
    status: u16,
    code: &str,
    what: &str,
) -> Value {
    let got = response.status().as_u16();
    let headers = response.headers().clone();
    let text = response.text().await.unwrap();
    assert_eq!(got, status, "{what}: {text}");
    let content_type = headers.get("content-type").map(|value| value.to_str().unwrap());
    assert_eq!(content_type, Some("application/problem+json"), "{what}");
    let problem: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(problem["code"], code, "{what}: {text}");
    assert_eq!(problem["status"], status, "{what}");
    for field in ["type", "title", "detail", "instance"] {
        assert!(problem[field].as_str().is_some_and(|s| !s.is_empty()), "{what}: {field}");
    }
    assert_eq!(problem["request_id"].as_str(), headers["x-request-id"].to_str().ok(), "{what}");
    problem
}

/// A problem without what is the request's own: the same for all who are refused in the same words.
pub(crate) fn in_the_same_words(mut problem: Value) -> Value {
    for own in ["instance", "request_id"] {
        problem.as_object_mut().unwrap().remove(own);
    }
    problem
}

/// A WebSocket client.
pub(crate) struct Client {
    pub(crate) socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// How long it waits for the next message.
    pub(crate) patience: Duration,
    pub(crate) last_id: u64,
    /// Messages in all.
    pub(crate) received: u64,
    /// Events that came while a reply was awaited.
    pub(crate) events: Vec<Value>,
}

impl Client {
    pub(crate) async fn open(url: &str) -> Self {
        let (socket, _) = connect_async(url).await.unwrap();
        Self { socket, patience: PATIENCE, last_id: 0, received: 0, events: Vec::new() }
    }

    pub(crate) async fn send(&mut self, text: impl Into<String>) {
        self.socket.send(Message::text(text.into())).await.unwrap();
    }

    /// Sends a request and returns its reply.
    pub(crate) async fn request(&mut self, mut request: Value) -> Value {
        self.last_id += 1;
        request["id"] = self.last_id.into();
        self.send(request.to_string()).await;
        loop {
            let message = self.next().await;
            if message["re"] == self.last_id {
                return message;
            }
            self.events.push(message);
        }
    }

    /// Sends a request that is refused with this code.
    pub(crate) async fn refused(&mut self, request: Value, code: &str) {
        let reply = self.request(request.clone()).await;
        assert_eq!(reply["type"], "error", "{request} got {reply}");
        assert_eq!(reply["code"], code, "{request} got {reply}");
        for field in ["title", "detail"] {
            assert!(reply[field].as_str().is_some_and(|s| !s.is_empty()), "{field} of {reply}");
        }
    }

    /// The next message; panics at a close.
    pub(crate) async fn next(&mut self) -> Value {
        match self.receive().await {
            Some(Ok(Message::Text(text))) => serde_json::from_str(&text).unwrap(),
            other => panic!("no message but {other:?}"),
        }
    }

    /// The next message; `None` at a close.
    pub(crate) async fn next_or_closed(&mut self) -> Option<Value> {
        match self.receive().await {
            Some(Ok(Message::Text(text))) => Some(serde_json::from_str(&text).unwrap()),
            _ => None,
        }
    }

    /// The next event of this type; others are passed over.
    pub(crate) async fn event(&mut self, name: &str) -> Value {
        if let Some(at) = self.events.iter().position(|event| event["type"] == name) {
            return self.events.remove(at);
        }
        loop {
            let message = self.next().await;
            if message["type"] == name {
                return message;
            }
        }
    }

    /// The code the server closes with; messages before it are passed over.
    pub(crate) async fn closed(&mut self) -> u16 {
        loop {
            match self.receive().await {
                Some(Ok(Message::Text(_))) => {}
                Some(Ok(Message::Close(Some(frame)))) => return frame.code.into(),
                other => panic!("no close frame but {other:?}"),
            }
        }
    }

    async fn receive(&mut self) -> Option<tungstenite::Result<Message>> {
        // Pings are no answer, however many come.
        let deadline = tokio::time::Instant::now() + self.patience;
        loop {
            let message = tokio::time::timeout_at(deadline, self.socket.next()).await;
            match message.expect("the server says nothing") {
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => {
                    self.received += u64::from(matches!(other, Some(Ok(Message::Text(_)))));
                    return other;
                }
            }
        }
    }
}
