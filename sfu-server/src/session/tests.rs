//! The session layer with a real worker and without doors: what comes in the middle of something
//! else, where no client could be sure to be in time.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use sfu_core::command::SubscribePolicy;
use sfu_core::event::{Event, FailReason, TransportState};

use super::join::{JoinRequest, Membership};
use super::outbox::{CloseCode, Outbox, OutboxItem};
use super::participant::Door;
use super::{Grant, Sessions};
use crate::config::{Live, Settings};
use crate::ice_servers::IceServers;
use crate::media::{Media, Output};

struct Server {
    sessions: Arc<Sessions>,
    threads: Vec<JoinHandle<()>>,
}

impl Server {
    fn start() -> Self {
        let mut settings = Settings::default();
        settings.media.udp_port = 0;
        settings.media.tcp = false;
        settings.media.workers = Some(1);
        settings.media.advertise = vec!["127.0.0.1".parse().unwrap()];
        let media = Media::start(&settings.media, Arc::default()).unwrap();
        let ice_servers = IceServers::new(&settings.ice).unwrap();
        let runtime = tokio::runtime::Handle::current();
        let sessions = Sessions::new(Live::new(settings), media.handle, ice_servers, runtime);
        sessions.follow(media.outputs);
        Self { sessions, threads: media.threads }
    }

    async fn join(&self, name: &str, outbox: &Outbox) -> Membership {
        self.sessions.join(request(name, outbox)).await.unwrap()
    }

    /// Waits until the engine has so many peers.
    async fn peers(&self, wanted: u64) {
        let peers =
            || self.sessions.media().snapshots().iter().map(|w| w.engine.peers).sum::<u64>();
        let reached = async {
            while peers() != wanted {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let reached = tokio::time::timeout(Duration::from_secs(10), reached).await;
        assert!(reached.is_ok(), "{} peers, {wanted} were to be there", peers());
    }

    fn stop(self) {
        self.sessions.media().stop();
        for thread in self.threads {
            thread.join().unwrap();
        }
    }
}

fn request(name: &str, outbox: &Outbox) -> JoinRequest {
    JoinRequest {
        room: "r".to_owned(),
        name: name.to_owned(),
        metadata: String::new(),
        door: Door::WebSocket,
        grant: Grant::everything(),
        subscribe: SubscribePolicy::All,
        goes_direct: false,
        outbox: outbox.clone(),
        request: None,
        resume_key: None,
        http: None,
    }
}

/// What a WebSocket is closed with; messages before it are passed over.
async fn closed(outbox: &Outbox) -> CloseCode {
    loop {
        if let OutboxItem::Close(closing) = outbox.next().await {
            return closing.code;
        }
    }
}

/// The engine ends a peer whose packet made it panic. No packet is known that does, so the engine's
/// event is made here.
#[tokio::test]
async fn one_whose_peer_failed_inside_is_closed_with_1011_and_the_others_stay() {
    let server = Server::start();
    let (bad, good) = (Outbox::new(), Outbox::new());
    let at_bad = server.join("bad", &bad).await;
    let at_good = server.join("good", &good).await;
    // Whoever has got `joined` is bound to a peer.
    assert!(matches!(bad.next().await, OutboxItem::Frame(_)));
    let (worker, peer) = {
        let mut registry = server.sessions.registry.lock();
        let (worker, participant) = registry.participant("r", at_bad.participant).unwrap();
        (worker, participant.peer.unwrap())
    };
    let state = TransportState::Failed(FailReason::Internal);
    server.sessions.apply(worker, Output::Event(Event::Transport { peer, state }));
    assert_eq!(closed(&bad).await.number(), 1011);
    assert_eq!(server.sessions.census().websockets, 1, "the other one is still there");
    at_bad.detach();
    at_good.leave();
    server.stop();
}

#[tokio::test]
async fn a_kick_before_the_engine_has_added_a_peer_leaves_none_there() {
    let server = Server::start();
    let (other, outbox) = (Outbox::new(), Outbox::new());
    // Somebody who keeps the room: with it the engine would forget everybody.
    let stays = server.join("stays", &other).await;
    server.peers(1).await;
    let mut joining = Box::pin(server.sessions.join(request("kicked", &outbox)));
    tokio::select! {
        biased;
        _ = &mut joining => panic!("nothing can be joined without the worker's word"),
        () = std::future::ready(()) => {}
    }
    let id = {
        let mut registry = server.sessions.registry.lock();
        let room = registry.room_by_name.get_mut("r").unwrap();
        room.participants.values().find(|each| each.name == "kicked").unwrap().id
    };
    server.sessions.kick("r", id).unwrap();
    assert_eq!(closed(&outbox).await.number(), 4403);
    drop(joining.await);
    assert_eq!(server.sessions.census().websockets, 1);
    // The engine had it, or never: what counts is that it has it no more.
    let ended = server.join("next", &Outbox::new()).await;
    server.peers(2).await;
    drop(ended);
    server.peers(1).await;
    stays.leave();
    server.stop();
}
