//! [`Rig`]: a target with its publisher and its subscribers, ready for rounds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use clap::Args;
use hdrhistogram::Histogram;
use serde::Serialize;

use super::drain::{Drain, Member, Stamps};
use super::join::{join_floor, join_server, socket};
use super::publisher::{Publisher, publish};
use super::{LOAD_CORE, TARGET_CORE, Target};
use crate::floor::Kind;
use crate::lean::{Feedback, FeedbackPlan, Identity, Media, Role, Stream};
use crate::run::{Metrics, ServerArgs, duration};
use crate::sys::cores;

/// After so long without another packet, what is missing is lost.
const LOST: Duration = Duration::from_millis(200);
/// Longest wait for what is still under way when the publishers have stopped.
const SETTLE_MAX: Duration = Duration::from_secs(3);

/// What is published, to how many, and how they answer.
#[derive(Clone, Debug, Args, Serialize)]
pub(crate) struct Setup {
    /// Subscribers of the one publisher.
    #[arg(long, default_value_t = 100)]
    pub(crate) subscribers: usize,
    /// Rooms that the subscribers are spread over, each with a publisher of its own.
    #[arg(long, default_value_t = 1)]
    pub(crate) rooms: usize,
    /// Bytes of an RTP payload.
    #[arg(long, default_value_t = 1200, value_parser = clap::value_parser!(u32).range(6..1400))]
    pub(crate) payload: u32,
    /// Packets of a frame, sent at once.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=400))]
    pub(crate) burst: u32,
    /// Packets published a second in each room.
    #[arg(long, default_value_t = 400)]
    pub(crate) packets_per_second: u32,
    /// What is published.
    #[arg(long, value_enum, default_value_t = Media::Video)]
    pub(crate) media: Media,
    /// Subscribers send no transport-wide feedback: the server does not estimate, nor pace.
    #[arg(long)]
    pub(crate) no_transport_cc: bool,
    /// Subscribers ask for one packet in so many again.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) nack_one_in: Option<u16>,
    /// Rounds that count; one more goes first and does not.
    #[arg(long, default_value_t = 6)]
    pub(crate) rounds: usize,
    /// Length of a round that counts.
    #[arg(long, value_parser = duration, default_value = "1.5s")]
    pub(crate) round: Duration,
    /// Let every process run on any processor.
    #[arg(long)]
    pub(crate) no_pin: bool,
}

impl Setup {
    /// What the publisher sends.
    pub(crate) fn stream(&self) -> Stream {
        let frames = (self.frames_per_second().round() as u32).max(1);
        let clock = match self.media {
            Media::Video => 90_000,
            Media::Audio => 48_000,
        };
        Stream {
            media: self.media,
            payload_bytes: self.payload as usize,
            frame_packets: self.burst,
            // Twice a second, so that whoever waits for one does not wait long.
            keyframe_interval: (frames / 2).max(1),
            timestamp_step: (clock / frames).max(1),
        }
    }

    pub(crate) fn frames_per_second(&self) -> f64 {
        f64::from(self.packets_per_second) / f64::from(self.burst)
    }

    fn feedback(&self) -> FeedbackPlan {
        FeedbackPlan {
            transport_cc: !self.no_transport_cc,
            reports: true,
            nack_one_in: self.nack_one_in,
        }
    }

    fn core(&self, core: usize) -> Option<usize> {
        (!self.no_pin && cores() > core.max(TARGET_CORE)).then_some(core)
    }
}

/// What one round cost and gave.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Round {
    /// Packets published.
    pub(crate) published: u64,
    /// Packets that should have reached subscribers.
    pub(crate) expected: u64,
    /// Those that did.
    pub(crate) delivered: u64,
    /// CPU time of the target's process, in seconds.
    pub(crate) cpu_s: f64,
    /// Of it in user mode; by ticks.
    pub(crate) user_s: f64,
    /// Of it in the kernel; by ticks.
    pub(crate) system_s: f64,
    /// CPU time of the thread that receives for all subscribers, in seconds.
    pub(crate) receivers_cpu_s: f64,
    /// CPU time of each of a server's media threads, in seconds.
    pub(crate) workers_cpu_s: Vec<f64>,
    /// Wall time, in seconds.
    pub(crate) wall_s: f64,
    /// What a server's counters of system calls grew by.
    pub(crate) calls: BTreeMap<String, f64>,
}

