//! [`Plot`]: curves over a logarithmic axis, as SVG.

use std::fmt::Write as _;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 72.0;
const BOTTOM: f64 = 48.0;
/// Horizontal lines of the grid.
const STEPS: u32 = 5;
/// Distinguishable in light and dark surroundings, and for most who confuse red and green.
const COLOURS: [&str; 6] = ["#2f7ed8", "#d9822b", "#2a9d8f", "#b5489a", "#8a7f2c", "#7a6ff0"];
/// The frame, grid and words take the colour of the text around them.
const STYLE: &str = "<style>
svg { color: #333; background: #fff; font: 12px system-ui, sans-serif }
@media (prefers-color-scheme: dark) { svg { color: #ddd; background: #181a1d } }
text { fill: currentColor } .grid { stroke: currentColor; opacity: .15 }
.title { font-size: 15px; font-weight: 600 } polyline { fill: none; stroke-width: 2 }
</style>";

/// Curves with common axes. The horizontal one is logarithmic: counts of things double.
#[derive(Clone, Debug)]
pub struct Plot {
    /// Name of the file.
    pub name: String,
    /// Heading.
    pub title: String,
    /// What the horizontal axis counts.
    pub across: String,
    /// What the vertical axis measures, from zero.
    pub up: String,
    /// The curves.
    pub lines: Vec<Line>,
}

/// A curve.
#[derive(Clone, Debug)]
pub struct Line {
    /// Its name.
    pub name: String,
    /// Positions, from left to right; those across must be above zero.
    pub points: Vec<(f64, f64)>,
}

impl Plot {
    /// The picture.
    #[must_use]
    pub fn svg(&self) -> String {
        let all = || self.lines.iter().flat_map(|line| &line.points);
        let least = all().map(|p| p.0).fold(f64::INFINITY, f64::min);
        let most = all().map(|p| p.0).fold(0.0, f64::max).max(least * 1.001);
        let top = round_up(all().map(|p| p.1).fold(0.0, f64::max));
        let x =
            |value: f64| LEFT + (WIDTH - LEFT - RIGHT) * (value / least).ln() / (most / least).ln();
        let y = |value: f64| HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * value / top;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\">{STYLE}\n\
             <text class=\"title\" x=\"{LEFT}\" y=\"24\">{}</text>\n\
             <text x=\"{LEFT}\" y=\"{}\">{}</text>\n\
             <text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>\n",
            escape(&self.title),
            TOP - 8.0,
            escape(&self.up),
            WIDTH - RIGHT,
            HEIGHT - 8.0,
            escape(&self.across)
        );
        for step in 0..=STEPS {
            let value = top * f64::from(step) / f64::from(STEPS);
            let at = y(value);
            let _ = writeln!(
                svg,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
                 <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                WIDTH - RIGHT,
                LEFT - 8.0,
                at + 4.0,
                short(value)
            );
        }
        let mut marks: Vec<f64> = all().map(|p| p.0).collect();
        marks.sort_by(f64::total_cmp);
        marks.dedup();
        for mark in marks {
            let at = HEIGHT - BOTTOM + 18.0;
            let word = short(mark);
            let _ = writeln!(
                svg,
                "<text x=\"{:.1}\" y=\"{at}\" text-anchor=\"middle\">{word}</text>",
                x(mark)
            );
        }
        let mut name_at = LEFT;
        for (line, colour) in self.lines.iter().zip(COLOURS.iter().cycle()) {
            let mut points = String::new();
            for &(across, up) in &line.points {
                let _ = write!(points, "{:.1},{:.1} ", x(across), y(up));
            }
            let name = escape(&line.name);
            let _ = writeln!(
                svg,
                "<polyline stroke=\"{colour}\" points=\"{}\"/>\
                 <text x=\"{name_at}\" y=\"44\" style=\"fill:{colour}\">{name}</text>",
                points.trim_end()
            );
            name_at += 8.0 * line.name.chars().count() as f64 + 24.0;
        }
        svg + "</svg>\n"
    }
}

/// The next 1, 2 or 5 times a power of ten.
fn round_up(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf(value.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|n| n * power).find(|n| *n >= value).unwrap_or(value)
}

fn short(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_hold_what_is_drawn() {
        let points = vec![(10.0, 1.0), (100.0, 1.7), (1000.0, 1.2)];
        let plot = Plot {
            name: "n".to_owned(),
            title: "cost < floor".to_owned(),
            across: "subscribers".to_owned(),
            up: "µs".to_owned(),
            lines: vec![Line { name: "F1".to_owned(), points }],
        };
        let svg = plot.svg();
        assert!(svg.contains("cost &lt; floor"));
        // The ends of the axis, its middle by logarithm, and heights as shares of 2.
        assert!(svg.contains("points=\"64.0,222.0 400.0,117.0 736.0,192.0\""), "{svg}");
    }

    #[test]
    fn the_top_is_a_round_number() {
        assert_eq!([0.3, 1.0, 1.1, 4.0, 70.0].map(round_up), [0.5, 1.0, 2.0, 5.0, 100.0]);
    }
}
