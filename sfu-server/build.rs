//! Makes the page as it is sent out of the page as it is written: minified bundles (the page,
//! the library, WHIP and WHEP, the diagnostics page, what tests load), compressed once. The library's
//! modules are sent as they are written too, beside its bundle.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::{env, fs};

use crate::bundle::{Chunk, Modules};

#[path = "build/bundle.rs"]
mod bundle;
#[path = "build/style.rs"]
mod style;
#[path = "build/texts.rs"]
mod texts;

const PAGE: &str = "../web-demo";
/// Folders of the page's own development, never embedded.
const NOT_EMBEDDED: &[&str] = &["e2e", "node_modules", "test", "tests", "dist", "docs"];
const EMBEDDED: &[&str] = &["html", "js", "css", "svg", "png", "ico", "webmanifest", "woff2"];
/// What compresses once more already is.
const COMPRESSED: &[&str] = &["png", "woff2"];

const LIBRARY: &str = "sdk/index.js";
/// The library as it is written, for who wants to read it or look for a mistake in it.
const LIBRARY_SOURCE: &str = "sdk/source.js";
/// Of use alone, so it is made of all that it needs.
const WHIP: &str = "sdk/whip.js";
const APP: &str = "app/main.js";
const CHECK: &str = "check/main.js";
/// What only rooms with a setting load, and no server has by default: person to person.
const OPTIONAL: &[&str] = &["sdk/direct.js"];
/// Most of what the page says.
const WORDED: &[&str] = &["app/strings-more.js", "app/strings.js", "sdk/errors.js"];
/// Where texts are, and what they are called there.
const TEXTS: &[(&str, &str)] = &[("app/strings.js", "strings"), ("app/strings-more.js", "more")];
/// What nobody who calls loads: invented participants, what tests look at.
const RIG: &[&str] = &["app/mock.js", "app/one-way.js", "app/probe.js"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=build");
    let files = page();
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let table: String =
        files.iter().enumerate().map(|(i, (path, bytes))| write(&out, i, path, bytes)).collect();
    fs::write(out.join("page.rs"), format!("&[\n{table}]\n"))
        .expect("cargo's folder can be written to");
}

/// What is served, by path.
fn page() -> BTreeMap<String, Vec<u8>> {
    let mut sources = BTreeMap::new();
    let mut files = BTreeMap::new();
    collect(Path::new(PAGE), "", &mut |path, file| {
        let text = || fs::read_to_string(file).expect("scripts, styles and markup are UTF-8");
        let bytes = match path.rsplit('.').next() {
            Some("js") => {
                let source = text();
                sources.insert(path.to_owned(), source.clone());
                match path {
                    LIBRARY => return drop(files.insert(LIBRARY_SOURCE.to_owned(), source.into())),
                    path if path.starts_with("sdk/") => source.into_bytes(),
                    _ => return,
                }
            }
            Some("css") => style::minify(&text()).into_bytes(),
            Some("html") => markup(&text()).into_bytes(),
            _ => fs::read(file).expect("it was just listed"),
        };
        files.insert(path.to_owned(), bytes);
    });
    for (home, name) in TEXTS {
        texts::flatten(&mut sources, home, name);
    }
    let mut modules = Modules::default();
    for (path, source) in &sources {
        modules.add(path, source);
    }
    if [LIBRARY, WHIP, APP, CHECK].iter().all(|path| modules.contains(path)) {
        let chunks = chunks(&modules);
        for (chunk, text) in chunks.iter().zip(modules.link(&chunks)) {
            files.insert(chunk.url.clone(), text.into_bytes());
        }
    }
    files
}

/// What becomes of the modules: one file for each of the two pages, for nothing compresses as well as
/// neighbours do, and a few kilobytes are worth no round trip. The first chunk that holds a module
/// hands it to those that do not.
fn chunks(modules: &Modules) -> Vec<Chunk> {
    let in_sdk = |path: &str| path.starts_with("sdk/");
    let chunk = |url: &str, doors: &[&str], belongs: &dyn Fn(&str) -> bool| {
        let doors: Vec<String> = doors.iter().map(|&door| door.to_owned()).collect();
        let entries = if doors.is_empty() { vec![url.to_owned()] } else { doors.clone() };
        // Words beside words: a compressor looks back 32 KiB.
        let worded = WORDED.iter().filter(|_| url == APP).map(|&path| path.to_owned());
        let entries: Vec<String> = entries.into_iter().chain(worded).collect();
        Chunk { url: url.to_owned(), members: modules.order(&entries, belongs), doors }
    };
    let page = chunk(APP, &[], &|path| !RIG.contains(&path) && !OPTIONAL.contains(&path));
    let beside = |path: &str| !page.members.iter().any(|each| each == path);
    let rig = chunk("app/rig.js", RIG, &beside);
    let optional = chunk("app/direct.js", OPTIONAL, &beside);
    vec![
        page,
        rig,
        optional,
        chunk(LIBRARY, &[LIBRARY], &in_sdk),
        chunk(WHIP, &[WHIP], &in_sdk),
        chunk(CHECK, &[], &|_| true),
    ]
}

/// The page names modules to be loaded early; here there is one script, which is named anyway.
fn markup(html: &str) -> String {
    let lines = html.lines().map(str::trim).filter(|line| !line.contains("modulepreload"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Every file to be embedded, and a watch on it. Folders are not watched: cargo would look at all in
/// them, and a new file is of no use before an old one names it.
fn collect(folder: &Path, prefix: &str, take: &mut dyn FnMut(&str, &Path)) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        if entry.path().is_dir() {
            if !(prefix.is_empty() && NOT_EMBEDDED.contains(&name.as_str())) {
                collect(&entry.path(), &format!("{path}/"), take);
            }
        } else if name.rsplit('.').next().is_some_and(|kind| EMBEDDED.contains(&kind)) {
            println!("cargo::rerun-if-changed={}", entry.path().display());
            take(&path, &entry.path());
        }
    }
}

/// A file as it is and, where that helps, compressed; gives back its line of the table.
fn write(out: &Path, number: usize, path: &str, bytes: &[u8]) -> String {
    let keep = |name: String, bytes: &[u8]| {
        fs::write(out.join(&name), bytes).expect("cargo's folder can be written to");
        format!("include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{name}\"))")
    };
    let mut packed = Vec::new();
    zopfli::compress(zopfli::Options::default(), zopfli::Format::Gzip, bytes, &mut packed)
        .expect("memory takes everything");
    let gzip = if COMPRESSED.iter().any(|kind| path.ends_with(kind)) {
        "None".to_owned()
    } else {
        format!("Some({})", keep(format!("page{number}.gz"), &packed))
    };
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    let (plain, hash) = (keep(format!("page{number}"), bytes), hasher.finish());
    format!("File {{ path: {path:?}, hash: \"{hash:016x}\", plain: {plain}, gzip: {gzip} }},\n")
}
