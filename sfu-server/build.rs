//! Rebuilds the server when a file of the page changes, appears or goes: the embedding macro only
//! notices changes of files it has already seen.

use std::path::Path;

/// Folders and files of the page's own development, never embedded (see `src/assets.rs`).
const NOT_EMBEDDED: &[&str] = &["e2e", "node_modules", "test", "tests"];

fn main() {
    let page = Path::new("../web-demo");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../web-demo/index.html");
    let Ok(entries) = std::fs::read_dir(page) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if !NOT_EMBEDDED.iter().any(|skipped| name == *skipped) {
            println!("cargo::rerun-if-changed={}", entry.path().display());
        }
    }
}
