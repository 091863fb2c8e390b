//! A case of the lab: its path, its flows, and what is measured. Cases are data.

use std::time::{Duration, Instant};

use sfu_core::deliver::pacer::PacerConfig;

use super::bottleneck::BottleneckPlan;
use super::controller::ours::Ours;
use super::controller::stock::Stock;
use super::course::Course;
use super::media::{Demand, MediaFlow, MediaPlan};
use super::metric::{Check, Goal, Metric};

use super::receiver::{Format, ReceiverConfig};
use super::run::{Placed, run};
use super::source::{Source, SourceKind};
use super::tcp::{Growth, TcpFlow, Transfer};
use crate::random::{self, fraction};

const LANE_FLOWS: u64 = 100;
/// The receivers' clocks begin anywhere within this.
const CLOCK_SPREAD: Duration = Duration::from_secs(1_000_000);

/// What every path has, so that no two seeds are alike.
const JITTER: Duration = Duration::from_millis(1);
/// What str0m's receivers do.
const STR0M_FEEDBACK: Duration = Duration::from_millis(50);

/// Which congestion controller the media flows have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `sfu_core::bandwidth`.
    Ours,
    /// The one of the `interceptor` crate.
    Stock,
    /// str0m's, with str0m's pacer and feedback.
    Str0m,
}

impl Kind {
    /// Its name on the command line and in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Stock => "stock",
            Self::Str0m => "str0m",
        }
    }
}

/// A case.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is.
    pub about: &'static str,
    /// How long it lasts.
    pub lasts: Duration,
    /// The way of the data.
    pub forward: BottleneckPlan,
    /// The way of the feedback.
    pub backward: BottleneckPlan,
    /// What shares it.
    pub flows: Vec<FlowPlan>,
    /// What is measured.
    pub checks: Vec<Check>,
}

/// A flow of a case.
#[derive(Clone, Debug)]
pub enum FlowPlan {
    /// Media under the controller that is tried.
    Media(MediaFlowPlan),
    /// TCP.
    Tcp {
        /// When it begins.
        start: Duration,
        /// Propagation in each direction.
        one_way: Duration,
        /// How its window grows.
        growth: Growth,
        /// What it transfers.
        transfer: Transfer,
        /// It goes the way of the feedback.
        reversed: bool,
    },
}

/// A media flow of a case.
#[derive(Clone, Debug)]
pub struct MediaFlowPlan {
    /// When it begins.
    pub start: Duration,
    /// Propagation in each direction.
    pub one_way: Duration,
    /// What it sends.
    pub source: SourceKind,
    /// What it wants.
    pub demand: Demand,
    /// How it paces.
    pub pacer: PacerConfig,
    /// Whether retransmissions are sent in copies under heavy loss.
    pub copies: bool,
    /// Which feedback it gets.
    pub format: Format,
    /// How often.
    pub feedback: Duration,
    /// It goes the way of the others' feedback.
    pub reversed: bool,
}

impl Default for MediaFlowPlan {
    /// RFC 8867's: elastic, 50 ms each way, from the start.
    fn default() -> Self {
        Self {
            start: Duration::ZERO,
            one_way: Duration::from_millis(50),
            source: SourceKind::Constant,
            demand: Demand::everything(),
            pacer: PacerConfig::default(),
            copies: true,
            format: Format::Twcc,
            feedback: Duration::from_millis(50),
            reversed: false,
        }
    }
}

impl Case {
    /// Without flows and checks, over a path of this capacity and an unlimited way back.
    #[must_use]
    pub fn new(
        name: &'static str,
        about: &'static str,
        lasts: Duration,
        capacity: Vec<(Duration, u64)>,
    ) -> Self {
        Self {
            name,
            about,
            lasts,
            forward: BottleneckPlan { jitter: JITTER, ..BottleneckPlan::new(capacity) },
            backward: BottleneckPlan::new(Vec::new()),
            flows: Vec::new(),
            checks: Vec::new(),
        }
    }

