//! Outcomes as a table.

use std::fmt::Write;

use super::{Bound, Of, Outcome, Scenario};

/// Outcomes as a Markdown table: one row for each check, the median and the worst figure of all
/// seeds.
#[must_use]
pub fn table(outcomes: &[Outcome]) -> String {
    let mut out = String::from(
        "| scenario | seeds | who | measure | wanted | median | worst | holds |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    let mut names: Vec<_> = outcomes.iter().map(|outcome| outcome.name).collect();
    names.dedup();
    for name in names {
        let runs: Vec<_> = outcomes.iter().filter(|outcome| outcome.name == name).collect();
        let checks = runs.first().map_or(0, |run| run.rows.len());
        for at in 0..checks {
            let check = runs[0].rows[at].check;
            let mut figures: Vec<_> = runs.iter().map(|run| run.rows[at].figure).collect();
            check.bound.sort(&mut figures);
            let (median, worst) = (figures[figures.len() / 2], figures[figures.len() - 1]);
            let (sign, wanted) = match check.bound {
                Bound::AtLeast(bound) => ("≥", bound),
                Bound::AtMost(bound) => ("≤", bound),
            };
            let failed: Vec<_> = runs
                .iter()
                .filter(|run| !run.rows[at].holds())
                .map(|run| run.seed.to_string())
                .collect();
            let holds = match failed.as_slice() {
                [] => "yes".to_owned(),
                seeds => format!("**no**, seed {}", seeds.join(" ")),
            };
            let of = match check.of {
                Of::Worst => String::new(),
                Of::Percentile(per_cent) => format!(" (p{per_cent})"),
            };
            writeln!(
                out,
                "| {name} | {} | {} | {:?}{of} | {sign} {wanted} | {median:.2} | {worst:.2} | {holds} |",
                runs.len(),
                check.who,
                check.measure,
            )
            .expect("strings take everything");
        }
    }
    out
}

impl Scenario {
    /// One line about it.
    #[must_use]
    pub fn summary(&self) -> String {
        let pending = if self.pending { " (not passed yet)" } else { "" };
        format!("{:20} {}{pending}", self.name, self.about)
    }
}
