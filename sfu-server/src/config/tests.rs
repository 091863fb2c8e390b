//! Where settings come from, what wins, and what is refused.

use std::path::Path;

use clap::Parser;

use super::environment::Variables;
use super::*;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    flags: Flags,
}

fn load_with(variables: &[(&str, &str)], arguments: &[&str]) -> Result<Loaded, String> {
    let arguments = std::iter::once("sfu").chain(arguments.iter().copied());
    let flags = Cli::try_parse_from(arguments).map_err(|e| e.to_string())?.flags;
    let variables = variables.iter().map(|(name, value)| (name.to_string(), value.to_string()));
    load(&flags, &variables.collect::<Variables>()).map_err(|faults| faults.to_string())
}

fn load_text(text: &str) -> Result<Loaded, String> {
    load_with(&[("SFU_CONFIG", text)], &[])
}

/// A file of this test's own, gone at its end.
struct Scratch(std::path::PathBuf);

impl Scratch {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("sfu-{}-{name}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn without_anything_it_is_the_default() {
    let loaded = load_with(&[], &[]).unwrap();
    assert_eq!(format!("{:?}", loaded.settings), format!("{:?}", Settings::default()));
    assert!(loaded.sources.is_empty());
    assert_eq!(loaded.settings.http.addr.to_string(), "127.0.0.1:7880");
    assert_eq!(loaded.settings.media.udp_port, 7882);
    assert!(Settings::default().validate().is_empty());
}

#[test]
fn the_later_source_wins() {
    let file = Scratch::new("precedence.toml", "[media]\nudp_port = 1\nworkers = 1\n");
    type Step<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str], u16, &'a str);
    let steps: [Step<'_>; 6] = [
        (&[], &[], 1, "precedence.toml"),
        (&[("SFU_CONFIG", "media.udp_port = 2")], &[], 2, "environment SFU_CONFIG"),
        (&[("SFU__MEDIA__UDP_PORT", "3")], &[], 3, "environment SFU__MEDIA__UDP_PORT"),
        (&[("SFU__MEDIA__UDP_PORT", "3")], &["--udp-port", "4"], 4, "--udp-port"),
        (&[], &["--set", "media.udp_port=5", "--udp-port", "4"], 5, "--set"),
        (&[("SFU_CONFIG", "media.udp_port = 2"), ("SFU__MEDIA__UDP_PORT", "3")], &[], 3, "SFU__"),
    ];
    for (variables, arguments, want, source) in steps {
        let arguments = [&["--config", file.path()], arguments].concat();
        let loaded = load_with(variables, &arguments).unwrap();
        assert_eq!(loaded.settings.media.udp_port, want, "{variables:?} {arguments:?}");
        assert_eq!(loaded.settings.media.workers, Some(1), "what is not given again stays");
        let found = loaded.sources["media.udp_port"].to_string();
        assert!(found.contains(source), "{found}");
    }
}

#[test]
fn unknown_names_are_errors_that_say_which_is_meant() {
    for (text, path, hint) in [
        ("[media]\nudp_prot = 1", "media.udp_prot", "did you mean `udp_port`?"),
        ("[medai]\nudp_port = 1", "medai", "did you mean `media`?"),
        ("limits.max_room = 1", "limits.max_room", "did you mean `max_rooms`?"),
        ("qqq = 1", "qqq", "here are: auth, drain, http"),
    ] {
        let error = load_text(text).unwrap_err();
        assert!(error.starts_with(&format!("{path} (from environment SFU_CONFIG)")), "{error}");
        assert!(error.contains(hint), "{error}");
    }
    let error = load_with(&[("SFU__MEDIA__UDP_PROT", "1")], &[]).unwrap_err();
    assert!(error.contains("SFU__MEDIA__UDP_PROT") && error.contains("`udp_port`"), "{error}");
    let error = load_with(&[], &["--set", "media.udp_prot=1"]).unwrap_err();
    assert!(error.contains("did you mean `udp_port`?"), "{error}");
}