    /// With another media flow.
    #[must_use]
    pub fn media(mut self, plan: MediaFlowPlan) -> Self {
        self.flows.push(FlowPlan::Media(plan));
        self
    }

    /// With another check.
    #[must_use]
    pub fn check(mut self, metric: Metric, goal: Goal) -> Self {
        self.checks.push(Check { metric, goal });
        self
    }

    /// The media flows in the direction that is measured.
    #[must_use]
    pub fn measured(&self) -> Vec<usize> {
        let flows = self.flows.iter().enumerate();
        flows
            .filter(|(_, flow)| matches!(flow, FlowPlan::Media(plan) if !plan.reversed))
            .map(|(index, _)| index)
            .collect()
    }

    /// Why a controller cannot run it, if it cannot.
    #[must_use]
    pub fn excuse(&self, kind: Kind) -> Option<&'static str> {
        let ccfb = self
            .flows
            .iter()
            .any(|flow| matches!(flow, FlowPlan::Media(plan) if plan.format == Format::Ccfb));
        let slow = self
            .flows
            .iter()
            .any(|flow| matches!(flow, FlowPlan::Media(plan) if plan.feedback != STR0M_FEEDBACK));
        match kind {
            Kind::Str0m if cfg!(not(feature = "str0m")) => Some("built without the feature str0m"),
            Kind::Str0m if ccfb => Some("it does not know RFC 8888"),
            Kind::Str0m if slow => Some("its feedback comes every 50 ms"),
            _ => None,
        }
    }

    /// Runs it.
    #[must_use]
    pub fn run(&self, kind: Kind, seed: u64) -> Course {
        let epoch = Instant::now() + CLOCK_SPREAD;
        let flows = self.flows.iter().zip(0u64..);
        let placed = flows.map(|(flow, index)| place(flow, kind, epoch, seed, index)).collect();
        run(placed, &self.forward, &self.backward, self.lasts, seed)
    }

    /// The figures of a run, one for each check.
    #[must_use]
    pub fn measure(&self, course: &Course) -> Vec<f64> {
        let media = self.measured();
        let measure = |check: &Check| check.metric.measure(course, &self.forward, &media);
        self.checks.iter().map(measure).collect()
    }
}

fn place(flow: &FlowPlan, kind: Kind, epoch: Instant, seed: u64, index: u64) -> Placed {
    let lane = LANE_FLOWS + index * 10;
    match flow {
        FlowPlan::Media(plan) => {
            let source = Source::new(plan.source.clone(), plan.start, seed, lane);
            let begins = source.next();
            let flow: Box<dyn super::flow::Flow> = match kind {
                #[cfg(feature = "str0m")]
                Kind::Str0m => {
                    let twin = super::str0m_flow::Str0mFlow::new(plan, source, epoch);
                    Box::new(twin)
                }
                _ => Box::new(media_flow(plan, kind, source, epoch + begins, epoch, seed, lane)),
            };
            Placed { flow, one_way: plan.one_way, reversed: plan.reversed }
        }
        FlowPlan::Tcp { start, one_way, growth, transfer, reversed } => Placed {
            flow: Box::new(TcpFlow::new(*growth, *transfer, *start, seed, lane)),
            one_way: *one_way,
            reversed: *reversed,
        },
    }
}

fn media_flow(
    plan: &MediaFlowPlan,
    kind: Kind,
    source: Source,
    begins: Instant,
    epoch: Instant,
    seed: u64,
    lane: u64,
) -> MediaFlow {
    let clock = CLOCK_SPREAD.mul_f64(fraction(&mut random::generator(seed, lane + 1)));
    let receiver = ReceiverConfig {
        format: plan.format,
        interval: plan.feedback,
        rtt: plan.one_way * 2,
        clock,
    };
    let media =
        MediaPlan { demand: plan.demand.clone(), pacer: plan.pacer, copies: plan.copies, receiver };
    match kind {
        Kind::Ours => MediaFlow::new(media, Box::new(Ours::new(begins)), source, epoch),
        Kind::Stock | Kind::Str0m => {
            MediaFlow::new(media, Box::new(Stock::default()), source, epoch)
        }
    }
}
