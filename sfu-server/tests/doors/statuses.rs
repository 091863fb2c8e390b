//! The table of routes and statuses, as the OpenAPI document has it: every row is reached, with the
//! body that it promises. What no client on this machine can cause (429, for loopback is never limited,
//! and 503 of media that has stopped) is in the server's own `api/tests.rs`.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::harness::{TestServer, assert_problem};
use crate::tokens::{ADMIN, enter, granting, keyed_server_with};

/// Method, path as in the document, status.
type Row = (String, String, u16);

/// One route and method, with what fills its path.
struct Operation<'a> {
    server: &'a TestServer,
    method: String,
    path: String,
    id: String,
    has_body: bool,
    statuses: BTreeSet<u16>,
    reached: BTreeSet<Row>,
}

const ANY: (&str, &str) = ("if-match", "*");

impl Operation<'_> {
    fn filled(&self) -> String {
        self.path.replace("{room}", "r").replace("{participant}", &self.id)
    }

    fn elsewhere(&self) -> String {
        self.path.replace("{room}", "no").replace("{participant}", "0123456789abcdef")
    }

    fn reach(&mut self, status: u16) {
        self.reached.insert((self.method.clone(), self.path.clone(), status));
    }

    async fn ask(
        &self,
        path: &str,
        credential: &str,
        headers: &[(&str, &str)],
        sent: Option<Value>,
    ) -> reqwest::Response {
        let mut request = self.server.request(&self.method, path);
        if !credential.is_empty() {
            request = request.header("authorization", format!("Bearer {credential}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(sent) = sent {
            request = request.header("content-type", "application/json").body(sent.to_string());
        }
        request.send().await.unwrap()
    }

    /// Is refused with this status, if the document has it.
    async fn refused(
        &mut self,
        status: u16,
        code: &str,
        path: &str,
        credential: &str,
        headers: &[(&str, &str)],
        sent: Option<Value>,
    ) {
        if !self.statuses.contains(&status) {
            return;
        }
        let response = self.ask(path, credential, headers, sent).await;
        let what = format!("{} {} {status}", self.method, self.path);
        let is_passing = response.headers().contains_key("retry-after");
        assert_eq!(is_passing, status == 503, "{what}");
        assert_problem(response, status, code, &what).await;
        self.reach(status);
    }

    /// What is refused whoever asks and whatever for.
    async fn refusals(&mut self, good: Option<Value>, too_much: Option<Value>) {
        let (filled, elsewhere) = (self.filled(), self.elsewhere());
        let nobodys = granting("eve", json!({}));
        let page = [("origin", "https://x.test")];
        self.refused(401, "unauthorized", &filled, "", &[ANY], good.clone()).await;
        self.refused(401, "unauthorized", &filled, "x.y.z", &[ANY], good.clone()).await;
        self.refused(403, "forbidden", &filled, &nobodys, &[ANY], good.clone()).await;
        self.refused(403, "forbidden", &elsewhere, &nobodys, &[ANY], good.clone()).await;
        self.refused(403, "origin_refused", &filled, ADMIN, &page, None).await;
        let html = [("accept", "text/html")];
        self.refused(406, "not_acceptable", &filled, ADMIN, &html, good.clone()).await;
        let none = [("if-match", "\"0\"")];
        self.refused(412, "precondition_failed", &filled, ADMIN, &none, good.clone()).await;
        self.refused(428, "precondition_required", &filled, ADMIN, &[], good.clone()).await;
        if self.path.contains("{room}") {
            self.refused(404, "no_such_room", &elsewhere, ADMIN, &[ANY], good.clone()).await;
        }
        if self.path.contains("{participant}") {
            let nobody = filled.replace(&self.id, "0123456789abcdef");
            self.refused(404, "no_such_participant", &nobody, ADMIN, &[ANY], good.clone()).await;
        }
        if self.has_body {
            let strange = [json!({"no_such_field": 1}), json!([])];
            for strange in strange {
                self.refused(400, "malformed", &filled, ADMIN, &[ANY], Some(strange)).await;
            }
            self.refused(415, "unsupported_media_type", &filled, ADMIN, &[ANY], None).await;
            self.refused(422, "limit", &filled, ADMIN, &[ANY], too_much).await;
            self.too_large().await;
        } else {
            let query = format!("{filled}?limit=0");
            self.refused(400, "malformed", &query, ADMIN, &[], None).await;
        }
        let trace = self.server.request("TRACE", &filled).send().await.unwrap();
        assert!(trace.headers().contains_key("allow"), "{filled}");
        assert_problem(trace, 405, "method_not_allowed", &filled).await;
    }

    async fn too_large(&mut self) {
        let long = json!({"x": "x".repeat(256 * 1024)});
        let head = self.head(long.to_string().len());
        let answer = exchange(self.server, &head, "").await;
        self.assert_raw(&answer, 413, "body_too_large");
    }

    /// The body is announced and does not come.
    async fn slow(&mut self) {
        let answer = exchange(self.server, &self.head(10), "{").await;
        self.assert_raw(&answer, 408, "request_timeout");
    }

    fn head(&self, length: usize) -> String {
        let (method, path) = (&self.method, self.filled());
        format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ADMIN}\r\nif-match: *\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        )
    }

    fn assert_raw(&mut self, answer: &str, status: u16, code: &str) {
        let what = format!("{} {}: {answer}", self.method, self.path);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{what}");
        let (head, body) = answer.split_once("\r\n\r\n").expect(&what);
        assert!(head.contains("content-type: application/problem+json"), "{what}");
        let problem: Value = serde_json::from_str(body).unwrap();
        assert_eq!(
            (&problem["status"], &problem["code"]),
            (&json!(status), &json!(code)),
            "{what}"
        );
        self.reach(status);
    }

    /// All is well.
    async fn done(&mut self, path: &str, status: u16, sent: Option<Value>) -> Value {
        let response = self.ask(path, ADMIN, &[ANY], sent).await;
        let what = format!("{} {} {status}", self.method, self.path);
        let got = response.status();
        let text = response.text().await.unwrap();
        assert_eq!(got, status, "{what}: {text}");
        assert!(status != 204 || text.is_empty(), "{what}: {text}");
        self.reach(status);
        serde_json::from_str(&text).unwrap_or_default()
    }
}

