//! What is measured of a run, and what is to be reached.

use std::fmt;
use std::time::Duration;

use super::bottleneck::BottleneckPlan;
use super::course::{Course, Fate, FlowCourse, Window};

/// A rate is "reached", or "kept to", on average over this.
const RATE_WINDOW: Duration = Duration::from_millis(300);
/// A queue has "gone down" if it stays down for this.
const CALM: Duration = Duration::from_secs(1);
/// Resolution of times.
const STEP: Duration = Duration::from_millis(10);

/// A figure of a run. Windows and times are since its start.
#[derive(Clone, Debug)]
pub enum Metric {
    /// What was of use to the receivers of media, in capacities; the least of the windows.
    Utilisation(Vec<Window>),
    /// 95th percentile of the wait in the queue in ms; the most of the windows.
    QueueP95(Vec<Window>),
    /// Percentage of the data packets of media that were lost or dropped.
    Lost(Window),
    /// Seconds from a time until the first flow's estimate is at least this, bit/s.
    Estimates(Duration, u64),
    /// Seconds from a time until the first flow's goodput is at least this, bit/s.
    Reaches(Duration, u64),
    /// Seconds from a time until what the first flow sends is at most this, bit/s.
    SendsWithin(Duration, u64),
    /// Seconds from a time until the queue stays below these milliseconds.
    QueueBelow(Duration, Duration),
    /// Highest estimate of the first flow in capacities.
    Overshoot(Window),
    /// Longest time in ms without a new frame, behind a jitter buffer of this length.
    Freeze(Window, Duration),
    /// Percentage of the frames that can be played behind a jitter buffer of this length.
    OnTime(Window, Duration),
    /// Jain's index of the media flows' goodput.
    Jain(Window),
    /// Share in percent of the first flow in all goodput.
    Share(Window),
    /// The smallest goodput of a media flow, in fair shares of the capacity.
    Smallest(Window),
}

/// What a figure is to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// This, or more.
    AtLeast(f64),
    /// This, or less.
    AtMost(f64),
    /// Between these.
    Between(f64, f64),
    /// It is only told; more is better if true.
    Told(bool),
}

/// What a run is measured by.
#[derive(Clone, Debug)]
pub struct Check {
    /// The figure.
    pub metric: Metric,
    /// What it is to be.
    pub goal: Goal,
}

impl Goal {
    /// Whether a figure is as it should be.
    #[must_use]
    pub fn holds(self, figure: f64) -> bool {
        match self {
            Self::AtLeast(least) => figure >= least,
            Self::AtMost(most) => figure <= most,
            Self::Between(least, most) => (least..=most).contains(&figure),
            Self::Told(_) => true,
        }
    }

    /// The worst of some figures.
    #[must_use]
    pub fn worst(self, figures: &[f64]) -> f64 {
        let by = |badness: &dyn Fn(f64) -> f64| {
            let worst = figures.iter().copied().max_by(|a, b| badness(*a).total_cmp(&badness(*b)));
            worst.unwrap_or(f64::NAN)
        };
        match self {
            Self::AtLeast(_) | Self::Told(true) => by(&|figure| -figure),
            Self::AtMost(_) | Self::Told(false) => by(&|figure| figure),
            Self::Between(least, most) => by(&|figure| (least - figure).max(figure - most)),
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(least) => write!(f, "≥ {least}"),
            Self::AtMost(most) => write!(f, "≤ {most}"),
            Self::Between(least, most) => write!(f, "{least}–{most}"),
            Self::Told(_) => write!(f, "–"),
        }
    }
}

