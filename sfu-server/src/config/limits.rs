//! `[limits]`

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Faults;
use crate::limits;

/// How much of everything there may be.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitSettings {
    /// Rooms at a time.
    #[schemars(extend("x-reload" = true))]
    pub max_rooms: usize,

    /// Participants of one room at a time, WHEP viewers included.
    #[schemars(extend("x-reload" = true))]
    pub max_participants_per_room: usize,

    /// Joins per second and address (IPv6: per /64), in bursts of twice as many. Loopback is
    /// exempt. 0 lifts the limit.
    #[schemars(extend("x-reload" = true))]
    pub join_rate_per_address: u32,

    /// When the server is full, in per cent: joins are refused with 503 after every worker has been
    /// busy for this share of each of five seconds, and until one is 10 % below it. Who is in a call
    /// stays. 0: always full.
    #[schemars(extend("x-reload" = true))]
    pub max_load: u8,

    /// When a worker forwards fewer layers of its videos, in per cent: after it has been busy for this
    /// share of each of eight seconds it goes down a step, to half of what the best layers take, then
    /// to a quarter and so on, but never below the lowest layer of each. Steps are given back one by
    /// one when its load has been below 60 % of this for ten seconds, or longer where that was too
    /// early. Sound is never touched. 0: never.
    #[schemars(extend("x-reload" = true))]
    pub shed_load: u8,

    /// Requests per second on one WebSocket, in bursts of twice as many. Holds for WebSockets
    /// opened after a change.
    #[schemars(extend("x-reload" = true))]
    pub message_rate: u32,
}

impl Default for LimitSettings {
    fn default() -> Self {
        Self {
            max_rooms: limits::ROOMS_MAX,
            max_participants_per_room: limits::PARTICIPANTS_PER_ROOM_MAX,
            join_rate_per_address: limits::JOINS_PER_SECOND,
            max_load: limits::LOAD_MAX,
            shed_load: limits::SHED_LOAD,
            message_rate: limits::MESSAGES_PER_SECOND,
        }
    }
}

impl LimitSettings {
    pub(super) fn validate(&self, faults: &mut Faults) {
        let at_least_one = "must be at least 1";
        faults.require(self.max_rooms > 0, "limits.max_rooms", at_least_one);
        let participants = self.max_participants_per_room;
        faults.require(participants > 0, "limits.max_participants_per_room", at_least_one);
        let message = "must be 0 to 100: it is in per cent";
        faults.require(self.max_load <= 100, "limits.max_load", message);
        faults.require(self.shed_load <= 100, "limits.shed_load", message);
        faults.require(self.message_rate > 0, "limits.message_rate", at_least_one);
    }
}