/// Sends this much of a request and returns the answer.
async fn exchange(server: &TestServer, head: &str, body: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(server.server.http_addr).await.unwrap();
    stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    let mut answer = String::new();
    let whole = async {
        while !is_whole(&answer) {
            let mut part = [0; 4096];
            let read = stream.read(&mut part).await.unwrap();
            assert!(read > 0, "the connection ended: {answer}");
            answer.push_str(std::str::from_utf8(&part[..read]).unwrap());
        }
    };
    tokio::time::timeout(2 * crate::harness::PATIENCE, whole).await.expect("no answer");
    answer
}

fn is_whole(answer: &str) -> bool {
    let Some((head, body)) = answer.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    length.is_some_and(|length| body.len() >= length.parse().unwrap())
}

#[tokio::test]
async fn every_row_of_the_table_is_reached() {
    let server = keyed_server_with(|settings| settings.media.impairments = true).await;
    let publish = server.request("POST", "/whip/r").header("content-type", "application/sdp");
    let publish = publish.header("authorization", format!("Bearer {}", granting("obs", json!({}))));
    assert_eq!(publish.body(crate::whip::publisher()).send().await.unwrap().status(), 201);
    let list = server.request("GET", "/api/v1/rooms/r/participants");
    let list = list.header("authorization", format!("Bearer {ADMIN}")).send().await.unwrap();
    let obs = crate::harness::body(list).await["participants"][0].clone();
    let (id, track) = (obs["id"].as_str().unwrap(), &obs["tracks"][0]["track"]);

    let document = server.get_json("/openapi.json").await;
    let mut documented = BTreeSet::new();
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let responses = operation["responses"].as_object().unwrap();
            let statuses: BTreeSet<u16> = responses.keys().map(|s| s.parse().unwrap()).collect();
            let method = method.to_uppercase();
            documented.extend(statuses.iter().map(|&s| (method.clone(), path.clone(), s)));
            operations.push(Operation {
                server: &server,
                method,
                path: path.clone(),
                id: id.to_owned(),
                has_body: operation.get("requestBody").is_some(),
                statuses,
                reached: BTreeSet::new(),
            });
        }
    }
    let mut guests = Vec::new();
    for operation in &mut operations {
        let (filled, is) = (operation.filled(), |name: &str| operation.path.ends_with(name));
        let metadata = json!({"metadata": "x".repeat(64 * 1024 + 1)});
        let none: Option<Value> = None;
        let (good, too_much, status) = match operation.method.as_str() {
            "GET" => (none, None, 200),
            "DELETE" if is("/drain") => (none, None, 200),
            "DELETE" => (none, None, 204),
            "POST" if is("/drain") => (none, None, 200),
            "POST" if is("/rooms") => {
                let too_much = json!({"name": "q", "empty_timeout": 86_401});
                (Some(json!({"name": "no"})), Some(too_much), 201)
            }
            "POST" if is("/mute") => (Some(json!({"track": track, "muted": true})), None, 204),
            "POST" if is("/data") => {
                let too_much = json!({"payload": "x".repeat(70_000)});
                (Some(json!({"payload": "hi"})), Some(too_much), 204)
            }
            "POST" if is("/tokens") => {
                let too_much = json!({"room": "r", "identity": "a", "ttl_seconds": 0});
                (Some(json!({"room": "r", "identity": "ann"})), Some(too_much), 201)
            }
            "PUT" if is("/subscriptions") => {
                let tracks: Vec<String> = (0..251).map(|n| format!("{n:016x}")).collect();
                (Some(json!({"tracks": []})), Some(json!({"tracks": tracks})), 204)
            }
            "PUT" if is("/impairment") => {
                let too_much = json!({"downlink": {"loss_percent": 101}});
                (Some(json!({"downlink": {"delay_ms": 1}})), Some(too_much), 204)
            }
            "PATCH" if is("/{participant}") => (Some(json!({"name": "n"})), Some(metadata), 200),
            "PATCH" => (Some(json!({"metadata": "m"})), Some(metadata), 200),
            other => panic!("no row for {other} {}", operation.path),
        };
        operation.refusals(good.clone(), too_much).await;
        // What ends something ends something of its own.
        let target = match (operation.method.as_str(), operation.path.as_str()) {
            ("DELETE", "/api/v1/rooms/{room}") => {
                let spare = json!({"name": "spare"});
                let make = server.request("POST", "/api/v1/rooms").body(spare.to_string());
                let make = make.header("content-type", "application/json");
                let make = make.header("authorization", format!("Bearer {ADMIN}"));
                assert_eq!(make.send().await.unwrap().status(), 201);
                "/api/v1/rooms/spare".to_owned()
            }
            ("DELETE", "/api/v1/rooms/{room}/participants/{participant}") => {
                let (eve, joined) = enter(&server, &granting("eve", json!({}))).await;
                guests.push(eve);
                filled.replace(id, joined["participant"].as_str().unwrap())
            }
            _ => filled.clone(),
        };
        operation.done(&target, status, good.clone()).await;
        if operation.statuses.contains(&409) {
            let strange = json!({"room": "r", "identity": "a", "key": "no"});
            operation.refused(409, "no_keys", &filled, ADMIN, &[], Some(strange)).await;
        }
        // What stays would be in the way of the others.
        let undo = match (operation.method.as_str(), operation.path.as_str()) {
            ("POST", "/api/v1/rooms") => {
                operation.done(&filled, 200, good).await;
                "/api/v1/rooms/no"
            }
            ("POST", "/api/v1/drain") => "/api/v1/drain",
            _ => continue,
        };
        let undo =
            server.request("DELETE", undo).header("authorization", format!("Bearer {ADMIN}"));
        assert!(undo.send().await.unwrap().status().is_success());
    }
    let slow = operations.iter_mut().filter(|operation| operation.has_body);
    futures_util::future::join_all(slow.map(Operation::slow)).await;
    let reached: BTreeSet<Row> = operations.iter().flat_map(|one| one.reached.clone()).collect();
    let elsewhere = |row: &&Row| matches!(row.2, 429 | 503);
    let missing: Vec<&Row> =
        documented.difference(&reached).filter(|row| !elsewhere(row)).collect();
    assert!(missing.is_empty(), "{missing:#?}");
    assert!(documented.len() > 200, "{}", documented.len());
    drop(operations);
    server.server.stop().await;
}