impl Metric {
    /// Its name and unit.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Utilisation(windows) if windows.len() > 1 => {
                "goodput ÷ capacity, least phase".into()
            }
            Self::Utilisation(windows) => {
                let window = windows.first().cloned().unwrap_or_default();
                let (from, until) = (window.start.as_secs(), window.end.as_secs());
                format!("goodput ÷ capacity, {from}–{until} s")
            }
            Self::QueueP95(_) => "queue delay p95, ms".into(),
            Self::Lost(_) => "packets lost, %".into(),
            Self::Estimates(_, bps) => format!("estimate ≥ {} Mbit/s after, s", mbps(*bps)),
            Self::Reaches(_, bps) => format!("goodput ≥ {} Mbit/s after, s", mbps(*bps)),
            Self::SendsWithin(_, bps) => format!("sends ≤ {} Mbit/s after, s", mbps(*bps)),
            Self::QueueBelow(_, wait) => format!("queue < {} ms after, s", wait.as_millis()),
            Self::Overshoot(_) => "highest estimate ÷ capacity".into(),
            Self::Freeze(_, buffer) => {
                format!("longest freeze behind {} ms, ms", buffer.as_millis())
            }
            Self::OnTime(_, buffer) => {
                format!("frames on time behind {} ms, %", buffer.as_millis())
            }
            Self::Jain(_) => "Jain's index".into(),
            Self::Share(_) => "share of the media flow, %".into(),
            Self::Smallest(_) => "smallest flow ÷ fair share".into(),
        }
    }

    /// Its value in a run over `forward`; `media` names the media flows in that direction.
    #[must_use]
    pub fn measure(&self, course: &Course, forward: &BottleneckPlan, media: &[usize]) -> f64 {
        let flows: Vec<&FlowCourse> = media.iter().map(|&flow| &course.flows[flow]).collect();
        let Some(first) = flows.first() else { return f64::NAN };
        match self {
            Self::Utilisation(windows) => {
                let used = windows.iter().map(|window| utilisation(&flows, forward, window));
                used.fold(f64::INFINITY, f64::min)
            }
            Self::QueueP95(windows) => {
                windows.iter().map(|window| queue_p95(course, window)).fold(0.0, f64::max)
            }
            Self::Lost(window) => {
                let sent = flows.iter().flat_map(|flow| flow.sent_in(window));
                let gone: Vec<_> =
                    sent.map(|sent| !matches!(sent.fate, Fate::Through(_))).collect();
                100.0 * share(gone.iter().filter(|gone| **gone).count(), gone.len())
            }
            Self::Estimates(from, bps) => {
                let window = *from..Duration::MAX;
                let mut readings = first.readings_in(&window);
                let found = readings.find(|(_, reading)| reading.target_bps >= *bps);
                found.map_or(f64::INFINITY, |(at, _)| (at - *from).as_secs_f64())
            }
            #[allow(clippy::cast_precision_loss, reason = "rates are far below 2^52")]
            Self::Reaches(from, bps) => {
                first_time(course, *from, |window| first.goodput_bps(window) >= *bps as f64)
            }
            #[allow(clippy::cast_precision_loss, reason = "rates are far below 2^52")]
            Self::SendsWithin(from, bps) => first_time(course, *from, |window| {
                first.bytes_sent(window) as f64 * 8.0 <= *bps as f64 * RATE_WINDOW.as_secs_f64()
            }),
            Self::QueueBelow(from, most) => queue_below(course, *from, *most),
            Self::Overshoot(window) => {
                #[allow(clippy::cast_precision_loss, reason = "rates are far below 2^52")]
                let over = first.readings_in(window).map(|(at, reading)| {
                    reading.target_bps as f64 / forward.rate(at).unwrap_or(u64::MAX) as f64
                });
                over.fold(0.0, f64::max)
            }
            Self::Freeze(window, buffer) => longest_freeze(first, window, *buffer),
            Self::OnTime(window, buffer) => {
                let played = first.played_in(window, *buffer);
                let on_time = played.filter(|(due, played)| played <= due);
                100.0 * share(on_time.count(), first.captured_in(window).len())
            }
            Self::Jain(window) => {
                let rates: Vec<_> = flows.iter().map(|flow| flow.goodput_bps(window)).collect();
                jain(&rates)
            }
            Self::Share(window) => {
                let all: f64 = course.flows.iter().map(|flow| flow.goodput_bps(window)).sum();
                100.0 * first.goodput_bps(window) / all.max(1.0)
            }
            Self::Smallest(window) => {
                let rates = flows.iter().map(|flow| flow.goodput_bps(window));
                #[allow(clippy::cast_precision_loss, reason = "a few flows")]
                let all = course.flows.iter().filter(|flow| !flow.reversed).count() as f64;
                rates.fold(f64::INFINITY, f64::min) * all / mean_capacity(forward, window)
            }
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "rates are far below 2^52")]
fn mbps(bps: u64) -> f64 {
    bps as f64 / 1e6
}

