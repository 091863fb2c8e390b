//! The doors from outside: a server in this process on free ports, real HTTP and WebSocket
//! clients, no media.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod api;
mod conformance;
mod direct;
mod encoders;
mod events;
mod harness;
mod hosts;
mod http;
mod join_kick;
mod metrics;
mod quality;
mod resume;
mod rooms;
mod shutdown;
mod slow;
mod spanning;
mod statuses;
mod tls;
mod tokens;
mod webhooks;
mod websocket;
mod websocket_limits;
mod whip;
mod whip_more;