#[test]
fn all_faults_are_told_at_once_with_their_sources() {
    let text = "[media]\nworkers = 0\nudp_prot = 5\n[limits]\nmax_rooms = 0\n";
    let error = load_with(&[("SFU_CONFIG", text)], &["--message-rate", "0"]).unwrap_err();
    let lines: Vec<&str> = error.lines().collect();
    assert_eq!(lines.len(), 4, "{error}");
    for part in [
        "media.udp_prot (from environment SFU_CONFIG)",
        "media.workers (from environment SFU_CONFIG): must be 1 to",
        "limits.max_rooms (from environment SFU_CONFIG): must be at least 1",
        "limits.message_rate (from --message-rate or SFU_MESSAGE_RATE): must be at least 1",
    ] {
        assert!(lines.iter().any(|line| line.starts_with(part)), "{part}: {error}");
    }
}

#[test]
fn values_of_the_wrong_type_are_refused_with_their_place() {
    for (text, path) in [
        ("media.udp_port = 65536", "media.udp_port"),
        ("media.udp_port = \"x\"", "media.udp_port"),
        ("media.advertise = [\"192.0.2.1\", \"example.org\"]", "media.advertise[1]"),
        ("media = 1", "media"),
        ("http.addr = \"localhost\"", "http.addr"),
        ("media.placement = \"elsewhere\"", "media.placement"),
        ("log.filter = \"sfu=loud\"", "log.filter"),
        ("http.allow_origin = [\"good.test\"]", "http.allow_origin"),
        ("drain.timeout_seconds = 86401", "drain.timeout_seconds"),
    ] {
        let error = load_text(text).unwrap_err();
        assert!(error.starts_with(&format!("{path} (from environment SFU_CONFIG): ")), "{error}");
    }
    let error = load_text("media = ").unwrap_err();
    assert!(error.starts_with("environment SFU_CONFIG: is no TOML"), "{error}");
}

#[test]
fn variables_are_read_as_their_setting_is() {
    let loaded = load_with(
        &[
            ("SFU__MEDIA__UDP_PORT", " 9 "),
            ("SFU__MEDIA__ADVERTISE", "192.0.2.1, 2001:db8::1"),
            ("SFU__HTTP__ALLOW_ORIGIN", "[\"https://a.test\"]"),
            ("SFU__AUTH__OPEN", "true"),
            ("SFU__LOG__FILTER", "debug,actix=warn"),
            ("SFU_TEST_PATIENCE", "3"),
            ("OTHER__MEDIA", "3"),
        ],
        &[],
    );
    let settings = loaded.unwrap().settings;
    assert_eq!(settings.media.udp_port, 9);
    assert_eq!(settings.media.advertise.len(), 2);
    assert_eq!(settings.http.allow_origin, ["https://a.test"]);
    assert!(settings.auth.open);
    assert_eq!(settings.log.filter, "debug,actix=warn");
    for (name, value) in [
        ("SFU__MEDIA__UDP_PORT", "many"),
        ("SFU__AUTH__OPEN", "yes"),
        ("SFU__MEDIA", "udp_port = 1"),
        ("SFU__HTTP__ALLOW_ORIGIN", "[1"),
    ] {
        let error = load_with(&[(name, value)], &[]).unwrap_err();
        assert!(error.contains(name), "{error}");
    }
}

#[test]
fn addresses_and_origins_repeat_or_are_separated_by_commas() {
    let loaded = load_with(
        &[],
        &[
            "--advertise",
            "192.0.2.1",
            "--advertise",
            "2001:db8::1,192.0.2.2",
            "--allow-origin",
            "https://a.test,https://b.test",
        ],
    );
    let settings = loaded.unwrap().settings;
    let ips: Vec<String> = settings.media.advertise.iter().map(ToString::to_string).collect();
    assert_eq!(ips, ["192.0.2.1", "2001:db8::1", "192.0.2.2"]);
    assert_eq!(settings.http.allow_origin, ["https://a.test", "https://b.test"]);
}

