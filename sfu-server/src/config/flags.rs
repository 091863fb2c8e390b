//! Settings on the command line. The frequent ones have a flag, and a short variable of its name;
//! `--set` reaches all of them.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use toml::Value;

use super::environment::{self, Variables};
use super::load::{Given, Source};
use super::log::LogFormat;
use super::media::PlacementPolicy;
use super::schema::Node;
use super::{Advertised, Faults};

/// Flags of every command that reads the configuration.
#[derive(Args, Clone, Debug, Default)]
pub struct Flags {
    /// The configuration file (TOML).
    #[arg(long, env = "SFU_CONFIG_FILE", value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Any setting, as in the configuration file: `--set media.udp_port=3478`. May be repeated.
    #[arg(long, value_name = "SETTING=VALUE")]
    pub set: Vec<String>,

    /// Where HTTP and WebSocket listen. Port 0 takes any free one; the line printed at start says
    /// which. [default: 127.0.0.1:7880]
    #[arg(long, env = "SFU_HTTP_ADDR", value_name = "ADDR:PORT")]
    pub http_addr: Option<SocketAddr>,

    /// The one UDP port of all media. 0 takes any free one. [default: 7882]
    #[arg(long, env = "SFU_UDP_PORT", value_name = "PORT")]
    pub udp_port: Option<u16>,

    /// The one TCP port of all media. 0 takes any free one. [default: the number of the UDP port]
    #[arg(long, env = "SFU_TCP_PORT", value_name = "PORT")]
    pub tcp_port: Option<u16>,

    /// An address clients can reach this server at, put into answers as an ICE candidate; behind a
    /// NAT that maps one to one PUBLIC/PRIVATE. May be repeated (in the environment: separated by
    /// commas). Without it: every address of this machine that is not link-local.
    #[arg(long, env = "SFU_ADVERTISE", value_name = "IP[/IP]", value_delimiter = ',')]
    pub advertise: Vec<Advertised>,

    /// Media workers. [default: one for each core]
    #[arg(long, env = "SFU_WORKERS", value_name = "N")]
    pub workers: Option<u8>,

    /// Which worker a participant goes to. [default: balance]
    #[arg(long, env = "SFU_PLACEMENT", value_name = "POLICY")]
    pub placement: Option<PlacementPolicy>,

    /// What is logged, as a tracing filter: a level, or target=level pairs.
    #[arg(long, env = "SFU_LOG", value_name = "FILTER")]
    pub log: Option<String>,

    /// How a line of the log looks. [default: text]
    #[arg(long, env = "SFU_LOG_FORMAT", value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,

    /// Rooms at a time.
    #[arg(long, env = "SFU_MAX_ROOMS", value_name = "N")]
    pub max_rooms: Option<u32>,

    /// Participants of one room at a time, WHEP viewers included.
    #[arg(long, env = "SFU_MAX_PARTICIPANTS_PER_ROOM", value_name = "N")]
    pub max_participants_per_room: Option<u32>,

    /// Joins per second and address. 0 lifts the limit. [default: 10]
    #[arg(long, env = "SFU_JOIN_RATE_PER_ADDRESS", value_name = "PER_SECOND")]
    pub join_rate_per_address: Option<u32>,

    /// Requests per second on one WebSocket. [default: 50]
    #[arg(long, env = "SFU_MESSAGE_RATE", value_name = "PER_SECOND")]
    pub message_rate: Option<u32>,

    /// A web origin whose pages may open WebSockets and use the API here, beside this server's own
    /// and loopback ones (`https://example.org`). May be repeated (in the environment: separated by
    /// commas).
    #[arg(long, env = "SFU_ALLOW_ORIGIN", value_name = "ORIGIN", value_delimiter = ',')]
    pub allow_origin: Vec<String>,

    /// How long participants may stay after SIGTERM, in seconds. [default: 60; of `dev`: 0]
    #[arg(long, env = "SFU_DRAIN_TIMEOUT", value_name = "SECONDS")]
    pub drain_timeout: Option<u32>,
}

impl Flags {
    /// The configuration file, if there is to be one.
    pub(super) fn config_file(&self, variables: &Variables) -> Option<PathBuf> {
        self.config.clone().or_else(|| variables.get("SFU_CONFIG_FILE").map(PathBuf::from))
    }

    /// All that is given on the command line, or in the variables of its flags. `--set` wins.
    pub(super) fn given(&self, root: &Node, faults: &mut Faults) -> Vec<Given> {
        let named = self.named().into_iter().filter_map(|(flag, setting, value)| {
            let path = setting.split('.').map(str::to_owned).collect();
            let source = Source::Flag(format!("--{flag} or {}", variable(flag)));
            Some(Given { path, value: value?, source })
        });
        let mut all: Vec<Given> = named.collect();
        for set in &self.set {
            let source = Source::Flag("--set".to_owned());
            let Some((path, text)) = set.split_once('=') else {
                faults.add("", format!("--set {set}: is to be SETTING=VALUE"));
                continue;
            };
            let path = path.trim().split('.').map(str::to_owned).collect();
            match environment::parse(root, path, text, source) {
                Ok(given) => all.push(given),
                Err(message) => faults.add("", format!("--set {set}: {message}")),
            }
        }
        all
    }

    /// Flag, setting, and what was given.
    fn named(&self) -> [(&'static str, &'static str, Option<Value>); 14] {
        [
            ("http-addr", "http.addr", one(&self.http_addr)),
            ("udp-port", "media.udp_port", one(&self.udp_port)),
            ("tcp-port", "media.tcp_port", one(&self.tcp_port)),
            ("advertise", "media.advertise", many(&self.advertise)),
            ("workers", "media.workers", one(&self.workers)),
            ("placement", "media.placement", one(&self.placement)),
            ("log", "log.filter", one(&self.log)),
            ("log-format", "log.format", one(&self.log_format)),
            ("max-rooms", "limits.max_rooms", one(&self.max_rooms)),
            (
                "max-participants-per-room",
                "limits.max_participants_per_room",
                one(&self.max_participants_per_room),
            ),
            (
                "join-rate-per-address",
                "limits.join_rate_per_address",
                one(&self.join_rate_per_address),
            ),
            ("message-rate", "limits.message_rate", one(&self.message_rate)),
            ("allow-origin", "http.allow_origin", many(&self.allow_origin)),
            ("drain-timeout", "drain.timeout_seconds", one(&self.drain_timeout)),
        ]
    }

    /// Which flag each setting has that has one.
    pub(super) fn by_setting() -> Vec<(&'static str, &'static str)> {
        let flags = Self::default();
        flags.named().into_iter().map(|(flag, setting, _)| (setting, flag)).collect()
    }
}

/// The variable that stands for a flag.
pub(super) fn variable(flag: &str) -> String {
    format!("SFU_{}", flag.replace('-', "_").to_uppercase())
}

fn one<T: Serialize>(given: &Option<T>) -> Option<Value> {
    given.as_ref().map(|value| Value::try_from(value).expect("flags are numbers and words"))
}

fn many<T: Serialize>(given: &[T]) -> Option<Value> {
    let values = || Value::try_from(given).expect("flags are numbers and words");
    (!given.is_empty()).then(values)
}
