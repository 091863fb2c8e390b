//! What the server can be told, on the command line or in the environment. Every value has a
//! default that makes `sfu` without arguments a ready development server.

use std::net::{IpAddr, SocketAddr};

use clap::{Parser, ValueEnum};

use crate::limits;

/// Logged unless configured: what the server does, not how actix starts its threads.
const DEFAULT_LOG: &str = "info,actix_server=warn";

/// A WebRTC SFU: one UDP port for media; WebSocket, WHIP, WHEP and REST for everything else.
///
/// Without arguments it is a development server: the page at http://127.0.0.1:7880/, media on UDP
/// port 7882, reachable at every address of this machine.
#[derive(Clone, Debug, Parser)]
#[command(name = "sfu", version)]
pub struct Config {
    /// Where HTTP and WebSocket listen. Port 0 takes any free one; the line printed at start says
    /// which.
    #[arg(long, env = "SFU_HTTP_ADDR", value_name = "ADDR:PORT", default_value = "127.0.0.1:7880")]
    pub http_addr: SocketAddr,

    /// The one UDP port of all media. 0 takes any free one.
    #[arg(long, env = "SFU_UDP_PORT", value_name = "PORT", default_value_t = 7882)]
    pub udp_port: u16,

    /// An address clients can reach this server at, put into answers as an ICE candidate. May be
    /// repeated (in the environment: separated by commas). Without it: every address of this
    /// machine that is not link-local.
    #[arg(long, env = "SFU_ADVERTISE", value_name = "IP", value_delimiter = ',')]
    pub advertise: Vec<IpAddr>,

    /// A STUN or TURN server that clients are told of, such as `turn:turn.example.org?transport=udp`.
    /// May be repeated (in the environment: separated by commas).
    #[arg(long, env = "SFU_ICE_SERVER", value_name = "URL", value_delimiter = ',')]
    pub ice_server: Vec<String>,

    /// The secret shared with the TURN servers (coturn: `use-auth-secret`).
    #[arg(long, env = "SFU_TURN_SECRET", value_name = "SECRET", hide_env_values = true)]
    pub turn_secret: Option<String>,

    /// How long credentials for TURN servers are valid, in seconds.
    #[arg(long, env = "SFU_TURN_TTL", value_name = "SECONDS", default_value_t = limits::TURN_TTL)]
    pub turn_ttl: u64,

    /// Media workers: threads that forward, each with peers of its own; all share the UDP port.
    /// Without it: one for each core.
    #[arg(long, env = "SFU_WORKERS", value_name = "N",
          value_parser = clap::value_parser!(u8).range(1..=i64::from(limits::WORKERS_MAX)))]
    pub workers: Option<u8>,

    /// Which worker a participant goes to.
    #[arg(long, env = "SFU_PLACEMENT", value_name = "POLICY", default_value = "balance")]
    pub placement: PlacementPolicy,

    /// What is logged, as a tracing filter: a level, or target=level pairs.
    #[arg(long, env = "SFU_LOG", value_name = "FILTER", default_value = DEFAULT_LOG)]
    pub log: String,

    /// Rooms at a time.
    #[arg(long, env = "SFU_MAX_ROOMS", value_name = "N", default_value_t = limits::ROOMS_MAX,
          value_parser = positive)]
    pub max_rooms: usize,

    /// Participants of one room at a time, WHEP viewers included.
    #[arg(long, env = "SFU_MAX_PARTICIPANTS_PER_ROOM", value_name = "N",
          default_value_t = limits::PARTICIPANTS_PER_ROOM_MAX, value_parser = positive)]
    pub max_participants_per_room: usize,

    /// Joins per second and address (IPv6: per /64), in bursts of twice as many. Loopback is
    /// exempt. 0 lifts the limit.
    #[arg(long, env = "SFU_JOIN_RATE_PER_ADDRESS", value_name = "PER_SECOND",
          default_value_t = limits::JOINS_PER_SECOND)]
    pub join_rate_per_address: u32,

    /// Requests per second on one WebSocket, in bursts of twice as many.
    #[arg(long, env = "SFU_MESSAGE_RATE", value_name = "PER_SECOND",
          default_value_t = limits::MESSAGES_PER_SECOND,
          value_parser = clap::value_parser!(u32).range(1..))]
    pub message_rate: u32,

    /// A web origin whose pages may open WebSockets here, beside this server's own and loopback
    /// ones (`https://example.org`). May be repeated (in the environment: separated by commas).
    #[arg(long, env = "SFU_ALLOW_ORIGIN", value_name = "ORIGIN", value_delimiter = ',')]
    pub allow_origin: Vec<String>,
}

