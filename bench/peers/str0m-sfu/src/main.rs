//! A minimal SFU on str0m, written as its documentation and its `chat` example suggest, for a
//! comparison: one publisher to a room, all others watch.
//!
//! RTP mode, one thread for all media, one UDP port. Where the example asks every client at every
//! packet, this one finds the client by its address, polls only clients that have something to do,
//! and takes up to 64 datagrams before it polls the watchers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::Instant;

use anyhow::Context as _;
use clap::Parser;
use door::{Accepted, Listen, Offer, Sfu};
use str0m::change::SdpOffer;
use str0m::crypto::from_feature_flags;
use str0m::{Candidate, Rtc};

mod client;
mod media;

use client::Client;
use media::{Command, Media};

#[derive(Parser)]
#[command(about = "A minimal SFU on str0m")]
struct Args {
    #[command(flatten)]
    listen: Listen,
}

struct Front {
    listen: Listen,
    next_id: AtomicU64,
    media: Sender<Command>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let listen = Args::parse().listen;
    from_feature_flags().install_process_default();
    let (commands, received) = channel();
    let media = Media::bind(listen.media(), received)?;
    std::thread::Builder::new().name("media".to_owned()).spawn(move || media.run())?;
    let http = listen.http_addr;
    let front = Front { listen, next_id: AtomicU64::new(1), media: commands };
    door::serve(http, Arc::new(front), door::asked_to_end()).await
}

#[async_trait::async_trait]
impl Sfu for Front {
    async fn join(&self, offer: Offer) -> anyhow::Result<Accepted> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        // No bandwidth estimation, hence no pacer: the cheapest way to run str0m.
        let mut rtc = Rtc::builder()
            .set_ice_lite(true)
            .set_rtp_mode(true)
            .clear_codecs()
            .enable_opus(true, false)
            .enable_vp8(true)
            .build(Instant::now());
        let candidate = Candidate::host(self.listen.media(), "udp").context("a candidate")?;
        rtc.add_local_candidate(candidate).context("the candidate is refused")?;
        let sdp = SdpOffer::from_sdp_string(&offer.sdp).context("reading the offer")?;
        let answer = rtc.sdp_api().accept_offer(sdp).context("accepting the offer")?;
        let client = Client::new(id, offer.role, offer.room, rtc);
        self.media.send(Command::Join(Box::new(client))).ok().context("the media thread ended")?;
        Ok(Accepted { id, answer: answer.to_sdp_string() })
    }

    async fn leave(&self, id: u64) -> anyhow::Result<()> {
        self.media.send(Command::Leave(id)).ok().context("the media thread ended")
    }
}
