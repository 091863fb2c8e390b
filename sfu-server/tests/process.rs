//! The binary as a process: what it prints, and what signals do.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

fn sfu(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sfu"));
    command.args(arguments);
    command
}

fn output(arguments: &[&str]) -> Output {
    sfu(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A server on free ports of loopback.
struct Server {
    child: Child,
    url: String,
    log: std::sync::mpsc::Receiver<String>,
}

impl Server {
    fn start(arguments: &[&str]) -> Self {
        let ports = ["--http-addr", "127.0.0.1:0", "--udp-port", "0", "--advertise", "127.0.0.1"];
        let mut command = sfu(&[arguments, &ports].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
        let (lines, log) = std::sync::mpsc::channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let _ = lines.send(line);
            }
        });
        Self { child, url: url.trim().to_owned(), log }
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// Waits for a line of the log that has `part` in it.
    fn logs(&self, part: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.log.recv_timeout(left).unwrap_or_else(|_| panic!("no line: {part}"));
            if line.contains(part) {
                return line;
            }
        }
    }

    /// The status of a `GET`.
    fn get(&self, path: &str) -> u16 {
        let addr = self.url.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(addr).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        // What comes after the answer does not matter.
        let end = stream.read_to_end(&mut answer);
        let answer = text(&answer);
        assert!(answer.starts_with("HTTP/1.1 "), "{answer:?}, then {end:?}");
        answer.split(' ').nth(1).unwrap().parse().unwrap()
    }

    fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "it does not end");
            std::thread::yield_now();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A configuration file of one test.
struct File(PathBuf);

impl File {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("sfu-process-{}-{name}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn serve_wants_to_know_who_may_join_and_dev_does_not() {
    let refused = output(&["serve", "--http-addr", "127.0.0.1:0", "--udp-port", "0"]);
    assert!(!refused.status.success());
    assert!(text(&refused.stderr).contains("--open"), "{refused:?}");
    for command in [&["serve", "--open"][..], &["dev"], &[]] {
        let mut server = Server::start(command);
        assert_eq!(server.get("/readyz"), 200, "{command:?}");
        server.signal("TERM");
        assert!(server.wait().success(), "{command:?}");
    }
}

#[test]
fn a_signal_reloads_what_can_be_and_says_what_cannot() {
    let file = File::new("reload.toml", "[log]\nfilter = \"info\"\n");
    let server = Server::start(&["serve", "--open", "--config", file.path()]);
    std::fs::write(&file.0, "log.filter = \"info,sfu=debug\"\nmedia.workers = 1\n").unwrap();
    server.signal("HUP");
    server.logs("changed: [log.filter]");
    server.logs("media.workers cannot change while the server runs");
    std::fs::write(&file.0, "media.wrokers = 1\n").unwrap();
    server.signal("HUP");
    let line = server.logs("stays as it was");
    assert!(line.contains("media.wrokers"), "{line}");
    assert_eq!(server.get("/readyz"), 200);
}

#[test]
fn a_changed_file_is_noticed_without_a_signal() {
    let file = File::new("watched.toml", "limits.max_rooms = 5\n");
    let server = Server::start(&["serve", "--open", "--config", file.path()]);
    std::fs::write(&file.0, "limits.max_rooms = 50\n").unwrap();
    server.logs("changed: [limits.max_rooms]");
}

#[test]
fn the_log_can_be_json() {
    let server = Server::start(&["--log-format", "json"]);
    server.signal("HUP");
    let line = server.logs("was read again");
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["level"], "INFO");
    assert!(line["message"].as_str().unwrap().contains("was read again"), "{line}");
}

#[test]
fn the_log_follows_a_participant_by_its_id() {
    let server = Server::start(&["--log-format", "json"]);
    let url = format!("ws{}/ws", server.url.strip_prefix("http").unwrap());
    let mut request = url.into_client_request().unwrap();
    request.headers_mut().insert("x-request-id", "named-by-a-client".parse().unwrap());
    let (mut socket, _) = tokio_tungstenite::tungstenite::connect(request).unwrap();
    let mut ask = |text: &str| {
        socket.send(text.into()).unwrap();
        loop {
            let answer = socket.read().unwrap().into_text().unwrap();
            let answer: serde_json::Value = serde_json::from_str(&answer).unwrap_or_default();
            if answer["re"].is_u64() {
                return answer;
            }
        }
    };
    let joined = ask(r#"{"id":1,"type":"join","room":"r"}"#);
    ask(r#"{"id":2,"type":"leave"}"#);
    for what in ["joined", "left"] {
        let line = server.logs(&format!("\"message\":\"{what}\""));
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        let of = (&"r".into(), &joined["participant"]);
        assert_eq!((&line["room"], &line["participant"]), of);
        // What is logged in between has them too, of the request that it all began with.
        let span = &line["span"];
        assert_eq!(span["id"], "named-by-a-client");
        assert_eq!((&span["room"], &span["participant"]), of, "{line}");
    }
}

#[test]
fn configurations_are_checked_and_printed() {
    let right = output(&["config", "check", "--set", "limits.max_rooms=7"]);
    assert!(right.status.success(), "{right:?}");
    let wrong = output(&["config", "check", "--set", "limits.max_rooms=0"]);
    assert!(!wrong.status.success());
    assert!(text(&wrong.stderr).contains("limits.max_rooms"), "{wrong:?}");
    let printed = output(&["config", "print", "--set", "limits.max_rooms=7"]);
    assert!(text(&printed.stdout).contains("max_rooms = 7 # --set"), "{printed:?}");
    let ports = output(&["ports", "--udp-port", "3478"]);
    assert!(text(&ports.stdout).contains("3478/udp"), "{ports:?}");
}
