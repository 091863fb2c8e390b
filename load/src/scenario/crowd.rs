//! [`Crowd`]: those who join, at the pace that was asked for, and how each join went.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures_util::StreamExt as _;
use rand::RngExt as _;
use reqwest::Url;
use tokio::task::JoinSet;

use super::plan::{Plan, Via};
use super::{LoadArgs, Target};
use crate::account::Source;
use crate::client::ClientId;
use crate::fleet::{Fleet, Member};
use crate::publish::{Camera, Microphone, Publisher};
use crate::sdp::Line;
use crate::signal::{Http, HttpSession, SocketJoin, SocketSession};

/// Sessions that are ended at a time.
const LEAVING_AT_ONCE: usize = 32;
/// Publishers begin within so long of each other: cameras do not tick in step.
const PHASE_MAX: Duration = Duration::from_millis(100);

/// See the module.
#[derive(Clone)]
pub(super) struct Crowd(Arc<Parts>);

struct Parts {
    fleet: Fleet,
    plan: Plan,
    args: LoadArgs,
    http: Http,
    base: Url,
}

/// A participant: a publisher, a subscriber, or both.
pub(super) enum Session {
    Http(HttpSession),
    Socket(SocketSession),
}

/// What joins brought.
#[derive(Default)]
pub(super) struct Joined {
    pub(super) sessions: Vec<Session>,
    /// Why joins failed.
    pub(super) failures: Vec<anyhow::Error>,
}

impl Joined {
    pub(super) fn ids(&self) -> Vec<ClientId> {
        self.sessions.iter().map(|session| session.member().id).collect()
    }

    pub(super) fn add(&mut self, other: Self) {
        self.sessions.extend(other.sessions);
        self.failures.extend(other.failures);
    }
}

impl Session {
    fn member(&self) -> &Member {
        match self {
            Self::Http(session) => &session.member,
            Self::Socket(session) => &session.member,
        }
    }

    fn member_mut(&mut self) -> &mut Member {
        match self {
            Self::Http(session) => &mut session.member,
            Self::Socket(session) => &mut session.member,
        }
    }

    async fn leave(self) -> anyhow::Result<()> {
        match self {
            Self::Http(session) => session.leave().await,
            Self::Socket(session) => session.leave().await,
        }
    }
}

impl Crowd {
    pub(super) fn new(
        fleet: Fleet,
        plan: Plan,
        args: LoadArgs,
        target: &Target,
    ) -> anyhow::Result<Self> {
        let mut base =
            Url::parse(&target.url).with_context(|| format!("--url is no URL: {}", target.url))?;
        // So that paths are below it, not beside its last part.
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let http = Http::new(args.bearer.clone())?;
        Ok(Self(Arc::new(Parts { fleet, plan, args, http, base })))
    }

    pub(super) fn fleet(&self) -> &Fleet {
        &self.0.fleet
    }

    pub(super) fn http(&self) -> &Http {
        &self.0.http
    }

    pub(super) fn base(&self) -> &Url {
        &self.0.base
    }

    /// All publishers of all rooms.
    pub(super) async fn publishers(&self) -> Joined {
        let plan = &self.0.plan;
        let places = (0..plan.publishers())
            .flat_map(|publisher| (0..plan.rooms).map(move |room| (room, publisher)));
        self.join(places.collect(), plan.join_rate, true).await
    }

    /// So many subscribers of each room.
    pub(super) async fn subscribers(&self, count: u32, rate: f64) -> Joined {
        let rooms = self.0.plan.rooms;
        let places =
            (0..count).flat_map(|subscriber| (0..rooms).map(move |room| (room, subscriber)));
        self.join(places.collect(), rate, false).await
    }

    /// Joins begin on a schedule, whether or not those before have ended.
    async fn join(&self, places: Vec<(u32, u32)>, rate: f64, publish: bool) -> Joined {
        let begun = tokio::time::Instant::now();
        let mut joining = JoinSet::new();
        for (at, (room, place)) in places.into_iter().enumerate() {
            tokio::time::sleep_until(begun + Duration::from_secs_f64(at as f64 / rate)).await;
            let crowd = self.clone();
            joining.spawn(async move {
                if publish {
                    crowd.publisher(room, place).await
                } else {
                    crowd.subscriber(room, place).await
                }
            });
        }
        let mut joined = Joined::default();
        while let Some(outcome) = joining.join_next().await {
            match outcome.map_err(anyhow::Error::from).and_then(|outcome| outcome) {
                Ok(session) => joined.sessions.push(session),
                Err(error) => joined.failures.push(error),
            }
        }
        joined
    }

