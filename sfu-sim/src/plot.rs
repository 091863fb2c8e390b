//! Draws a run of the lab as SVG: rates against the capacity above, the queue's delay below.

use std::fmt::Write as _;
use std::time::Duration;

use crate::lab::case::{Case, Kind};
use crate::lab::course::{Course, FlowCourse, READING_INTERVAL};

const WIDTH: f64 = 960.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 24.0;
const RATES_TOP: f64 = 84.0;
const RATES_BOTTOM: f64 = 344.0;
const DELAY_TOP: f64 = 384.0;
const DELAY_BOTTOM: f64 = 494.0;
const HEIGHT: f64 = 534.0;
/// Rates are averaged over this.
const BIN: Duration = Duration::from_millis(250);
/// Distinguishable in light and dark surroundings, and for most who confuse red and green.
const COLOURS: [&str; 6] = ["#2f7ed8", "#d9822b", "#2a9d8f", "#b5489a", "#8a7f2c", "#7a6ff0"];
/// The frame, grid and words take the colour of the text around them.
const STYLE: &str = "<style>
svg { color: #333; background: #fff; font: 12px system-ui, sans-serif }
@media (prefers-color-scheme: dark) { svg { color: #ddd; background: #181a1d } }
text { fill: currentColor } .grid { stroke: currentColor; opacity: .15 }
.frame { stroke: currentColor; opacity: .5; fill: none } .title { font-size: 15px; font-weight: 600 }
.line { fill: none; stroke-width: 1.5 } .capacity { stroke: currentColor; stroke-dasharray: 6 4 }
.estimate { stroke-width: 1; stroke-dasharray: 2 2 } .probe { stroke: currentColor; opacity: .55 }
.wait { stroke: #c0392b } .area { fill: #c0392b; opacity: .18 }
</style>";

type Point = (f64, f64);

/// Where values lie on the page.
struct Scale {
    lasts: f64,
    most: f64,
    top: f64,
    bottom: f64,
}

impl Scale {
    fn x(&self, seconds: f64) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * seconds / self.lasts
    }

    fn y(&self, value: f64) -> f64 {
        let share = (value / self.most).clamp(0.0, 1.0);
        self.bottom - (self.bottom - self.top) * share
    }

    fn points(&self, points: impl Iterator<Item = Point>) -> String {
        points.fold(String::new(), |mut all, (seconds, value)| {
            let _ = write!(all, "{:.1},{:.1} ", self.x(seconds), self.y(value));
            all
        })
    }

    fn line(
        &self,
        class: &str,
        colour: Option<&str>,
        points: impl Iterator<Item = Point>,
    ) -> String {
        let colour = colour.map_or(String::new(), |colour| format!(" stroke=\"{colour}\""));
        format!("<polyline class=\"line {class}\"{colour} points=\"{}\"/>\n", self.points(points))
    }

    /// Frame, grid and numbers; times below if asked for.
    fn axes(&self, unit: &str, times: bool) -> String {
        let mut svg = String::new();
        let (right, step) = (WIDTH - RIGHT, nice_step(self.most, 5.0));
        let mut value = 0.0;
        while value <= self.most {
            let y = self.y(value);
            let _ = writeln!(
                svg,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LEFT - 8.0,
                y + 4.0,
                label(value)
            );
            value += step;
        }
        let step = nice_step(self.lasts, 12.0);
        let mut seconds = 0.0;
        while seconds <= self.lasts {
            let x = self.x(seconds);
            let _ = writeln!(
                svg,
                "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{}\" y2=\"{}\"/>",
                self.top, self.bottom
            );
            if times {
                let _ = writeln!(
                    svg,
                    "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{} s</text>",
                    self.bottom + 18.0,
                    label(seconds)
                );
            }
            seconds += step;
        }
        let _ = writeln!(
            svg,
            "<rect class=\"frame\" x=\"{LEFT}\" y=\"{}\" width=\"{}\" height=\"{}\"/>\
            <text x=\"{LEFT}\" y=\"{}\">{unit}</text>",
            self.top,
            right - LEFT,
            self.bottom - self.top,
            self.top - 6.0
        );
        svg
    }
}

/// A round step that divides `most` into about `parts`.
fn nice_step(most: f64, parts: f64) -> f64 {
    let rough = (most / parts).max(1e-9);
    let power = 10f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().find(|factor| factor * power >= rough);
    factor.unwrap_or(10.0) * power
}

fn label(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A run of a case.
#[must_use]
pub fn course(case: &Case, kind: Kind, seed: u64, course: &Course) -> String {
    let lasts = course.lasts.as_secs_f64();
    let peak = case.forward.capacity.iter().map(|&(_, rate)| rate).max().unwrap_or(5_000_000);
    #[allow(clippy::cast_precision_loss, reason = "rates are far below 2^52")]
    let rates =
        Scale { lasts, most: peak as f64 / 1e6 * 1.25, top: RATES_TOP, bottom: RATES_BOTTOM };
    let longest = course.waits.iter().max().map_or(0.0, |wait| wait.as_secs_f64() * 1000.0);
    let delay =
        Scale { lasts, most: longest.max(50.0) * 1.1, top: DELAY_TOP, bottom: DELAY_BOTTOM };
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\">\n{STYLE}\n\
         <text class=\"title\" x=\"{LEFT}\" y=\"24\">{}: {}</text>\n\
         <text x=\"{LEFT}\" y=\"42\">controller {}, seed {seed}</text>\n",
        case.name,
        case.about,
        kind.name()
    );
    svg.push_str(&rates.axes("Mbit/s", false));
    svg.push_str(&delay.axes("queue delay, ms", true));
    svg.push_str(&rates.line("capacity", None, capacity_points(case, lasts)));
    let mut legend = Legend::default();
    legend.add("capacity", "capacity", None);
    for (index, flow) in course.flows.iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        let many = course.flows.len() > 1;
        let name =
            |what: &str| if many { format!("{what} {}", index + 1) } else { what.to_owned() };
        svg.push_str(&rates.line("", Some(colour), rate_points(flow, lasts)));
        legend.add("", &name("goodput"), Some(colour));
        if flow.readings.iter().any(|reading| reading.target_bps > 0) {
            svg.push_str(&rates.line("estimate", Some(colour), estimate_points(flow)));
            legend.add("estimate", &name("estimate"), Some(colour));
        }
        for (at, rate) in &flow.probes {
            svg.push_str(&probe_mark(&rates, *at, *rate));
        }
    }
    if course.flows.iter().any(|flow| !flow.probes.is_empty()) {
        legend.add("probe", "probe (to its rate)", None);
    }
    legend.add("wait", "queue delay", None);
    svg.push_str(&legend.svg);
    let whole = Duration::ZERO..course.lasts;
    let waits = course.waits_in(&whole);
    let waits: Vec<Point> =
        waits.map(|(at, wait)| (at.as_secs_f64(), wait.as_secs_f64() * 1000.0)).collect();
    let closed = [(0.0, 0.0)].into_iter().chain(waits.iter().copied()).chain([(lasts, 0.0)]);
    let _ = writeln!(svg, "<polygon class=\"area\" points=\"{}\"/>", delay.points(closed));
    svg.push_str(&delay.line("wait", None, waits.into_iter()));
    svg.push_str("</svg>\n");
    svg
}

#[derive(Default)]
struct Legend {
    svg: String,
    x: f64,
}

impl Legend {
    fn add(&mut self, class: &str, name: &str, colour: Option<&str>) {
        #[allow(clippy::cast_precision_loss, reason = "a few letters")]
        let width = 42.0 + 6.6 * name.len() as f64;
        let x = LEFT + self.x;
        if x + width > WIDTH {
            return;
        }
        let colour = colour.map_or(String::new(), |colour| format!(" stroke=\"{colour}\""));
        let _ = writeln!(
            self.svg,
            "<polyline class=\"line {class}\"{colour} points=\"{x:.1},58 {:.1},58\"/>\
             <text x=\"{:.1}\" y=\"62\">{name}</text>",
            x + 22.0,
            x + 28.0
        );
        self.x += width;
    }
}

fn capacity_points(case: &Case, lasts: f64) -> impl Iterator<Item = Point> {
    let steps = &case.forward.capacity;
    let ends = steps.iter().skip(1).map(|(at, _)| at.as_secs_f64()).chain([lasts]);
    #[allow(clippy::cast_precision_loss, reason = "rates are far below 2^52")]
    let points = steps.iter().zip(ends).flat_map(|((at, rate), end)| {
        let rate = *rate as f64 / 1e6;
        [(at.as_secs_f64(), rate), (end, rate)]
    });
    points
}

fn rate_points(flow: &FlowCourse, lasts: f64) -> impl Iterator<Item = Point> {
    let bin = BIN.as_secs_f64();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few hundred")]
    let count = (lasts / bin) as u32;
    (0..count).map(move |index| {
        let window = BIN * index..BIN * (index + 1);
        (f64::from(index) * bin + bin / 2.0, flow.goodput_bps(&window) / 1e6)
    })
}

fn estimate_points(flow: &FlowCourse) -> impl Iterator<Item = Point> {
    let step = READING_INTERVAL.as_secs_f64();
    #[allow(clippy::cast_precision_loss, reason = "rates are far below 2^52")]
    let points = (0u32..)
        .zip(&flow.readings)
        .filter(|(_, reading)| reading.target_bps > 0)
        .map(move |(index, reading)| (f64::from(index) * step, reading.target_bps as f64 / 1e6));
    points
}

fn probe_mark(rates: &Scale, at: Duration, rate: u64) -> String {
    #[allow(clippy::cast_precision_loss, reason = "rates are far below 2^52")]
    let (x, y) = (rates.x(at.as_secs_f64()), rates.y(rate as f64 / 1e6));
    let bottom = rates.bottom;
    format!(
        "<line class=\"probe\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{bottom}\" y2=\"{y:.1}\"/>\
             <circle class=\"probe\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2\" fill=\"none\"/>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::catalogue;

    #[test]
    fn a_plot_shows_capacity_rates_estimate_probes_and_queue() {
        let case = catalogue().into_iter().find(|case| case.name == "start").expect("known");
        let svg = course(&case, Kind::Ours, 1, &case.run(Kind::Ours, 1));
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
        for class in ["capacity", "estimate", "probe", "wait", "area"] {
            assert!(svg.contains(&format!("{class}\"")), "{class}");
        }
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "every figure is a number");
    }

    #[test]
    fn steps_are_round() {
        assert!((nice_step(3.125, 5.0) - 1.0).abs() < 1e-9);
        assert!((nice_step(100.0, 12.0) - 10.0).abs() < 1e-9);
        assert!((nice_step(330.0, 5.0) - 100.0).abs() < 1e-9);
        assert_eq!((label(0.5), label(20.0)), ("0.5".to_owned(), "20".to_owned()));
    }
}
