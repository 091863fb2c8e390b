//! Webhooks, with a receiver in this process.

use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sfu_server::config::{Secret, WebhookEndpoint};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::{PATIENCE, TestServer};

const SECRETS: [&str; 2] =
    ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"];

/// Takes requests and answers each with the next of these.
struct Receiver {
    listener: TcpListener,
    answers: Vec<&'static str>,
}

/// A request that came.
struct Delivery {
    head: String,
    body: String,
}

impl Delivery {
    fn header(&self, name: &str) -> &str {
        let line = self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.unwrap_or_else(|| panic!("no {name} in {}", self.head))
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

impl Receiver {
    async fn new(answers: &[&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { listener, answers: answers.iter().rev().copied().collect() }
    }

    fn endpoint(&self) -> WebhookEndpoint {
        WebhookEndpoint {
            url: format!("http://{}/hook", self.listener.local_addr().unwrap()),
            secret: Secret::new(SECRETS[0]),
            previous_secret: Some(Secret::new(SECRETS[1])),
            allow_private: true,
        }
    }

    async fn next(&mut self) -> Delivery {
        let (delivery, stream) = self.take().await;
        self.answer(stream).await;
        delivery
    }

    async fn answer(&mut self, mut stream: TcpStream) {
        let answer = self.answers.pop().unwrap_or("204 No Content\r\n");
        let answer = format!("HTTP/1.1 {answer}content-length: 0\r\nconnection: close\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.unwrap();
    }

    /// What comes next, to be answered yet.
    async fn take(&mut self) -> (Delivery, TcpStream) {
        let receive = async {
            let (mut stream, _) = self.listener.accept().await.unwrap();
            let mut bytes = Vec::new();
            let (head, length) = loop {
                assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0, "hung up");
                let text = String::from_utf8_lossy(&bytes).into_owned();
                if let Some((head, _)) = text.split_once("\r\n\r\n") {
                    let head = head.to_lowercase();
                    let length = head.split("content-length: ").nth(1).unwrap();
                    let length: usize = length.lines().next().unwrap().parse().unwrap();
                    break (text[..head.len()].to_owned(), length);
                }
            };
            while bytes.len() < head.len() + 4 + length {
                assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0, "hung up");
            }
            let body = String::from_utf8(bytes[head.len() + 4..].to_vec()).unwrap();
            (Delivery { head, body }, stream)
        };
        tokio::time::timeout(PATIENCE, receive).await.expect("nothing is told")
    }
}

async fn server_telling(endpoints: Vec<WebhookEndpoint>) -> TestServer {
    TestServer::start_with(|settings| settings.webhooks.endpoints = endpoints).await
}

#[tokio::test]
async fn what_happens_is_told_in_order_and_signed_with_both_secrets() {
    let mut receiver = Receiver::new(&[]).await;
    let server = server_telling(vec![receiver.endpoint()]).await;
    let (mut ann, joined) = server.join("r", "Ann").await;
    ann.request(json!({"type": "leave"})).await;
    let mut ids = Vec::new();
    for kind in ["room.started", "participant.joined", "participant.left", "room.finished"] {
        let delivery = receiver.next().await;
        let told = delivery.json();
        assert_eq!(told["type"], kind, "{told}");
        assert_eq!(told["data"]["room"], "r");
        assert!(told["timestamp"].as_str().is_some_and(|at| at.starts_with("20")), "{told}");
        if kind.starts_with("participant") {
            let participant = &told["data"]["participant"];
            assert_eq!(participant["id"], joined["participant"]);
            assert_eq!(participant["name"], "Ann");
        }
        let (id, at) = (delivery.header("webhook-id"), delivery.header("webhook-timestamp"));
        let signed = format!("{id}.{at}.{}", delivery.body);
        let signatures = SECRETS.map(|secret| {
            let bytes = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
            let key = hmac::Key::new(hmac::HMAC_SHA256, &bytes);
            format!("v1,{}", STANDARD.encode(hmac::sign(&key, signed.as_bytes())))
        });
        assert_eq!(delivery.header("webhook-signature"), signatures.join(" "));
        ids.push(id.to_owned());
    }
    ids.dedup();
    assert_eq!(ids.len(), 4);
    server.until_metric("sfu_webhook_deliveries_total{result=\"delivered\"}", 4.0).await;
    server.server.stop().await;
}

#[tokio::test]
async fn a_failure_is_told_again_under_its_id_and_a_redirect_is_a_failure() {
    let mut receiver =
        Receiver::new(&["307 Temporary Redirect\r\nlocation: http://127.0.0.1:1/\r\n"]).await;
    let server = server_telling(vec![receiver.endpoint()]).await;
    server.post_json("/api/v1/rooms", &json!({"name": "r"})).await;
    let (first, second) = (receiver.next().await, receiver.next().await);
    assert_eq!(first.header("webhook-id"), second.header("webhook-id"));
    assert_eq!(first.body, second.body);
    server.until_metric("sfu_webhook_deliveries_total{result=\"delivered\"}", 1.0).await;
    assert_eq!(server.metric("sfu_webhook_deliveries_total{result=\"retried\"}").await, 1.0);
    server.server.stop().await;
}

/// How long a server takes to end that somebody is in.
async fn time_to_end(server: TestServer) -> Duration {
    let begin = Instant::now();
    server.server.stop().await;
    begin.elapsed()
}

#[tokio::test]
async fn the_end_of_the_server_is_told_and_waited_for_but_not_for_long() {
    let alone = server_telling(Vec::new()).await;
    let (_ann, _) = alone.join("r", "Ann").await;
    let alone = time_to_end(alone).await;

    let mut receiver = Receiver::new(&[]).await;
    let server = server_telling(vec![receiver.endpoint()]).await;
    let (_ann, _) = server.join("r", "Ann").await;
    for kind in ["room.started", "participant.joined"] {
        assert_eq!(receiver.next().await.json()["type"], kind);
    }
    let silence = async {
        let (left, unanswered) = receiver.take().await;
        assert_eq!(left.json()["type"], "participant.left");
        unanswered
    };
    let (took, _unanswered) = tokio::join!(time_to_end(server), silence);
    let waited = took.saturating_sub(alone);
    assert!(waited > Duration::from_secs(1), "{took:?} and not {alone:?}");
    assert!(waited < Duration::from_secs(10), "{took:?} and not {alone:?}");
}

#[tokio::test]
async fn who_says_gone_is_told_nothing_more() {
    let mut receiver = Receiver::new(&["410 Gone\r\n"]).await;
    let server = server_telling(vec![receiver.endpoint()]).await;
    for name in ["r", "s", "t"] {
        server.post_json("/api/v1/rooms", &json!({"name": name})).await;
    }
    receiver.next().await;
    server.until_metric("sfu_webhook_deliveries_total{result=\"failed\"}", 3.0).await;
    server.server.stop().await;
}

#[tokio::test]
async fn addresses_of_this_machine_are_not_reached_unless_that_is_allowed() {
    let receiver = Receiver::new(&[]).await;
    let port = receiver.listener.local_addr().unwrap().port();
    let at = |host: &str| WebhookEndpoint {
        url: format!("http://{host}:{port}/hook"),
        allow_private: false,
        ..receiver.endpoint()
    };
    let server = server_telling(["127.0.0.1", "[::ffff:127.0.0.1]", "0x7f.1"].map(at).into()).await;
    server.post_json("/api/v1/rooms", &json!({"name": "r"})).await;
    server.until_metric("sfu_webhook_deliveries_total{result=\"failed\"}", 3.0).await;
    // A name is looked up and then refused, and tried again: it may mean something else later.
    server.server.stop().await;
    let server = server_telling(vec![at("localhost")]).await;
    server.post_json("/api/v1/rooms", &json!({"name": "r"})).await;
    server.until_metric("sfu_webhook_deliveries_total{result=\"retried\"}", 1.0).await;
    let came = tokio::time::timeout(Duration::ZERO, receiver.listener.accept()).await;
    assert!(came.is_err(), "nobody connected");
    server.server.stop().await;
}
