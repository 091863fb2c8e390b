//! Puts what all commands found into the pages that people read, between two marks.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::{Check, Machine};

/// What stands before and behind a table that is written here.
const BEGIN: &str = "<!-- measured: written by `cargo xtask bench all` -->\n";
const END: &str = "<!-- measured: end -->";

/// One result file, as far as the summary needs it.
#[derive(Deserialize)]
struct Kept {
    name: String,
    title: String,
    machine: Machine,
    checks: Vec<Check>,
}

/// Rewrites the tables of goals in `bench/RESULTS.md` and on the README from the files in
/// `bench/results`.
pub(crate) fn refresh_summaries() -> Result<()> {
    let bench = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let kept = read_all(&bench.join("results"))?;
    replace(&bench.join("RESULTS.md"), &whole(&kept))?;
    replace(&bench.join("../README.md"), &short(&kept))
}

fn read_all(folder: &Path) -> Result<Vec<Kept>> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)?
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<Vec<_>>>()?
        .into_iter()
        .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
        .collect();
    files.sort();
    // Others may keep files of their own form here.
    let read = |path: PathBuf| serde_json::from_str(&fs::read_to_string(path).ok()?).ok();
    Ok(files.into_iter().filter_map(read).collect())
}

/// Every goal, by the file that has it.
fn whole(kept: &[Kept]) -> String {
    let mut text = String::new();
    for Kept { name, title, machine, checks } in kept {
        text += &format!(
            "**{title}** ([{name}](results/{name}.md); {}, load average {:.1} to {:.1})",
            machine.date, machine.load_average[0], machine.load_average[1]
        );
        if checks.is_empty() {
            text += "\n\n";
        } else {
            text += &format!("\n\n{}\n", Check::table("", checks).trim_start());
        }
    }
    text
}

/// The first goal of each.
fn short(kept: &[Kept]) -> String {
    let first: Vec<Check> = kept.iter().filter_map(|kept| kept.checks.first()).cloned().collect();
    Check::table("", &first).trim_start().to_owned()
}

/// Replaces what stands between the marks; a page without them is left alone.
fn replace(page: &Path, table: &str) -> Result<()> {
    let text = fs::read_to_string(page).with_context(|| format!("no {}", page.display()))?;
    match replaced(&text, table) {
        Some(text) => Ok(fs::write(page, text)?),
        None => Ok(()),
    }
}

fn replaced(text: &str, table: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{}\n\n{END}{after}", table.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_marks_is_replaced() {
        let page = format!("before\n{BEGIN}old\n{END}\nafter\n");
        let once = replaced(&page, "| new |\n").unwrap();
        assert_eq!(once, format!("before\n{BEGIN}\n| new |\n\n{END}\nafter\n"));
        assert_eq!(replaced(&once, "| new |\n").unwrap(), once);
        assert_eq!(replaced("no marks", "new"), None);
    }
}
