//! Janus, the videoroom plugin, behind WHIP and WHEP: starts the `janus` of Debian's package with a
//! configuration of its own, and speaks Janus's HTTP API so that one load generator drives all
//! SFUs alike. Only signalling passes through here; media go to Janus itself, whose process is what
//! `GET /pid` names.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, bail};
use clap::Parser;
use door::{Accepted, Listen, Offer, Role, Sfu};
use serde_json::json;
use tokio::sync::Mutex;

mod api;
mod process;
mod sdp;

use api::{Handle, Janus};
use process::Server;
use sdp::Description;

#[derive(Parser)]
#[command(about = "Janus behind WHIP and WHEP")]
struct Args {
    #[command(flatten)]
    listen: Listen,
    /// Threads that Janus shares its connections out to (`event_loops`); 0 is Janus's default, a
    /// thread for each connection.
    #[arg(long, default_value_t = 0)]
    event_loops: u32,
}

struct Front {
    janus: Janus,
    pid: u32,
    next_id: AtomicU64,
    rooms: Mutex<HashMap<String, Room>>,
    sessions: Mutex<HashMap<u64, Handle>>,
}

/// A room of the plugin.
#[derive(Clone, Copy)]
struct Room {
    number: u64,
    /// The publisher's number in the room.
    feed: Option<u64>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let mut server = Server::start(args.listen.advertise, args.event_loops).await?;
    let front = Front {
        janus: server.api.clone(),
        pid: server.pid,
        next_id: AtomicU64::new(1),
        rooms: Mutex::default(),
        sessions: Mutex::default(),
    };
    tokio::select! {
        served = door::serve(args.listen.http_addr, Arc::new(front), door::asked_to_end()) => served?,
        ended = server.ended() => bail!("Janus ended: {}", ended?),
    }
    server.stop().await
}

#[async_trait::async_trait]
impl Sfu for Front {
    async fn join(&self, offer: Offer) -> anyhow::Result<Accepted> {
        let handle = self.janus.attach("janus.plugin.videoroom").await?;
        let answer = match offer.role {
            Role::Publish => self.publish(&handle, &offer).await?,
            Role::Watch => self.watch(&handle, &offer).await?,
        };
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        self.sessions.lock().await.insert(id, handle);
        Ok(Accepted { id, answer })
    }

    async fn leave(&self, id: u64) -> anyhow::Result<()> {
        let handle = self.sessions.lock().await.remove(&id);
        match handle {
            Some(handle) => handle.destroy().await,
            None => Ok(()),
        }
    }

    fn media_pid(&self) -> u32 {
        self.pid
    }
}

impl Front {
    async fn publish(&self, handle: &Handle, offer: &Offer) -> anyhow::Result<String> {
        let number = self.room(handle, &offer.room).await?;
        let body = json!({ "request": "joinandconfigure", "ptype": "publisher", "room": number });
        let sdp = sdp::offer_to_janus(&offer.sdp);
        let event = handle.ask(body, Some(("offer", &sdp))).await?;
        let feed = event.data["id"].as_u64().context("joined without a number")?;
        if let Some(room) = self.rooms.lock().await.get_mut(&offer.room) {
            room.feed = Some(feed);
        }
        handle.no_more_candidates().await?;
        event.sdp.context("no answer from Janus")
    }

    /// The plugin makes the offer and WHEP has the watcher make it: each side is answered with what
    /// the other offered.
    async fn watch(&self, handle: &Handle, offer: &Offer) -> anyhow::Result<String> {
        let room = self.rooms.lock().await.get(&offer.room).copied();
        let room = room.context("nobody publishes there")?;
        let feed = room.feed.context("nobody publishes there yet")?;
        let body = json!({
            "request": "join", "ptype": "subscriber", "room": room.number,
            "streams": [{ "feed": feed }],
        });
        let theirs = handle.ask(body, None).await?.sdp.context("no offer from Janus")?;
        let (watcher, janus) = (Description::read(&offer.sdp), Description::read(&theirs));
        let for_janus = sdp::answer_to_janus(&janus, &watcher)?;
        let for_watcher = sdp::answer_to_watcher(&watcher, &janus)?;
        handle.ask(json!({ "request": "start" }), Some(("answer", &for_janus))).await?;
        handle.no_more_candidates().await?;
        Ok(for_watcher)
    }

    async fn room(&self, handle: &Handle, name: &str) -> anyhow::Result<u64> {
        let mut rooms = self.rooms.lock().await;
        if let Some(room) = rooms.get(name) {
            return Ok(room.number);
        }
        let number = 1 + rooms.len() as u64;
        handle
            .ask_at_once(json!({
                "request": "create", "room": number, "publishers": 1,
                "audiocodec": "opus", "videocodec": "vp8",
            }))
            .await?;
        rooms.insert(name.to_owned(), Room { number, feed: None });
        Ok(number)
    }
}
