//! What a supervisor of systemd's kind is told.

use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

use crate::harness::{Client, PATIENCE, Server};

/// A socket as systemd has it.
struct Supervisor {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Supervisor {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("sfu-notify-{}", std::process::id()));
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, path }
    }

    /// Waits for a message with this line in it.
    fn hears(&self, line: &str) -> String {
        let mut buffer = [0; 1024];
        loop {
            let length = self.socket.recv(&mut buffer).unwrap_or_else(|e| panic!("{line}: {e}"));
            let message = String::from_utf8(buffer[..length].to_vec()).unwrap();
            if message.lines().any(|told| told == line) {
                return message;
            }
        }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

#[test]
fn a_reload_and_a_long_drain_are_told() {
    let supervisor = Supervisor::new();
    let socket = [("NOTIFY_SOCKET", supervisor.path.to_str().unwrap())];
    let mut server = Server::start_in(&["serve", "--open", "--drain-timeout", "600"], &socket);
    supervisor.hears("READY=1");
    server.signal("HUP");
    supervisor.hears("RELOADING=1");
    supervisor.hears("READY=1");

    let mut client = Client::connect(&server, "somebody");
    client.ask(r#"{"id":1,"type":"join","room":"r"}"#);
    server.signal("TERM");
    supervisor.hears("STOPPING=1");
    // Else the watchdog would end it, or what systemd calls a stop that takes too long.
    for _ in 0..2 {
        let message = supervisor.hears("WATCHDOG=1");
        assert!(message.contains("EXTEND_TIMEOUT_USEC="), "{message}");
    }
    client.ask(r#"{"id":2,"type":"leave"}"#);
    assert!(server.wait().success());
}