impl Round {
    /// CPU time per delivered packet, in µs.
    pub(crate) fn cost_us(&self) -> f64 {
        self.cpu_s * 1e6 / self.delivered as f64
    }

    /// How many processors the workers could keep busy until the busiest is full: their CPU time
    /// together ÷ the most that one of them took.
    pub(crate) fn balance(&self) -> f64 {
        let most = self.workers_cpu_s.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        self.workers_cpu_s.iter().sum::<f64>() / most
    }

    /// Share of one processor that the target took.
    pub(crate) fn utilisation(&self) -> f64 {
        self.cpu_s / self.wall_s
    }
}

/// A target, its publishers and its subscribers.
pub(crate) struct Rig {
    pub(crate) name: String,
    pub(crate) setup: Setup,
    publishers: Vec<Publisher>,
    /// Packets that never came, so far.
    lost: u64,
    /// Ends before the target does, so as not to talk to nobody.
    drain: Drain,
    pub(crate) target: Target,
}

/// Where a target stands at an instant.
struct Reading {
    at: Instant,
    published: u64,
    delivered: u64,
    cpu: Duration,
    user_s: f64,
    system_s: f64,
    receivers: Duration,
    workers: Vec<f64>,
    calls: BTreeMap<String, f64>,
}

impl Rig {
    /// A floor and its destinations.
    pub(crate) fn floor(kind: Kind, setup: &Setup) -> Result<Self> {
        ensure!(setup.rooms == 1, "a floor knows no rooms");
        let target = Target::floor(kind, setup.core(TARGET_CORE))?;
        let Target::Floor { addr, .. } = &target else { bail!("a floor is a floor") };
        let to = (*addr).into();
        let (stream, stamps) = (setup.stream(), Arc::new(Stamps::default()));
        let mut members = Vec::new();
        for _ in 0..setup.subscribers {
            let socket = socket(to)?;
            join_floor(&socket)?;
            let stamps = Arc::clone(&stamps);
            members.push(Member { socket, client: None, feedback: None, subscribes: Some(stamps) });
        }
        let publishers = vec![Publisher::new(socket(to)?, stream, None, stamps)?];
        let drain = Drain::start(members, stream, setup.core(LOAD_CORE))?;
        let (name, setup) = (kind.to_string(), setup.clone());
        Ok(Self { name, setup, publishers, lost: 0, drain, target })
    }

    /// A server, a WHIP publisher for each room and its WHEP subscribers; and so many rooms beside, each
    /// with one idle client.
    pub(crate) async fn server(
        name: &str,
        args: &ServerArgs,
        setup: &Setup,
        idle_rooms: usize,
    ) -> Result<Self> {
        let share = setup.subscribers.checked_rem(setup.rooms);
        ensure!(share == Some(0), "as many subscribers in one room as in another");
        let target = Target::server(args, setup.core(TARGET_CORE)).await?;
        let Target::Server { server, .. } = &target else { bail!("a server is a server") };
        let stream = setup.stream();
        let identity = Identity::new()?;
        let plan = setup.feedback();
        let url = &server.url;
        let join = async |room: &str, number, role| {
            let offered = (role, setup.media, plan.transport_cc);
            join_server(url, room, number, offered, &identity).await
        };
        let (mut members, mut publishers) = (Vec::new(), Vec::new());
        for room in 0..setup.rooms {
            let name = format!("room-{room}");
            let (socket, client) = join(&name, members.len(), Role::Publisher).await?;
            let stamps = Arc::new(Stamps::default());
            let seal = Some(client.sealing_context()?);
            publishers.push(Publisher::new(
                socket.try_clone()?,
                stream,
                seal,
                Arc::clone(&stamps),
            )?);
            let client = Some(client);
            members.push(Member { socket, client, feedback: None, subscribes: None });
            for _ in 0..setup.subscribers / setup.rooms {
                let (socket, client) = join(&name, members.len(), Role::Subscriber).await?;
                let feedback = Some(Feedback::new(plan, client.sealing_context()?));
                let subscribes = Some(Arc::clone(&stamps));
                members.push(Member { socket, client: Some(client), feedback, subscribes });
            }
        }
        for room in 0..idle_rooms {
            let name = format!("idle-{room}");
            let (socket, client) = join(&name, members.len(), Role::Subscriber).await?;
            let client = Some(client);
            members.push(Member { socket, client, feedback: None, subscribes: None });
        }
        let drain = Drain::start(members, stream, setup.core(LOAD_CORE))?;
        let (name, setup) = (name.to_owned(), setup.clone());
        Ok(Self { name, setup, publishers, lost: 0, drain, target })
    }

