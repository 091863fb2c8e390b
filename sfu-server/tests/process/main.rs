//! The binary as a process: what it prints, and what signals do.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod harness;
mod supervised;
#[cfg(feature = "otlp")]
mod traces;
mod trouble;

use harness::{Client, File, Server, output, text};

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
    let mut client = Client::connect(&server, "named-by-a-client");
    let joined = client.ask(r#"{"id":1,"type":"join","room":"r"}"#);
    client.ask(r#"{"id":2,"type":"leave"}"#);
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
    let traces = "telemetry.otlp_endpoint=http://127.0.0.1:4318";
    let traced = output(&["config", "check", "--set", traces]);
    assert_eq!(traced.status.success(), cfg!(feature = "otlp"), "{traced:?}");
    let says_how = text(&traced.stderr).contains("--features otlp");
    assert_eq!(says_how, !cfg!(feature = "otlp"), "{traced:?}");
    let printed = output(&["config", "print", "--set", "limits.max_rooms=7"]);
    assert!(text(&printed.stdout).contains("max_rooms = 7 # --set"), "{printed:?}");
    let ports = output(&["ports", "--udp-port", "3478"]);
    assert!(text(&ports.stdout).contains("3478/udp"), "{ports:?}");
}
