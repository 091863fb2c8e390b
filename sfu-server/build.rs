//! Makes the page as it is sent out of the page as it is written: without comments, in two bundles
//! (the library; what every call needs of the page) and single files (the rest), compressed once.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::{env, fs};

use crate::bundle::Modules;

#[path = "build/bundle.rs"]
mod bundle;
#[path = "build/strip.rs"]
mod strip;

const PAGE: &str = "../web-demo";
/// Folders of the page's own development, never embedded.
const NOT_EMBEDDED: &[&str] = &["e2e", "node_modules", "test", "tests", "dist", "docs"];
const EMBEDDED: &[&str] = &["html", "js", "css", "svg", "png", "ico", "webmanifest", "woff2"];
/// What compresses once more already is.
const COMPRESSED: &[&str] = &["png", "woff2"];

/// The library, under its own name.
const LIBRARY: &str = "sdk/index.js";
/// What the page's entry imports, under a name of its own: the entry itself does things.
const ENTRY: &str = "app/main.js";
const APP: &str = "app/all.js";

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
    let mut scripts = Modules::new();
    let mut files = BTreeMap::new();
    collect(Path::new(PAGE), "", &mut |path, file| {
        let text = || fs::read_to_string(file).expect("scripts, styles and markup are UTF-8");
        let bytes = match path.rsplit('.').next() {
            Some("js") => return drop(scripts.insert(path.to_owned(), strip::script(&text()))),
            Some("css") => strip::style(&text()).into_bytes(),
            Some("html") => preloads(&text()).into_bytes(),
            _ => fs::read(file).expect("it was just listed"),
        };
        files.insert(path.to_owned(), bytes);
    });
    if !scripts.contains_key(ENTRY) || !scripts.contains_key(LIBRARY) {
        return files; // built without the page
    }

    let library = bundle::order(&scripts, LIBRARY, &|path| path.starts_with("sdk/"));
    let mut app = bundle::order(&scripts, ENTRY, &|path| path.starts_with("app/"));
    app.retain(|path| path != ENTRY);
    let bundled = |path: &str| {
        let holds = |list: &[String]| list.iter().any(|each| each == path);
        let url = if holds(&library) { LIBRARY } else { APP };
        (holds(&library) || holds(&app)).then(|| format!("/{url}"))
    };
    let outside = bundle::names(&scripts, &|path| !app.iter().any(|each| each == path));
    let page = bundle::bundle(&scripts, &app, &outside, &bundled);
    files.insert(APP.to_owned(), bundle::redirect(APP, &page, &bundled).into_bytes());
    let mut public = bundle::names(&scripts, &|path| !path.starts_with("sdk/"));
    public.extend(bundle::names(&scripts, &|path| path == LIBRARY));
    for (path, source) in scripts.iter().filter(|(path, _)| !app.contains(path)) {
        let text = match path.as_str() {
            LIBRARY => bundle::bundle(&scripts, &library, &public, &|_| None),
            // Files of the library beside the bundle know each other only: WHIP is of use alone.
            path if path.starts_with("sdk/") => source.clone(),
            path => bundle::redirect(path, source, &bundled),
        };
        files.insert(path.clone(), text.into_bytes());
    }
    for (path, bytes) in files.iter_mut().filter(|(path, _)| path.ends_with(".js")) {
        let text = std::str::from_utf8(bytes).unwrap_or_else(|_| panic!("{path} is UTF-8"));
        *bytes = strip::squeeze(text).into_bytes();
    }
    files
}

/// The page names modules to be loaded early; here those are bundles.
fn preloads(html: &str) -> String {
    let early = |path: &str| format!("    <link rel=\"modulepreload\" href=\"/{path}\">\n");
    let mut told = false;
    let mut out = String::new();
    for line in html.lines() {
        if !line.contains("modulepreload") {
            out.push_str(line);
            out.push('\n');
        } else if !told {
            told = true;
            out.push_str(&early(LIBRARY));
            out.push_str(&early(APP));
        }
    }
    out
}

/// Every file to be embedded, and a watch on its folder.
fn collect(folder: &Path, prefix: &str, take: &mut dyn FnMut(&str, &Path)) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    if !prefix.is_empty() {
        println!("cargo::rerun-if-changed={}", folder.display());
    }
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
