//! A minimal SFU on the async `webrtc` crate, written as its `broadcast` and `rtcp-processing`
//! examples suggest, for a comparison: one publisher to a room, all others watch.
//!
//! The crate has no port multiplexer, so each connection has a UDP socket of its own; `--udp-port`
//! is taken and not used. The default interceptors answer and send NACKs and reports and send TWCC
//! feedback to the publisher. The publisher's task writes to every watcher's track itself, which
//! saves the broadcast channel and the task for each watcher that the example has.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use clap::Parser;
use door::{Accepted, Listen, Offer, Role, Sfu};
use webrtc::peer_connection::PeerConnection;

mod connection;
mod keyframes;
mod room;

use room::Room;

#[derive(Parser)]
#[command(about = "A minimal SFU on the webrtc crate")]
struct Args {
    #[command(flatten)]
    listen: Listen,
}

struct Front {
    address: IpAddr,
    next_id: AtomicU64,
    rooms: Mutex<HashMap<String, Arc<Room>>>,
    sessions: Mutex<HashMap<u64, Session>>,
}

struct Session {
    room: Arc<Room>,
    connection: Arc<dyn PeerConnection>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let listen = Args::parse().listen;
    let front = Front {
        address: listen.advertise,
        next_id: AtomicU64::new(1),
        rooms: Mutex::default(),
        sessions: Mutex::default(),
    };
    door::serve(listen.http_addr, Arc::new(front), door::asked_to_end()).await
}

#[async_trait::async_trait]
impl Sfu for Front {
    async fn join(&self, offer: Offer) -> anyhow::Result<Accepted> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let room = {
            let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(rooms.entry(offer.room).or_default())
        };
        let (connection, answer) = match offer.role {
            Role::Publish => connection::publish(&room, self.address, offer.sdp).await,
            Role::Watch => connection::watch(&room, id, self.address, offer.sdp).await,
        }
        .context("answering")?;
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.insert(id, Session { room, connection });
        Ok(Accepted { id, answer })
    }

    async fn leave(&self, id: u64) -> anyhow::Result<()> {
        let session = self.sessions.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        if let Some(session) = session {
            session.room.remove(id);
            session.connection.close().await?;
        }
        Ok(())
    }
}
