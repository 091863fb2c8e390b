//! `[media]`

use clap::ValueEnum;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Advertised, Faults};
use crate::limits;

/// The ports of media, and the threads that forward.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct MediaSettings {
    /// The one UDP port of all media. 0 takes any free one.
    pub udp_port: u16,

    /// Whether media may come over TCP as well (ICE-TCP, RFC 6544), for networks without UDP.
    pub tcp: bool,

    /// The one TCP port of all media. 0 takes any free one. Without it: the number of the UDP port.
    pub tcp_port: Option<u16>,

    /// Whether HTTP and HTTPS are served at the TCP port too: the first bytes tell them from media. So
    /// port 443 can carry everything.
    pub tcp_http: bool,

    /// Addresses clients can reach this server at, put into answers as ICE candidates. Behind a NAT
    /// that maps one to one: `PUBLIC/PRIVATE`. Without any: every address of this machine that is not
    /// link-local.
    #[schemars(with = "Vec<String>")]
    pub advertise: Vec<Advertised>,

    /// Media workers: threads that forward, each with peers of its own; all share the UDP port.
    /// Without it: one for each core.
    pub workers: Option<u8>,

    /// Which worker a participant goes to.
    pub placement: PlacementPolicy,

    /// Whether the network of participants may be made bad through the API, with loss, delay, a rate
    /// or a cut. `sfu dev` sets it. For development: whoever may moderate a room may do it there, and
    /// everybody to themselves.
    pub impairments: bool,
}

/// Which worker a participant goes to.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum PlacementPolicy {
    /// A room stays on one worker until that is busy and another one is not.
    Balance,
    /// Every participant goes to the next worker, so that any room of two is on two: for tests, and
    /// for one large room.
    Spread,
}

impl Default for MediaSettings {
    fn default() -> Self {
        Self {
            udp_port: 7882,
            tcp: true,
            tcp_port: None,
            tcp_http: false,
            advertise: Vec::new(),
            workers: None,
            placement: PlacementPolicy::Balance,
            impairments: false,
        }
    }
}

impl MediaSettings {
    pub(super) fn validate(&self, faults: &mut Faults) {
        let in_range = self.workers.is_none_or(|n| (1..=limits::WORKERS_MAX).contains(&n));
        let message = format!("must be 1 to {}", limits::WORKERS_MAX);
        faults.require(in_range, "media.workers", message);
    }

    /// How many media workers there are to be.
    pub(crate) fn worker_count(&self) -> u8 {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let by_cores = || u8::try_from(cores()).unwrap_or(u8::MAX).min(limits::WORKERS_MAX);
        self.workers.unwrap_or_else(by_cores)
    }
}