#[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn share(part: usize, of: usize) -> f64 {
    part as f64 / of.max(1) as f64
}

#[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
fn mean_capacity(forward: &BottleneckPlan, window: &Window) -> f64 {
    let time = (window.end - window.start).as_secs_f64();
    forward.bits_between(window.start, window.end) as f64 / time
}

fn utilisation(flows: &[&FlowCourse], forward: &BottleneckPlan, window: &Window) -> f64 {
    let all: f64 = flows.iter().map(|flow| flow.goodput_bps(window)).sum();
    all / mean_capacity(forward, window)
}

/// Jain's fairness index.
#[must_use]
pub fn jain(rates: &[f64]) -> f64 {
    let sum: f64 = rates.iter().sum();
    let squares: f64 = rates.iter().map(|rate| rate * rate).sum();
    #[allow(clippy::cast_precision_loss, reason = "a few flows")]
    let count = rates.len() as f64;
    sum * sum / (count * squares).max(f64::MIN_POSITIVE)
}

/// Of the packets that came through, those of TCP and reversed flows included.
fn queue_p95(course: &Course, window: &Window) -> f64 {
    let sent = course.flows.iter().filter(|flow| !flow.reversed);
    let mut waits: Vec<_> = sent
        .flat_map(|flow| flow.sent_in(window))
        .filter_map(|sent| match sent.fate {
            Fate::Through(waited) => Some(waited),
            Fate::Lost | Fate::Dropped => None,
        })
        .collect();
    if waits.is_empty() {
        return 0.0;
    }
    let place = (waits.len() * 95 / 100).min(waits.len() - 1);
    let (_, wait, _) = waits.select_nth_unstable(place);
    wait.as_secs_f64() * 1000.0
}

/// Seconds from a time until `reached` holds of a whole [`RATE_WINDOW`].
fn first_time(course: &Course, from: Duration, reached: impl Fn(&Window) -> bool) -> f64 {
    let end = course.lasts.saturating_sub(RATE_WINDOW);
    let mut at = from;
    while at < end {
        if reached(&(at..at + RATE_WINDOW)) {
            return (at - from).as_secs_f64();
        }
        at += STEP;
    }
    f64::INFINITY
}

fn queue_below(course: &Course, from: Duration, most: Duration) -> f64 {
    let mut calm_since = None;
    for (at, wait) in course.waits_in(&(from..Duration::MAX)) {
        if wait >= most {
            calm_since = None;
        } else if at - *calm_since.get_or_insert(at) >= CALM {
            return (calm_since.unwrap_or(at) - from).as_secs_f64();
        }
    }
    f64::INFINITY
}

fn longest_freeze(flow: &FlowCourse, window: &Window, buffer: Duration) -> f64 {
    let delay = flow.transit() + buffer;
    let mut before = window.start + delay;
    let mut longest = Duration::ZERO;
    for (_, played) in flow.played_in(window, buffer) {
        longest = longest.max(played.saturating_sub(before));
        before = before.max(played);
    }
    longest.max((window.end + delay).saturating_sub(before)).as_secs_f64() * 1000.0
}
