//! Statuses, problem bodies, headers, probes and metrics.

use std::io::ErrorKind;

use reqwest::header::HeaderMap;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::harness::{TestServer, assert_problem};

/// Method, path, content type, body; status and code.
type Row = (&'static str, &'static str, &'static str, &'static str, u16, &'static str);

#[tokio::test]
async fn every_refusal_is_a_problem() {
    let server = TestServer::start().await;
    let json = "application/json";
    let sdp = "application/sdp";
    let fragment = "application/trickle-ice-sdpfrag";
    let nobody = "/api/v1/rooms/no/participants/0123456789abcdef";
    let mute = "/api/v1/rooms/no/participants/0123456789abcdef/mute";
    let a_mute = r#"{"track":"0123456789abcdef","muted":true}"#;
    let rows: &[Row] = &[
        ("GET", "/nothing/here", "", "", 404, "not_found"),
        ("POST", "/nothing/here", "", "", 404, "not_found"),
        ("GET", "/index.htm", "", "", 404, "not_found"),
        ("GET", "/../Cargo.toml", "", "", 404, "not_found"),
        ("GET", "/%2e%2e/Cargo.toml", "", "", 404, "not_found"),
        ("POST", "/livez", "", "", 405, "method_not_allowed"),
        ("DELETE", "/metrics", "", "", 405, "method_not_allowed"),
        ("PUT", "/api/v1/rooms", json, "{}", 405, "method_not_allowed"),
        ("POST", "/ws", "", "", 405, "method_not_allowed"),
        ("GET", "/ws", "", "", 400, "malformed"),
        ("POST", "/api/v1/rooms", "text/plain", "{}", 415, "unsupported_media_type"),
        ("POST", "/api/v1/rooms", "", "{}", 415, "unsupported_media_type"),
        ("POST", "/api/v1/rooms", json, "", 400, "malformed"),
        ("POST", "/api/v1/rooms", json, "{", 400, "malformed"),
        ("POST", "/api/v1/rooms", json, "[]", 400, "malformed"),
        ("POST", "/api/v1/rooms", json, "{}", 400, "malformed"),
        ("POST", "/api/v1/rooms", json, r#"{"name":1}"#, 400, "malformed"),
        ("POST", "/api/v1/rooms", json, r#"{"name":"r","x":1}"#, 400, "malformed"),
        ("POST", "/api/v1/rooms", json, r#"{"name":""}"#, 400, "invalid_name"),
        ("POST", "/api/v1/rooms", json, r#"{"name":"a\nb"}"#, 400, "invalid_name"),
        ("POST", "/api/v1/rooms", json, r#"{"name":"r","empty_timeout":-1}"#, 400, "malformed"),
        ("POST", "/api/v1/rooms", json, r#"{"name":"r","empty_timeout":86401}"#, 422, "limit"),
        ("POST", "/api/v1/rooms", json, r#"["r"]"#, 400, "malformed"),
        ("POST", "/api/v1/rooms", json, r#"{"name":"r","audio_last_n":-1}"#, 400, "malformed"),
        ("POST", "/api/v1/rooms", json, r#"{"name":"r","audio_last_n":1001}"#, 422, "limit"),
        ("POST", "/api/v1/rooms", json, r#"{"name":"r","video_last_n":65536}"#, 422, "limit"),
        ("PATCH", "/api/v1/rooms/no", json, "{}", 404, "no_such_room"),
        ("PATCH", "/api/v1/rooms/no", json, "[]", 400, "malformed"),
        ("PATCH", "/api/v1/rooms/no", json, r#"{"name":"s"}"#, 400, "malformed"),
        ("PATCH", "/api/v1/rooms/no", json, r#"{"video_last_n":"9"}"#, 400, "malformed"),
        ("PATCH", "/api/v1/rooms/no", "", "{}", 415, "unsupported_media_type"),
        ("GET", "/api/v1/rooms/no", "", "", 404, "no_such_room"),
        ("DELETE", "/api/v1/rooms/no", "", "", 404, "no_such_room"),
        ("GET", "/api/v1/rooms/no/participants", "", "", 404, "no_such_room"),
        ("GET", nobody, "", "", 404, "no_such_room"),
        ("DELETE", nobody, "", "", 404, "no_such_room"),
        ("GET", "/api/v1/rooms/no/participants/x", "", "", 404, "no_such_participant"),
        ("POST", mute, json, a_mute, 404, "no_such_room"),
        ("POST", mute, json, r#"{"track":"t","muted":true}"#, 404, "no_such_track"),
        ("POST", mute, json, r#"{"track":"0123456789abcdef"}"#, 400, "malformed"),
        ("POST", "/whip/r", "", "v=0", 415, "unsupported_media_type"),
        ("POST", "/whip/r", "text/plain", "v=0", 415, "unsupported_media_type"),
        ("POST", "/whip/r", sdp, "", 400, "malformed"),
        ("POST", "/whip/r", sdp, " \r\n", 400, "malformed"),
        ("PUT", "/whip/r", sdp, "v=0", 405, "method_not_allowed"),
        ("POST", "/whep/r", "text/plain", "v=0", 415, "unsupported_media_type"),
        ("POST", "/whep/r", sdp, "", 400, "malformed"),
        ("POST", "/whep/r/nobody", sdp, "v=0", 404, "no_such_participant"),
        ("POST", "/whep/r/0123456789abcdef", sdp, "v=0", 404, "no_such_room"),
        ("PATCH", "/whip/r/0", fragment, "a=x:y", 404, "no_such_session"),
        ("DELETE", "/whip/r/0", "", "", 404, "no_such_session"),
        ("GET", "/whip/r/0", "", "", 404, "no_such_session"),
        ("PATCH", "/whep/r/0", fragment, "a=x:y", 404, "no_such_session"),
        ("DELETE", "/whep/r/0", "", "", 404, "no_such_session"),
    ];
    for (method, path, content_type, body, status, code) in rows {
        let mut request = server.request(method, path).body(*body);
        if !content_type.is_empty() {
            request = request.header("content-type", *content_type);
        }
        let response = request.send().await.unwrap();
        let what = format!("{method} {path} {body}");
        assert_eq!(response.headers()["x-content-type-options"], "nosniff", "{what}");
        if *status == 405 {
            assert!(response.headers().contains_key("allow"), "{what}");
        }
        assert_problem(response, *status, code, &what).await;
    }
    assert_eq!(server.metric("sfu_rooms").await, 0.0, "none of this made a room");
    assert_eq!(server.metric("sfu_index_entries").await, 0.0);
    server.server.stop().await;
}

#[tokio::test]
async fn c03_bodies_over_their_bound_are_refused() {
    let server = TestServer::start().await;
    for (path, content_type, bytes_max, code) in [
        ("/api/v1/rooms", "application/json", 256 * 1024, "malformed"),
        ("/whip/r", "application/sdp", 64 * 1024, "sdp_malformed"),
        ("/whep/r", "application/sdp", 64 * 1024, "sdp_malformed"),
    ] {
        let post = |body: reqwest::Body| {
            server.request("POST", path).header("content-type", content_type).body(body).send()
        };
        let at_bound = post("x".repeat(bytes_max).into()).await.unwrap();
        assert_problem(at_bound, 400, code, path).await;
        for bytes in [bytes_max + 1, 100 * bytes_max] {
            // The server may hang up while the rest is still being sent.
            if let Ok(response) = post("x".repeat(bytes).into()).await {
                assert_problem(response, 413, "body_too_large", path).await;
            }
        }
    }
    assert_eq!(server.metric("sfu_rooms").await, 0.0);
    server.server.stop().await;
}

#[tokio::test]
async fn every_answer_says_what_its_request_is_called() {
    let server = TestServer::start().await;
    let paths = ["/livez", "/", "/nothing", "/api/v1/rooms", "/api/v1/rooms/no", "/whip/r", "/ws"];
    for path in paths {
        let given = server.request("GET", path).header("x-request-id", "proxy-1:2/3");
        let given = given.send().await.unwrap();
        assert_eq!(given.headers()["x-request-id"], "proxy-1:2/3", "{path}");
        let mut own = Vec::new();
        for unusable in ["", "a b", &"x".repeat(129)] {
            let answer = server.request("GET", path).header("x-request-id", unusable);
            let answer = answer.send().await.unwrap();
            own.push(answer.headers()["x-request-id"].to_str().unwrap().to_owned());
        }
        own.sort_unstable();
        own.dedup();
        assert_eq!(own.len(), 3, "{path}: {own:?}");
        assert!(own.iter().all(|id| id.len() == 16), "{path}: {own:?}");
    }
    let refused = server.get("/api/v1/rooms/no%20room?limit=1").await;
    let problem = assert_problem(refused, 404, "no_such_room", "a room").await;
    assert_eq!(problem["instance"], "/api/v1/rooms/no%20room");
    server.server.stop().await;
}

/// A body that does not say how long it will be.
#[tokio::test]
async fn a_chunked_body_is_read_up_to_its_bound() {
    let server = TestServer::start().await;
    let mut stream = tokio::net::TcpStream::connect(server.server.http_addr).await.unwrap();
    let head = "POST /whip/r HTTP/1.1\r\nhost: x\r\ncontent-type: application/sdp\r\n\
                transfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
    for _ in 0..16 {
        stream.write_all(chunk.as_bytes()).await.unwrap();
    }
    // 64 KiB are there and the server waits for more.
    let mut byte = [0];
    assert_eq!(stream.try_read(&mut byte).unwrap_err().kind(), ErrorKind::WouldBlock);
    stream.write_all(b"1\r\nx\r\n").await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
    server.server.stop().await;
}

#[tokio::test]
async fn c06_c07_e05_options_and_get_of_whip_and_whep_say_what_they_speak() {
    let server = TestServer::start().await;
    for path in ["/whip/r", "/whep/r", "/whep/r/0123456789abcdef"] {
        let preflight = server
            .request("OPTIONS", path)
            .header("origin", "https://elsewhere.test")
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,content-type,if-match")
            .send()
            .await
            .unwrap();
        assert_eq!(preflight.status(), 200, "{path}");
        let headers = preflight.headers();
        assert_eq!(headers["access-control-allow-origin"], "*");
        assert_eq!(headers["accept-post"], "application/sdp");
        assert_lists(headers, "access-control-allow-methods", &["POST", "OPTIONS"]);
        let allowed = ["Authorization", "Content-Type", "If-Match"];
        assert_lists(headers, "access-control-allow-headers", &allowed);
        let exposed = ["Location", "ETag", "Link", "Accept-Post", "Accept-Patch", "Retry-After"];
        assert_lists(headers, "access-control-expose-headers", &exposed);

        let get = server.get(path).await;
        assert!(get.status().is_success(), "{path}");
        let head = server.request("HEAD", path).send().await.unwrap();
        assert_eq!(head.status(), get.status(), "{path}");
        if path.starts_with("/whep") {
            assert_eq!(head.headers()["content-type"], "application/sdp");
        }
        assert_eq!(get.text().await.unwrap(), "");
    }
    let session = server.request("OPTIONS", "/whip/r/some-session").send().await.unwrap();
    assert_lists(session.headers(), "access-control-allow-methods", &["PATCH", "DELETE"]);
    assert_eq!(session.headers()["accept-patch"], "application/trickle-ice-sdpfrag");

    // A page of another origin can read why it was refused.
    let refused = server.request("DELETE", "/whip/r/0").send().await.unwrap();
    assert_eq!(refused.headers()["access-control-allow-origin"], "*");
    let closed = server.request("DELETE", "/api/v1/rooms/no").send().await.unwrap();
    assert!(!closed.headers().contains_key("access-control-allow-origin"));
    server.server.stop().await;
}

fn assert_lists(headers: &HeaderMap, name: &str, wanted: &[&str]) {
    let value = headers[name].to_str().unwrap();
    let listed: Vec<&str> = value.split(',').map(str::trim).collect();
    for wanted in wanted {
        assert!(listed.contains(wanted), "{name}: {value}");
    }
}

#[tokio::test]
async fn pages_of_allowed_origins_use_the_api_and_others_do_not() {
    let good = "https://good.test";
    let server =
        TestServer::start_with(|settings| settings.http.allow_origin = vec![good.to_owned()]).await;
    let preflight = |origin: &'static str| {
        let request = server.request("OPTIONS", "/api/v1/rooms/r").header("origin", origin);
        let request = request.header("access-control-request-method", "PATCH");
        request.header("access-control-request-headers", "authorization,if-match").send()
    };
    let answer = preflight(good).await.unwrap();
    assert_eq!(answer.status(), 204);
    assert_eq!(answer.headers()["access-control-allow-origin"], good);
    assert_eq!(answer.headers()["vary"], "Origin");
    assert_lists(answer.headers(), "access-control-allow-methods", &["GET", "PATCH", "DELETE"]);
    let wanted = ["Authorization", "Content-Type", "If-Match"];
    assert_lists(answer.headers(), "access-control-allow-headers", &wanted);

    // Answers and refusals alike can be read.
    for (method, status) in [("GET", 404), ("PATCH", 415)] {
        let request = server.request(method, "/api/v1/rooms/r").header("origin", good);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), status);
        assert_eq!(answer.headers()["access-control-allow-origin"], good);
        assert_lists(answer.headers(), "access-control-expose-headers", &["ETag", "X-Request-Id"]);
    }

    let refused = preflight("https://good.test.evil").await.unwrap();
    assert!(!refused.headers().contains_key("access-control-allow-origin"));
    assert_problem(refused, 405, "method_not_allowed", "a preflight from elsewhere").await;
    let request = server.request("GET", "/api/v1/rooms").header("origin", "https://evil.test");
    let refused = request.send().await.unwrap();
    assert!(!refused.headers().contains_key("access-control-allow-origin"));
    assert_problem(refused, 403, "origin_refused", "a page from elsewhere").await;
    let no_page = server.get("/api/v1/rooms").await;
    assert!(!no_page.headers().contains_key("access-control-allow-origin"));
    server.server.stop().await;
}

#[tokio::test]
async fn the_page_is_served_and_what_belongs_to_its_development_is_not() {
    let server = TestServer::start().await;
    for (path, content_type) in [
        ("/", "text/html; charset=utf-8"),
        ("/index.html", "text/html; charset=utf-8"),
        ("/style.css", "text/css; charset=utf-8"),
        ("/sdk/index.js", "text/javascript; charset=utf-8"),
        ("/favicon.svg", "image/svg+xml"),
    ] {
        let response = server.get(path).await;
        assert_eq!(response.status(), 200, "{path}");
        let headers = response.headers().clone();
        assert_eq!(headers["content-type"], content_type, "{path}");
        assert_eq!(headers["cache-control"], "no-cache", "{path}");
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'self'; connect-src 'self' ws: wss:;"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert!(!response.text().await.unwrap().is_empty());

        let again = server.request("GET", path).header("if-none-match", &headers["etag"]);
        let again = again.send().await.unwrap();
        assert_eq!(again.status(), 304, "{path}");
        assert_eq!(again.text().await.unwrap(), "");
        let head = server.request("HEAD", path).send().await.unwrap();
        assert_eq!((head.status().as_u16(), &head.headers()["etag"]), (200, &headers["etag"]));
    }
    for path in ["/package.json", "/package-lock.json", "/tsconfig.json", "/e2e/README.md"] {
        assert_problem(server.get(path).await, 404, "not_found", path).await;
    }
    let post = server.request("POST", "/").send().await.unwrap();
    assert_eq!(post.headers()["allow"], "GET, HEAD");
    assert_problem(post, 405, "method_not_allowed", "POST /").await;
    server.server.stop().await;
}

#[tokio::test]
async fn probes_and_metrics_answer() {
    let server = TestServer::start().await;
    for path in ["/livez", "/readyz"] {
        assert_eq!(server.get(path).await.status(), 200, "{path}");
    }
    let metrics = server.get("/metrics").await;
    assert_eq!(metrics.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let text = metrics.text().await.unwrap();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(name.starts_with("sfu_"), "{line}");
        assert!(value.parse::<f64>().is_ok(), "{line}");
    }
    let reasons = sfu_core::drops::DropReason::ALL.len();
    assert_eq!(text.matches("\nsfu_rtp_dropped_packets_total{").count(), reasons);
    assert_eq!(server.metric("sfu_draining").await, 0.0);
    server.server.stop().await;
}

#[tokio::test]
async fn datagrams_reach_the_media_worker() {
    let server = TestServer::start().await;
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = server.server.udp_addrs[0].port();
    socket.send_to(&[0xff; 20], ("127.0.0.1", port)).await.unwrap();
    server.until_metric("sfu_datagrams_total{dir=\"in\"}", 1.0).await;
    server.until_metric("sfu_rtp_dropped_packets_total{reason=\"unclassified\"}", 1.0).await;
    server.server.stop().await;
}