#[tokio::test]
async fn what_the_document_does_not_name_is_refused_as_it_says() {
    let server = keyed_server_with(|_| {}).await;
    let post = |path: &str, sent: Value| {
        let request = server.request("POST", path).header("content-type", "application/json");
        request.header("authorization", format!("Bearer {ADMIN}")).body(sent.to_string()).send()
    };
    for (path, sent, status, code) in [
        ("/api/v1/rooms", json!({"name": "q", "codecs": []}), 422, "limit"),
        ("/api/v1/rooms", json!({"name": "q", "codecs": ["mp3"]}), 400, "malformed"),
        ("/api/v1/rooms", json!({"name": "a\nb"}), 400, "invalid_name"),
        ("/api/v1/tokens", json!({"room": "", "identity": "a"}), 400, "invalid_name"),
    ] {
        let what = format!("{path} {sent}");
        assert_problem(post(path, sent).await.unwrap(), status, code, &what).await;
    }
    for query in ["limit=0", "limit=1001", "limit=x", "cursor=!", "page=2"] {
        let request = server.request("GET", &format!("/api/v1/rooms?{query}"));
        let request = request.header("authorization", format!("Bearer {ADMIN}"));
        assert_problem(request.send().await.unwrap(), 400, "malformed", query).await;
    }
    server.server.stop().await;
}