#[test]
fn nonsense_on_the_command_line_is_refused() {
    for arguments in [
        ["--http-addr", "localhost"],
        ["--udp-port", "65536"],
        ["--advertise", "example.org"],
        ["--workers", "0"],
        ["--workers", "65"],
        ["--placement", "elsewhere"],
        ["--max-rooms", "0"],
        ["--max-participants-per-room", "-1"],
        ["--message-rate", "0"],
        ["--set", "media.udp_port"],
        ["--config", "/nonexistent/sfu.toml"],
        ["--no-such-option", "1"],
    ] {
        assert!(load_with(&[], &arguments).is_err(), "{arguments:?}");
    }
}

#[test]
fn what_is_printed_is_a_configuration_that_says_the_same() {
    let flags = ["--udp-port", "9", "--advertise", "192.0.2.1", "--log-format", "json"];
    let loaded = load_with(&[("SFU__LIMITS__MAX_ROOMS", "5")], &flags).unwrap();
    let text = print(&loaded);
    assert!(text.contains("udp_port = 9 # --udp-port or SFU_UDP_PORT\n"), "{text}");
    assert!(text.contains("max_rooms = 5 # environment SFU__LIMITS__MAX_ROOMS\n"), "{text}");
    assert!(text.contains("addr = \"127.0.0.1:7880\" # default\n"), "{text}");
    let again = load_text(&text).unwrap();
    assert_eq!(format!("{:?}", again.settings), format!("{:?}", loaded.settings));
}

#[test]
fn a_reload_changes_what_may_change_and_says_what_waits() {
    let live = Live::new(Settings::default());
    let mut new = Settings::default();
    new.limits.max_rooms = 3;
    new.media.udp_port = 1;
    new.http.allow_origin = vec!["https://a.test".to_owned()];
    for _ in 0..2 {
        let outcome = live.replace(&new);
        assert_eq!(outcome.waiting, ["media.udp_port"], "until the next start");
        let settings = live.now();
        assert_eq!((settings.limits.max_rooms, settings.media.udp_port), (3, 7882));
        assert_eq!(settings.http.allow_origin, ["https://a.test"]);
    }
    assert_eq!(
        live.replace(&Settings::default()).changed,
        ["http.allow_origin", "limits.max_rooms"]
    );
    assert_eq!(live.replace(&Settings::default()), Reloaded::default());
}

#[test]
fn secrets_are_never_shown() {
    let secret = Secret::new("hunter2");
    assert!(!format!("{secret:?}").contains("hunter2"));
    assert!(!serde_json::to_string(&secret).unwrap().contains("hunter2"));
    let shown = super::secret::unmasked(|| serde_json::to_string(&secret).unwrap());
    assert!(shown.contains("hunter2"), "else a changed secret would be no change");
    assert!(!serde_json::to_string(&secret).unwrap().contains("hunter2"), "and masked again");
}

#[test]
fn every_flag_has_a_variable_of_its_name_and_a_setting() {
    use clap::CommandFactory as _;
    Cli::command().debug_assert();
    let by_setting = Flags::by_setting();
    for argument in Cli::command().get_arguments() {
        let long = argument.get_long().unwrap();
        if ["help", "config", "set"].contains(&long) {
            continue;
        }
        assert_eq!(argument.get_env().unwrap().to_str().unwrap(), flags::variable(long));
        assert!(by_setting.iter().any(|(_, flag)| *flag == long), "--{long} sets nothing");
    }
    for (setting, flag) in by_setting {
        let node = setting.split('.').try_fold(schema::Node::root(), |node, name| node.child(name));
        assert!(node.is_some(), "--{flag} sets {setting}, which does not exist");
    }
}

/// `SFU_BLESS=1` writes the page instead.
#[test]
fn the_configuration_reference_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    if std::env::var_os("SFU_BLESS").is_some() {
        std::fs::write(&path, reference()).unwrap();
    }
    let page = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(page, reference(), "docs/configuration.md is stale: see the comment at its top");
}
