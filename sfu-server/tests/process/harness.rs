//! The binary, started and asked.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::stream::MaybeTlsStream;
use tokio_tungstenite::tungstenite::{WebSocket, connect};

/// Longer than anything takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn sfu(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sfu"));
    command.args(arguments);
    command
}

pub(crate) fn output(arguments: &[&str]) -> Output {
    sfu(arguments).output().unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A server on free ports of loopback.
pub(crate) struct Server {
    child: Child,
    url: String,
    log: std::sync::mpsc::Receiver<String>,
}

impl Server {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_in(arguments, &[])
    }

    /// The same with these variables in its environment.
    pub(crate) fn start_in(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut server = Self::start_unheard(arguments, variables);
        let (lines, log) = std::sync::mpsc::channel();
        let stderr = BufReader::new(server.child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let _ = lines.send(line);
            }
        });
        server.log = log;
        server
    }

    /// The same with a log that nobody reads.
    pub(crate) fn start_unheard(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let ports = ["--http-addr", "127.0.0.1:0", "--udp-port", "0", "--advertise", "127.0.0.1"];
        let mut command = sfu(&[arguments, &ports].concat());
        command.envs(variables.iter().copied());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
        Self { child, url: url.trim().to_owned(), log: std::sync::mpsc::channel().1 }
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// Waits for a line of the log that has `part` in it.
    pub(crate) fn logs(&self, part: &str) -> String {
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
    pub(crate) fn get(&self, path: &str) -> u16 {
        self.ask(&format!("GET {path}"), "", "")
    }

    /// The status of a request: method and path, lines of its head, body.
    pub(crate) fn ask(&self, what: &str, head: &str, body: &str) -> u16 {
        let addr = self.url.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(addr).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let length = body.len();
        let head =
            format!("Host: {addr}\r\nConnection: close\r\nContent-Length: {length}\r\n{head}");
        write!(stream, "{what} HTTP/1.1\r\n{head}\r\n{body}").unwrap();
        let mut answer = Vec::new();
        // What comes after the answer does not matter.
        let end = stream.read_to_end(&mut answer);
        let answer = text(&answer);
        assert!(answer.starts_with("HTTP/1.1 "), "{answer:?}, then {end:?}");
        answer.split(' ').nth(1).unwrap().parse().unwrap()
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
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
pub(crate) struct File(pub(crate) PathBuf);

impl File {
    pub(crate) fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("sfu-process-{}-{name}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A WebSocket, which nobody waits for but the test.
pub(crate) struct Client(WebSocket<MaybeTlsStream<TcpStream>>);

impl Client {
    /// Opens one, with this name for its request.
    pub(crate) fn connect(server: &Server, name: &str) -> Self {
        let url = format!("ws{}/ws", server.url.strip_prefix("http").unwrap());
        let mut request = url.into_client_request().unwrap();
        request.headers_mut().insert("x-request-id", name.parse().unwrap());
        Self(connect(request).unwrap().0)
    }

    /// Sends a request and returns its reply.
    pub(crate) fn ask(&mut self, text: &str) -> serde_json::Value {
        self.0.send(text.into()).unwrap();
        loop {
            let answer = self.0.read().unwrap().into_text().unwrap();
            let answer: serde_json::Value = serde_json::from_str(&answer).unwrap_or_default();
            if answer["re"].is_u64() {
                return answer;
            }
        }
    }
}
