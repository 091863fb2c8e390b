//! What somebody finds who is called at night: each trouble has its line, on stderr and at once if
//! the server cannot start, in the log otherwise.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, UdpSocket};

use crate::harness::{File, Server, output, text};

#[test]
fn what_keeps_the_server_from_starting_is_named() {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken_http = tcp.local_addr().unwrap().to_string();
    let udp = UdpSocket::bind("0.0.0.0:0").unwrap();
    let taken_udp = udp.local_addr().unwrap().port().to_string();
    let empty = File::new("empty.pem", "");
    let pem = format!("tls.cert_file={}", empty.path());
    let key = format!("tls.key_file={}", empty.path());
    let missing = "tls.cert_file=/nonexistent/cert.pem";
    let no_key = "tls.key_file=/nonexistent/key.pem";
    let secret = "auth.admin_key_file=/nonexistent/secret";
    let turn = "ice.servers=turn:";
    for (flags, parts) in [
        (&["--http-addr", &*taken_http][..], &[&*taken_http, "in use"][..]),
        (&["--udp-port", &taken_udp], &[&taken_udp, "in use"]),
        (&["--set", "telemetry.metrics_addr=192.0.2.1:1"], &["192.0.2.1:1", "metrics"]),
        (&["--set", "tls.mode=files"], &["tls.cert_file", "is needed"]),
        (
            &["--set", "tls.mode=files", "--set", missing, "--set", no_key],
            &["/nonexistent/cert.pem", "No such file"],
        ),
        (&["--set", "tls.mode=files", "--set", &pem, "--set", &key], &["empty.pem", "certificate"]),
        (&["--set", secret], &["/nonexistent/secret", "No such file", "--set"]),
        (&["--set", turn], &["ice.servers"]),
        (&["--config", "/nonexistent/sfu.toml"], &["/nonexistent/sfu.toml", "No such file"]),
    ] {
        let free = ["--http-addr", "127.0.0.1:0", "--udp-port", "0"];
        let free = free.chunks(2).filter(|flag| flag[0] != flags[0]).flatten();
        let arguments = ["serve", "--open"].iter().chain(free).chain(flags).copied();
        let ended = output(&arguments.collect::<Vec<_>>());
        let told = text(&ended.stderr);
        assert!(!ended.status.success(), "{flags:?}: {told}");
        assert!(parts.iter().all(|part| told.contains(part)), "{flags:?}: {told}");
        assert!(!told.contains("panicked"), "{told}");
    }
}

#[test]
fn a_log_that_nobody_reads_stops_nothing() {
    let mut server = Server::start_unheard(&["serve", "--open", "--log", "trace"], &[]);
    // More than a pipe holds.
    for _ in 0..500 {
        assert_eq!(server.get("/readyz"), 200);
    }
    server.signal("TERM");
    assert!(server.wait().success());
}

#[test]
fn why_a_token_is_refused_is_in_the_log_and_nowhere_else() {
    let secret = "auth.keys.k.secret=a secret of thirty-two bytes ...";
    let server = Server::start(&["serve", "--set", secret, "--log", "debug"]);
    assert_eq!(server.ask("GET /api/v1/rooms", "Authorization: Bearer x.y.z\r\n", ""), 401);
    server.logs("no key has the name of its issuer");
}

#[test]
fn an_outage_of_a_webhook_endpoint_has_a_beginning_and_an_end() {
    // A port that nobody has, until somebody takes it again.
    let addr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = File::new(
        "webhooks.toml",
        &format!(
            "[[webhooks.endpoints]]\nurl = \"http://{addr}/hook\"\nallow_private = true\n\
             secret = \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"\n"
        ),
    );
    let server = Server::start(&["serve", "--open", "--config", config.path()]);
    let json = "Content-Type: application/json\r\n";
    assert_eq!(server.ask("POST /api/v1/rooms", json, r#"{"name":"r"}"#), 201);
    let line = server.logs("webhooks are not delivered");
    assert!(line.contains("127.0.0.1") && line.contains("refused"), "{line}");
    assert!(!line.contains("/hook"), "the path may be a secret: {line}");

    let listener = TcpListener::bind(addr).unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    let read = stream.read(&mut [0; 4096]).unwrap();
    assert!(read > 0);
    stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").unwrap();
    server.logs("webhooks are delivered again");
}
