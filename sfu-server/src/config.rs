//! What the server can be told, on the command line or in the environment. Every value has a
//! default that makes `sfu` without arguments a ready development server.

use std::net::{IpAddr, SocketAddr};

use clap::Parser;

use crate::limits;

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

    /// What is logged, as a tracing filter: a level, or target=level pairs.
    #[arg(long, env = "SFU_LOG", value_name = "FILTER", default_value = "info")]
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

impl Default for Config {
    fn default() -> Self {
        Self {
            http_addr: SocketAddr::from(([127, 0, 0, 1], 7880)),
            udp_port: 7882,
            advertise: Vec::new(),
            log: "info".to_owned(),
            max_rooms: limits::ROOMS_MAX,
            max_participants_per_room: limits::PARTICIPANTS_PER_ROOM_MAX,
            join_rate_per_address: limits::JOINS_PER_SECOND,
            message_rate: limits::MESSAGES_PER_SECOND,
            allow_origin: Vec::new(),
        }
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
