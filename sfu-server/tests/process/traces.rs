//! Traces, as a collector gets them. Its messages are not taken apart: protobuf has text as it is.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use crate::harness::{Client, PATIENCE, Server};

/// Takes one request, answers it, and returns its head and its body.
fn take(stream: &mut TcpStream) -> (String, Vec<u8>) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut bytes = Vec::new();
    loop {
        let mut part = [0; 4096];
        let read = stream.read(&mut part).unwrap();
        assert!(read > 0, "hung up");
        bytes.extend_from_slice(&part[..read]);
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_lowercase();
        let length = head.split("content-length: ").nth(1).unwrap().lines().next().unwrap();
        if bytes.len() >= end + 4 + length.parse::<usize>().unwrap() {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
            return (head, bytes.split_off(end + 4));
        }
    }
}

fn holds(body: &[u8], text: &str) -> bool {
    body.windows(text.len()).any(|part| part == text.as_bytes())
}

#[test]
fn a_collector_gets_who_asked_for_what_and_the_last_of_it_at_the_end() {
    let collector = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = collector.local_addr().unwrap();
    let endpoint = format!("telemetry.otlp_endpoint=http://{endpoint}/");
    let mut server = Server::start(&["--set", &endpoint]);
    let mut client = Client::connect(&server, "named-by-a-client");
    let joined = client.ask(r#"{"id":1,"type":"join","room":"kitchen"}"#);
    client.ask(r#"{"id":2,"type":"leave"}"#);
    drop(client);
    // Whatever was not sent by now is sent before the end.
    server.signal("TERM");
    let (mut stream, _) = collector.accept().unwrap();
    let (head, body) = take(&mut stream);
    assert!(head.starts_with("post /v1/traces "), "{head}");
    assert!(head.contains("content-type: application/x-protobuf"), "{head}");
    let participant = joined["participant"].as_str().unwrap();
    for text in ["service.name", "sfu", "request", "named-by-a-client", "kitchen", participant] {
        assert!(holds(&body, text), "no {text} in {}", String::from_utf8_lossy(&body));
    }
    assert!(server.wait().success());
}

#[test]
fn a_collector_that_is_gone_or_silent_keeps_nobody_waiting() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    for endpoint in ["127.0.0.1:1".to_owned(), silent.local_addr().unwrap().to_string()] {
        let endpoint = format!("telemetry.otlp_endpoint=http://{endpoint}");
        let mut server = Server::start(&["--set", &endpoint]);
        for _ in 0..50 {
            assert_eq!(server.get("/readyz"), 200);
        }
        server.signal("TERM");
        assert!(server.wait().success(), "{endpoint}");
    }
}