    async fn publisher(&self, room: u32, number: u32) -> anyhow::Result<Session> {
        let lines = self.0.plan.publisher_lines(number);
        let what = || format!("publisher {number} of room {room}");
        let mut session = match self.0.plan.via {
            Via::Whip => {
                let endpoint = self.path(&self.0.args.whip_path, room, number)?;
                self.post(&endpoint, lines.clone()).await.with_context(what)?
            }
            Via::Ws => {
                self.socket(room, "publisher", number, lines.clone()).await.with_context(what)?
            }
        };
        self.start(&mut session, number, &lines)?;
        Ok(session)
    }

    async fn subscriber(&self, room: u32, number: u32) -> anyhow::Result<Session> {
        let lines = self.0.plan.subscriber_lines();
        let what = || format!("subscriber {number} of room {room}");
        match self.0.plan.via {
            Via::Whip => {
                let publisher = number % self.0.plan.publishers();
                let endpoint = self.path(&self.0.args.whep_path, room, publisher)?;
                self.post(&endpoint, lines).await.with_context(what)
            }
            Via::Ws => self.socket(room, "subscriber", number, lines).await.with_context(what),
        }
    }

    async fn post(&self, endpoint: &Url, lines: Vec<Line>) -> anyhow::Result<Session> {
        let setup = self.0.fleet.client(lines, Instant::now())?;
        Ok(Session::Http(self.0.http.join(&self.0.fleet, endpoint, setup).await?))
    }

    async fn socket(
        &self,
        room: u32,
        role: &str,
        number: u32,
        lines: Vec<Line>,
    ) -> anyhow::Result<Session> {
        let mut url = self.0.base.join("ws")?;
        let scheme = if url.scheme() == "https" { "wss" } else { "ws" };
        if url.set_scheme(scheme).is_err() {
            anyhow::bail!("{} is neither http nor https", self.0.base);
        }
        let join = SocketJoin {
            url,
            room: self.0.plan.room(&self.0.args.room, room),
            name: format!("load {role} {number}"),
            lines,
            layout: self.0.plan.layout,
            place: number as usize,
            started: Instant::now(),
        };
        Ok(Session::Socket(SocketSession::join(&self.0.fleet, join).await?))
    }

    /// The endpoint of a publisher. By WHIP, publishers beyond the first have rooms of their own:
    /// a WHEP viewer is shown one.
    fn path(&self, path: &str, room: u32, publisher: u32) -> anyhow::Result<Url> {
        let mut name = self.0.plan.room(&self.0.args.room, room);
        if self.0.plan.publishers() > 1 && !path.contains("{publisher}") {
            name = format!("{name}-p{publisher}");
        }
        let path = path.replace("{room}", &name).replace("{publisher}", &publisher.to_string());
        Ok(self.0.base.join(&path)?)
    }

    /// Puts what a publisher sends on the schedule.
    fn start(&self, session: &mut Session, number: u32, lines: &[Line]) -> anyhow::Result<()> {
        let fleet = &self.0.fleet;
        let port = session.member_mut().port.take().context("a publisher without keys")?;
        let phase = rand::rng().random_range(Duration::ZERO..PHASE_MAX);
        let (tag, start) = (port.tag_bytes(), Instant::now() + phase);
        let (mut camera, mut microphone) = (None, None);
        for (mid, line) in lines.iter().enumerate() {
            match line {
                Line::SendAudio { ssrc } => {
                    let plan = self.0.plan.audio(number);
                    microphone =
                        Some(Microphone::new(plan, *ssrc, fleet.sources.add(), tag, start));
                }
                Line::SendVideo { encodings } => {
                    let sources: Vec<Arc<Source>> =
                        encodings.iter().map(|_| fleet.sources.add()).collect();
                    let plan = &self.0.plan.video;
                    let mid = mid.to_string();
                    camera = Some(Camera::new(plan, &mid, encodings, sources, tag, start));
                }
                Line::ReceiveAudio | Line::ReceiveVideo => {}
            }
        }
        fleet.publish(Publisher { port, camera, microphone });
        Ok(())
    }
}

/// Ends sessions; why some could not be ended.
pub(super) async fn leave(sessions: Vec<Session>) -> Vec<anyhow::Error> {
    let left = futures_util::stream::iter(sessions.into_iter().map(Session::leave));
    let left = left.buffer_unordered(LEAVING_AT_ONCE).collect::<Vec<_>>().await;
    left.into_iter().filter_map(Result::err).collect()
}