    /// Publishes for a while without counting, then for the length of a round.
    pub(crate) async fn round(&mut self, warm: Duration) -> Result<Round> {
        let (rate, duration) = (f64::from(self.setup.packets_per_second), self.setup.round);
        self.publish(rate, warm)?;
        self.settle()?;
        Ok(self.timed_round(rate, duration).await?.0)
    }

    /// The same at another rate, with the delays: from just before a frame is sent to the kernel's
    /// stamp on each copy of its packets, in nanoseconds.
    pub(crate) async fn timed_round(
        &mut self,
        packets_per_second: f64,
        duration: Duration,
    ) -> Result<(Round, Histogram<u64>)> {
        self.drain.take_delays();
        let before = self.read().await?;
        self.drain.counters.timing.store(true, Ordering::Relaxed);
        self.publish(packets_per_second, duration)?;
        self.settle()?;
        self.drain.counters.timing.store(false, Ordering::Relaxed);
        let after = self.read().await?;
        Ok((self.round_between(before, after), self.drain.take_delays()))
    }

    /// Publishes in all rooms at so many packets a second each.
    pub(crate) fn publish(&mut self, packets_per_second: f64, duration: Duration) -> Result<()> {
        publish(&mut self.publishers, packets_per_second / f64::from(self.setup.burst), duration)
    }

    fn round_between(&self, before: Reading, after: Reading) -> Round {
        let published = after.published - before.published;
        let grown = |(name, count): (String, f64)| {
            let grown = count - before.calls.get(&name).copied().unwrap_or(0.0);
            (name, grown)
        };
        Round {
            published,
            expected: published * self.subscribers_each(),
            delivered: after.delivered - before.delivered,
            cpu_s: (after.cpu - before.cpu).as_secs_f64(),
            user_s: after.user_s - before.user_s,
            system_s: after.system_s - before.system_s,
            receivers_cpu_s: after.receivers.saturating_sub(before.receivers).as_secs_f64(),
            workers_cpu_s: after.workers.iter().zip(before.workers).map(|(a, b)| a - b).collect(),
            wall_s: (after.at - before.at).as_secs_f64(),
            calls: after.calls.into_iter().map(grown).collect(),
        }
    }

    /// Packets decrypted for a check, and those of them that were not what was sent.
    pub(crate) fn samples(&self) -> (u64, u64) {
        let counters = &self.drain.counters;
        (counters.samples.load(Ordering::Relaxed), counters.bad_samples.load(Ordering::Relaxed))
    }

    /// Waits until everything has come, or nothing comes any more.
    pub(crate) fn settle(&mut self) -> Result<()> {
        let expected = self.published() * self.subscribers_each();
        let start = Instant::now();
        let (mut last, mut since) = (self.delivered(), Instant::now());
        while last + self.lost < expected && since.elapsed() < LOST && start.elapsed() < SETTLE_MAX
        {
            std::thread::sleep(Duration::from_millis(1));
            let delivered = self.delivered();
            if delivered != last {
                (last, since) = (delivered, Instant::now());
            }
        }
        self.lost = expected.saturating_sub(last);
        self.drain.check()
    }

    fn published(&self) -> u64 {
        self.publishers.iter().map(|publisher| u64::from(publisher.sent)).sum()
    }

    /// Subscribers of each room.
    fn subscribers_each(&self) -> u64 {
        (self.setup.subscribers / self.setup.rooms) as u64
    }

    pub(crate) fn delivered(&self) -> u64 {
        self.drain.counters.delivered.load(Ordering::Relaxed)
    }

    async fn read(&self) -> Result<Reading> {
        let mut calls = BTreeMap::new();
        let mut workers = Vec::new();
        if let Target::Server { server, .. } = &self.target {
            let scraped = Metrics::scrape(&server.url).await?;
            calls.extend(scraped.above_zero("_calls_total"));
            workers = self.target.threads("sfu-media")?;
        }
        let used = self.target.used()?;
        let receivers = self.drain.counters.cpu_ns.load(Ordering::Relaxed);
        Ok(Reading {
            at: Instant::now(),
            published: self.published(),
            delivered: self.delivered(),
            cpu: self.target.cpu()?,
            user_s: used.user_s,
            system_s: used.system_s,
            receivers: Duration::from_nanos(receivers),
            workers,
            calls,
        })
    }
}
