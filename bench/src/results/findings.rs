//! [`Findings`]: tables, plots and raw rounds under one name, and where they are kept.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Machine, Plot, Spread};

/// A table under a line that says what it is.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Table {
    /// What it shows.
    pub caption: String,
    /// Heads of the columns.
    pub columns: Vec<String>,
    /// Cells.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty one.
    #[must_use]
    pub fn new(caption: &str, columns: &[&str]) -> Self {
        let columns = columns.iter().map(|&column| column.to_owned()).collect();
        Self { caption: caption.to_owned(), columns, rows: Vec::new() }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    fn markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let mut text = format!("{}\n\n{}", self.caption, line(&self.columns));
        text += &format!("|{}\n", "---|".repeat(self.columns.len()));
        for row in &self.rows {
            text += &line(row);
        }
        text
    }
}

/// A figure and its goal.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Check {
    /// What was measured.
    pub what: String,
    /// What was found.
    pub found: String,
    /// What was to be found.
    pub goal: String,
    /// Whether it was.
    pub met: bool,
}

/// What one command found.
#[derive(Clone, Debug, Serialize)]
pub struct Findings {
    /// Name of the files.
    pub name: String,
    /// Heading.
    pub title: String,
    /// Where and with what.
    pub machine: Machine,
    /// The figures.
    pub tables: Vec<Table>,
    /// What has to be known to read them.
    pub notes: Vec<String>,
    /// Figures with goals; if one is missed, the command fails.
    pub checks: Vec<Check>,
    /// Every round.
    pub raw: Value,
    /// Curves.
    #[serde(skip)]
    pub plots: Vec<Plot>,
}

impl Findings {
    /// Nothing yet. To be made before the measurement: it notes the load.
    #[must_use]
    pub fn begin(name: &str, title: &str) -> Self {
        Self {
            name: name.to_owned(),
            title: title.to_owned(),
            machine: Machine::read(),
            tables: Vec::new(),
            notes: Vec::new(),
            checks: Vec::new(),
            raw: Value::Null,
            plots: Vec::new(),
        }
    }

    /// Holds a figure against the most that it may be.
    pub fn at_most(&mut self, what: &str, found: Spread, most: f64) {
        self.hold(what, found, &format!("≤ {most}"), found.median <= most);
    }

    /// Holds a figure against the least that it may be.
    pub fn at_least(&mut self, what: &str, found: Spread, least: f64) {
        self.hold(what, found, &format!("≥ {least}"), found.median >= least);
    }

    fn hold(&mut self, what: &str, found: Spread, goal: &str, met: bool) {
        let found = if found.min == found.max {
            short(found.median)
        } else {
            format!("{} ({}–{})", short(found.median), short(found.min), short(found.max))
        };
        self.checks.push(Check { what: what.to_owned(), found, goal: goal.to_owned(), met });
    }

    /// For people.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = format!("# {}\n\n{}\n", self.title, self.machine.markdown());
        for table in &self.tables {
            text += &format!("{}\n", table.markdown());
        }
        for plot in &self.plots {
            let _ = writeln!(text, "![{}]({}.svg)\n", plot.title, plot.name);
        }
        for note in &self.notes {
            text += &format!("{note}\n\n");
        }
        text += &Check::table("Goals:", &self.checks);
        text.trim_end().to_owned() + "\n"
    }

    /// Ends the measurement, prints the tables and writes the files, by default to
    /// `bench/results`; true if nothing was missed.
    #[allow(clippy::print_stdout, reason = "it is what the commands are for")]
    pub fn finish(mut self, folder: Option<&Path>) -> Result<bool> {
        self.machine.end();
        let usual = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("results");
        let folder = folder.map_or_else(usual, Path::to_path_buf);
        let write = |name: &str, ending: &str, contents: &str| -> Result<()> {
            let path = folder.join(format!("{name}.{ending}"));
            std::fs::write(&path, contents).with_context(|| format!("writing {}", path.display()))
        };
        std::fs::create_dir_all(&folder)?;
        let text = self.markdown();
        println!("{text}");
        write(&self.name, "md", &text)?;
        write(&self.name, "json", &(serde_json::to_string_pretty(&self)? + "\n"))?;
        for plot in &self.plots {
            write(&plot.name, "svg", &plot.svg())?;
        }
        Ok(self.checks.iter().all(|check| check.met))
    }
}

impl Check {
    /// All of them; nothing if there are none.
    pub(crate) fn table(caption: &str, checks: &[Self]) -> String {
        if checks.is_empty() {
            return String::new();
        }
        let mut table = Table::new(caption, &["figure", "found", "goal", ""]);
        for Self { what, found, goal, met } in checks {
            let verdict = if *met { "met" } else { "**missed**" };
            table.row([what.clone(), found.clone(), goal.clone(), verdict.to_owned()]);
        }
        table.markdown()
    }
}

/// A number with as many places as it takes to tell it from its goal.
fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_written_for_people_and_programs() {
        let folder = std::env::temp_dir().join(format!("findings-{}", std::process::id()));
        let mut findings = Findings::begin("name", "Title");
        let mut table = Table::new("What it is:", &["a", "b"]);
        table.row(["1".to_owned(), "2".to_owned()]);
        findings.tables.push(table);
        findings.at_most("time", [3.0].into_iter().collect(), 4.0);
        findings.at_least("speed", [1.0, 2.0, 2.5].into_iter().collect(), 2.25);
        assert!(!findings.finish(Some(&folder)).unwrap());
        let text = std::fs::read_to_string(folder.join("name.md")).unwrap();
        assert!(text.contains("What it is:\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"), "{text}");
        assert!(text.contains("| time | 3.00 | ≤ 4 | met |\n"), "{text}");
        assert!(text.ends_with("| speed | 2.00 (1.00–2.50) | ≥ 2.25 | **missed** |\n"), "{text}");
        let json = std::fs::read_to_string(folder.join("name.json")).unwrap();
        let json: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["tables"][0]["rows"][0][1], "2");
        std::fs::remove_dir_all(folder).unwrap();
    }
}
