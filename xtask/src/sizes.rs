//! What a visitor downloads: gzip sizes of the client library and of the page, held to budgets.
//!
//! There is no build step: each file is sent as it is written, so its size is that of the file
//! under gzip, and the sum is what a first visit costs.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Bytes after gzip; 1 kB is 1000 bytes.
const SDK_BUDGET: usize = 15_000;
const PAGE_BUDGET: usize = 40_000;

const SENT: [&str; 4] = ["html", "css", "js", "svg"];
/// Folders of `web-demo` that no browser of a visitor loads.
const NOT_SENT: [&str; 5] = ["e2e", "node_modules", "test", "tests", "types"];

/// Prints both sizes; an error names what is over its budget.
pub(crate) fn check() -> Result<()> {
    let sdk = Path::new("web-demo/sdk");
    let mut files = Vec::new();
    list(Path::new("web-demo"), &mut files)?;
    let (sdk_files, page_files): (Vec<_>, Vec<_>) =
        files.into_iter().partition(|file| file.starts_with(sdk));

    let parts = [("sdk", sdk_files, SDK_BUDGET), ("page", page_files, PAGE_BUDGET)];
    let mut over = Vec::new();
    for (name, files, budget) in parts {
        if files.is_empty() {
            bail!("no file of the {name} was found");
        }
        let total = total(&files)?;
        println!("{name:<5} {total:>6} of {budget} bytes after gzip, {} files", files.len());
        if total > budget {
            over.push(format!("the {name} is {} bytes over its budget", total - budget));
        }
    }
    if !over.is_empty() {
        bail!("{}", over.join("; "));
    }
    Ok(())
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() {
            if !NOT_SENT.contains(&name) {
                list(&path, files)?;
            }
        } else if is_sent(name) {
            files.push(path);
        }
    }
    Ok(())
}

fn is_sent(name: &str) -> bool {
    let Some((stem, extension)) = name.rsplit_once('.') else { return false };
    SENT.contains(&extension) && !stem.ends_with(".test")
}

fn total(files: &[PathBuf]) -> Result<usize> {
    let mut sum = 0;
    for file in files {
        sum += gzip_size(&fs::read(file)?)?;
    }
    Ok(sum)
}

/// gzip(1) is part of every Debian system, so no crate is needed for this.
fn gzip_size(content: &[u8]) -> Result<usize> {
    let mut gzip = Command::new("gzip")
        .args(["-9", "--no-name", "--stdout"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start gzip")?;
    let mut input = gzip.stdin.take().expect("standard input was asked for as a pipe");
    let content = content.to_vec();
    // Both ends of a pipe at once, or a large file would block the two for ever.
    let writer = std::thread::spawn(move || input.write_all(&content));
    let output = gzip.wait_with_output()?;
    writer.join().expect("writing does not panic")?;
    Ok(output.stdout.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_for_visitors_are_told_from_the_rest() {
        assert!(["index.html", "app.css", "room.js"].into_iter().all(is_sent));
        assert!(!["room.test.js", "tsconfig.json", "room.d.ts", "README"].into_iter().any(is_sent));
    }

    #[test]
    fn repetition_shrinks_and_noise_does_not() {
        let mut state = 1_u32;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        })
        .take(100_000)
        .collect();
        assert!(gzip_size(&vec![7; 1_000_000]).expect("gzip") < 2_000);
        assert!(gzip_size(&noise).expect("gzip") > 50_000);
    }
}
