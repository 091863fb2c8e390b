//! How the engine behaves in a world of clients and faulty links: one behaviour per file.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod common;

mod active_speakers;
mod churn;
mod codecs;
mod data_messages;
mod determinism;
mod direct;
mod duplicates;
mod encrypted;
mod estimate_apart;
mod fan_out;
mod feedback_kinds;
mod first_publisher;
mod ice_restart;
mod idle;
mod late_joiner;
mod left_behind;
mod malformed;
mod mute;
mod nack_storm;
mod nine_tiles;
mod no_common_codec;
mod outage;
mod overload;
mod padding;
mod permissions;
mod pli_storm;
mod relay;
mod republish;
mod room_of_ten;
mod round_trips;
mod scenarios;
mod sequence_jump;
mod simulcast;
mod slot_reuse;
mod slots_needed;
mod ssrc_flood;
mod stale_estimate;
mod ten_percent_loss;
mod thin_uplink;
mod unvalidated;
mod upstream_loss;
