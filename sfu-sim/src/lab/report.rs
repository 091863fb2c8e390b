//! Runs cases with many seeds and makes Markdown tables of what came out.

use std::fmt::Write as _;
use std::ops::Range;

use super::case::{Case, Kind};
use super::metric::Goal;

/// The figures of one case under one controller.
#[derive(Clone, Debug)]
pub struct Figures {
    /// Which controller.
    pub kind: Kind,
    /// Why there are none.
    pub excuse: Option<&'static str>,
    /// For each check, a figure for each seed.
    pub by_check: Vec<Vec<f64>>,
}

impl Figures {
    /// Runs a case with each seed.
    #[must_use]
    pub fn of(case: &Case, kind: Kind, seeds: Range<u64>) -> Self {
        let mut by_check = vec![Vec::new(); case.checks.len()];
        let excuse = case.excuse(kind);
        if excuse.is_none() {
            for seed in seeds {
                let figures = case.measure(&case.run(kind, seed));
                for (all, figure) in by_check.iter_mut().zip(figures) {
                    all.push(figure);
                }
            }
        }
        Self { kind, excuse, by_check }
    }
}

/// A case with its figures.
#[derive(Clone, Debug)]
pub struct Row {
    /// The case.
    pub case: Case,
    /// One for each controller.
    pub figures: Vec<Figures>,
}

impl Row {
    /// Whether every goal holds with every seed under our own controller.
    #[must_use]
    pub fn holds(&self) -> bool {
        let ours = self.figures.iter().filter(|figures| figures.kind == Kind::Ours);
        ours.flat_map(|figures| self.case.checks.iter().zip(&figures.by_check))
            .all(|(check, figures)| figures.iter().all(|figure| check.goal.holds(*figure)))
    }

    /// Its lines of the table.
    #[must_use]
    pub fn lines(&self) -> String {
        let mut lines = String::new();
        for (index, check) in self.case.checks.iter().enumerate() {
            let case = if index == 0 {
                format!("**{}**: {}", self.case.name, self.case.about)
            } else {
                String::new()
            };
            let _ = write!(lines, "| {case} | {} | {} |", check.metric.name(), check.goal);
            for figures in &self.figures {
                let cell = match figures.excuse {
                    Some(_) => "n/a".to_owned(),
                    None => cell(check.goal, &figures.by_check[index]),
                };
                let _ = write!(lines, " {cell} |");
            }
            lines.push('\n');
        }
        lines
    }
}

/// The head of a table for these controllers.
#[must_use]
pub fn head(kinds: &[Kind]) -> String {
    let names: String =
        kinds.iter().fold(String::new(), |names, kind| names + " " + kind.name() + " |");
    let rule = "---|".repeat(kinds.len());
    format!("| case | figure | goal |{names}\n|---|---|---|{rule}\n")
}

/// `median / worst`, with a mark where a goal is missed: ✗ by the worst seed only, ✗✗ by the
/// median too.
fn cell(goal: Goal, figures: &[f64]) -> String {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(&median) = sorted.get(sorted.len() / 2) else { return "–".to_owned() };
    let worst = goal.worst(figures);
    let mark = match (goal.holds(median), goal.holds(worst)) {
        (true, true) => "",
        (true, false) => " ✗",
        (false, _) => " ✗✗",
    };
    format!("{} / {}{mark}", number(median), number(worst))
}

fn number(figure: f64) -> String {
    if figure.is_infinite() {
        "never".to_owned()
    } else if figure.abs() >= 100.0 {
        format!("{figure:.0}")
    } else if figure.abs() >= 10.0 {
        format!("{figure:.1}")
    } else {
        format!("{figure:.2}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_shows_median_and_worst_and_marks_what_is_missed() {
        assert_eq!(cell(Goal::AtLeast(0.9), &[0.95, 0.91, 0.97]), "0.95 / 0.91");
        assert_eq!(cell(Goal::AtLeast(0.9), &[0.95, 0.85, 0.97]), "0.95 / 0.85 ✗");
        assert_eq!(cell(Goal::AtMost(100.0), &[120.0, 300.4, 90.0]), "120 / 300 ✗✗");
        assert_eq!(cell(Goal::Between(30.0, 70.0), &[20.0, 50.0, 60.0]), "50.0 / 20.0 ✗");
        assert_eq!(cell(Goal::AtMost(1.0), &[f64::INFINITY; 3]), "never / never ✗✗");
    }
}
