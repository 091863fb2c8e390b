//! `docs/whip-whep.md` is written from the names of the tests, and this fails when it is stale:
//! `SFU_BLESS=1 cargo test --release -p sfu-server --test doors conformance` writes it anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// A requirement: its row, how binding it is, what it is about.
struct Row(&'static str, &'static str, &'static str);

const HEAD: &str = "# WHIP and WHEP: conformance

Written by `sfu-server/tests/doors/conformance.rs` from the names of the tests; do not edit.

WHIP is RFC 9725, WHEP draft-ietf-wish-whep of 2026-04-29 with its events draft. **M** is a MUST, \
**S** a SHOULD, **J** this server's choice where the text leaves one. A row passes when all its \
tests do; what none is named for says why.
";

/// Rows without a test of their own, and the reason.
const WITHOUT_TEST: &[(&str, &str)] = &[];

const ROWS: &[Row] = &[
    Row("C01", "M", "POST of an offer: 201, `application/sdp`, the answer, `Location`"),
    Row("C02", "M", "POST of another content type, or none: 415"),
    Row("C03", "M", "POST of what is no SDP: 400, over the bound 413; nothing is left of it"),
    Row("C04", "J", "media types are compared without regard to case and parameters"),
    Row("C05", "M", "GET of endpoint and session: 2xx without content"),
    Row("C06", "M", "OPTIONS of the endpoint: 200 with `Accept-Post`"),
    Row("C07", "M", "preflight: headers allowed and exposed by name"),
    Row("C08", "S", "no TURN credentials in answers to OPTIONS"),
    Row("C09", "M", "all candidates are in the answer"),
    Row("C10", "M", "bundled, `rtcp-mux`, `rtcp-mux-only` in each m-line"),
    Row("C11", "S", "an m-line without a known codec: 422 for the whole offer"),
    Row("C12", "M", "two m-lines of a kind or two MediaStreams: 422"),
    Row("C13", "S", "`a=setup:active` is taken, `passive` as well"),
    Row("C14", "M", "`ETag`: strong, quoted, unique"),
    Row("C15", "M", "PATCH of candidates with the tag: 204 without body and tag"),
    Row("C16", "M", "candidates that cannot be used are passed over"),
    Row("C17", "M", "PATCH without `If-Match` 428, with another tag 412"),
    Row("C18", "M", "PATCH of another type 415, of no fragment 400; the session goes on"),
    Row("C19", "M", "PATCH of new credentials with `If-Match: *`: 200, fragment, new tag"),
    Row("C20", "J", "the same with a quoted asterisk"),
    Row("C21", "M", "a restart that cannot be served changes nothing; media goes on"),
    Row("C22", "M", "after a restart the former tag is refused with 412"),
    Row("C23", "M", "trickle and restart are both supported, so neither is refused with 422"),
    Row("C24", "J", "of two PATCHes with one tag at a time one passes"),
    Row("C25", "M", "DELETE: 200 whatever `If-Match` says; everything is freed"),
    Row("C26", "J", "DELETE twice, PATCH after it, another door or room: 404"),
    Row("C27", "M", "bearer tokens: 401 with `WWW-Authenticate`; POST, PATCH and DELETE"),
    Row("C28", "J", "PATCH with a bad token: 401, and the session goes on"),
    Row("C29", "S", "session URLs have 128 random bits"),
    Row("C30", "S", "bursts: 429 with `Retry-After`"),
    Row("C31", "M", "no redirect but 307; this server has none"),
    Row("C32", "", "draining or overloaded: 503 with `Retry-After`"),
    Row("C33", "", "TURN servers as `Link`, one each, URL not escaped"),
    Row("C34", "M", "one `Link` for each extension; nothing requires its use"),
    Row("C35", "M", "a peer that vanishes: its session ends, at once with DTLS's goodbye"),
    Row("C36", "J", "ICE that never completes: the session ends after 30 s"),
    Row("I01", "M", "`sendonly` or `sendrecv` is answered `recvonly`"),
    Row("I02", "M", "`recvonly` or `inactive`: 422"),
    Row("I03", "", "simulcast: the answer has its rids; all layers can be had"),
    Row("I04", "J", "a second publisher of the same name is a second participant"),
    Row("I05", "J", "offers of OBS's, GStreamer's and FFmpeg's shape are answered whole"),
    Row("E01", "M", "`recvonly` or `sendrecv` is answered `sendonly`, in one MediaStream"),
    Row("E02", "M", "`sendonly` or `inactive`: 422"),
    Row("E03", "M", "nobody publishes and `wait=false`: 409 with `Retry-After`"),
    Row("E04", "J", "nobody publishes: 201, and media when there is some"),
    Row("E05", "S", "HEAD of the endpoint: 200, `application/sdp`, no body"),
    Row("E06", "", "counter-offers are optional and not made"),
    Row("E07", "J", "PATCH of an SDP after 201: 422, never a renegotiation"),
    Row("E08", "", "the publisher leaves and returns: the viewer keeps its session"),
    Row("E09", "M", "events: POST of a list 201 with `Location`, unknown 400, DELETE then 404"),
    Row("E10", "M", "events: no `inactive` before there was an `active`"),
    Row("E11", "", "layers: a rid is selected, automatic again, unknown ones refused"),
    Row("E12", "M", "who advertises layers advertises their event too"),
];

#[test]
fn the_conformance_table_is_what_the_tests_say() {
    let table = table(&tests_by_row());
    let path = root().join("docs/whip-whep.md");
    if std::env::var_os("SFU_BLESS").is_some() {
        std::fs::write(&path, &table).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == table, "docs/whip-whep.md is stale; see the head of this file");
}

fn table(tests_by_row: &BTreeMap<String, Vec<String>>) -> String {
    let mut table =
        format!("{HEAD}\n| row | | requirement | status | tests |\n|---|---|---|---|---|\n");
    for Row(id, level, requirement) in ROWS {
        let tests = tests_by_row.get(*id).cloned().unwrap_or_default();
        let reason = WITHOUT_TEST.iter().find(|(row, _)| row == id).map(|(_, reason)| *reason);
        let status = match (tests.is_empty(), reason) {
            (false, None) => "tested".to_owned(),
            (_, Some(reason)) => reason.to_owned(),
            (true, None) => panic!("{id} has neither a test nor a reason"),
        };
        let tests: Vec<String> = tests.iter().map(|test| format!("`{test}`")).collect();
        let tests = tests.join("<br>");
        writeln!(table, "| {id} | {level} | {requirement} | {status} | {tests} |").unwrap();
    }
    for id in tests_by_row.keys() {
        assert!(ROWS.iter().any(|row| row.0 == id), "a test names {id}, which is no row");
    }
    table
}

/// The tests of this crate whose names begin with rows, such as `c01_e04_…`, by row.
fn tests_by_row() -> BTreeMap<String, Vec<String>> {
    let mut tests_by_row: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let tests = root().join("sfu-server/tests");
    for file in rust_files(&tests) {
        let text = std::fs::read_to_string(&file).unwrap();
        let place = file.strip_prefix(&tests).unwrap().with_extension("");
        let place = place.to_str().unwrap().replace('/', "::");
        for line in text.lines() {
            let Some(rest) = line.trim_start().strip_prefix("async fn ") else { continue };
            let name = rest.split('(').next().unwrap();
            for row in name.split('_').take_while(|word| is_row(word)) {
                let tests = tests_by_row.entry(row.to_uppercase()).or_default();
                tests.push(format!("{place}::{name}"));
            }
        }
    }
    tests_by_row.values_mut().for_each(|tests| tests.sort());
    tests_by_row
}

fn is_row(word: &str) -> bool {
    matches!(word.as_bytes(), [b'c' | b'i' | b'e', a, b] if a.is_ascii_digit() && b.is_ascii_digit())
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let rust = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "rs");
    let mut found: Vec<_> = files.into_iter().filter(rust).collect();
    found.extend(folders.iter().flat_map(|folder| rust_files(folder)));
    found.sort();
    found
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}