/// Which worker a participant goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PlacementPolicy {
    /// A room stays on one worker until that is busy and another one is not.
    Balance,
    /// Every participant goes to the next worker, so that any room of two is on two: for tests, and
    /// for one large room.
    Spread,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            http_addr: SocketAddr::from(([127, 0, 0, 1], 7880)),
            udp_port: 7882,
            advertise: Vec::new(),
            ice_server: Vec::new(),
            turn_secret: None,
            turn_ttl: limits::TURN_TTL,
            workers: None,
            placement: PlacementPolicy::Balance,
            log: DEFAULT_LOG.to_owned(),
            max_rooms: limits::ROOMS_MAX,
            max_participants_per_room: limits::PARTICIPANTS_PER_ROOM_MAX,
            join_rate_per_address: limits::JOINS_PER_SECOND,
            message_rate: limits::MESSAGES_PER_SECOND,
            allow_origin: Vec::new(),
        }
    }
}

impl Config {
    /// How many media workers there are to be.
    pub(crate) fn workers(&self) -> u8 {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let by_cores = || u8::try_from(cores()).unwrap_or(u8::MAX).min(limits::WORKERS_MAX);
        self.workers.unwrap_or_else(by_cores)
    }
}

/// A number of things that may not be zero.
fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("must be at least 1".to_owned()),
        Ok(n) => Ok(n),
        Err(e) => Err(format!("{e}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    fn parse(arguments: &[&str]) -> Result<Config, clap::Error> {
        Config::try_parse_from(std::iter::once("sfu").chain(arguments.iter().copied()))
    }

    #[test]
    fn the_command_line_is_consistent() {
        Config::command().debug_assert();
    }

    #[test]
    fn without_arguments_it_is_the_documented_default() {
        let config = parse(&[]).unwrap();
        assert_eq!(format!("{config:?}"), format!("{:?}", Config::default()));
        assert_eq!(config.http_addr.to_string(), "127.0.0.1:7880");
        assert_eq!(config.udp_port, 7882);
    }

    #[test]
    fn addresses_and_origins_repeat_or_are_separated_by_commas() {
        let config = parse(&[
            "--advertise",
            "192.0.2.1",
            "--advertise",
            "2001:db8::1,192.0.2.2",
            "--allow-origin",
            "https://a.test,https://b.test",
        ])
        .unwrap();
        let ips: Vec<String> = config.advertise.iter().map(ToString::to_string).collect();
        assert_eq!(ips, ["192.0.2.1", "2001:db8::1", "192.0.2.2"]);
        assert_eq!(config.allow_origin, ["https://a.test", "https://b.test"]);
    }

    #[test]
    fn nonsense_is_refused() {
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
            ["--no-such-option", "1"],
        ] {
            assert!(parse(&arguments).is_err(), "{arguments:?}");
        }
    }

    #[test]
    fn every_option_has_an_environment_variable_of_its_name() {
        let command = Config::command();
        for argument in command.get_arguments() {
            let long = argument.get_long().unwrap();
            if !["help", "version"].contains(&long) {
                let variable = format!("SFU_{}", long.replace('-', "_").to_uppercase());
                assert_eq!(argument.get_env().unwrap().to_str(), Some(&*variable));
            }
        }
    }
}
